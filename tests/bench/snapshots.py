"""How long a writer waits at most while snapshots of its disk come and go."""

import mmap
import os
import random
import subprocess
import threading
import time

import report
from servers import guarded

DISK, ALLOCATED = 1 << 40, 100 << 30
BLOCK = 4096
TIMEOUT = 300  # seconds for all of it
LIMIT = 0.100  # seconds, of a single write


class Writer(threading.Thread):
    """Writes 4 KiB at random into the allocated part until it is told to stop."""

    def __init__(self, path, span):
        super().__init__(daemon=True)
        self.path, self.span = path, span
        self.longest = 0.0
        self.writes = 0
        self.ended = threading.Event()
        self.error = None

    def run(self):
        block = mmap.mmap(-1, BLOCK)  # aligned, for O_DIRECT
        block.write(b"\x5a" * BLOCK)
        dice = random.Random(1)
        try:
            disk = os.open(self.path, os.O_WRONLY | os.O_DIRECT)
            while not self.ended.is_set():
                offset = dice.randrange(0, self.span // BLOCK) * BLOCK
                began = time.perf_counter()
                os.pwrite(disk, block, offset)
                self.longest = max(self.longest, time.perf_counter() - began)
                self.writes += 1
            os.close(disk)
        except OSError as error:
            self.error = error

    def take_longest(self):
        longest, self.longest = self.longest, 0.0
        return longest


def make_image(platter, image, size, allocated):
    """Every cluster of its first part has a place, in a file that is a hole there."""
    subprocess.run([platter, "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", image,
                    str(allocated)], check=True)
    subprocess.run([platter, "resize", "-q", image, str(size)], check=True)


HEAD = ("while", "it takes", "longest write", "writes meanwhile")


def rows(given, work, launcher):
    size, allocated = (DISK, ALLOCATED) if not given.smoke else (1 << 30, 64 << 20)
    image = work / "stall.qcow2"
    make_image(given.build / "platter", image, size, allocated)
    server = launcher.platterfs(image, "qcow2", writable=True)
    states = server.mountpoint / "snapshots"

    def steps():
        yield "nothing else happens", lambda: time.sleep(2 if not given.smoke else 0.1)
        for i in range(3):
            yield f"snapshot {i + 1} is taken", (states / str(i)).mkdir
            yield "the disk is only written", lambda: time.sleep(2 if not given.smoke else 0.1)
        yield "snapshot 2 is renamed", lambda: (states / "1").rename(states / "one")
        yield "snapshot 1 is deleted", (states / "0").rmdir
        yield "snapshot 2 is deleted", (states / "one").rmdir
        yield "snapshot 3 is deleted", (states / "2").rmdir

    try:
        server.start(size)
        with guarded(TIMEOUT, server):
            writer = Writer(server.path, allocated)
            writer.start()
            for title, step in steps():
                time.sleep(0.2)
                writer.take_longest()
                before, began = writer.writes, time.perf_counter()
                step()
                took = time.perf_counter() - began
                # What is under way when it ends counts, too.
                time.sleep(0.05)
                longest = writer.take_longest() * 1000
                text = f"{longest:.1f} ms"
                if longest > LIMIT * 1000:
                    text = f"**{text}**"
                yield [title, f"{took:.2f} s", f"{text} (≤ {LIMIT * 1000:.0f})",
                       writer.writes - before]
            writer.ended.set()
            writer.join()
            if writer.error is not None:
                raise writer.error
    finally:
        server.stop()
        image.unlink(missing_ok=True)


def table(given, work, launcher):
    found = []
    for row in rows(given, work, launcher):
        found.append(row)
        print(report.row(*row), flush=True)
    return report.table(HEAD, found)
