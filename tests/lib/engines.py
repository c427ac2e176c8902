# SPDX-License-Identifier: Apache-2.0
"""An engine as a real process, its control socket, and sources for it.

    from engines import Engine, Source, nbd_uri, read_export
"""

import json
import os
import signal
import socket
import time
from pathlib import Path

import nbd

from case import build, check, run, start, stop, wait_until, work

PLUGIN = build / "nbdplugin" / "nbdkit-slipway-plugin.so"
SLIPWAY = build / "orchestrator" / "slipway"
MIB = 1 << 20


class Refused(Exception):
    """The engine answered with an error."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["code"]
        self.name = error["name"]


class Lost(Exception):
    """The connection ended before the answer."""


def listening(path):
    """True when somebody accepts connections there."""
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(str(path))
        except OSError:
            return False
    return True


class Engine:
    """A store and the process that serves it; it may be killed and started again."""

    process = None
    io = None  # SLIPWAY_IO
    options = ()  # of the plugin
    faults = None  # lines for tests/tools/faults.c, by fault()

    def __init__(self, name="vm", **disks):
        self.store = work / name
        self.options = [f"live={work / (self.store.name + '-live')}"]
        words = [f"{disk}={self.target(disk)}:{size}" for disk, size in disks.items()]
        run(build / "engine" / "slipway-store", "create", self.store, self.store.name, *words)

    @classmethod
    def of(cls, store):
        """The engine of a store that is there already."""
        engine = cls.__new__(cls)
        engine.store = store
        return engine

    def target(self, disk):
        return work / f"{self.store.name}-{disk}.raw"

    def start(self):
        environment = dict(os.environ, **({"SLIPWAY_IO": self.io} if self.io else {}))
        if self.faults:
            environment.update(LD_PRELOAD=str(build / "tests/tools/slipway-faults.so"),
                               FAULTS=str(self.faults))
        (self.store / "control.sock").unlink(missing_ok=True)
        (self.store / "nbd.sock").unlink(missing_ok=True)
        self.process = start("nbdkit", "-f", "-U", self.store / "nbd.sock", PLUGIN,
                             f"store={self.store}", *self.options, env=environment)
        wait_until(lambda: self.process.poll() is not None or
                   (listening(self.store / "control.sock") and
                    listening(self.store / "nbd.sock")), "the engine's sockets", pause=0.01)
        check(self.process.poll() is None, "the engine starts")
        return self

    def fault(self, *lines):
        """From the next start on the engine can be given faults; these lines are what fails."""
        self.faults = self.faults or work / f"{self.store.name}.faults"
        if lines:
            new = self.faults.with_suffix(".new")
            new.write_text("".join(line + "\n" for line in lines))
            new.replace(self.faults)
        else:
            self.faults.unlink(missing_ok=True)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        stop(self.process)

    def begin(self, verb, **args):
        """Sends a request and returns the socket to read its answer from."""
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(120)
        s.connect(str(self.store / "control.sock"))
        s.sendall(json.dumps({"id": 1, "verb": verb, "args": args}).encode() + b"\n")
        return s

    @staticmethod
    def end(s):
        """The result of a request; Refused or Lost otherwise."""
        with s, s.makefile("r") as lines:
            try:
                for line in lines:
                    message = json.loads(line)
                    if "result" in message:
                        return message["result"]
                    if "error" in message:
                        raise Refused(message["error"])
            except ConnectionError as error:
                raise Lost(str(error)) from error
        raise Lost("the engine ended")

    def call(self, verb, **args):
        return self.end(self.begin(verb, **args))

    def sync(self, snapshot, *sources, **more):
        return self.call("sync", disks=[s.request() for s in sources], snapshot=snapshot, **more)

    def status(self):
        return self.call("status")

    def folded(self):
        """Waits until no disk has a layer."""
        wait_until(lambda: not any(d["layers"] for d in self.status()["disks"]), "the fold")

    def uri(self, export):
        return nbd_uri(self.store / "nbd.sock", export)


def nbd_uri(path, export=""):
    return f"nbd+unix:///{export}?socket={path}"


def connect(uri):
    handle = nbd.NBD()
    handle.connect_uri(uri)
    return handle


def read_all(handle):
    size = handle.get_size()
    return b"".join(bytes(handle.pread(min(4 * MIB, size - at), at))
                    for at in range(0, size, 4 * MIB))


def read_export(uri):
    """All bytes of an export."""
    handle = connect(uri)
    try:
        return read_all(handle)
    finally:
        handle.shutdown()


class Source:
    """A raw image behind nbdkit with its reads counted, or a qcow2 behind qemu-nbd."""

    count = 0

    def __init__(self, disk, image, *filters, bitmap=None, threads=16):
        Source.count += 1
        self.disk, self.image, self.bitmap = disk, image, bitmap
        self.socket = work / f"src{Source.count}.sock"
        self.stats = work / f"src{Source.count}.stats"
        if str(image).endswith(".qcow2"):
            words = ["qemu-nbd", "-r", "-t", "-e", "8", "-k", self.socket, "-f", "qcow2"]
            self.command = [*words, *(["-B", bitmap] if bitmap else []), image]
        else:
            options = [word for word in filters if "=" in word]
            names = [f"--filter={word}" for word in filters if "=" not in word]
            self.command = ["nbdkit", "-f", "-r", "-U", self.socket, f"--threads={threads}",
                            "--filter=stats", *names,
                            "file", image, f"statsfile={self.stats}", *options]
        self.start()

    def start(self):
        """Again, at the same place, after stop() or kill()."""
        self.socket.unlink(missing_ok=True)
        self.process = start(*self.command)
        wait_until(lambda: listening(self.socket), "the source's socket", pause=0.02)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def freeze(self):
        """It keeps its connections and answers nothing, in none of its threads."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T"
                               for task in tasks.iterdir()), "it to stand still", pause=0.01)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def request(self):
        disk = {"name": self.disk, "uri": nbd_uri(self.socket)}
        if self.bitmap:
            disk["bitmap"] = f"qemu:dirty-bitmap:{self.bitmap}"
        return disk

    def stop(self):
        stop(self.process)

    def read_bytes(self):
        """Ends the source and tells how much was read from it in all."""
        self.stop()
        for line in self.stats.read_text().splitlines():
            words = line.split()
            if words and words[0] == "read:":
                return amount(words[words.index("ops,") + 3:])
        return 0


def amount(words):
    units = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
    return float(words[0]) * units[words[1].rstrip(",")]


def random_image(path, size, seed=1):
    """A raw image full of bytes that do not repeat, the same for the same seed."""
    import random
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def refused(function, *args, **more):
    """The sentence of the refusal that must come."""
    try:
        function(*args, **more)
    except Refused as error:
        sentence = str(error)
        print("refused: " + sentence, flush=True)
        check("\n" not in sentence and len(sentence) > 20, "a refusal is one sentence")
        return sentence
    check(False, "this should have been refused")
    return ""


def sleep_random(rng, longest):
    time.sleep(rng.uniform(0, longest))
