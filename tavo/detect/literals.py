"""Whether any of some texts stands in the bytes of a file, in one pass over it.

Rules this module keeps:
- a text is found byte for byte, in its UTF-8 form; there are no patterns in it.

One pass of RE2 over an alternation costs the same for one text and for 64 of them; a search for
each one by itself costs more from the second on.
"""

from __future__ import annotations

from collections.abc import Iterable

import re2

__all__ = ["AnyOf"]

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
