#!/usr/bin/env python3
"""Makes the images here that no program in Debian writes: python3 make.py, in this directory."""
import struct
import zlib
from pathlib import Path

SECTOR = 512


def pad(data, unit=SECTOR):
    return data + bytes(-len(data) % unit)


def content(seed, length):
    return bytes((seed + i // 64) % 251 + 1 for i in range(length))


def header(capacity, grain, version=1, flags=3, descriptor=(1, 20), rgd=0, gd=0, overhead=0,
           unclean=0, compression=0):
    return pad(struct.pack("<4sIIQQQQIQQQB4sH", b"KDMV", version, flags, capacity, grain,
                           *descriptor, 512, rgd, gd, overhead, unclean, b"\n \r\n", compression))


def descriptor(kind, extents, cid="0a1b2c3d", parent="ffffffff", more="", ddb=()):
    lines = ["# Disk DescriptorFile", "version=1", f"CID={cid}", f"parentCID={parent}",
             f'createType="{kind}"'] + ([more] if more else [])
    lines += ["", "# Extent description"] + list(extents)
    lines += ["", "# The Disk Data Base", "#DDB", ""] + [f'ddb.{key} = "{value}"' for key, value in ddb]
    return "\n".join(lines).encode() + b"\n"


def sparse(text, capacity, grains, grain=8, flags=3, redundant=True, embedded=True):
    """grains: of the disk, by number: None (nothing), 0 (a zeroed grain) or a seed, in file order."""
    version = 2 if flags & 4 else 1
    at = 21 if embedded else 1
    rgd = at if redundant else 0
    gd = at + 5 if redundant else at
    overhead = (gd + 5 + grain - 1) // grain * grain
    table, data = [0] * 512, b""
    for number, seed in grains:
        if seed == 0:
            table[number] = 1
            continue
        table[number] = overhead + len(data) // SECTOR
        data += content(seed, grain * SECTOR)
    tables = struct.pack("<512I", *table)
    out = header(capacity, grain, version, flags, (1, 20) if embedded else (0, 0), rgd, gd, overhead)
    if embedded:
        out += pad(text, 20 * SECTOR)
    if redundant:
        out += pad(struct.pack("<I", rgd + 1)) + tables
    out += pad(struct.pack("<I", gd + 1)) + tables
    return pad(out, overhead * SECTOR)[:overhead * SECTOR] + data


def stream(text, capacity, grains, grain=16, footer=True):
    out = header(capacity, grain, 3, 0x30001, (1, 2), 0, 2**64 - 1, 16, 0, 1) + pad(text, 2 * SECTOR)
    out = pad(out, 16 * SECTOR)
    table = [0] * 512
    for number, seed in grains:
        table[number] = len(out) // SECTOR
        data = zlib.compress(content(seed, grain * SECTOR), 9)
        out += pad(struct.pack("<QI", number * grain, len(data)) + data)
    if not footer:
        return out
    marker = lambda value, kind: pad(struct.pack("<QII", value, 0, kind))
    out += marker(4, 1)
    at = len(out) // SECTOR
    out += struct.pack("<512I", *table) + marker(1, 2)
    directory = len(out) // SECTOR
    out += pad(struct.pack("<I", at)) + marker(1, 3)
    return out + header(capacity, grain, 3, 0x30001, (1, 2), 0, directory, 16, 0, 1) + bytes(SECTOR)


def cowd(sectors, grains, grain=1):
    table, data, first = [0] * 4096, b"", 40
    for number, seed in grains:
        table[number] = first + len(data) // SECTOR
        data += content(seed, grain * SECTOR)
    out = struct.pack("<4sIIIIIII", b"COWD", 1, 3, sectors, grain, 4, 1, first + len(data) // SECTOR)
    out = pad(out, 4 * SECTOR) + pad(struct.pack("<I", 5))
    return pad(out + struct.pack("<4096I", *table), first * SECTOR)[:first * SECTOR] + data


def sesparse(sectors, grains, stored):
    """grains: of the disk, by number: "unmapped", "zero" or the number of a stored one (0, 1 …)."""
    table = [0] * 4096
    for number, what in grains:
        table[number] = {"unmapped": 1 << 60, "zero": 2 << 60}.get(what) or \
            3 << 60 | (what & 0xfff) << 48 | what >> 12
    out = pad(struct.pack("<26Q", 0xcafebabe, 0x200000001, sectors, 8, 64, 0, 0, 0, 0, 0, 1, 1, 2, 1,
                          3, 1, 4, 1, 8, 64, 0, 0, 0, 0, 72, 8 * len(stored)))
    out = pad(pad(out + struct.pack("<QQQQ", 0xcafecafe, 1, 1, 0)), 4 * SECTOR)
    out = pad(out + struct.pack("<Q", 1 << 60), 8 * SECTOR) + struct.pack("<4096Q", *table)
    return out + b"".join(content(seed, 8 * SECTOR) for seed in stored)


def write(name, data):
    Path(name).write_bytes(data)


line = 'RW {} SPARSE "elsewhere.vmdk"'
write("grains.vmdk", sparse(descriptor("monolithicSparse", [line.format(75)]), 75,
                            [(3, 10), (0, 20), (1, 21), (5, 0), (9, 30)], flags=7))
write("child.vmdk", sparse(descriptor("monolithicSparse", [line.format(90)], "11111111", "0a1b2c3d",
                                      'parentFileNameHint="C:\\\\Disks\\\\grains.vmdk"'), 90,
                           [(1, 40), (3, 0)], flags=7))
write("stream.vmdk", stream(descriptor("streamOptimized", ["RDONLY 100 SPARSE \"s.vmdk\""]), 100,
                            [(0, 50), (3, 60), (6, 70)]))
write("stream-cut.vmdk", stream(descriptor("streamOptimized", ["RDONLY 100 SPARSE \"s.vmdk\""]), 100,
                                [(0, 50), (3, 60), (6, 70)], footer=False))
write("parts.vmdk", b"\r\n".join(descriptor(
    "custom", ['RW 16 FLAT "parts-f.dat" 4 ', "RW 9 ZERO", 'RDONLY 3 FLAT "parts-f.dat" 1',
               'rw 40 sparse "parts-s.dat"', 'RW 30 VMFSSPARSE "parts-cowd.dat"',
               'RW 2 VMFS "parts-f.dat"']).splitlines()))
write("parts-f.dat", content(80, 21 * SECTOR))
write("parts-s.dat", sparse(b"", 40, [(4, 90), (0, 91)], redundant=False, embedded=False, flags=1))
write("parts-cowd.dat", cowd(30, [(2, 100), (3, 101), (20, 102)]))
write("sesparse.vmdk", sesparse(77, [(0, 1), (2, 2), (3, 3), (4, 0), (6, "zero"), (7, "unmapped")],
                                [110, 111, 112, 113]))
write("sesparse-disk.vmdk", descriptor("seSparse", ['RW 77 SESPARSE "sesparse.vmdk"']))
