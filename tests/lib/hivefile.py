# SPDX-License-Identifier: Apache-2.0
"""Registry hives for tests: the smallest valid one, filled through hivex.

    hivefile.write(path, {"Select": {"Current": 1}, r"ControlSet001\\Services\\disk": {"Start": 0}})

A value is an int (REG_DWORD), a str (REG_SZ), a list of str (REG_MULTI_SZ), bytes (REG_BINARY), or
("expand", str)."""

import struct

import hivex

BLOCK = 4096
NONE = 0xffffffff


def cell(content, used=True):
    """A cell: its size, negative while in use, and its content, padded to 8 bytes."""
    size = (len(content) + 4 + 7) // 8 * 8
    return struct.pack("<i", -size if used else size) + content.ljust(size - 4, b"\0")


def empty():
    """A header, and one block with a root key and its security descriptor."""
    sid = bytes([1, 2, 0, 0, 0, 0, 0, 5]) + struct.pack("<II", 32, 544)
    everyone = bytes([1, 1, 0, 0, 0, 0, 0, 1]) + struct.pack("<I", 0)
    entry = struct.pack("<BBHI", 0, 2, 8 + len(everyone), 0xF003F) + everyone
    acl = struct.pack("<BBHHH", 2, 0, 8 + len(entry), 1, 0) + entry
    descriptor = struct.pack("<BBHIIII", 1, 0, 0x8004, 20, 20 + len(sid), 0,
                             20 + 2 * len(sid)) + sid + sid + acl

    def key(security):
        return cell(struct.pack("<2sHQIIIIIIIIIIIIIIIHH", b"nk", 0x2c, 0, 0, NONE, 0, 0, NONE, NONE,
                                0, NONE, security, NONE, 0, 0, 0, 0, 0, 4, 0) + b"ROOT")

    at = 0x20 + len(key(0))
    content = key(at) + cell(struct.pack("<2sHIIII", b"sk", 0, at, at, 1, len(descriptor))
                             + descriptor)
    content += cell(bytes(BLOCK - 0x20 - len(content) - 4), False)
    block = struct.pack("<4sIIQQI", b"hbin", 0, BLOCK, 0, 0, 0) + content
    header = struct.pack("<4sIIQIIIIIII", b"regf", 1, 1, 0, 1, 3, 0, 1, 0x20, BLOCK, 1)
    header = header.ljust(508, b"\0")
    checksum = 0
    for word in struct.unpack("<127I", header):
        checksum ^= word
    return (header + struct.pack("<I", checksum)).ljust(BLOCK, b"\0") + block


def utf16(text):
    return text.encode("utf-16le") + b"\0\0"


def encoded(value):
    """Type and bytes of a value."""
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, bytes):
        return 3, value
    if isinstance(value, list):
        return 7, b"".join(utf16(item) for item in value) + b"\0\0"
    if isinstance(value, tuple):
        return 2, utf16(value[1])
    return 1, utf16(value)


def node_at(hive, path):
    node = hive.root()
    for name in filter(None, path.split("\\")):
        node = hive.node_get_child(node, name) or hive.node_add_child(node, name)
    return node


def write(path, keys):
    """Writes the hive `path`; keys: path of a key → its values."""
    path.write_bytes(empty())
    hive = hivex.Hivex(str(path), write=True)
    for key, values in keys.items():
        node = node_at(hive, key)
        for name, value in values.items():
            kind, data = encoded(value)
            hive.node_set_value(node, {"key": name, "t": kind, "value": data})
    hive.commit(None)


def read(path, key, name):
    """A value as it was given to write(); None when it is not there."""
    hive = hivex.Hivex(str(path))
    node = hive.root()
    for part in filter(None, key.split("\\")):
        node = hive.node_get_child(node, part)
        if not node:
            return None
    try:
        kind, data = hive.value_value(hive.node_get_value(node, name))
    except (RuntimeError, TypeError):
        return None
    if kind == 4:
        return struct.unpack("<I", data)[0]
    if kind in (1, 2):
        return data.decode("utf-16le").rstrip("\0")
    if kind == 7:
        return data.decode("utf-16le").rstrip("\0").split("\0")
    return data
