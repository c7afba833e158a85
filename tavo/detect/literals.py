"""Whether any of some texts stands in the bytes of a file, in one pass over it.

Rules this module keeps:
- a text is found byte for byte, in its UTF-8 form; there are no patterns in it.

One pass of RE2 over an alternation costs the same for one text and for 64 of them; a search for
each one by itself costs more from the second on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import re2

__all__ = ["AnyOf", "Literals", "blanks"]

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

    A blank in a text stands for white space of any length and kind, and for the escapes with which
    JSON writes it.

    One pass finds the first place of any of them; asked again from the next byte on, it finds every
    place, also where texts overlap: the longest text at a place is found, and the shorter ones that
    begin there are known beforehand.
    """

    def __init__(self, texts: Iterable[bytes]) -> None:
        """Texts are at least one byte long. Raises ValueError where they are too many."""
        self.texts = tuple(dict.fromkeys(blanks(text.lower()) for text in texts))
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
        within = self._within
        for compiled in self._compiled:
            search = compiled.search
            at = start
            while (match := search(data, at, stop)) is not None:
                first, last = match.span()
                found = data[first:last].lower()
                known = within.get(found)
                yield first, within[blanks(found)] if known is None else known
                at = first + 1


_MOST_TOGETHER = 4000
_ESCAPE = rb"\\+(?:[nrtfv]|u00(?:0[9a-d]|20))"
_BLANK = rb"(?:[ \t\n\v\f\r]|" + _ESCAPE + rb")+"


_WHITE = re.compile(_BLANK)


def blanks(text: bytes) -> bytes:
    """Return a text with one blank for each stretch of white space or of escapes for it."""
    return _WHITE.sub(b" ", text)


def _parts(texts: list[bytes]) -> Iterator[list[bytes]]:
    """Cut the texts so that each automaton stays well within its memory."""
    for at in range(0, len(texts), _MOST_TOGETHER):
        yield texts[at : at + _MOST_TOGETHER]


def _pattern(text: bytes) -> bytes:
    return _BLANK.join(re2.escape(part) for part in text.split(b" "))


def _of_bytes(texts: list[bytes]) -> Any:
    options = re2.Options()
    options.max_mem = 2 * _MEMORY
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = False
    options.longest_match = True
    options.log_errors = False
    try:
        return re2.compile(b"|".join(map(_pattern, texts)), options)
    except re2.error as error:
        raise ValueError(f"{len(texts)} texts are too many to look for at once") from error
