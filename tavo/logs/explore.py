"""A database to look at logs with: counts of all events, a sample of them, and all evidence.

Rules this module keeps:
- counts are of all events; rows are of a sample that is bounded, and of every record that a finding
  names, so that a log of any size makes a database of a bounded one;
- texts are masked and cut; the raw record stays in its file, and is read from there when somebody
  looks at it;
- the sample is every n-th event, the same for the same logs.

Units: times in seconds since 1970, sizes in bytes, costs in US dollars.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tavo.logs.event import LogEvent
from tavo.logs.explore_counts import FIELDS, Overview, shown
from tavo.logs.lines import line_reader
from tavo.logs.masking import masked, masked_piece
from tavo.logs.slim import Slim
from tavo.logs.sniff import Guess
from tavo.logs.sources import Source, SourceProblem, blocks
from tavo.logs.wrapped import unwrapped
from tavo.results.values import Reported

__all__ = ["MOST_EVENTS", "build", "fields_of", "is_ours", "places_of"]

MOST_EVENTS = 100_000
_APPLICATION_ID = 0x74617665  # "tave"
_PLACE_OF_ID = 68  # in the header of an SQLite file
_MOST_FINDINGS = 50_000
_TEXT = 200
_LONG_TEXT = 1000
_HEAD = 1 << 20
_AT = "TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%d %H:%M:%S', {}, 'unixepoch')) VIRTUAL"
"""A time as people write it, for filters: `starts with 2026-11-28 10`."""

_TABLES = f"""
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE logs (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, format TEXT NOT NULL, bytes INTEGER NOT NULL,
    events INTEGER NOT NULL
) STRICT;
CREATE TABLE findings (
    id INTEGER PRIMARY KEY, rule TEXT NOT NULL, title TEXT NOT NULL, severity TEXT NOT NULL,
    rank INTEGER NOT NULL, confidence TEXT NOT NULL, tool TEXT NOT NULL, actor TEXT NOT NULL,
    records INTEGER NOT NULL, first REAL, last REAL, at {_AT.format("first")},
    log TEXT NOT NULL, line INTEGER NOT NULL, message TEXT NOT NULL, evidence TEXT NOT NULL,
    ignored TEXT NOT NULL
) STRICT;
CREATE TABLE events (
    id INTEGER PRIMARY KEY, time REAL, at {_AT.format("time")}, log TEXT NOT NULL,
    line INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, actor TEXT NOT NULL,
    address TEXT NOT NULL, model TEXT NOT NULL, tool TEXT NOT NULL, tokens INTEGER NOT NULL,
    cost REAL NOT NULL, outcome TEXT NOT NULL, prompt TEXT NOT NULL, answer TEXT NOT NULL,
    evidence INTEGER NOT NULL
) STRICT;
CREATE TABLE evidence (
    finding INTEGER NOT NULL REFERENCES findings (id), event INTEGER NOT NULL REFERENCES events (id)
) STRICT;
CREATE TABLE hours (
    hour INTEGER PRIMARY KEY, events INTEGER NOT NULL, tokens INTEGER NOT NULL, cost REAL NOT NULL,
    failures INTEGER NOT NULL
) STRICT;
CREATE TABLE actors (
    actor TEXT PRIMARY KEY, events INTEGER NOT NULL, tokens INTEGER NOT NULL, cost REAL NOT NULL,
    failures INTEGER NOT NULL
) STRICT;
CREATE TABLE models (
    model TEXT PRIMARY KEY, events INTEGER NOT NULL, tokens INTEGER NOT NULL, cost REAL NOT NULL,
    failures INTEGER NOT NULL
) STRICT;
"""
_INDEXES = """
CREATE INDEX events_by_actor ON events (actor, time);
CREATE INDEX events_by_time ON events (time);
CREATE INDEX events_by_place ON events (log, line);
CREATE INDEX findings_by_rule ON findings (rule);
CREATE INDEX findings_by_actor ON findings (actor);
CREATE INDEX evidence_by_finding ON evidence (finding);
CREATE INDEX evidence_by_event ON evidence (event);
"""
_FINDING = f"INSERT INTO findings VALUES ({', '.join('?' * 16)})"  # noqa: S608
_EVENT = f"INSERT INTO events VALUES ({', '.join('?' * 16)})"  # noqa: S608


def build(
    path: Path,
    sources: Sequence[Source],
    guesses: Sequence[Guess | None],
    found: Iterable[Reported],
    facts: Mapping[str, str],
    *,
    most: int = MOST_EVENTS,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Write the database of logs and of what was found in them. Raises OSError, sqlite3.Error."""
    connection = sqlite3.connect(path, isolation_level=None)
    with contextlib.closing(connection):
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute("BEGIN")
        for statement in _TABLES.split(";"):
            connection.execute(statement)
        wanted = _add_findings(connection, found)
        overview = Overview()
        writer = _Writer(connection, overview, wanted, most, _events_in(sources))
        for source, guess in zip(sources, guesses, strict=True):
            if guess is not None:
                writer.add(source, guess)
                progress(source.size)
        writer.close()
        overview.write(connection)
        every = {
            **facts, "step": str(writer.step), "events": str(overview.events),
            "timeless": str(overview.timeless),
            "unread": json.dumps(writer.problems),
        }  # fmt: skip
        connection.executemany("INSERT INTO facts VALUES (?, ?)", list(every.items()))
        for statement in _INDEXES.split(";"):
            connection.execute(statement)
        connection.execute("COMMIT")


