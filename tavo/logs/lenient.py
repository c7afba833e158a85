"""JSON that a strict parser refuses -> what can be read of it, and what is wrong with it.

Rules this module keeps:
- no input makes it raise, recurse or take more than linear time: depth costs no stack;
- nothing that stands in a record is lost to a trick: of a key that stands twice both values are
  kept, a record that breaks off is kept up to there, and of values that stand behind each other
  each is kept;
- half a surrogate is no letter that anything could write down: it becomes U+FFFD, as broken UTF-8
  does;
- what is wrong is named in few words, so that it can be counted.
"""

from __future__ import annotations

import json
import math
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

__all__ = ["SEVERAL", "TWICE", "read_all", "read_json", "without_halves"]

TWICE = "a key that stands twice"
"""What is wrong with a record of which a strict parser keeps one of two values."""

SEVERAL = "several records in a line"
"""What is unusual about a line of which a strict parser reads nothing, though nothing is wrong."""

_BLANK = re.compile(r"[ \t\r\n]*")
_SCALAR = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[A-Za-z_+-]+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}
_OPENING = re.compile(r"[{\[]")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_BETWEEN = re.compile(r"[ \t\r\n,;\x00\x1e]*")
_MOST_VALUES = 200_000
_DEEPEST = 100
_LONGEST_NUMBER = 300


def read_json(data: bytes) -> tuple[Any, tuple[str, ...]]:
    """Return the value of a record, and what is wrong with it; None where nothing could be read."""
    problems: set[str] = set()
    text = _text(data, problems)
    value, end = _read(text, 0, problems)
    _keep_rest(text, end, value, problems)
    return value, tuple(sorted(problems))


def read_all(data: bytes) -> tuple[list[Any], tuple[str, ...]]:
    """Return the values that stand behind each other in a line, and what is wrong with it."""
    problems: set[str] = set()
    text = _text(data, problems)
    values: list[Any] = []
    at = 0
    while len(values) < _MOST_VALUES:
        value, end = _read(text, at, problems)
        values.append(value)
        at = _BETWEEN.match(text, end).end()  # type: ignore[union-attr]
        if text[at : at + 1] not in ("{", "["):
            break
    if len(values) > 1:
        problems.add(SEVERAL)
    _keep_rest(text, at, values[-1], problems)
    return values, tuple(sorted(problems))


def _text(data: bytes, problems: set[str]) -> str:
    try:
        return data.decode("utf-8").rstrip()
    except UnicodeDecodeError:
        problems.add("not valid UTF-8")
        return data.decode("utf-8", "replace").rstrip()


def _keep_rest(text: str, at: int, value: Any, problems: set[str]) -> None:
    rest = text[at:].strip()
    if rest:
        problems.add("text after the JSON")
        if isinstance(value, dict):
            value.setdefault("\0after", rest)


def _read(text: str, start: int, problems: set[str]) -> tuple[Any, int]:
    """Return the value that begins at a place of a text, and where it ends."""
    twice: list[str] = []
    odd: list[str] = []
    at = _BLANK.match(text, start).end()  # type: ignore[union-attr]
    before = len(problems)
    try:
        value, end = json.JSONDecoder(
            object_pairs_hook=lambda pairs: _object(pairs, twice), parse_constant=odd.append,
        ).raw_decode(text, at)  # fmt: skip
        if not isinstance(value, dict | list):
            raise ValueError("no record")
    except (ValueError, RecursionError):
        reader = _Reader(text, problems)
        value = reader.value(start)
        end = reader.end
    else:
        problems.update(f"{word} as a number" for word in odd)
        if twice:
            problems.add(TWICE)
    if _HALF.search(text, start, end):
        value = without_halves(value)
        problems.add("half a surrogate")
    if not start and len(problems) == before == 0 and end == len(text):
        problems.add("a number out of range")
    return value, end


def without_halves(value: Any) -> Any:
    """Return a value with U+FFFD for each half of a surrogate in its texts and keys."""
    if isinstance(value, str):
        return _whole(value)
    stack = [value]
    while stack:
        holder = stack.pop()
        if isinstance(holder, dict):
            for key in [one for one in holder if _whole(one) is not one]:
                _put(holder, _whole(key), holder.pop(key), [])
        elif not isinstance(holder, list):
            continue
        for key, one in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
            if isinstance(one, str):
                holder[key] = _whole(one)
            else:
                stack.append(one)
    return value


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


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
        self.end = len(text)

    def value(self, begin: int) -> Any:
        opened = _OPENING.search(self.text, begin)
        if opened is None:
            self.problems.add("no JSON")
            return None
        start = opened.start()
        before = self.text[begin:start].strip(" \t\r\n\x00\x1e")
        root = self._read(start)
        if before:
            self.problems.add("text before the JSON")
            if isinstance(root, dict):
                root.setdefault("\0before", before)
        return root

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
        self.end = at
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
