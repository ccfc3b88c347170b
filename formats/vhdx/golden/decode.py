#!/usr/bin/env python3
"""Writes NAME.map and NAME.sha256 for every VHDX given, from the format's description alone.

A second reader, slow and simple: it holds the file and the disk in memory, knows no limits, and
takes the first header and region table of the larger number.
"""
import gzip
import hashlib
import re
import struct
import sys
import uuid
from pathlib import Path

KIB, MIB = 1 << 10, 1 << 20
BAT, METADATA = "2dc27766-f623-4200-9d64-115e9bfd4a08", "8b7ca206-4790-4b9a-b8fe-575f050f886e"
PARAMETERS, SIZE = "caa16737-fa36-4d43-b3b6-33f0aa44e76b", "2fa54224-cd1b-4876-b211-5dbed83bf4b8"
SECTOR, LOCATOR = "8141bf1d-a96f-4709-ba47-f233a8faab5f", "a8d35f2d-b30b-454d-abf7-d3d84834ab0c"


def guid(raw, at):
    return str(uuid.UUID(bytes_le=bytes(raw[at:at + 16])))


def u16(raw, at):
    return struct.unpack_from("<H", raw, at)[0]


def u32(raw, at):
    return struct.unpack_from("<I", raw, at)[0]


def u64(raw, at):
    return struct.unpack_from("<Q", raw, at)[0]


def entry_at(log, at, wanted):
    """The log's entry there, its bytes in a row; None."""
    ring = log[at:] + log[:at]
    if ring[:4] != b"loge" or guid(ring, 32) != wanted:
        return None
    return dict(at=at, raw=ring[:u32(ring, 8)], tail=u32(ring, 12), number=u64(ring, 16))


def replay(raw, log_at, log_size, wanted):
    log = bytes(raw[log_at:log_at + log_size])
    best, at = [], 0
    while at < log_size:
        run, next_at = [], at
        while (e := entry_at(log, next_at % log_size, wanted)) and \
                (not run or e["number"] == run[-1]["number"] + 1):
            run.append(e)
            next_at += len(e["raw"])
        tails = [i for i, e in enumerate(run) if e["at"] == run[-1]["tail"]]
        if tails and (not best or run[-1]["number"] > best[-1]["number"]):
            best = run[tails[0]:]
        at = next_at if run else at + 4096
    for e in best:
        count = u32(e["raw"], 24)
        data = (count + 2 + 127) // 128 * 4096
        for i in range(count):
            d = e["raw"][64 + 32 * i:96 + 32 * i]
            to = u64(d, 16)
            if d[:4] == b"zero":
                raw[to:to + u64(d, 8)] = bytes(u64(d, 8))
            else:
                raw[to:to + 4096] = d[8:16] + e["raw"][data + 8:data + 4092] + d[4:8]
                data += 4096


def read(path):
    """The fields that say where things are, and the file's bytes with the log replayed."""
    raw = bytearray(gzip.decompress(path.read_bytes()))
    head = max((64 * KIB, 128 * KIB), key=lambda at: u64(raw, at + 8))
    log = guid(raw, head + 48)
    if uuid.UUID(log).int:
        replay(raw, u64(raw, head + 72), u32(raw, head + 68), log)
    regions = {guid(raw, at): u64(raw, at + 16)
               for at in range(192 * KIB + 16, 192 * KIB + 16 + 32 * u32(raw, 192 * KIB + 8), 32)}
    start = regions[METADATA]
    items = {guid(raw, at): start + u32(raw, at + 16)
             for at in range(start + 32, start + 32 + 32 * u16(raw, start + 10), 32)}
    parent = None
    if LOCATOR in items:
        at = items[LOCATOR]
        for i in range(u16(raw, at + 18)):
            e = at + 20 + 12 * i
            text = [bytes(raw[at + u32(raw, e + 4 * k):][:u16(raw, e + 8 + 2 * k)]).decode("utf-16le")
                    for k in (0, 1)]
            if text[0] == "relative_path":
                parent = re.split(r"[\\/]", text[1])[-1]
    block = u32(raw, items[PARAMETERS])
    sector = u32(raw, items[SECTOR])
    return dict(raw=raw, bat=regions[BAT], block=block, sector=sector, size=u64(raw, items[SIZE]),
                ratio=(1 << 23) * sector // block, parent=parent)


def layers(path):
    chain = [read(path)]
    while chain[-1]["parent"]:
        chain.append(read(path.parent / (chain[-1]["parent"] + ".gz")))
    return chain


def piece(layer, at):
    """The 512 bytes at that place of the disk: kind, place in the file, bytes."""
    index, inside = divmod(at, layer["block"])
    entry = u64(layer["raw"], layer["bat"] + 8 * (index + index // layer["ratio"]))
    state, place = entry & 7, (entry >> 20 << 20) + inside
    if state == 7:
        chunk = index // layer["ratio"]
        bits = u64(layer["raw"], layer["bat"] + 8 * (chunk * (layer["ratio"] + 1) + layer["ratio"]))
        bit = at // layer["sector"] % (1 << 23)
        state = 6 if layer["raw"][(bits >> 20 << 20) + bit // 8] >> bit % 8 & 1 else 0
    if state == 6:
        return "data", (id(layer), place), bytes(layer["raw"][place:place + 512]).ljust(512, b"\0")
    return ("absent" if state == 0 else "zero"), None, bytes(512)


def decode(path):
    chain = layers(path)
    disk, runs = hashlib.sha256(), []
    for at in range(0, chain[0]["size"], 512):
        for layer in chain:
            kind, place, data = piece(layer, at) if at < layer["size"] else ("absent", None, bytes(512))
            if kind != "absent":
                break
        disk.update(data)
        if runs and runs[-1][2] == kind and \
                (kind != "data" or place == (runs[-1][3][0], runs[-1][3][1] + runs[-1][1])):
            runs[-1][1] += 512
        else:
            runs.append([at, 512, kind, place])
    return disk.hexdigest(), "".join(f"{r[0]} {r[1]} {r[2]}\n" for r in runs)


for name in sys.argv[1:]:
    image = Path(name)
    digest, extents = decode(image)
    stem = image.name.split(".")[0]
    (image.parent / (stem + ".sha256")).write_text(digest + "\n")
    (image.parent / (stem + ".map")).write_text(extents)
