"""Perl's regular expressions as Python's, and as wider ones for RE2.

Rules this module keeps:
- the wider expression finds something wherever the real one does: look-around is left out of it,
  and a back-reference stands for anything;
- what neither engine can do, such as recursion, is refused by its name;
- an expression is only read here, never run.

Source of the syntax: pcre2pattern(3); of the differences: the documentation of Python's `re`.
"""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from tavo.detect.regex import RegexError

__all__ = ["Translated", "translate"]

_DEEPEST = 60
_MOST_REPEATS = 1_000
_REPEAT = re.compile(r"\{(\d{1,9})(?:(,)(\d{0,9}))?\}")
_FLAGS = re.compile(r"\(\?([a-zA-Z^-]*)([:)])")
_NAMED = re.compile(r"\(\?(?:P?<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)')")
_REFERENCE = re.compile(r"\\k(?:<(\w+)>|\{(\w+)\}|'(\w+)')|\\g\{?(\d{1,2}|[A-Za-z_]\w*)\}?")
_HEX = re.compile(r"\\x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{1,2}))")
_OCTAL = re.compile(r"\\(0[0-7]{0,2})")
_SAME = frozenset("AbBdDwWsSafnrt")
_SETS = {"h": r" \t", "v": r"\n\x0b\f\r", "N": r"\n"}
_NOT_SETS = {"H": r" \t", "V": r"\n\x0b\f\r", "N": r"\n"}
_POSIX = {
    "alpha": "A-Za-z", "digit": "0-9", "alnum": "A-Za-z0-9", "upper": "A-Z", "lower": "a-z",
    "space": r"\s", "blank": r" \t", "punct": r"!-/:-@\[-`{-~", "xdigit": "0-9A-Fa-f",
    "word": r"\w", "cntrl": r"\x00-\x1f\x7f", "graph": "!-~", "print": " -~",
}  # fmt: skip
_POSIX_CLASS = re.compile(r"\[:(\^?)([a-z]+):\]")
_ANYTHING = "(?s:.*)"
_NAMES = {
    "(?R": "recursion", "(?&": "recursion", "(?P>": "recursion", "(?(": "a condition (?(…)…)",
    "(?|": "a branch reset (?|…)", "(*": "a verb such as (*FAIL)", "(?C": "a callout (?C)",
}  # fmt: skip


class Translated(NamedTuple):
    """An expression for Python's `re`, a wider one for RE2, and what RE2 lacks for the real one."""

    python: str
    wider: str
    needs: frozenset[str]


def translate(pattern: str) -> Translated:
    """Translate an expression. Raises RegexError for what cannot be translated, by name."""
    reader = _Reader(pattern)
    branches = reader.branches(0)
    return Translated(
        "|".join(python for python, _ in branches),
        "|".join(wider for _, wider in branches),
        frozenset(reader.needs),
    )


