"""Generic patterns: words, punctuation and `...` on any text, without knowing its language.

Rules this module keeps:
- a text is words and single characters, in blocks: deeper indentation makes one, and so do
  brackets that close on their line; blocks only bound what a last `...` reaches;
- `...` reaches over tokens up to a number of lines down; `$X` is one word, `$...X` what `...` is;
- of matches that end at the same place the shortest counts;
- the work per pattern and file is bounded, and running out of steps is named.

Source of the semantics: Semgrep's documentation, "Generic pattern matching", its answers, and
what its matcher spacegrep (Match.ml, Parse_pattern.ml, Lexer.mll) does; the text is our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from tavo.scan.bindings import Binding, BudgetError, Env
from tavo.scan.match import Match
from tavo.scan.parsed import ParsedFile
from tavo.scan.placeholders import PatternError
from tavo.scan.tree import Node

__all__ = ["GenericMatcher", "GenericOptions"]

_STEPS = 2_000_000
_MOST_MATCHES = 20_000
_MOST_TOKENS = 1_000_000
_LONGEST_PATTERN = 20_000
_TOKEN = re.compile(rb"[A-Za-z0-9_]+|[^ \t\r\nA-Za-z0-9_]|\r(?!\n)")
_INDENT = re.compile(rb"[ \t]*")
_OPEN = {b"(": b")", b"[": b"]", b"{": b"}"}
_CLOSE = frozenset(_OPEN.values())
_IN_PATTERN = re.compile(
    rb"(?P<dots>\.\.\.(?!\.))|(?P<literal>\.{4,})|\$\.\.\.(?P<many>[A-Z][A-Za-z0-9_]*)"
    rb"|\$(?P<one>[A-Z][A-Za-z0-9_]*)|(?P<token>[A-Za-z0-9_]+|[^ \t\r\n])"
)
_WORD = re.compile(rb"[A-Za-z0-9_]")
_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*\Z")
_COMMENTS = {
    "c": re.compile(rb"/\*.*?\*/", re.DOTALL),
    "cpp": re.compile(rb"/\*.*?\*/|//[^\n]*", re.DOTALL),
    "shell": re.compile(rb"#[^\n]*"),
}


class GenericOptions(msgspec.Struct, frozen=True):
    """How far `...` reaches in lines, and which comments are no text."""

    span: int = 10
    comments: str = ""


class _Item(NamedTuple):
    """One part of a pattern: a token, a metavariable, `...`, or a deeper block of parts."""

    kind: str
    text: bytes = b""
    block: tuple[_Item, ...] = ()


class _Text(NamedTuple):
    """A text in tokens: the source, byte range and line of each, and the block that it is in.

    A block is its end as a token number, and the block around it, -1 for none.
    """

    tokens: list[bytes]
    starts: list[int]
    lines: list[int]
    block_of: list[int]
    ends: list[int]
    outer: list[int]
    places: dict[bytes, list[int]]
    first_of_block: list[int]


class GenericMatcher:
    """A generic pattern ready for use. Raises PatternError for one that cannot be used."""

    def __init__(self, pattern: str, options: GenericOptions) -> None:
        if len(pattern) > _LONGEST_PATTERN:
            raise PatternError("the pattern is longer than 20,000 characters")
        self.options = options
        self._items = _read_pattern(pattern.encode())
        flat = list(_flat(self._items))
        if all(item.kind == "dots" for item in flat):
            raise PatternError("a pattern that is only '...' matches everything")
        for before, after in zip(self._items, self._items[1:], strict=False):
            if before.kind == after.kind == "dots" and after.text:
                name = after.text.decode()
                raise PatternError(f"'$...{name}' follows another '...' at once")
        words = (item.text for item in flat if item.kind == "token" and _NAME.match(item.text))
        self.names = frozenset(words)

    def find(self, file: ParsedFile) -> list[Match]:
        """Return all matches in a file, in the order of their start. Raises BudgetError."""
        found = file.memory.get(self)
        if not isinstance(found, list):
            found = file.memory[self] = self._find(file) if self.names <= file.names else []
        return found

    def at(self, node: Node, file: ParsedFile) -> list[Match]:
        """Return nothing: a generic pattern is never looked for in one node."""
        return []

    def _find(self, file: ParsedFile) -> list[Match]:
        key = ("generic", self.options)
        text = file.memory.get(key)
        if not isinstance(text, _Text):
            text = file.memory[key] = _read(file.source.data, self.options)
        search = _Search(text, self.options.span)
        by_end: dict[int, tuple[int, _Bound]] = {}
        for start in self._starts(text):
            done = search.match(self._items, 0, start, text.block_of[start], {}, None, start - 1)
            if done is not None:
                last, bound = done
                if last >= start:
                    by_end[last] = start, bound
            if len(by_end) > _MOST_MATCHES:
                raise BudgetError(f"more than {_MOST_MATCHES:,} matches of one pattern")
        return [
            Match(text.starts[start], text.starts[last] + len(text.tokens[last]), _env(bound, file))
            for last, (start, bound) in sorted(by_end.items(), key=lambda item: item[1][0])
        ]

    def _starts(self, text: _Text) -> Iterable[int]:
        first = next(iter(_flat(self._items[:1])), None)
        if first is not None and first.kind == "token" and self._items[0].kind == "token":
            return text.places.get(first.text, ())
        if self._items[0].kind == "dots":
            return text.first_of_block
        return range(len(text.tokens))


_Bound = dict[str, tuple[int, int, bytes]]


class _Dots(NamedTuple):
    """An open `...`: down to which line it reaches, its metavariable, and its first token."""

    line: int
    name: bytes
    after: int


class _Search:
    """One pattern on one text, and the steps that are left."""

    def __init__(self, text: _Text, span: int) -> None:
        self.text = text
        self.span = span
        self.steps = _STEPS

    def match(
        self, items: Sequence[_Item], number: int, at: int, block: int, bound: _Bound,
        dots: _Dots | None, last: int, *, limit: int | None = None,
    ) -> tuple[int, _Bound] | None:  # fmt: skip
        """Match the parts from `number` on with the tokens from `at` on.

        Return the last token and what is bound. `last` is the last token that is matched; `limit`
        is the end of the block that an indented part of the pattern has to fill.
        """
        text = self.text
        while number < len(items) and items[number].kind == "dots":
            line = text.lines[last] if last >= 0 else text.lines[at]
            dots = (
                _Dots(line + self.span, items[number].text, last + 1)
                if dots is None
                else dots._replace(line=dots.line + self.span)
            )
            number += 1
        if number == len(items):
            return self._end(at, block, bound, dots, last, limit)
        item = items[number]
        if item.kind == "block":
            return self._block(items, number, at, block, bound, dots, last, limit)
        stop = len(text.tokens) if limit is None else limit
        if dots is None:
            # Tokens that follow each other need no deeper call, however many they are.
            now = _bound(item, text, at, bound) if at < stop else None
            self.steps -= 1
            while now is not None and number + 1 < len(items) and at + 1 < stop:
                number, at, bound, last = number + 1, at + 1, now, at
                block = text.block_of[last]
                if items[number].kind in {"dots", "block"}:
                    return self.match(items, number, at, block, bound, None, last, limit=limit)
                now = _bound(items[number], text, at, bound)
            if now is None:
                return None
            return self.match(
                items, number + 1, at + 1, text.block_of[at], now, None, at, limit=limit
            )
        for here in range(at, stop):
            self.steps -= 1
            if self.steps < 0:
                raise BudgetError(f"more than {_STEPS:,} steps")
            if text.lines[here] > dots.line:
                return None
            now = _bound(item, text, here, bound)
            if now is not None:
                now = self._close(dots, here - 1, now)
            if now is not None:
                done = self.match(
                    items, number + 1, here + 1, text.block_of[here], now, None, here, limit=limit
                )
                if done is not None:
                    return done
        return None

    def _end(
        self, at: int, block: int, bound: _Bound, dots: _Dots | None, last: int, limit: int | None
    ) -> tuple[int, _Bound] | None:
        end = self.text.ends[block]
        if dots is None:
            return (last, bound) if limit is None or at >= end else None
        while at < end and self.text.lines[at] <= dots.line:
            last = at
            at += 1
        now = self._close(dots, last, bound)
        return (last, now) if now is not None else None

    def _block(
        self, items: Sequence[_Item], number: int, at: int, block: int, bound: _Bound,
        dots: _Dots | None, last: int, limit: int | None,
    ) -> tuple[int, _Bound] | None:  # fmt: skip
        """Match a part of the pattern that is indented with a block of the text."""
        text, end = self.text, self.text.ends[block]
        here = at
        while here < end and text.block_of[here] == block:
            if dots is None or text.lines[here] > dots.line:
                return None
            here += 1
        if here >= end:
            return None
        now: _Bound | None = bound
        if dots is not None:
            now = self._close(dots, here - 1, bound)
        inner = text.block_of[here]
        while text.outer[inner] != block and text.outer[inner] >= 0:
            inner = text.outer[inner]
        if now is None:
            return None
        stop = text.ends[inner]
        done = self.match(items[number].block, 0, here, inner, now, None, last, limit=stop)
        if done is None:
            return None
        return self.match(items, number + 1, stop, block, done[1], None, done[0], limit=limit)

    def _close(self, dots: _Dots, last: int, bound: _Bound) -> _Bound | None:
        """Bind what `$...X` stands for, up to a token."""
        if not dots.name:
            return bound
        text, before = self.text, dots.after - 1
        start = text.starts[before] + len(text.tokens[before]) if before >= 0 else 0
        end = text.starts[last] + len(text.tokens[last]) if last > before else start
        name = "$..." + dots.name.decode()
        words = b" ".join(text.tokens[before + 1 : last + 1])
        known = bound.get(name)
        if known is not None:
            return bound if known[2] == words else None
        return {**bound, name: (start, end, words)}


def _bound(item: _Item, text: _Text, here: int, bound: _Bound) -> _Bound | None:
    """Return what is bound when a part of the pattern is a token, None when it is not."""
    token = text.tokens[here]
    if item.kind == "token":
        return bound if token == item.text else None
    if not _WORD.match(token):
        return None
    name = "$" + item.text.decode()
    known = bound.get(name)
    if known is not None:
        return bound if known[2] == token else None
    start = text.starts[here]
    return {**bound, name: (start, start + len(token), token)}


def _env(bound: _Bound, file: ParsedFile) -> Env:
    return {name: Binding(start, end, file=file) for name, (start, end, _) in bound.items()}


# -- patterns


def _read_pattern(pattern: bytes) -> tuple[_Item, ...]:
    lines: list[tuple[int, list[_Item]]] = []
    for line in pattern.split(b"\n"):
        items: list[_Item] = []
        for found in _IN_PATTERN.finditer(line):
            kind = found.lastgroup
            text = found.group(kind) if kind else b""
            if kind == "dots":
                items.append(_Item("dots"))
            elif kind == "many":
                items.append(_Item("dots", text))
            elif kind == "one":
                items.append(_Item("one", text))
            elif kind == "literal":
                items += [_Item("token", b".")] * len(text)
            else:
                items.append(_Item("token", text))
        if items:
            lines.append((_indent(line), items))
    if not lines:
        raise PatternError("the pattern is empty")
    levels: list[tuple[int, list[_Item]]] = [(0, [])]
    for indent, items in lines:
        while len(levels) > 1 and indent < levels[-1][0]:
            _close_level(levels)
        if indent > levels[-1][0]:
            levels.append((indent, []))
        levels[-1][1].extend(items)
    while len(levels) > 1:
        _close_level(levels)
    return tuple(levels[0][1])


def _close_level(levels: list[tuple[int, list[_Item]]]) -> None:
    _, items = levels.pop()
    levels[-1][1].append(_Item("block", block=tuple(items)))


def _flat(items: Iterable[_Item]) -> Iterable[_Item]:
    for item in items:
        if item.kind == "block":
            yield from _flat(item.block)
        else:
            yield item


def _indent(line: bytes) -> int:
    found = _INDENT.match(line)
    blank = found.group() if found else b""
    return len(blank) + 7 * blank.count(b"\t")


# -- texts


def _read(data: bytes, options: GenericOptions) -> _Text:
    if options.comments:
        data = _COMMENTS[options.comments].sub(lambda m: re.sub(rb"[^\n]", b" ", m.group()), data)
    text = _Text([], [], [], [], [], [], {}, [])
    levels = [(0, _new_block(text, -1))]
    offset = 0
    for number, line in enumerate(data.split(b"\n")):
        tokens = [(found.start(), found.group()) for found in _TOKEN.finditer(line)]
        if tokens:
            indent = _indent(line)
            while len(levels) > 1 and indent < levels[-1][0]:
                text.ends[levels.pop()[1]] = len(text.tokens)
            if indent > levels[-1][0]:
                levels.append((indent, _new_block(text, levels[-1][1])))
            _add_line(text, tokens, offset, number, levels[-1][1])
        if len(text.tokens) > _MOST_TOKENS:
            raise BudgetError(f"more than {_MOST_TOKENS:,} words and signs")
        offset += len(line) + 1
    for _, block in levels:
        text.ends[block] = len(text.tokens)
    seen: set[int] = set()
    for at, block in enumerate(text.block_of):
        text.places.setdefault(text.tokens[at], []).append(at)
        if block not in seen:
            if at == 0 or text.ends[block] > at:
                text.first_of_block.append(at)
            seen.add(block)
    return text


def _new_block(text: _Text, outer: int) -> int:
    text.ends.append(0)
    text.outer.append(outer)
    return len(text.ends) - 1


def _add_line(
    text: _Text, tokens: Sequence[tuple[int, bytes]], offset: int, number: int, block: int
) -> None:
    """Add the tokens of a line; brackets that close on it make blocks."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    for at, (_, token) in enumerate(tokens):
        if token in _OPEN:
            opened.append(at)
        elif token in _CLOSE:
            while opened:
                before = opened.pop()
                if _OPEN[tokens[before][1]] == token:
                    closing[before] = at
                    break
    inside: list[tuple[int, int]] = []
    for at, (start, token) in enumerate(tokens):
        if inside and inside[-1][0] == at:
            text.ends[inside.pop()[1]] = len(text.tokens)
        text.tokens.append(token)
        text.starts.append(offset + start)
        text.lines.append(number)
        text.block_of.append(inside[-1][1] if inside else block)
        if closing.get(at, at + 1) > at + 1:
            inside.append((closing[at], _new_block(text, inside[-1][1] if inside else block)))
