# SPDX-License-Identifier: Apache-2.0
"""A source VM for tests of providers: a private libvirtd, a QEMU without a guest, small disks, and
a model in memory of what is on them.

    lab = Lab()                                     # libvirtd and journal in the test's folder
    vm = lab.vm("t1", {"vda": "qcow2", "vdb": "raw"})
    first = vm.begin()                              # the snapshot's private part
    vm.pull(first)                                  # reads all disks and compares with the model
    vm.end("committed")
"""

import json
import os
import signal

import nbd

import libvirtd
from case import build, check, defer, run, wait_until, work

DISK_BYTES = 8 << 20
HELD = "/var/tmp"  # where the provider keeps its directories on the source host


class Lab:
    def __init__(self, name="src", uri=None):
        self.name = name
        self.own_uri = libvirtd.start(name, work)
        defer(libvirtd.stop, name, work)
        self.uri = uri or self.own_uri
        self.journal = work / f"{name}.journal.json"
        defer(self._clean_up)

    def _clean_up(self):
        """A test that failed leaves nothing behind either."""
        if self.things():
            self.probe("cleanup", expect=None)

    def virsh(self, *words, **options):
        return run("virsh", "-q", "-c", self.own_uri, *words, **options)

    def probe(self, *words, expect=0):
        text = run(build / "tests/tools/source-probe", self.uri, self.journal, *words,
                   expect=expect)
        return json.loads(text) if expect == 0 and text.strip() else text

    def things(self):
        """What the journal says is on the source because of us."""
        if not self.journal.exists():
            return []
        return list(json.loads(self.journal.read_text())["things"].values())

    def vm(self, name, disks):
        return VM(self, name, disks)


class VM:
    def __init__(self, lab, name, disks):
        self.lab, self.name, self.disks = lab, name, disks
        self.state = work / f"{name}.snapshot.json"
        self.model = {disk: bytearray(DISK_BYTES) for disk in disks}
        for disk, form in disks.items():
            run("qemu-img", "create", "-q", "-f", form, self.image(disk), str(DISK_BYTES))
        xml = work / f"{name}.xml"
        xml.write_text(self._xml())
        lab.virsh("define", xml)
        self.start()

    def image(self, disk):
        return work / f"{self.name}-{disk}.img"

    def _xml(self):
        disks = "".join(
            f"<disk type='file' device='disk'><driver name='qemu' type='{form}'/>"
            f"<source file='{self.image(disk)}'/><target dev='{disk}' bus='virtio'/>"
            f"<alias name='ua-{disk}'/></disk>" for disk, form in self.disks.items())
        return (f"<domain type='qemu'><name>{self.name}</name><memory unit='MiB'>32</memory>"
                f"<vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>"
                f"<features><acpi/></features><devices>{disks}<memballoon model='none'/></devices>"
                f"</domain>")

    def start(self):
        self.lab.virsh("start", self.name)

    def stop(self):
        self.lab.virsh("destroy", self.name, "--graceful")

    def kill(self):
        """SIGKILL for QEMU: nothing is stored."""
        os.kill(libvirtd.qemu_pids(self.lab.name, work)[self.name], signal.SIGKILL)
        wait_until(lambda: "shut off" in self.lab.virsh("domstate", self.name, quiet=True),
                   "libvirt notices that QEMU is gone")

    def write(self, disk, offset, length, byte):
        """Writes as the guest would."""
        command = f"qemu-io -d /machine/peripheral/ua-{disk}/virtio-backend " \
                  f"\"write -P {byte} {offset} {length}\""
        said = self.lab.virsh("qemu-monitor-command", self.name, "--hmp", command, quiet=True)
        check("error" not in said.lower() and "conflict" not in said, f"write to {disk}: {said}")
        self.model[disk][offset:offset + length] = bytes([byte]) * length

    def begin(self, *options, expect=0):
        return self.lab.probe("begin", self.name, self.state, *options, expect=expect)

    def end(self, how, expect=0):
        return self.lab.probe("end", self.name, self.state, how, expect=expect)

    def pull(self, snapshot, model=None):
        """Compares everything that is served with the model."""
        for disk in snapshot["disks"]:
            handle = nbd.NBD()
            handle.connect_uri(disk["uri"])
            check(handle.get_size() == DISK_BYTES, f"size of {disk['name']}")
            got = handle.pread(DISK_BYTES, 0)
            check(got == bytes((model or self.model)[disk["name"]]),
                  f"bytes of {disk['name']} in {snapshot['id']}")
            handle.shutdown()

    def dirty(self, snapshot, name):
        """[(offset, length)] that the snapshot's bitmap of a disk calls changed."""
        disk = next(d for d in snapshot["disks"] if d["name"] == name)
        check("bitmap" in disk, f"{name} has a bitmap: {disk.get('why_full')}")
        handle, context = nbd.NBD(), disk["bitmap"]
        handle.add_meta_context(context)
        handle.connect_uri(disk["uri"])
        found, offset = [], 0

        def extent(name, _offset, entries, _error):
            nonlocal offset
            if name == context:
                for length, flags in zip(entries[::2], entries[1::2]):
                    if flags & 1:
                        found.append((offset, length))
                    offset += length

        while offset < DISK_BYTES:
            handle.block_status(DISK_BYTES - offset, offset, extent)
        handle.shutdown()
        return found

    def why(self, snapshot, name):
        """Why there is no bitmap for a disk."""
        disk = next(d for d in snapshot["disks"] if d["name"] == name)
        check("bitmap" not in disk, f"{name} has no bitmap")
        return disk.get("why_full", "")

    def bitmaps(self, disk):
        """Names of the bitmaps stored in the image."""
        info = json.loads(run("qemu-img", "info", "-U", "--output=json", self.image(disk),
                              quiet=True))
        found = info.get("format-specific", {}).get("data", {}).get("bitmaps", [])
        return [bitmap["name"] for bitmap in found]

    def checkpoints(self):
        return self.lab.virsh("checkpoint-list", self.name, "--name").split()

    def uuid(self):
        return self.lab.virsh("domuuid", self.name, quiet=True).strip()

    def leftovers(self):
        """Everything of ours that can be seen on the source: directories, processes, job, …"""
        marks = (f"slipway-{self.uuid()}", f"slipway-tunnel-{self.uuid()}")
        found = [name for name in os.listdir(HELD) if name.startswith(marks)]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    command = file.read().decode(errors="replace")
            except OSError:
                continue
            if any(f"{HELD}/{mark}" in command for mark in marks):
                found.append(f"process {pid}: " + command.replace("\0", " "))
        if "<domainbackup" in self.lab.virsh("backup-dumpxml", self.name, expect=None, quiet=True):
            found.append("a backup job")
        return found + [f"checkpoint {name}" for name in self.checkpoints()]
