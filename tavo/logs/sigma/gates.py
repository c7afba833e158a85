"""What a record must show before a rule is tried on it: texts in its bytes, or values of a field.

Rules this module keeps:
- a gate never keeps back a record that its rule accepts; where nothing is known, it is open;
- a text is only asked for in the forms in which a writer of logs may have put it: it is cut where
  a character could have been escaped, and a slash stands for itself and for `\\/`;
- of parts that must hold together, the one that lets the fewest records through is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from tavo.detect.required import frequency
from tavo.logs.event import LogEvent
from tavo.logs.fields import COPIED
from tavo.logs.sigma.conditions import All, Any_, Not, Tree
from tavo.logs.sigma.tests import FieldTest

__all__ = ["OPEN", "Column", "Gate", "Term", "gate_of", "matcher"]

_SAFE = re.compile(r"[ !#-\[\]-~]+")
_NUMBER = re.compile(r"[+-]?[0-9]*\.?[0-9]*(?:e[+-]?[0-9]*)?|true|false|null|none|nan")
_SHORTEST = 3
_LETTERS = 3
_MOST_SETS = 4


class Column:
    """Values of one field that let a record through; `absent` says whether none does, too."""

    __slots__ = ("absent", "accepts", "field")

    def __init__(self, field: str, accepts: Callable[[Any], bool], absent: bool) -> None:
        self.field = field
        self.accepts = accepts
        self.absent = absent


class Term(NamedTuple):
    """Any of some texts stands in the record, and of each further set one text as well."""

    texts: frozenset[bytes]
    also: tuple[frozenset[bytes], ...] = ()


class Gate:
    """Any of these lets a record through: a term, a value of a field, or nothing at all."""

    __slots__ = ("columns", "open", "terms")

    def __init__(
        self,
        terms: tuple[Term, ...] = (),
        columns: tuple[Column, ...] = (),
        *,
        is_open: bool = False,
    ) -> None:
        self.terms = terms
        self.columns = columns
        self.open = is_open

    @property
    def texts(self) -> frozenset[bytes]:
        """Return the texts of all terms."""
        return frozenset().union(*(term.texts for term in self.terms))

    def cost(self) -> tuple[int, int, float]:
        """Return how much it lets through, roughly; less is better."""
        wide = sum(column.absent for column in self.columns)
        return (int(self.open), len(self.columns) + 4 * wide, _often(self.texts))


OPEN = Gate(is_open=True)


def gate_of(tree: Tree) -> Gate:
    """Return the gate of a condition."""
    if isinstance(tree, All):
        gates = sorted(map(gate_of, tree.parts), key=Gate.cost)
        best = gates[0]
        if not best.terms or best.columns:
            return best
        also = tuple(one.texts for one in gates[1:] if one.terms and not one.columns)
        return Gate(
            tuple(Term(term.texts, (*term.also, *also)[:_MOST_SETS]) for term in best.terms)
        )
    if isinstance(tree, Any_):
        gates = [gate_of(part) for part in tree.parts]
        if any(gate.open for gate in gates):
            return OPEN
        plain = frozenset().union(
            *(term.texts for gate in gates for term in gate.terms if not term.also)
        )
        return Gate(
            (
                *([Term(plain)] if plain else []),
                *(term for gate in gates for term in gate.terms if term.also),
            ),
            tuple(column for gate in gates for column in gate.columns),
        )
    if isinstance(tree, Not):
        return gate_of(tree.part.part) if isinstance(tree.part, Not) else OPEN
    return _gate_of_test(tree)


def _gate_of_test(test: FieldTest) -> Gate:
    copied = test.field is None or COPIED.get(test.field, True)
    if copied and not test.absent:
        sets = [_forms(texts, _SHORTEST) for texts in test.needs]
        best = min((one for one in sets if one), key=_often, default=None)
        if best is not None:
            others = (
                _forms(texts, 1)
                for texts, one in zip(test.needs, sets, strict=True)
                if one is not best
            )
            return Gate((Term(best, tuple(one for one in others if one)),))
    if test.field is None or test.other:
        return OPEN
    return Gate(columns=(Column(test.field, test.check, test.absent),))


def _often(texts: frozenset[bytes]) -> float:
    return sum(frequency(text.decode("utf-8", "replace")) for text in texts)


def _forms(texts: frozenset[str], least: int) -> frozenset[bytes]:
    """Return the forms of some texts, nothing if one of them has none."""
    forms = [_bytes_of(text, least) for text in texts]
    return frozenset(one for group in forms for one in group) if all(forms) else frozenset()


def _bytes_of(text: str, least: int = 3) -> tuple[bytes, ...]:
    """Return the forms of the longest part of a text that no writer changes; empty without one."""
    parts = [part for part in _SAFE.findall(text) if len(part.strip()) >= least]
    parts = [part for part in parts if not _NUMBER.fullmatch(part.strip())]
    if not parts:
        return _foreign(text)
    best = max(parts, key=lambda part: (sum(map(str.isalnum, part)), len(part)))
    best = " ".join(best.split(" "))
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
