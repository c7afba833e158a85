"""One text of an answer that comes in pieces: what of it is final, and what is changed in it.

Rules this module keeps:
- positions never move: changes are noted, and applied to the pieces when they are sent;
- a text may begin with what was sent before it (`follow`): what matches only in that was judged
  there; what begins in it and ends in the new text can no longer be changed, and ends the stream.

Units: positions in bytes of UTF-8 from the start of the text.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import Any

from tavo.detect.live import Live
from tavo.detect.rules import from_bytes, to_bytes
from tavo.detect.seen import seen_of
from tavo.proxy.stream.asking import Blocked, CutError, Edit, Rewriting

__all__ = ["TAIL", "Channel", "Segment"]

TAIL = 512
"""So much of what was said before a text is looked at together with it."""
_MUCH = 64
_end = itemgetter(1)


class Channel:
    """One text. `unheard` counts events of its choice that did not go on with it; `repeats` is what
    all of it says again and again.
    """

    __slots__ = (
        "closed", "edits", "final", "gone", "length", "live", "repeats", "rewriting", "tail",
        "texts", "unheard",
    )  # fmt: skip

    def __init__(self, rewriting: Rewriting | None) -> None:
        self.rewriting = rewriting
        self.live = Live(rewriting.sets) if rewriting is not None else None
        self.final = 0
        self.gone = 0
        self.unheard = 0
        self.length = 0
        self.closed = False
        self.edits: list[Edit] = []
        self.texts = bytearray()
        self.tail = b""
        self.repeats = b""

    @property
    def is_held(self) -> bool:
        """Whether there is an end that may still become part of a match."""
        return max(self.final, self.gone) < self.length and not self.closed

    def follow(self, before: bytes) -> None:
        """Take it that `before` was sent and is read together with this text."""
        if before and self.rewriting is not None:
            self.gone = len(before)
            self.feed(before)

    def feed(self, data: bytes, *, close: bool = False) -> None:
        """Take the next piece. Raises Blocked, CutError."""
        self.length += len(data)
        tail = self.tail + seen_of(data)  # what is hidden pushes nothing out of it
        self.tail = tail if len(tail) <= TAIL else tail[-TAIL:]
        if self.live is None or self.rewriting is None:
            self.final = self.length
            return
        kept_from = self.length - len(data) - len(self.texts)
        self.texts += data
        self.rewriting.heard(data)
        matches = self.live.feed(data, close=close)
        texts, gone = self.texts, self.gone
        if gone and matches[0]:
            matches[0] = [one for one in matches[0] if one.end > gone]

        def text(start: int, end: int) -> str:
            return from_bytes(bytes(texts[start - kept_from : end - kept_from]))

        edits, self.final, stop = self.rewriting.edits(matches, text, self.live.final)
        if gone:
            if any(start < gone < end for start, end, _ in edits):
                self.final = gone  # nothing of what came with it goes on
                raise CutError
            edits = [edit for edit in edits if edit[0] >= gone]
        self.edits += edits
        if stop is not None:
            self.final = max(self.final, gone)
            raise Blocked(stop)
        del texts[: max(self.final - kept_from, 0)]

    def part(self, data: bytes, start: int, end: int) -> str:
        """Return the bytes `start` to `end`, which are `data`, as they are after all edits."""
        out, at = [], start
        edits = self.edits
        for number in range(bisect_right(edits, start, key=_end), len(edits)):
            first, last, text = edits[number]
            if first >= end:
                break
            if first >= start:
                out.append(data[at - start : first - start])
                out.append(to_bytes(text))
            at = min(last, end)
        out.append(data[at - start :])
        return from_bytes(b"".join(out))

    def sent(self, end: int) -> None:
        """Forget the changes before `end`, now and then: each costs once."""
        done = bisect_right(self.edits, end, key=_end)
        if done >= _MUCH or done == len(self.edits):
            del self.edits[:done]


class Segment:
    """The piece of a channel that stands in one event, at `holder[key]`.

    No holder: the event was not read, and the key is what it is like.
    """

    __slots__ = ("channel", "data", "end", "holder", "key", "start")

    def __init__(self, channel: Channel, data: bytes, holder: Any, key: Any) -> None:
        self.channel = channel
        self.start = channel.length
        self.end = channel.length + len(data)
        self.data = data
        self.holder = holder
        self.key = key
