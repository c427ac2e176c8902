# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""What is left for a guest's first boot runs once, in order, with a log, survives a reboot in the
middle, and removes what started it: under systemd, OpenRC and rc.local.  The runner is run here on
the guest's folder, its paths turned to that folder."""

import os
import subprocess

import phonylinux
from case import build, check, require, run, work
from phonyfamilies import FAMILIES

require(build / "tests/tools/morph-tree", "zstd")

for name, text in (("first.sh", "#!/bin/sh\necho one\necho 1 >>@/order\nexit 3\n"),
                   ("second one", "#!/bin/sh\necho 2 >>@/order\n"
                                  "[ ! -e @/reboot ] || kill -9 $PPID\n"),
                   ("third", "#!/bin/sh\necho 3 >>@/order\n")):
    (work / name).write_text(text)
OPTIONS = [word for name in ("first.sh", "second one", "third")
           for word in ("--script-firstboot", work / name)]


def turned(tree, path):
    """The file with the guest's paths as paths below the folder."""
    text = (tree / path).read_text()
    for top in ("/var/", "/etc/"):
        text = text.replace(f" {top}", f" {tree}{top}").replace(f"={top}", f"={tree}{top}")
        text = text.replace(f">>{top}", f">>{tree}{top}")
    return text


def boot(tree):
    for step in (tree / "var/lib/slipway/firstboot.d").iterdir():
        step.write_text(step.read_text().replace("@", str(tree)))
    runner = work / "runner"
    runner.write_text(turned(tree, "var/lib/slipway/firstboot"))
    return subprocess.run(["sh", runner], check=False, stdin=subprocess.DEVNULL).returncode


def once(name, hooks):
    family, tree = FAMILIES[name], work / name
    phonylinux.make(family, tree)
    nic = ["--nic", f"{phonylinux.MAC}={'eth0' if name in ('centos6', 'alpine') else 'ens192'}"]
    phonylinux.morph(family, tree, *nic)
    before = phonylinux.snapshot(tree)
    result = phonylinux.morph(family, tree, *nic, *OPTIONS)
    check({c["change"] for c in result["changes"]} == {"firstboot"}, f"{name}: nothing else")
    again = phonylinux.morph(family, tree, *nic, *OPTIONS)
    check(again["changes"] == [], f"{name}: a second run wants {again['changes']}")
    for hook in hooks:
        check(os.path.lexists(tree / hook), f"{name}: {hook}")
    steps = sorted((tree / "var/lib/slipway/firstboot.d").iterdir())
    check([s.name for s in steps] == ["50-first.sh", "51-second_one", "52-third"],
          f"{name}: names")
    check({s.stat().st_mode & 0o777 for s in steps} == {0o700}, f"{name}: modes")

    (tree / "reboot").touch()
    boot(tree)
    check((tree / "order").read_text() == "1\n2\n", f"{name}: the reboot came in the second step")
    (tree / "reboot").unlink()
    check(boot(tree) == 0, f"{name}: the next boot")
    check((tree / "order").read_text() == "1\n2\n3\n", f"{name}: the third step alone")
    log = (tree / "var/log/slipway-firstboot.log").read_text()
    check("one\n" in log and "50-first.sh ended with 3" in log, f"{name}: the log: {log}")
    check("first boot is done" in log, f"{name}: the end is in the log")
    for path in ("order", "var/log/slipway-firstboot.log"):
        (tree / path).unlink()
    check(sorted(p.name for p in (tree / "var/lib/slipway/ran").iterdir()) ==
          [s.name for s in steps], f"{name}: what ran is kept")
    phonylinux.remove(tree / "var/lib/slipway/ran")
    after = phonylinux.snapshot(tree)
    left = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
    check(left <= {"var/lib/slipway"}, f"{name}: the runner left {left}")


once("debian12", ["etc/systemd/system/slipway-firstboot.service",
                  "etc/systemd/system/multi-user.target.wants/slipway-firstboot.service"])
once("alpine", ["etc/init.d/slipway-firstboot", "etc/runlevels/default/slipway-firstboot"])
once("centos6", ["etc/rc.d/rc.local"])

# The agent is fetched until it is there; packages are installed and the agent switched on.
programs = work / "programs"
programs.mkdir()


def program(name, text):
    (programs / name).write_text(f"#!/bin/sh\necho {name} \"$@\" >>{work}/calls\n{text}\n")
    (programs / name).chmod(0o755)


AGENT = f"printf '#!/bin/sh\\n' >{programs}/qemu-ga; /bin/chmod 755 {programs}/qemu-ga"
program("sleep", "")
program("systemctl", "")
program("apt-get", f"[ \"$(grep -c sleep {work}/calls)\" -lt 2 ] || {AGENT}")
for tool in ("grep", "printf"):
    if not (programs / tool).exists():
        (programs / tool).symlink_to(f"/usr/bin/{tool}")


def step(tree, name, expect=0):
    (work / "calls").write_text("")
    text = turned(tree, f"var/lib/slipway/firstboot.d/{name}")
    run("/bin/sh", "-c", f"PATH={programs}; {text}", expect=expect)
    return (work / "calls").read_text()


tree = work / "agent"
phonylinux.make(FAMILIES["debian12"], tree)
phonylinux.morph(FAMILIES["debian12"], tree, "--install-agent")
calls = step(tree, "20-agent")
check(calls.count("sleep 20") == 2 and "install qemu-guest-agent" in calls, "three attempts")
check("systemctl enable qemu-guest-agent.service" in calls, "the agent is switched on")

(programs / "qemu-ga").unlink()
folder = work / "packages"
(folder / "debian-12").mkdir(parents=True)
(folder / "wrong.rpm").write_bytes(b"rpm")
(folder / "wrong.deb").write_bytes(b"not for this version")
(folder / "debian-12/qemu-guest-agent_7.2_amd64.deb").write_bytes(b"deb" * 1000000)
tree = work / "with-packages"
phonylinux.make(FAMILIES["debian12"], tree)
phonylinux.morph(FAMILIES["debian12"], tree, "--packages", folder, "--install-agent")
check([p.name for p in (tree / "var/lib/slipway/packages").iterdir()] ==
      ["qemu-guest-agent_7.2_amd64.deb"], "the packages of this version")
check(sorted(p.name for p in (tree / "var/lib/slipway/firstboot.d").iterdir()) == ["10-packages"],
      "nothing is fetched where packages are at hand")
program("dpkg", AGENT)
calls = step(tree, "10-packages")
check("dpkg -i ./qemu-guest-agent_7.2_amd64.deb" in calls and "apt-get" not in calls,
      f"installed without a network: {calls}")
check("systemctl start --no-block qemu-guest-agent.service" in calls, "and started")

# Wrong use.
(work / "no-shebang").write_text("echo\n")
(work / "dos").write_bytes(b"#!/bin/sh\r\necho\r\n")
for words in (["--script-firstboot", work / "no-shebang"], ["--script-firstboot", work / "dos"],
              ["--script-firstboot", work / "not-there"], ["--packages", work / "dos"],
              ["--ssh-key", "root"], ["--ssh-key", f"root={work}/dos"]):
    phonylinux.morph(FAMILIES["debian12"], tree, *words, expect="failure")
