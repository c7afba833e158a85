"""The commands of a shell as a tree, as far as rules on Dockerfiles ask for them.

Rules this module keeps:
- a command is its words, without assignments before them and without redirections;
- `&&`, `||`, `|` and `!` are expressions over commands; what follows each other, subshells and
  loops are blocks, into which no pattern of an expression looks;
- text that is no shell is read as words; nothing here raises, and nesting is bounded.

Kinds: `command`, `command_list` (`op` is `&&`, `||` or `|`), `command_not`, `command_block`;
words are strings, whose children are the commands in `$(…)` and in back quotes.
"""

from __future__ import annotations

import re

from tavo.scan.placeholders import ELLIPSIS, VARIABLE, VARIABLES, PatternError
from tavo.scan.tree import Node

__all__ = ["read_commands", "read_word"]

_DEEPEST = 60
_SPACE = re.compile(r"[ \t\r]*")
_OPERATOR = re.compile(r"&&|\|\||\|&|;;&?|;&|[|&;()\n]")
_REDIRECTION = re.compile(r"[0-9]*(?:<<<|<<-?|>>|<>|>&|<&|>\||&>>?|[<>])")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_RESERVED = re.compile(r"(?:[a-z]+|[{}])(?![^\s;&|()])")
_PLAIN = re.compile(r"[^\s\\'\"`$|&;()<>]+")
_ONE = re.compile(r"\$([A-Z_][A-Z0-9_]*)\Z")
_MANY = re.compile(r"\$\.\.\.([A-Z_][A-Z0-9_]*)\Z")
_INSIDE_WORD = re.compile(r"\$(?:\.\.\.)?[A-Z_][A-Z0-9_]*")
_OPENING = {"if": "fi", "while": "done", "until": "done", "for": "done", "case": "esac",
            "select": "done"}  # fmt: skip
_BETWEEN = frozenset({"then", "else", "elif", "do", "in", "time"})
_CLOSING = frozenset({"fi", "done", "esac"})


def read_commands(text: str, start: int, end: int, *, in_pattern: bool = False) -> Node | None:
    """Read the commands between two places of a text; None where there are none.

    In a pattern `...` and metavariables stand for words and commands. Raises PatternError there.
    """
    return _Commands(text, start, end, in_pattern=in_pattern).sequence(0, frozenset())


def read_word(text: str, start: int, end: int, *, in_pattern: bool = False) -> Node:
    """Return what stands between two places of a text as one word."""
    return _word_node(text, start, end, [], in_pattern=in_pattern)


