"""A text that still grows, and what rules find in it: what is final may be let go.

Rules this module keeps:
- several sets of rules look at the same text, each for itself; a place is final when it is final
  for all of them;
- rules look twice: at the text as it came, and at what is seen of it (`tavo.detect.seen`), so that
  nothing invisible hides a match; what both find counts, and matches that overlap come together;
- what is found does not depend on how the text was cut into pieces;
- only the end that is not final is kept, and one character before it, because rules look back at
  it; the more is kept, the more must come before it is looked at again, so that the cost is linear.

Units: positions in bytes of UTF-8 from the start of the text.
"""

from __future__ import annotations

from collections.abc import Sequence

from tavo.detect.rules import Match, RuleSet
from tavo.detect.seen import Seen, is_plain

__all__ = ["Live", "looked"]

_MUCH = 1024
"""From so many bytes on that are held, a quarter more must come before they are looked at again."""


class Live:
    """One text under way. `final` is where the part begins that may still change its meaning."""

    __slots__ = (
        "_before", "_buffer", "_looks", "_more", "_offset", "_sets", "_twice", "_wait", "closed",
        "final",
    )  # fmt: skip

    def __init__(self, sets: Sequence[RuleSet]) -> None:
        self._sets = sets
        self._buffer = b""
        self._more: list[bytes] = []
        self._wait = 0
        self._offset = 0
        self._before = b""
        self._looks = [_Look() for _ in sets]
        self._twice = False
        self.final = 0
        self.closed = False

    @property
    def length(self) -> int:
        """How much of the text is known."""
        return self._offset + len(self._buffer) + sum(map(len, self._more))

    def feed(self, data: bytes, *, close: bool = False) -> list[list[Match]]:
        """Take the next piece; return for each set the matches that became final."""
        self.closed = close
        if self._wait and self._wait > len(data) and not close:
            self._wait -= len(data)
            self._more.append(data)
            return [[] for _ in self._sets]
        if self._more:
            data = b"".join([*self._more, data])
            self._more.clear()
        offset, buffer = self._offset, self._buffer + data
        self._buffer = buffer
        seen = None
        if self._twice or not is_plain(data):
            self._twice = True
            seen = Seen(buffer, self._before)
        answer: list[list[Match]] = []
        final = len(buffer)
        for rules, look in zip(self._sets, self._looks, strict=True):
            if seen is None:
                found, at = look.once(rules, buffer, offset, close=close)
            else:
                found, at = look.twice(rules, buffer, offset, seen, close=close)
            if at < final:
                final = at
            answer.append(found)
        self.final = final + offset
        if final > 1:
            self._cut(final)
        held = len(buffer) - final
        self._wait = held // 4 if held >= _MUCH else 0
        return answer

    def _cut(self, final: int) -> None:
        buffer, kept = self._buffer, final - 1
        while kept > 0 and buffer[kept] & 0xC0 == 0x80:
            kept -= 1
        if kept > 0:
            last = buffer[:kept]
            if self._twice:
                last = Seen(last).data or self._before
            self._before = last[-1:]
            self._buffer = buffer = buffer[kept:]
            self._offset += kept
        if self._twice and is_plain(buffer):
            self._twice = not all(look.is_one for look in self._looks)


class _Look:
    """How far one set has come, in the text as it came and in what is seen of it."""

    __slots__ = ("places", "rejected", "waiting")

    def __init__(self) -> None:
        self.places = (0, 0)
        self.rejected = (0, 0)
        self.waiting: list[Match] = []

    @property
    def is_one(self) -> bool:
        """Tell whether looking once will do from here on, where nothing is hidden."""
        return (
            self.places[0] == self.places[1]
            and self.rejected[0] == self.rejected[1]
            and not self.waiting
        )

    def once(
        self, rules: RuleSet, buffer: bytes, offset: int, *, close: bool
    ) -> tuple[list[Match], int]:
        """Return what became final, and up to where that is, in a buffer that is all seen."""
        found, at, count = rules.scan(
            buffer, self.places[0] - offset, closed=close, rejected=self.rejected[0]
        )
        self.places = (at + offset,) * 2
        if count:
            self.rejected = (count, count)
        if offset and found:
            found = [Match(one.start + offset, one.end + offset, one.rule) for one in found]
        return found, at

    def twice(
        self, rules: RuleSet, buffer: bytes, offset: int, seen: Seen, *, close: bool
    ) -> tuple[list[Match], int]:
        """Return the same for a buffer of which something is hidden."""
        found, at, count = rules.scan(
            buffer, self.places[0] - offset, closed=close, rejected=self.rejected[0]
        )
        places, second, counted = rules.scan(
            seen.data, seen.place(self.places[1] - offset), closed=close, rejected=self.rejected[1]
        )
        upto = seen.start(second)
        self.places = (at + offset, upto + offset)
        self.rejected = (count, counted)
        found = [Match(one.start + offset, one.end + offset, one.rule) for one in found]
        found += [
            Match(seen.start(one.start) + offset, seen.end(one.end) + offset, one.rule)
            for one in places
        ]
        least = min(at, upto)
        if self.waiting or found:
            waiting = sorted({*self.waiting, *found}, key=_place)
            whole = len(waiting) if close else _whole(waiting, least + offset)
            found, self.waiting = waiting[:whole], waiting[whole:]
            if self.waiting:
                least = min(least, self.waiting[0].start - offset)
        return found, least


def looked(sets: Sequence[RuleSet], data: bytes) -> list[list[Match]]:
    """Return for each set what it finds in a whole text; what overlaps stands together."""
    if is_plain(data):
        return [rules.scan(data, 0, closed=True)[0] for rules in sets]
    return Live(sets).feed(data, close=True)


def _place(match: Match) -> tuple[int, int, str]:
    return match.start, match.end, match.rule.id


def _whole(matches: list[Match], final: int) -> int:
    """Return how many matches are final with all that overlap them."""
    whole, end = 0, 0
    for number, match in enumerate(matches):
        if match.start >= end:
            whole = number
        end = max(end, match.end)
        if end > final:
            return whole
    return len(matches)
