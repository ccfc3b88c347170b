"""example.py LIBRARY DIRECTORY: the same from Python, through platter.h."""

import ctypes
import json
import sys


class NewImage(ctypes.Structure):
    _fields_ = [
        ("path", ctypes.c_char_p),
        ("format", ctypes.c_char_p),
        ("size", ctypes.c_uint64),
        ("variant", ctypes.c_char_p),
        ("options", ctypes.POINTER(ctypes.c_char_p)),
        ("metadata", ctypes.POINTER(ctypes.c_char_p)),
        ("passphrase", ctypes.c_char_p),
        ("flags", ctypes.c_uint32),
    ]


def main(library, directory):
    platter = ctypes.CDLL(library)
    platter.platter_last_error.restype = ctypes.c_char_p
    platter.platter_count.restype = ctypes.c_size_t
    platter.platter_size.restype = ctypes.c_uint64

    def call(name, *arguments):
        if getattr(platter, name)(*arguments) != 0:
            raise OSError(platter.platter_last_error().decode())

    disk = ctypes.c_void_p()
    call("platter_disk_new", 1, ctypes.byref(disk))
    base = NewImage(path=f"{directory}/py.vdi".encode(), format=b"vdi", size=8 << 20)
    child = NewImage(path=f"{directory}/py.qcow2".encode(), format=b"qcow2")
    call("platter_create_base", disk, ctypes.byref(base))
    call("platter_create_child", disk, ctypes.byref(child))
    call("platter_write", disk, ctypes.c_uint64(1000), b"python", ctypes.c_size_t(6))
    call("platter_snapshot_create", disk, b"first")
    call("platter_flush", disk)
    print(platter.platter_count(disk), "images,", platter.platter_size(disk), "bytes")
    call("platter_close_all", disk)

    call("platter_open_chain", disk, child.path, None, 1, None)
    seen = ctypes.create_string_buffer(6)
    call("platter_read", disk, ctypes.c_uint64(1000), seen, ctypes.c_size_t(6))
    print(seen.raw.decode())
    platter.platter_disk_free(disk)

    copy = NewImage(path=f"{directory}/copy.vmdk".encode(), format=b"vmdk")
    call("platter_copy", child.path, None, None, ctypes.byref(copy), None, None)
    text = ctypes.c_char_p()
    call("platter_info", copy.path, None, 0, ctypes.byref(text))
    print(json.loads(text.value)["format"])
    platter.platter_free(text)
    try:
        call("platter_info", b"/no/such/image", None, 0, ctypes.byref(text))
    except OSError as error:
        print(error)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
