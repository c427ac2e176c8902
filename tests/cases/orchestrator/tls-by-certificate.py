#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""Over TCP: who shows a certificate of slipwayd's CA gets in and may do what its name may; no
other, expired, revoked or wrong one does, and the sentence says why.  All the API works, also the
stream of events and long answers; files that change count at once."""

import http.client
import json
import re
import socket
import ssl
import subprocess

from case import check, require, wait_until, work
from certificates import Authority
from fakes import Platform, cli_program

require("openssl")
ca, other = Authority(work / "ca"), Authority(work / "other")
server = ca.issue("server", "serverAuth", "IP:127.0.0.1")
alice = ca.issue("alice")
bob = ca.issue("bob", alt="DNS:bob.example,email:bob@example.com")
roles = work / "roles"
roles.write_text("alice write\nbob@example.com read\nserver write\nold write\n")

p = Platform(work / "p")
options = ["--listen", "127.0.0.1:0", "--tls-cert", server[0], "--tls-key", server[1], "--tls-ca",
           ca.cert, "--tls-crl", ca.crl, "--tls-roles", roles]


def begin():
    log = p.folder / "daemon.log"
    log.unlink(missing_ok=True)
    p.start(options=options)
    found = []
    wait_until(lambda: found.extend(re.findall(r"TLS on 127\.0\.0\.1:(\d+)", log.read_text()))
               or found, "slipwayd listens")
    return found[0]


def cli(who, *argv, expect=0, url=None, trust=ca.cert):
    """Runs slipway as a client over TLS; standard output, or the sentence."""
    identity = ["--cert", who[0], "--key", who[1]] if who else []
    result = subprocess.run(
        [cli_program, *argv, "--server", url or f"https://127.0.0.1:{port}", "--ca", trust,
         *identity], text=True, capture_output=True, check=False, timeout=60)
    print(f"{who[0].stem if who else None} {argv}: {result.returncode} {result.stdout}"
          f"{result.stderr}")
    check(result.returncode == expect, f"{argv} ended with {result.returncode}, not {expect}")
    return result.stdout if expect == 0 else result.stderr


port = begin()
cli(alice, "source", "add", "src", f"test://{p.source}")
cli(alice, "migrate", "src/web", "--follow")
check("mirrored" in cli(alice, "status", "web"), "the CLI works over TLS")
check("src " in cli(bob, "source", "list"), "who may read may look")
says = cli(bob, "sync", "web", "--detach", expect=1)
check("bob@example.com may not change" in says, f"and nothing else: {says}")

# Who is not let in, and why.
carol = ca.issue("carol")
old = ca.issue("old", days=-1)
mallory = other.issue("alice")
for who, word in ((None, "wants a certificate"), (old, "has expired"),
                  (mallory, "does not know who issued"), (server, "not one for clients")):
    says = cli(who, "status", expect=1)
    check("does not let us in" in says and word in says, f"{word}: {says}")
says = cli(carol, "status", expect=1)
check("carol may not look" in says, f"a certificate without a role: {says}")
says = cli(alice, "status", expect=1, trust=other.cert)
check("cannot be trusted" in says and "--ca" in says, f"a server of somebody else: {says}")
says = cli(alice, "status", expect=1, url=f"https://localhost:{port}")
check("cannot be trusted" in says, f"a server of another name: {says}")
says = cli(alice, "status", expect=2, url=f"http://127.0.0.1:{port}")
check("wants https://" in says, "no TLS, no talk")
cli((alice[0], bob[1]), "status", expect=2)
cli(alice, "status", expect=8, url="https://127.0.0.1:1")
log = (p.folder / "daemon.log").read_text()
for word in ("certificate has expired", "has shown no certificate", "unable to get local issuer",
             "certificate alice: taken", "bob@example.com may not change"):
    check(word in log, f"the log says '{word}'")


def connect(who, version=None):
    context = ssl.create_default_context(cafile=ca.cert)
    if who:
        context.load_cert_chain(*who)
    if version:
        context.minimum_version = context.maximum_version = version
    s = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port)), 30),
                            server_hostname="127.0.0.1")
    s.settimeout(30)
    return s


# Events, a long body, a connection that stays, both versions of TLS.
with connect(alice) as s, s.makefile("r", encoding="utf-8") as stream:
    s.sendall(b"GET /v1/events HTTP/1.0\r\n\r\n")
    check(" 200 OK" in stream.readline(), "the stream begins")
    cli(alice, "sync", "web", "--follow")
    for line in stream:
        if line.startswith("{"):
            event = json.loads(line)
            if event["event"] == "request":
                break
    check(event["who"] == "certificate alice" and "uid" not in event, f"who it was: {event}")
    check(any('"mirrored"' in line for line in stream), "the stream goes on")
with connect(alice, ssl.TLSVersion.TLSv1_2) as s:
    long = "test:///" + "x" * 900_000
    body = json.dumps({"name": "long", "uri": long, "check": False})
    connection = http.client.HTTPConnection("127.0.0.1")
    connection.sock = s
    connection.request("POST", "/v1/sources", body)
    answer = connection.getresponse()
    check(answer.status == 201 and long in answer.read().decode(), "long bodies pass both ways")
    connection.request("GET", "/v1/sources")
    check(long in connection.getresponse().read().decode(), "again on the same connection")
try:
    connect(alice, ssl.TLSVersion.TLSv1_1)
    check(False, "TLS 1.1 is refused")
except (ssl.SSLError, ValueError):
    pass

# Many who do not finish their handshake do not keep those away who come by the socket.
idle = [socket.create_connection(("127.0.0.1", int(port))) for _ in range(20)]
cli(alice, "status")
p.cli("status")
for s in idle:
    s.close()

# Files that change: a new role, somebody revoked, nonsense.
roles.write_text("alice write\ncarol read\n")
cli(carol, "status")
check("may not look" in cli(bob, "status", expect=1), "bob's role is gone")
roles.write_text("alice right\n")
check("may not look" in cli(alice, "status", expect=1), "nonsense lets nobody in")
roles.write_text("alice write\ncarol read\n")
cli(alice, "status")
ca.revoke(carol[0])
check("is revoked" in cli(carol, "status", expect=1), "a revoked certificate is refused at once")
cli(alice, "status")
server[0].write_text("nonsense")
cli(alice, "status")
check("TLS goes on with the files as they were" in (p.folder / "daemon.log").read_text(), "told")

# What is open ends with slipwayd.
with connect(alice) as s:
    s.sendall(b"GET /v1/events HTTP/1.0\r\n\r\n")
    s.recv(1)
    p.stop()
    while s.recv(65536):
        pass

# Wrong files and options keep slipwayd from starting.
server = ca.issue("server", "serverAuth", "IP:127.0.0.1")


def refuses(argv, code, word):
    result = subprocess.run([p.daemon.args[0], "--state", p.state, "--socket", p.socket, *argv],
                            text=True, capture_output=True, check=False, timeout=30)
    print(result.stderr)
    check(result.returncode == code and word in result.stderr, f"{word} and {code}")


refuses(options[:2], 2, "--tls-roles")
refuses(["--listen", "7443", *options[2:]], 2, "ADDRESS:PORT")
refuses(["--listen", "nowhere.invalid:1", *options[2:]], 2, "nowhere.invalid")
server[1].chmod(0o644)
refuses(options, 2, "chmod 600")
server[1].chmod(0o600)
refuses([*options, "--tls-key", alice[1]], 2, "the TLS key")
refuses([*options, "--tls-crl", roles], 2, "list of revoked certificates")
refuses([*options, "--tls-roles", work / "none"], 3, "roles of certificates")
port = begin()
cli(alice, "status")
