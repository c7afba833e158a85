"""JSON that a strict parser refuses -> what can be read of it, and what is wrong with it.

Rules this module keeps:
- no input makes it raise, recurse or take more than linear time: depth costs no stack;
- nothing that stands in a record is lost to a trick: of a key that stands twice both values are
  kept, a text with half a surrogate is kept, and a record that breaks off is kept up to there;
- what is wrong is named in few words, so that it can be counted.
"""

from __future__ import annotations

import json
import math
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

__all__ = ["TWICE", "read_json"]

TWICE = "a key that stands twice"
"""What is wrong with a record of which a strict parser keeps one of two values."""

_BLANK = re.compile(r"[ \t\r\n]*")
_SCALAR = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[A-Za-z_+-]+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}
_DEEPEST = 100
_LONGEST_NUMBER = 300


def read_json(data: bytes) -> tuple[Any, tuple[str, ...]]:
    """Return the value of a record, and what is wrong with it; None where nothing could be read."""
    problems: set[str] = set()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        problems.add("not valid UTF-8")
        text = data.decode("utf-8", "replace")
    try:
        twice: list[str] = []
        value = json.loads(
            text,
            object_pairs_hook=lambda pairs: _object(pairs, twice),
            parse_constant=lambda word: problems.add(f"{word} as a number"),
        )
        if twice:
            problems.add(TWICE)
        if re.search(r"\\u[dD][89a-fA-F]", text):
            problems.add("half a surrogate")
        if not problems:
            problems.add("a number out of range")
    except (ValueError, RecursionError):
        value = _Reader(text, problems).value()
    return value, tuple(sorted(problems))


def _object(pairs: list[tuple[str, Any]], twice: list[str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in pairs:
        _put(out, key, value, twice)
    return out


def _put(out: dict[str, Any], key: str, value: Any, twice: list[str]) -> None:
    if key not in out:
        out[key] = value
        return
    twice.append(key)
    before = out[key]
    if not isinstance(before, _Both):
        before = out[key] = _Both([before])
    before.append(value)


class _Both(list[Any]):
    """The values of a key that stands more than once."""


class _Reader:
    """Reads one value from the front of a text without recursion; closes what is left open."""

    def __init__(self, text: str, problems: set[str]) -> None:
        self.text = text
        self.problems = problems

    def value(self) -> Any:
        start = min((at for sign in "{[" if (at := self.text.find(sign)) >= 0), default=-1)
        if start < 0:
            self.problems.add("no JSON")
            return None
        if self.text[:start].strip():
            self.problems.add("text before the JSON")
        return self._read(start)

    def _read(self, at: int) -> Any:
        text, end = self.text, len(self.text)
        root: Any = {} if text[at] == "{" else []
        stack: list[tuple[Any, str]] = [(root, "")]
        flat = 0  # how many levels deeper than we build
        twice: list[str] = []
        key = ""
        at += 1
        while stack:
            at = _BLANK.match(text, at).end()  # type: ignore[union-attr]
            if at >= end:
                self.problems.add("it breaks off")
                break
            sign = text[at]
            holder = stack[-1][0]
            if sign in "}]":
                at += 1
                if flat:
                    flat -= 1
                    continue
                key = stack.pop()[1]
                continue
            if sign in ",:":
                at += 1
                continue
            if sign in "{[":
                at += 1
                if len(stack) >= _DEEPEST:
                    flat += 1
                    self.problems.add("nested too deeply")
                    continue
                new: Any = {} if sign == "{" else []
                self._add(holder, key, new, twice)
                stack.append((new, key))
                key = ""
                continue
            if sign == '"':
                try:
                    value, at = scanstring(text, at + 1, False)
                except ValueError:
                    value, at = _open_text(text[at + 1 :]), end
                    self.problems.add("it breaks off")
                if isinstance(holder, dict) and not flat:
                    after = _BLANK.match(text, at).end()  # type: ignore[union-attr]
                    if text[after : after + 1] == ":":
                        key, at = value, after + 1
                        if _BLANK.match(text, at).end() >= end:  # type: ignore[union-attr]
                            self._add(holder, key, None, twice)
                        continue
                self._add(holder, key, value, twice)
                continue
            found = _SCALAR.match(text, at)
            if found is None:
                self.problems.add("not JSON")
                at += 1
                continue
            at = found.end()
            self._add(holder, key, self._scalar(found.group()), twice)
        if text[at:].strip():
            self.problems.add("text after the JSON")
            rest = text[at:].strip()
            if isinstance(root, dict):
                root.setdefault("\0after", rest)
        if twice:
            self.problems.add(TWICE)
        return root

    def _scalar(self, word: str) -> Any:
        if word in _WORDS:
            return _WORDS[word]
        if _NUMBER.fullmatch(word) is None:
            self.problems.add("NaN as a number" if "nan" in word.lower() else "not JSON")
            return word
        if len(word) > _LONGEST_NUMBER:
            return word
        number = float(word) if set(".eE") & set(word) else int(word)
        if isinstance(number, float) and not math.isfinite(number):
            self.problems.add("a number out of range")
            return word
        return number

    def _add(self, holder: Any, key: str, value: Any, twice: list[str]) -> None:
        if isinstance(holder, dict):
            _put(holder, key, value, twice)
        else:
            holder.append(value)


def _open_text(rest: str) -> str:
    """Return a text that has no end, with its escapes read."""
    for cut in range(7):
        try:
            piece = rest[: len(rest) - cut] if cut else rest
            return str(scanstring(piece + '"', 0, False)[0])
        except ValueError:
            continue
    return rest
