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
from itertools import pairwise
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
    if len(found) <= WINDOW:
        yield found
        return
    for start in range(0, len(found) - (WINDOW - _STEP), _STEP):
        yield found[start : start + WINDOW]


def features(found: list[str], bits: int) -> set[int]:
    """Return the places of the words and the pairs of words of a window."""
    mask = (1 << bits) - 1
    coded = [word.encode("utf-8", "replace") for word in found]
    places = {crc32(word) & mask for word in coded}
    places.update([crc32(b"%b %b" % pair) & mask for pair in pairwise(coded)])
    return places


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

    def score(self, text: str) -> float:
        """Return how much a text looks like orders."""
        seen = self._look(text)
        extra = self.bias + sum(self.signals.get(name, 0.0) for name in seen.ids)
        return _sigmoid(extra + max(map(self._sum, windows(words(text)))))

    def finds(self, text: str) -> bool:
        """Tell whether a text is above the model's threshold; a text of a few words never is."""
        return text.count(" ") >= _FEWEST_BLANKS and self.score(text) >= self.threshold

    def _sum(self, window: list[str]) -> float:
        places = features(window, self.bits)
        weights = self._weights
        total = sum([weights[place] for place in places])
        return total * self.scale / norm(len(places))


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value)) if value > -700 else 0.0


@cache
def model_of(kind: str) -> Model:
    """Return the model for texts of a `user` or of a `tool`."""
    data = (files("tavo.detect") / "models" / f"{kind}.bin").read_bytes()
    return Model(data, KINDS[kind])
