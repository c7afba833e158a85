"""Inputs of a classifier out of a file or the configuration, and what its answers mean.

Rules this module keeps:
- inputs are rows of finite numbers of one length; anything else is refused with row and column;
- an answer is a class, by name or number, or a list of probabilities: what else it may be is text,
  and a text is a class.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence

from tavo.plugins import ConfigError

__all__ = ["Answers", "read_rows", "rows_of"]

_MOST_ROWS = 10_000
_MOST_COLUMNS = 100_000


def read_rows(name: str, data: bytes) -> list[list[float]]:
    """Read a CSV or JSON file. Raises ConfigError."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"samples: {name}: is not UTF-8") from None
    if text.lstrip()[:1] in {"[", "{"}:
        try:
            return rows_of(json.loads(text), name)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"samples: {name}: is not JSON: {error}") from None
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    if rows and not _is_number(rows[0][0]):
        rows = rows[1:]  # the names of the columns
    return rows_of(rows, name)


def rows_of(value: object, name: str = "") -> list[list[float]]:
    """Return rows of numbers. Raises ConfigError."""
    where = f"samples: {name}: " if name else "samples: "
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_ROWS:
        raise ConfigError(f"{where}expected 1 to {_MOST_ROWS:,} rows of numbers")
    rows = []
    for line, row in enumerate(value, start=1):
        flat = _flat(row)
        if not 0 < len(flat) <= _MOST_COLUMNS or len(flat) != len(rows[0] if rows else flat):
            raise ConfigError(
                f"{where}row {line} has {len(flat)} numbers, expected as many as row 1"
            )
        for column, one in enumerate(flat, start=1):
            if isinstance(one, bool) or not _is_number(one):
                raise ConfigError(f"{where}row {line}, number {column}: {one!r:.40} is no number")
        rows.append([float(one) for one in flat])
    return rows


def _flat(row: object) -> list[object]:
    if not isinstance(row, list):
        return [row]
    out: list[object] = []
    stack = [iter(row)]
    while stack and len(stack) <= 4:
        for one in stack[-1]:
            if isinstance(one, list):
                stack.append(iter(one))
                break
            out.append(one)
        else:
            stack.pop()
    return out


def _is_number(value: object) -> bool:
    try:
        return math.isfinite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


class Answers:
    """Learns the names of classes while answers come."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._numbers: dict[str, int] = {}

    def scores(self, text: str) -> list[float]:
        """Return a score for each class. Raises ValueError for more classes than there may be."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text.strip()
        if isinstance(value, dict):
            named = [value.get(name) for name in ("label", "class", "prediction")]
            value = next((one for one in named if one is not None), value)
        if isinstance(value, dict) and value and all(map(_is_number, value.values())):
            value = [value[name] for name in sorted(value)]
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, list) and value and all(map(_is_number, value)):
            return self._padded([float(one) for one in value])
        name = json.dumps(value, sort_keys=True) if not isinstance(value, str) else value
        number = self._numbers.setdefault(name, len(self._numbers))
        return self._padded([float(other == number) for other in range(number + 1)])

    def _padded(self, scores: Sequence[float]) -> list[float]:
        if len(scores) > self._most:
            raise ValueError(
                f"the target knows more than {self._most} classes: set `classes` in the"
                " configuration"
            )
        return [*scores, *[0.0] * (self._most - len(scores))]
