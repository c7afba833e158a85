"""One block of a log looked at with all rules: gate, then the exact test of what is left.

Rules this module keeps:
- the texts that rules need are looked for in the bytes of the block, all in one pass; a record that
  shows none of them is not built;
- a record with text in disguise is looked at once more without it (see `tavo.logs.disguise`);
- a record whose bytes may hide a text (an escape, a broken line, a stream in pieces) is built, and
  its texts are looked at instead of its bytes;
- a line that no parser understands is counted and named; it is never dropped.

The measurements behind this order are in docs/decisions/0046-logs-are-gated-by-their-bytes.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from tavo.detect.literals import Literals, blanks
from tavo.logs.anomaly import REFUSALS
from tavo.logs.blocks import has_twins, is_utf8, line_at, lines_with, starts_of
from tavo.logs.disguise import Undisguised, disguised_lines, odd_path_texts, said
from tavo.logs.event import LogEvent
from tavo.logs.intel import Indicators
from tavo.logs.lenient import TWICE, read_json
from tavo.logs.lines import line_reader
from tavo.logs.mapping import Mapping
from tavo.logs.shown import brief_of, excerpts, short, snippet_of
from tavo.logs.sigma.gates import Column
from tavo.logs.sigma.rules import LogRule
from tavo.logs.slim import Slim
from tavo.logs.straight import Fed, Straight, accepted
from tavo.logs.tally import COLUMNS, Tally

__all__ = ["Fed", "Hit", "Looker", "Seen"]

_MOST_NAMED = 20
_ESCAPED = tuple(
    b"\\u00%x%x" % (high, low) for high in range(2, 8) for low in range(16) if high > 2 or low
)  # a blank is no text that hides: the matcher knows its escapes
_HIDES, _CALLS, _DISGUISED = -1, -2, -3
"""Marks of a line: its bytes may hide a text; it calls a tool; text in it may be in disguise."""

_MARKS = frozenset({_HIDES, _CALLS, _DISGUISED})
_ODD = frozenset({_HIDES, _DISGUISED})
_CALLING = tuple(
    quote.join(part)
    for quote in (b'"', b'\\"')
    for part in ((b"", b"tool_calls", b":[{"), (b"", b"tool_calls", b": [{"),
                 (b"", b"type", b":", b"tool_use", b""), (b"", b"type", b": ", b"tool_use", b""),
                 (b"", b"tooluse", b":{"), (b"", b"tooluse", b": {"),
                 (b"", b"functioncall", b":{"), (b"", b"functioncall", b": {"),
                 (b"", b"tool_name", b":"), (b"", b"gen_ai.tool.name", b":"),
                 (b"", b"function_call", b":{"), (b"", b"function_call", b": {"))
)  # fmt: skip
_FOLDING = ("\u212a", "\u0130")  # the only other letters whose lower case is ASCII


class Hit(msgspec.Struct, frozen=True, array_like=True):
    """A rule that accepted a record. `line` counts in the block, from 0; sizes in bytes.

    `groups` are the values for each correlation that the rule takes part in.
    """

    rule: str
    line: int
    offset: int
    length: int
    time: float | None
    brief: dict[str, str]
    seen: dict[str, str]
    snippet: str
    groups: list[tuple[str, tuple[str, ...] | None, Any]]


class Seen(msgspec.Struct):
    """What looking at a block has brought; `span` counts its lines with the empty ones."""

    span: int = 0
    lines: int = 0
    events: int = 0
    candidates: int = 0
    broken: dict[str, int] = {}
    unread: int = 0
    named: list[tuple[int, str]] = []
    hits: list[Hit] = []
    fed: list[Fed] = []
    tally: Tally | None = None


class Looker:
    """Looks at blocks of one format with the rules that are about it."""

    def __init__(
        self,
        table: Mapping,
        rules: Iterable[LogRule],
        correlations: Sequence[LogRule] = (),
        *,
        counting: bool = True,
        indicators: Indicators | None = None,
    ) -> None:
        self.table = table
        self.rules = [r for r in rules if r.matches is not None and table.fits(r.logsource)]
        self._read = line_reader(table)
        self._by_text: dict[bytes, list[int]] = {}
        self._terms: list[tuple[int, tuple[tuple[tuple[bytes, ...], tuple[bytes, ...]], ...]]] = []
        self._columns: list[tuple[Column, int]] = []
        self._open: list[int] = []
        self._correlations: dict[str, list[LogRule]] = {}
        for correlated in correlations:
            if correlated.correlation is not None:
                for name in correlated.correlation.rules:
                    self._correlations.setdefault(name, []).append(correlated)
        self._straight = self._straight_rules()
        for number, rule in enumerate(self.rules):
            if number in self._straight:
                continue
            gate = rule.gate
            if gate is None or gate.open:
                self._open.append(number)
                continue
            for term in gate.terms:
                for text in term.texts:
                    known = self._by_text.setdefault(blanks(text.lower()), [])
                    known.append(len(self._terms))
                also = tuple(
                    (tuple({_word(t) for t in one}), tuple(map(blanks, one))) for one in term.also
                )
                self._terms.append((number, also))
            self._columns += [(column, number) for column in gate.columns]
        hiding = [*table.always_texts(), *(one.encode() for one in _FOLDING)]
        if table.lines in {"json", "otlp", "csv"} or table.inside:
            hiding += [*_ESCAPED, b"\\u212a", b"\\u0130"]
        hiding = [one.lower() for one in hiding]
        calls = [one.lower() for one in _CALLING] if counting and table.lines == "json" else []
        odd = odd_path_texts(self._by_text) if "url.path" in table.fields else []
        self._literals = Literals([*self._by_text, *hiding, *calls, *odd])
        self._rules_of: list[tuple[int, ...]] = [
            tuple(self._by_text.get(text, ())) for text in self._literals.texts
        ]
        marks = dict.fromkeys(map(blanks, odd), _DISGUISED)
        marks |= {blanks(one): _CALLS for one in calls} | dict.fromkeys(hiding, _HIDES)
        self._marks = [marks.get(text, 0) for text in self._literals.texts]
        self._plain = Literals(self._by_text) if self._by_text else None
        self._ours = {n for n, rule in enumerate(self.rules) if _is_of_models(rule)}
        self._is_text = table.lines not in {"json", "otlp"}
        wanted = {"time"} | {column.field for column, _ in self._columns}
        wanted = wanted.union(*(one.fields for one in self._straight.values()))
        self._counting = counting
        self._indicators = indicators
        self._slim = Slim(table, wanted | set(COLUMNS) if counting else wanted, templates=counting)
        self._fast = table.lines == "json" and not self._open and self._slim.fields >= wanted
        self._fast = self._fast and not table.inside
        self._all_columns = [
            *self._columns, *((one.columns[0], number) for number, one in self._straight.items())
        ]  # fmt: skip

    def _straight_rules(self) -> dict[int, Straight]:
        """Return the rules that columns of this format decide, by their numbers."""
        if self.table.lines != "json" or self.table.inside:
            return {}
        every = {
            number: one for number, rule in enumerate(self.rules)
            if rule.id not in REFUSALS
            and (one := Straight.of(rule, self._correlations.get(rule.id, ()))) is not None
        }  # fmt: skip
        known = Slim(self.table, set().union(*(one.fields for one in every.values()))).fields
        return {number: one for number, one in every.items() if one.fields <= known}

    def look(self, data: bytes, *, lazy: bool = False) -> Seen:
        """Look at a block of whole lines.

        `lazy`: whoever takes what is seen can read a record again, so that what is only counted
        comes without its place and its beginning.
        """
        seen = Seen(broken={}, named=[], hits=[], fed=[], tally=Tally() if self._counting else None)
        lines = seen.span = data.count(b"\n") + (not data.endswith(b"\n"))
        marked = self._marked(data)
        structs = self._slim.decode(data) if self._fast else None
        if structs is not None and len(structs) == lines and is_utf8(data):
            seen.lines = seen.events = lines
            self._look_fast(data, structs, marked, seen, lazy=lazy)
        else:
            self._look_slowly(data, marked, seen)
        if self._indicators is not None:
            self._look_for(self._indicators, data, marked, seen)
        return seen

    # -- the gate

    def _marked(self, data: bytes) -> dict[int, set[int]]:
        """Return the terms that are met, by the start of the line, and what marks it."""
        out: dict[int, set[int]] = {}
        start = end = -1
        rules: set[int] = set()
        rules_of, marks = self._rules_of, self._marks
        for at, found in self._literals.places(data):
            if not start <= at < end or start < 0:
                start = data.rfind(b"\n", 0, at) + 1
                end = data.find(b"\n", at)
                end = len(data) if end < 0 else end
                rules = out.setdefault(start, set())
            for number in found:
                if marks[number]:
                    rules.add(marks[number])
                rules.update(rules_of[number])
        self._mark_disguised(data, out)
        return {
            start: rules
            for start, terms in out.items()
            if (rules := self._resolved(data, start, terms))
        }

    def _mark_disguised(self, data: bytes, marked: dict[int, set[int]]) -> None:
        """Mark the lines that say a text of a rule when what disguises it is taken off."""
        plain, by_text = self._plain, self._by_text
        if plain is None or not self._ours:
            return
        for start in disguised_lines(data, is_text=self._is_text):
            if _DISGUISED in marked.get(start, ()):
                continue
            line = said(line_at(data, start))
            terms = {
                term for _, found in plain.places(line) for number in found
                for term in by_text[plain.texts[number]]
            }  # fmt: skip
            if terms and not self._ours.isdisjoint(self._resolved(line, 0, terms)):
                marked.setdefault(start, set()).add(_DISGUISED)

    def _resolved(self, data: bytes, start: int, terms: set[int]) -> set[int]:
        """Return the rules whose terms are met in a line as a whole; marks stay."""
        rules: set[int] = set()
        line = plain = b""
        for number in terms:
            if number < 0:
                rules.add(number)
                continue
            rule, also = self._terms[number]
            if rule in rules:
                continue
            if also:
                if not line:
                    end = data.find(b"\n", start)
                    line = data[start : end if end >= 0 else len(data)].lower()
                if not all(any(map(line.__contains__, words)) for words, _ in also):
                    continue
                plain = plain or blanks(line)
                if not all(any(map(plain.__contains__, texts)) for _, texts in also):
                    continue
            rules.add(rule)
        return rules

    def _by_columns(self, structs: list[Any], seen: Seen, *, lazy: bool) -> dict[int, set[int]]:
        """Return the rules to try by the number of the line."""
        out: dict[int, set[int]] = {}
        columns = {field: self._slim.column(field, structs) for field in self._slim.fields}
        if seen.tally is not None:
            seen.tally.add_columns(columns, self._slim.templates(structs))
        if lazy:
            for one in self._straight.values():
                seen.fed += one.feed(columns)
        for column, number in self._columns if lazy else self._all_columns:
            values = columns[column.field]
            for line in accepted(column, values):
                out.setdefault(line, set()).add(number)
        return out

    def _look_fast(
        self,
        data: bytes,
        structs: list[Any],
        marked: dict[int, set[int]],
        seen: Seen,
        *,
        lazy: bool,
    ) -> None:
        by_line = self._by_columns(structs, seen, lazy=lazy)
        todo: dict[int, tuple[int, set[int]]] = {}
        at = line = 0
        for start in sorted(marked):
            line += data.count(b"\n", at, start)
            at = start
            todo[line] = (start, marked[start])
        if by_line:
            starts = starts_of(data)
            for line, rules in by_line.items():
                if line in todo:
                    todo[line][1].update(rules)
                else:
                    todo[line] = (starts[line], rules)
        for line in sorted(todo):
            start, rules = todo[line]
            end = data.find(b"\n", start)
            raw = data[start : end if end >= 0 else len(data)]
            self._look_at(raw, line, start, rules, seen)

    def _look_at(self, raw: bytes, line: int, offset: int, rules: set[int], seen: Seen) -> None:
        """Build a record, and try rules on it."""
        records, problems = self._read(raw)
        seen.candidates += rules != {_CALLS}
        self._note(problems, line, seen)
        before = len(seen.hits)
        for record in records:
            event = LogEvent(record, self.table)
            wanted = rules - _MARKS
            if _HIDES in rules:
                wanted |= self._of_texts(event)
            if _CALLS in rules and seen.tally is not None:
                seen.tally.add_calls(event, line)
            self._try(event, wanted, raw, line, offset, seen)
            if rules & _ODD:
                self._look_below(event, raw, line, offset, seen)
        if len(seen.hits) == before and not problems and records:
            self._look_twice(raw, records[0], rules - _MARKS, line, offset, seen)

    def _look_below(self, event: LogEvent, raw: bytes, line: int, offset: int, seen: Seen) -> None:
        """Try the rules on an event without disguise that did not accept it as it is."""
        below = Undisguised.of(event)
        if below is None:
            return
        wanted = {
            number for number in self._of_texts(below) & self._ours
            if (test := self.rules[number].matches) is not None and not test(event)
        }  # fmt: skip
        self._try(below, wanted, raw, line, offset, seen)

    def _look_twice(
        self, raw: bytes, record: Any, rules: set[int], line: int, offset: int, seen: Seen
    ) -> None:
        """Try rules on both values of a key that stands twice, of which a parser keeps one."""
        if self.table.lines == "json" and rules and has_twins(raw, record):
            value, said = read_json(raw)
            if TWICE in said and isinstance(value, dict):
                self._note((TWICE,), line, seen)
                self._try(LogEvent(value, self.table), rules, raw, line, offset, seen)

    def _of_texts(self, event: LogEvent) -> set[int]:
        """Return the rules whose texts stand in an event, however its record was written."""
        if self._plain is None:
            return set()
        joined = "\n".join(one for one in event.texts() if isinstance(one, str)).lower()
        data = joined.encode("utf-8", "replace")
        by_text, texts = self._by_text, self._plain.texts
        return {
            self._terms[term][0]
            for _, found in self._plain.places(data)
            for number in found
            for term in by_text[texts[number]]
        }

    # -- line by line

    def _look_slowly(self, data: bytes, marked: dict[int, set[int]], seen: Seen) -> None:
        """Build every record: of formats that need it, and of blocks with a line that is broken."""
        columns, tally = self._all_columns, seen.tally
        opened = set(self._open)
        offset = 0
        number = -1
        for raw in data.split(b"\n"):
            number += 1
            start, offset = offset, offset + len(raw) + 1
            if not raw.strip():
                continue
            seen.lines += 1
            records, problems = self._read(raw)
            rules = marked.get(start)
            hiding = bool(problems) or (rules is not None and _HIDES in rules)
            self._note(problems, number, seen)
            before = len(seen.hits)
            for record in records:
                event = LogEvent(record, self.table)
                seen.events += 1
                if tally is not None:
                    tally.add_event(event, number)
                wanted = set(opened)
                if rules:
                    wanted |= rules - _MARKS
                if hiding:
                    wanted |= self._of_texts(event)
                for column, rule in columns:
                    if rule not in wanted:
                        values = event.get(column.field)
                        if any(map(column.accepts, values)) if values else column.absent:
                            wanted.add(rule)
                if wanted:
                    seen.candidates += 1
                    self._try(event, wanted, raw, number, start, seen)
                if hiding or (rules and _DISGUISED in rules):
                    self._look_below(event, raw, number, start, seen)
            if rules and not problems and records and len(seen.hits) == before:
                self._look_twice(raw, records[0], rules - _MARKS, number, start, seen)

    def _note(self, problems: Iterable[str], line: int, seen: Seen) -> None:
        for problem in problems:
            seen.broken[problem] = seen.broken.get(problem, 0) + 1
            if len(seen.named) < _MOST_NAMED:
                seen.named.append((line, problem))

    # -- indicators

    def _look_for(
        self, indicators: Indicators, data: bytes, marked: dict[int, set[int]], seen: Seen
    ) -> None:
        """Find records with an indicator in their bytes, or in the texts that the bytes hide."""
        by_line: dict[int, dict[bytes, str]] = {}
        found = indicators.found_in(data)
        low = data.lower() if found else b""
        for word, kind in found.items():
            for start, line in lines_with(low, word, data):
                if kind != "url" or indicators.holds_url(word, line):
                    by_line.setdefault(start, {})[word] = kind
        for start in (one for one, rules in marked.items() if _HIDES in rules):
            raw = line_at(data, start)
            for record in self._read(raw)[0]:
                text = "\n".join(map(str, LogEvent(record, self.table).texts()))
                hidden = text.encode("utf-8", "replace")
                for word, kind in indicators.found_in(hidden).items():
                    if kind != "url" or indicators.holds_url(word, hidden):
                        by_line.setdefault(start, {})[word] = kind
        at = line_number = 0
        for start in sorted(by_line):
            line_number += data.count(b"\n", at, start)
            at = start
            raw = line_at(data, start)
            records, _ = self._read(raw)
            event = LogEvent(records[0], self.table)
            for word, kind in by_line[start].items():
                seen.hits.append(Hit(
                    f"intel-{kind}", line_number, start, len(raw), event.time, brief_of(event),
                    {"indicator": word.decode("ascii", "replace")},
                    snippet_of(raw), [],
                ))  # fmt: skip

    # -- the exact test

    def _try(
        self, event: LogEvent, rules: set[int], raw: bytes, line: int, offset: int, seen: Seen
    ) -> None:
        for number in sorted(rules):
            rule = self.rules[number]
            test: Callable[[LogEvent], bool] | None = rule.matches
            if test is not None and test(event):
                seen.hits.append(self._hit(rule, event, raw, line, offset))

    def judge(self, event: LogEvent, rules: set[int], raw: bytes, line: int, seen: Seen) -> None:
        """Try rules, by their numbers, on an event that came from elsewhere."""
        self._try(event, rules, raw, line, 0, seen)

    def _hit(self, rule: LogRule, event: LogEvent, raw: bytes, line: int, offset: int) -> Hit:
        is_told = rule.reported or rule.id in REFUSALS
        brief = brief_of(event) if is_told else {}
        shown = snippet_of(raw)
        groups = []
        for correlated in self._correlations.get(rule.id, ()):
            correlation = correlated.correlation
            if correlation is not None:
                names = [event.first(f) for f in correlation.fields_for(rule.id, rule.names)]
                group = None if None in names else tuple(short(one) for one in names)
                value = event.first(correlation.field) if correlation.field else None
                groups.append(
                    (correlated.id, group, value if isinstance(value, int | float | str) else None)
                )
        return Hit(
            rule.id, line, offset, len(raw), event.time, brief,
            excerpts(rule, event) if rule.reported else {}, shown, groups,
        )  # fmt: skip


def _word(text: bytes) -> bytes:
    """Return the longest part of a text that has no white space, which can be written many ways."""
    return max(text.lower().split(), key=len, default=b"")


def _is_of_models(rule: LogRule) -> bool:
    """Tell whether a rule is about models; those of other sources mean what they say."""
    return rule.logsource.get("product") == "genai"
