"""Events in the bytes of an answer: server-sent events, lines of JSON, an array sent in parts.

Rules this module keeps:
- the bytes of all events, one after the other, are the bytes that came: nothing is lost or added;
- an event that is not complete when the answer ends is an event, too: clients read it;
- an event is bounded; what is larger raises `TooLargeError`;
- a line ends with CR, LF or both. What some clients take for the end of a line and others do not
  makes an event odd: it has no one reading.

Sources: HTML Living Standard section 9.2 (server-sent events), RFC 8259 (JSON). Clients: those of
OpenAI and Anthropic read lines as the standard says; who reads lines with httpx (Google's and
Ollama's for Python) ends one at every line break of Unicode, too, and Ollama's for JavaScript at LF
alone.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from tavo.llm.dialect import Framing
from tavo.llm.parts import dumped

__all__ = ["MOST_EVENT", "Event", "Reader", "TooLargeError", "reader_of"]

MOST_EVENT = 16 << 20
_MARKS = re.compile(rb'["\\{}\[\]]')
_SPACE = b" \t\r\n"
_FIELDS = frozenset({b"", b"event", b"id", b"retry"})
_LINE_END = re.compile(rb"\r\n|\r|\n")
_OTHER_BREAK = re.compile(rb"[\v\f\x1c\x1d\x1e]|\xc2\x85|\xe2\x80[\xa8\xa9]")
_BREAK_IN_NOTE = re.compile(rb"[\v\f\x1c\x1d\x1e\x85]|\xe2\x80[\xa8\xa9]")
_JSON_SIGN = re.compile(rb'[{\["]')
_MARK = b"\xef\xbb\xbf"


class TooLargeError(ValueError):
    """An event is larger than `MOST_EVENT`."""


class Event:
    """One event: `raw` as it came, `data` what it says, None where it says nothing.

    `before` and `after` stand around the data when it is written anew; `notes` is what else it
    says, such as its name or a comment. `is_odd`: clients differ in what they read in it.
    """

    __slots__ = ("after", "before", "data", "is_odd", "notes", "raw")

    def __init__(
        self, raw: bytes, data: bytes | None, before: bytes, after: bytes, notes: bytes = b"",
        *, is_odd: bool = False,
    ) -> None:  # fmt: skip
        self.raw = raw
        self.data = data
        self.before = before
        self.after = after
        self.notes = notes
        self.is_odd = is_odd

    def written(self, value: object) -> bytes:
        """Return the event with another document."""
        return self.before + dumped(value) + self.after


class Reader(ABC):
    """Takes bytes as they come, gives events that are complete."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Event]:
        """Take a piece of the answer. Raises TooLargeError."""
        self._buffer = self._buffer + data if self._buffer else data
        events = self._complete()
        if len(self._buffer) > MOST_EVENT:
            raise TooLargeError(f"an event of the answer is larger than {MOST_EVENT} bytes")
        return events

    def end(self) -> list[Event]:
        """Return what is left when the answer has ended."""
        rest, self._buffer = self._buffer, b""
        return [self._last(rest)] if rest else []

    @abstractmethod
    def _complete(self) -> list[Event]: ...

    @abstractmethod
    def _last(self, rest: bytes) -> Event: ...

    def broken(self, error: bytes, *, begun: bool) -> bytes:
        """Return the bytes that bring an error and end the answer; `begun`: some was sent on."""
        return error


class _Sse(Reader):
    __slots__ = ()

    def _complete(self) -> list[Event]:
        buffer, events, start = self._buffer, [], 0
        if b"\r" not in buffer:
            while True:
                while buffer.startswith(b"\n", start):  # an event with nothing in it
                    events.append(_sse_event(b"\n"))
                    start += 1
                end = buffer.find(b"\n\n", start)
                if end < 0:
                    break
                events.append(_sse_event(buffer[start : end + 2]))
                start = end + 2
        else:
            while (after := _blank_line(buffer, start)) >= 0:
                events.append(_sse_event(buffer[start:after]))
                start = after
        self._buffer = buffer[start:] if start else buffer
        return events

    def _last(self, rest: bytes) -> Event:
        return _sse_event(rest)


