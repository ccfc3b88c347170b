#!/usr/bin/env python3
"""Writes the golden archives of this folder: a disk of ../../vdi/golden in tar archives as Python's
tarfile makes them."""
import hashlib
import io
import shutil
import tarfile

DISK = open("../../vdi/golden/dynamic.vdi", "rb").read()
CAPACITY = 28160


def archive(name, member, tar_format):
    envelope = f"""<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <References><File ovf:href="{member}" ovf:id="file1" ovf:size="{len(DISK)}"/></References>
  <DiskSection><Info>Disks</Info>
    <Disk ovf:capacity="{CAPACITY}" ovf:diskId="vmdisk1" ovf:fileRef="file1"/>
  </DiskSection>
  <VirtualSystem ovf:id="golden"/>
</Envelope>
""".encode()
    manifest = "".join(f"SHA{kind}({label})= {hashlib.new(f'sha{kind}', content).hexdigest()}\n"
                       for kind, label, content in ((1, "golden.ovf", envelope), (256, member, DISK)))
    with tarfile.open(name + ".ova", "w", format=tar_format) as tar:
        for label, content in (("golden.ovf", envelope), ("golden.mf", manifest.encode()), (member, DISK)):
            info = tarfile.TarInfo(label)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    shutil.copy("../../vdi/golden/dynamic.map", name + ".map")
    shutil.copy("../../vdi/golden/dynamic.sha256", name + ".sha256")


LONG = "a-disk-whose-name-" + "is-longer-than-a-header-has-room-for-" * 3 + ".vdi"
archive("ustar", "disk1.vdi", tarfile.USTAR_FORMAT)
archive("gnu", LONG, tarfile.GNU_FORMAT)
archive("pax", LONG, tarfile.PAX_FORMAT)
