"""The events of one answer on their way: judged, held back, changed, let go in their order.

Rules this module keeps:
- an event waits while its text can still become part of a match, or while it belongs to a call of
  a tool that is not complete; those behind it wait, too, so the order never changes;
- an event whose text is not changed is sent on as the bytes that came;
- a call is judged when it is complete, before a byte of it is sent;
- an event that has no one reading (no JSON, a name twice in an object) ends the stream;
- text in an event that no dialect knows is judged as a whole, and with the end of what stood there
  before: a value that was cut across two such events ends the stream;
- a text of an unknown name that a dialect says may grow is held like any other, until its choice
  has said other things `PATIENCE` times: servers send such texts whole, and nothing ends them;
- what is held is bounded; a stream that needs more is ended, not let through.

Units: sizes in bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from tavo.detect.rules import from_bytes, to_bytes
from tavo.detect.seen import without_hidden
from tavo.llm.dialect import Broken, EventReader, Framing, Parts
from tavo.llm.parts import Kind, Slot, strict_json
from tavo.proxy.stream.asking import Blocked, Desk
from tavo.proxy.stream.calling import Calling
from tavo.proxy.stream.channel import TAIL, Segment
from tavo.proxy.stream.channels import MOST_NAMES, Channels
from tavo.proxy.stream.framing import Event, TooLargeError, reader_of
from tavo.proxy.stream.likeness import Like

__all__ = ["Flow"]

MOST_HELD = 8 << 20
MOST_NOTES = 64
MOST_CALLS = 1024
_EACH = 256
"""What an event that waits costs beside its bytes: many small ones are no way around the bound."""
_LONGEST_NOTE = 256
_LEAST_SPLIT = 48
_MOST_UNLIKE = 8
"""So many events in a row that are not like the one before: no more is looked for one that is."""
_SAID = frozenset({Kind.TEXT, Kind.REASONING, Kind.OTHER})
_TOO_DEEP = "it is nested too deep"
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class _Entry:
    """An event that waits."""

    __slots__ = ("calls", "can_split", "changed", "event", "segments", "size", "value")

    def __init__(self, event: Event, value: Any) -> None:
        self.event = event
        self.value = value
        self.segments: list[Segment] = []
        self.calls: list[Calling] = []
        self.changed = False
        self.can_split = False
        self.size = 0


class Flow:
    """One answer that comes in events. There is one for each open stream, so it is kept small."""

    __slots__ = (
        "_begun", "_broken_off", "_calls", "_channels", "_desk", "_events", "_held", "_like",
        "_notes", "_observe", "_queue", "_reader", "_slots", "_tails", "_unlike", "broken",
        "holds_all", "is_blind", "released", "seen", "usage",
    )  # fmt: skip

    def __init__(
        self, framing: Framing, events: EventReader, desk: Desk,
        broken_off: Callable[[Broken], bytes], *, observe: bool = False, hold_all: bool = False,
    ) -> None:  # fmt: skip
        self._reader = reader_of(framing)
        self._events = events
        self._desk = desk
        self._broken_off = broken_off
        self._observe = observe
        self.holds_all = hold_all
        self._queue: list[_Entry] = []
        self._channels = Channels(desk)
        self._calls: dict[Any, Calling] = {}
        self._tails: dict[Any, str] = {}
        self._notes: tuple[bytes, ...] = ()
        self._held = 0
        self._begun = False
        self._like: Like | None = None
        self._unlike = 0
        self._slots: list[tuple[_Entry, Slot]] = []
        self.is_blind = False
        self.seen = 0
        self.released = 0
        self.usage = (0, 0)
        self.broken: Broken | None = None

    @property
    def held(self) -> int:
        """How much is held, in bytes."""
        return self._held + self._reader.held

    def feed(self, data: bytes) -> list[bytes]:
        """Take a piece of the answer; return what may be sent."""
        if self.broken is not None or self.is_blind:
            return [data] if self.is_blind else []
        out: list[bytes] = []
        try:
            for event in self._reader.feed(data):
                self._take(event, out)
        except Blocked as blocked:
            return self._break(blocked.why, out, data)
        except RecursionError:
            return self._break(self._unreadable(_TOO_DEEP), out, data)
        except TooLargeError as error:
            return self._break(self._desk.broken(str(error)), out, data)
        self._begun = self._begun or bool(out)
        return [data] if self._observe else out

    def end(self) -> list[bytes]:
        """Take the end of the answer; return what is still to be sent."""
        out = self.finish()
        return out if self.broken is not None else [*out, *self.release()]

    def finish(self) -> list[bytes]:
        """Take the end of the answer, and judge what is complete with it."""
        if self.broken is not None or self.is_blind:
            return []
        out: list[bytes] = []
        try:
            for event in self._reader.end():
                self._take(event, out)
            for call in self._events.unfinished():
                self._desk.call(call)
            self._stop(list(self._calls))
            self._channels.close(None)
        except Blocked as blocked:
            return self._break(blocked.why, out)
        except ValueError as error:
            return self._break(self._desk.broken(str(error)), out)
        except RecursionError:
            return self._break(self._unreadable(_TOO_DEEP), out)
        return [] if self._observe else out

    def release(self) -> list[bytes]:
        """Return what is still held once the end was judged."""
        out: list[bytes] = []
        if self.broken is None:
            self.holds_all = False
            self._drain(out)
        return [] if self._observe else out

    def texts(self) -> dict[Any, str]:
        """Return the texts that are held, for who judges the whole: each text once.

        What was changed before is in them. Only where all is held, and after `finish`.
        """
        parts: dict[Any, list[str]] = {}
        for entry in self._queue:
            for one in entry.segments:
                said = one.channel.part(one.data, one.start, one.end)
                parts.setdefault(id(one.channel), []).append(said)
        found: dict[Any, str] = {id(c): "".join(parts.get(id(c), ())) for c in self._channels.all()}
        known = set(found.values())
        for number, (_, slot) in enumerate(self._slots):
            if slot.holder is not None and slot.text not in known:
                known.add(slot.text)
                found[f"whole {number}"] = slot.text
        return {key: text for key, text in found.items() if text}

    def replace(self, before: dict[Any, str], after: dict[Any, str]) -> None:
        """Put other texts in the place of those that are held, wherever they stand."""
        changed = {before[key]: text for key, text in after.items() if text != before[key]}
        for channel in self._channels.all():
            key = id(channel)
            if key in after and after[key] != before[key]:
                channel.edits = [(channel.gone, channel.length, after[key])]
        for entry, slot in self._slots:
            if slot.holder is not None and slot.text in changed:
                slot.write(changed[slot.text])
                entry.changed = True

    def stop(self, why: Broken) -> list[bytes]:
        """End the stream from outside, with nothing more of what is held."""
        self._queue.clear()
        return self._break(why, [])

    def _take(self, event: Event, out: list[bytes]) -> None:
        data = event.data
        if event.is_odd and not self._observe:
            raise Blocked(self._unreadable("clients differ in where its lines end"))
        if event.notes and event.notes not in self._notes:
            self._desk.garbage(event.notes.decode("utf-8", "replace"))
            if len(self._notes) < MOST_NOTES and len(event.notes) <= _LONGEST_NOTE:
                self._notes += (event.notes,)
        if data is None:
            self._pass(event, out)
            return
        like = self._like
        if like is not None:
            text = like.text(data)
            if text is not None and not self._channels.others:
                self._unlike = 0
                self._again(event, like, text, out)
                return
            self._like = None
        said = data.strip()
        if said == b"[DONE]":
            self._stop(list(self._calls))
            self._channels.close(None)
        if said in {b"", b"[DONE]"}:
            self._pass(event, out)
            return
        try:
            value = _loosely(data) if self._observe else _strictly(data)
        except (ValueError, RecursionError) as error:
            if not self._observe:
                too_deep = isinstance(error, RecursionError)
                why = _TOO_DEEP if too_deep else str(error)
                raise Blocked(self._unreadable(why)) from None
            self._desk.garbage(data.decode("utf-8", "replace"))
            self.seen += len(data)
            self._pass(event, out, size=len(data))
            return
        try:
            parts = self._events.read(value)
        except ValueError as error:
            raise Blocked(self._desk.broken(str(error))) from None
        if parts.usage is not None:
            self.usage = (
                max(parts.usage[0], self.usage[0]), max(parts.usage[1], self.usage[1]),
            )  # fmt: skip
        if parts.is_loose:
            out.append(event.raw)
            return
        entry = _Entry(event, value)
        try:
            if parts.is_plain:
                entry.can_split = True
                self._delta(entry, *parts.deltas[0])
                if self._unlike < _MOST_UNLIKE and not self._observe:
                    self._unlike += 1
                    self._like = Like.of(data, value, parts)
            else:
                self._judge(parts, entry)
        except Blocked:
            self._waits_blocked(entry, out)
            raise
        if self._channels.others and not self.holds_all:
            self._channels.let_go(parts)
        self._hold(entry, out)

    def _again(self, event: Event, like: Like, text: bytes, out: list[bytes]) -> None:
        """Take an event like the one before it, of which the text alone is read."""
        self.seen += len(text)
        entry = _Entry(event, None)
        entry.can_split = True
        channel = self._channels.of(like.channel, like.kind)
        entry.segments.append(Segment(channel, text, None, like))
        try:
            self._channels.go_on(channel, text)
        except Blocked:
            self._waits_blocked(entry, out)
            raise
        self._hold(entry, out)

    def _waits_blocked(self, entry: _Entry, out: list[bytes]) -> None:
        """Send on what stands before the place at which an event was blocked."""
        self._queue.append(entry)
        self._drain(out, blocked=True)

    def _hold(self, entry: _Entry, out: list[bytes]) -> None:
        self._queue.append(entry)
        self._held += len(entry.event.raw) + _EACH
        self._drain(out)
        if self._held > MOST_HELD:
            raise Blocked(self._desk.broken("more of the answer would have to wait than allowed"))

    def _judge(self, parts: Parts, entry: _Entry) -> None:
        desk = self._desk
        for holder, where in parts.drops:
            if self._desk.rewriting(Kind.TEXT) is not None:
                if not self._observe:
                    holder[where] = None
                entry.changed = True
        if parts.strange:
            desk.strange(parts.strange)
        if parts.slots:
            self._whole(parts, entry)
        for call in parts.calls:
            self.seen += (size := call.size)
            entry.size += size
            entry.changed = desk.call(call) or entry.changed
        if parts.tools:
            entry.changed = desk.tools(parts.tools) or entry.changed
        for key, name, id_ in parts.starts:
            calling = self._calling(key)
            calling.begin(name, id_, desk)
            entry.calls.append(calling)
        for key, holder, where in parts.pieces:
            calling = self._calling(key)
            self.seen += (size := calling.go_on(entry, holder, where))
            entry.size += size
            entry.calls.append(calling)
        for key, holder, where, kind in parts.deltas:
            self._delta(entry, key, holder, where, kind)
        self._stop(parts.stops)
        self._channels.close(parts.ends)
        entry.can_split = (
            len(entry.segments) == 1 and not entry.calls and parts.usage is None
            and not parts.slots and not parts.calls and parts.ends == []
        )  # fmt: skip

    def _calling(self, key: Any) -> Calling:
        calling = self._calls.get(key)
        if calling is None:
            calling = self._calls[key] = Calling()
            if len(self._calls) > MOST_CALLS:
                raise Blocked(self._desk.broken("the answer has too many calls at once"))
        return calling

    def _whole(self, parts: Parts, entry: _Entry) -> None:
        slots = parts.slots
        for slot in slots:
            text = slot.text
            entry.size += (size := len(text) if text.isascii() else len(to_bytes(text)))
            self.seen += size
        entry.changed = self._desk.slots(slots) or entry.changed
        if parts.joins:
            entry.changed = self._desk.joins(parts.joins) or entry.changed
        for slot in slots:
            if slot.kind in _SAID and slot.holder is not None:
                self._go_on(parts.label, slot)
        if self.holds_all:
            self._slots += [(entry, slot) for slot in slots if slot.kind in _SAID]

    def _go_on(self, label: str, slot: Slot) -> None:
        """Judge a text that stands whole with what stood at such a place before."""
        key = label, slot.key if isinstance(slot.key, str) else "", slot.kind
        before, text = self._tails.get(key, ""), slot.text
        if before:
            self._desk.across(before, text, slot.role, slot.kind)
        self._tails[key] = (before + without_hidden(text))[-TAIL:]
        if len(self._tails) > MOST_NAMES:
            raise Blocked(self._desk.broken("the answer has too many unknown fields"))

    def _delta(self, entry: _Entry, key: Any, holder: Any, where: Any, kind: Kind) -> None:
        if kind is Kind.OTHER:  # a client may read each piece by itself, too
            slot = Slot(holder, where, "assistant", kind)
            entry.changed = self._desk.slots([slot]) or entry.changed
        text = holder[where]
        data = text.encode() if text.isascii() else to_bytes(text)
        self.seen += len(data)
        channel = self._channels.of(key, kind)
        if kind is Kind.OTHER and self._channels.repeats(key, channel, data):
            entry.size += len(data)
            return
        entry.segments.append(Segment(channel, data, holder, where))
        self._channels.go_on(channel, data)

    def _stop(self, keys: Sequence[Any]) -> None:
        """Judge calls that are complete."""
        for key in keys:
            calling = self._calls.pop(key, None)
            if calling is not None:
                calling.judge(self._desk, observe=self._observe)

    def _unreadable(self, why: str) -> Broken:
        why = f"an event of the answer cannot be judged: {why}"
        return replace(self._desk.broken(why), code="tavo_unreadable", status=502)

    def _pass(self, event: Event, out: list[bytes], size: int = 0) -> None:
        entry = _Entry(event, None)
        entry.size = size
        self._hold(entry, out)

    def _drain(self, out: list[bytes], *, blocked: bool = False) -> None:
        """Send on what waits for nothing any more."""
        if self.holds_all:
            return
        sent = 0
        last = len(self._queue) - 1 if blocked else -1
        for number, entry in enumerate(self._queue):
            waits = number == last
            for one in entry.segments:
                if one.end > one.channel.final:
                    waits = True
            if waits:
                if entry.can_split or blocked:
                    self._split(entry, out, least=1 if blocked else _LEAST_SPLIT)
                break
            if entry.calls and not all(calling.done for calling in entry.calls):
                break
            sent += 1
            self._held -= len(entry.event.raw) + _EACH
            self.released += entry.size
            for one in entry.segments:
                self._write(one, one.end, entry)
            out.append(entry.event.written(entry.value) if entry.changed else entry.event.raw)
        if sent:
            del self._queue[:sent]

    def _write(self, one: Segment, end: int, entry: _Entry) -> None:
        """Put what a segment says up to `end` into its event."""
        channel = one.channel
        self.released += end - one.start
        if channel.edits:
            text = channel.part(one.data[: end - one.start], one.start, end)
            _read(entry, one)
            if text != one.holder[one.key]:
                one.holder[one.key] = text
                entry.changed = True
            channel.sent(end)

    def _split(self, entry: _Entry, out: list[bytes], *, least: int) -> None:
        """Send the part of an event that is final, and keep the rest of it."""
        if len(entry.segments) != 1 or entry.calls or entry.size:
            return
        one = entry.segments[0]
        final = min(one.channel.final, one.end)
        if final - one.start < least:
            return
        _read(entry, one)
        rest = one.data[final - one.start :]
        one.holder[one.key] = from_bytes(one.data[: final - one.start])
        self._write(one, final, entry)
        out.append(entry.event.written(entry.value))
        one.start, one.data = final, rest
        one.holder[one.key] = from_bytes(rest)
        entry.changed = True

    def _break(self, why: Broken, out: list[bytes], data: bytes = b"") -> list[bytes]:
        self._queue.clear()
        self._channels = Channels(self._desk)
        self._held = 0
        if self._observe:  # nothing is changed, and what cannot be judged is not judged
            self.is_blind = True
            return [data] if data else []
        self.broken = why
        out.append(self._reader.broken(self._broken_off(why), begun=self._begun or bool(out)))
        return out


def _read(entry: _Entry, one: Segment) -> None:
    """Read an event that was like the one before it, now that it is changed."""
    if one.holder is None:
        like: Like = one.key
        entry.value = _decode(entry.event.data or b"")
        one.holder, one.key = like.holder(entry.value), like.key


def _loosely(data: bytes) -> Any:
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(data)


def _strictly(data: bytes) -> Any:
    """Return a document that every reader reads alike. Raises ValueError, RecursionError.

    What is the shortest form of its own value has no name twice; the slow way is for the rest.
    """
    try:
        value = _decode(data)
        if _encode(value) == data:
            return value
    except (msgspec.MsgspecError, UnicodeError):
        pass
    return strict_json(data.decode())
