"""Results as Markdown, the targets beside them."""

import os
import platform
import re
import subprocess
from pathlib import Path

NULL, PEER, OURS = "null server", "QEMU", "platterfs"

# (required, aim) against the peer and against the null server, by kind of disk and job. The
# required figure is what a release must have; the aim is what the hardware was shown to give.
PLAIN = {
    "4k random, 1 job": ((None, 3.6), (0.8, 0.90)),
    "4k random, 4 jobs": ((2.0, 3.0), (0.8, 0.88)),
    "1M sequential": ((2.0, 3.0), (0.8, 0.95)),
}
OF_OTHERS = {
    "4k random, 1 job": ((2.5, 3.6), (0.8, 0.90)),
    "4k random, 4 jobs": ((2.5, 3.0), (0.8, 0.88)),
    "1M sequential": ((2.5, 3.0), (0.8, 0.95)),
}
STREAM = {"1M sequential": ((4.0, None), (None, None))}
COMPRESSED = {
    "4k random, 1 job": ((2.0, 2.2), (None, None)),
    "4k random, 4 jobs": ((2.0, 3.5), (None, None)),
    "1M sequential": ((2.0, 4.3), (None, None)),
}
READS = {"vmdk": OF_OTHERS, "vhd": OF_OTHERS, "vhdx": OF_OTHERS,
         "qcow2, zlib clusters": COMPRESSED, "vmdk, streamOptimized": STREAM}
# Against the peer and the null server as well; what is required is required of images with blocks.
VDI_WRITES = {
    "4k random write, 1 job": ((2.0, 3.1), (None, 0.88)),
    "4k random write, 4 jobs": ((2.0, 6.5), (None, 0.85)),
    "4k, first to each block": ((2.0, None), (None, None)),
    "1M sequential, new image": ((2.0, 2.1), (None, 0.9)),
}
QCOW2_WRITES = VDI_WRITES | {
    "4k, first to each block": ((1.5, 4.0), (None, 0.75)),
    "1M sequential, new image": ((1.5, 2.1), (None, 0.9)),
}
WRITES = {"vdi": VDI_WRITES, "qcow2": QCOW2_WRITES}
MOUNT_SECONDS = (0.020, 0.004)
MOUNT_MEMORY = (30 << 20, 8 << 20)


def row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(head, rows):
    return "\n".join([row(*head), row(*["---"] * len(head)), *[row(*r) for r in rows]])


def rate(job, value):
    if job.block >= 1 << 20:
        return f"{value * job.block / (1 << 20):.0f} MiB/s"
    return f"{value:.0f}/s" if value < 10000 else f"{value / 1000:.1f}k/s"


def judged(value, target, format_value="{:.2f}"):
    """The value, what is required and aimed at: "2.31 (≥ 2.0, aim 3.0)", bold when it is missed."""
    required, aim = target
    text = format_value.format(value)
    wanted = []
    if required is not None:
        wanted.append(f"≥ {required}")
        if value < required:
            text = f"**{text}**"
    if aim is not None:
        wanted.append(f"aim {aim}")
    return f"{text} ({', '.join(wanted)})" if wanted else text


def targets_of(title, job):
    none = ((None, None),) * 2
    if not job.writes:
        return READS.get(title, PLAIN).get(job.title, none)
    return WRITES.get(title, {}).get(job.title, none)


def cell_rows(title, job, cells):
    targets = targets_of(title, job)
    ours, peer, null = cells[OURS], cells[PEER], cells[NULL]
    return [title, job.title, *[rate(job, cell.rate) for cell in (ours, peer, null)],
            judged(ours.rate / peer.rate, targets[0]), judged(ours.rate / null.rate, targets[1]),
            " / ".join(f"{cell.cost:.1f}" for cell in (ours, peer, null)),
            " / ".join(f"{cell.spread * 100:.0f}" for cell in (ours, peer, null))]


CELL_HEAD = ("disk", "job", OURS, PEER, NULL, "× QEMU", "× null server",
             "CPU µs an operation: platterfs / QEMU / null", "spread %")


def other_rows(title, job, cells):
    """Of two programs, ours and another."""
    (other,) = [program for program in cells if program != OURS]
    ours, theirs = cells[OURS], cells[other]
    return [other, title, job.title, rate(job, ours.rate), rate(job, theirs.rate),
            f"{ours.rate / theirs.rate:.2f}",
            " / ".join(f"{cell.cost:.1f}" for cell in (ours, theirs)),
            " / ".join(f"{cell.spread * 100:.0f}" for cell in (ours, theirs))]


OTHER_HEAD = ("other", "disk", "job", OURS, "the other", "× the other",
              "CPU µs an operation: platterfs / other", "spread %")


def at_most(value, target, unit, scale):
    required, aim = target
    text = f"{value * scale:.1f} {unit}"
    if value > required:
        text = f"**{text}**"
    return f"{text} (≤ {required * scale:.0f}, aim {aim * scale:.0f})"


def mount_rows(form, program, results):
    """results: what measure.mount_once gave, a tuple a slot; the median mount counts."""
    middle = sorted(results, key=lambda result: result[0])[len(results) // 2]
    took, fresh, used = middle
    if program == OURS:
        times = at_most(took, MOUNT_SECONDS, "ms", 1000)
        memory = at_most(fresh["rss"], MOUNT_MEMORY, "MiB", 1 / (1 << 20))
    else:
        times, memory = f"{took * 1000:.1f} ms", f"{fresh['rss'] / (1 << 20):.1f} MiB"
    spread = (max(r[0] for r in results) - min(r[0] for r in results)) / took
    return [form, program, times, memory, f"{used['rss'] / (1 << 20):.1f} MiB",
            f"{used['anonymous'] / (1 << 20):.1f} MiB", f"{spread * 100:.0f}"]


MOUNT_HEAD = ("image", "program", "until it answers", "resident, fresh",
              "resident, after random reads", "of it anonymous", "spread %")


def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "absent"
    return (done.stdout + done.stderr).strip().split("\n")[0]


def version(*command):
    found = re.search(r"\d+(\.\d+)+", first_line(*command))
    return found.group(0) if found else "absent"


def machine():
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    kernel = re.match(r"\d+(\.\d+)*", platform.release()).group(0)
    return (f"{len(os.sched_getaffinity(0))} cores ({model}), Linux {kernel}, "
            f"libfuse {version('fusermount3', '-V')}, "
            f"QEMU {version('qemu-storage-daemon', '--version')}, {first_line('fio', '--version')}")
