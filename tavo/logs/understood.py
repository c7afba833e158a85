"""Whether records say anything that rules look at, as a reader takes them.

Rules this module keeps:
- a log of which the generic reader understands nearly nothing is not called clean: it is said, and
  the run is not complete;
- so it is with a reader that was named and that finds no such field at all, and with traces and
  logs of OpenTelemetry, which may be of anything;
- a path or a method alone says nothing: nearly every log has one.

The records at the beginning are tried; where they say nothing, those after them, too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from tavo.logs.event import LogEvent
from tavo.logs.lines import line_reader
from tavo.logs.mapping import Mapping
from tavo.logs.sigma.rules import LogRule
from tavo.logs.sniff import GENERIC, Guess
from tavo.logs.sources import Source, SourceProblem, blocks
from tavo.logs.wrapped import unwrapped

__all__ = ["why_not"]

_WEAK = {"time", "url.path", "http.request.method", "user_agent.original"}
_OF_SPANS = {"outcome", "log.body", "log.logger", "error.type", "error.message"}
"""What a span of anything has, of a database as of a model."""
_LEAST = 0.05
_MOST_RECORDS = 20_000


class _Understood:
    """Counts the records of a log and those that say something."""

    def __init__(self, table: Mapping, rules: Iterable[LogRule]) -> None:
        self.records = self.telling = 0
        self._table = table
        self._read = line_reader(table)
        found = {name for rule in rules if table.fits(rule.logsource) for name in rule.fields}
        wanted = found - _WEAK - (_OF_SPANS if table.lines == "otlp" else set()) or found
        self._fields = sorted(wanted)

    def add(self, lines: Iterable[bytes]) -> bool:
        """Count the records of lines; tell whether there is room for more."""
        for line in lines:
            if not line.strip():
                continue
            records, problems = self._read(line)
            if problems:
                continue  # said elsewhere
            for record in records:
                self.records += 1
                event = LogEvent(record, self._table)
                self.telling += any(event.get(name) for name in self._fields)
            if self.records >= _MOST_RECORDS:
                return False
        return True

    @property
    def enough(self) -> bool:
        """Tell whether the reader can be said to understand the log."""
        if not self.records or not self._fields:
            return True  # rules without fields look at all texts
        return self.telling > (_LEAST * self.records if self._table.name in GENERIC else 0)


def why_not(source: Source, found: Guess, lines: Iterable[bytes], rules: Sequence[LogRule]) -> str:
    """Return why a log cannot be called looked at, empty where it can; `lines` are its first."""
    table = found.mapping
    if not _is_asked(table, forced=found.forced):
        return ""
    understood = _Understood(table, rules)
    understood.add(lines)
    if not understood.enough and source.path is not None:
        understood = _Understood(table, rules)
        with contextlib.suppress(SourceProblem):  # is said where it is read for the rules
            for block in blocks(source):
                below: Sequence[bytes] = block.data.split(b"\n")
                if found.wrapping:
                    below = unwrapped(below, found.wrapping)
                if not understood.add(below):
                    break
    return "" if understood.enough else _sentence(understood, table)


def _is_asked(table: Mapping, *, forced: bool) -> bool:
    """Tell whether to ask at all: of a format that has its marks in the lines, or of a generic one
    that the user named, it is known.
    """
    generic = table.name in GENERIC
    if table.lines == "otlp":
        return True
    return (table.lines in {"json", "csv"} and not generic) if forced else generic


def _sentence(found: _Understood, table: Mapping) -> str:
    none = "none" if not found.telling else f"only {found.telling:,}"
    reader = "the generic reader" if table.name in GENERIC else f"the reader {table.name}"
    return (
        f"{reader} does not understand this log: {none} of its first {found.records:,} records"
        " has a prompt, an answer, a tool call, usage, a status or another field that rules look"
        " at, so no finding means nothing here; describe its fields with `--mapping FILE`, or name"
        " its format with `--reader NAME` (`tavo logs formats` lists them)"
    )