class _Commands:
    """A text, and the place up to which it is read."""

    def __init__(
        self, text: str, start: int, end: int, *, in_pattern: bool, outer: int = 0
    ) -> None:
        self.text = text
        self.at = start
        self.end = end
        self.in_pattern = in_pattern
        self.outer = outer

    def sequence(self, depth: int, until: frozenset[str]) -> Node | None:
        """Read commands after each other: the only one, or a block of them."""
        found: list[Node] = []
        start = self._skip()
        while self.at < self.end:
            operator = self._operator()
            if operator in {")", ";;", ";&", ";;&"}:
                if operator in until or depth:
                    break
                self.at += len(operator)
                continue
            if operator and operator != "(":
                self.at += len(operator)
                self._skip()
                continue
            if self._reserved() in until:
                break
            before = self.at
            one = self._and_or(depth)
            if one is not None:
                found.append(one)
            if self.at == before:
                self.at += 1
            self._skip()
        if self.in_pattern and len(found) > 1:
            raise PatternError("commands after each other in one instruction are not supported")
        if len(found) <= 1:
            return found[0] if found else None
        return _node("command_block", start, found[-1].end, found)

    def _and_or(self, depth: int) -> Node | None:
        left = self._pipeline(depth)
        while (operator := self._operator()) in {"&&", "||"}:
            self.at += 2
            self._skip(lines=True)
            left = _joined(operator, left, self._pipeline(depth))
        return left

    def _pipeline(self, depth: int) -> Node | None:
        start = self._skip()
        negated = self.text.startswith("! ", self.at)
        if negated:
            self.at += 2
            self._skip()
        left = self._command(depth)
        while (operator := self._operator()) in {"|", "|&"}:
            self.at += len(operator)
            self._skip(lines=True)
            left = _joined("|", left, self._command(depth))
        if negated and left is not None:
            return _node("command_not", start, left.end, [left])
        return left

    def _command(self, depth: int) -> Node | None:
        start = self._skip()
        if self.outer + depth >= _DEEPEST:
            self.at = self.end
            return None
        if self.text.startswith("(", self.at):
            self.at += 1
            inner = self.sequence(depth + 1, frozenset({")"}))
            self._skip(lines=True)
            if self.text.startswith(")", self.at):
                self.at += 1
            block = _node("command_block", start, self.at, [inner] if inner is not None else [])
            self._words([], [])
            return block
        word = self._reserved()
        if word == "{":
            return self._compound(start, "{", "}", depth)
        if word in _OPENING:
            return self._compound(start, word, _OPENING[word], depth)
        return self._simple(start)

    def _compound(self, start: int, word: str, last: str, depth: int) -> Node:
        """Read `if`, loops, `case` and braces: a block of all the commands in them."""
        self.at += len(word)
        if word in {"for", "case", "select"}:
            self._words([], [])
        inner: list[Node] = []
        until = _BETWEEN | {last}
        while self.at < self.end:
            self._skip(lines=True)
            reserved = self._reserved()
            if reserved == last:
                self.at += len(last)
                break
            if reserved in _BETWEEN:
                self.at += len(reserved)
                continue
            before = self.at
            found = self.sequence(depth + 1, until)
            if found is not None:
                inner.append(found)
            if self.at == before:
                self.at += 1
        block = _node("command_block", start, min(self.at, self.end), inner)
        self._words([], [])
        return block

    def _simple(self, start: int) -> Node | None:
        words: list[Node] = []
        inner: list[Node] = []
        self._words(words, inner)
        if not words:
            if not inner:
                return None
            return _node("command_assignment", start, inner[-1].end, inner)
        if self.in_pattern and len(words) == 1 and words[0].label == ELLIPSIS:
            return words[0]
        kind = "command_test" if words[0].value in {"[", "[["} else "command"
        return _node(kind, start, words[-1].end, words)

    def _words(self, words: list[Node], inner: list[Node]) -> None:
        """Read words up to an operator; assignments before them go to `inner`."""
        while True:
            self._skip()
            if self.at >= self.end or self._operator():
                return
            redirection = _REDIRECTION.match(self.text, self.at, self.end)
            if redirection is not None:
                self.at = redirection.end()
                self._skip()
                if self.at < self.end and not self._operator():
                    self._word()
                continue
            before = self.at
            is_assignment = not words and _ASSIGNMENT.match(self.text, self.at, self.end)
            word = self._word()
            if self.at == before:
                self.at += 1
            elif is_assignment:
                inner.append(word)
            else:
                words.append(word)

    def _word(self) -> Node:
        start = self.at
        inner: list[Node] = []
        text, end = self.text, self.end
        while self.at < end:
            plain = _PLAIN.match(text, self.at, end)
            if plain is not None:
                self.at = plain.end()
                continue
            sign = text[self.at]
            if sign == "\\":
                self.at = min(self.at + 2, end)
            elif sign == "'":
                closing = text.find("'", self.at + 1, end)
                self.at = end if closing < 0 else closing + 1
            elif sign == '"':
                self._quoted(inner)
            elif sign == "`":
                closing = text.find("`", self.at + 1, end)
                closing = end if closing < 0 else closing
                self._nested(self.at + 1, closing, inner)
                self.at = min(closing + 1, end)
            elif sign == "$":
                self._dollar(inner)
            else:
                break
        return _word_node(text, start, self.at, inner, in_pattern=self.in_pattern)

    def _quoted(self, inner: list[Node]) -> None:
        self.at += 1
        while self.at < self.end:
            sign = self.text[self.at]
            if sign == "\\":
                self.at += 2
            elif sign == '"':
                self.at += 1
                break
            elif sign == "$":
                self._dollar(inner)
            else:
                self.at += 1
        self.at = min(self.at, self.end)

    def _dollar(self, inner: list[Node]) -> None:
        """Read `$name`, `${…}`, `$(…)`, and the `$...X` of a pattern."""
        if self.text.startswith("$(", self.at):
            closing = _closing(self.text, self.at + 1, self.end, "()")
            self._nested(self.at + 2, closing, inner)
            self.at = min(closing + 1, self.end)
        elif self.text.startswith("${", self.at):
            self.at = min(_closing(self.text, self.at + 1, self.end, "{}") + 1, self.end)
        else:
            self.at += 1

    def _nested(self, start: int, end: int, inner: list[Node]) -> None:
        outer = self.outer + 1
        if outer < _DEEPEST:
            reader = _Commands(self.text, start, end, in_pattern=False, outer=outer)
            found = reader.sequence(0, frozenset())
            if found is not None:
                inner.append(found)

    def _skip(self, *, lines: bool = False) -> int:
        while True:
            found = _SPACE.match(self.text, self.at, self.end)
            self.at = found.end() if found else self.at
            if lines and self.text.startswith("\n", self.at) and self.at < self.end:
                self.at += 1
                continue
            if self.text.startswith("#", self.at) and (
                self.at == 0 or self.text[self.at - 1] in " \t\n;"
            ):
                line = self.text.find("\n", self.at, self.end)
                self.at = self.end if line < 0 else line
                continue
            return self.at

    def _operator(self) -> str:
        if self.text.startswith("&>", self.at):
            return ""
        found = _OPERATOR.match(self.text, self.at, self.end)
        return found.group() if found else ""

    def _reserved(self) -> str:
        found = _RESERVED.match(self.text, self.at, self.end)
        return found.group() if found else ""


