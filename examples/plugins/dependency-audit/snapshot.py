"""A snapshot of advisories, as tavo writes it (`advisories.db`, form 1), asked about versions.

Rules this module keeps:
- it is opened in memory and for reading; what is not such a snapshot is refused with a sentence;
- versions compare by PEP 440 for PyPI and by semantic versioning for npm; a version that is none
  there is told apart from one that is not affected.

Source: the OSV schema, its evaluation of ranges.
"""

from __future__ import annotations

import gzip
import io
import json
import lzma
import re
import sqlite3
from dataclasses import dataclass
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

__all__ = ["Known", "Snapshot"]

_LARGEST = 256 << 20
_SEMVER = re.compile(r"v?(\d{1,15}(?:\.\d{1,15}){0,3})(?:-([0-9A-Za-z.-]{1,100}))?(?:\+[\w.-]*)?\Z")
_ORDER = {"fixed": 0, "introduced": 1, "last_affected": 2, "limit": 3}


@dataclass(frozen=True, slots=True)
class Known:
    """An advisory about a version; `fixed` is the first version above that is not affected."""

    id: str
    aliases: tuple[str, ...]
    summary: str
    severity: str
    fixed: str
    certain: bool


class Snapshot:
    """An open snapshot."""

    def __init__(self, data: bytes) -> None:
        """Open the bytes of a snapshot, which may be packed by gzip or xz. Raises ValueError."""
        unpacked = _unpacked(data)
        if not unpacked.startswith(b"SQLite format 3\0"):
            raise ValueError("it is no snapshot of advisories (advisories.db)")
        self._connection = sqlite3.connect(":memory:")
        try:
            self._connection.deserialize(unpacked)
            self._connection.execute("PRAGMA query_only = 1")
            form, self.records, self.newest = self._connection.execute(
                "SELECT format, records, newest FROM snapshot"
            ).fetchone()
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise ValueError(f"it is no snapshot of advisories: {error}") from error
        if form != 1:
            raise ValueError(f"it has the form {form}; this plugin reads form 1")

    def about(self, ecosystem: str, name: str, version: str) -> list[Known]:
        """Return the advisories about a version, by id. Raises ValueError where it is damaged."""
        normal = canonicalize_name(name) if ecosystem == "PyPI" else name
        found: dict[str, Known] = {}
        try:
            rows = self._connection.execute(
                "SELECT a.name, a.aliases, a.summary, a.severity, f.versions, f.ranges"
                " FROM affected f JOIN advisories a ON a.id = f.advisory"
                " WHERE f.ecosystem = ? AND f.package = ? ORDER BY a.name",
                (ecosystem, normal),
            ).fetchall()
            for id_, aliases, summary, severity, versions, ranges in rows:
                listed, spans = json.loads(versions), json.loads(ranges)
                answer = _affects(ecosystem, listed, spans, version)
                if answer is False or (id_ in found and found[id_].certain):
                    continue
                found[id_] = Known(
                    id_, tuple(json.loads(aliases)), summary, severity,
                    _fixed_in(ecosystem, spans, version), answer is True,
                )  # fmt: skip
        except (sqlite3.Error, TypeError, KeyError) as error:
            raise ValueError(f"the snapshot is damaged: {error}") from error
        return list(found.values())


def _unpacked(data: bytes) -> bytes:
    opened = {b"\x1f\x8b": gzip.open, b"\xfd7": lzma.open}.get(data[:2])
    if opened is None:
        return data
    try:
        with opened(io.BytesIO(data)) as stream:
            unpacked = bytes(stream.read(_LARGEST + 1))
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise ValueError(f"it cannot be unpacked: {error}") from error
    if len(unpacked) > _LARGEST:
        raise ValueError(f"it unpacks to more than {_LARGEST >> 20} MB")
    return unpacked


def _place(ecosystem: str, text: str) -> Any:
    """Return a value that compares with others of its ecosystem, None for what is no version."""
    if ecosystem == "PyPI":
        try:
            return (1, Version(text)) if len(text) <= 200 else None
        except InvalidVersion:
            return None
    match = _SEMVER.match(text)
    if match is None:
        return None
    numbers = (*(int(one) for one in match[1].split(".")), 0, 0, 0)[:4]
    parts = tuple(
        (0, int(one), "") if one.isdecimal() else (1, 0, one)
        for one in (match[2].split(".") if match[2] else ())
    )
    return (1, (*numbers, 0 if parts else 1, parts))


def _bound(ecosystem: str, text: str) -> Any:
    return (0,) if text == "0" else _place(ecosystem, text)


def _affects(ecosystem: str, listed: list[str], spans: list[Any], version: str) -> bool | None:
    """Tell whether a version is affected; None where that cannot be told."""
    if version in listed:
        return True
    asked = _place(ecosystem, version)
    if asked is None:
        return None
    if any(_place(ecosystem, one) == asked for one in listed):
        return True
    answers = [_in_span(ecosystem, span, asked) for span in spans]
    return True if True in answers else None if None in answers else False


def _in_span(ecosystem: str, span: list[Any], asked: Any) -> bool | None:
    events = [(_bound(ecosystem, at), kind) for kind, at in span if at != "*"]
    if any(at is None for at, _ in events):
        return None
    limits = [at for at, kind in events if kind == "limit"]
    if limits and not any(asked < at for at in limits):
        return False
    inside = False
    for at, kind in sorted(events, key=lambda one: (one[0], _ORDER.get(one[1], 1))):
        if kind == "introduced" and asked >= at:
            inside = True
        elif (kind == "fixed" and asked >= at) or (kind == "last_affected" and asked > at):
            inside = False
    return inside


def _fixed_in(ecosystem: str, spans: list[Any], version: str) -> str:
    asked = _place(ecosystem, version)
    fixes = [(_bound(ecosystem, at), at) for span in spans for kind, at in span if kind == "fixed"]
    above = sorted(one for one in fixes if one[0] is not None and (asked is None or one[0] > asked))
    return str(above[0][1]) if above else ""
