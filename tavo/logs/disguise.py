"""Text in disguise: which lines may hold some, and what an event says without it.

Rules this module keeps:
- a block of plain ASCII is asked three times with the speed of memory, and that is all: no record
  is built and no line is folded for it;
- a line is only worth it where a letter of ASCII stands beside what is none, or where characters
  stand that spell ASCII by themselves; a line of Russian, Greek or Chinese is none of that;
- names of people, keys and addresses are never folded: only what a model or a server is told;
- a path is what servers make of it: its escapes read once and twice, its slashes and dots drawn
  together.

Sources: Unicode 16 chapter 3.9 (UTF-8), RFC 8259 section 7, RFC 3986 sections 2.1 and 5.2.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from tavo.detect.hidden import undisguised
from tavo.detect.regex import Octets
from tavo.logs.event import LogEvent
from tavo.logs.fields import CONVERSATION
from tavo.logs.lenient import without_halves

__all__ = ["Undisguised", "disguised_lines", "odd_path_texts", "paths_of", "said"]

_L = rb"[A-Za-z]"
_FOREIGN = (  # an accented letter of Latin; Greek, Cyrillic, Armenian
    rb"(?:[\xc3-\xc9][\x80-\xbf]|\xe1[\xb8-\xbb][\x80-\xbf]|\xcd[\xb0-\xbf]|[\xce-\xd5][\x80-\xbf]"
    rb"|\xd6[\x80-\x8f])"
)
_BETWEEN = (  # blanks without a break, what is not drawn, and marks over the letter before
    rb"(?:\xc2[\xa0\xad]|\xcc[\x80-\xbf]|\xcd[\x80-\xaf]|\xe1(?:\x9a\x80|\xa0\x8e)"
    rb"|\xe2\x80[\x80-\x8f\xa8-\xaf]|\xe2\x81[\x9f-\xaf]|\xe3(?:\x80\x80|\x85\xa4)"
    rb"|\xef(?:\xbb\xbf|\xb8[\x80-\x8f]))"
)
_ALONE = (  # wide, mathematical, small, round and square letters, numbers of Rome, tags, controls
    rb"(?:\xef(?:\xbc[\xa1-\xba]|\xbd[\x81-\x9a])|\xf0\x9d[\x90-\x9b]"
    rb"|\xf0\x9f(?:\x84[\xb0-\xbf]|\x85[\x80-\xbf]|\x86[\x80-\x89])|\xe2(?:\x92[\x9c-\xbf]"
    rb"|\x93[\x80-\xa9]|\x85[\xa0-\xbf])|\xe1[\xb4-\xb6][\x80-\xbf]|\xf3\xa0[\x80\x81\x84-\x87]"
    rb"|[\x00-\x08\x0e-\x1f\x7f])"
)
_LETTER = rb"(?:[^\\][g-zG-Z]|[^\\0-9A-Fa-f][A-Fa-f]{1,3})"
"""A letter that is no part of an escape."""

_FOREIGN_ESCAPED = rb"\\u(?:00[c-fC-F][0-9a-fA-F]|0[1-5][0-9a-fA-F]{2}|1[eE][0-9a-fA-F]{2})"
_BETWEEN_ESCAPED = (
    rb"\\u(?:00[aA][0dD]|03[0-6]|1680|180[eE]|20(?:0|2[89a-fA-F]|5[fF]|6)|3000|3164|[fF][eE]0"
    rb"|[fF][eE][fF][fF])"
)
_ALONE_ESCAPED = (
    rb"\\u(?:00(?:0[0-8bBeEfF]|1[0-9a-fA-F]|7[fF])|[fF][fF][2-5]|1[dD][0-9a-fA-F]|24[9a-eA-E]"
    rb"|21[67]|[dD]835|[dD]83[cC]\\+u[dD][dD][3-8]|[dD][bB]40)"
)
_QUICK = (
    rb"\\(?:u(?:00(?:[01]|7[fF]|[aA][0dD]|[c-fC-F])|0[1-5]|1|2[0-46]|3|[fF]|[dD]83|[dD][bB]40)"
    rb"|b[A-Za-z])"
)
_WRITTEN = re.compile(r"\\+u([0-9a-fA-F]{4})|(?<=[A-Za-z])\\+b(?=[A-Za-z])")


_MAY_ESCAPE = Octets(_QUICK)
_CONTROL = Octets(rb"[\x00-\x08\x0e-\x1f\x7f]")
_DISGUISE = Octets(
    _L + _FOREIGN, _FOREIGN + _L, _L + _BETWEEN, _ALONE,
    _LETTER + _FOREIGN_ESCAPED, _FOREIGN_ESCAPED + _L, _LETTER + rb"\\*" + _BETWEEN_ESCAPED,
    _ALONE_ESCAPED, _L + rb"\\+b" + _L,
)  # fmt: skip


def disguised_lines(data: bytes, *, is_text: bool) -> Iterator[int]:
    """Yield where lines begin that may hold text in disguise; `is_text`: of no JSON.

    JSON keeps control characters out, with the exception of one.
    """
    if (
        data.isascii()
        and _MAY_ESCAPE.end_in(data) < 0
        and b"\x7f" not in data
        and not (is_text and _CONTROL.end_in(data) >= 0)
    ):
        return
    at = 0
    while (end := _DISGUISE.end_in(data, at)) >= 0:
        yield data.rfind(b"\n", 0, end) + 1
        at = data.find(b"\n", end - 1)
        if at < 0:
            return


def said(raw: bytes) -> bytes:
    """Return what the bytes of a line say in ASCII and small letters: escapes read, and paths."""
    text = raw.decode("utf-8", "replace")
    if "\\" in text:
        text = without_halves(_WRITTEN.sub(_read, text))
    return undisguised(text).lower().encode("utf-8", "replace")


def _read(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else 8
    return match[0] if 9 <= code <= 13 or code in (34, 92) else chr(code)


# -- paths

_TOGETHER = re.compile(r"/(?:;[^/]*/|\.?/)+")
_UP = re.compile(r"/[^/]+/\.\.(?=/|$)")
_OVERLONG = ((b"\xc0\xae", b"."), (b"\xc0\xaf", b"/"))
_MOST_ROUNDS = 40


def odd_path_texts(texts: Iterable[bytes]) -> list[bytes]:
    """Return texts of which one stands in each line with a path that servers read otherwise.

    `texts` are those that rules look for.
    """
    letters = (*range(0x41, 0x5B), *range(0x61, 0x7B), 0x2D, 0x2E, 0x5F)
    out = [front + b"%02x" % code for code in letters for front in (b"%", b"%25")]
    out += [b"/./", b"/../", b"%c0%a", b"//.", b'"//', b" //", b"\\/\\/.", b"/;", b";/"]
    ends = [front + sign for front in (b"%", b"%25") for sign in (b"2f.", b"5c.")]
    before = {one[1] for text in texts for one in re.finditer(rb"([a-z_]{3})/", text)}
    return out + ends + [one + end for one in sorted(before) for end in (b"//", b"%2f", b"%252f")]


def paths_of(path: str) -> tuple[str, ...]:
    """Return what servers make of a path, the plainest first; nothing where it is plain."""
    once = _unescaped(path)
    twice = _unescaped(once)
    drawn = (_drawn_together(one) for one in (twice, once, path))
    return tuple(one for one in dict.fromkeys((*drawn, twice, once)) if one != path)


def _unescaped(path: str) -> str:
    if "%" not in path:
        return path
    data = unquote_to_bytes(path)
    for written, meant in _OVERLONG:
        data = data.replace(written, meant)
    return data.decode("utf-8", "replace")


def _drawn_together(path: str) -> str:
    path = _TOGETHER.sub("/", path.replace("\\", "/"))
    for _ in range(_MOST_ROUNDS if "/.." in path else 0):
        path, count = _UP.subn("", path, count=1)
        if not count:
            break
    return path


class Undisguised(LogEvent):
    """An event without disguise: its texts in ASCII, and its path as servers read it."""

    __slots__ = ()
    _FOLDED = CONVERSATION | {"log.body", "url.query", "error.message", "user_agent.original"}

    @classmethod
    def of(cls, event: LogEvent) -> Undisguised | None:
        """Return an event without disguise, None where that says nothing else."""
        odd_path = any(paths_of(one) for one in event.get("url.path") if isinstance(one, str))
        if odd_path or any(undisguised(one) != one for one in event.texts()):
            return cls(event.record, event.table)
        return None

    def get(self, name: str) -> tuple[Any, ...]:
        """Return the values of a field."""
        values = super().get(name)
        if name in self._FOLDED:
            return tuple(undisguised(one) if isinstance(one, str) else one for one in values)
        if name == "url.path":
            found = [one for value in values if isinstance(value, str) for one in paths_of(value)]
            return (*found, *values)
        return values

    def texts(self) -> Iterable[str]:
        """Return all texts of the event, and its paths."""
        yield from map(undisguised, super().texts())
        yield from (one for one in self.get("url.path") if isinstance(one, str))
