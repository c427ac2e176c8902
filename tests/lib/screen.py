# SPDX-License-Identifier: Apache-2.0
"""A program on a terminal of our own (a pty), and what it shows there."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from case import check, defer

ENTER, LEAVE = "\033[?1049h", "\033[?1049l"


class Screen:
    """Understands what slipway draws: home, erase to the end of line or page, text, newlines."""

    def __init__(self, argv, columns=100, lines=24, **environment):
        self.master, slave = pty.openpty()
        self.resize(columns, lines)
        self.slave = os.dup(slave)
        self.before = termios.tcgetattr(slave)
        self.bytes = b""
        self.process = subprocess.Popen(
            [str(a) for a in argv], stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **environment})
        os.close(slave)
        defer(self.end)

    def resize(self, columns, lines):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.columns, self.lines = columns, lines

    def read(self, seconds=0.05):
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if not select.select([self.master], [], [], max(left, 0))[0]:
                return
            try:
                self.bytes += os.read(self.master, 65536)
            except OSError:
                return

    def text(self):
        """All that was written until now."""
        self.read()
        return self.bytes.decode(errors="strict")

    def pages(self):
        """Every page that was drawn completely, as lists of lines."""
        drawn = self.text().split("\033[H")[1:]
        return [page.split("\033[J")[0].replace("\r", "").replace("\033[K", "").split("\n")
                for page in drawn if "\033[J" in page and "\033[2J" not in page]

    def page(self):
        pages = self.pages()
        return pages[-1] if pages else []

    def wait(self, condition, what, timeout=20):
        deadline = time.monotonic() + timeout
        while not condition(self.page()):
            check(time.monotonic() < deadline, f"{what}: {self.page()}")
        return self.page()

    def type(self, keys):
        os.write(self.master, keys.encode())

    def ended(self, timeout=20):
        """The exit code; the rest of the output is read meanwhile."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            self.read()
            check(time.monotonic() < deadline, "the program on the terminal ends")
        self.read(0.2)
        return self.process.returncode

    def is_given_back(self):
        """The other screen, the cursor and the modes are as they were."""
        text = self.text()
        return text.count(ENTER) == text.count(LEAVE) > 0 and \
            text.rindex("\033[?25h") > text.rindex("\033[?25l") and \
            termios.tcgetattr(self.slave) == self.before

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


def stray_controls(text):
    """Control characters and sequences that slipway has no business to print."""
    known = re.sub(r"\033\[(\?1049[hl]|\?25[hl]|\?7[hl]|H|2J|K|J)", "", text)
    return sorted(set(re.findall(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]", known)))
