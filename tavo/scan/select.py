"""Which rules can hold in a file at all, from the names it contains, before anything is parsed.

Rules this module keeps:
- a rule that is left out could not have matched: every way to match it needs a name that the file
  does not contain;
- the cost depends on the names in the file, not on the number of rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

__all__ = ["Selectable", "Selector"]


class Selectable(Protocol):
    """Something that can hold only in files with certain names."""

    def possible(self, names: frozenset[bytes]) -> bool:
        """Tell whether it can hold in a file with exactly these names."""

    def anchor(self) -> frozenset[bytes] | None:
        """Return names of which a file must contain at least one, None for no such names."""


_T = TypeVar("_T", bound=Selectable)


class Selector(Generic[_T]):
    """Rules by the names of which a file must contain at least one."""

    def __init__(self, rules: Sequence[_T]) -> None:
        self._rules = list(rules)
        self._always: list[int] = []
        self._by_name: dict[bytes, list[int]] = {}
        for number, rule in enumerate(self._rules):
            anchor = rule.anchor()
            if anchor is None:
                self._always.append(number)
                continue
            for name in anchor:
                self._by_name.setdefault(name, []).append(number)
        self._names = frozenset(self._by_name)

    def candidates(self, names: frozenset[bytes]) -> list[_T]:
        """Return the rules that can hold in a file with exactly these names, in their order."""
        numbers = set(self._always)
        for name in self._names & names:
            numbers.update(self._by_name[name])
        chosen = (self._rules[number] for number in sorted(numbers))
        return [rule for rule in chosen if rule.possible(names)]
