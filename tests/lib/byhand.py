# SPDX-License-Identifier: Apache-2.0
"""`slipway engine` as an administrator types it, and sources of plain files for it.

    engine("create", "store", "--disk", "sda=t.raw:1M")     in the test's folder
    uri = serve_file(work / "src.img")
"""

import json
import os
import subprocess

from case import build, check, start, wait_until, work

program = build / "orchestrator" / "slipway"


def engine(*argv, expect=0, says=(), environment=None):
    """Runs it and returns its standard output; `says`: words that its complaint must have."""
    argv = [str(word) for word in argv]
    result = subprocess.run([program, "engine", *argv], cwd=work, text=True, check=False,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=120,
                            env={**os.environ, **(environment or {})})
    print(f"+ slipway engine {' '.join(argv)}: {result.returncode}\n{result.stdout}"
          f"{result.stderr}", end="", flush=True)
    check(result.returncode == expect,
          f"slipway engine {argv[0]} ended with {result.returncode}, expected {expect}")
    for word in (says,) if isinstance(says, str) else says:
        check(word in result.stdout + result.stderr, f"it says '{word}'")
    return result.stdout


def engine_json(*argv, expect=0):
    """The same with --json, decoded: what a script reads, also when it went wrong."""
    answer = json.loads(engine(*argv, "--json", expect=expect))
    check(("error" in answer) == (expect != 0), f"an error object says so: {answer}")
    return answer


def serve_file(image, name="src"):
    """Serves a file with nbdkit until the test ends; its NBD URI."""
    socket = work / f"{name}.sock"
    start("nbdkit", "-f", "-U", socket, "file", image)
    wait_until(socket.exists, "nbdkit's socket")
    return f"nbd+unix:///?socket={socket}"
