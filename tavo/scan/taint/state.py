"""Which variables hold tainted data at one point of a function, and where it came from.

Rules this module keeps:
- a place is a path: a variable, then attributes and constant subscripts: `self.rows["a"]` is
  `("self", ".rows", "['a']")`; a tainted place taints all below it unless they were cleaned;
- the entries of one variable are never changed in place, so that copies of a state share them;
- a value is a tuple of traces, empty when it is clean: one for each place that a function is given,
  and one for all sources unless the rule tells them apart; joining keeps the trace that was there
  first, so that loops come to rest;
- an origin is a source, by its number, or what a function is given, by its place there.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tavo.plugins import Step

__all__ = [
    "ANY_PARAMETER",
    "ANY_SOURCE",
    "CLEAN",
    "Origin",
    "Path",
    "State",
    "Taint",
    "Trace",
    "entrance",
    "join_all",
    "then",
    "union",
]

Path = tuple[str, ...]
Origin = int | Path

ANY_SOURCE = -1
"""Key of all sources of a rule that does not tell them apart."""
ANY_PARAMETER = -2
"""Key of those sources among them that are parameters, which do not go back to callers."""
_LONGEST_TRACE = 40
_MOST_ORIGINS = 16
_DEEPEST_INPUT = 4


class Trace(msgspec.Struct, frozen=True, eq=False):
    """One step on the way of tainted data, with the step before it.

    `start` and `end` are byte offsets, or `elsewhere` is a step in another file. `label` is that
    of the source, and `note` says what happens at this step if it is not an assignment. Of traces
    with the same `key` and label a value keeps one. A trace with `inner` is the steps of that one
    behind `parent`, which stands in place of its first step.
    """

    start: int
    end: int
    origin: Origin
    parent: Trace | None = None
    length: int = 1
    label: str = ""
    note: str = ""
    elsewhere: Step | None = None
    key: Origin = ANY_SOURCE
    inner: Trace | None = None

    def then(self, start: int, end: int, note: str = "") -> Trace:
        """Return the trace with one step more, itself when it is long enough."""
        if self.length >= _LONGEST_TRACE:
            return self
        if not note and (self.start, self.end) == (start, end):
            return self
        size = self.length + 1
        return Trace(start, end, self.origin, self, size, self.label, note, None, self.key)

    def then_elsewhere(self, step: Step) -> Trace:
        """Return the trace with a step in another file more."""
        if self.length >= _LONGEST_TRACE:
            return self
        return Trace(0, 0, self.origin, self, self.length + 1, self.label, "", step, self.key)

    def steps(self) -> list[Trace]:
        """Return the steps, the source first."""
        out: list[Trace] = []
        node: Trace | None = self
        while node is not None:
            if node.inner is not None:
                out += reversed(node.inner.steps()[1:])
            else:
                out.append(node)
            node = node.parent
        out.reverse()
        return out

    def below(self, places: Path) -> Trace:
        """Return the trace of a place inside of what a function is given."""
        if isinstance(self.origin, int) or len(self.origin) >= _DEEPEST_INPUT:
            return self
        origin = (*self.origin, *places)[:_DEEPEST_INPUT]
        return Trace(
            self.start, self.end, origin, self.parent, self.length, self.label, self.note,
            self.elsewhere, origin, self.inner,
        )  # fmt: skip

    def after(self, before: Trace) -> Trace:
        """Return this trace behind another one, in place of its own first step."""
        if self.length == 1 or before.length >= _LONGEST_TRACE:
            return before
        length = before.length + self.length - 1
        if length <= _LONGEST_TRACE:
            return Trace(
                self.start, self.end, before.origin, before, length, before.label, self.note,
                self.elsewhere, before.key, self,
            )  # fmt: skip
        out = before
        for step in self.steps()[1:]:
            if out.length >= _LONGEST_TRACE:
                break
            out = Trace(
                step.start, step.end, out.origin, out, out.length + 1, out.label, step.note,
                step.elsewhere, out.key,
            )  # fmt: skip
        return out


def entrance(start: int, end: int, place: Path) -> Trace:
    """Return the trace of what a function is given at a place."""
    return Trace(start, end, place, key=place)


Taint = tuple[Trace, ...]
CLEAN: Taint = ()


def union(one: Taint, other: Taint) -> Taint:
    """Return the traces of both, the first one of each key and label."""
    if not other or one is other:
        return one
    if not one:
        return other
    if len(one) == 1 == len(other):
        first, second = one[0], other[0]
        return one if first.key == second.key and first.label == second.label else one + other
    known = {(trace.key, trace.label) for trace in one}
    more = [trace for trace in other if (trace.key, trace.label) not in known]
    return (*one, *more)[:_MOST_ORIGINS] if more else one


def then(taint: Taint, start: int, end: int, note: str = "") -> Taint:
    """Return a value after one step more."""
    return tuple(trace.then(start, end, note) for trace in taint)


Entries = dict[Path, Taint]


class State:
    """The tainted places. An empty entry means clean below a place that is tainted."""

    __slots__ = ("_roots",)

    def __init__(self, roots: dict[str, Entries] | None = None) -> None:
        self._roots: dict[str, Entries] = roots if roots is not None else {}

    def __len__(self) -> int:
        return len(self._roots)

    def copy(self) -> State:
        """Return a state that can change without this one changing."""
        return State(dict(self._roots))

    def read(self, path: Path) -> Taint:
        """Return how the value at a place is tainted: by itself, from above, or from below."""
        entries = self._roots.get(path[0])
        if entries is None:
            return CLEAN
        size = len(path)
        taint = entries.get(path, CLEAN) if size == 1 else _inherited(entries, path)
        if len(entries) > 1 or not taint:
            for place, below in entries.items():
                if below and len(place) > size and (size == 1 or place[:size] == path):
                    taint = union(taint, below)
        return taint

    def below(self, path: Path) -> Entries:
        """Return what a place holds, by the places below it: `()` is the place itself."""
        entries = self._roots.get(path[0])
        if entries is None:
            return {}
        size = len(path)
        found = {place[size:]: taint for place, taint in entries.items() if place[:size] == path}
        if () not in found and (taint := _inherited(entries, path)):
            found[()] = taint
        return found

    def entries(self, root: str) -> Entries:
        """Return all that is known of the places of one variable."""
        return self._roots.get(root, {})

    def roots(self) -> Iterable[str]:
        """Return the variables of which something is tainted."""
        return self._roots

    def taint(self, path: Path, taint: Taint) -> None:
        """Make a place tainted, with all below it."""
        entries = _without(self._roots.get(path[0], {}), path)
        entries[path] = taint
        self._roots[path[0]] = entries

    def add(self, path: Path, taint: Taint) -> None:
        """Make a place tainted besides what it is already."""
        self.taint(path, union(self.read(path), taint))

    def put(self, path: Path, taint: Taint) -> None:
        """Set one entry as it stands in another state, whatever is above and below it."""
        self._roots.setdefault(path[0], {})[path] = taint

    def clean(self, path: Path) -> None:
        """Make a place clean, with all below it."""
        before = self._roots.get(path[0])
        if before is None:
            return
        entries = _without(before, path)
        if _inherited(entries, path):
            entries[path] = CLEAN
        if any(entries.values()):
            self._roots[path[0]] = entries
        else:
            del self._roots[path[0]]

    def put_parts(self, path: Path, parts: Entries) -> None:
        """Make a place what its parts are, by their places below it: `()` is the place itself.

        A loop of `taint` would copy all places of the variable for each of them.
        """
        self.clean(path)
        if parts:
            entries = dict(self._roots.get(path[0], {}))
            entries.update(((*path, *below), parts[below]) for below in sorted(parts, key=len))
            self._roots[path[0]] = entries

    def clean_as(self, inside: State, own: frozenset[str]) -> None:
        """Make clean what became so in a state that began as a copy of this one.

        `own` are the variables that only the other one has, whatever their names mean here.
        """
        for name in [name for name in self._roots if name not in own]:
            theirs = inside._roots.get(name)
            if theirs is None:
                del self._roots[name]
                continue
            for place in [place for place, taint in theirs.items() if not taint]:
                if self.read(place):
                    self.clean(place)

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
                mine = _inherited(ours, place) if ours is not None else CLEAN
                both = merged[place] = union(mine, _inherited(theirs, place))
                more = more or len(both) > len(mine)
            roots[name] = merged
        for name, ours in self._roots.items():
            if name not in other._roots and CLEAN in ours.values():
                roots[name] = {place: _inherited(ours, place) for place in ours}
        return State(roots), more


def join_all(*states: State | None) -> State | None:
    """Return the join of all states that can be reached, None when none can."""
    out: State | None = None
    for state in states:
        if state is not None:
            out = state if out is None else out.join(state)[0]
    return out


def _inherited(entries: Entries, path: Path) -> Taint:
    """Return the entry of a place, or of the nearest place above it.

    What a function is given taints what is below as its own input each: `.code` of parameter
    `self` is the input `("self", ".code")`.
    """
    size = len(path)
    taint = entries.get(path)
    while taint is None:
        size -= 1
        if size == 0:
            return CLEAN
        taint = entries.get(path[:size])
    if size == len(path) or not taint:
        return taint
    places = path[size:]
    if len(taint) == 1:
        below = taint[0].below(places)
        return taint if below is taint[0] else (below,)
    if any(not isinstance(trace.origin, int) for trace in taint):
        return tuple([trace.below(places) for trace in taint])
    return taint


def _without(entries: Entries, path: Path) -> Entries:
    size = len(path)
    return {place: trace for place, trace in entries.items() if place[:size] != path}
