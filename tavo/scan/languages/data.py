"""YAML and JSON as trees of mappings, lists and scalars, with the positions that they have.

Rules this module keeps:
- both are lowered to the dictionaries, pairs, lists and literals of the general tree;
- an alias is a name, never a copy, so that no document grows while it is read;
- a document that breaks off gives what was read up to there, and says so;
- nothing here recurses over the source.

Source: YAML 1.1 as libyaml reads it, RFC 8259.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from tavo.scan.languages import ecmascript
from tavo.scan.languages.text import comments_in
from tavo.scan.names import Imports
from tavo.scan.parsed import ParsedFile
from tavo.scan.placeholders import ELLIPSIS, VARIABLE, PatternError, stand_in
from tavo.scan.tree import Node, SourceText

__all__ = ["parse_json", "parse_pattern", "parse_yaml"]

_DEEPEST = 500
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TRUE = frozenset({"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})
_FALSE = frozenset({"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"})
_NONE = frozenset({"", "~", "null", "Null", "NULL"})
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0o?[0-7_]+|0b[01_]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*)?\.[0-9_]+(?:[eE][-+]?[0-9]+)?\Z|[-+]?\d+[eE][-+]?\d+\Z")
_DOTS_LINE = re.compile(r"^([ \t]*)\.\.\.[ \t]*$")
_DOTS_ITEM = re.compile(r"^([ \t]*-[ \t]+)\.\.\.[ \t]*$")
_ELLIPSIS_KEY = "TAVO__DOTS"


def parse_yaml(data: bytes) -> ParsedFile:
    """Parse UTF-8 YAML; `problems` says where it is none. Never raises for any bytes."""
    return _Reader(data, in_pattern=False).file("yaml")


def parse_json(data: bytes) -> ParsedFile:
    """Parse UTF-8 JSON, also with comments; `problems` says where it is none."""
    parsed = ecmascript.parse(b"(" + data + b"\n)")
    source = SourceText(data)
    last = len(data)
    by_kind: dict[str, list[Node]] = {}
    for node in parsed.root.walk():
        node.start, node.end = max(node.start - 1, 0), min(max(node.end - 1, 0), last)
        by_kind.setdefault(node.kind, []).append(node)
    problems = []
    if parsed.problems:
        problems = ["parsed in part: not valid JSON"]
    return _as_file("json", source, parsed.root, by_kind, problems)


def parse_pattern(text: str, language: str) -> ParsedFile:
    """Parse the text of a pattern for YAML or JSON. Raises PatternError."""
    if language == "json":
        parsed = _json_pattern(text)
    else:
        parsed = _Reader(_dots(text).encode(), in_pattern=True).file("yaml")
    if parsed.problems:
        raise PatternError(f"the pattern is not {language.upper()}: {parsed.problems[0]}")
    children = parsed.root.children
    only = children[0] if len(children) == 1 else None
    if only is not None and only.kind in {"dictionary", "list"} and len(only.children) == 1:
        # One entry of a mapping or list is that entry, wherever it stands among others.
        parsed.root.children = only.children
    return parsed


def _json_pattern(text: str) -> ParsedFile:
    from tavo.scan.languages.ecma_pattern import parse_ecma_pattern

    try:
        parsed = parse_ecma_pattern(text)
        usable = all(node.kind != "ERROR" for node in parsed.root.walk())
    except PatternError:
        usable = False
    if not usable or re.match(r"\s*\"[^\"]*\"\s*:", text):
        parsed = parse_ecma_pattern(f"{{{text}}}")
    parsed.language = "json"
    for node in parsed.root.walk():
        if node.kind in {"identifier", "string"} and node.parent is not None:
            key = node.parent.kind == "pair" and node.parent.children[0] is node
            label = stand_in(node.label or node.value or "") if key else None
            if label is not None and label.startswith(VARIABLE):
                node.kind, node.label, node.value = "identifier", label, None
    return parsed


def _dots(text: str) -> str:
    """Make `...` alone on its line, or before deeper lines, an entry of what is around it."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if found := _DOTS_LINE.match(line):
            item = _is_item(lines, number, len(found[1]))
            lines[number] = found[1] + (f"- {_ELLIPSIS_KEY}" if item else f"{_ELLIPSIS_KEY}: 0")
        elif found := _DOTS_ITEM.match(line):
            after = next((one for one in lines[number + 1 :] if one.strip()), "")
            if _indent(after) == len(found[1]):
                lines[number] = f"{found[1]}{_ELLIPSIS_KEY}: 0"
    return "\n".join(lines)


def _is_item(lines: Sequence[str], number: int, indent: int) -> bool:
    """Tell from its neighbours whether a line is an item of a list."""
    for near in (lines[number + 1 :], reversed(lines[:number])):
        for line in near:
            if not line.strip() or _DOTS_LINE.match(line):
                continue
            if _indent(line) == indent:
                return line.lstrip().startswith("-")
            if _indent(line) < indent:
                break
    return False


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


