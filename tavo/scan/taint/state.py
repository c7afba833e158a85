"""Which variables hold tainted data at one point of a function, and where it came from.

Rules this module keeps:
- a place is a path: a variable, then attributes and constant subscripts: `self.rows["a"]` is
  `("self", ".rows", "['a']")`; a tainted place taints all below it unless they were cleaned;
- the entries of one variable are never changed in place, so that copies of a state share them;
- joining keeps the trace that was there first, so that loops come to rest.
"""

from __future__ import annotations

import msgspec

__all__ = ["Path", "State", "Trace", "join_all"]

Path = tuple[str, ...]

_LONGEST_TRACE = 40


class Trace(msgspec.Struct, frozen=True, eq=False):
    """One step on the way of tainted data, with the step before it; `source` is the first one's.

    `start` and `end` are byte offsets. `source` counts the places where sources matched.
    """

    start: int
    end: int
    source: int
    parent: Trace | None = None
    length: int = 1

    def then(self, start: int, end: int) -> Trace:
        """Return the trace with one step more, itself when it is long enough."""
        if self.length >= _LONGEST_TRACE or (self.start, self.end) == (start, end):
            return self
        return Trace(start, end, self.source, self, self.length + 1)

    def steps(self) -> list[Trace]:
        """Return the steps, the source first."""
        out = [self]
        while out[-1].parent is not None:
            out.append(out[-1].parent)
        out.reverse()
        return out


Entries = dict[Path, "Trace | None"]


class State:
    """The tainted places. An entry None means clean below a place that is tainted."""

    __slots__ = ("_roots",)

    def __init__(self, roots: dict[str, Entries] | None = None) -> None:
        self._roots: dict[str, Entries] = roots if roots is not None else {}

    def __len__(self) -> int:
        return len(self._roots)

    def copy(self) -> State:
        """Return a state that can change without this one changing."""
        return State(dict(self._roots))

    def read(self, path: Path) -> Trace | None:
        """Return how the value at a place is tainted: by itself, from above, or from below."""
        entries = self._roots.get(path[0])
        if entries is None:
            return None
        own = _inherited(entries, path)
        if own is not None:
            return own
        size = len(path)
        for place, trace in entries.items():
            if trace is not None and len(place) > size and place[:size] == path:
                return trace
        return None

    def taint(self, path: Path, trace: Trace) -> None:
        """Make a place tainted, with all below it."""
        entries = _without(self._roots.get(path[0], {}), path)
        entries[path] = trace
        self._roots[path[0]] = entries

    def clean(self, path: Path) -> None:
        """Make a place clean, with all below it."""
        before = self._roots.get(path[0])
        if before is None:
            return
        entries = _without(before, path)
        if _inherited(entries, path) is not None:
            entries[path] = None
        if any(trace is not None for trace in entries.values()):
            self._roots[path[0]] = entries
        else:
            del self._roots[path[0]]

    def join(self, other: State) -> tuple[State, bool]:
        """Return what may be tainted on either way, and whether that is more than here."""
        more = False
        roots = dict(self._roots)
        for name, theirs in other._roots.items():
            ours = roots.get(name)
            if ours is theirs:
                continue
            merged: Entries = {}
            for place in {**(ours or {}), **theirs}:
                mine = _inherited(ours, place) if ours is not None else None
                merged[place] = mine if mine is not None else _inherited(theirs, place)
                more = more or (mine is None and merged[place] is not None)
            roots[name] = merged
        for name, ours in self._roots.items():
            if name not in other._roots and None in ours.values():
                roots[name] = {place: _inherited(ours, place) for place in ours}
        return State(roots), more


def join_all(*states: State | None) -> State | None:
    """Return the join of all states that can be reached, None when none can."""
    out: State | None = None
    for state in states:
        if state is not None:
            out = state if out is None else out.join(state)[0]
    return out


def _inherited(entries: Entries, path: Path) -> Trace | None:
    """Return the entry of a place, or of the nearest place above it."""
    for size in range(len(path), 0, -1):
        prefix = path[:size]
        if prefix in entries:
            return entries[prefix]
    return None


def _without(entries: Entries, path: Path) -> Entries:
    size = len(path)
    return {place: trace for place, trace in entries.items() if place[:size] != path}