class _Branch:
    """One branch under way: its atoms for both engines, and the flags that hold in it."""

    def __init__(self, flags: list[str]) -> None:
        self.flags = list(flags)
        self.python = [f"(?{flag}:" for flag in flags]
        self.wider = list(self.python)
        self.quantified = True  # there is no atom yet that a quantifier could follow

    def add(self, python: str, wider: str | None = None) -> None:
        self.python.append(python)
        self.wider.append(python if wider is None else wider)
        self.quantified = False

    def set_flags(self, flags: str) -> None:
        self.flags.append(flags)
        self.add(f"(?{flags}:")
        self.quantified = True

    def done(self) -> tuple[str, str]:
        end = ")" * len(self.flags)
        return "".join(self.python) + end, "".join(self.wider) + end


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.needs: set[str] = set()
        self.verbose = False

    def branches(self, depth: int) -> list[tuple[str, str]]:
        """Read up to the end of a group or of the expression."""
        if depth > _DEEPEST:
            raise RegexError(f"groups are nested deeper than {_DEEPEST} levels")
        verbose, done, branch = self.verbose, [], _Branch([])
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == ")":
                if depth == 0:
                    raise RegexError("unmatched ')'")
                break
            if character == "|":
                self.at += 1
                done.append(branch.done())
                branch = _Branch(branch.flags)
            elif character == "(":
                self._group(branch, depth)
            elif character == "[":
                branch.add(*self._class())
            elif character == "\\":
                self._escape(branch)
            elif character in "*+?" or (character == "{" and _REPEAT.match(self.text, self.at)):
                self._quantifier(branch)
            elif self.verbose and (character.isspace() or character == "#"):
                end = self.text.find("\n", self.at) if character == "#" else self.at
                self.at = len(self.text) if end < 0 else end + 1
            else:
                self.at += 1
                branch.add(character if character in ".^$" else re.escape(character))
        self.verbose = verbose
        return [*done, branch.done()]

    def _inner(self, depth: int) -> list[tuple[str, str]]:
        found = self.branches(depth + 1)
        if self.at >= len(self.text):
            raise RegexError("missing ')'")
        self.at += 1
        return found

    def _group(self, branch: _Branch, depth: int) -> None:
        text, at = self.text, self.at
        for start, name in _NAMES.items():
            if text.startswith(start, at):
                self._refuse(name)
        if text.startswith("(?#", at):
            end = text.find(")", at)
            self.at = len(text) if end < 0 else end + 1
            return
        if not text.startswith("(?", at):
            self.at += 1
            python, wider = _joined(self._inner(depth))
            branch.add(f"({python})", f"({wider})")
            return
        for start in ("(?=", "(?!", "(?<=", "(?<!"):
            if text.startswith(start, at):
                self.needs.add("look-around")
                self.at += len(start)
                branch.add(_looking(start, [p for p, _ in self._inner(depth)]), "(?:)")
                return
        if text.startswith("(?>", at):
            self.needs.add("atomic groups")
            self.at += 3
            python, wider = _joined(self._inner(depth))
            branch.add(f"(?>{python})", f"(?:{wider})")
        elif text.startswith("(?P=", at):
            end = text.find(")", at)
            self.at = max(end, at) + 1
            self._reference(branch, f"(?P={text[at + 4 : end]})")
        elif found := _NAMED.match(text, at):
            self.at = found.end()
            python, wider = _joined(self._inner(depth))
            name = found.group(1) or found.group(2)
            branch.add(f"(?P<{name}>{python})", f"(?P<{name}>{wider})")
        elif found := _FLAGS.match(text, at):
            self._flags(branch, found, depth)
        else:
            self._refuse(f"the group {text[at : at + 4]!r}")

    def _flags(self, branch: _Branch, found: re.Match[str], depth: int) -> None:
        flags, end = found.groups()
        on, _, off = flags.partition("-")
        if set(on + off) - set("imsx"):
            self._refuse(f"the flag in {found.group()!r}")
        self.at = found.end()
        before = self.verbose
        self.verbose = ("x" in on or self.verbose) and "x" not in off
        on, off = on.replace("x", ""), off.replace("x", "")
        shown = on + (f"-{off}" if off else "")
        if end == ":":
            python, wider = _joined(self._inner(depth))
            self.verbose = before
            branch.add(f"(?{shown}:{python})", f"(?{shown}:{wider})")
        elif shown:
            branch.set_flags(shown)

    def _quantifier(self, branch: _Branch) -> None:
        if len(branch.python) == len(branch.flags):
            raise RegexError("nothing to repeat")
        found = _REPEAT.match(self.text, self.at)
        python = wider = found.group() if found else self.text[self.at]
        if found:
            low, _, high = found.groups()
            if max(int(low), int(high or 0)) > _MOST_REPEATS:
                self.needs.add(f"more than {_MOST_REPEATS} repeats")
                wider = f"{{{min(int(low), _MOST_REPEATS)},}}"
        self.at += len(python)
        if self.at < len(self.text) and self.text[self.at] in "?+":
            if self.text[self.at] == "+":
                self.needs.add("possessive quantifiers")
            else:
                wider += "?"
            python += self.text[self.at]
            self.at += 1
        if branch.quantified:
            branch.python[-1] = f"(?:{branch.python[-1]})"
            branch.wider[-1] = f"(?:{branch.wider[-1]})"
        branch.python[-1] += python
        branch.wider[-1] += wider
        branch.quantified = True

    def _escape(self, branch: _Branch) -> None:
        text, at = self.text, self.at
        letter = text[at + 1 : at + 2]
        if letter == "Q":
            end = text.find(r"\E", at)
            literal = text[at + 2 : end if end >= 0 else len(text)]
            self.at = end + 2 if end >= 0 else len(text)
            for character in literal:
                branch.add(re.escape(character))
        elif letter in "123456789" and letter:
            found = re.compile(r"\\(\d{1,2})").match(text, at)
            number = found.group(1) if found else letter
            self.at += 1 + len(number)
            self._reference(branch, f"(?:\\{number})")
        elif found := _REFERENCE.match(text, at):
            self.at = found.end()
            name = next(group for group in found.groups() if group)
            self._reference(branch, f"(?:\\{name})" if name.isdigit() else f"(?P={name})")
        elif letter == "z":
            self.at += 2
            branch.add(r"\Z", r"\z")
        elif letter == "Z":
            self.at += 2
            branch.add(r"(?=\n?\Z)", "(?:)")
        elif letter == "R":
            self.at += 2
            branch.add(r"(?:\r\n|[\n\x0b\f\r])")
        elif letter in _NOT_SETS:
            self.at += 2
            branch.add(f"[^{_NOT_SETS[letter]}]")
        elif letter in _SETS:
            self.at += 2
            branch.add(f"[{_SETS[letter]}]")
        else:
            branch.add(self._character())

    def _reference(self, branch: _Branch, python: str) -> None:
        self.needs.add("back-references")
        branch.add(python, _ANYTHING)

    def _character(self) -> str:
        """Read an escape that means one character, or one of the usual classes."""
        text, at = self.text, self.at
        letter = text[at + 1 : at + 2]
        if not letter:
            raise RegexError("a backslash at the end")
        for form, base in ((_HEX, 16), (_OCTAL, 8)):
            if found := form.match(text, at):
                self.at = found.end()
                number = int(next(group for group in found.groups() if group), base)
                if number > 0x10FFFF:
                    raise RegexError(f"{found.group()} is no character")
                return re.escape(chr(number)) if number >= 32 else f"\\x{number:02x}"
        self.at += 2
        if letter in _SAME:
            return f"\\{letter}"
        if letter == "e":
            return r"\x1b"
        if letter.isascii() and letter.isalnum():
            return self._refuse(rf"\{letter}")
        return re.escape(letter)

    def _class(self) -> tuple[str, str]:
        text = self.text
        out = ["["]
        self.at += 1
        if text.startswith("^", self.at):
            out.append("^")
            self.at += 1
        first = True
        while self.at < len(text):
            character = text[self.at]
            if character == "]" and not first:
                self.at += 1
                return "".join([*out, "]"]), "".join([*out, "]"])
            first = False
            if found := _POSIX_CLASS.match(text, self.at):
                members = _POSIX.get(found.group(2))
                if members is None or found.group(1):
                    self._refuse(f"the class {found.group()}")
                out.append(str(members))
                self.at = found.end()
            elif character == "\\":
                letter = text[self.at + 1 : self.at + 2]
                if letter in _SETS and letter != "N":
                    out.append(_SETS[letter])
                    self.at += 2
                elif letter in {"Q", "E"}:
                    self._refuse(rf"\{letter} in a class")
                else:
                    out.append(self._character())
            else:
                out.append(f"\\{character}" if character in "[]&~|" else character)
                self.at += 1
        raise RegexError("missing ']'")

    def _refuse(self, name: str) -> NoReturn:
        raise RegexError(f"{name} is not supported")


def _joined(branches: list[tuple[str, str]]) -> tuple[str, str]:
    return "|".join(python for python, _ in branches), "|".join(wider for _, wider in branches)


def _looking(start: str, branches: list[str]) -> str:
    """Write a look-around; behind, Python wants each branch to have one width."""
    if start == "(?<=" and len(branches) > 1:
        return "(?:" + "|".join(f"(?<={branch})" for branch in branches) + ")"
    if start == "(?<!":
        return "(?:" + "".join(f"(?<!{branch})" for branch in branches) + ")"
    return f"{start}{'|'.join(branches)})"
