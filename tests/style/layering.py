#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
"""Which folder may include what of ours, and which file may include a foreign library.

The tables are the ones of docs/ARCHITECTURE.md, as data.
"""

import fnmatch
import re
import sys

from tree import c_files, report

# Folder → what of ours its files may include, as shell patterns.  The first pattern that matches
# the including file counts.
OURS = [
    ("base/*", ["base/*"]),
    ("engine/*", ["base/*", "engine/*"]),
    ("nbdplugin/*", ["base/*", "engine/engine.h", "nbdplugin/*"]),
    ("fusefs/*", ["base/*", "engine/control.h", "fusefs/*"]),
    ("orchestrator/*", ["base/*", "engine/control.h", "orchestrator/*"]),
    ("morph/*", ["base/*", "morph/*"]),
    ("bench/*", ["base/*", "engine/*", "bench/*"]),
    ("tests/*", ["*"]),
]

# Foreign header → the only files that may include it.
FOREIGN = {
    "liburing.h": ["engine/ring-uring.c"],
    "libnbd.h": ["engine/nbdlink.c", "engine/reader-nbd.c", "engine/writer-nbd.c", "fusefs/*",
                 "nbdplugin/reader-*", "bench/*", "tests/*"],
    "xxhash.h": ["engine/digest.c"],
    "openssl/*": ["engine/attest.c", "morph/sha256.c", "orchestrator/seal.c", "orchestrator/tls.c"],
    "nbdkit-*.h": ["nbdplugin/*"],
    "libvirt/*": ["orchestrator/source/libvirt*", "orchestrator/node/*"],
    "guestfs.h": ["morph/guest-inside.h"],
    "zlib.h": ["morph/unpack.c", "tests/*"],
    "lzma.h": ["morph/unpack.c", "tests/*"],
    "zstd.h": ["morph/unpack.c", "tests/*"],
    "lz4*.h": ["morph/unpack.c", "tests/*"],
    "selinux/*": ["morph/selinux.c"],
    "hivex.h": ["morph/hive.c"],
    "archive*.h": ["morph/driverset.c", "tests/*"],
    "sqlite3.h": ["orchestrator/journal.c"],
    "microhttpd.h": ["orchestrator/httpd.c"],
    "curl/*": ["orchestrator/cli/client.c", "orchestrator/source/http.c", "nbdplugin/*"],
    "libxml/*": ["orchestrator/source/libvirt*", "orchestrator/node/domainxml.c", "morph/*"],
    "yaml.h": ["orchestrator/plan-yaml.c", "morph/netplan.c"],
    "fuse*.h": ["fusefs/*", "bench/nullfs.c"],
    "cmocka.h": ["tests/*"],
}

# A library that many may use, but not everyone: header → who may not.
NOT_IN = {"jansson.h": ["base/*"]}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def matches(name, patterns):
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def allowed_ours(name):
    return next((allowed for pattern, allowed in OURS if fnmatch.fnmatch(name, pattern)), None)


def check_include(name, header, ours):
    """A sentence about what is wrong with this include, or None."""
    if ours:
        if "/" not in header:
            header = name.rpartition("/")[0] + "/" + header
        allowed = allowed_ours(name)
        if allowed is not None and not matches(header, allowed):
            return f"may not include {header} (allowed: {', '.join(allowed)})"
        return None
    for pattern, files in FOREIGN.items():
        if fnmatch.fnmatch(header, pattern) and not matches(name, files):
            return f"may not include <{header}> (only {', '.join(files)} may)"
    for pattern, files in NOT_IN.items():
        if fnmatch.fnmatch(header, pattern) and matches(name, files):
            return f"may not include <{header}>"
    return None


def main():
    complaints = []
    for path, text in c_files():
        for number, line in enumerate(text.splitlines(), 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            wrong = check_include(path, found[2], found[1] == '"')
            if wrong:
                complaints.append(f"{path}:{number}: {wrong}")
    return report("layering", complaints)


if __name__ == "__main__":
    sys.exit(main())
