# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 200
"""The program is killed at any moment of the beginning of a point in time.  libvirt may still be
working on what it was asked for; cleaning up waits for that and leaves nothing."""

import random
import time

from case import build, check, require, start
from sourcevm import Lab

ROUNDS = 10
random.seed(2)
require("root", "libvirtd", "qemu-system-x86_64")
lab = Lab()
vm = lab.vm("racy", {"vda": "qcow2", "vdb": "qcow2"})
for number in range(ROUNDS):
    begin = start(build / "tests/tools/source-probe", lab.uri, lab.journal, "begin", vm.name,
                  vm.state)
    time.sleep(0.3 * (number + random.random()) / ROUNDS)
    begin.kill()
    begin.wait()
    lab.probe("cleanup")
    time.sleep(0.3)  # what libvirt went on with would be there by now
    check(vm.leftovers() == [] and lab.things() == [], f"left: {vm.leftovers()}")
