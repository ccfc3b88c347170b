"""One cell: several programs run the same job in turn, in short slots."""

import json
import os
import random
import statistics
import subprocess
import time
from dataclasses import dataclass, field

import disks
from servers import guarded

SLACK = 30  # seconds a slot may take longer than asked before it counts as hung


@dataclass(frozen=True)
class Job:
    title: str
    pattern: str  # of fio: read, randread, write, randwrite
    block: int  # bytes
    jobs: int = 1
    direct: bool = True
    operations: int = 0  # done once; 0: as many as there is time for
    step: int = 0  # bytes from one operation to the next; 0: the size of a block

    @property
    def writes(self):
        return "write" in self.pattern


JOBS = (
    Job("4k random, 1 job", "randread", 4096),
    Job("4k random, 4 jobs", "randread", 4096, jobs=4),
    Job("1M sequential", "read", 1 << 20),
)
# Into blocks that are there.
WRITE_JOBS = (
    Job("4k random write, 1 job", "randwrite", 4096),
    Job("4k random write, 4 jobs", "randwrite", 4096, jobs=4),
)


def new_image_jobs(size, block_size):
    """Into an image of nothing but zeroes, once through it."""
    return (Job("4k, first to each block", "write", 4096, operations=size // block_size,
                step=block_size),
            Job("1M sequential, new image", "write", 1 << 20, operations=size >> 20))


# Once through the page cache of the kernel, which is emptied before.
BUFFERED = Job("sequential, buffered, cold", "read", 1 << 20, direct=False)


@dataclass
class Cell:
    """What one program did in one job: a value a slot."""
    rates: list = field(default_factory=list)  # operations a second
    costs: list = field(default_factory=list)  # CPU microseconds of client and server an operation

    @property
    def rate(self):
        return statistics.median(self.rates)

    @property
    def cost(self):
        return statistics.median(self.costs)

    @property
    def spread(self):
        return (max(self.rates) - min(self.rates)) / self.rate


def fio_slot(server, job, engine, seconds, seed):
    """Runs one slot; (operations, seconds, client CPU seconds)."""
    skip = f":{job.step - job.block}" if job.step > job.block else ""
    command = ["fio", "--name=slot", f"--filename={server.path}",
               f"--rw={job.pattern}{skip}", f"--bs={job.block}", f"--numjobs={job.jobs}",
               f"--ioengine={engine}", "--output-format=json", f"--randseed={seed}",
               "--norandommap", f"--direct={int(job.direct)}"]
    # A pattern: no program gets away with zeroes, and all write the same.
    command += (["--buffer_pattern=0x5a17c0de", "--scramble_buffers=0"] if job.writes
                else ["--readonly"])
    if job.operations:
        command += ["--invalidate=0", "--end_fsync=1", f"--number_ios={job.operations}"]
    elif job.direct:
        command += ["--invalidate=0", "--time_based", f"--runtime={int(seconds * 1000)}ms"]
    else:
        command += ["--invalidate=1"]
    if job.pattern == "read" and job.jobs > 1:
        command += [f"--offset_increment={server.size // job.jobs}"]
    with guarded(seconds + SLACK * (4 if job.operations else 1), server):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("fio:")]
        raise RuntimeError(f"fio on {server.program}: {'; '.join(said) or done.stderr}")
    operations = cpu = longest = 0
    for report in json.loads(done.stdout[done.stdout.index("{"):])["jobs"]:
        done_there = report["write" if job.writes else "read"]
        took = done_there["runtime"] / 1000
        operations += done_there["total_ios"]
        cpu += (report["usr_cpu"] + report["sys_cpu"]) / 100 * took
        longest = max(longest, took)
    return operations, longest, cpu


def run_slot(cell, server, job, engine, seconds, seed):
    before = server.cpu_seconds()
    operations, took, client = fio_slot(server, job, engine, seconds, seed)
    busy = server.cpu_seconds() - before + client
    cell.rates.append(operations / took)
    cell.costs.append(busy / operations * 1e6)


def run_cell(servers, job, engine, slots, seconds):
    """{program: Cell}; the order of the programs changes from slot to slot."""
    cells = {server.program: Cell() for server in servers}
    order = list(servers)
    for slot in range(slots):
        random.Random(slot).shuffle(order)
        for server in order:
            run_slot(cells[server.program], server, job, engine, seconds, slot + 1)
    return cells


def run_new_image_cell(make, size, job, engine, slots):
    """{program: Cell}. make: gives a server and its new image for each program; what the programs
    leave in the images must be the same."""
    cells = {}
    for slot in range(slots):
        made = make()
        random.Random(slot).shuffle(made)
        for server, _ in made:
            try:
                server.start(size)
                run_slot(cells.setdefault(server.program, Cell()), server, job, engine, 0, slot + 1)
            finally:
                server.stop()
        images = [image for _, image in made]
        if slot == 0:
            disks.expect_same(images)
        for image in images:
            image.unlink()
    return cells


def warm_up(servers, bytes_each):
    """Reads every disk once, past the client's page cache: tables and mappings are in place."""
    for server in servers:
        with guarded(SLACK * 4, server):
            subprocess.run(["dd", f"if={server.path}", "of=/dev/null", "bs=1M", "iflag=direct",
                            f"count={bytes_each >> 20}", "status=none"], check=True)


def check_same(servers, size, samples=64):
    """A fast wrong answer is none: the programs must show the same bytes."""
    dice = random.Random(size)
    for _ in range(samples):
        offset = dice.randrange(0, size - 65536)
        seen = set()
        for server in servers:
            with guarded(SLACK, server), open(server.path, "rb", buffering=0) as disk:
                seen.add(os.pread(disk.fileno(), 65536, offset))
        if len(seen) != 1:
            raise RuntimeError(f"the programs differ between {offset} and {offset + 65536}")


def mount_once(server, size, reads):
    """(seconds until the disk answers, memory then, memory after random reads)."""
    try:
        took = server.start(size)
        fresh = server.memory()
        dice = random.Random(reads)
        with guarded(SLACK, server), open(server.path, "rb", buffering=0) as disk:
            for _ in range(reads):
                os.pread(disk.fileno(), 4096, dice.randrange(0, size // 4096) * 4096)
        return took, fresh, server.memory()
    finally:
        server.stop()
        time.sleep(0.05)
