# SPDX-License-Identifier: Apache-2.0
"""The owner modes: hydrated, hydrating, detached."""
import json
import os
import random
import time

import nbd

from rig import BLOCK, GIB, MIB, Store, compare, fio, median, run, uri, values

RESTING = 4096  # bytes per second: background hydration as good as stands still


def make_random(path, size):
    with open(path, "wb") as f:
        for _ in range(size // MIB):
            f.write(os.urandom(MIB))
        f.flush()
        os.fsync(f.fileno())



def owned(args, servers, folder, size):
    """An owner with `size` random bytes, nothing missing, and the image it came from."""
    image, sock = os.path.join(folder, "owned-source.raw"), os.path.join(folder, "owned.sock")
    make_random(image, size)
    server = servers.start(sock, "nbdkit", "-f", "-r", "-U", sock, "file", image)
    store = Store(servers, folder, "owner", size)
    store.sync(uri(sock), "s0")
    store.call("flip", grace_s=0)
    servers.stop(server)
    return store, image


def owner_io(args, servers, folder):
    store, image = owned(args, servers, folder, GIB)
    peer = os.path.join(folder, "peer-rw.sock")
    server = servers.start(peer, "nbdkit", "-f", "-t", "64", "-U", peer, "file", image)
    contestants = {"slipway": store.uri(), "nbdkit file": uri(peer)}
    for what, options in (("read", ["--rw=randread"]),
                          ("write", ["--rw=randwrite", "--end_fsync=1"]),
                          ("write", ["--rw=randwrite", "--fsync=32"])):
        results = compare(args.rounds, contestants, lambda where: fio(
            where, args.seconds, "--bs=4k", "--iodepth=16", *options)[what]["iops"])
        a, b = median(results["slipway"]), median(results["nbdkit file"])
        print("owner             4 KiB random QD16 %-22s slipway %.0f IOPS, nbdkit file %.0f: "
              "%.2f x   (%s / %s)" % (" ".join(options).replace("--", ""), a, b, a / b,
                                      values(results["slipway"]), values(results["nbdkit file"])))
    servers.stop(server)
    store.close()
    os.unlink(image)


def fio_file(path, seconds, how):
    out = run("fio", "--name=b", "--ioengine=io_uring", "--direct=1", "--filename=" + path,
              "--rw=" + how, "--bs=4k", "--iodepth=16", "--time_based", "--runtime=%d" % seconds,
              "--end_fsync=1", "--output-format=json").stdout
    return json.loads(out[out.index(b"{"):])["jobs"][0]["read" if "read" in how else
                                                         "write"]["iops"]


def detached(args, servers, folder):
    """After detach the VM has the file itself; a file that was simply copied is its peer."""
    store, image = owned(args, servers, folder, GIB)
    store.call("detach")
    for how in ("randread", "randwrite"):
        results = compare(args.rounds, {"detached": store.target, "raw": image},
                          lambda path: fio_file(path, args.seconds, how))
        a, b = median(results["detached"]), median(results["raw"])
        print("after detach      4 KiB %s QD16: %.0f IOPS, a copied file %.0f: %.2f x"
              % (how, a, b, a / b))
    store.close()
    os.unlink(image)


def connect(where):
    handle = nbd.NBD()
    handle.connect_uri(where)
    return handle


def latencies(action, blocks):
    taken = []
    for block in blocks:
        start = time.perf_counter()
        action(block)
        taken.append(time.perf_counter() - start)
    return 1e6 * median(taken)


def hydrating_store(servers, folder, name, size, sock):
    """An owner that misses everything and fetches only what is asked for."""
    store = Store(servers, folder, name, size)
    store.call("limit", source_bytes_s=RESTING)
    store.call("flip", instant=True, grace_s=0, snapshot="s0",
               disks=[{"name": "sda", "uri": uri(sock)}])
    return store


def fetched(store):
    return store.status()["disks"][0]["hydration"]["fetched_bytes"]


def hydrating_writes(args, servers, folder):
    """The first 4 KiB write to each of many blocks that are not here, and the same to an owner."""
    size, count = GIB, 2000
    done, image = owned(args, servers, folder, size)
    sock = os.path.join(folder, "hyd.sock")
    server = servers.start(sock, "nbdkit", "-f", "-r", "-U", sock, "file", image)
    missing = hydrating_store(servers, folder, "missing", size, sock)
    data = os.urandom(4096)
    order = random.Random(1).sample(range(size // BLOCK), count * args.rounds)
    handles = {"hydrating": connect(missing.uri()), "owner": connect(done.uri())}
    before, results = fetched(missing), {"hydrating": [], "owner": []}
    for number in range(args.rounds):
        blocks = order[number * count:(number + 1) * count]
        for name, handle in handles.items():
            results[name].append(latencies(
                lambda b, h=handle: h.pwrite(data, b * BLOCK + 8192), blocks))
    extra = fetched(missing) - before
    for handle in handles.values():
        handle.shutdown()
    a, b = median(results["hydrating"]), median(results["owner"])
    print("hydrating         4 KiB write to a missing block %.1f us, owner %.1f us: %.2f x; %d "
          "bytes from the source for %d of them (background included)   (%s / %s)"
          % (a, b, a / b, extra, count * args.rounds, values(results["hydrating"], "%.1f"),
             values(results["owner"], "%.1f")))
    missing.close()
    done.close()
    servers.stop(server)
    os.unlink(image)


def first_reads(args, servers, folder):
    """A 64 KiB read of a block that is not here, and of the source itself, 10 ms away."""
    size, count = GIB // 2, 60
    image, sock = os.path.join(folder, "far-source.raw"), os.path.join(folder, "far.sock")
    make_random(image, size)
    server = servers.start(sock, "nbdkit", "-f", "-r", "-t", "32", "-U", sock, "--filter=delay",
                           "file", image, "rdelay=10ms")
    store = hydrating_store(servers, folder, "first", size, sock)
    order = random.Random(2).sample(range(0, size // BLOCK, 16), count * args.rounds)
    handles = {"slipway": connect(store.uri()), "source": connect(uri(sock))}
    results = {"slipway": [], "source": []}
    for number in range(args.rounds):
        for name, handle in handles.items():
            results[name].append(latencies(lambda b, h=handle: h.pread(BLOCK, b * BLOCK),
                                           order[number * count:(number + 1) * count]))
    for handle in handles.values():
        handle.shutdown()
    a, b = median(results["slipway"]), median(results["source"])
    print("first read        64 KiB of a missing block %.0f us, of the source itself %.0f us: "
          "+%.0f us   (%s / %s)" % (a, b, a - b, values(results["slipway"]),
                                    values(results["source"])))
    store.close()
    servers.stop(server)
    os.unlink(image)
