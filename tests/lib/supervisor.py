#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""supervisor.py TIMEOUT COMMAND…: runs one test and leaves no process of it behind.

Daemons that the test started become children of this process when their parent ends
(PR_SET_CHILD_SUBREAPER), so the end of the test is the end of all of them.  Exit code: the
test's, 124 after the time-out, 128 + N when signal N ended it.
"""

import ctypes
import os
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
PR_SET_PDEATHSIG = 1
TERM_GRACE_S = 10


def descendants(pid):
    """All processes below pid, children before grandchildren."""
    children = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if fields[0] != "Z":
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(0), [])
        found += below
        queue += below
    return found


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()[:120]
    except OSError:
        return "?"


def signal_all(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def reap():
    """Collects ended children; returns {pid: status}."""
    ended = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def end_all(find):
    """Ends the processes that find() gives: SIGTERM first, SIGKILL after a while."""
    signal_all(find(), signal.SIGTERM)
    deadline = time.monotonic() + 3
    while (left := find()) and time.monotonic() < deadline:
        time.sleep(0.05)
    while left:
        signal_all(left, signal.SIGKILL)
        time.sleep(0.05)
        left = find()


def end_leftovers():
    """Ends whatever is left below this process."""
    def left():
        reap()
        return descendants(os.getpid())

    for pid in left():
        print(f"supervisor: left behind by the test: {pid} {command_line(pid)}", flush=True)
    end_all(left)


def wait_for(pid, timeout):
    """Exit code of pid; 124 when it had to be stopped."""
    deadline = time.monotonic() + timeout
    timed_out = False
    while True:
        status = reap().get(pid)
        if status is not None:
            code = os.waitstatus_to_exitcode(status)
            return 124 if timed_out else code if code >= 0 else 128 - code
        if time.monotonic() > deadline:
            if timed_out:
                signal_all([pid], signal.SIGKILL)
            else:
                print(f"supervisor: no end after {timeout:.0f} s", flush=True)
                os.kill(pid, signal.SIGTERM)
            timed_out = True
            deadline = time.monotonic() + TERM_GRACE_S
        time.sleep(0.02)


def supervised(function):
    """Runs function() in a child process and returns its exit code.  This process only takes in
    daemons whose parent has ended, and reaps them: not every container has an init that does, and
    libvirt waits for processes that it ended to be gone."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    pid = os.fork()
    if pid == 0:
        sys.exit(function())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the child as well
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: os.kill(pid, number))
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def main():
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)  # the runner's end is the test's end
    timeout, command = float(sys.argv[1]), sys.argv[2:]
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            print(f"supervisor: {command[0]}: {error.strerror}", flush=True)
            os._exit(127)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    try:
        code = wait_for(pid, timeout)
    finally:
        end_leftovers()
    sys.exit(code)


if __name__ == "__main__":
    main()
