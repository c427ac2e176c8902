# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 280
"""slipwayd is killed again and again while it synchronises a real source and while it cuts over;
started again it goes on by itself, the target is exact, and nothing is left on the source."""

import json
import random
import subprocess
import time

from case import build, check, defer, require, run, start, wait_until, work
from sourcevm import Lab

ROUNDS = 8
random.seed(4)
require("root", "libvirtd", "qemu-system-x86_64", "qemu-nbd", "nbdkit")
lab = Lab()
vm = lab.vm("shop", {"vda": "qcow2", "vdb": "raw"})
SOCKET = work / "slipwayd.sock"
ROOT = work / "state/node"


def slipway(*words, **options):
    return run(build / "orchestrator/slipway", *words, "--socket", SOCKET, **options)


def answers():
    return subprocess.run([build / "orchestrator/slipway", "source", "list", "--socket", SOCKET],
                          check=False, capture_output=True).returncode == 0


def daemon_start():
    daemon = start(build / "orchestrator/slipwayd", "--state", work / "state", "--socket", SOCKET,
                   "--node", f"qemu:///embed?root={ROOT}", "--pool", work / "pool")
    wait_until(answers, "slipwayd")
    return daemon


def status():
    return json.loads(slipway("status", "shop", "--json", quiet=True))


def rest(state):
    """Waits until nobody works on the migration; it must be in this state then."""
    wait_until(lambda: not status()["active"], state, timeout=90)
    job = status()
    check(job["state"] == state, f"{job['state']} instead of {state}: {job.get('error')}")


def end_target():
    subprocess.run([build / "tests/tools/node-probe", f"qemu:///embed?root={ROOT}", ROOT, "stop",
                    vm.name, "force"], check=False, stdin=subprocess.DEVNULL)


defer(end_target)
daemon = daemon_start()
slipway("source", "add", "lab", lab.uri)
slipway("migrate", "lab/shop", "--no-morph", "--commit-window", "none", "--accel", "tcg",
        "--shutdown-policy", "force",
        "--shutdown-timeout", "1", "--boot-timeout", "60", "--detach")
for number in range(ROUNDS):
    last = number == ROUNDS - 1
    time.sleep(random.uniform(0.02, 4.0 if last else 0.5))
    daemon.kill()
    daemon.wait()
    daemon = daemon_start()
    if last:
        break
    rest("mirrored")
    for disk in vm.disks:
        vm.write(disk, random.randrange(0, 100) * 65536, 65536, number + 1)
    check(len(vm.checkpoints()) == 1, f"one checkpoint at rest: {vm.checkpoints()}")
    slipway("cutover" if number == ROUNDS - 2 else "sync", "shop", "--detach")
rest("done")
daemon.terminate()
daemon.wait()
end_target()
for name, bytes_ in vm.model.items():
    target = (work / f"pool/shop/{name}.raw").read_bytes()
    check(target == bytes(bytes_), f"{name}: the target is what the source was")
check(vm.leftovers() == [] and vm.bitmaps("vda") == [], f"left on the source: {vm.leftovers()}")
