"""The programs under measurement: mounted, watched, and taken down whatever happens.

A FUSE server that stops answering leaves its clients in uninterruptible sleep, this script among
them. So every touch of a mount happens inside guarded(): when the time is up, the connections are
aborted through /sys/fs/fuse/connections and the servers killed, and what hung fails instead.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import disks

START_TIMEOUT = 20  # seconds
STOP_TIMEOUT = 20
POLL = 0.0002  # seconds between looks at a mount that is coming up
TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1


class ServerError(Exception):
    pass


def die_with_parent():
    """A server whose harness was killed unmounts by itself."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def connection_of(mountpoint):
    """The number of the FUSE connection mounted there, without touching the mount; or None."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split(" ")
        kind = fields[fields.index("-") + 1]
        if fields[4] == str(mountpoint) and kind.split(".")[0] == "fuse":
            return int(fields[2].split(":")[1])
    return None


class Server:
    """One program serving one image; path is the raw disk it shows."""

    def __init__(self, program, command, mountpoint, path, background=False):
        """background: it cannot be kept in the foreground."""
        self.program = program
        self.command = command
        self.mountpoint = mountpoint
        self.path = path
        self.background = background
        self.process = None

    def start(self, size):
        """Returns the seconds from exec until the disk of that size answers a read."""
        log = open(self.mountpoint.with_suffix(".log"), "wb")
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                        stderr=log, preexec_fn=die_with_parent)
        begin = time.perf_counter()  # Popen returns as soon as exec has worked
        log.close()
        with guarded(START_TIMEOUT, self):
            while not self.answers(size):
                if self.has_failed() or time.perf_counter() - begin > START_TIMEOUT:
                    raise ServerError(f"{self.program} did not mount: {self.said()}")
                time.sleep(POLL)
            return time.perf_counter() - begin

    def answers(self, size):
        try:
            if os.stat(self.path).st_size != size:
                return False
            with open(self.path, "rb", buffering=0) as disk:
                return len(disk.read(min(4096, size))) > 0
        except OSError:
            return False

    def has_failed(self):
        ended = self.process.poll()
        return ended is not None and not (self.background and ended == 0)

    def pid(self):
        if not self.background:
            return self.process.pid
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if path.read_bytes().split(b"\0")[:-1] == [os.fsencode(w) for w in self.command]:
                    return int(path.parent.name)
        raise ServerError(f"{self.program} does not run any more: {self.said()}")

    def said(self):
        text = self.mountpoint.with_suffix(".log").read_text(errors="replace").strip()
        return text or f"exit status {self.process.poll()}"

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid()}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self):
        """{"rss": bytes, "anonymous": bytes} of the process now."""
        status = Path(f"/proc/{self.pid()}/status").read_text().splitlines()
        values = dict(line.split(":", 1) for line in status if line.startswith(("VmRSS", "RssAnon")))
        return {"rss": int(values["VmRSS"].split()[0]) * 1024,
                "anonymous": int(values["RssAnon"].split()[0]) * 1024}

    def abort(self):
        """Fails what waits for the server. Closing its last /dev/fuse would do; aborting also
        frees a server that waits for itself, where the fusectl filesystem is mounted."""
        number = connection_of(self.mountpoint)
        if number is not None:
            with contextlib.suppress(OSError):
                Path(f"/sys/fs/fuse/connections/{number}/abort").write_text("1")
        if self.process is not None:
            self.process.kill()

    def stop(self):
        if self.process is None:
            return
        with guarded(STOP_TIMEOUT, self):
            if connection_of(self.mountpoint) is not None:
                unmount = [shutil.which("fusermount3") or "umount", "-u", "-z"]
                if unmount[0] == "umount":
                    unmount = ["umount", "-l"]
                subprocess.run([*unmount, str(self.mountpoint)], check=False,
                               stderr=subprocess.DEVNULL)
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT / 2)
            except subprocess.TimeoutExpired:
                self.abort()
                self.process.wait()
        self.process = None


@contextlib.contextmanager
def guarded(seconds, *servers):
    """Aborts the servers when the block takes longer."""
    timer = threading.Timer(seconds, lambda: [server.abort() for server in servers])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def mounted(servers, size):
    """All servers up at once, down again at the end."""
    try:
        for server in servers:
            server.start(size)
        yield servers
    finally:
        for server in servers:
            server.stop()


class Launcher:
    """Makes servers: one mountpoint each, below the work directory."""

    def __init__(self, build, work, threads=None):
        self.build = build
        self.work = work
        self.threads = threads
        self.count = 0

    def mountpoint(self, directory):
        self.count += 1
        point = self.work / f"mount{self.count}"
        point.mkdir() if directory else point.touch()
        return point

    def platterfs(self, image, form, writable=False):
        point = self.mountpoint(directory=True)
        threads = f",threads={self.threads}" if self.threads else ""
        access = "rw" if writable else "ro"
        command = [str(self.build / "platterfs"), "-f", "-o", f"{access},format={form}{threads}",
                   str(image), str(point)]
        return Server("platterfs", command, point, point / "disk.raw")

    def null_server(self, raw, writable=False):
        point = self.mountpoint(directory=True)
        command = [str(self.build / "null_server"), *(["-w"] if writable else []),
                   "-t", str(self.threads or 4), str(raw), str(point)]
        return Server("null server", command, point, point / "disk.raw")

    def libyal(self, image):
        point = self.mountpoint(directory=True)
        return Server("qcowmount", ["qcowmount", str(image), str(point)], point, point / "qcow1",
                      background=True)

    def xmount(self, image):
        point = self.mountpoint(directory=True)
        return Server("xmount", ["xmount", "--in", "raw", str(image), str(point)], point,
                      point / f"{image.stem}.dd", background=True)

    def qemu(self, image, form, writable=False):
        point = self.mountpoint(directory=False)
        reads = "off" if writable else "on"
        command = ["qemu-storage-daemon",
                   "--blockdev", f"driver=file,node-name=file,filename={image},read-only={reads}",
                   "--blockdev", f"driver={disks.qemus_name(form)},node-name=disk,file=file,read-only={reads}",
                   "--export", f"type=fuse,id=export,node-name=disk,mountpoint={point},"
                               f"growable=off,writable={'on' if writable else 'off'}"]
        return Server("QEMU", command, point, point)
