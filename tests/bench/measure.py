"""One cell: several programs run the same job in turn, in short slots."""

import json
import os
import random
import statistics
import subprocess
import time
from dataclasses import dataclass, field

from servers import guarded

SLACK = 30  # seconds a slot may take longer than asked before it counts as hung


@dataclass(frozen=True)
class Job:
    title: str
    pattern: str  # of fio: read, randread
    block: int  # bytes
    jobs: int = 1
    direct: bool = True


JOBS = (
    Job("4k random, 1 job", "randread", 4096),
    Job("4k random, 4 jobs", "randread", 4096, jobs=4),
    Job("1M sequential", "read", 1 << 20),
)
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
    command = ["fio", "--name=slot", f"--filename={server.path}", "--readonly",
               f"--rw={job.pattern}", f"--bs={job.block}", f"--numjobs={job.jobs}",
               f"--ioengine={engine}", "--output-format=json", f"--randseed={seed}",
               "--norandommap", f"--direct={int(job.direct)}"]
    if job.direct:
        command += ["--invalidate=0", "--time_based", f"--runtime={int(seconds * 1000)}ms"]
    else:
        command += ["--invalidate=1"]
    if job.pattern == "read" and job.jobs > 1:
        command += [f"--offset_increment={server.size // job.jobs}"]
    with guarded(seconds + SLACK, server):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("fio:")]
        raise RuntimeError(f"fio on {server.program}: {'; '.join(said) or done.stderr}")
    operations = cpu = longest = 0
    for report in json.loads(done.stdout[done.stdout.index("{"):])["jobs"]:
        took = report["read"]["runtime"] / 1000
        operations += report["read"]["total_ios"]
        cpu += (report["usr_cpu"] + report["sys_cpu"]) / 100 * took
        longest = max(longest, took)
    return operations, longest, cpu


def run_cell(servers, job, engine, slots, seconds):
    """{program: Cell}; the order of the programs changes from slot to slot."""
    cells = {server.program: Cell() for server in servers}
    order = list(servers)
    for slot in range(slots):
        random.Random(slot).shuffle(order)
        for server in order:
            before = server.cpu_seconds()
            operations, took, client = fio_slot(server, job, engine, seconds, slot + 1)
            busy = server.cpu_seconds() - before + client
            cells[server.program].rates.append(operations / took)
            cells[server.program].costs.append(busy / operations * 1e6)
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
