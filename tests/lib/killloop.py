# SPDX-License-Identifier: Apache-2.0
"""A client that writes blocks which tell what they are, and knows what it was promised.

    writer = Writer(engine.uri("sda"), size, seed=1)
    writer.begin(); ...; engine.kill(); engine.start(); writer.lost(); writer.check_all()

Each 4 KiB block holds its offset, a counter and a checksum.  After a kill a block may hold what was
acknowledged last, or what was under way when the engine died, and nothing else: never something
older, something of another place, or half of anything.
"""

import random
import struct
import threading
import time
import zlib

import nbd

from case import check

BLOCK = 4096
HEAD = struct.Struct("<8sQQQ")
MAGIC = b"KILLLOOP"
ZERO = bytes(BLOCK)
DEPTH = 12


def block(number, counter):
    """The bytes of block `number` when it was written as `counter`."""
    pattern = struct.pack("<QQ", number * 0x9e3779b97f4a7c15 & (1 << 64) - 1, counter)
    body = (pattern * (BLOCK // 16))[HEAD.size:]
    crc = zlib.crc32(body, zlib.crc32(struct.pack("<QQ", number, counter)))
    return HEAD.pack(MAGIC, number, counter, crc) + body


def initial_image(path, size):
    """A source whose blocks all have counter 0."""
    with open(path, "wb") as image:
        for number in range(size // BLOCK):
            image.write(block(number, 0))
    return path


def told(number, data):
    """The counter a block tells, "zero", or a sentence in brackets about what is wrong."""
    if data == ZERO:
        return "zero"
    magic, where, counter, _ = HEAD.unpack(data[:HEAD.size])
    if magic != MAGIC:
        return "(not a block of ours)"
    if where != number:
        return f"(block {where})"
    return counter if data == block(number, counter) else f"(torn: {counter})"


class Operation:
    def __init__(self, first, values):
        self.first, self.values = first, values
        self.buffer = None

    def numbers(self):
        return range(self.first, self.first + len(self.values))


class Writer:
    """Writes from a thread of its own until told to end or the connection breaks."""

    def __init__(self, uri, size, seed, zeros=True):
        self.uri, self.blocks, self.zeros = uri, size // BLOCK, zeros
        self.rng = random.Random(seed)
        self.acked = [0] * self.blocks  # counter or "zero"
        self.pending = {}               # block: values that may be there as well
        self.busy = set()               # blocks of requests under way
        self.counter = 0
        self.operations = self.reads = 0
        self.broken = threading.Event()
        self.ending = threading.Event()
        self.thread = None
        self.failure = None
        self.free = {}                  # length in blocks: buffers

    # ── the writing thread ──

    def _pick(self):
        """A request to blocks that no other one is about."""
        for _ in range(50):
            length = self.rng.choice((1, 1, 1, 2, 5, 16, 40))
            first = self.rng.randrange(self.blocks - length)
            if not any(number in self.busy for number in range(first, first + length)):
                return first, length
        return None

    def _buffer(self, length):
        """libnbd's module keeps each buffer it was ever given, so they are used again."""
        free = self.free.get(length)
        return free.pop() if free else bytearray(length * BLOCK)

    def _submit(self, handle, flying):
        picked = self._pick()
        if picked is None:
            return
        first, length = picked
        self.counter += 1
        kind = self.rng.random()
        if kind < 0.15:
            self._submit_read(handle, flying, first, length)
            return
        zero = self.zeros and kind < 0.25
        operation = Operation(first, ["zero" if zero else self.counter] * length)
        for number, value in zip(operation.numbers(), operation.values):
            self.pending.setdefault(number, []).append(value)
            self.busy.add(number)
        flags = nbd.CMD_FLAG_FUA if self.rng.random() < 0.05 else 0
        if zero:
            cookie = handle.aio_zero(length * BLOCK, first * BLOCK, flags=flags)
        else:
            data = b"".join(block(number, self.counter) for number in operation.numbers())
            operation.buffer = self._buffer(length)
            operation.buffer[:] = data
            cookie = handle.aio_pwrite(operation.buffer, first * BLOCK, flags=flags)
        flying[cookie] = operation

    def _submit_read(self, handle, flying, first, length):
        operation = Operation(first, [None] * length)
        operation.buffer = self._buffer(length)
        self.busy.update(operation.numbers())
        flying[handle.aio_pread(operation.buffer, first * BLOCK)] = operation

    def _done(self, operation):
        for number, value in zip(operation.numbers(), operation.values):
            self.busy.discard(number)
            if value is not None:
                self.acked[number] = value
                del self.pending[number]
        self.operations += 1
        if operation.values[0] is None:
            self.reads += 1
            self._compare(operation.first, bytes(operation.buffer), "while running")
        if operation.buffer is not None:
            self.free.setdefault(len(operation.values), []).append(operation.buffer)

    def _complete(self, handle, flying):
        for cookie in list(flying):
            if handle.aio_command_completed(cookie):
                self._done(flying.pop(cookie))

    def _run(self):
        handle = nbd.NBD()
        flying = {}
        flush = None
        try:
            handle.connect_uri(self.uri)
            while flying or not self.ending.is_set():
                while len(flying) < DEPTH and not self.ending.is_set():
                    self._submit(handle, flying)
                if flush is None and self.rng.random() < 0.02:
                    flush = handle.aio_flush()
                handle.poll(1000)
                self._complete(handle, flying)
                if flush is not None and handle.aio_command_completed(flush):
                    flush = None
            handle.flush()
            handle.shutdown()
        except nbd.Error as error:
            # A request that was answered counts, also when the connection broke after that.
            for cookie in list(flying):
                try:
                    if handle.aio_command_completed(cookie):
                        self._done(flying.pop(cookie))
                except nbd.Error:
                    pass
            self.failure = self.failure or str(error)
            self.broken.set()
        except SystemExit as error:
            self.failure = str(error)
            self.broken.set()

    # ── the test's thread ──

    def begin(self):
        self.broken.clear()
        self.ending.clear()
        self.failure = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def end(self):
        """Lets it finish what is under way; fails when the connection broke."""
        self.ending.set()
        self.thread.join(120)
        check(not self.thread.is_alive(), "the writer ends")
        check(self.failure is None, f"the writer was not disturbed: {self.failure}")

    def lost(self):
        """The engine has been killed: waits until the writer has noticed."""
        self.thread.join(120)
        check(not self.thread.is_alive(), "the writer notices that the engine is gone")
        check(not (self.failure or "").startswith("FAILED"), self.failure or "")
        self.busy.clear()

    def _compare(self, first, data, when):
        for index in range(len(data) // BLOCK):
            number = first + index
            value = told(number, data[index * BLOCK:(index + 1) * BLOCK])
            good = [self.acked[number]] + self.pending.get(number, [])
            check(value in good, f"{when}: block {number} holds {value}, promised was {good}")

    def check_all(self, when="after the restart"):
        """Every block holds what was promised.  What is found is what counts from now on."""
        handle = nbd.NBD()
        handle.connect_uri(self.uri)
        for first in range(0, self.blocks, 256):
            count = min(256, self.blocks - first)
            data = bytes(handle.pread(count * BLOCK, first * BLOCK))
            self._compare(first, data, when)
            for index in range(count):
                if first + index in self.pending:
                    self.acked[first + index] = told(
                        first + index, data[index * BLOCK:(index + 1) * BLOCK])
        self.pending.clear()
        handle.shutdown()


    def check_touched(self, when):
        """The same of what has ever been written, and only that is read."""
        handle = nbd.NBD()
        handle.connect_uri(self.uri)
        for number in range(self.blocks):
            if self.acked[number] == 0 and number not in self.pending:
                continue
            data = bytes(handle.pread(BLOCK, number * BLOCK))
            self._compare(number, data, when)
            if number in self.pending:
                self.acked[number] = told(number, data)
                del self.pending[number]
        handle.shutdown()


def kill_loop(engine, writer, kills, seed, mean=0.2, look=lambda: None, touched=False):
    """Kills the engine at random times while the writer writes.  touched: only what was written is
    read after a kill, so that reading does not hydrate."""
    rng = random.Random(seed)
    longest = 0.0
    for number in range(kills):
        writer.begin()
        time.sleep(rng.expovariate(1 / mean))
        engine.kill()
        writer.lost()
        began = time.monotonic()
        engine.start()
        longest = max(longest, time.monotonic() - began)
        look()
        # Not each time: what the engine has in memory only is to get older than one kill.
        if number % 3 == 2 or number == kills - 1:
            check_now = writer.check_touched if touched else writer.check_all
            check_now(f"after kill {number + 1}")
    writer.begin()
    time.sleep(0.3)
    writer.end()
    print(f"{kills} kills, {writer.operations} requests answered ({writer.reads} reads), "
          f"failures: 0; longest restart {longest:.2f} s", flush=True)
