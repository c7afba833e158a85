"""How taint comes to names: sources, assignments, parameters.

`Binding` holds what one rule knows of one function; `tavo.scan.taint.expressions` adds the values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from tavo.scan.parsed import ParsedFile
from tavo.scan.taint.marks import Mark, Marks, Spot, labels_of
from tavo.scan.taint.state import (
    ANY_PARAMETER,
    ANY_SOURCE,
    CLEAN,
    Path,
    State,
    Taint,
    Trace,
    then,
    union,
)
from tavo.scan.tree import Node

__all__ = ["CHAINS", "Binding", "Exhausted", "is_computed"]

_ANY_INDEX = "[*]"
_UNKNOWN: Path = ("?",)
CHAINS = frozenset({"identifier", "attribute", "subscript"})
"""Kinds of nodes that name a place."""
_DESTRUCTURED = frozenset({"dictionary", "list"})


class Exhausted(Exception):  # noqa: N818  (a signal, not an error of the user's)
    """The budget of steps for one rule on one function is used up."""


class Binding(ABC):
    """Gives names their taint, against the marks of one rule."""

    def __init__(
        self, file: ParsedFile, marks: Marks, options: frozenset[str], budget: int
    ) -> None:
        self.file = file
        self.marks = marks
        self.safe_functions = "taint_assume_safe_functions" in options
        self.safe_indexes = "taint_assume_safe_indexes" in options
        self.safe_booleans = "taint_assume_safe_booleans" in options
        self.safe_comparisons = self.safe_booleans or "taint_assume_safe_comparisons" in options
        self.safe_numbers = "taint_assume_safe_numbers" in options
        self.told_apart = "taint_unify_mvars" in options
        self.parameter_sources: frozenset[int] = frozenset()
        self.is_ecma = file.language == "javascript"
        self.loses = self.is_ecma and "interfile" not in options  # what Semgrep loses
        self.steps = budget
        self.found: dict[int, Taint] = {}
        self.taken: dict[Path, Taint] = {}
        self._depth = 0
        self._ambient: Taint = CLEAN
        self._cleansing = 0
        self._open_sinks: list[int] = []
        self._carried: dict[tuple[int, int], Taint] = {}
        self._held: dict[Node, Taint] = {}
        paths = file.memory.setdefault(Binding, {})
        assert isinstance(paths, dict)  # noqa: S101
        self._paths: dict[Node, Path | None] = paths  # those of all rules

    @abstractmethod
    def value(self, node: Node, state: State) -> Taint:
        """Return how an expression's value is tainted."""

    def spend(self, steps: int = 1) -> None:
        """Pay for work. Raises Exhausted."""
        self.steps -= steps
        if self.steps < 0:
            raise Exhausted

    def report(self, sinks: Iterable[int], trace: Taint) -> None:
        """Note that tainted data arrived at sinks; the first trace of an origin is kept."""
        for number in sinks:
            self.found[number] = union(self.found.get(number, CLEAN), trace)

    def origin(self, mark: Mark, before: Taint = CLEAN) -> Taint:
        """Return new traces that begin at the sources of a mark.

        A source that requires labels begins only where the value has them `before`.
        """
        if not mark.sources or self._cleansing:
            return CLEAN
        begun: Taint = CLEAN
        for number in mark.sources:
            spot = self.marks.sources[number]
            if spot.requires is None or spot.requires(labels_of(before)):
                begun = union(begun, (self._begin(spot, number),))
        return begun

    def _begin(self, spot: Spot, number: int) -> Trace:
        key = ANY_PARAMETER if number in self.parameter_sources else ANY_SOURCE
        if self.told_apart:
            key = number
        return Trace(spot.start, spot.end, number, label=spot.label, key=key)

    def path(self, node: Node) -> Path | None:
        """Return the place that an expression names, None if it names none."""
        known = self._paths.get(node, _UNKNOWN)
        if known is _UNKNOWN:
            known = self._paths[node] = self._path(node)
        return known

    def _path(self, node: Node) -> Path | None:
        parts: list[str] = []
        while True:
            if node.kind == "identifier":
                parts.append(self.file.text(node))
                return tuple(reversed(parts))
            if len(node.children) != 2:
                return None
            inner, last = node.children
            if node.kind == "attribute":
                parts.append("." + self.file.text(last))
            elif node.kind == "subscript" and self.is_ecma:
                return None  # as in Semgrep any index may be the one
            elif node.kind == "subscript" and last.kind in {"string", "integer"}:
                key = last.value if last.value is not None else self.file.text(last)
                parts.append(f"[{last.kind[0]}:{key}]")
            else:
                return None
            node = inner

    def bind(self, target: Node, trace: Taint, state: State) -> None:
        """Give a value to the target of an assignment."""
        self.spend()
        kind = target.kind
        if kind not in CHAINS:
            is_named = kind == "pair" and self.is_ecma
            for child in target.children[-1:] if is_named else target.children:
                self.bind(child, CLEAN if self.loses and _is_lost(child) else trace, state)
            return
        path = self.path(target)
        if path is not None:
            self.spend(len(state.entries(path[0])) >> 5)  # each change copies them
            if trace:
                state.taint(path, then(trace, target.start, target.end))
            else:
                state.clean(path)
            self._mark_target(target, path, state)
            return
        if self.is_ecma:
            self._bind_inside(target, trace, state)
            return
        base = target
        while base.kind in {"attribute", "subscript"} and base.children:
            mark = self.marks.at.get((base.start, base.end))
            if base.kind == "subscript" and mark is not None and mark.sinks and trace:
                self.report(mark.sinks, trace)
            if base.kind == "subscript":
                for index in base.children[1:]:
                    touched = self.value(index, state)
                    if touched and mark is not None and not self.safe_indexes:
                        self.report(mark.sinks, touched)
            base = base.children[0]
            path = self.path(base)
            if path is not None:
                if trace:
                    state.add(path, then(trace, target.start, target.end))
                return
        self.value(base, state)

    def _bind_inside(self, target: Node, trace: Taint, state: State) -> None:
        """Give a value to a target with an index in it: `a[b]`, `a[b].c`.

        What is clean makes all of `a` clean, as in Semgrep.
        """
        parts: list[str] = []
        base = target
        while base.kind in CHAINS and base.children:
            mark = self.marks.at.get((base.start, base.end))
            if base.kind == "subscript":
                parts.append(_ANY_INDEX)
                for index in base.children[1:]:
                    touched = self.value(index, state)
                    if touched and mark is not None and not self.safe_indexes:
                        self.report(mark.sinks, touched)
            else:
                parts.append("." + self.file.text(base.children[-1]))
            base = base.children[0]
        if base.kind != "identifier":
            self.value(base, state)
            return
        path = (self.file.text(base), *reversed(parts))
        mark = self.marks.at.get((target.start, target.end))
        if mark is not None and target.kind == "subscript":
            reached = union(trace, state.read(path[:-1]))
            if reached and mark.sinks:
                self.report(mark.sinks, reached)
        if trace:
            state.add(path, then(trace, target.start, target.end))
        elif self.loses:
            state.clean(path[:-1] if target.kind == "subscript" else path)

    def _mark_target(self, target: Node, path: Path, state: State) -> None:
        mark = self.marks.at.get((target.start, target.end))
        if mark is None:
            return
        if mark.source_lasts and (begun := self.origin(mark, state.read(path))):
            state.taint(path, union(begun, state.read(path)))
        if mark.clean_lasts:
            state.clean(path)
        if mark.sinks and (trace := state.read(path)):
            self.report(mark.sinks, trace)

    def _bind_parts(self, target: Node, parts: Mapping[Path, Taint], state: State) -> None:
        """Give a target what is known of the parts of its new value."""
        path = self.path(target)
        if path is not None:
            stepped = {
                below: then(taint, target.start, target.end) for below, taint in parts.items()
            }
            state.put_parts(path, stepped)
        elif target.kind == "dictionary":
            for pair in target.children:
                if pair.kind == "pair" and not is_computed(pair):
                    place = "." + self.file.text(pair.children[0])
                    inner = {below[1:]: parts[below] for below in parts if below[:1] == (place,)}
                    if () in parts:
                        inner.setdefault((), parts[()])
                    self.bind(pair.children[-1], CLEAN, state)
                    self._bind_parts(pair.children[-1], inner, state)

    def parameters(self, node: Node, state: State) -> None:
        """Bind parameters: clean, tainted by their default value, or a source."""
        for parameter in node.children:
            self.spend()
            mark = self.marks.at.get((parameter.start, parameter.end))
            default = parameter.role("value")
            trace = self.value(default, state) if default is not None else CLEAN
            name = parameter.role("name") or parameter
            given = self.given(node, parameter)
            if name.kind in _DESTRUCTURED:
                self.bind(name, trace or self._ambient, state)
                begun = self._origin_at(parameter, name)
                annotation = parameter.role("type")
                is_plain = annotation is None or annotation.kind != "object_type"
                if begun and is_plain:
                    self._taint_properties(name, begun, state, defaults=default is not None)
                self._bind_given(name, given, state)
                self._bind_marked(name, state)
                continue
            while name.kind != "identifier" and name.children:
                name = name.children[0]
            if name.kind != "identifier":
                continue
            path = (self.file.text(name),)
            for marked in (mark, self.marks.at.get((name.start, name.end))):
                if marked is not None and (begun := self.origin(marked)):
                    trace = begun
            trace = union(trace or self._ambient, given)
            if trace:
                state.taint(path, trace)
            else:
                state.clean(path)

    def given(self, parameters: Node, parameter: Node) -> Taint:
        """Return what a parameter holds when the function around it is called."""
        return CLEAN

    def _bind_given(self, pattern: Node, given: Taint, state: State) -> None:
        """Give each name of a destructured parameter what the caller's value has there."""
        if not given:
            return
        for pair in pattern.children:
            key, name = (pair.children[0], pair.children[-1]) if pair.children else (pair, pair)
            if name.kind == "identifier":
                place = ("." + self.file.text(key),) if key.kind == "identifier" else ()
                state.add((self.file.text(name),), tuple(trace.below(place) for trace in given))

    def _origin_at(self, *nodes: Node) -> Taint:
        """Return a new trace if one of the nodes is a source."""
        for node in nodes:
            mark = self.marks.at.get((node.start, node.end))
            if mark is not None and (begun := self.origin(mark)):
                return begun
        return CLEAN

    def _taint_properties(
        self, pattern: Node, trace: Taint, state: State, *, defaults: bool
    ) -> None:
        """Taint what `{a, b}` brings; as in Semgrep nothing nested.

        What has a default is tainted where the whole has one, and only there.
        """
        for pair in pattern.children if pattern.kind == "dictionary" else ():
            value = pair.children[-1] if pair.children else pair
            if pair.kind == "pair" and value.kind == "identifier" and bool(value.op) is defaults:
                state.taint((self.file.text(value),), trace)

    def _bind_marked(self, pattern: Node, state: State) -> None:
        """Taint the names inside a destructured parameter that are sources themselves."""
        for part in pattern.walk():
            if part.kind == "identifier" and part.field != "label":
                begun = self._origin_at(part)
                if begun:
                    state.taint((self.file.text(part),), begun)


def _is_lost(part: Node) -> bool:
    """Tell whether Semgrep loses taint in a part of a pattern: the rest, a computed key."""
    return is_computed(part) if part.kind == "pair" else "splat" in part.kind


def is_computed(pair: Node) -> bool:
    """Tell whether the key of a pair is computed, as in `{[key]: value}`."""
    return pair.children[0].field == "computed"
