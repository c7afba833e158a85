"""Which end of a text can still become a match: a second expression, derived from the first.

Rules this module keeps:
- a place is open when a match that begins there could reach, or could look, beyond the end of the
  text that is known so far; the derived expression finds the leftmost open place;
- what begins before that place will never change, whatever follows, so it may be let go;
- it may call a place open that is not (a lazy repetition, an alternative that lost); never the
  other way round;
- the syntax is RE2's. Look-around, back-references, possessive and atomic groups, `\\C` and the
  flag `U` are refused by their names; so is an expression that can match nothing at all.

Derivation. For an expression X let hold(X) match what a run through X has read when it stands
somewhere inside X and the text ends: hold(c) is empty for a character c, and for an assertion,
because both wait for what comes next; hold(XY) = hold(X) | X hold(Y); hold(X|Y) = hold(X) |
hold(Y); hold(X{n,m}) = X{0,m-1} hold(X). A place is open where `hold(X)\\z` matches.

Units: positions in the expression in characters, from 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tavo.detect.regex import Regex, RegexError

__all__ = ["Growing", "derive"]

_DEEPEST = 60
_LONGEST = 200_000
_REPEAT = re.compile(r"\{(\d{1,4})(?:(,)(\d{0,4}))?\}")
_FLAGS = re.compile(r"\(\?([a-zA-Z]*)(?:-([a-zA-Z]*))?([:)])")
_NAMED = re.compile(r"\(\?P?<([A-Za-z_]\w*)>")
_HEX = re.compile(r"\\x(?:\{[0-9A-Fa-f]{1,6}\}|[0-9A-Fa-f]{2})")
_OCTAL = re.compile(r"\\[0-7]{1,3}")
_UNICODE = re.compile(r"\\[pP](?:\{\^?\w+\}|[A-Z])")
_POSIX = re.compile(r"\[:\^?[a-z]+:\]")
_REFUSED = (
    ("(?=", "look-around, such as (?=…) or (?!…), is not supported"),
    ("(?!", "look-around, such as (?=…) or (?!…), is not supported"),
    ("(?<=", "look-around, such as (?=…) or (?!…), is not supported"),
    ("(?<!", "look-around, such as (?=…) or (?!…), is not supported"),
    ("(?P=", "back-references, such as \\1, are not supported"),
    ("(?>", "possessive and atomic groups are not supported"),
    ("(?(", "a condition (?(…)…) is not supported"),
    ("(?#", "a comment (?#…) is not supported"),
)  # fmt: skip
_MANY = "the expression becomes too large: repeat less, or name fewer words"


@dataclass(frozen=True, slots=True)
class Growing:
    """Both expressions, without groups that are remembered: RE2 finds spans faster that way."""

    match: str
    hold: str


class _Node:
    """A part of an expression: `full` matches it, `hold` what can still become it."""

    __slots__ = ("empty", "full", "hold")

    def __init__(self, full: str, hold: str, *, empty: bool) -> None:
        if len(full) + len(hold) > _LONGEST:
            raise RegexError(_MANY)
        self.full = full
        self.hold = hold
        self.empty = empty


_NOTHING = _Node("", "", empty=True)


def derive(pattern: str) -> Growing:
    """Derive what finds the open end of a text. Raises RegexError, by name."""
    node = _Reader(pattern).branches(0, frozenset())
    Regex(pattern, plain=True)  # RE2 has the last word about what is an expression
    if node.empty:
        raise RegexError("the expression can match nothing at all: every text would be a match")
    return Growing(match=f"(?:{node.full})", hold=rf"(?:{node.hold})\z")


@dataclass(slots=True)
class _Branch:
    flags: frozenset[str]
    parts: list[_Node] = field(default_factory=list)
    quantified: bool = True

    def add(self, node: _Node) -> None:
        self.parts.append(node)
        self.quantified = False


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def branches(self, depth: int, flags: frozenset[str]) -> _Node:
        """Read up to the end of a group or of the expression."""
        if depth > _DEEPEST:
            raise RegexError(f"groups are nested deeper than {_DEEPEST} levels")
        done: list[_Node] = []
        branch = _Branch(flags)
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == ")":
                if depth == 0:
                    raise RegexError("unmatched ')'")
                break
            if character == "|":
                self.at += 1
                done.append(_joined(branch.parts))
                branch = _Branch(branch.flags)
            elif character == "(":
                self._group(branch, depth)
            elif character == "[":
                branch.add(_one(self._class(), branch.flags))
            elif character == "\\":
                self._escape(branch)
            elif character in "*+?" or (character == "{" and _REPEAT.match(self.text, self.at)):
                self._quantifier(branch)
            else:
                self.at += 1
                branch.add(_plain(character, branch.flags))
        return _either([*done, _joined(branch.parts)])

    def _group(self, branch: _Branch, depth: int) -> None:
        for start, reason in _REFUSED:
            if self.text.startswith(start, self.at):
                raise RegexError(reason)
        inner = branch.flags
        if named := _NAMED.match(self.text, self.at):
            self.at = named.end()
        elif flags := _FLAGS.match(self.text, self.at):
            self.at = flags.end()
            inner = _flags(branch.flags, flags[1], flags[2] or "")
            if flags[3] == ")":
                branch.flags = inner
                branch.quantified = True
                return
        elif self.text.startswith("(?", self.at):
            raise RegexError(f"{self.text[self.at : self.at + 4]!r} opens no group that is known")
        else:
            self.at += 1
        node = self.branches(depth + 1, inner)
        if self.at >= len(self.text):
            raise RegexError("missing ')'")
        self.at += 1
        branch.add(node)

    def _class(self) -> str:
        text, start = self.text, self.at
        self.at += 1
        if text.startswith("^", self.at):
            self.at += 1
        if text.startswith("]", self.at):
            self.at += 1
        while self.at < len(text) and text[self.at] != "]":
            if posix := _POSIX.match(text, self.at):
                self.at = posix.end()
            elif text[self.at] == "\\":
                self.at = self._escaped_to()
            else:
                self.at += 1
        if self.at >= len(text):
            raise RegexError("missing ']'")
        self.at += 1
        return text[start : self.at]

    def _escaped_to(self) -> int:
        """Return where the escape that begins here ends."""
        for form in (_HEX, _UNICODE, _OCTAL):
            if found := form.match(self.text, self.at):
                return found.end()
        return min(self.at + 2, len(self.text))

    def _escape(self, branch: _Branch) -> None:
        text, at = self.text, self.at
        character = text[at + 1 : at + 2]
        if character == "Q":
            end = text.find("\\E", at)
            literal = text[at + 2 : end if end >= 0 else len(text)]
            self.at = end + 2 if end >= 0 else len(text)
            for one in literal:
                branch.add(_plain(one if one.isalnum() else re.escape(one), branch.flags))
            return
        if character == "E":
            self.at += 2
            return
        if character == "C":
            raise RegexError("\\C, any byte, is not supported")
        if character in {"k", "g"} or (character.isdigit() and character != "0"):
            raise RegexError("back-references, such as \\1, are not supported")
        self.at = self._escaped_to()
        if character in {"A", "z", "Z", "b", "B"}:
            branch.add(_zero(r"\z" if character == "Z" else text[at : self.at]))
        else:
            branch.add(_one(text[at : self.at], branch.flags))

    def _quantifier(self, branch: _Branch) -> None:
        text, at = self.text, self.at
        if branch.quantified or not branch.parts:
            raise RegexError(f"nothing to repeat at character {at}")
        if text[at] == "{":
            found = _REPEAT.match(text, at)
            assert found is not None  # noqa: S101
            low = int(found[1])
            high = int(found[3]) if found[3] else None if found[2] else low
            sign, self.at = found[0], found.end()
        else:
            low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}[text[at]]
            sign, self.at = text[at], at + 1
        if text.startswith("+", self.at):
            raise RegexError("possessive and atomic groups are not supported")
        if text.startswith("?", self.at):
            sign, self.at = sign + "?", self.at + 1
        branch.parts[-1] = _repeated(branch.parts[-1], sign, low, high)
        branch.quantified = True


def _flags(known: frozenset[str], on: str, off: str) -> frozenset[str]:
    for flag in on + off:
        if flag not in "ims":
            raise RegexError(f"the flag {flag!r} is not supported; use i, m or s")
    return (known | set(on)) - set(off)


def _plain(character: str, flags: frozenset[str]) -> _Node:
    if character in "^$":
        return _zero(f"(?m:{character})" if "m" in flags else character)
    if character == ".":
        return _Node("(?s:.)" if "s" in flags else ".", "", empty=False)
    return _one(f"\\{character}" if character in "{}" else character, flags)


def _one(text: str, flags: frozenset[str]) -> _Node:
    """Return what reads one character."""
    varies = "i" in flags and (len(text) > 1 or text.isalpha())
    return _Node(f"(?i:{text})" if varies else text, "", empty=False)


def _zero(text: str) -> _Node:
    """Return what reads no character and looks at both sides of a place."""
    return _Node(text, "", empty=True)


def _joined(parts: list[_Node]) -> _Node:
    """Return parts one after the other, halved again and again so that nothing nests deep."""
    if not parts:
        return _NOTHING
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    first, second = _joined(parts[:middle]), _joined(parts[middle:])
    rest = f"(?:{second.hold})" if second.hold else ""
    return _Node(
        first.full + second.full,
        f"{first.hold}|{first.full}{rest}",
        empty=first.empty and second.empty,
    )


def _either(branches: list[_Node]) -> _Node:
    if len(branches) == 1:
        return branches[0]
    return _Node(
        "(?:" + "|".join(one.full for one in branches) + ")",
        "|".join(dict.fromkeys(one.hold for one in branches)),
        empty=any(one.empty for one in branches),
    )


def _repeated(node: _Node, sign: str, low: int, high: int | None) -> _Node:
    full = f"(?:{node.full})"
    before = f"{full}*" if high is None else f"{full}{{0,{high - 1}}}" if high > 1 else ""
    rest = f"(?:{node.hold})" if node.hold and high != 0 else ""
    return _Node(full + sign, before + rest, empty=low == 0 or node.empty)
