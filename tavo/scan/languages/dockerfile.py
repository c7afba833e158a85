"""Dockerfiles as a tree: instructions, images, settings, and the commands of the shell.

Rules this module keeps:
- an instruction has its name in capitals, then its options, then what follows, each a node;
- of `ENV` and `LABEL` each setting stands for itself, as in Semgrep;
- lines that are continued, and comments between them, are read with the positions that they have;
- an instruction that is not known, or has nothing behind it, is left out and named.

Kinds: `instruction`, `option`, `image` (name, `tag`, `digest`, `alias`), `setting` (`op` is `ENV`
or `LABEL`), `argument` (of `ARG`), and those of `tavo.scan.languages.shell`.

Source: the reference of Dockerfiles, and comparing answers with Semgrep.
"""

from __future__ import annotations

import json
import re
from collections import deque

from tavo.scan.languages.shell import read_commands, read_word
from tavo.scan.languages.text import comments_in
from tavo.scan.names import Imports
from tavo.scan.parsed import ParsedFile
from tavo.scan.placeholders import PatternError
from tavo.scan.tree import Node, SourceText

__all__ = ["parse", "parse_pattern"]

_INSTRUCTIONS = frozenset({
    "FROM", "RUN", "CMD", "LABEL", "MAINTAINER", "EXPOSE", "ENV", "ADD", "COPY", "ENTRYPOINT",
    "VOLUME", "USER", "WORKDIR", "ARG", "ONBUILD", "STOPSIGNAL", "HEALTHCHECK", "SHELL",
    "CROSS_BUILD",
})  # fmt: skip
_COMMANDS = frozenset({"RUN", "CMD", "ENTRYPOINT"})
_LISTS = frozenset({"RUN", "CMD", "ENTRYPOINT", "SHELL", "VOLUME", "ADD", "COPY"})
_HEAD = re.compile(r"[ \t]*([A-Za-z_]+)(?:[ \t]+|\Z|(?=\n))")
_ESCAPE = re.compile(
    r"\A(?:[ \t]*#[^\n]*\n)*?[ \t]*#[ \t]*escape[ \t]*=[ \t]*([\\`])", re.IGNORECASE
)
_COMMENT_LINE = re.compile(r"[ \t]*#[^\n]*|[ \t\r]*\Z")
_OPTION = re.compile(r"--[a-z][\w-]*(?:=(\S*))?[ \t]*")
_WORD = re.compile(r"(?:\"(?:\\.|[^\"\\])*\"|'[^']*'|\\.|[^\s\"'\\])+|\\|[\"']")
_SETTING = re.compile(
    r"(?<!\S)([^\s=\"']+|\"[^\"]*\"|'[^']*')=((?:\"(?:\\.|[^\"\\])*\"|'[^']*'|\\.|[^\s\"'\\])*)"
)
_IMAGE = re.compile(r"(?P<name>.+?)(?::(?P<tag>[^:@/]+))?(?:@(?P<digest>\S+))?\Z")
_ALIAS = re.compile(r"(?<=[ \t])[Aa][Ss][ \t]+(\S+)[ \t]*\Z")
_HEREDOC = re.compile(r"<<-?[ \t]*([\"']?)([A-Za-z_][A-Za-z0-9_]*)\1")
_ITEM = re.compile(r"\s*(\"(?:\\.|[^\"\\])*\"|\$(?:\.\.\.)?[A-Z_][A-Z0-9_]*|\.\.\.)\s*(,|\Z)")
_DOTS = "..."
_LONGEST_IMAGE = 2_000


def parse(data: bytes) -> ParsedFile:
    """Parse a Dockerfile; `problems` says what is none. Never raises for any bytes."""
    return _Reader(data, in_pattern=False).file()


def parse_pattern(source: str) -> ParsedFile:
    """Parse the text of a pattern: instructions, or else one command. Raises PatternError."""
    parsed = _Reader(source.encode(), in_pattern=True).file()
    if parsed.problems:
        raise PatternError(f"the pattern is no Dockerfile: {parsed.problems[0]}")
    return parsed