def _closing(text: str, at: int, end: int, pair: str) -> int:
    """Return where the bracket at a place is closed, the end where it is not."""
    depth = 0
    for found in re.compile(f"[{re.escape(pair)}]").finditer(text, at, end):
        depth += 1 if found.group() == pair[0] else -1
        if depth == 0:
            return found.start()
    return end


def _joined(operator: str, left: Node | None, right: Node | None) -> Node | None:
    if left is None or right is None:
        return left or right
    node = _node("command_list", left.start, right.end, [left, right])
    node.op = operator
    return node


def _node(kind: str, start: int, end: int, children: list[Node]) -> Node:
    node = Node(kind, start, end, None)
    node.children = children
    for child in children:
        child.parent = node
    return node


def _word_node(text: str, start: int, end: int, inner: list[Node], *, in_pattern: bool) -> Node:
    raw = text[start:end]
    node = _node("string", start, end, inner)
    if in_pattern:
        label = None
        if raw == "...":
            label = ELLIPSIS
        elif found := _ONE.match(raw):
            label = VARIABLE + found[1]
        elif found := _MANY.match(raw):
            label = VARIABLES + found[1]
        if label is not None:
            node.kind, node.label = "identifier", label
            return node
        bare = re.sub(r"'[^']*'", "", raw)
        if _INSIDE_WORD.search(bare) and not _ONE.match(raw.strip('"')):
            raise PatternError(f"{raw!r}: a metavariable in a word is not supported")
    node.value = _unquoted(raw)
    return node


def _unquoted(raw: str) -> str:
    """Return what a word is without its quotes and backslashes."""
    if not re.search(r"[\\'\"]", raw):
        value = raw
    elif len(raw) > 1 and raw[0] == raw[-1] == "'" and raw.count("'") == 2:
        value = raw[1:-1]
    else:
        parts = re.findall(r"'([^']*)'|\\(.)|([^'\"\\]+)|([\"\\'])", raw, re.DOTALL)
        value = "".join(one or two or three for one, two, three, _ in parts)
    return value.encode("latin-1", "replace").decode("utf-8", "replace")
