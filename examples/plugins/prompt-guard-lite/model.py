"""A linear model of words, pairs and triples of words, and of kinds of words near each other.

Rules this module keeps:
- standard library only; a model is a file of at most 100 kB beside this module;
- the answer depends on the text alone, and time grows with its length and not faster;
- a long text is looked at in windows that overlap, and the most suspicious one counts, so orders
  are not diluted by what stands around them;
- what nobody sees, letters of other widths and blanks between letters hide nothing.

How it was trained: `benchmarks/prompt_guard_lite.py`. Units: scores from 0.0 to 1.0.
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path

from lexicon import KINDS

__all__ = [
    "BITS", "FEWEST", "Model", "features", "norm", "read", "signs", "windows", "words", "written",
]  # fmt: skip

BITS = 16
FEWEST = 4
_WINDOW, _STEP, _FEW, _NEAR = 160, 100, 24, 6
_MASK = (1 << BITS) - 1
_MAGIC = b"prompt-guard-lite/1\n"
_WORD = re.compile(r"[^\W_]+|[^\w\s]|_")
_SPELT = re.compile(r"(?<!\w)(?:\w[ .\-_*]){3,}\w(?!\w)")
_LONGEST_WORD = 40
_UNSEEN = dict.fromkeys(
    [0xAD, 0x34F, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F),
     *range(0x2060, 0x2070), 0xFEFF, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]
)  # fmt: skip
_TAGS = {0xE0000 + one: one for one in range(0x20, 0x7F)}


def words(text: str) -> list[str]:
    """Return the words and marks of a text, as they are seen."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_TAGS).translate(_UNSEEN))
    text = _SPELT.sub(lambda found: re.sub(r"[ .\-_*]", "", found[0]), text.casefold())
    return ["#" if one.isdigit() else one[:_LONGEST_WORD] for one in _WORD.findall(text)]


def windows(found: list[str]) -> Iterator[list[str]]:
    """Yield the windows of a text; one for a short text."""
    if len(found) <= _WINDOW:
        yield found
        return
    for start in range(0, len(found) - (_WINDOW - _STEP), _STEP):
        yield found[start : start + _WINDOW]


def features(found: list[str]) -> set[int]:
    """Return the places of the words, pairs and triples of a window."""
    places = set()
    one = two = 0
    for number, word in enumerate(found):
        data = word.encode("utf-8", "replace")
        places.add(zlib.crc32(data) & _MASK)
        if number:
            places.add(zlib.crc32(data, one) & _MASK)
        if number > 1:
            places.add(zlib.crc32(data, two) & _MASK)
        two = zlib.crc32(data + b" ", one) if number else 0
        one = zlib.crc32(data + b" ")
    return places


def signs(found: list[str]) -> set[int]:
    """Return the places of the pairs of kinds of words that stand near each other in a window."""
    kinds = [(number, KINDS[word]) for number, word in enumerate(found) if word in KINDS]
    pairs = set()
    for at, (number, kind) in enumerate(kinds):
        for other, second in kinds[at + 1 : at + 1 + _NEAR]:
            if other - number > _NEAR:
                break
            if second != kind:
                pairs.add((kind, second))
    return {zlib.crc32(f"~{first}~{second}".encode()) & _MASK for first, second in pairs}


def norm(count: int) -> float:
    """Return what the weights of a window are divided by: a few words prove little."""
    return math.sqrt(max(count, _FEW))


class Model:
    """One model: a weight of eight bits for each place."""

    def __init__(self, data: bytes) -> None:
        """Read a model. Raises ValueError for what is none."""
        if not data.startswith(_MAGIC):
            raise ValueError("not a model of prompt-guard-lite")
        head, _, packed = data[len(_MAGIC) :].partition(b"\n")
        scale, bias, threshold = map(float, head.split())
        self.scale, self.bias, self.threshold = scale, bias, threshold
        self._weights = array("b", zlib.decompress(packed))
        if len(self._weights) != 1 << BITS:
            raise ValueError("the model has another size than it says")

    def score(self, text: str) -> float:
        """Return how much a text looks like orders; a text of a few words never does."""
        found = words(text)
        if len(found) < FEWEST:
            return 0.0
        return _sigmoid(self.bias + max(map(self._sum, windows(found))))

    def _sum(self, window: list[str]) -> float:
        places = features(window)
        weights = self._weights
        told = sum([weights[one] for one in signs(window)])
        return self.scale * (told + sum([weights[one] for one in places]) / norm(len(places)))


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value)) if value > -700 else 0.0


def written(weights: list[float], bias: float, threshold: float) -> bytes:
    """Return a model as a file."""
    scale = max(map(abs, weights)) / 127 or 1.0
    packed = bytes(round(one / scale) & 0xFF for one in weights)
    head = f"{scale:.9g} {bias:.6f} {threshold:.6f}\n"
    return _MAGIC + head.encode() + zlib.compress(packed, 9)


def read(kind: str) -> Model:
    """Return the model for texts of a `user` or of a `tool`."""
    return Model((Path(__file__).parent / f"{kind}.bin").read_bytes())