def _blank_line(buffer: bytes, start: int) -> int:
    """Return where the event that begins at `start` ends, -1 if that is not known yet."""
    at, length = start, len(buffer)
    while at < length:
        line = at
        while at < length and buffer[at] not in b"\r\n":
            ends = [one for one in (buffer.find(b"\r", at), buffer.find(b"\n", at)) if one >= 0]
            at = min(ends, default=length)
        if at >= length:
            return -1
        empty = at == line
        if buffer[at : at + 1] == b"\r":
            if at + 1 >= length:
                return -1
            at += 2 if buffer[at + 1 : at + 2] == b"\n" else 1
        else:
            at += 1
        if empty:
            return at
    return -1


def _sse_event(raw: bytes) -> Event:
    is_plain = raw.startswith(b"data: {") and raw.endswith(b"\n\n") and raw.count(b"\n") == 2
    if is_plain and b"\r" not in raw:
        return Event(raw, raw[6:-2], b"data: ", b"\n\n")
    before, data, is_odd = [], [], raw.startswith(_MARK)
    for line in _LINE_END.split(raw):
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
            is_json = value.lstrip(b" ").startswith((b"{", b"[", b'"'))
            is_odd = is_odd or (not is_json and _OTHER_BREAK.search(value) is not None)
        elif line:
            before.append(line + b"\n")
            is_odd = (
                is_odd
                or (name not in _FIELDS and _JSON_SIGN.search(line) is not None)
                or _BREAK_IN_NOTE.search(line) is not None
            )
    head = b"".join(before)
    said = b"\n".join(data) if data else None
    return Event(raw, said, head + b"data: ", b"\n\n", head, is_odd=is_odd)


class _Lines(Reader):
    def _complete(self) -> list[Event]:
        if b"\n" not in self._buffer:
            return []
        *lines, self._buffer = self._buffer.split(b"\n")
        return [self._event(line + b"\n") for line in lines]

    def _event(self, raw: bytes) -> Event:
        is_odd = b"\r" in raw.removesuffix(b"\n").removesuffix(b"\r")
        return Event(raw, raw.strip() or None, b"", b"\n", is_odd=is_odd)

    def _last(self, rest: bytes) -> Event:
        return self._event(rest)


class _Array(Reader):
    """Elements of an array; what stands between two belongs to the later one."""

    def __init__(self) -> None:
        super().__init__()
        self._at = 0
        self._depth = 0
        self._start = -1
        self._in_text = False
        self._is_array = True

    def _complete(self) -> list[Event]:
        buffer, events, cut = self._buffer, [], 0
        at = self._at
        while (mark := _MARKS.search(buffer, at)) is not None:
            at = mark.end()
            sign = mark[0]
            if self._in_text:
                if sign == b"\\":
                    if at >= len(buffer):
                        at -= 1
                        break
                    at += 1
                elif sign == b'"':
                    self._in_text = False
            elif sign == b'"':
                self._in_text = True
                if self._depth == 1 and self._start < 0:
                    self._start = mark.start()
            elif sign in b"[{":
                if self._depth == 0 and sign == b"{":
                    self._is_array = False
                self._depth += 1
                if self._depth == 2 and self._start < 0:
                    self._start = mark.start()
            elif sign in b"]}":
                self._depth -= 1
                if self._depth == 1 and self._is_array and self._start >= 0:
                    raw = buffer[cut:at]
                    start = self._start - cut
                    events.append(Event(raw, raw[start:], raw[:start], b""))
                    cut, self._start = at, -1
        else:
            at = len(buffer)
        self._at = at - cut
        self._start = self._start - cut if self._start >= 0 else -1
        self._buffer = buffer[cut:]
        return events

    def _last(self, rest: bytes) -> Event:
        if rest.strip(_SPACE + b"],") == b"":
            return Event(rest, None, b"", b"")
        return Event(rest, rest.strip(_SPACE), b"", b"")

    def broken(self, error: bytes, *, begun: bool) -> bytes:
        return (b"," if begun else b"[") + error + b"]"


_READERS: dict[Framing, type[Reader]] = {
    Framing.SSE: _Sse, Framing.LINES: _Lines, Framing.ARRAY: _Array,
}  # fmt: skip


def reader_of(framing: Framing) -> Reader:
    """Return a reader for a stream."""
    return _READERS[framing]()
