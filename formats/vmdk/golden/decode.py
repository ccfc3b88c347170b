#!/usr/bin/env python3
"""Writes NAME.map and NAME.sha256 for every VMDK given, from the format's description alone.

A second reader, slow and simple: it holds the whole disk in memory and knows no limits.
"""
import hashlib
import re
import struct
import sys
import zlib
from pathlib import Path

SECTOR = 512


def pieces_of_sparse(raw, shown):
    """(length, kind, place, bytes) of an extent; shown: sectors of it that the disk has."""
    u = lambda fmt, at: struct.unpack_from("<" + fmt, raw, at)[0]
    per_table = 4096
    if raw[:4] == b"COWD":
        grain, directory, flags = u("I", 16), u("I", 20), 0
    else:
        base = 0 if u("Q", 56) != 2**64 - 1 else len(raw) - 1024
        if raw[base:base + 4] != b"KDMV":
            return pieces_of_markers(raw, shown)
        grain, directory, flags = u("Q", base + 20), u("Q", base + 56), u("I", base + 8)
        per_table = u("I", base + 44)
    result = []
    for number in range((shown + grain - 1) // grain):
        length = min(grain, shown - number * grain) * SECTOR
        table = u("I", directory * SECTOR + 4 * (number // per_table))
        entry = u("I", table * SECTOR + 4 * (number % per_table)) if table else 0
        if entry == 0:
            result.append((length, "absent", 0, bytes(length)))
        elif entry == 1 and flags & 4:
            result.append((length, "zero", 0, bytes(length)))
        elif flags & 0x10000:
            result.append((length, "encoded", (id(raw), entry), grain_at(raw, entry)[:length]))
        else:
            at = entry * SECTOR
            result.append((length, "data", (id(raw), at), raw[at:at + length]))
    return result


def pieces_of_sesparse(raw, shown):
    u = lambda at: struct.unpack_from("<Q", raw, at)[0]
    result = []
    for number in range((shown + 7) // 8):
        length = min(8, shown - number * 8) * SECTOR
        table = u(u(128) * SECTOR + 8 * (number // 4096))
        entry = u((u(144) + 64 * (table & 0xffffffff)) * SECTOR + 8 * (number % 4096)) if table else 0
        if entry >> 60 == 3:
            at = (u(192) + 8 * ((entry >> 48 & 0xfff) | (entry & 0xffffffffffff) << 12)) * SECTOR
            result.append((length, "data", (id(raw), at), raw[at:at + length]))
        else:
            result.append((length, "zero" if entry else "absent", 0, bytes(length)))
    return result


def grain_at(raw, sector):
    size = struct.unpack_from("<I", raw, sector * SECTOR + 8)[0]
    return zlib.decompress(raw[sector * SECTOR + 12:sector * SECTOR + 12 + size])


def pieces_of_markers(raw, shown):
    grain, at = struct.unpack_from("<Q", raw, 20)[0], struct.unpack_from("<Q", raw, 64)[0]
    places = {}
    while at * SECTOR < len(raw):
        lba, size = struct.unpack_from("<QI", raw, at * SECTOR)
        places[lba // grain] = at
        at += (12 + size + SECTOR - 1) // SECTOR
    result = []
    for number in range((shown + grain - 1) // grain):
        length = min(grain, shown - number * grain) * SECTOR
        if number in places:
            result.append((length, "encoded", (id(raw), places[number]),
                           grain_at(raw, places[number])[:length]))
        else:
            result.append((length, "absent", 0, bytes(length)))
    return result


def read(path):
    """The layers' pieces, the top one first; each a list over the disk."""
    raw = file(path)
    if raw[:8] == struct.pack("<Q", 0xcafebabe):
        return [pieces_of_sesparse(raw, struct.unpack_from("<Q", raw, 16)[0])]
    text = raw
    if raw[:4] == b"KDMV":
        at, size = struct.unpack_from("<QQ", raw, 28)
        text = raw[at * SECTOR:(at + size) * SECTOR]
    text = text.split(b"\0")[0].decode()
    pieces = []
    for m in re.finditer(r'^(?:RW|RDONLY) (\d+) (\w+)(?: "([^"]*)"(?: (\d+))?)?', text, re.M | re.I):
        sectors, kind, name, offset = int(m[1]), m[2].upper(), m[3], int(m[4] or 0)
        if kind == "ZERO":
            pieces.append((sectors * SECTOR, "zero", 0, bytes(sectors * SECTOR)))
        elif kind in ("FLAT", "VMFS"):
            data = file(path.parent / name)
            at, length = offset * SECTOR, sectors * SECTOR
            pieces.append((length, "data", (id(data), at), data[at:at + length]))
        elif kind == "SESPARSE":
            pieces += pieces_of_sesparse(file(path.parent / name), sectors)
        else:
            pieces += pieces_of_sparse(raw if raw[:4] == b"KDMV" else file(path.parent / name),
                                       sectors)
    hint = re.search(r'^parentFileNameHint="(?:.*[\\/])?([^"]*)"', text, re.M)
    return [pieces] + (read(path.parent / hint[1]) if hint else [])


FILES = {}


def file(path):
    return FILES.setdefault(path, path.read_bytes())


def sector_rows(pieces):
    rows = []
    for length, kind, place, data in pieces:
        for at in range(0, length, SECTOR):
            where = (place[0], place[1] + at) if kind == "data" else place
            rows.append((kind, where, data[at:at + SECTOR]))
    return rows


def decode(path):
    chain = [sector_rows(p) for p in read(path)]
    disk, runs = b"", []
    for i in range(len(chain[0])):
        depth = 0
        while chain[depth][i][0] == "absent" and depth + 1 < len(chain) and i < len(chain[depth + 1]):
            depth += 1
        kind, where, data = chain[depth][i]
        disk += data
        if runs and runs[-1][1] == kind and (kind in ("absent", "zero") or
                                             (kind == "encoded" and runs[-1][2] == where) or
                                             (kind == "data" and runs[-1][2] == (where[0], where[1] - SECTOR))):
            runs[-1][0] += SECTOR
            runs[-1][2] = where
        else:
            runs.append([SECTOR, kind, where])
    text, at = "", 0
    for length, kind, _ in runs:
        text += f"{at} {length} {kind}\n"
        at += length
    path.with_suffix(".map").write_text(text)
    path.with_suffix(".sha256").write_text(hashlib.sha256(disk).hexdigest() + "\n")


for argument in sys.argv[1:]:
    decode(Path(argument))
