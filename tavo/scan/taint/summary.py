"""What a function does with taint, as its callers need it.

Rules this module keeps:
- a summary speaks of what the function is given: `("x",)` is parameter `x`, `("self", ".code")`
  an attribute of its object, `("^x",)` the variable `x` of the function around it;
- summaries only grow, and only so deep, so that functions that call each other come to rest: a
  class that keeps an object of its own kind writes `.next.next.next` without an end.
"""

from __future__ import annotations

import msgspec

from tavo.scan.taint.state import CLEAN, Path, Taint, union

__all__ = ["Summary", "inputs_of", "sources_of"]

_MOST_CALLBACKS = 8
_DEEPEST_WRITE = 4


class Summary(msgspec.Struct, eq=False):
    """What comes back, what is written into what was given, which sinks are reached.

    `called` says with what a function that was given is called: for each such input the taint of
    each argument.
    """

    returns: Taint = CLEAN
    writes: dict[Path, Taint] = msgspec.field(default_factory=dict)
    sinks: dict[int, Taint] = msgspec.field(default_factory=dict)
    called: dict[Path, list[Taint]] = msgspec.field(default_factory=dict)

    def size(self) -> int:
        """Return a number that grows whenever the summary says more."""
        parts = [*self.writes.values(), *self.sinks.values()]
        for arguments in self.called.values():
            parts += arguments
        return len(self.returns) + len(self.called) + sum(len(taint) for taint in parts)

    def grow(self, other: Summary) -> bool:
        """Take in what another summary of the same function says; tell whether it is more."""
        before = self.size()
        self.returns = union(self.returns, other.returns)
        for whole, taint in other.writes.items():
            place = whole[:_DEEPEST_WRITE]
            self.writes[place] = union(self.writes.get(place, CLEAN), taint)
        for number, taint in other.sinks.items():
            self.sinks[number] = union(self.sinks.get(number, CLEAN), taint)
        for place, arguments in other.called.items():
            self.call(place, arguments)
        return self.size() > before

    def call(self, place: Path, arguments: list[Taint]) -> None:
        """Note that a function that was given is called with arguments."""
        if place not in self.called and len(self.called) >= _MOST_CALLBACKS:
            return
        known = self.called.setdefault(place, [])
        known += [CLEAN] * (len(arguments) - len(known))
        for number, taint in enumerate(arguments):
            known[number] = union(known[number], taint)


def sources_of(taint: Taint) -> Taint:
    """Return the part of a value that comes from sources."""
    return tuple(trace for trace in taint if isinstance(trace.origin, int))


def inputs_of(taint: Taint) -> Taint:
    """Return the part of a value that comes from what the function is given."""
    return tuple(trace for trace in taint if not isinstance(trace.origin, int))
