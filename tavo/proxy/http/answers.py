"""Answers that are there as a whole, read by lines that llhttp has read before.

An upstream sends most lines of its heads again and again, and under the same names values that
change, such as a date. What llhttp has accepted once is kept here line by line; an answer all of
whose lines are known, or have a known name and a plain value, needs no other reading.

Rules this module keeps:
- a line is kept only where llhttp and this module read the same name and value in it;
- what says something about the connection, the framing or a coding is not kept, but
  `Connection: keep-alive`: a head with any such line is for llhttp;
- the length stands there once, and is that of all the bytes behind the head; the type stands there
  once and is JSON; the status is 200;
- what is kept is bounded.

Units: sizes in bytes.
"""

from __future__ import annotations

import re

from tavo.proxy.http.lines import FROM_UPSTREAM
from tavo.proxy.messages import Headers

__all__ = ["Answers"]

_LONGEST = 4 << 10
_LONGEST_LINE = 512
_MOST = 512
_FUTILE = 0x3E0
"""After 32 failures in a row only 32 of 1024 answers are tried."""
_STATUS = b"HTTP/1.1 200 OK"
_LENGTHS = frozenset({b"content-length", b"Content-Length"})
_TYPE = b"content-type"
_JSON = re.compile(rb"(?i)application/json(?:; ?charset=utf-8)?", re.ASCII)
_PLAIN = re.compile(rb"[!-~](?:[ -~]*[!-~])?")
_OTHERS = FROM_UPSTREAM | {b"content-encoding", _TYPE}
"""Names whose lines are looked at by themselves, or for which llhttp and the flow are."""
_DROPPED = frozenset({b"alt-svc", b"strict-transport-security"})
_ABOUT_US = b"x-tavo-"


class Answers:
    """What is known of the lines of one upstream's answers."""

    __slots__ = ("_failed", "_get", "_lines", "_most", "_names", "_types")

    def __init__(self, most: int) -> None:
        """`most` is how many headers an answer may have."""
        self._most = most
        self._failed = 0  # so many answers in a row had to be parsed after all
        self._lines: dict[bytes, bytes] = {}  # as they came, and as they go on
        self._types: dict[bytes, bytes] = {}  # the same, of those that say that it is JSON
        self._names: dict[bytes, bytes] = {}  # names as they came, and how their lines begin
        self._get = self._lines.get

    def read(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return the lines that go on and the body, None for what llhttp is to read."""
        end = data.find(b"\r\n\r\n", 0, _LONGEST)
        if end < 0 or self._failed & _FUTILE:
            return None
        status, *lines = data[:end].split(b"\r\n")
        if status != _STATUS or len(lines) > self._most:
            return None
        out: list[bytes | None] = [*map(self._get, lines)]
        length = -1
        is_json = False
        at = -1
        for _ in range(out.count(None)):
            at = out.index(None, at + 1)
            line = lines[at]
            said = self._types.get(line)
            if said is not None:
                if is_json:
                    return None
                is_json = True
                out[at] = said
                continue
            name, _, value = line.partition(b": ")
            if name in _LENGTHS:
                if length >= 0 or not value.isdigit() or len(value) > 9:
                    return None
                length = int(value)
                out[at] = b""
                continue
            start = self._names.get(name)
            if start is None or len(value) > _LONGEST_LINE or _PLAIN.fullmatch(value) is None:
                return None
            out[at] = start + value
        body = data[end + 4 :]
        if not is_json or length != len(body):
            return None
        self._failed = 0
        return b"".join(out), body  # type: ignore[arg-type]

    def learn(self, data: bytes, headers: Headers) -> None:
        """Keep the lines of a head that llhttp has read, as `headers`, at the beginning of `data`."""
        self._failed += 1
        end = data.find(b"\r\n\r\n", 0, _LONGEST)
        lines = data[:end].split(b"\r\n")[1:]
        if end < 0 or len(lines) != len(headers) or self._failed & _FUTILE:
            return
        for line, (name, value) in zip(lines, headers, strict=True):
            given, _, rest = line.partition(b": ")
            if given.lower() != name or rest != value or len(line) > _LONGEST_LINE:
                continue
            if _PLAIN.fullmatch(value) is None:
                continue
            if len(self._lines) + len(self._names) + len(self._types) > _MOST:
                self._lines.clear()
                self._names.clear()
                self._types.clear()
            goes_on = b"\r\n%b: %b" % (name, value)
            if name == _TYPE:
                if _JSON.fullmatch(value) is not None:
                    self._types[line] = goes_on
            elif name == b"connection":
                if value.lower() == b"keep-alive":
                    self._lines[line] = b""
            elif name in _DROPPED:
                self._lines[line] = b""
            elif name not in _OTHERS and not name.startswith(_ABOUT_US):
                self._lines[line] = goes_on
                self._names[given] = b"\r\n%b: " % name
