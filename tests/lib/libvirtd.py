#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Private libvirt daemons for tests: nothing of the machine's own libvirt is read or changed.

Each daemon lives in a mount and UTS namespace of its own, with its own /run/libvirt,
/var/lib/libvirt, /etc/libvirt, /var/cache/libvirt and /var/log/libvirt, so that several "nodes"
run side by side.  Needs root.  QEMU runs as root without AppArmor, cgroups and mount namespaces.

    import libvirtd
    uri = libvirtd.start("a", "/tmp/mytest")      # state in /tmp/mytest/a
    ...
    libvirtd.stop("a", "/tmp/mytest")             # the daemon and every QEMU it left behind

or from a shell: libvirtd.py start|stop NAME DIRECTORY
"""
import glob
import os
import signal
import subprocess
import sys
import time
import uuid

PLACES = {"run": "/run/libvirt", "lib": "/var/lib/libvirt", "etc": "/etc/libvirt",
          "cache": "/var/cache/libvirt", "log": "/var/log/libvirt"}

DAEMON_CONF = """unix_sock_dir = "{root}"
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_rw_perms = "0700"
host_uuid = "{host_uuid}"
log_filters = "3:*"
log_outputs = "2:file:{root}/libvirtd.log"
listen_tls = 0
listen_tcp = 0
"""

QEMU_CONF = """user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
"""


def uri(name, directory):
    return f"qemu+unix:///system?socket={directory}/{name}/libvirt-sock"


def _write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def _prepare(root):
    for part in ("run", "lib/qemu", "etc", "cache/qemu", "log/qemu"):
        os.makedirs(f"{root}/{part}", exist_ok=True)
    if not os.path.exists(f"{root}/host_uuid"):
        _write(f"{root}/host_uuid", str(uuid.uuid4()))
    with open(f"{root}/host_uuid", encoding="utf-8") as f:
        host_uuid = f.read().strip()
    _write(f"{root}/etc/libvirtd.conf", DAEMON_CONF.format(root=root, host_uuid=host_uuid))
    _write(f"{root}/etc/qemu.conf", QEMU_CONF)
    for place in PLACES.values():
        os.makedirs(place, exist_ok=True)


def _answers(address):
    return subprocess.run(["virsh", "-q", "-c", address, "version"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


def start(name, directory, timeout=60):
    """Starts the daemon NAME with its files in DIRECTORY/NAME and returns its URI."""
    directory = os.path.abspath(directory)
    root = f"{directory}/{name}"
    _prepare(root)
    binds = "; ".join(f"mount --bind {root}/{part} {place}" for part, place in PLACES.items())
    script = (f"set -e; hostname node-{name}; {binds}; "
              f"exec libvirtd -f {root}/etc/libvirtd.conf -p {root}/libvirtd.pid")
    with open(f"{root}/stdout.log", "w", encoding="utf-8") as log:
        daemon = subprocess.Popen(["unshare", "-m", "-u", "sh", "-c", script],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  start_new_session=True)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if daemon.poll() is not None:
            break
        if os.path.exists(f"{root}/libvirt-sock") and _answers(uri(name, directory)):
            return uri(name, directory)
        time.sleep(0.1)
    with open(f"{root}/stdout.log", encoding="utf-8") as log:
        raise RuntimeError(f"libvirtd {name} did not come up: {log.read()}")


def _pid(path, program):
    """The pid in a pid file, if that process is still the program (pids are reused)."""
    try:
        with open(path, encoding="utf-8") as f:
            pid = int(f.read())
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as f:
            return pid if program in f.read() else None
    except (OSError, ValueError):
        return None


def _gone(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
    return not os.path.exists(f"/proc/{pid}")


def _end(pid, grace):
    for sig in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            return
        end = time.monotonic() + grace
        while time.monotonic() < end:
            if _gone(pid):
                return
            time.sleep(0.05)


def qemu_pids(name, directory):
    """{domain name: pid} of the QEMU processes of daemon NAME."""
    found = {}
    for path in glob.glob(f"{os.path.abspath(directory)}/{name}/run/qemu/*.pid"):
        pid = _pid(path, "qemu")
        if pid:
            found[os.path.basename(path)[:-4]] = pid
    return found


def stop_daemon(name, directory):
    """Ends only the daemon; the domains go on running."""
    pid = _pid(f"{os.path.abspath(directory)}/{name}/libvirtd.pid", "libvirtd")
    if pid:
        _end(pid, 10)


def stop(name, directory):
    """Ends the daemon and its domains; harmless when nothing runs."""
    stop_daemon(name, directory)
    for pid in qemu_pids(name, directory).values():
        _end(pid, 5)


def main(argv):
    if len(argv) != 4 or argv[1] not in ("start", "stop"):
        print("usage: libvirtd.py start|stop NAME DIRECTORY", file=sys.stderr)
        return 2
    if argv[1] == "start":
        print(start(argv[2], argv[3]))
    else:
        stop(argv[2], argv[3])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
