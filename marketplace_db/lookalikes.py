"""Names that a reader takes for another one: typing errors and characters that look alike.

Rules this module keeps:
- names are compared by what a reader sees: case, hyphens and characters that look alike do not
  tell them apart;
- beyond that, one typing error makes a short name another one's double, two errors a long one; the
  longer of both decides, because leaving letters out is a typing error, too; names of three letters
  are too few for that;
- names of one's own namespace are never look-alikes of each other.

The distance is that of Damerau and Levenshtein with adjacent transpositions (optimal string
alignment); the look-alikes among [a-z0-9-] follow Unicode Technical Standard 39, confusables.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["distance", "look_alike", "skeleton"]

_LONG = 9
_SHORT = 4
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("nn", "m"))
_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "j": "l", "5": "s", "2": "z", "8": "b",
                        "9": "g", "6": "b", "-": None, "_": None, ".": None})  # fmt: skip


def look_alike(name: str, others: Iterable[str]) -> str | None:
    """Return the first of the other names that `name` could be taken for, or None."""
    seen = skeleton(name)
    for other in others:
        if other == name:
            continue
        known = skeleton(other)
        if seen == known:
            return other
        length = max(len(seen), len(known))
        allowed = 2 if length >= _LONG else 1 if length >= _SHORT else 0
        if abs(len(seen) - len(known)) <= allowed and distance(seen, known, allowed) <= allowed:
            return other
    return None


def skeleton(name: str) -> str:
    """Return what a reader sees of a name, with look-alikes folded."""
    text = name.lower().translate(_ALIKE)
    for pair, single in _PAIRS:
        text = text.replace(pair, single)
    return text


def distance(first: str, second: str, most: int) -> int:
    """Return how many typing errors lie between two texts, or `most` + 1 if there are more."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, left in enumerate(first, start=1):
        after = [i]
        for j, right in enumerate(second, start=1):
            cost = min(row[j] + 1, after[j - 1] + 1, row[j - 1] + (left != right))
            if i > 1 and j > 1 and left == second[j - 2] and right == first[i - 2]:
                cost = min(cost, before[j - 2] + 1)
            after.append(cost)
        if min(after) > most:
            return most + 1
        before, row = row, after
    return min(row[-1], most + 1)