class _Reader:
    """One document's events on their way to nodes."""

    def __init__(self, data: bytes, *, in_pattern: bool) -> None:
        self.source = SourceText(data)
        self.text = data.decode("utf-8", "replace")
        self.in_pattern = in_pattern
        self.root = Node("module", 0, len(data), None)
        self.by_kind: dict[str, list[Node]] = {"module": [self.root]}
        self.open: list[Node] = [self.root]
        self.offsets: list[int] | None = None
        if not self.text.isascii():
            self.offsets = [0]
            for character in self.text:
                self.offsets.append(self.offsets[-1] + len(character.encode("utf-8", "replace")))

    def file(self, language: str) -> ParsedFile:
        problems: list[str] = []
        try:
            for event in yaml.parse(self.text, Loader=_LOADER):
                self._take(event)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "some of it"
            problems.append(f"parsed in part: {where} is not valid YAML")
        except _TooDeepError:
            problems.append(f"nested deeper than {_DEEPEST} levels: what is below was left out")
        while len(self.open) > 1:
            self._close(self.open[-1].start)
        return _as_file(language, self.source, self.root, self.by_kind, problems)

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event))
        elif isinstance(event, yaml.AliasEvent):
            start, end = self._span(event)
            node = Node("identifier", start, end, None)
            node.label = f"*{event.anchor}"
            self._add(node)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if len(self.open) > _DEEPEST:
                raise _TooDeepError
            start, end = self._span(event)
            kind = "dictionary" if isinstance(event, yaml.MappingStartEvent) else "list"
            node = Node(kind, start, end, None)
            node.op = "flow" if event.flow_style else ""
            self._add(node)
            self.open.append(node)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close(self._span(event)[1])

    def _span(self, event: yaml.Event) -> tuple[int, int]:
        if event.start_mark is None or event.end_mark is None:  # never: it was read from text
            return 0, 0
        start, end = event.start_mark.index, event.end_mark.index
        if self.offsets is None:
            return start, end
        last = len(self.offsets) - 1
        return self.offsets[min(start, last)], self.offsets[min(end, last)]

    def _add(self, node: Node) -> None:
        around = self.open[-1]
        if around.kind == "dictionary":
            pair = around.children[-1] if around.children else None
            if pair is None or pair.kind != "pair" or len(pair.children) == 2:
                pair = Node("pair", node.start, node.end, around)
                around.children.append(pair)
                self.by_kind.setdefault("pair", []).append(pair)
                node.field = "key"
            else:
                node.field = "value"
            around = pair
        node.parent = around
        around.children.append(node)
        self.by_kind.setdefault(node.kind, []).append(node)
        self._ended(node)

    def _close(self, end: int) -> None:
        node = self.open.pop()
        if node.op == "flow":
            node.end = end
        elif node.children:
            node.end = node.children[-1].end
        flow, node.op = node.op == "flow", ""
        if self.in_pattern and node.kind == "dictionary":
            for place, pair in enumerate(node.children):
                key = pair.children[0]
                if key.label == ELLIPSIS:
                    key.parent, key.field = node, ""
                    node.children[place] = key
            alone = len(node.children) == 1 and node.children[0].label == ELLIPSIS
            if alone and not flow and node.parent is not self.root:
                node.kind, node.label, node.children = "identifier", ELLIPSIS, []
        self._ended(node)

    def _ended(self, node: Node) -> None:
        pair = node.parent
        if pair is not None and pair.kind == "pair":
            pair.end = max(node.end, pair.children[0].end)

    def _scalar(self, event: yaml.ScalarEvent) -> Node:
        start, end = self._span(event)
        value = event.value
        node = Node("string", start, end, None)
        if event.style in {"|", ">"}:
            raw = self.source.data[start:end]
            node.end = start + len(raw.rstrip())
        elif not event.style and self._plain(node, value):
            return node
        node.value = value
        return node

    def _plain(self, node: Node, value: str) -> bool:
        """Tell a scalar without quotes from a string; of a pattern also what stands for others."""
        if self.in_pattern:
            label = ELLIPSIS if value == _ELLIPSIS_KEY else stand_in(value)
            if label is not None:
                node.kind, node.label = "identifier", label
                return True
        for kind, words in (("true", _TRUE), ("false", _FALSE), ("none", _NONE)):
            if value in words:
                node.kind = kind
                return True
        if _INTEGER.match(value):
            node.kind, node.label = "integer", value
            return True
        if _FLOAT.match(value):
            node.kind, node.label = "float", value
            return True
        return False


class _TooDeepError(Exception):
    """The document is nested deeper than is read."""


def _as_file(
    language: str, source: SourceText, root: Node, by_kind: dict[str, list[Node]],
    problems: list[str],
) -> ParsedFile:  # fmt: skip
    return ParsedFile(
        language=language, source=source, root=root, comments=comments_in(source.data),
        problems=problems, by_kind=by_kind,
        read_imports=lambda file: Imports((), file.scopes),
    )  # fmt: skip
