"""Whether any of some texts stands in the bytes of a file, in one pass over it.

Rules this module keeps:
- a text is found byte for byte, in its UTF-8 form; there are no patterns in it.

One pass of RE2 over an alternation costs the same for one text and for 64 of them; a search for
each one by itself costs more from the second on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import re2

__all__ = ["AnyOf", "Literals"]

_MEMORY = 32 << 20


class AnyOf:
    """Some texts to look for."""

    def __init__(self, texts: Iterable[str]) -> None:
        options = re2.Options()
        options.max_mem = _MEMORY
        options.encoding = re2.Options.Encoding.LATIN1  # a byte is a character
        options.log_errors = False
        pattern = b"|".join(re2.escape(text.encode()) for text in texts)
        self._compiled = re2.compile(pattern, options)

    def is_in(self, data: bytes | memoryview) -> bool:
        """Tell whether one of the texts is in the data."""
        return self._compiled.search(data) is not None


class Literals:
    """Many texts to look for at once, whatever the case of their ASCII letters.

    One pass finds the first place of any of them; asked again from the next byte on, it finds every
    place, also where texts overlap: the longest text at a place is found, and the shorter ones that
    begin there are known beforehand.
    """

    def __init__(self, texts: Iterable[bytes]) -> None:
        """Texts are at least one byte long. Raises ValueError where they are too many."""
        self.texts = tuple(dict.fromkeys(text.lower() for text in texts))
        number = {text: at for at, text in enumerate(self.texts)}
        lengths = sorted({len(text) for text in self.texts})
        self._within = {
            text: tuple(
                number[text[:length]]
                for length in lengths
                if length <= len(text) and text[:length] in number
            )
            for text in self.texts
        }
        self._compiled = [_of_bytes(part) for part in _parts(sorted(self.texts))]

    def places(
        self, data: bytes, start: int = 0, end: int | None = None
    ) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yield each place at which texts begin, with the numbers of these texts, in any order."""
        stop = len(data) if end is None else end
        for compiled in self._compiled:
            search = compiled.search
            at = start
            while (match := search(data, at, stop)) is not None:
                first, last = match.span()
                yield first, self._within[data[first:last].lower()]
                at = first + 1


_MOST_TOGETHER = 4000


def _parts(texts: list[bytes]) -> Iterator[list[bytes]]:
    """Cut the texts so that each automaton stays well within its memory."""
    for at in range(0, len(texts), _MOST_TOGETHER):
        yield texts[at : at + _MOST_TOGETHER]


def _of_bytes(texts: list[bytes]) -> Any:
    options = re2.Options()
    options.max_mem = 2 * _MEMORY
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = False
    options.longest_match = True
    options.log_errors = False
    try:
        return re2.compile(b"|".join(map(re2.escape, texts)), options)
    except re2.error as error:
        raise ValueError(f"{len(texts)} texts are too many to look for at once") from error
