# SPDX-License-Identifier: Apache-2.0
"""An ssh server on 127.0.0.1 for one test, with keys of its own; nothing in the user's ~/.ssh is
read or written.

    server = sshd.start(work)
    f"qemu+ssh://root@127.0.0.1:{server.port}/system?command={server.command}"
"""

import os
import socket
from types import SimpleNamespace

from case import defer, run, start as start_process, wait_until

SERVER = """ListenAddress 127.0.0.1:{port}
HostKey {root}/host_key
AuthorizedKeysFile {root}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""

CLIENT = """IdentityFile {root}/user_key
IdentitiesOnly yes
UserKnownHostsFile {root}/known_hosts
StrictHostKeyChecking accept-new
"""


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def _privilege_separation_directory():
    """sshd wants it; without an init system nobody has made it."""
    if not os.path.isdir("/run/sshd"):
        os.mkdir("/run/sshd", 0o755)
        defer(os.rmdir, "/run/sshd")


def start(directory):
    """Starts the server; it ends with the test.  .command is an ssh that trusts it."""
    root = directory / "sshd"
    root.mkdir()
    for key in ("host_key", "user_key"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", root / key)
    port = _free_port()
    (root / "sshd_config").write_text(SERVER.format(port=port, root=root))
    (root / "ssh_config").write_text(CLIENT.format(root=root))
    command = root / "ssh"
    command.write_text(f'#!/bin/sh\nexec ssh -F {root}/ssh_config "$@"\n')
    command.chmod(0o755)
    _privilege_separation_directory()
    process = start_process("/usr/sbin/sshd", "-D", "-f", root / "sshd_config",
                            log=root / "sshd.log")
    wait_until(lambda: _listens(port), "sshd")
    return SimpleNamespace(port=port, command=command, root=root, process=process)