def is_ours(path: Path) -> bool:
    """Tell whether a file is a database that was made here, and may be replaced."""
    with path.open("rb") as file:
        header = file.read(100)
    found = header[_PLACE_OF_ID : _PLACE_OF_ID + 4]
    return header.startswith(b"SQLite format 3\0") and found == _APPLICATION_ID.to_bytes(4, "big")


def places_of(one: Reported) -> Iterator[tuple[str, int, int, int]]:
    """Yield log, line, offset and length of the records that a finding of a log names."""
    offsets = [
        text.rpartition("@") for text in one.finding.evidence.get("offsets", "").split(", ") if text
    ]
    locations = [step.location for step in one.finding.flow] or [one.finding.location]
    lines = sorted((str(p.path), p.region.start_line) for p in locations if p.region is not None)
    places = []
    for name, _, rest in offsets:
        offset, _, length = rest.partition("+")
        if offset.isdigit() and length.isdigit():
            places.append((name, int(offset), int(length)))
    for (name, line), (_, start, size) in zip(lines, sorted(places), strict=False):
        yield name, line, start, size


def _events_in(sources: Sequence[Source]) -> int:
    """Return about how many events there are, by the size of the first lines."""
    size = sum(one.size * (6 if one.packed else 1) for one in sources)
    lines = total = 0
    for one in sources[:20]:
        with contextlib.suppress(SourceProblem):
            for block in blocks(one, size=_HEAD):
                total += len(block.data)
                lines += block.data.count(b"\n")
                break
    return max(lines, size * lines // total) if total else 0


def _add_findings(
    connection: sqlite3.Connection, found: Iterable[Reported]
) -> dict[str, dict[int, list[int]]]:
    """Write findings; return the finding numbers of the lines that they name, by log."""
    wanted: dict[str, dict[int, list[int]]] = {}
    for number, one in enumerate(found, start=1):
        if number > _MOST_FINDINGS:
            break
        finding, evidence = one.finding, one.finding.evidence
        region = finding.location.region
        actor = next(
            (evidence[name] for name in ("user.id", "api_key.id", "client.address")
             if evidence.get(name)),
            "",
        )  # fmt: skip
        connection.execute(
            _FINDING,
            (
                number, one.rule.id, one.rule.title, finding.severity.value, finding.severity.rank,
                finding.confidence.value, one.tool, shown(actor),
                _whole(evidence.get("records", "1")), _seconds(evidence.get("first")),
                _seconds(evidence.get("last")), shown(str(finding.location.path)),
                region.start_line if region is not None else 0, shown(finding.message),
                shown(json.dumps(dict(evidence))),
                shown(one.suppression.reason or "ignored") if one.suppression is not None else "",
            ),
        )  # fmt: skip
        for name, line, _, _ in places_of(one):
            wanted.setdefault(name, {}).setdefault(line, []).append(number)
    return wanted


class _Writer:
    """Reads logs, counts all events and writes those that are kept."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        overview: Overview,
        wanted: Mapping[str, Mapping[int, list[int]]],
        most: int,
        expected: int,
    ) -> None:
        self.step = max(1, -(-expected // max(1, most)))
        self.problems: list[str] = []
        self._connection = connection
        self._overview = overview
        self._wanted = wanted
        self._left = most * 2
        self._number = 0
        self._row = 0
        self._rows: list[tuple[Any, ...]] = []
        self._links: list[tuple[int, int]] = []

    def add(self, source: Source, guess: Guess) -> None:
        """Read a log."""
        before = self._overview.events
        read = line_reader(guess.mapping)
        slim = _slim_of(guess)
        wanted = self._wanted.get(source.name, {})
        line = 0
        try:
            for block in blocks(source):
                lines = block.data.split(b"\n")
                if block.data.endswith(b"\n"):
                    lines.pop()
                inner = unwrapped(lines, guess.wrapping) if guess.wrapping else lines
                structs = slim.decode(block.data) if slim is not None else None
                quick = structs is not None and len(structs) == len(lines)
                if quick and slim is not None and structs is not None:
                    self._overview.add_columns(
                        {field: slim.column(field, structs) for field in slim.fields}
                    )
                offset = block.offset
                for raw, text in zip(lines, inner, strict=True):
                    line += 1
                    keep = line in wanted
                    if text.strip():
                        self._number += 1
                        keep = keep or (self._number % self.step == 0 and self._left > 0)
                        if keep or not quick:
                            for record in read(text)[0]:
                                event = LogEvent(record, guess.mapping)
                                if not quick:
                                    self._overview.add_event(event)
                                if keep:
                                    self._keep(event, source, line, offset, len(raw), wanted)
                    offset += len(raw) + 1
        except SourceProblem as problem:
            self.problems.append(f"{source.name}: {problem}")
        self._connection.execute(
            "INSERT INTO logs (name, format, bytes, events) VALUES (?, ?, ?, ?)",
            (shown(source.name), guess.mapping.name, source.size, self._overview.events - before),
        )

    def _keep(
        self, event: LogEvent, source: Source, line: int, offset: int, length: int,
        wanted: Mapping[int, list[int]],
    ) -> None:  # fmt: skip
        self._left -= 1
        self._row += 1
        findings = wanted.get(line, ())
        self._links += [(number, self._row) for number in findings]
        one = self._overview.of_event(event)
        self._rows.append((
            self._row, event.time, shown(source.name), line, offset, length, shown(one.actor),
            _first(event, "client.address"), shown(one.model), _first(event, "gen_ai.tool.name"),
            one.tokens, one.cost, _first(event, "outcome"),
            _excerpt(event, "gen_ai.prompt", "log.body", "url.original"),
            _excerpt(event, "gen_ai.completion", "error.message"),
            len(findings),
        ))  # fmt: skip
        if len(self._rows) >= 1000:
            self._flush()

    def _flush(self) -> None:
        self._connection.executemany(_EVENT, self._rows)
        self._connection.executemany("INSERT INTO evidence VALUES (?, ?)", self._links)
        self._rows, self._links = [], []

    def close(self) -> None:
        """Write what is left."""
        self._flush()


def _slim_of(guess: Guess) -> Slim | None:
    """Return what reads the counted fields of a format at once, None where nothing does."""
    table = guess.mapping
    if table.lines != "json" or table.inside or guess.wrapping:
        return None
    slim = Slim(table, FIELDS)
    missing = {field for field in FIELDS if table.fields.get(field)} - slim.fields
    return None if missing else slim


def _first(event: LogEvent, field: str) -> str:
    value = event.first(field)
    return "" if value is None else shown(masked(str(value)[:200]))


def _excerpt(event: LogEvent, *fields: str) -> str:
    for field in fields:
        value = event.first(field)
        if isinstance(value, str) and value:
            return shown(masked_piece(value, 0, _TEXT) + ("…" if len(value) > _TEXT else ""))
    return ""


def fields_of(event: LogEvent) -> dict[str, str]:
    """Return the fields that have a value, masked and in short."""
    out = {}
    for name, values in event.known().items():
        text = str(values[0]) if len(values) == 1 else ", ".join(map(str, values[:20]))
        out[name] = masked_piece(text, 0, _LONG_TEXT) + ("…" if len(text) > _LONG_TEXT else "")
    return out


def _whole(text: str) -> int:
    return int(text) if text.isdigit() else 1


def _seconds(text: str | None) -> float | None:
    from tavo.logs.times import parse_time

    return parse_time(text) if text else None
