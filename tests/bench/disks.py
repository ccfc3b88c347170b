"""The disks that are measured, made anew in the work directory of each run."""

import os
import subprocess
from pathlib import Path

MIB = 1 << 20
PIECE = 8 * MIB
# What every Debian has: programs, libraries, texts. Compresses about as a system disk does.
REAL_DATA = ("/usr/bin", "/usr/lib", "/usr/share")


# Formats that QEMU calls something else.
QEMUS_NAMES = {"vhd": "vpc"}
# A VHD as large as it is asked for; blocks of a VHDX small enough that a disk has many.
QEMUS_OPTIONS = {"vhd": ("-o", "force_size=on"), "vhdx": ("-o", "block_size=1M")}
STREAM = ("-o", "subformat=streamOptimized")


def qemus_name(form):
    return QEMUS_NAMES.get(form, form)


def qemu_img(*arguments):
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def write_random(path, size):
    with open(path, "wb") as out:
        while out.tell() < size:
            out.write(os.urandom(min(PIECE, size - out.tell())))


def real_files():
    for root in REAL_DATA:
        for folder, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                if path.is_file() and not path.is_symlink() and os.access(path, os.R_OK):
                    yield path


def write_real(path, size):
    """The host's own files, one behind the other, begun again when there are too few."""
    with open(path, "wb") as out:
        while out.tell() < size:
            before = out.tell()
            for source in real_files():
                out.write(source.read_bytes()[:size - out.tell()])
                if out.tell() >= size:
                    return
            if out.tell() == before:
                raise RuntimeError("no files to make a disk of below " + ", ".join(REAL_DATA))


# What the first write to each block is measured with: the block QEMU makes images with.
BLOCK_SIZES = {"raw": MIB, "vdi": MIB, "qcow2": 64 << 10, "vmdk": 64 << 10, "vhd": 2 * MIB,
               "vhdx": MIB}
# Others than raw.
FORMS = ("qcow2", "vdi", "vmdk", "vhd", "vhdx")
# The largest disk each can have, or 64 TiB.
LARGEST = {"qcow2": 64 << 40, "vdi": 64 << 40, "vmdk": 62 << 40, "vhd": 2040 << 30,
           "vhdx": 64 << 40}


class Disk:
    """form: QEMU's and Platter's name of the format; raw: the same bytes, flat."""

    def __init__(self, title, form, image, raw):
        self.title = title
        self.form = form
        self.image = image
        self.raw = raw
        self.size = raw.stat().st_size


def plain_disks(work, size):
    """Fully allocated, no holes, no compression."""
    raw = work / "plain.raw"
    write_random(raw, size)
    disks = [Disk("raw", "raw", raw, raw)]
    return disks + [Disk(form, form, converted(raw, form, "plain"), raw) for form in FORMS]


def compressed_disks(work, size):
    raw = work / "real.raw"
    write_real(raw, size)
    image = work / "real.qcow2"
    qemu_img("convert", "-c", "-O", "qcow2", raw, image)
    yield Disk("qcow2, zlib clusters", "qcow2", image, raw)
    image = work / "real.vmdk"
    qemu_img("convert", "-O", "vmdk", *STREAM, raw, image)
    yield Disk("vmdk, streamOptimized", "vmdk", image, raw)


def converted(raw, form, name):
    image = raw.with_name(f"{name}.{form}")
    qemu_img("convert", "-O", qemus_name(form), *QEMUS_OPTIONS.get(form, ()), raw, image)
    return image


def sparse_image(work, form, size, name="sparse"):
    image = work / f"{name}.{form}"
    qemu_img("create", "-f", qemus_name(form), *QEMUS_OPTIONS.get(form, ()), image, size)
    return image


def expect_sound(image, form):
    """QEMU finds nothing wrong with it, where it can tell."""
    done = subprocess.run(["qemu-img", "check", "-f", qemus_name(form), image], capture_output=True, text=True,
                          check=False)
    if done.returncode not in (0, 63):
        raise RuntimeError(f"{image}: {done.stdout}{done.stderr}")


def expect_same(images):
    """The images hold the same disk."""
    for other in images[1:]:
        form = [qemus_name(path.suffix[1:]) for path in (images[0], other)]
        qemu_img("compare", "-f", form[0], "-F", form[1], images[0], other)
