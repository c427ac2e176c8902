#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Moves a running Debian guest from a private libvirtd onto libvirt's embedded driver, and proves
from inside the moved guest that nothing was lost.

The guest looks as if it came from another platform (tests/guests/build-guest.sh --help) and keeps
writing numbered, checksummed records onto two disks.  Everything is made in one folder below
/var/tmp and removed at the end; --keep leaves it to look at.
"""

import argparse
import signal
import subprocess
import sys
import time
from subprocess import SubprocessError
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "lib"))

import guest  # noqa: E402
import records  # noqa: E402
import partner  # noqa: E402
from agent import Agent  # noqa: E402
from goback import go_back  # noqa: E402
from proof import Proof  # noqa: E402
from stage import NAME, SOURCE, VM, Stage, remove_kept  # noqa: E402
from supervisor import supervised  # noqa: E402

HEARTBEAT_S = 5
SLOW_LINE = "10K"
BOOT_TIMEOUT_S = 600


class Clock:
    """Says what happens, with the seconds since the demo began."""

    def __init__(self):
        self.began = time.monotonic()
        self.told = self.began

    def say(self, text):
        self.told = time.monotonic()
        print(f"── [{self.told - self.began:4.0f} s] {text}", flush=True)

    def heartbeat(self, text):
        if time.monotonic() - self.told >= HEARTBEAT_S:
            self.say(text)


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][-70:] if lines else "…"


def boot_source(stage, clock, partnered):
    clock.say("guest image (built once from Debian packages, about half a minute)")
    guest.folder(two_disks=True)
    clock.say("the source: a libvirtd of its own, VM 'records' on pvscsi and vmxnet3, two disks")
    stage.make_source()
    console = guest.Console(stage.serial)
    console.wait_for(r"recorder: record \d+", timeout=BOOT_TIMEOUT_S, alive=stage.source_runs,
                     heartbeat=lambda text: clock.heartbeat("  booting: " + last_line(text)))
    if partnered:
        partner.boot(stage, clock)
    clock.say("the source runs, its recorder writes")
    return console


def wait_for_records(console, clock, more):
    """Lets the guest write `more` records while nobody copies."""
    start = console.recorder()[-1][0]
    deadline = time.monotonic() + 120
    while (number := console.recorder()[-1][0]) < start + more:
        if time.monotonic() > deadline:
            raise RuntimeError("the recorder in the source has stopped writing")
        clock.heartbeat(f"  the guest writes: record {number}")
        time.sleep(0.5)
    clock.say(f"the guest has written up to record {number}")


def cut_over_at_once(stage, clock):
    """An instant cutover, with so slow a line to the source that the VM is up long before its disks
    are whole.  Returns how many bytes were missing when it was."""
    stage.slipway("engine", "limit", str(stage.store), "--source-rate", SLOW_LINE)
    clock.say(f"instant cutover over a line of {SLOW_LINE}B/s: the source stops, flip, morph, the "
              "VM starts")
    stage.slipway("cutover", NAME, "--instant", "--detach")
    while (job := stage.slipway_json("status", NAME))["active"] and job["state"] != "hydrating":
        clock.heartbeat(f"  {job['state']}")
        time.sleep(0.5)
    status = stage.slipway_json("engine", "status", str(stage.store)) if job["active"] else {}
    missing = sum(disk.get("missing_bytes", 0) for disk in status.get("disks", []))
    clock.say(f"the VM runs on the node; {missing >> 10} KiB are still on the source.  The line is "
              "fast again")
    if job["active"]:
        stage.slipway("engine", "limit", str(stage.store), "--source-rate", "0")
    while (job := stage.slipway_json("status", NAME))["active"]:
        clock.heartbeat(f"  {job['state']}")
        time.sleep(0.3)
    if job["state"] != "done":
        raise RuntimeError(f"the cutover ended as {job['state']}: {job.get('error')}\n"
                           + stage.tail("slipwayd.log"))
    return missing


def look_inside(stage, clock):
    """The mirror as files, while the guest runs and nothing stands still."""
    clock.say("every disk is a file: slipwayfs, and a file from inside the mirrored guest")
    stage.mount()
    folder = stage.mountpoint / NAME
    print(f"$ ls -ls {folder}", flush=True)
    subprocess.run(["ls", "-ls", folder], check=True)
    disk = sorted(folder.glob("*.raw"))[0]
    text = records.read_file(disk, "/usr/lib/os-release", stage.folder, image_format="raw").decode()
    print(f"/usr/lib/os-release in {disk.name}: " + text.splitlines()[0], flush=True)
    stage.unmount()


def rehearse(stage, console, clock, proof):
    """A rehearsal while the source goes on writing and a delta lands."""
    before = console.recorder()[-1][0]
    clock.say("rehearsal: a draft of the mirror is morphed and booted, alone on its network")
    stage.slipway("rehearse", NAME, "--detach")
    stage.slipway("sync", NAME, "--follow")
    while (rehearsal := stage.slipway_json("status", NAME)["rehearsal"])["active"]:
        clock.heartbeat(f"  rehearsal: {rehearsal['state']}")
        time.sleep(0.5)
    job = stage.slipway_json("status", NAME)
    clock.say(f"the rehearsal has {rehearsal['state']}: morph {rehearsal.get('morph_s')} s, boot "
              f"{rehearsal.get('boot_s')} s {rehearsal.get('error', '')}")
    proof.check(rehearsal["state"] == "passed" and rehearsal["how"] == "agent",
                f"a rehearsal of generation {rehearsal['generation']} came up, its agent answered")
    proof.check(console.recorder()[-1][0] > before and job["generation"] > rehearsal["generation"],
                f"meanwhile the source wrote on and generation {job['generation']} was synced")


def migrate(stage, console, clock, options, proof):
    """The migration; with instant, how many bytes were missing when the VM was up."""
    clock.say("slipwayd, with libvirt's embedded driver as the node")
    stage.start_daemon()
    stage.slipway("source", "add", SOURCE, stage.source_uri)
    stage.slipway("vm", "list", SOURCE)
    clock.say("initial sync, while the guest writes")
    words = ["--pool", str(stage.pool), "--map-network", "user=user", "--boot-timeout",
             f"{BOOT_TIMEOUT_S}s"]
    words += ["--failback"] if options.rollback else []
    words += ["--commit-window", "none"] if options.instant else []
    words += ["--group", partner.GROUP] if options.group else []
    stage.slipway("migrate", f"{SOURCE}/{VM}", "--name", NAME, *words, "--follow")
    if options.group:
        partner.migrate(stage, words)
    for number in (1, 2):
        wait_for_records(console, clock, 30)
        clock.say(f"delta {number}")
        if number == 2 and options.rehearse:
            rehearse(stage, console, clock, proof)
        elif options.group:
            partner.sync(stage, clock, proof)
        else:
            stage.slipway("sync", NAME, "--follow")
    look_inside(stage, clock)
    wait_for_records(console, clock, 20)
    stage.slipway("status", NAME)
    if options.instant:
        return cut_over_at_once(stage, clock)
    clock.say("cutover: the source stops, last delta, morph, flip, the VM starts on the node")
    if options.group:
        partner.cut_over(stage, clock, proof)
    else:
        stage.slipway("cutover", NAME, "--follow")
    clock.say("the VM runs on the node")
    return None


def read_source(stage, console, proof):
    """What the source's own disks say, read without Slipway."""
    text = records.read_file(stage.disks[0], "/var/log/records", stage.folder).decode()
    written = records.parse(text)
    blocks = records.read_file(stage.disks[1], "/blocks", stage.folder)
    count = records.check_blocks(written, blocks)
    told = console.recorder("last")
    proof.note(f"the source wrote {len(written)} records, {count} of them compared with blocks; "
               f"its console told of {told[-1][0] if told else 'none'} as the last")
    if told:
        proof.check(told[-1] == (written[-1].number, written[-1].sum),
                    "the source's disk ends with the record its console told of last")
    return text, written


