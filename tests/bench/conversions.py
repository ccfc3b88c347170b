"""Whole disks converted: platter and qemu-img in turn."""

import resource
import statistics
import subprocess
import time
from dataclasses import dataclass, field

import disks
import report

SLACK = 600  # seconds after which a conversion counts as hung


@dataclass(frozen=True)
class Conversion:
    title: str
    source: str  # name of a disk of disks_to_convert()
    form: str  # of the new image
    ours: tuple = ()
    qemus: tuple = ()
    target: tuple = (None, None)  # times QEMU's speed: required, aim


ZSTD = ("-o", "compression_type=zstd")
WIDE = ("-W", "-m", "8")  # out of order, eight requests under way
CONVERSIONS = (
    Conversion("raw to qcow2", "raw", "qcow2", qemus=WIDE, target=(1.0, None)),
    Conversion("qcow2 to raw", "qcow2", "raw", qemus=WIDE, target=(1.0, None)),
    Conversion("compressed, zlib", "raw", "qcow2", ("-c",), ("-c", "-m", "16"), (5.0, 5.5)),
    Conversion("compressed, zlib, --fast", "raw", "qcow2", ("-c", "--fast"), ("-c", "-m", "16"),
               (10.0, 12.0)),
    Conversion("compressed, zlib, window=4k", "raw", "qcow2", ("-c", "-o", "window=4k"),
               ("-c", "-m", "16")),
    Conversion("compressed, zstd", "raw", "qcow2", ("-c", *ZSTD), ("-c", "-m", "16", *ZSTD)),
    Conversion("compressed, zstd, --fast", "raw", "qcow2", ("-c", "--fast", *ZSTD),
               ("-c", "-m", "16", *ZSTD)),
    Conversion("to a VMDK stream", "raw", "vmdk", disks.STREAM, disks.STREAM, (8.0, 12.0)),
    Conversion("to a VMDK stream, --fast", "raw", "vmdk", ("-c", "--fast"), disks.STREAM, (12.0, None)),
    Conversion("zlib to raw", "zlib", "raw", qemus=WIDE, target=(2.0, 3.0)),
    Conversion("zstd to raw", "zstd", "raw", qemus=WIDE, target=(2.0, 3.0)),
    Conversion("VMDK stream to raw", "stream", "raw", qemus=WIDE, target=(2.0, 3.0)),
)


@dataclass
class Cell:
    seconds: list = field(default_factory=list)
    cpu: list = field(default_factory=list)
    size: int = 0  # of the new image, bytes

    @property
    def took(self):
        return statistics.median(self.seconds)

    @property
    def spread(self):
        return (max(self.seconds) - min(self.seconds)) / self.took


def disks_to_convert(work, size):
    """{name: (path, format)}: the same disk, of real data."""
    raw = work / "convert.raw"
    disks.write_real(raw, size)
    made = {"raw": (raw, "raw")}
    for name, options in (("qcow2", ()), ("zlib", ("-c",)), ("zstd", ("-c", *ZSTD))):
        image = work / f"convert-{name}.qcow2"
        disks.qemu_img("convert", "-m", "16", "-O", "qcow2", *options, raw, image)
        made[name] = (image, "qcow2")
    disks.qemu_img("convert", "-O", "vmdk", *disks.STREAM, raw, work / "convert.vmdk")
    made["stream"] = (work / "convert.vmdk", "vmdk")
    return made


def run_once(cell, command, image):
    image.unlink(missing_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, timeout=SLACK)
    cell.seconds.append(time.monotonic() - began)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cell.cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    cell.size = image.stat().st_blocks * 512


def measure(conversion, platter, sources, work, slots):
    """(ours, QEMU's)"""
    source, source_form = sources[conversion.source]
    ours, qemus = Cell(), Cell()
    image = work / f"target.{conversion.form}"
    lines = [
        (ours, (platter, "convert", "-q", "-f", source_form, "-O", conversion.form,
                *conversion.ours, source, image)),
        (qemus, ("qemu-img", "convert", "-f", source_form, "-O", conversion.form,
                 *conversion.qemus, source, image)),
    ]
    for slot in range(slots):
        for cell, line in lines if slot % 2 == 0 else reversed(lines):
            run_once(cell, line, image)
            if slot == 0:
                disks.expect_sound(image, conversion.form)
                disks.qemu_img("compare", "-f", source_form, "-F", conversion.form, source, image)
    image.unlink()
    return ours, qemus


HEAD = ("conversion", "platter", "qemu-img", "× QEMU", "size of the image, × QEMU's",
        "CPU s: platter / QEMU", "spread %")


def rows(platter, work, size, slots):
    sources = disks_to_convert(work, size)
    for conversion in CONVERSIONS:
        ours, qemus = measure(conversion, platter, sources, work, slots)
        yield [conversion.title, *[f"{size / (1 << 20) / c.took:.0f} MiB/s" for c in (ours, qemus)],
               report.judged(qemus.took / ours.took, conversion.target),
               f"{ours.size / qemus.size:.3f}",
               " / ".join(f"{statistics.median(c.cpu):.2f}" for c in (ours, qemus)),
               " / ".join(f"{c.spread * 100:.0f}" for c in (ours, qemus))]
    for path, _ in sources.values():
        path.unlink()
