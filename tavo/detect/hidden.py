"""Characters that people do not see and models read: Unicode tags, reordering, runs of nothing.

Rules this module keeps:
- flags of regions, joined emoji and single joiners are ordinary text;
- `folded` is what a text says when what is invisible is gone and look-alike widths are one; it is
  for looking, never for sending on.

Sources: Unicode 16 chapters 23.2, 23.4, 23.9; UTS 39; UTS 51 (flags made of tags).
"""

from __future__ import annotations

import unicodedata

from tavo.detect.rules import Rule

__all__ = ["FLAGS", "HIDDEN", "folded"]

FLAGS = Rule(
    id="hidden.flag",
    pattern=r"\x{1F3F4}[\x{E0030}-\x{E0039}\x{E0061}-\x{E007A}]{2,6}\x{E007F}",
)
"""A flag of a region: tags that are allowed. It stands before the others and is kept."""

HIDDEN: tuple[Rule, ...] = (
    Rule(id="hidden.tags", label="TAGS", pattern=r"[\x{E0000}-\x{E007F}]{1,500}"),
    Rule(
        id="hidden.reordered",
        label="REORDERED",
        pattern=r"[\x{202A}-\x{202E}\x{2066}-\x{2069}]{1,50}",
    ),
    Rule(
        id="hidden.run",
        label="INVISIBLE",
        pattern=r"[\x{200B}-\x{200D}\x{2060}-\x{2064}\x{FEFF}\x{180E}\x{3164}]{4,500}",
    ),
    Rule(
        id="hidden.selectors",
        label="SELECTORS",
        pattern=r"[\x{FE00}-\x{FE0F}]{3,500}|[\x{E0100}-\x{E01EF}]{2,500}",
    ),
)
_INVISIBLE = dict.fromkeys(
    [
        0xAD, 0x34F, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F),
        *range(0x2060, 0x206A), 0xFEFF, 0x3164, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0),
    ]
)  # fmt: skip
_TAGS = {0xE0000 + code: code for code in range(0x20, 0x7F)}
_FOLDS = {**_INVISIBLE, **_TAGS}


def folded(text: str) -> str:
    """Return what a text says: tags as letters, nothing invisible, one width, small letters."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text.translate(_FOLDS)).lower()