def read_target(agent, clock, more_than):
    """The records in the moved guest, once its recorder has written again."""
    deadline = time.monotonic() + 120
    while True:
        text = agent.read_file("/var/log/records").decode()
        arrived = records.parse(text[:text.rindex("\n") + 1])
        if len(arrived) > more_than or time.monotonic() > deadline:
            return text, arrived
        clock.heartbeat("  waiting for the recorder in the moved guest")
        time.sleep(1)


def check_records(source_text, written, agent, clock, proof):
    text, arrived = read_target(agent, clock, len(written))
    last = written[-1]
    proof.check(text.startswith(source_text),
                f"all {last.number} records written before the source stopped are there, "
                "byte for byte")
    proof.check(len(arrived) > len(written) and arrived[len(written)].previous == last.sum,
                f"the moved guest goes on from record {last.number}, the chain is unbroken up to "
                f"record {arrived[-1].number}")
    numbers = " ".join(str(record.number) for record in written[-8:])
    sums = agent.run(f"for n in {numbers}; do dd if=/srv/blocks bs=64k count=1 status=none "
                     f"skip=$((n % {records.BLOCKS})) | sha256sum; done").split()
    proof.check(sums[::2] == [record.block_sum for record in written[-8:]],
                "the second disk holds the blocks that belong to the last records of the first")
    proof.check(agent.run("cd /srv && sha256sum --quiet -c archive.sha256 && echo good",
                          expect=None).strip() == "good",
                "96 MiB of older files on the second disk have their checksums")
    if len(arrived) > len(written):
        silence = arrived[len(written)].time - last.time
        proof.note("by the guest's own clock, from its last record on the source to its first on "
                   f"the node: {silence:.1f} s")
    return arrived[-1]


