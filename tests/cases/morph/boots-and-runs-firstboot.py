# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 900
"""What is left for the first boot runs once in a guest that really boots, and removes itself; a key
that was given is there, and so is what the scripts before and after the changes did."""

import morphed
from case import check, wait_until, work

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me"


def script(name, text):
    path = work / name
    path.write_text(f"#!/bin/sh\nset -e\n{text}\n")
    return path


def options(folder):
    (work / "key.pub").write_text(KEY + "\n")
    return ["--ssh-key", f"root={work}/key.pub",
            "--script-pre", script("pre", "cat /etc/os-release; echo pre >>/opt/scripts"),
            "--script-post", script("post", "echo post >>/opt/scripts"),
            "--script-firstboot", script("once", "id -u >>/opt/once; uname -r"),
            "--script-firstboot", script("then", "systemctl is-system-running || true")]


def also(agent):
    log = wait_until(lambda: (lambda text: text if "first boot is done" in text else None)(
        agent.run("cat /var/log/slipway-firstboot.log", expect=None)), "the first boot's log", 120)
    check("50-once ended with 0" in log and "51-then ended with 0" in log, f"the steps: {log}")
    check(agent.run("cat /opt/once").split() == ["0"], "the step ran once, as root")
    check(agent.run("cat /opt/scripts").split() == ["pre", "post"], "both other scripts")
    check(KEY in agent.run("cat ~root/.ssh/authorized_keys"), "the key")
    check(agent.run("stat -c '%a %u' ~root/.ssh ~root/.ssh/authorized_keys").split() ==
          ["700", "0", "600", "0"], "whose it is")
    left = agent.run("ls /etc/systemd/system/slipway-firstboot.service "
                     "/etc/systemd/system/multi-user.target.wants/slipway-firstboot.service "
                     "/var/lib/slipway/firstboot 2>/dev/null", expect=None).strip()
    check(not left, f"the machinery removes itself: {left}")


morphed.boots("plain", {"/": "/dev/vda1"}, options=options, also=also)
