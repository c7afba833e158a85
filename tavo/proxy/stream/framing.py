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
_BREAK = re.compile(rb"[\r\n]")
_RETURN, _FEED = b"\r\n"
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
    """Takes bytes as they come, gives events that are complete.

    `_at` is up to where the buffer was looked at: no byte is looked at twice.
    """

    __slots__ = ("_at", "_buffer")

    def __init__(self) -> None:
        self._buffer: bytes | bytearray = b""
        self._at = 0

    @property
    def held(self) -> int:
        """How many bytes of an event that is not complete are kept."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Event]:
        """Take a piece of the answer. Raises TooLargeError."""
        if not self._buffer:
            self._buffer = data
        else:
            if isinstance(self._buffer, bytes):
                self._buffer = bytearray(self._buffer)  # grows in place
            self._buffer += data
        events = self._complete()
        if len(self._buffer) > MOST_EVENT:
            raise TooLargeError(f"an event of the answer is larger than {MOST_EVENT} bytes")
        return events

    def end(self) -> list[Event]:
        """Return what is left when the answer has ended."""
        rest, self._buffer, self._at = bytes(self._buffer), b"", 0
        return [self._last(rest)] if rest else []

    @abstractmethod
    def _complete(self) -> list[Event]: ...

    @abstractmethod
    def _last(self, rest: bytes) -> Event: ...

    def broken(self, error: bytes, *, begun: bool) -> bytes:
        """Return the bytes that bring an error and end the answer; `begun`: some was sent on."""
        return error


class _Sse(Reader):
    __slots__ = ("_line",)

    def __init__(self) -> None:
        super().__init__()
        self._line = 0  # where the line begins that is not complete, -1 if nobody has looked

    def feed(self, data: bytes) -> list[Event]:
        """Take a piece of the answer. Raises TooLargeError."""
        if (
            not self._buffer and data.startswith(b"data: {") and data.endswith(b"}\n\n")
            and data.count(b"\n") == 2 and b"\r" not in data
        ):  # fmt: skip
            return [Event(data, data[6:-2], b"data: ", b"\n\n")]  # as most of them come
        return super().feed(data)

    def _complete(self) -> list[Event]:
        buffer, at = self._buffer, self._at
        if buffer.find(b"\r", at) < 0 and self._line <= 0:
            events, start, at = self._plain(buffer, at)
        else:
            events, start, at = self._any(buffer, at)
        self._buffer = buffer[start:] if start else buffer
        self._at = at - start
        return events

    def _plain(self, buffer: bytes | bytearray, at: int) -> tuple[list[Event], int, int]:
        """Return the events of a text whose lines all end in a line feed."""
        events, start = [], 0
        while True:
            while buffer.startswith(b"\n", start):  # an event with nothing in it
                events.append(_sse_event(b"\n"))
                start += 1
            end = buffer.find(b"\n\n", max(at - 1, start))
            if end < 0:
                self._line = -1 if len(buffer) > start else 0
                return events, start, len(buffer)
            events.append(_sse_event(bytes(buffer[start : end + 2])))
            start = at = end + 2

    def _any(self, buffer: bytes | bytearray, at: int) -> tuple[list[Event], int, int]:
        """Return the events of a text whose lines end in any of the three ways."""
        events, start, length = [], 0, len(buffer)
        line = self._line if self._line >= 0 else buffer.rfind(b"\n", 0, at) + 1
        while (mark := _BREAK.search(buffer, at)) is not None:
            at = mark.start()
            after = at + 1
            if buffer[at] == _RETURN:
                if after >= length:
                    break  # a line feed may follow
                after += buffer[after] == _FEED
            if at == line:
                events.append(_sse_event(bytes(buffer[start:after])))
                start = after
            line = at = after
        else:
            at = length
        self._line = line - start
        return events, start, at

    def _last(self, rest: bytes) -> Event:
        return _sse_event(rest)


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
    __slots__ = ()

    def _complete(self) -> list[Event]:
        buffer = self._buffer
        end = buffer.rfind(b"\n", self._at) + 1
        if end == 0:
            self._at = len(buffer)
            return []
        self._buffer, self._at = buffer[end:], len(buffer) - end
        return [self._event(line + b"\n") for line in bytes(buffer[: end - 1]).split(b"\n")]

    def _event(self, raw: bytes) -> Event:
        is_odd = b"\r" in raw.removesuffix(b"\n").removesuffix(b"\r")
        return Event(raw, raw.strip() or None, b"", b"\n", is_odd=is_odd)

    def _last(self, rest: bytes) -> Event:
        return self._event(rest)


class _Array(Reader):
    """Elements of an array; what stands between two belongs to the later one."""

    def __init__(self) -> None:
        super().__init__()
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
                    raw = bytes(buffer[cut:at])
                    start = self._start - cut
                    events.append(Event(raw, raw[start:], raw[:start], b""))
                    cut, self._start = at, -1
        else:
            at = len(buffer)
        self._at = at - cut
        self._start = self._start - cut if self._start >= 0 else -1
        self._buffer = buffer[cut:] if cut else buffer
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
