# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 60
"""An engine goes on when the thread or the program that started it ends; unless it was told to end
with it."""

import signal
import subprocess
import sys
import threading
import time

from case import check, defer, require, wait_until, work
from engines import MIB, PLUGIN, Engine, listening

require("nbdkit")
engine = Engine("vm", sda=MIB)
thread = threading.Thread(target=engine.start)
thread.start()
thread.join()
time.sleep(1)
check(engine.process.poll() is None, "it outlives the thread that started it")
engine.stop()

STARTER = """
import os, subprocess, sys
print(subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL).pid, flush=True)
sys.stdin.read()
"""


def started_by_a_program_that_is_killed(*options):
    sock = engine.store / "nbd.sock"
    sock.unlink(missing_ok=True)
    with subprocess.Popen([sys.executable, "-c", STARTER, "nbdkit", "-f", *options, "-U", sock,
                           PLUGIN, f"store={engine.store}", *engine.options], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        pid = int(program.stdout.readline())
        wait_until(lambda: sock.exists() and listening(sock), "the engine")
        program.kill()
    return pid


def is_there(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def end(pid):
    if is_there(pid):
        subprocess.run(["kill", "-9", str(pid)], check=False)


pid = started_by_a_program_that_is_killed()
defer(end, pid)
time.sleep(1)
check(is_there(pid), "it outlives the program that started it")
subprocess.run(["kill", f"-{signal.SIGTERM.value}", str(pid)], check=True)
wait_until(lambda: not is_there(pid), "its end")
pid = started_by_a_program_that_is_killed("--exit-with-parent")
defer(end, pid)
wait_until(lambda: not is_there(pid), "the end with its parent, as it was told")
