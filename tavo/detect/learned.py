"""Small linear models that tell whether a text gives a model orders.

Rules this module keeps:
- standard library only; a model is a file of at most 200 kB that comes with tavo;
- the answer depends on the text alone;
- a long text is looked at in windows that overlap, and the most suspicious one counts: orders are
  not diluted by what stands around them.

Features: words and pairs of words of the folded text (`tavo.detect.hidden`), hashed to
`2^bits` places, each present or not, over the square root of their number; and the signals of
`tavo.detect.injection`. How they are trained: `benchmarks/injection_models.py`.

Units: scores from 0.0 to 1.0, windows in words.
"""

from __future__ import annotations

import math
import string
from array import array
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from zlib import crc32, decompress

from tavo.detect.hidden import folded
from tavo.detect.injection import Signals, from_document, from_user

__all__ = ["KINDS", "Model", "features", "model_of", "norm", "windows", "words"]

KINDS: dict[str, Callable[[str], Signals]] = {"user": from_user, "tool": from_document}
"""What the models are for, and the signals that they look at beside the words."""

WINDOW = 300
_FEWEST_BLANKS = 3
_FEW = 24
_STEP = 200
_MAGIC = b"tavo-linear/1\n"
_SPACED: dict[int, str | None] = {
    **{ord(one): f" {one} " for one in string.punctuation},
    **dict.fromkeys(map(ord, "'_`´’‘")),
}
_ESCAPE = str.maketrans(_SPACED)


def words(text: str) -> list[str]:
    """Return the words and marks of a text."""
    return ["#" if one.isdigit() else one for one in folded(text).translate(_ESCAPE).split()]


def windows(found: list[str]) -> Iterator[list[str]]:
    """Yield the windows of a text; one for a short text."""
    return (found[start:end] for start, end in _spans(len(found)))


def _spans(count: int) -> Iterator[tuple[int, int]]:
    """Yield from where to where the windows of so many words are; one for a short text."""
    if count <= WINDOW:
        yield 0, count
        return
    for start in range(0, count - (WINDOW - _STEP), _STEP):
        yield start, min(start + WINDOW, count)


def _places_of(found: list[str], bits: int) -> tuple[list[int], list[int]]:
    """Return the places of the words, and those of each word with the next one."""
    mask = (1 << bits) - 1
    coded = [word.encode("utf-8", "replace") for word in found]
    sums = [crc32(word) for word in coded]
    pairs = [
        crc32(b" " + word, before) & mask for before, word in zip(sums, coded[1:], strict=False)
    ]
    return [one & mask for one in sums], pairs


def features(found: list[str], bits: int) -> set[int]:
    """Return the places of the words and the pairs of words of a window."""
    singles, pairs = _places_of(found, bits)
    return {*singles, *pairs}


def norm(count: int) -> float:
    """Return what the weights of a window are divided by: a few words prove little."""
    return math.sqrt(max(count, _FEW))


class Model:
    """One model: a weight for each place, and one for each signal."""

    def __init__(self, data: bytes, signals: Callable[[str], Signals]) -> None:
        """Read a model. Raises ValueError for what is none."""
        if not data.startswith(_MAGIC):
            raise ValueError("not a model of tavo")
        head, _, packed = data[len(_MAGIC) :].partition(b"\n")
        bits, scale, bias, threshold, *named = head.decode("ascii").split(" ")
        self.bits = int(bits)
        self.scale = float(scale)
        self.bias = float(bias)
        self.threshold = float(threshold)
        self.signals = {name: float(weight) for name, _, weight in
                        (one.rpartition("=") for one in named)}  # fmt: skip
        self._look = signals
        self._weights = array("b", decompress(packed))
        if len(self._weights) != 1 << self.bits:
            raise ValueError("the model has another size than it says")

    def score(self, text: str, seen: Signals | None = None) -> float:
        """Return how much a text looks like orders; `seen` are its signals, if known."""
        seen = self._look(text) if seen is None else seen
        extra = self.bias + sum(self.signals.get(name, 0.0) for name in seen.ids)
        singles, pairs = _places_of(words(text), self.bits)
        return _sigmoid(extra + max(
            self._sum({*singles[start:end], *pairs[start : end - 1]})
            for start, end in _spans(len(singles))
        ))  # fmt: skip

    def finds(self, text: str, seen: Signals | None = None) -> bool:
        """Tell whether a text is above the model's threshold; a text of a few words never is."""
        return text.count(" ") >= _FEWEST_BLANKS and self.score(text, seen) >= self.threshold

    def _sum(self, places: set[int]) -> float:
        weights = self._weights
        return sum([weights[place] for place in places]) * self.scale / norm(len(places))


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value)) if value > -700 else 0.0


@cache
def model_of(kind: str) -> Model:
    """Return the model for texts of a `user` or of a `tool`."""
    data = (files("tavo.detect") / "models" / f"{kind}.bin").read_bytes()
    return Model(data, KINDS[kind])