class _Reader:
    """The text of a Dockerfile on its way to nodes; one character for each of its bytes."""

    def __init__(self, data: bytes, *, in_pattern: bool) -> None:
        self.data = data
        self.text = data.decode("latin-1")
        self.in_pattern = in_pattern
        self.root = Node("module", 0, len(data), None)
        self.problems: list[str] = []

    def file(self) -> ParsedFile:
        source = SourceText(self.data)
        for start, end in self._instructions():
            self._instruction(start, end, source)
        by_kind: dict[str, list[Node]] = {}
        for node in self.root.walk():
            by_kind.setdefault(node.kind, []).append(node)
        return ParsedFile(
            language="dockerfile", source=source, root=self.root,
            comments=comments_in(self.data), problems=self.problems[:1], by_kind=by_kind,
            read_imports=lambda file: Imports((), file.scopes),
        )  # fmt: skip

    def _instructions(self) -> list[tuple[int, int]]:
        """Return where instructions are, and blank in the text what is none of them.

        That are comments and what joins lines, so that places stay. The lines of a document
        after `<<` stay lines.
        """
        found = _ESCAPE.match(self.text)
        escape = found[1] if found else "\\"
        lines = deque(self.text.split("\n"))
        parts: list[str] = []
        places: list[tuple[int, int]] = []
        at = 0
        while lines:
            if _COMMENT_LINE.fullmatch(lines[0]):
                parts.append(" " * (len(lines.popleft()) + 1))
                at += len(parts[-1])
                continue
            body = self._joined(lines, escape)
            places.append((at, at + len(body.rstrip())))
            parts.append(body)
            at += len(body)
        self.text = "".join(parts)
        return places

    def _joined(self, lines: deque[str], escape: str) -> str:
        """Take the lines of one instruction, and the documents that it begins."""
        parts: list[str] = []
        goes_on = True
        while goes_on and lines:
            line = lines.popleft()
            if parts and _COMMENT_LINE.fullmatch(line):
                parts.append(" " * (len(line) + 1))
                continue
            stripped = line.rstrip()
            goes_on = stripped.endswith(escape)
            parts.append((stripped[:-1].ljust(len(line)) if goes_on else line) + " ")
        endings = [] if self.in_pattern else [m[2] for m in _HEREDOC.finditer("".join(parts))]
        if endings:
            parts[-1] = parts[-1][:-1] + "\n"
        for ending in endings:
            while lines:
                line = lines.popleft()
                if line.strip() == ending:
                    parts.append(" " * (len(line) + 1))
                    break
                parts.append(line + "\n")
        return "".join(parts)

    def _instruction(self, start: int, end: int, source: SourceText) -> None:
        head = _HEAD.match(self.text, start, end)
        name = head[1].upper() if head else ""
        if head is None or name not in _INSTRUCTIONS:
            if self.in_pattern:
                self._bare(start, end)
            else:
                line, _ = source.position(start)
                self.problems.append(f"parsed in part: line {line} is no instruction")
            return
        for node in self._read(name, head.start(1), head.end(), end):
            self.root.children.append(node)
            node.parent = self.root

    def _bare(self, start: int, end: int) -> None:
        """Read what is no instruction in a pattern: `...`, a metavariable, a word, a command."""
        body = self.text[start:end]
        begin = start + len(body) - len(body.lstrip())
        setting = _SETTING.fullmatch(body.strip())
        node: Node | None
        if setting is not None:
            node = self._setting("", setting[1], begin, end)
        elif len(body.split()) == 1:
            node = read_word(self.text, begin, end, in_pattern=True)
        else:
            node = read_commands(self.text, begin, end, in_pattern=True)
        if node is None:
            raise PatternError(f"{body.strip()!r} holds no command")
        self.root.children.append(node)
        node.parent = self.root

    def _read(self, name: str, begin: int, at: int, end: int) -> list[Node]:
        """Return the nodes of one instruction, whose name ends before `at`."""
        node = Node("instruction", begin, end, None)
        node.label = name
        text = self.text
        if name in {"ENV", "LABEL"}:
            return self._settings(name, begin, at, end)
        children: list[Node] = []
        while at < end and (found := _OPTION.match(text, at, end)) is not None:
            children.append(self._option(found))
            at = found.end()
        rest = text[at:end]
        if not rest.strip():
            what = f"{name} has nothing behind it"
            self.problems.append(what)
            return []
        if name in {"ONBUILD", "HEALTHCHECK"} and (inner := _HEAD.match(rest)):
            word = inner[1].upper()
            if word in _INSTRUCTIONS:
                children += self._read(word, begin, at + inner.end(), end)
            else:
                children += self._words(at, end)
        elif rest.strip() == _DOTS or (self.in_pattern and _is_several(rest.strip())):
            children.append(read_word(text, at, at + len(rest.rstrip()), in_pattern=True))
        elif name in _LISTS and (listed := self._list(at, end)) is not None:
            children.append(listed)
        elif name in _COMMANDS:
            command = self._commands(at, end)
            if command is not None:
                children.append(command)
        elif name == "FROM":
            children.append(self._image(at, end))
        elif name == "ARG":
            children += self._arguments(at, end)
        elif name == "MAINTAINER":
            children.append(read_word(text, at, end, in_pattern=self.in_pattern))
        elif name == "USER":
            user, _, _ = rest.partition(":")
            children.append(
                read_word(text, at, at + len(user.rstrip()), in_pattern=self.in_pattern)
            )
        else:
            children += self._words(at, end)
        node.children = children
        for child in children:
            child.parent = node
        return [node]

    def _commands(self, at: int, end: int) -> Node | None:
        """Read the commands of an instruction; a document after `<<` alone is a script."""
        first = self.text.find("\n", at, end)
        if first >= 0 and not re.sub(_HEREDOC, "", self.text[at:first]).strip():
            at = first
        elif first >= 0:
            end = first
        return read_commands(self.text, at, end, in_pattern=self.in_pattern)

    def _option(self, found: re.Match[str]) -> Node:
        node = Node("option", found.start(), found.end(), None)
        node.label = (
            self.text[found.start() : found.start(1) - 1] if found[1] is not None else found[0]
        )
        node.label = node.label.strip()
        if found[1] is not None:
            value = read_word(self.text, found.start(1), found.end(1), in_pattern=self.in_pattern)
            value.parent = node
            node.children = [value]
        return node

    def _words(self, at: int, end: int) -> list[Node]:
        return [
            read_word(self.text, found.start(), found.end(), in_pattern=self.in_pattern)
            for found in _WORD.finditer(self.text, at, end)
        ]

    def _list(self, at: int, end: int) -> Node | None:
        """Read `["a", "b"]`, None for what is no such list."""
        raw = self.text[at:end].strip()
        if not (raw.startswith("[") and raw.endswith("]")):
            return None
        start = self.text.index("[", at)
        node = Node("list", start, start + len(raw), None)
        place, last = start + 1, start + len(raw) - 1
        while self.text[place:last].strip():
            found = _ITEM.match(self.text, place, last)
            if found is None:
                return None
            item = read_word(self.text, found.start(1), found.end(1), in_pattern=self.in_pattern)
            if item.kind == "string":
                item.value = _of_json(found[1])
            item.parent = node
            node.children.append(item)
            place = found.end()
        return node

    def _image(self, at: int, end: int) -> Node:
        alias = _ALIAS.search(self.text, at, end)
        stop = alias.start() if alias is not None else end
        raw = self.text[at:stop].rstrip()
        node = Node("image", at, at + len(raw), None)
        found = _IMAGE.match(raw[:_LONGEST_IMAGE])
        for role in ("name", "tag", "digest"):
            if found is not None and found[role] is not None:
                part = read_word(
                    self.text,
                    at + found.start(role),
                    at + found.end(role),
                    in_pattern=self.in_pattern,
                )
                node.children.append(part)
                part.field = role
        if alias is not None:
            part = read_word(self.text, alias.start(1), alias.end(1), in_pattern=self.in_pattern)
            part.field = "alias"
            node.children.append(part)
        for part in node.children:
            part.parent = node
        return node

    def _arguments(self, at: int, end: int) -> list[Node]:
        out: list[Node] = []
        for found in _WORD.finditer(self.text, at, end):
            name, equals, _ = found[0].partition("=")
            start = found.start()
            key = read_word(self.text, start, start + len(name), in_pattern=self.in_pattern)
            key.field = "key"
            if not equals:
                out.append(key)
                continue
            value = read_word(
                self.text, start + len(name) + 1, found.end(), in_pattern=self.in_pattern
            )
            out.append(_pair("argument", "", start, found.end(), key, value))
        return out

    def _settings(self, name: str, begin: int, at: int, end: int) -> list[Node]:
        """Return each setting of `ENV` or `LABEL`; that of a label begins with its instruction."""
        rest = self.text[at:end]
        words = rest.split()
        if self.in_pattern:
            rest = " ".join(word for word in words if word != _DOTS)
        if not rest.strip():
            if self.in_pattern and words:
                anything = [read_word(self.text, at, at + 3, in_pattern=True) for _ in range(2)]
                return [_pair("setting", name, begin, end, *anything)]
            self.problems.append(f"{name} has nothing behind it")
            return []
        first = _SETTING.match(rest.lstrip())
        if first is None:
            key, value = _WORD.search(self.text, at, end), None
            if key is not None:
                value = _WORD.search(self.text, key.end(), end)
            if key is None or value is None:
                self.problems.append(f"{name} has no value")
                return []
            nodes = (
                read_word(self.text, key.start(), key.end(), in_pattern=self.in_pattern),
                read_word(self.text, value.start(), end, in_pattern=False),
            )
            start = key.start() if name == "ENV" else begin
            return [_pair("setting", name, start, end, *nodes)]
        out: list[Node] = []
        for found in _SETTING.finditer(self.text, at, end):
            start = found.start() if name == "ENV" else begin
            out.append(self._setting(name, found[1], start, found.end(), found.start()))
        if self.in_pattern and len(out) > 1:
            raise PatternError(f"several settings of one {name} are not supported")
        return out

    def _setting(self, name: str, key: str, start: int, end: int, at: int | None = None) -> Node:
        place = start if at is None else at
        nodes = (
            read_word(self.text, place, place + len(key), in_pattern=self.in_pattern),
            read_word(self.text, place + len(key) + 1, end, in_pattern=self.in_pattern),
        )
        return _pair("setting", name, start, end, *nodes)


def _pair(kind: str, op: str, start: int, end: int, key: Node, value: Node) -> Node:
    node = Node(kind, start, end, None)
    node.op = op
    node.children = [key, value]
    key.parent = value.parent = node
    key.field, value.field = "key", "value"
    return node


def _is_several(text: str) -> bool:
    return re.fullmatch(r"\$\.\.\.[A-Z_][A-Z0-9_]*", text) is not None


def _of_json(raw: str) -> str:
    try:
        return str(json.loads(raw.encode("latin-1", "replace").decode("utf-8", "replace")))
    except ValueError:
        return raw[1:-1]
