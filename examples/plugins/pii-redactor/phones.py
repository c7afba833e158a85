"""Telephone numbers: a cheap look for what may be one, and the judgement of phonenumbers.

Rules this module keeps:
- a number with a country code counts when phonenumbers calls it valid;
- a number without one counts when it is valid in one of the configured regions, and is written as
  numbers are in North America, or stands beside a word such as "call"; digits alone need a word
  such as "phone", because "call" stands beside many numbers;
- beside a word such as "phone" a number need not be one that was given out, only be as long as one;
- phonenumbers sees only short pieces of a text, so a long text costs no more than its numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from phonenumbers import (
    SUPPORTED_REGIONS,
    NumberParseException,
    is_possible_number,
    is_valid_number,
    parse,
)

__all__ = ["REGIONS", "find", "warm"]

REGIONS = frozenset(SUPPORTED_REGIONS)
"""The regions whose numbers are known, by ISO 3166-1."""

_INTERNATIONAL = re.compile(
    r"(?<![\w+=])(?:\+|00[ -]?(?=[1-9]))[(]?\d[\d ().\-/]{5,24}\d(?!\w)", re.ASCII
)
_NATIONAL = re.compile(
    r"(?<![\w+=.,/:-])(?<!\w\()(?!\d{8}-|\d{4}-\d\d-\d\d|\d\d-\d\d )"
    r"[(]?\d[\d()](?:[ ().\-/]{0,2}\d){5,12}(?![\w-])(?!\.\d)",
    re.ASCII,
)
_AMERICAN = re.compile(
    r"(?:1[-. ])?(?:"
    r"\([2-9]\d\d\) ?[2-9]\d\d[-. ]\d{4}|[2-9]\d\d([-.])[2-9]\d\d\1\d{4})(?: ?x\d+)?\Z"
)
_SURE = re.compile(
    r"(?<![a-z])(?:(?:tele)?phone|tel|mobile|cell(?:phone)?|fax|whatsapp|hotline|telefon\w{0,8}|"
    r"handynummer|mobil(?:nummer|funk|telefon)?|rufnummer|t[ée]l[ée]phone|tel[ée]fono|m[óo]vil|"
    r"cellulare|telefoon\w{0,8}|telefone|celular|komórk\w{0,4})(?![a-z])",
    re.IGNORECASE,
)
_PERHAPS = re.compile(
    r"(?<![a-z])(?:call(?:ed|ing)?|sms|text(?: me)?|dial|ring|reach(?: me)?|contact|handy|portable)"
    r"(?![a-z_])",
    re.IGNORECASE,
)
_LAST = re.compile(r"[ ().\-/]{1,3}[^ ().\-/]*\Z")


def warm(regions: tuple[str, ...]) -> None:
    """Load the data of the regions and of the big codes before the first text waits for it."""
    for text in ("+1 212 555 0123", "+44 20 7946 0958", "+49 30 123456", "+33 1 42 68 53 00"):
        _length(text, None)
    for region in regions:
        _length("030 123456", region)


def find(
    text: str,
    regions: tuple[str, ...],
    is_beside: Callable[[re.Pattern[str], str, int, int], bool],
) -> Iterator[tuple[int, int]]:
    """Yield the spans of telephone numbers."""
    for match in _INTERNATIONAL.finditer(text):
        piece = match[0]
        bare = "+" + piece[2:].lstrip(" -") if piece.startswith("00") else piece
        size = _length(bare, None, sure=is_beside(_SURE, text, *match.span()))
        if size:
            yield match.start(), match.start() + size + len(piece) - len(bare)
    for match in _NATIONAL.finditer(text):
        piece = match[0]
        american = bool(_AMERICAN.match(piece))
        sure = is_beside(_SURE, text, *match.span())
        if (
            not american
            and not sure
            and (
                piece.isdigit()
                or not _PERHAPS.search(text, max(0, match.start() - 32), match.start())
            )
        ):
            continue
        own = ("US",) if american else regions
        size = max(_length(piece, region) for region in own)
        if not size and sure and not piece.isdigit():
            size = max(_length(piece, region, sure=True) for region in own)
        if size:
            yield match.start(), match.start() + size


@lru_cache(maxsize=4096)
def _length(piece: str, region: str | None, *, sure: bool = False) -> int:
    """Return how much of a piece is a number that somebody may have; 0 for none.

    `sure`: a word says that it is one, so it need not be one that was given out.
    """
    end, tries = len(piece), 0
    while end >= 7 and tries < 6:
        try:
            number = parse(piece[:end], region)
            if is_valid_number(number) or (
                sure and end == len(piece) and is_possible_number(number)
            ):
                return end
        except NumberParseException:
            pass
        tries += 1
        cut = _LAST.search(piece, 0, end)
        end = cut.start() if cut else 0
    return 0
