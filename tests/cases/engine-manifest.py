# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""A manifest says what the disks hold, as documented, and any change of it is noticed."""

import hashlib
import json
import os

from case import build, check, require, run, start, stop, wait_until, work

require("nbdkit", "qemu-img", "qemu-nbd", "qemu-io", "openssl")
SLIPWAY = build / "orchestrator" / "slipway"
SIZE = 5 * 65536 + 512
image, store, target = work / "a.raw", work / "vm", work / "t.raw"
image.write_bytes(os.urandom(3 * 65536) + bytes(65536) + os.urandom(65536 + 512))
key, manifest = work / "key.pem", work / "m.json"


def tree(leaves):
    """The root as docs/FORMATS.md has it, written down once more."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    left = 1
    while left * 2 < len(leaves):
        left *= 2
    return hashlib.sha256(b"\1" + tree(leaves[:left]) + tree(leaves[left:])).digest()


def slipway(*words, expect=0):
    return run(SLIPWAY, "engine", *words, expect=expect)


def signature_by_openssl(m):
    """OpenSSL's own program agrees with the signature."""
    body = {k: v for k, v in m.items() if k != "signature"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    (work / "body").write_bytes(text.encode())
    (work / "sig").write_bytes(bytes.fromhex(m["signature"]))
    run("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", f"{key}.pub", "-rawin",
        "-in", work / "body", "-sigfile", work / "sig")


slipway("create", store, "--disk", f"sda={target}:{SIZE}", "--name", "wébserver")
socket = work / "q.sock"
start("qemu-nbd", "-r", "-t", "-e", "8", "-k", socket, "-f", "raw", image)
wait_until(socket.exists, "qemu-nbd")
check("init" in slipway("manifest", store, expect=5), "nothing to write down yet")
slipway("sync", store, f"sda=nbd+unix:///?socket={socket}", "--snapshot", "p0")

slipway("manifest-key", key)
check(key.stat().st_mode & 0o777 == 0o600, "the key is ours alone")
slipway("manifest-key", key, expect=4)
slipway("manifest", store, "--key", key, "--output", manifest)
m = json.loads(manifest.read_text())
data = image.read_bytes()
blocks = [data[at:at + 65536] for at in range(0, SIZE, 65536)]
check(m["disks"][0]["sha256_tree"] == tree(blocks).hex(), "the tree is the documented one")
check(m["vm"] == "wébserver" and m["generation"] == 0 and m["snapshot"] == "p0", "what it is of")
signature_by_openssl(m)

mine = ("--public-key", f"{key}.pub")
slipway("verify-manifest", manifest)
slipway("verify-manifest", manifest, *mine, "--disk", f"sda={target}", "--disk", f"sda={image}")
other = work / "other.raw"
other.write_bytes(data[:70000] + bytes([data[70000] ^ 1]) + data[70001:])
check("DIFFERS" in slipway("verify-manifest", manifest, "--disk", f"sda={other}", expect=1), "told")
other.write_bytes(data[:-512])
slipway("verify-manifest", manifest, "--disk", f"sda={other}", expect=1)
slipway("verify-manifest", manifest, "--disk", f"sdz={target}", expect=3)

# Another signer, no signer, a changed word, damage of any kind.
run("openssl", "genpkey", "-algorithm", "ed25519", "-out", work / "other.pem")
run("openssl", "pkey", "-in", work / "other.pem", "-pubout", "-out", work / "other.pub")
said = slipway("verify-manifest", manifest, "--public-key", work / "other.pub", expect=9)
check("another key" in said, "another signer is refused")
bad = work / "bad.json"


def refused(text, *options):
    bad.write_bytes(text if isinstance(text, bytes) else json.dumps(text).encode())
    said = slipway("verify-manifest", bad, *options, expect=9)
    check("bad.json" in said, "the sentence names the file")


refused({**m, "vm": "another"})
refused({**m, "generation": 1})
refused({k: v for k, v in m.items() if k != "signature"}, *mine)
refused({**m, "signature": m["signature"][:-2]})
refused({**m, "signature": 5})
refused({**m, "disks": []})
refused({**m, "disks": [{**m["disks"][0], "size_bytes": -1}]})
refused({**m, "disks": [m["disks"][0]] * 25})
refused({**m, "slipway_manifest": 2})
refused([m])
refused(b"")
refused(manifest.read_bytes()[:200])
refused(b'{"a": 1, "a": 2}')
refused(b"[" * 5000)

# An owner: only without writers.
slipway("flip", store)
engine = start(SLIPWAY, "engine", "serve", store)
wait_until((store / "control.sock").exists, "the engine")
slipway("manifest", store, "--key", work / "other.pem", "--output", manifest)
check(json.loads(manifest.read_text())["mode"] == "owner", "of an owner")
slipway("verify-manifest", manifest, "--public-key", work / "other.pub", "--disk", f"sda={target}")
guest = start("qemu-nbd", "-t", "-k", work / "g.sock", "-f", "raw",
              f"nbd+unix:///sda?socket={store / 'nbd.sock'}")
wait_until((work / "g.sock").exists, "the writer")
check("before the VM starts" in slipway("manifest", store, expect=6), "a writer is in the way")
stop(guest)
(work / "other.pem").chmod(0o644)
check("chmod" in slipway("manifest", store, "--key", work / "other.pem", expect=5), "open key")
slipway("manifest", store, "--key", image, expect="failure")
slipway("stop", store)
check(engine.wait(20) == 0, "the engine ends")
