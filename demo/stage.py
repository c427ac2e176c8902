# SPDX-License-Identifier: Apache-2.0
"""The two sides of the demo on one machine, in one folder: a private libvirtd as the source, and
slipwayd with libvirt's embedded driver as the node.  Whatever is started here is ended here."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import guest
import libvirtd
import supervisor

VM = "records"
SOURCE = "old"
NAME = "moved"


def processes():
    """Everything the demo has started: all that is below its supervisor but the demo itself."""
    return [pid for pid in supervisor.descendants(os.getppid()) if pid != os.getpid()]


class Stage:
    def __init__(self, build):
        # A short path: unix sockets live below it.
        self.folder = Path(tempfile.mkdtemp(prefix="slipway-demo-", dir="/var/tmp"))
        self.build = build
        self.serial = self.folder / "source-serial.log"
        self.pool = self.folder / "pool"
        self.store = self.folder / "state" / "stores" / NAME
        self.mountpoint = self.folder / "mnt"
        self.node_uri = f"qemu:///embed?root={self.folder}/node"
        self.socket = self.folder / "slipwayd.sock"
        self.disks = []
        self.source_uri = None
        self.daemon = None
        self.cli = str(build / "orchestrator" / "slipway")
        os.environ["SLIPWAY_SOCKET"] = str(self.socket)

    def make_source(self):
        """Copies the guest's disks, defines and starts the source VM."""
        self.disks = guest.disks(self.folder, two_disks=True)
        self.source_uri = libvirtd.start("source", str(self.folder))
        self.source_virsh("define", self.write("source.xml", guest.domain_xml(
            VM, self.disks, self.serial)))
        self.source_virsh("start", VM)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def source_virsh(self, *words):
        result = subprocess.run(["virsh", "-q", "-c", self.source_uri, *words],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"virsh {' '.join(words)}: {result.stdout.strip()}")
        return result.stdout.strip()

    def source_runs(self, name=VM):
        return self.source_virsh("domstate", name) == "running"

    def start_daemon(self):
        with open(self.folder / "slipwayd.log", "ab") as log:
            self.daemon = subprocess.Popen(
                [str(self.build / "orchestrator" / "slipwayd"), "--state",
                 str(self.folder / "state"), "--socket", str(self.socket), "--node",
                 self.node_uri, "--pool", str(self.pool)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 30
        while not self._answers():
            if self.daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("slipwayd did not start:\n" + self.tail("slipwayd.log"))
            time.sleep(0.05)

    def _answers(self):
        return subprocess.run([self.cli, "status"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              check=False).returncode == 0

    def mount(self):
        """All VMs' disks as files."""
        self.mountpoint.mkdir(exist_ok=True)
        self.slipway("mount", "--state", str(self.folder / "state"), str(self.mountpoint))

    def unmount(self):
        subprocess.run(["umount", self.mountpoint], check=True)

    def stop_daemon(self):
        """Ends slipwayd.  Engines and VMs go on; libvirt's embedded driver is free for virsh."""
        self.daemon.terminate()
        self.daemon.wait()

    def agent_socket(self, name=NAME):
        """Where the moved guest's agent is, once slipwayd has let go of libvirt's driver."""
        channels = self.folder / "node" / "lib" / "qemu" / "channel" / "target"
        found = list(channels.glob(f"domain-*-{name}/org.qemu.guest_agent.0"))
        if not found:
            raise RuntimeError(f"there is no guest agent channel below {channels}")
        return found[0]

    def slipway(self, *words):
        """Runs a slipway command with its own progress on our terminal."""
        print("$ slipway " + " ".join(words), flush=True)
        code = subprocess.run([self.cli, *words], stdin=subprocess.DEVNULL,
                              check=False).returncode
        if code != 0:
            raise RuntimeError(f"'slipway {' '.join(words)}' ended with {code}\n"
                               + self.tail("slipwayd.log"))

    def slipway_json(self, *words):
        result = subprocess.run([self.cli, *words, "--json"], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, check=True, text=True)
        return json.loads(result.stdout)

    def tail(self, name, lines=15):
        path = self.folder / name
        if not path.exists():
            return ""
        text = path.read_text(errors="replace").splitlines()
        return "\n".join(f"  {name}: {line}" for line in text[-lines:])

    def remove(self):
        """Ends every process that was started and removes the folder."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        subprocess.run(["umount", "-l", self.mountpoint], stderr=subprocess.DEVNULL, check=False)
        supervisor.end_all(processes)
        shutil.rmtree(self.folder, ignore_errors=True)

    def keep(self):
        """Leaves everything running; writes down what remove_kept() has to end."""
        pids = {pid: start_time(pid) for pid in processes()}
        self.write("processes.json", json.dumps(pids))
        return self.folder


def start_time(pid):
    """When a process began, to tell a reused pid from the same process; None when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]


def remove_kept(folder):
    """Ends what a demo with --keep left, and what that has started since; removes its folder."""
    folder = Path(folder).resolve()
    kept = folder / "processes.json"
    if not kept.exists():
        raise RuntimeError(f"{folder} is not what ./run demo --keep left")
    pids = [int(pid) for pid, began in json.loads(kept.read_text()).items()
            if start_time(pid) == began]
    pids += [pid for parent in pids for pid in supervisor.descendants(parent)]
    for number in (signal.SIGTERM, signal.SIGKILL):
        supervisor.signal_all(pids, number)
        deadline = time.monotonic() + 5
        while any(start_time(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.1)
    shutil.rmtree(folder)
