"""Characters that people do not see and models read: Unicode tags, reordering, runs of nothing.

Rules this module keeps:
- flags of regions, joined emoji and single joiners are ordinary text;
- `folded` is what a text says when what is invisible is gone and look-alike widths are one, and
  `undisguised` when letters of other alphabets, accents and control characters are gone as well,
  where each stands for a letter of ASCII; both are for looking, never for sending on.

Sources: Unicode 16 chapters 23.2, 23.4, 23.9; UTS 39 (confusables); UTS 51 (flags made of tags).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from tavo.detect.rules import Rule

__all__ = ["FLAGS", "HIDDEN", "folded", "undisguised"]

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

_ALIKES = (
    # Cyrillic
    ("\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443", "abekmhopcty"),
    ("\u04af\u0445\u0456\u0458\u0455\u04bb\u0501\u050d\u051b\u051d\u04cf", "yxijshdgqwl"),
    ("\u0475\u044c\u043f\u0433\u0493\u0410\u0412\u0415\u041a\u041c\u041d", "vbnrfABEKMH"),
    ("\u041e\u0420\u0421\u0422\u0423\u04ae\u0425\u0406\u0408\u0405\u051a", "OPCTYYXIJSQ"),
    ("\u051c\u04c0\u0474\u050c", "WIVG"),
    # Greek
    ("\u03b1\u03b2\u03b5\u03b7\u03b9\u03ba\u03bd\u03bf\u03c1\u03c3\u03c4", "abenikvopot"),
    ("\u03c5\u03c7\u03b3\u03c9\u03f2\u03f3\u0391\u0392\u0395\u0396\u0397", "uxywcjABEZH"),
    ("\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03f9\u037f", "IKMNOPTYXCJ"),
    # Armenian
    ("\u0578\u057d\u0585\u0570\u0581\u0566\u0575\u0555\u054d\u054f", "nuohgqjOUS"),
    # Latin
    ("\u0131\u0251\u0261\u0269\u00f8\u0142\u0111\u0127\u00d8\u0141", "iagioldhOL"),
    # small capitals
    ("\u1d00\u0299\u1d04\u1d05\u1d07\ua730\u0262\u029c\u026a\u1d0a\u1d0b", "abcdefghijk"),
    ("\u029f\u1d0d\u0274\u1d0f\u1d18\u0280\ua731\u1d1b\u1d1c\u1d20\u1d21", "lmnoprstuvw"),
    ("\u028f\u1d22", "yz"),
)
"""Letters that are drawn like one of ASCII, and which one."""
_ALIKE = {
    ord(odd): letter
    for odds, letters in _ALIKES
    for odd, letter in zip(odds, letters, strict=True)
} | {
    start + at: chr(65 + at) for start in (0x1F150, 0x1F170) for at in range(26)
}  # fmt: skip
_ODD = re.compile("\x1b\\[[0-9;]{0,20}[A-Za-z]|[^\t-\r -~]+")
_DROPPED = {"Cc", "Cf", "Mn", "Me", "Cs"}


def folded(text: str) -> str:
    """Return what a text says: tags as letters, nothing invisible, one width, small letters."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text.translate(_FOLDS)).lower()


def undisguised(text: str) -> str:
    """Return a text in the letters that it is drawn with and read by a model as: ASCII.

    What stands for no letter of ASCII stays, control and combining characters go.
    """
    return _ODD.sub(_plain, text)


def _plain(odd: re.Match[str]) -> str:
    run = odd[0]
    if run[0] == "\x1b" and "A" <= run[-1] <= "z":
        return ""  # a colour of a terminal
    return "".join(map(_letter, run))


@lru_cache(8192)
def _letter(odd: str) -> str:
    code = ord(odd)
    if code in _FOLDS:
        return chr(_TAGS[code]) if code in _TAGS else ""
    if code in _ALIKE:
        return _ALIKE[code]
    parts = unicodedata.normalize("NFKD", odd)
    letters = "".join(
        _ALIKE.get(ord(one), one) for one in parts if unicodedata.category(one) not in _DROPPED
    )
    return letters if letters.isascii() else odd
