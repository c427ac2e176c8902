# SPDX-License-Identifier: Apache-2.0
# timeout: 200
"""The target or the store of an owner fails under a running guest: a failed write is the guest's to
see and nothing else; a failed flush is final, also after a restart, until an operator decides."""

import errno
import os

import nbd

from case import check, require, run, work
from engines import MIB, PLUGIN, Engine, Source, connect, random_image, read_export

require("nbdkit")
SIZE = 4 * MIB
image = random_image(work / "a.raw", SIZE)
source = Source("sda", image)
count = 0


def owner(hydrating):
    """A new engine with faults ready, its model, and a client."""
    global count
    count += 1
    engine = Engine(f"o{count}", sda=SIZE)
    engine.fault()
    engine.start()
    if hydrating:
        engine.call("limit", source_bytes_s=4096)
        engine.call("flip", instant=True, grace_s=0, snapshot="p0", disks=[source.request()])
    else:
        engine.sync("p0", source)
        engine.call("flip", grace_s=0)
    return engine, bytearray(image.read_bytes()), connect(engine.uri("sda"))


def code(action, *args):
    """The errno an NBD request fails with; 0: none."""
    try:
        action(*args)
    except nbd.Error as error:
        return error.errnum
    return 0


def write(client, model, at, length=4096):
    data = os.urandom(length)
    result = code(client.pwrite, data, at)
    if result == 0:
        model[at:at + length] = data
    return result


for hydrating in (False, True):
    # Writes that fail: told as they are, nothing is latched, the bytes are the old ones.
    for number in (errno.EIO, errno.ENOSPC):
        engine, model, client = owner(hydrating)
        check(write(client, model, 8192) == 0 and code(client.flush) == 0, "it works")
        engine.fault(f"pwrite -sda.raw {number}")
        check(write(client, model, 65536) == number, f"a write fails with {number}")
        engine.fault()
        check(client.pread(4096, 65536) == model[65536:69632], "and has changed nothing")
        check(write(client, model, 65536) == 0 and code(client.flush) == 0, "then it goes on")
        check(not engine.status()["failed"], "nothing is latched")
        client.shutdown()
        engine.kill()
        engine.start()
        check(read_export(engine.uri("sda")) == bytes(model), "every byte is right")
        engine.stop()

    # Short transfers are continued.
    engine, model, client = owner(hydrating)
    engine.fault("short-pwrite .raw 0", "short-pread .raw 0")
    for at in range(0, SIZE - 200000, 300000):
        check(write(client, model, at // 512 * 512, 123392) == 0, "short writes are continued")
    client.shutdown()
    check(read_export(engine.uri("sda")) == bytes(model), "every byte is right")
    engine.stop()

    # Flushes that fail, of the target, of the map, of the activity log: final.
    wheres = ["fdatasync -sda.raw", "fdatasync al.", "pwrite al."]
    wheres += ["fdatasync map.", "pwrite map."] if hydrating else []
    for where in wheres:
        engine, model, client = owner(hydrating)
        if "al." not in where:
            check(write(client, model, 8192) == 0 and code(client.flush) == 0, "it works")
        call, _, name = where.partition(" ")
        if name.endswith("."):
            name = next((engine.store / "sda").glob(name + "*")).name
        engine.fault(f"{call} {name} {errno.EIO} 0 1")
        promised = bytes(model)
        failed = write(client, model, 3 * MIB) or code(client.flush)
        check(failed == errno.EIO, f"{where}: told ({failed})")
        engine.fault()
        check(code(client.flush) == errno.EIO, f"{where}: a later flush does not say all is well")
        check(write(client, bytearray(model), 12288) == errno.EIO, f"{where}: nor is it written on")
        check(engine.status()["failed"], f"{where}: the status says so")
        engine.kill()
        said = run("nbdkit", "-f", "-U", work / "refused.sock", PLUGIN, f"store={engine.store}",
                   *engine.options, expect=1)
        check("accept-loss" in said, f"{where}: the restart is refused")
        engine.options.append("accept-loss=1")
        engine.start()
        content = read_export(engine.uri("sda"))
        check(content[:3 * MIB] == promised[:3 * MIB], f"{where}: what was flushed is there")
        check(content[3 * MIB:3 * MIB + 4096] in (promised[3 * MIB:3 * MIB + 4096],
                                                  bytes(model)[3 * MIB:3 * MIB + 4096]),
              f"{where}: what was not is old or new")
        engine.stop()
