#!/usr/bin/env python3
"""Writes NAME.map and NAME.sha256 for every VDI given, from the format's description alone.

A second reader, slow and simple: it holds the whole disk in memory and knows no limits.
"""
import hashlib
import struct
import sys
from pathlib import Path

FREE, ZERO = 0xFFFFFFFF, 0xFFFFFFFE


def read(path):
    """The fields that say where things are, and the file's bytes."""
    raw = path.read_bytes()
    u32 = lambda at: struct.unpack_from("<I", raw, at)[0]
    u64 = lambda at: struct.unpack_from("<Q", raw, at)[0]
    if u32(68) >> 16 == 0:
        blocks = u32(364)
        return dict(raw=raw, size=u64(352), block=u32(360), extra=0, blocks=blocks, map=420,
                    data=420 + 4 * blocks, uuid=raw[372:388], parent=raw[404:420])
    return dict(raw=raw, size=u64(368), block=u32(376), extra=u32(380), blocks=u32(384),
                map=u32(340), data=u32(344), uuid=raw[392:408], parent=raw[424:440])


def layers(path):
    chain = [read(path)]
    while any(chain[-1]["parent"]):
        chain.append(next(other for other in map(read, path.parent.glob("*.vdi"))
                          if other["uuid"] == chain[-1]["parent"]))
    return chain


def block(layer, index):
    """Its pieces in this layer: (length, kind, place in the file, bytes)."""
    size = layer["block"]
    entry = struct.unpack_from("<I", layer["raw"], layer["map"] + 4 * index)[0]
    if entry == FREE:
        return [(size, "absent", 0, bytes(size))]
    if entry == ZERO:
        return [(size, "zero", 0, bytes(size))]
    at = layer["data"] + entry * (size + layer["extra"]) + layer["extra"]
    stored = layer["raw"][at:at + size]
    rest = size - len(stored)
    pieces = [(len(stored), "data", (id(layer), at), stored)]
    return pieces + ([(rest, "zero", 0, bytes(rest))] if rest else [])


def decode(path):
    chain = layers(path)
    top = chain[0]
    size = (top["size"] + 511) // 512 * 512
    disk, runs, at = b"", [], 0
    for index in range((size + top["block"] - 1) // top["block"]):
        depth, pieces = 0, block(top, index)
        while pieces[0][1] == "absent" and depth + 1 < len(chain):
            depth, pieces = depth + 1, block(chain[depth + 1], index)
        for length, kind, place, data in pieces:
            length = min(length, size - at)
            if length == 0:
                break
            disk += data[:length]
            last = runs[-1] if runs else None
            goes_on = last and last[2:4] == [kind, depth] and (
                kind != "data" or (last[4][0], last[4][1] + last[1]) == place)
            if goes_on:
                last[1] += length
            else:
                runs.append([at, length, kind, depth, place])
            at += length
    return runs, disk


for name in map(Path, sys.argv[1:]):
    runs, disk = decode(name)
    name.with_suffix(".map").write_text("".join("%d %d %s\n" % tuple(r[:3]) for r in runs))
    name.with_suffix(".sha256").write_text(hashlib.sha256(disk).hexdigest() + "\n")