def check_guest(agent, proof):
    def output(command):
        return agent.run(command, expect=None).strip()

    address = output(f"ip -4 -o addr show dev {guest.NIC}")
    proof.check(f"inet {guest.ADDRESS} " in address,
                f"{guest.NIC} has its static address {guest.ADDRESS}")
    proof.check(output(f"cat /sys/class/net/{guest.NIC}/address") == guest.MAC
                and output(f"basename $(readlink /sys/class/net/{guest.NIC}/device/driver)")
                == "virtio_net", f"{guest.NIC} is a virtio NIC with the MAC it had")
    devices = output("findmnt -n -o SOURCE /; findmnt -n -o SOURCE /srv").split()
    proof.check(devices == ["/dev/vda1", "/dev/vdb1"],
                f"both disks are virtio: {' and '.join(devices)}")
    proof.check(output("grep -c '^/dev/sd' /etc/fstab") == "0",
                "/etc/fstab names no device of the old platform")
    proof.check(output("wc -l </proc/swaps") == "2", "swap is on")
    proof.check(output("systemctl is-enabled open-vm-tools") in ("disabled", "masked"),
                "open-vm-tools of the old platform is off")
    failed = output("systemctl --failed --plain --no-legend")
    proof.check(failed == "", "no service has failed" + (f": {failed}" if failed else ""))


def check_instant(stage, missing, proof):
    report = stage.slipway_json("report", NAME)
    states = [transition["state"] for transition in report["transitions"]]
    proof.check(missing > 0 and "final-sync" not in states,
                f"the VM was up before its disks were whole: {missing >> 10} KiB came later")
    proof.check(states[-5:] == ["hydrating", "finishing", "detaching", "committing", "done"]
                and not (stage.store / "control.sock").exists(),
                "in the end it changed to its targets while it ran, and the engine has ended")


def say_how_to_look(stage):
    if stage.daemon and stage.daemon.poll() is not None:
        stage.start_daemon()
    folder = stage.keep()
    print(f"""
Everything is left in {folder}:
  SLIPWAY_SOCKET={stage.socket} {stage.cli} report {NAME}
  virsh -c '{stage.node_uri}' list          (console {NAME}: log in as root, no password)
  virsh -c '{stage.source_uri}' list --all
  slipwayd.log, source-serial.log, state/, pool/
To remove it: ./run demo --remove {folder}""")


def run(stage, clock, options):
    proof = Proof()
    console = boot_source(stage, clock, options.group)
    missing = migrate(stage, console, clock, options, proof)
    print("\nReport\n", flush=True)
    stage.slipway("report", NAME)
    if options.rehearse:
        proof.check(stage.slipway_json("report", NAME)["morph"]["rehearsed"],
                    "the cutover changed the guest exactly as it was rehearsed")
    if options.instant:
        check_instant(stage, missing, proof)
    clock.say("proof: the source's disks, and then the moved guest from inside")
    source_text, written = read_source(stage, console, proof)
    # libvirt's embedded driver serves one program at a time: slipwayd makes room, the VM runs on.
    stage.stop_daemon()
    agent = Agent(stage.agent_socket())
    agent.wait(BOOT_TIMEOUT_S, lambda: clock.heartbeat("  waiting for the guest agent"))
    last = check_records(source_text, written, agent, clock, proof)
    check_guest(agent, proof)
    if options.group:
        partner.check(stage, clock, proof, BOOT_TIMEOUT_S)
    if options.rollback:
        go_back(stage, console, last, clock, proof)
    proof.print()
    return proof.holds()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build", help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    parser.add_argument("--instant", action="store_true",
                        help="the VM starts before its last delta is here")
    parser.add_argument("--rehearse", action="store_true",
                        help="the cutover is rehearsed before, while the source runs")
    parser.add_argument("--rollback", action="store_true",
                        help="in the end the guest goes back, with what it wrote meanwhile")
    parser.add_argument("--group", action="store_true",
                        help="a second guest is cut over with the first, as one")
    parser.add_argument("--remove", metavar="FOLDER", help="remove what --keep left")
    options = parser.parse_args()
    if options.instant and (options.rollback or options.group):
        parser.error("--instant is shown by itself, without --rollback and --group")
    if options.remove:
        remove_kept(options.remove)
        return 0
    return supervised(lambda: demo(options))


def demo(options):
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    clock, stage, good, kept = Clock(), Stage(options.build.resolve()), False, False
    try:
        good = run(stage, clock, options)
    except (RuntimeError, OSError, SubprocessError, records.Broken) as error:
        print(f"demo: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
    finally:
        if options.keep and stage.source_uri:
            say_how_to_look(stage)
            kept = True
        else:
            clock.say("removing everything")
            stage.remove()
    clock.say(("nothing was lost" if good else "the demo FAILED")
              + (", everything is kept" if kept else ", nothing is left behind"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
