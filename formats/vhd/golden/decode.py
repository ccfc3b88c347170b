#!/usr/bin/env python3
"""Writes NAME.map and NAME.sha256 for every VHD given, from the format's description alone.

A second reader, slow and simple: it holds the whole disk in memory and knows no limits.
"""
import hashlib
import struct
import sys
from pathlib import Path

SECTOR, UNUSED = 512, 0xFFFFFFFF


def read(path):
    """The fields that say where things are, and the file's bytes."""
    raw = path.read_bytes()
    at = next((len(raw) - n for n in (512, 511) if raw[-n:][:8] == b"conectix"), 0)
    header, = struct.unpack_from(">Q", raw, at + 16)
    creator = raw[at + 28:at + 32]
    size, cylinders, heads, sectors, kind = struct.unpack_from(">QHBBI", raw, at + 48)
    if creator in (b"vpc ", b"vs  ", b"qemu") and (cylinders, heads, sectors) != (65535, 16, 255):
        size = cylinders * heads * sectors * SECTOR
    disk = dict(raw=raw, size=size, kind=kind, uuid=raw[at + 68:at + 84], parent=None)
    if kind == 2:
        return disk
    disk["table"], _, _, disk["block"] = struct.unpack_from(">QIII", raw, header + 16)
    disk["bitmap"] = -(-disk["block"] // (8 * SECTOR * SECTOR)) * SECTOR
    if kind == 4:
        disk["parent"] = raw[header + 40:header + 56]
    return disk


def layers(path):
    chain = [read(path)]
    while chain[-1]["parent"]:
        chain.append(next(other for other in map(read, path.parent.glob("*.vhd"))
                          if other["uuid"] == chain[-1]["parent"]))
    return chain


def sector(disk, number):
    """In this layer: what it is, where in the file, and its bytes."""
    if disk["kind"] == 2:
        at = number * SECTOR
        return "data", at, disk["raw"][at:at + SECTOR]
    block, inside = divmod(number * SECTOR, disk["block"])
    entry, = struct.unpack_from(">I", disk["raw"], disk["table"] + 4 * block)
    k = inside // SECTOR
    if entry == UNUSED:
        return "absent", 0, bytes(SECTOR)
    written = disk["raw"][entry * SECTOR + k // 8] >> (7 - k % 8) & 1
    if disk["kind"] == 4 and not written:
        return "absent", 0, bytes(SECTOR)
    at = entry * SECTOR + disk["bitmap"] + inside
    return "data", at, disk["raw"][at:at + SECTOR]


def decode(path):
    chain = layers(path)
    disk, runs = b"", []
    for number in range(chain[0]["size"] // SECTOR):
        depth = 0
        kind, at, data = sector(chain[0], number)
        while kind == "absent" and depth + 1 < len(chain):
            depth += 1
            kind, at, data = sector(chain[depth], number)
        disk += data
        last = runs[-1] if runs else None
        if last and last[2:4] == [kind, depth] and (kind != "data" or last[4] + last[1] == at):
            last[1] += SECTOR
        else:
            runs.append([number * SECTOR, SECTOR, kind, depth, at])
    return runs, disk


for name in map(Path, sys.argv[1:]):
    runs, disk = decode(name)
    name.with_suffix(".map").write_text("".join("%d %d %s\n" % tuple(r[:3]) for r in runs))
    name.with_suffix(".sha256").write_text(hashlib.sha256(disk).hexdigest() + "\n")
