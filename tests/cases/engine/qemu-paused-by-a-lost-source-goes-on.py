# SPDX-License-Identifier: Apache-2.0
# timeout: 240
"""A VM that needs a source that is gone is paused by its error policy, and never sees an error.

The guest is a boot sector that reads or writes one sector of the second disk per byte that comes
over its serial line: bits 0-6 are the place in MiB, bit 7 asks for a write.  It answers with R or,
if its BIOS was told of an error, E, and with the first byte of its buffer."""

import socket

from case import check, defer, require, run, start, wait_until, work
from engines import MIB, Engine, Source, connect, listening, random_image, read_all
from qmp import Qmp

require("nbdkit", "qemu-system-x86_64", "as", "objcopy")
SIZE = 64 * MIB
WRITE = 0x80
SECTOR = r"""
        .code16
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        movb    $'B', %al
        call    send
next:   movw    $0x3fd, %dx
1:      inb     %dx, %al
        testb   $1, %al
        jz      1b
        movw    $0x3f8, %dx
        inb     %dx, %al
        movb    %al, %bl
        movzbl  %al, %eax
        andl    $0x7f, %eax
        shll    $11, %eax
        movl    %eax, (packet - start + 0x7c00 + 8)
        movw    $0x4200, %cx
        testb   $0x80, %bl
        jz      2f
        movw    $0x8000, %di
        movw    $512, %cx
        movb    $'W', %al
        cld
        rep     stosb
        movw    $0x4300, %cx
2:      movw    %cx, %ax
        movb    $0x81, %dl
        movw    $(packet - start + 0x7c00), %si
        int     $0x13
        movb    $'R', %al
        jnc     3f
        movb    $'E', %al
3:      call    send
        movb    0x8000, %al
        call    send
        jmp     next
send:   movb    %al, %ah
        movw    $0x3fd, %dx
4:      inb     %dx, %al
        testb   $0x20, %al
        jz      4b
        movw    $0x3f8, %dx
        movb    %ah, %al
        outb    %al, %dx
        ret
packet: .byte   16, 0
        .word   1, 0x8000, 0
        .quad   0
        .org    510
        .word   0xaa55
"""


def boot_disk():
    (work / "boot.s").write_text("start:\n" + SECTOR)
    run("as", "--32", "-o", work / "boot.o", work / "boot.s")
    run("objcopy", "-O", "binary", "-j", ".text", work / "boot.o", work / "boot.img")
    with open(work / "boot.img", "r+b") as file:
        check(len(file.read()) == 512, "a boot sector has 512 bytes")
        file.truncate(MIB)
    return work / "boot.img"


def start_qemu():
    # It begins when its serial line has a listener: what it says before is lost.
    start("qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m", "32", "-nodefaults", "-display",
          "none", "-S", "-serial", f"unix:{work}/serial,server=on,wait=off", "-qmp",
          f"unix:{work}/qmp,server=on,wait=off",
          "-blockdev", f"driver=file,node-name=boot,filename={boot_disk()}",
          "-device", "virtio-blk-pci,drive=boot,bootindex=0",
          "-blockdev", "driver=nbd,node-name=disk,export=sda,server.type=unix,reconnect-delay=60,"
                       f"server.path={engine.store}/nbd.sock",
          "-device", "virtio-blk-pci,drive=disk,rerror=stop,werror=stop")
    wait_until((work / "qmp").exists, "QEMU's monitor")
    serial = socket.socket(socket.AF_UNIX)
    serial.connect(str(work / "serial"))
    serial.settimeout(120)
    defer(serial.close)
    monitor = Qmp(work / "qmp")
    monitor.call("cont")
    return serial, monitor


def answer():
    got = b""
    while len(got) < 2:
        got += serial.recv(2 - len(got))
    return got


def ask(command):
    serial.sendall(bytes([command]))


def hydration():
    return engine.status()["disks"][0].get("hydration", {"source": "done"})


def goes_on():
    """The source is back: so is the VM."""
    wait_until(lambda: hydration()["source"] == "up", "the source to be back", pause=0.05)
    qemu.call("cont")


image = random_image(work / "a.raw", SIZE)
expected = bytearray(image.read_bytes())
source = Source("sda", image)
engine = Engine(sda=SIZE)
engine.options.append("source-wait=1")
engine.start()
engine.call("limit", source_bytes_s=65536)
engine.call("flip", instant=True, disks=[source.request()], snapshot="final")
serial, qemu = start_qemu()
check(serial.recv(1) == b"B", "it boots")
ask(5)
check(answer() == b"R" + expected[5 * MIB:5 * MIB + 1], "a block comes from the source")

# ── a read waits in the paused VM ──
source.kill()
ask(20)
error = qemu.wait("BLOCK_IO_ERROR")["data"]
check(error["action"] == "stop" and error["operation"] == "read", f"a read stops the VM: {error}")
qemu.wait("STOP")
check(qemu.call("query-status")["status"] == "io-error", "paused")
source.start()
goes_on()
check(answer() == b"R" + expected[20 * MIB:20 * MIB + 1], "the guest never saw an error")

# ── so does a write of part of a missing sub-block; and several pauses in turn ──
source.kill()
ask(30 | WRITE)
check(qemu.wait("BLOCK_IO_ERROR")["data"]["action"] == "stop", "a write stops the VM")
qemu.call("cont")  # too early: it is paused again
check(qemu.wait("BLOCK_IO_ERROR")["data"]["action"] == "stop", "and again")
qemu.wait("STOP")
source.start()
goes_on()
check(answer() == b"RW", "the write goes through")
expected[30 * MIB:30 * MIB + 512] = b"W" * 512
ask(30)
check(answer() == b"RW", "and is read back")

# ── to the end ──
engine.call("limit", source_bytes_s=0)
wait_until(lambda: engine.status()["mode"] == "owner", "the end of the hydration")
qemu.call("quit")
disk = connect(engine.uri("sda"))
check(read_all(disk) == bytes(expected), "the disk is the source and what the guest wrote")
disk.shutdown()
