# SPDX-License-Identifier: Apache-2.0
"""Reading the mirror: base-only, and through eight layers."""
import glob
import os
import random
import subprocess

import nbd

from rig import BLOCK, Store, compare, fio, median, run, uri, values


def read_iops(source, seconds, block, random_access):
    return fio(source, seconds, "--rw=" + ("randread" if random_access else "read"),
               "--bs=%d" % block, "--iodepth=16")["read"]["iops"]


READS = (("64 KiB sequential", 65536, False), ("4 KiB random QD16", 4096, True))


def compare_reads(args, contestants, what):
    for label, block, random_access in READS:
        results = compare(args.rounds, contestants, lambda where: read_iops(
            where, args.seconds, block, random_access))
        a, b = median(results["slipway"]), median(results["nbdkit file"])
        print("%-17s %-18s slipway %.0f IOPS, nbdkit file %.0f IOPS: %.2f x   (%s / %s)"
              % (what, label, a, b, a / b, values(results["slipway"]),
                 values(results["nbdkit file"])))


def mirror_reads(args, servers, folder, source):
    """The mirror with a base-only view, and nbdkit file on the same bytes."""
    store = Store(servers, folder, "mirror", args.size)
    store.sync(source, "s0")
    peer = os.path.join(folder, "peer.sock")
    servers.start(peer, "nbdkit", "-f", "-t", "64", "-U", peer, "file", store.target)
    contestants = {"slipway": uri(store.socket, "sda"), "nbdkit file": uri(peer)}
    # Both read through the page cache: neither is to fill it for the other.
    run("cat", store.target, stdout=subprocess.DEVNULL)
    compare_reads(args, contestants, "mirror read")
    store.close()


def layered_reads(args, servers, folder):
    """Eight layers that an open reader of generation 0 keeps from being folded: each changes 2 % of
    the blocks."""
    size = args.size // 4
    image, sock = os.path.join(folder, "layered.qcow2"), os.path.join(folder, "layered.sock")
    run("qemu-img", "create", "-q", "-f", "qcow2", image, str(size))
    run("qemu-io", "-f", "qcow2", image, "-c", "write -q -P 77 0 %d" % size)
    store = Store(servers, folder, "layered", size)

    def serve(*options):
        return servers.start(sock, "qemu-nbd", "-r", "-t", "-e", "8", "-k", sock, "-f", "qcow2",
                             *options, image)

    server = serve()
    store.sync(uri(sock), "s0")
    servers.stop(server)
    pin = nbd.NBD()
    pin.connect_uri(store.uri("sda@0"))
    for layer in range(1, 9):
        run("qemu-img", "bitmap", "--add", image, "b%d" % layer)
        blocks = random.Random(layer).sample(range(size // BLOCK), size // BLOCK // 50)
        script = "".join("write -q -P %d %d 64k\n" % (layer, b * BLOCK) for b in blocks)
        run("qemu-io", "-f", "qcow2", image, input=script.encode())
        server = serve("-B", "b%d" % layer)
        store.sync(uri(sock), "s%d" % layer, "--bitmap", "sda=qemu:dirty-bitmap:b%d" % layer)
        servers.stop(server)
    layers = len(store.status()["disks"][0]["layers"])
    peer, flat = os.path.join(folder, "flat.sock"), os.path.join(folder, "flat.raw")
    run("qemu-img", "convert", "-t", "none", "-O", "raw", "-S", "0", image, flat)
    # Neither was written through the page cache: both get there by reading, in the same way.
    for path in [flat, store.target] + glob.glob(os.path.join(store.path, "sda", "L*.data")):
        run("cat", path, stdout=subprocess.DEVNULL)
    server = servers.start(peer, "nbdkit", "-f", "-t", "64", "-U", peer, "file", flat)
    compare_reads(args, {"slipway": store.uri(), "nbdkit file": uri(peer)},
                  "read, %d layers" % layers)
    servers.stop(server)
    pin.shutdown()
    store.close()
    run("rm", "-f", image, flat)
