"""What a record must show before a rule is tried on it: texts in its bytes, or values of a field.

Rules this module keeps:
- a gate never keeps back a record that its rule accepts; where nothing is known, it is open;
- a text is only asked for in the forms in which a writer of logs may have put it: it is cut where
  a character could have been escaped, and a slash stands for itself and for `\\/`;
- of parts that must hold together, the one that lets the fewest records through is asked for.
"""

from __future__ import annotations

import re
from functools import cache
from collections.abc import Callable
from typing import Any

from tavo.logs.event import LogEvent
from tavo.logs.fields import COPIED
from tavo.logs.sigma.conditions import All, Any_, Not, Tree
from tavo.logs.sigma.tests import FieldTest

__all__ = ["OPEN", "Column", "Gate", "gate_of", "matcher"]

_SAFE = re.compile(r"[ !#-\[\]-~]+")
_NUMBER = re.compile(r"[+-]?[0-9]*\.?[0-9]*(?:e[+-]?[0-9]*)?|true|false|null|none|nan")
_SHORTEST = 3
_LETTERS = 3


class Column:
    """Values of one field that let a record through; `absent` says whether none does, too."""

    __slots__ = ("absent", "accepts", "field")

    def __init__(self, field: str, accepts: Callable[[Any], bool], absent: bool) -> None:
        self.field = field
        self.accepts = accepts
        self.absent = absent


class Gate:
    """Any of these lets a record through: a text in it, a value of a field, or nothing at all."""

    __slots__ = ("columns", "open", "texts")

    def __init__(
        self,
        texts: frozenset[bytes] = frozenset(),
        columns: tuple[Column, ...] = (),
        *,
        is_open: bool = False,
    ) -> None:
        self.texts = texts
        self.columns = columns
        self.open = is_open

    def cost(self) -> tuple[int, int, int]:
        """Return how much it lets through, roughly; less is better."""
        shortest = min(map(len, self.texts), default=0)
        wide = sum(column.absent for column in self.columns)
        return (int(self.open), len(self.columns) + 4 * wide, -min(shortest, 12))


OPEN = Gate(is_open=True)


def gate_of(tree: Tree) -> Gate:
    """Return the gate of a condition."""
    if isinstance(tree, All):
        return min(map(gate_of, tree.parts), key=Gate.cost)
    if isinstance(tree, Any_):
        gates = [gate_of(part) for part in tree.parts]
        if any(gate.open for gate in gates):
            return OPEN
        return Gate(
            frozenset().union(*(gate.texts for gate in gates)),
            tuple(column for gate in gates for column in gate.columns),
        )
    if isinstance(tree, Not):
        return _gate_of_not(tree.part)
    return _gate_of_test(tree)


def _gate_of_not(tree: Tree) -> Gate:
    """Return the gate of what is not: of a single test of a value that is copied as it is."""
    if isinstance(tree, Not):
        return gate_of(tree.part)
    return OPEN


def _gate_of_test(test: FieldTest) -> Gate:
    copied = test.field is None or COPIED.get(test.field, True)
    if copied and test.needs is not None and not test.absent:
        found = [_bytes_of(text) for text in test.needs]
        if all(found):
            return Gate(frozenset(one for group in found for one in group))
    if test.field is None or test.other:
        return OPEN
    return Gate(columns=(Column(test.field, test.check, test.absent),))


def _bytes_of(text: str) -> tuple[bytes, ...]:
    """Return the forms of the longest part of a text that no writer changes; empty without one."""
    parts = [part for part in _SAFE.findall(text) if len(part.strip()) >= _SHORTEST]
    parts = [part for part in parts if not _NUMBER.fullmatch(part.strip())]
    if not parts:
        return _foreign(text)
    best = max(parts, key=lambda part: (sum(map(str.isalnum, part)), len(part)))
    data = best.encode("ascii")
    return (data, data.replace(b"/", b"\\/")) if b"/" in data else (data,)


def _foreign(text: str) -> tuple[bytes, ...]:
    """Return the forms of some characters that are not ASCII: UTF-8, and escapes of JSON."""
    runs = re.findall(r"[^\x00-\x7f]+", text)
    if not runs:
        return ()
    best = max(runs, key=len)[:_LETTERS]
    spelt = [""]
    for character in best:
        spelt = [head + one for head in spelt for one in _cases(character)]
    return tuple(
        form
        for one in spelt
        for form in (
            one.encode("utf-8"),
            "".join(f"\\u{unit:04x}" for unit in _units(one)).encode("ascii"),
        )
    )


def _units(text: str) -> list[int]:
    data = text.encode("utf-16-be")
    return [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]


@cache
def _lowered() -> dict[str, list[str]]:
    """Return the characters that become another one in lower case, by that one."""
    out: dict[str, list[str]] = {}
    for number in range(0x80, 0x1E944):
        low = chr(number).lower()
        if low != chr(number) and len(low) == 1:
            out.setdefault(low, []).append(chr(number))
    return out


def _cases(character: str) -> list[str]:
    """Return all characters that are equal to one where case does not matter."""
    return [character, *_lowered().get(character, ())]


def matcher(tree: Tree) -> Callable[[LogEvent], bool]:
    """Return the exact test of a condition."""
    if isinstance(tree, All):
        tests = [matcher(part) for part in tree.parts]
        return lambda event: all(test(event) for test in tests)
    if isinstance(tree, Any_):
        tests = [matcher(part) for part in tree.parts]
        return lambda event: any(test(event) for test in tests)
    if isinstance(tree, Not):
        inner = matcher(tree.part)
        return lambda event: not inner(event)
    return tree.holds
