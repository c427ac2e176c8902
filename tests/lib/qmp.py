# SPDX-License-Identifier: Apache-2.0
"""QEMU's monitor.

    qemu = Qmp(path); qemu.call("query-status"); qemu.wait("STOP")
"""

import json
import socket


class Qmp:
    """A connection to a monitor socket; events that come in between are kept."""

    def __init__(self, path, timeout=120):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("r")
        self.events = []
        self.lines.readline()  # the greeting
        self.call("qmp_capabilities")

    def read(self):
        line = self.lines.readline()
        if not line:
            raise EOFError("QEMU ended")
        return json.loads(line)

    def call(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            message = self.read()
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise RuntimeError(message["error"]["desc"])
            self.events.append(message)

    def wait(self, event):
        """The next event of this name; those before it are dropped."""
        while True:
            message = self.events.pop(0) if self.events else self.read()
            if message.get("event") == event:
                return message
