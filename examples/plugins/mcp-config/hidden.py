"""Text that people do not see: found, and read where it carries a message.

Rules this module keeps:
- flags of regions, joined emoji and letters of other scripts are ordinary text;
- a reading counts only if all of it is printable.

Sources: Unicode 16 chapters 23.2 and 23.4, UTS 51 (flags made of tags).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Hidden", "find_hidden", "find_unrendered", "visible"]

_RUN = re.compile(
    "[\U000e0000-\U000e007f]{2,}"
    "|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{3,}"
    "|[\u200b-\u200f\u2060-\u2064\u180e\ufeff\u3164]{4,}"
    "|[\u202d\u202e]"
    "|[\u2066-\u2068][^\u2069\n]*(?=\n|\\Z)"
)
_FLAG = "\U0001f3f4"
_INVISIBLE = re.compile(
    "[\xad\u034f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\U000e0100-\U000e01ef]"
)
_LONGEST = 4000
_UNRENDERED = (
    ("a comment", re.compile(r"<!--(.{0,4000}?)-->", re.DOTALL)),
    (
        "a link definition",
        re.compile(r"(?m)^\[[^\]\n]{1,40}\]:[ \t]*(?:#|<>)[ \t]*[(\"'](.{0,2000})[)\"'][ \t]*$"),
    ),
    (
        "an element that is not shown",
        re.compile(
            r"<\w+\b[^>]{0,200}?(?:display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0"
            r"|opacity\s*:\s*0(?![.\d])|(?<!-)color\s*:\s*(?:white|#fff(?:fff)?\b|transparent)"
            r"|\shidden(?=[\s>]))"
            r"[^>]{0,200}>(.{0,4000}?)</",
            re.DOTALL | re.IGNORECASE,
        ),
    ),
    ("text far to the right", re.compile(r"(?m)^.{0,400}?\S?[ \t\u00a0]{120,}(\S.{0,2000})$")),
    ("a terminal sequence", re.compile(r"\x1b\[(?:8|30;40|37;47)m([^\x1b]{0,2000})")),
)
_BASE64 = re.compile(r"(?<![\w+/=])[A-Za-z0-9+/]{40,4000}={0,2}(?![\w+/=])")


@dataclass(frozen=True, slots=True)
class Hidden:
    """A stretch of text that is not seen, in what form, and what it says if it could be read."""

    start: int
    end: int
    form: str
    says: str = ""


def visible(text: str) -> str:
    """Return a text as a model reads it: tags as letters, what is invisible left out."""
    letters = {0xE0000 + code: code for code in range(0x20, 0x7F)}
    return _INVISIBLE.sub("", text).translate(letters)


def find_hidden(text: str) -> Iterator[Hidden]:
    """Yield runs of characters that nobody sees."""
    if text.isascii():
        return
    for match in _RUN.finditer(text):
        run, start = match[0], match.start()
        if text[start - 1 : start] == _FLAG:
            continue
        if run[0] in "\u202d\u202e\u2066\u2067\u2068":
            yield Hidden(start, start + 1, "letters in another order")
        elif "\U000e0000" <= run[0] <= "\U000e007f":
            letters = "".join(
                chr(ord(c) - 0xE0000) for c in run if "\U000e0020" <= c < "\U000e007f"
            )
            yield Hidden(start, match.end(), "Unicode tags", letters[:_LONGEST])
        elif (
            run[0]
            in "\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\u180e\ufeff\u3164"
        ):
            says = _of_bits(run)
            if says or len(set(run)) > 1 or len(run) > 8:
                yield Hidden(start, match.end(), "characters without width", says)
        else:
            yield Hidden(start, match.end(), "variation selectors", _of_selectors(run))


def find_unrendered(text: str) -> Iterator[Hidden]:
    """Yield what is in a Markdown or HTML file and not on the page, as it reads."""
    for form, pattern in _UNRENDERED:
        for match in pattern.finditer(text):
            yield Hidden(match.start(1), match.end(1), form, match[1])
            for blob in _BASE64.finditer(match[1]):
                says = _of_base64(blob[0])
                if says:
                    start = match.start(1) + blob.start()
                    yield Hidden(start, start + len(blob[0]), f"{form}, as Base64", says)


def _printable(data: bytes) -> str:
    """Return bytes as text, or nothing where it is none."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return ""
    good = all(c.isprintable() or c in "\r\n\t" for c in text)
    return text[:_LONGEST] if good and len(text) >= 3 else ""


def _of_selectors(run: str) -> str:
    """Read a byte from each selector: 16 of one block, then 240 of the other."""
    codes = (ord(c) for c in run)
    return _printable(bytes(c - 0xFE00 if c < 0xFE10 else c - 0xE0100 + 16 for c in codes))


def _of_bits(run: str) -> str:
    """Read two characters as bits, either way round; a third one may part the bytes."""
    kinds = sorted(set(run), key=run.count, reverse=True)[:2]
    if len(kinds) < 2:
        return ""
    for zero in kinds:
        bits = "".join("0" if c == zero else "1" for c in run if c in kinds)
        for width in (8, 7, 16):
            if len(bits) % width == 0:
                values = [int(bits[i : i + width], 2) for i in range(0, len(bits), width)]
                if all(0x20 <= v < 0x7F or v == 10 for v in values) and len(values) >= 3:
                    return "".join(map(chr, values))[:_LONGEST]
    return ""


def _of_base64(blob: str) -> str:
    try:
        return _printable(base64.b64decode(blob + "=" * (-len(blob) % 4)))
    except ValueError:
        return ""
