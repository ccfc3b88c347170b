#!/usr/bin/env python3
"""Writes the golden images of this folder, their maps and their digests, with Python's own libraries
and nothing of Platter's. No program in Debian writes images of Apple."""
import bz2
import hashlib
import lzma
import plistlib
import struct
import zlib

ZERO, RAW, IGNORED, COMMENT, ADC, ZLIB, BZIP2, LZFSE, XZ, END = (
    0, 1, 2, 0x7FFFFFFE, 0x80000004, 0x80000005, 0x80000006, 0x80000007, 0x80000008, 0xFFFFFFFF)


def text(sectors, seed):
    """Bytes that compress, and differ from sector to sector."""
    line = lambda i: f"sector {i * 7 + seed:06d} of the golden image {seed:02d}\n".encode()
    return b"".join((line(i) * 20)[:512] for i in range(sectors))


def adc(plain):
    """Each sector: its first line as literals, then a match that repeats it."""
    out = bytearray()
    for at in range(0, len(plain), 512):
        sector = plain[at:at + 512]
        period = sector.index(b"\n") + 1
        assert all(sector[i] == sector[i - period] for i in range(period, 512))
        out += bytes([0x80 | period - 1]) + sector[:period]
        left = 512 - period
        while left > 0:
            n = min(left, 67) if left - min(left, 67) in (0, *range(4, 999)) else left - 4
            out += bytes([0x40 | n - 4]) + struct.pack(">H", period - 1)
            left -= n
    return bytes(out)


def lzfse(plain):
    """One LZVN block of literals: what can be made by hand."""
    payload = b"".join(bytes([0xE0 | len(p)]) + p
                       for p in (plain[i:i + 15] for i in range(0, len(plain), 15)))
    payload += b"\x06" + bytes(7)
    return b"bvxn" + struct.pack("<II", len(plain), len(payload)) + payload + b"bvx$"


ENCODE = {RAW: bytes, ADC: adc, ZLIB: zlib.compress, BZIP2: bz2.compress, LZFSE: lzfse,
          XZ: lambda plain: lzma.compress(plain, preset=0, check=lzma.CHECK_CRC32)}


def checksum(value):
    return struct.pack(">III", 2, 32, value) + bytes(124)


def image(name, sectors, parts, fork_tables=False, trailer_first=False):
    """parts: (first sector, name, [(type, plain bytes, or a number of sectors)])."""
    start = 512 if trailer_first else 0
    fork, tables, disk, extents = b"", [], bytearray(512 * sectors), []
    for first, label, chunks in parts:
        rows, at, crc = b"", 0, 0
        for kind, content in chunks:
            plain = bytes(512 * content) if isinstance(content, int) else content
            stored = ENCODE.get(kind, lambda plain: b"")(plain)
            count = len(plain) // 512
            rows += struct.pack(">IIQQQQ", kind, 0, at, count, len(fork), len(stored))
            if kind != IGNORED:
                crc = zlib.crc32(plain, crc)
            here = 512 * (first + at)
            disk[here:here + len(plain)] = plain
            if kind not in (ZERO, IGNORED, COMMENT):
                extents.append((here, len(plain), "data" if kind == RAW else "encoded"))
            fork += stored
            at += count
        rows += struct.pack(">IIQQQQ", END, 0, at, 0, len(fork), 0)
        tables.append((label, crc, struct.pack(">IIQQQII24x", 0x6D697368, 1, first, at, 0, 0x808, 0) +
                       checksum(crc) + struct.pack(">I", len(rows) // 40) + rows))
    if fork_tables:
        data = b"".join(struct.pack(">I", len(table)) + table for _, _, table in tables)
        listing = struct.pack(">IIII", 256, 256 + len(data), len(data), 0) + bytes(240) + data
    else:
        listing = plistlib.dumps({"resource-fork": {"blkx": [
            {"Attributes": "0x0050", "CFName": label, "Data": table, "ID": str(i), "Name": label}
            for i, (label, _, table) in enumerate(tables)], "plst": []}})
    master = zlib.crc32(b"".join(struct.pack(">I", crc) for _, crc, _ in tables))
    place = (start + len(fork), len(listing))
    trailer = (struct.pack(">4sIIIQQQQQII16x", b"koly", 4, 512, 1, 0, start, len(fork),
                           *(place if fork_tables else (0, 0)), 1, 1) +
               checksum(zlib.crc32(fork)) + struct.pack(">QQ120x", *((0, 0) if fork_tables else place)) +
               checksum(master) + struct.pack(">IQ12x", 1, sectors))
    assert len(trailer) == 512
    body = fork + listing
    with open(name + ".dmg", "wb") as out:
        out.write(trailer + body if trailer_first else body + trailer)
    with open(name + ".sha256", "w") as out:
        out.write(f"{hashlib.sha256(disk).hexdigest()}  {name}\n")
    with open(name + ".map", "w") as out:
        at = 0
        for here, length, kind in sorted(extents):
            if here > at:
                out.write(f"{at} {here - at} zero\n")
            out.write(f"{here} {length} {kind}\n")
            at = here + length
        if at < len(disk):
            out.write(f"{at} {len(disk) - at} zero\n")


image("zlib", 40, [(0, "whole disk", [(ZLIB, text(8, 1)), (ZLIB, text(8, 2)), (IGNORED, 16),
                                      (RAW, text(4, 3)), (ZERO, 4)])])
for n, (name, kind) in enumerate([("bzip2", BZIP2), ("adc", ADC), ("lzfse", LZFSE), ("xz", XZ)]):
    image(name, 24, [(0, "whole disk", [(kind, text(9, 10 + n)), (ZERO, 3), (kind, text(12, 20 + n))])])
# Parts out of order, with gaps around them, and a comment.
image("parts", 64, [(40, "second", [(ZLIB, text(6, 4)), (IGNORED, 2), (ZLIB, text(5, 5))]),
                    (3, "first", [(RAW, text(5, 6)), (COMMENT, 0), (ZLIB, text(7, 7))])])
image("resource-fork", 16, [(0, "", [(ZLIB, text(10, 8)), (ZERO, 6)])], fork_tables=True)
image("trailer-first", 16, [(0, "disk", [(ZLIB, text(10, 9)), (ZERO, 6)])], trailer_first=True)
