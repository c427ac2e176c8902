# SPDX-License-Identifier: Apache-2.0
"""Initial sync and delta, against nbdcopy, qemu-img and the limits of the engine's own loop."""
import json
import os
import random

from rig import (BLOCK, GIB, MIB, Programs, Store, make_target, median, run, settle, timed, uri,
                 values)


def initial_sync(args, servers, folder, source):
    size = args.size
    target = os.path.join(folder, "peer.raw")
    times = {"slipway": [], "nbdcopy": [], "qemu-img": []}
    cpu, memory = [], []
    for _ in range(args.rounds):
        settle()
        store = Store(servers, folder, "store", size)
        before = store.cpu_seconds()
        times["slipway"].append(timed(lambda: store.sync(source, "s0")))
        cpu.append(store.cpu_seconds() - before)
        memory.append(store.peak_memory())
        store.close()
        settle()
        make_target(target, size)
        times["nbdcopy"].append(timed(lambda: run("nbdcopy", "--flush", source, target)))
        settle()
        make_target(target, size)
        times["qemu-img"].append(timed(lambda: run(
            "qemu-img", "convert", "-W", "-n", "-t", "none", "-m", "16", "-f", "raw", "-O", "raw",
            source, target)))
    os.unlink(target)
    data = size // 2
    medians = {k: median(v) for k, v in times.items()}
    for name, seconds in medians.items():
        print("initial sync      %-10s %7.2f s  %6.0f MiB/s of data   (%s)"
              % (name, seconds, data / MIB / seconds,
                 " ".join("%.2f" % t for t in times[name])))
    print("initial sync      slipway is %.2f x nbdcopy --flush, %.2f x qemu-img convert"
          % (medians["nbdcopy"] / medians["slipway"], medians["qemu-img"] / medians["slipway"]))
    print("initial sync      %.2f CPU-s per GiB of data, peak memory %.0f MiB"
          % (median(cpu) / (data / GIB), max(memory) / MIB))


def dirty(path, size, share, seed):
    blocks = random.Random(seed).sample(range(size // BLOCK), int(size // BLOCK * share))
    for block in blocks:
        run_io = os.urandom(BLOCK)
        fd = os.open(path, os.O_WRONLY)
        os.pwrite(fd, run_io, block * BLOCK)
        os.close(fd)
    return sorted(blocks)


def delta(args, servers, folder):
    """A delta of 5 % random blocks by a qcow2 bitmap, against an initial sync of as many bytes."""
    size, share = args.size, 0.05
    image, small = os.path.join(folder, "d.qcow2"), os.path.join(folder, "small.raw")
    amount = int(size // BLOCK * share) * BLOCK
    deltas, same = [], []
    with open(small, "wb") as f:
        for _ in range(amount // BLOCK):
            f.write(os.urandom(BLOCK))
    for i in range(args.rounds):
        sock = os.path.join(folder, "d.sock")
        run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "compat=1.1", image, str(size))
        blocks = random.Random(i).sample(range(size // BLOCK), int(size // BLOCK * share))
        store = Store(servers, folder, "delta", size)
        q = servers.start(sock, "qemu-nbd", "-r", "-t", "-e", "8", "-k", sock, "-f", "qcow2", image)
        store.sync(uri(sock), "s0")
        servers.stop(q)
        run("qemu-img", "bitmap", "--add", image, "b0")
        script = "".join("write -P %d %d 64k\n" % (1 + b % 250, b * BLOCK) for b in blocks)
        run("qemu-io", "-f", "qcow2", image, input=script.encode())
        q = servers.start(sock, "qemu-nbd", "-r", "-t", "-e", "8", "-B", "b0", "-k", sock, "-f",
                          "qcow2", image)
        settle()
        deltas.append(timed(lambda: store.sync(uri(sock), "s1", "--bitmap",
                                               "sda=qemu:dirty-bitmap:b0")))
        servers.stop(q)
        store.close()
        settle()
        store = Store(servers, folder, "same", amount)
        q = servers.start(sock, "qemu-nbd", "-r", "-t", "-e", "8", "-k", sock, "-f", "raw", small)
        same.append(timed(lambda: store.sync(uri(sock), "s0")))
        servers.stop(q)
        store.close()
    a, b = median(deltas), median(same)
    print("delta 5 %%         %.3f s for %d MiB in random 64 KiB blocks; the same bytes as an "
          "initial sync %.3f s: %.2f x" % (a, amount // MIB, b, a / b))


def own_loop(args, servers, folder):
    """The engine's loop in one process on a core of its own, the server on another: the whole, with
    the target's part left out, with the source's part left out."""
    size = min(args.size, 2 * GIB)
    image, sock = os.path.join(folder, "loop.raw"), os.path.join(folder, "loop.sock")
    with open(image, "wb") as f:
        for _ in range(size // MIB):
            f.write(os.urandom(MIB))
    server = servers.start(sock, "taskset", "-c", "0", "qemu-nbd", "-r", "-t", "-e", "16", "-k",
                           sock, "-f", "raw", image)
    store, target = os.path.join(folder, "loop"), os.path.join(folder, "loop-target.raw")
    seconds = {"full": [], "read": [], "write": []}
    cpu = []
    for _ in range(args.rounds):
        for how, times in seconds.items():
            run("rm", "-rf", store, target)
            run(Programs.path("engine", "slipway-store"), "create", store, "bench",
                "sda=%s:%d" % (target, size))
            settle()
            out = json.loads(run("taskset", "-c", "1", Programs.path("bench", "pullspeed"), how,
                                 store, uri(sock)).stdout)
            times.append(out["seconds"])
            if how == "full":
                cpu.append(out["cpu_seconds"])
    servers.stop(server)
    run("rm", "-rf", store, target, image)
    full, limit = median(seconds["full"]), max(median(seconds["read"]), median(seconds["write"]))
    for how, times in seconds.items():
        print("own loop          %-6s %7.2f s  %6.0f MiB/s   (%s)"
              % (how, median(times), size / MIB / median(times), values(times, "%.2f")))
    print("own loop          the whole is at %.0f %% of its slower half; %.2f CPU-s per GiB"
          % (100 * limit / full, median(cpu) / (size / GIB)))
