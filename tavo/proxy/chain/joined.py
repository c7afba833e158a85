"""Texts of one message that whoever reads them may put together, looked at as one.

Rules this module keeps:
- each text was judged by itself before; here counts only what stands across two of them;
- long texts are looked at around each place where two meet, `_REACH` bytes to both sides;
- a change across texts puts what is new into the first of them, and takes the rest away.

Units: positions in bytes of UTF-8 in what was put together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from tavo.detect.rules import from_bytes, to_bytes
from tavo.llm.parts import Slot
from tavo.proxy.stream.asking import Edit

__all__ = ["Joined", "joined_texts", "rewritten"]

_REACH = 8 << 10


class Joined:
    """A stretch of several texts: `data` with `glue` between them, and where each begins.

    Of the first text the bytes before `cut` are left out.
    """

    __slots__ = ("_cut", "_ends", "_starts", "data", "slots")

    def __init__(
        self, slots: Sequence[Slot], texts: Sequence[bytes], glue: bytes, cut: int = 0
    ) -> None:
        self.slots = slots
        self._cut = cut
        self._starts: list[int] = []
        self._ends: list[int] = []
        at = 0
        for text in texts:
            self._starts.append(at)
            self._ends.append(at + len(text))
            at += len(text) + len(glue)
        self.data = glue.join(texts)

    def is_across(self, start: int, end: int) -> bool:
        """Tell whether a match has parts of two texts in it."""
        return (
            self.slot_at(start) != self.slot_at(end - 1) and start < self._ends[self.slot_at(start)]
        )

    def slot_at(self, position: int) -> int:
        """Return the number of the text at a position, or of that before the glue there."""
        return bisect_right(self._starts, position) - 1

    def parts(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield for each text that the bytes touch its number, and from where to where."""
        for number in range(self.slot_at(start), self.slot_at(end - 1) + 1):
            first, last = self._starts[number], self._ends[number]
            if max(first, start) < min(last, end):
                shift = first - (0 if number else self._cut)
                yield number, max(first, start) - shift, min(last, end) - shift


def joined_texts(slots: Sequence[Slot], glue: str) -> Iterator[Joined]:
    """Yield the stretches of texts in which something may stand across two.

    Texts may be changed between two of them.
    """
    sizes = [len(to_bytes(slot.text)) for slot in slots]
    if sum(sizes) <= 4 * _REACH:
        yield Joined(slots, [to_bytes(slot.text) for slot in slots], to_bytes(glue))
        return
    for number in range(len(slots) - 1):
        first, last = number, number + 2
        while first and sum(sizes[first : number + 1]) < _REACH:
            first -= 1
        while last < len(slots) and sum(sizes[number + 1 : last]) < _REACH:
            last += 1
        yield _window(slots[first:last], number - first, to_bytes(glue))


def _window(slots: Sequence[Slot], middle: int, glue: bytes) -> Joined:
    """Leave out what is far from where the texts `middle` and the next meet."""
    texts = [to_bytes(slot.text) for slot in slots]
    cut = min(max(sum(map(len, texts[: middle + 1])) - _REACH, 0), len(texts[0]))
    while cut < len(texts[0]) and texts[0][cut] & 0xC0 == 0x80:
        cut += 1
    keep = max(len(texts[-1]) - max(sum(map(len, texts[middle + 1 :])) - _REACH, 0), 0)
    while 0 < keep < len(texts[-1]) and texts[-1][keep] & 0xC0 == 0x80:
        keep -= 1
    texts[-1] = texts[-1][:keep]
    texts[0] = texts[0][cut:]
    return Joined(slots, texts, glue, cut)


def rewritten(joined: Joined, edits: Sequence[Edit]) -> bool:
    """Write changes back into the texts; False where one stands where nothing may change."""
    changes: dict[int, list[tuple[int, int, bytes]]] = {}
    for start, end, new in edits:
        said = to_bytes(new)
        for number, first, last in joined.parts(start, end):
            if joined.slots[number].holder is None:
                return False
            changes.setdefault(number, []).append((first, last, said))
            said = b""
    for number, found in changes.items():
        slot = joined.slots[number]
        data = to_bytes(slot.text)
        for first, last, said in sorted(found, reverse=True):
            data = data[:first] + said + data[last:]
        slot.write(from_bytes(data))
    return True
