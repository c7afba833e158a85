"""A SARIF file as it lies on disk -> its JSON, or one sentence about why it is refused.

Rules this module keeps:
- the file is hostile: a regular file, bounded in size also after it is unpacked, and in depth;
- what JSON leaves open is refused, not guessed: keys that stand twice, NaN, other encodings;
- only version 2.1.0, and only a file that holds all of its properties.

Units: sizes in bytes.
Source: OASIS SARIF 2.1.0, sections 3.13, 3.14 and 3.15.2; RFC 8259.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import stat
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tavo.errors import InputError
from tavo.printable import one_line

__all__ = ["LARGEST", "SarifFile", "read_sarif"]

LARGEST = 100 << 20
"""How large a SARIF file may be, on disk and unpacked."""

_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_VERSION = "2.1.0"
_MOST_RUNS = 100
_GZIP = b"\x1f\x8b"
_FOREIGN = {
    codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16",
}  # fmt: skip
_AGAIN = "Write the file again with the tool that made it; nothing was imported."


class SarifFile(msgspec.Struct, frozen=True):
    """A SARIF file that was read: its name, SHA-256 of its bytes, and its runs, not yet checked."""

    path: Path
    digest: str
    runs: tuple[Mapping[str, Any], ...]


def read_sarif(path: Path) -> SarifFile:
    """Read a SARIF file, also one packed with gzip. Raises InputError with the reason."""
    data = _bytes_of(path)
    digest = hashlib.sha256(data).hexdigest()
    if data.startswith(_GZIP):
        data = _unpacked(data, path)
    value = _json_of(data, path)
    return SarifFile(path, digest, _runs_of(value, path))


def _refused(path: Path, reason: str, hint: str = _AGAIN) -> InputError:
    return InputError(f"{path}: {reason}", hint=hint)


def _bytes_of(path: Path) -> bytes:
    try:
        descriptor = os.open(path, _READING)
        with open(descriptor, "rb") as stream:  # noqa: PTH123  (a descriptor, so that no FIFO blocks)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _refused(path, "is not a regular file", "Name a SARIF file.")
            data = stream.read(LARGEST + 1)
    except FileNotFoundError:
        raise _refused(path, "no such file", "Name a SARIF file.") from None
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}", "Name a SARIF file.") from error
    if len(data) > LARGEST:
        raise _too_large(path, "is")
    if not data.strip():
        raise _refused(path, "is empty, expected SARIF 2.1.0")
    return data


def _too_large(path: Path, what: str) -> InputError:
    return _refused(
        path, f"{what} larger than {LARGEST >> 20} MB, the most that is read",
        "Let the tool scan the project in parts, and import each part.",
    )  # fmt: skip


def _unpacked(data: bytes, path: Path) -> bytes:
    machine = zlib.decompressobj(wbits=31)
    try:
        out = machine.decompress(data, LARGEST + 1)
    except zlib.error as error:
        raise _refused(path, f"is not gzip, although it begins like it: {error}") from None
    if len(out) > LARGEST:
        raise _too_large(path, "unpacked it is")
    if not machine.eof or machine.unused_data:
        raise _refused(path, "is not one whole gzip stream: it is cut off, or something follows it")
    return out


def _json_of(data: bytes, path: Path) -> Any:
    for mark, encoding in _FOREIGN.items():
        if data.startswith(mark):
            raise _refused(
                path, f"is {encoding}, expected UTF-8",
                "Write it as UTF-8; in PowerShell: `tool | Out-File -Encoding utf8 FILE`.",
            )  # fmt: skip
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused(path, f"is not UTF-8 at byte {error.start}") from None
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _refused(path, f"is not JSON: {where}: {error.msg}") from None
    except RecursionError:
        raise _refused(path, "is nested too deep") from None
    except ValueError as error:
        raise _refused(path, f"is not JSON as SARIF asks for: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {one_line(key[:60])!r} stands twice in one object")
            seen.add(key)
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")


def _runs_of(value: Any, path: Path) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, Mapping):
        raise _refused(path, "is no SARIF: expected an object with version and runs")
    version = value.get("version")
    if version != _VERSION:
        if not isinstance(version, str):
            raise _refused(path, "is no SARIF: it names no version")
        shown = one_line(version[:20])
        raise _refused(
            path, f"is SARIF {shown!r}, only {_VERSION} is read",
            "Let the tool write SARIF 2.1.0, which every current one does.",
        )  # fmt: skip
    runs = value.get("runs")
    if not isinstance(runs, list) or not all(isinstance(run, Mapping) for run in runs):
        raise _refused(path, "is no SARIF: expected a list under 'runs'")
    if not runs:
        raise _refused(path, "holds no run, so it says nothing about any file")
    if len(runs) > _MOST_RUNS:
        raise _refused(path, f"holds {len(runs)} runs, at most {_MOST_RUNS} are read")
    outside = "its findings are partly in other files"
    if value.get("inlineExternalProperties"):
        raise _refused(path, f"uses inlineExternalProperties, which is not supported: {outside}")
    for run in runs:
        if run.get("externalPropertyFileReferences"):
            raise _refused(
                path, f"uses externalPropertyFileReferences, which is not supported: {outside}"
            )
    return tuple(runs)
