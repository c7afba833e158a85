"""What of a text has a shape: the text without characters that nobody sees, and the way back.

Rules this module keeps:
- left out is what Unicode says may be ignored when a text is shown, control characters that move
  nothing, and halves of surrogate pairs; blanks, tabs and line breaks stay;
- it is for looking, never for sending on: what is found there is a place in the text as it came.

Source: Unicode 16, property Default_Ignorable_Code_Point (DerivedCoreProperties).

Units: positions in bytes of UTF-8.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate

__all__ = ["CONTROLS", "Seen", "gaps_in", "is_plain", "seen_of", "without_hidden"]

_RANGES = (
    (0x80, 0x9F), (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160),
    (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F),
    (0x3164, 0x3164), (0xD800, 0xDFFF), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
"""An expression for those that are ASCII: all there is to look for in a text that is."""
_CONTROLS = bytes(code for code in (*range(32), 127) if code not in b"\t\n\r")


def _form() -> bytes:
    """Return an expression for runs of such characters, in UTF-8."""
    starts: dict[bytes, list[int]] = {}
    for first, last in _RANGES:
        for code in range(first, last + 1):
            *start, end = chr(code).encode("utf-8", "surrogatepass")
            starts.setdefault(bytes(start), []).append(end)
    forms = [CONTROLS.encode("ascii")]
    for begin, ends in starts.items():
        forms.append(re.escape(begin) + b"[" + b"".join(b"\\x%02x" % end for end in ends) + b"]")
    return b"(?:" + b"|".join(forms) + b")+"


_HIDDEN = re.compile(_form())  # our own, and linear: every alternative begins with other bytes


def is_plain(data: bytes) -> bool:
    """Tell whether all of a text is seen."""
    if data.isascii():
        return len(data.translate(None, _CONTROLS)) == len(data)
    return _HIDDEN.search(data) is None


def gaps_in(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield from where to where nothing is seen of a text."""
    return (one.span() for one in _HIDDEN.finditer(data))


def seen_of(data: bytes) -> bytes:
    """Return what is seen of a text."""
    return data if is_plain(data) else _HIDDEN.sub(b"", data)


def without_hidden(text: str) -> str:
    """Return what is seen of a text, as text."""
    data = text.encode("utf-8", "surrogatepass")
    return text if is_plain(data) else _HIDDEN.sub(b"", data).decode("utf-8", "surrogatepass")


class Seen:
    """A text without what is hidden. `data` is what is left; `behind` stands in front of it."""

    __slots__ = ("_gaps", "_missing", "_starts", "data")

    def __init__(self, text: bytes, behind: bytes = b"") -> None:
        gaps = [one.span() for one in _HIDDEN.finditer(text)]
        sizes = [end - start for start, end in gaps]
        self._missing = list(accumulate(sizes, initial=-len(behind)))
        self._starts = [start for start, _ in gaps]
        self._gaps = [  # where they are in what is left
            start - missing for (start, _), missing in zip(gaps, self._missing, strict=False)
        ]
        self.data = behind + _HIDDEN.sub(b"", text)

    def start(self, at: int) -> int:
        """Return where in the text that stands which is seen at `at`: behind what is hidden."""
        return at + self._missing[bisect_right(self._gaps, at)]

    def end(self, at: int) -> int:
        """Return where in the text that ends which ends at `at`: in front of what is hidden."""
        return at + self._missing[bisect_left(self._gaps, at)]

    def place(self, at: int) -> int:
        """Return where in what is seen a place of the text is; inside a gap, what follows it."""
        number = bisect_right(self._starts, at)
        place = at - self._missing[number]
        return max(place, self._gaps[number - 1]) if number else place
