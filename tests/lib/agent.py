# SPDX-License-Identifier: Apache-2.0
"""Runs commands inside a guest through its QEMU guest agent, on the agent's own socket.

For guests whose libvirt driver is not attached now (libvirt's embedded driver holds the socket
while a program has it open).
"""

import base64
import json
import os
import socket
import time


class Agent:
    def __init__(self, path):
        self.path = str(path)
        self.connection = None
        self.buffer = b""

    def _line(self):
        while b"\n" not in self.buffer:
            piece = self.connection.recv(65536)
            if not piece:
                raise OSError("the connection has ended")
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line.lstrip(b"\xff"))

    def _send(self, execute, arguments):
        request = {"execute": execute}
        if arguments:
            request["arguments"] = arguments
        self.connection.sendall(json.dumps(request).encode() + b"\n")

    def _connect(self):
        """Connects and skips answers that are meant for an earlier client."""
        self.buffer = b""
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connection.settimeout(20)
        self.connection.connect(self.path)
        number = int.from_bytes(os.urandom(4), "big")
        self._send("guest-sync", {"id": number})
        while self._line().get("return") != number:
            pass

    def wait(self, timeout, heartbeat=None):
        """Waits until the agent answers; TimeoutError when it does not."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._connect()
                return
            except (OSError, ValueError) as error:
                self.connection.close()
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no guest agent on {self.path} within {timeout} s") \
                        from error
            if heartbeat:
                heartbeat()
            time.sleep(0.5)

    def call(self, execute, **arguments):
        if not self.connection:
            self._connect()
        self._send(execute, arguments)
        answer = self._line()
        if "error" in answer:
            raise RuntimeError(f"the guest agent, {execute}: {answer['error'].get('desc')}")
        return answer["return"]

    def run(self, command, timeout=180, expect=0):
        """Standard output of a shell command in the guest; RuntimeError unless it ends as expected
        (None: in any way)."""
        pid = self.call("guest-exec", path="/bin/sh", arg=["-c", command],
                        **{"capture-output": True})["pid"]
        deadline = time.monotonic() + timeout
        while not (status := self.call("guest-exec-status", pid=pid))["exited"]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"in the guest: '{command}' has no end after {timeout} s")
            time.sleep(0.2)
        code = status.get("exitcode", 128 + status.get("signal", 0))
        if expect is not None and code != expect:
            why = base64.b64decode(status.get("err-data", "")).decode(errors="replace")
            raise RuntimeError(f"in the guest: '{command}' ended with {code}: {why.strip()}")
        return base64.b64decode(status.get("out-data", "")).decode(errors="replace")

    def read_file(self, path, piece=1 << 20):
        handle = self.call("guest-file-open", path=path, mode="r")
        try:
            data = b""
            while True:
                part = self.call("guest-file-read", handle=handle, count=piece)
                data += base64.b64decode(part["buf-b64"])
                if part["eof"]:
                    return data
        finally:
            self.call("guest-file-close", handle=handle)
