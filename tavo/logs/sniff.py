"""The format of a log by its first lines, and how sure that is.

Rules this module keeps:
- a format is known by marks that its table names, counted over the first lines; no file name
  decides;
- what no table knows is generic JSON lines, or nothing: then the file is not analysed, and said so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tavo.logs.encoded import MARK
from tavo.logs.folded import csv_header
from tavo.logs.lines import line_reader
from tavo.logs.mapping import Mapping
from tavo.logs.record import Path, values_at
from tavo.logs.wrapped import WRAPPINGS

__all__ = ["GENERIC", "Guess", "guess", "is_spread_out", "of_columns"]

GENERIC = frozenset({"jsonl", "csv", "program"})
"""Readers that any records fit."""

_ENOUGH = 0.5
_SURE = 0.95
_LEAST = 0.2  # a program writes other lines between those that have fields, and each is said


class Guess(msgspec.Struct, frozen=True, kw_only=True):
    """A format for a file; `share` is the part of the first lines that have its marks, 0 to 1.

    `wrapping` says what a container's runtime has put around each line.
    """

    mapping: Mapping
    share: float
    lines: int
    forced: bool = False
    wrapping: str = ""

    @property
    def how_sure(self) -> str:
        """Return how sure it is, in words."""
        where = f", {WRAPPINGS[self.wrapping]}" if self.wrapping else ""
        return f"{self._how_sure}{where}"

    @property
    def _how_sure(self) -> str:
        if self.forced:
            return "as you said"
        if self.mapping.name in GENERIC:
            return "generic: no format has its marks in these lines"
        word = "sure" if self.share >= _SURE else "likely"
        if self.lines == 1:
            return f"{word}: its first line has its marks"
        return f"{word}: {round(self.share * 100)} % of the first {self.lines} lines have its marks"


def of_columns(table: Mapping, folding: str, lines: Sequence[bytes], name: str) -> Mapping:
    """Return a table as it reads a file of CSV; of any other file the table itself."""
    header = csv_header(lines, name) if folding == "csv" and table.lines == "json" else None
    return table if header is None else table.of_columns(header)


def guess(
    lines: Sequence[bytes], tables: Iterable[Mapping], *, folding: str = "", name: str = ""
) -> Guess | None:
    """Return the format that fits best, None where none does."""
    lines = [line.removeprefix(MARK) for line in lines if line.strip()]
    if not lines:
        return None
    if folding == "csv":
        tables = [of_columns(one, folding, lines, name) for one in tables if one.lines == "json"]
    best: tuple[float, Guess] | None = None
    generic: Guess | None = None
    for table in tables:
        if table.name == "jsonl":
            share = sum(line.lstrip()[:1] == b"{" for line in lines) / len(lines)
            if share >= _ENOUGH and folding != "csv":
                generic = Guess(mapping=table, share=share, lines=len(lines))
            continue
        share, marks = _share(table, lines)
        if table.name == "program":
            if share >= _LEAST and generic is None:
                generic = Guess(mapping=table, share=share, lines=len(lines))
            continue
        if share >= _ENOUGH:
            weight = share * (1 + 0.1 * marks)
            if best is None or weight > best[0]:
                best = weight, Guess(mapping=table, share=share, lines=len(lines))
    return best[1] if best is not None else generic


def is_spread_out(lines: Sequence[bytes]) -> bool:
    """Tell whether lines are one JSON value written over many, as programs write it for people."""
    some = [line.rstrip() for line in lines if line.strip()][:20]
    return (
        len(some) > 2
        and some[0] in (b"{", b"[", b"[{")
        and all(line[:1] in b' \t{}[]"' for line in some[1:])
    )


def _share(table: Mapping, lines: Sequence[bytes]) -> tuple[float, float]:
    """Return the part of the lines with a table's marks, and how many there are on average."""
    json_lines = table.lines in {"json", "otlp"}
    rows = table.lines == "csv"
    read = line_reader(table)
    found, marks = 0, 0
    for line in lines:
        if json_lines and line.lstrip()[:1] not in (b"{", b"["):
            continue
        if table.lines == "otlp" and b'"resource' not in line:
            continue
        records, problems = read(line)
        if table.lines == "otlp":
            met = 8 if records and "log.body" not in records[0] else 0
        elif json_lines or rows:
            met = max((_marks(table, record) for record in records[:4]), default=0)
        else:
            met = 0 if any("no record" in one for one in problems) else 8
        found += met > 0
        marks += met
    return found / len(lines), marks / max(1, found)


def _marks(table: Mapping, record: Any) -> int:
    """Return how many marks of a table a record has, 0 if it is not of that format."""
    if any(not _there(record, path) for path in table.detect_all):
        return 0
    if any(_there(record, path) for path in table.detect_none):
        return 0
    for path, words in table.detect_equal.items():
        if not any(str(value) in words for value in values_at(record, path)):
            return 0
    met = sum(_there(record, path) for path in table.detect_any)
    if table.detect_any and not met:
        return 0
    return met + 2 * len(table.detect_all) + 3 * len(table.detect_equal)


def _there(record: Any, path: Path) -> bool:
    return bool(values_at(record, path))
