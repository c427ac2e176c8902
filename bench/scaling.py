# SPDX-License-Identifier: Apache-2.0
"""What must not grow with the disk: flips, restarts, memory."""
import os
import random
import shutil
import subprocess
import tempfile
import time

from rig import GIB, MIB, TIB, Store, median, run, timed, uri, values


def warm_flips(args, servers, folder):
    image, sock = os.path.join(folder, "warm-source.raw"), os.path.join(folder, "warm.sock")
    with open(image, "wb") as f:
        for _ in range(256):
            f.write(os.urandom(MIB))
    server = servers.start(sock, "nbdkit", "-f", "-r", "-U", sock, "file", image)
    times = []
    for _ in range(args.rounds):
        store = Store(servers, folder, "warm", 256 * MIB)
        store.sync(uri(sock), "s0")
        times.append(1000 * timed(lambda: store.call("flip", grace_s=0)))
        store.close()
    servers.stop(server)
    os.unlink(image)
    print("flip              warm %.1f ms   (%s)" % (median(times), values(times, "%.1f")))


def make_changed(image, size, extents, share):
    """A sparse qcow2 with a bitmap of `share` of the disk in as many extents."""
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=64k", image, str(size))
    run("qemu-img", "bitmap", "--add", "-g", "64k", image, "b0")
    step = size // extents
    length = int(step * share) // 65536 * 65536
    script = "".join("write -q -z %d %d\n" % (n * step + random.Random(n).randrange(
        (step - length) // 65536) * 65536, length) for n in range(extents))
    run("qemu-io", "-f", "qcow2", image, input=script.encode())


def instant_flips(args, servers, folder):
    """10 TiB, nothing in it, 1 % changed since the generation that is here."""
    size, extents = 10 * TIB, 10000
    image, sock = os.path.join(folder, "big-source.qcow2"), os.path.join(folder, "big.sock")
    make_changed(image, size, extents, 0.01)
    server = servers.start(sock, "qemu-nbd", "-r", "-t", "-e", "8", "-B", "b0", "-k", sock, "-f",
                           "qcow2", image)
    times, restart_times, missing = [], [], 0
    for _ in range(args.rounds):
        store = Store(servers, folder, "big", size)
        store.sync(uri(sock), "s0")
        store.call("limit", source_bytes_s=4096)
        times.append(timed(lambda: store.call(
            "flip", instant=True, grace_s=0, snapshot="s1",
            disks=[{"name": "sda", "uri": uri(sock), "bitmap": "qemu:dirty-bitmap:b0"}])))
        missing = store.status()["disks"][0]["missing_bytes"]
        store.kill()
        restart_times.append(timed(store.start))
        store.close()
    servers.stop(server)
    os.unlink(image)
    print("flip              instant, 10 TiB sparse, %.0f GiB changed in %d places: %.2f s   (%s)"
          % (missing / GIB, extents, median(times), values(times, "%.2f")))
    print("restart           after kill -9 of that one: %.2f s   (%s)"
          % (median(restart_times), values(restart_times, "%.2f")))


def flips(args, servers, folder):
    warm_flips(args, servers, folder)
    instant_flips(args, servers, folder)


def restarts(args, servers, folder):
    """kill -9 under load, until the sockets are there again."""
    store = Store(servers, folder, "again", GIB)
    sock = os.path.join(folder, "again.sock")
    server = servers.start(sock, "nbdkit", "-f", "-U", sock, "memory", "1G")
    store.sync(uri(sock), "s0")
    store.call("flip", grace_s=0)
    servers.stop(server)
    times = []
    for _ in range(args.rounds):
        load = subprocess.Popen(["fio", "--name=b", "--ioengine=nbd", "--uri=" + store.uri(),
                                 "--rw=randwrite", "--bs=64k", "--iodepth=16", "--time_based",
                                 "--runtime=60"], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        time.sleep(1)
        store.kill()
        times.append(timed(store.start))
        load.kill()
        load.wait()
    store.close()
    print("restart           after kill -9 of an owner under load: %.2f s   (%s)"
          % (median(times), values(times, "%.2f")))


PROGRAMS = 8 * MIB  # mapped files of any nbdkit: the rest of the mapped files is the live file


def say_memory(what, size, store):
    own = store.memory("RssAnon")
    live = max(0, store.memory("RssShmem") + store.memory("RssFile") - PROGRAMS)
    print("memory            %2d TiB %-10s %5.0f MiB, live file %5.0f MiB: %.1f MiB per TiB   "
          "(peak of the process %.0f MiB)"
          % (size // TIB, what, own / MIB, live / MIB, (own + live) / (size / TIB) / MIB,
             store.memory("VmHWM") / MIB))


def memory(args, servers, folder):
    """Sparse disks; targets and stores in tmpfs, where a file may be that big.  Hydrating: all of
    it is missing."""
    fast = tempfile.mkdtemp(prefix="slipway-bench-", dir="/dev/shm")
    try:
        for size in (TIB, 16 * TIB, 64 * TIB):
            sock = os.path.join(fast, "null.sock")
            server = servers.start(sock, "nbdkit", "-f", "-r", "-U", sock, "null", str(size))
            store = Store(servers, fast, "big", size)
            store.sync(uri(sock), "s0")
            store.wait_folded()
            say_memory("mirror", size, store)
            store.call("limit", source_bytes_s=4096)
            store.call("flip", instant=True, grace_s=0, snapshot="s1",
                       disks=[{"name": "sda", "uri": uri(sock)}])
            say_memory("hydrating", size, store)
            store.close()
            store = Store(servers, fast, "big", size)
            store.sync(uri(sock), "s0")
            store.call("flip", grace_s=0)
            say_memory("owner", size, store)
            store.close()
            servers.stop(server)
    finally:
        shutil.rmtree(fast, ignore_errors=True)
