"""Run the functions of one file so that taint is followed through their calls.

Rules this module keeps:
- called functions come before their callers, and what was run less before what was run more;
- a function is run again when a summary that it uses, what it can see from outside, or the
  attributes of its object have become more;
- only what can matter is run: what reaches a sink or a source, and what that calls;
- work is bounded for each function and for the file; what was given up is named.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping

from tavo.scan.graph import closure
from tavo.scan.parsed import ParsedFile
from tavo.scan.scopes import FUNCTIONS
from tavo.scan.taint.binding import Exhausted
from tavo.scan.taint.calls import GIVEN, Known
from tavo.scan.taint.functions import Callee, Function
from tavo.scan.taint.indirect import Targets
from tavo.scan.taint.marks import Marks, Spot
from tavo.scan.taint.state import CLEAN, Path, State, Taint, entrance, join_all, union
from tavo.scan.taint.statements import NestedFunction, Statements
from tavo.scan.taint.summary import Summary, sources_of
from tavo.scan.tree import Node

__all__ = ["Across", "functions_of", "parameter_sources", "parts_of"]

_MOST_RUNS = 50
_WHOLE_FILE = 3
_MODULE = 0


def functions_of(file: ParsedFile) -> Targets:
    """Return the functions of a file, found once."""
    known = file.memory.get(functions_of)
    if not isinstance(known, Targets):
        known = file.memory[functions_of] = Targets(file)
    return known


def parameter_sources(file: ParsedFile, marks: Marks) -> frozenset[int]:
    """Return the sources that are parameters: what they hold is up to the callers."""
    nodes = [*file.by_kind.get("parameters", ()), *file.by_kind.get("lambda_parameters", ())]
    ranges = sorted((node.start, node.end) for node in nodes)
    out = set()
    for number, spot in enumerate(marks.sources):
        at = bisect_right(ranges, (spot.start, 1 << 60)) - 1
        if at >= 0 and spot.end <= ranges[at][1]:
            out.add(number)
    return frozenset(out)


class _Graph:
    """Who calls whom in a file, in the order of the source; the module's own code is number 0."""

    def __init__(self, file: ParsedFile, functions: Targets) -> None:
        self.callees: dict[int, dict[int, None]] = {}
        self.callers: dict[int, dict[int, None]] = {}
        self.dotted: dict[int, set[str]] = {}
        self.around: dict[int, int] = {}
        self._ranges = sorted((f.node.start, f.node.end, n) for n, f in functions.by_node.items())
        self._ends = {number: end for _, end, number in self._ranges}
        for function in functions:
            self.around[id(function.node)] = self._home(function.node, functions)
        for call in file.by_kind.get("call", ()):
            here = self._home(call, functions)
            for found in functions.all_called(call):
                self._note(here, found)
            arguments = call.role("arguments")
            for node in arguments.children if arguments is not None else ():
                value = (node.role("value") or node) if node.kind == "keyword_argument" else node
                if value.kind in GIVEN:
                    for given in functions.targets(value):
                        self._note(here, given)

        if functions.has_properties:
            for node in file.by_kind.get("attribute", ()):
                read = functions.read_by(node)
                if read is not None and read.function is not None:
                    self._edge(self._home(node, functions), id(read.function.node))

    def _note(self, caller: int, found: Callee) -> None:
        if found.function is not None:
            self._edge(caller, id(found.function.node))
        elif found.dotted:
            self.dotted.setdefault(caller, set()).add(found.dotted)

    def _edge(self, caller: int, callee: int) -> None:
        self.callees.setdefault(caller, {})[callee] = None
        self.callers.setdefault(callee, {})[caller] = None

    def _home(self, node: Node, functions: Targets) -> int:
        for around in node.ancestors():
            if id(around) in functions.by_node:
                return id(around)
        return _MODULE

    def function_at(self, start: int, end: int) -> int:
        """Return the innermost function that a byte range is in."""
        at = bisect_right(self._ranges, (start, 1 << 60, 0)) - 1
        number = self._ranges[at][2] if at >= 0 else _MODULE
        while number != _MODULE and self._ends[number] < end:
            number = self.around[number]
        return number

    def order(self, numbers: Iterable[int]) -> dict[int, int]:
        """Return a rank for each function, that of a called one below that of its caller."""
        ranks: dict[int, int] = {}
        entered: set[int] = set()
        for number in numbers:
            stack = [(number, iter(self.callees.get(number, ())))]
            if number in entered:
                continue
            entered.add(number)
            while stack:
                current, rest = stack[-1]
                for after in rest:
                    if after not in entered:
                        entered.add(after)
                        stack.append((after, iter(self.callees.get(after, ()))))
                        break
                else:
                    ranks[current] = len(ranks)
                    stack.pop()
        return ranks


def _graph_of(file: ParsedFile, functions: Targets) -> _Graph:
    known = file.memory.get(_Graph)
    if not isinstance(known, _Graph):
        known = file.memory[_Graph] = _Graph(file, functions)
    return known


class Parts:
    """The functions and classes at the top of a file; the file's own code is the part "".

    `calls` are the parts that each one calls, `outside` the dotted names with the parts that call
    them or give them to others. A file whose functions share variables is one part.
    """

    def __init__(self, file: ParsedFile) -> None:
        self.functions = functions_of(file)
        self.graph = _graph_of(file, self.functions)
        self._one = file.language != "python" or bool(file.by_kind.get("global_statement"))
        self.calls: dict[str, set[str]] = {} if self._one else {
            self.of(number): set() for number in self.functions.by_node
        }  # fmt: skip
        self.outside: dict[str, set[str]] = {}
        for caller, callees in self.graph.callees.items():
            for callee in callees:
                here, there = self.of(caller), self.of(callee)
                if here != there:
                    self.calls.setdefault(here, set()).add(there)
        for caller, names in self.graph.dotted.items():
            for name in names:
                self.outside.setdefault(name, set()).add(self.of(caller))

    def of(self, number: int) -> str:
        """Return the part that a function is in."""
        if self._one:
            return ""
        while (outer := self.graph.around.get(number, _MODULE)) != _MODULE:
            number = outer
        function = self.functions.by_node.get(number)
        return function.name.partition(".")[0] if function is not None else ""

    def at(self, spots: Iterable[tuple[int, int]]) -> set[str]:
        """Return the parts that byte ranges are in."""
        return {self.of(self.graph.function_at(start, end)) for start, end in spots}


def parts_of(file: ParsedFile) -> Parts:
    """Return the parts of a file, found once."""
    known = file.memory.get(Parts)
    if not isinstance(known, Parts):
        known = file.memory[Parts] = Parts(file)
    return known


class Across:
    """One rule on one file, its calls followed."""

    def __init__(
        self,
        file: ParsedFile,
        marks: Marks,
        run: Statements,
        budget: int,
        elsewhere: Mapping[str, Known],
    ) -> None:
        self.file = file
        self.marks = marks
        self.run = run
        self.budget = budget
        self.left = budget * _WHOLE_FILE
        self.functions = functions_of(file)
        self.graph = _graph_of(file, self.functions)
        self.given_up: list[Node] = []
        self.seen: dict[int, State] = {}
        self.ambient: dict[int, Taint] = {}
        self.fields: dict[int, State] = {}
        self.module = State()
        self.runs: dict[int, int] = {}
        self.parameters = parameter_sources(file, marks)
        self._waiting: list[tuple[tuple[int, int], int]] = []
        self._queued: set[int] = set()
        self._ranks: dict[int, int] = {}
        run.functions = self.functions
        run.elsewhere = elsewhere
        run.parameter_sources = self.parameters

    def run_all(self, wanted: Collection[str] | None) -> list[Node]:
        """Run what matters until nothing changes, for some functions or for all.

        Returns what was given up.
        """
        relevant = self._relevant(wanted)
        if not relevant:
            return []
        position = {id(f.node): f.node.start for f in self.functions}
        inner_first = sorted(relevant, key=lambda number: -position.get(number, -1))
        self._ranks = self.graph.order(inner_first)
        for number in relevant:
            self._queue(number)
        while self._waiting:
            _, number = heapq.heappop(self._waiting)
            self._queued.discard(number)
            if self.runs.get(number, 0) >= _MOST_RUNS:
                self._give_up(number)
                continue
            if self.left <= 0:
                for _, waiting in [(0, number), *self._waiting]:
                    self._give_up(waiting)
                break
            self.runs[number] = self.runs.get(number, 0) + 1
            self._run_one(number)
        return self.given_up

    def _give_up(self, number: int) -> None:
        function = self.functions.by_node.get(number)
        node = function.node if function is not None else self.file.root
        if node not in self.given_up:
            self.given_up.append(node)

    def _queue(self, number: int) -> None:
        if number not in self._queued and (number in self._ranks):
            self._queued.add(number)
            rank = (self.runs.get(number, 0), self._ranks[number])
            heapq.heappush(self._waiting, (rank, number))

    def _relevant(self, wanted: Collection[str] | None) -> set[int]:
        """Return the functions that can have a part in a flow."""
        graph = self.graph
        begin = [s for n, s in enumerate(self.marks.sources) if n not in self.parameters]
        holders = self._holders(self.marks.sinks) | self._holders(self.marks.sources)
        calling = {
            number
            for number, dotted in graph.dotted.items()
            if any(name in self.run.elsewhere for name in dotted)
        }
        reach = closure(holders | calling, graph.callers)
        if wanted is not None:  # with what may put something into the module or an object
            called = {id(f.node) for f in self.functions if _is_one_of(f.name, wanted)}
            if not calling and not called & reach:
                return set()
            asked = called | closure(self._holders(begin) | calling, graph.callers)
            reach = reach if self._shares(calling) else reach & asked
        for number in list(reach):
            while number in graph.around:
                number = graph.around[number]
                reach.add(number)
        owners = {f.owner for n in reach if (f := self.functions.by_node.get(n)) and f.owner}
        reach |= {id(f.node) for f in self.functions if f.owner in owners}
        return closure(reach | {_MODULE}, graph.callees)

    def _shares(self, calling: set[int]) -> bool:
        """Tell whether what comes from other files can be put where any function sees it."""
        shared = self.file.language != "python" or self.file.by_kind.get("global_statement")
        return bool(calling) and (bool(shared) or _MODULE in calling)

    def _holders(self, spots: Iterable[Spot]) -> set[int]:
        return {self.graph.function_at(spot.start, spot.end) for spot in spots}

    # -- one function

    def _run_one(self, number: int) -> None:
        run = self.run
        run.begin_run(self.budget)
        run.summary = Summary()
        function = self.functions.by_node.get(number)
        end: State | None = None
        try:
            if function is None:
                run.current, run._parameters = None, None
                run._ambient, run._cleansing = CLEAN, 0
                end = run.run_body([self.file.root], State())
            else:
                end = run.run_function(self._entry(number, function))
        except Exhausted:
            self._give_up(number)
        if run.has_skipped:
            self._give_up(number)
        self.left -= self.budget - max(run.steps, 0)
        self._define(number, function, end)
        if function is not None:
            if end is not None:
                self._after(function, end)
            self._settle(number, function)

    def _entry(self, number: int, function: Function) -> NestedFunction:
        held: list[tuple[Path, Taint]] = []
        if function.owner is not None and function.me:
            for owner in self.functions.related(function.owner):
                fields = self.fields.get(id(owner), State()).entries("self")
                held += [((function.me, *place[1:]), taint) for place, taint in fields.items()]
        clean = any(self.marks.is_clean_around(around) for around in self._around(function.node))
        state, ambient = self.seen.get(number, State()), self.ambient.get(number, CLEAN)
        return NestedFunction(function.node, state, ambient, clean, function, tuple(held))

    def _around(self, node: Node) -> list[Node]:
        return [node, *node.ancestors()]

    def _define(self, number: int, function: Function | None, end: State | None) -> None:
        """Let the functions that are defined here see what is around them."""
        for found in self.run.nested.values():
            inner = id(found.node)
            if inner not in self.functions.by_node:
                continue
            seen = _closed(join_all(found.state, end) or found.state, function is not None)
            known = self.seen.get(inner)
            after, more = (seen, len(seen) > 0) if known is None else known.join(seen)
            ambient = union(self.ambient.get(inner, CLEAN), sources_of(found.ambient))
            if more or len(ambient) > len(self.ambient.get(inner, CLEAN)):
                self.seen[inner], self.ambient[inner] = after, ambient
                self._queue(inner)

    def _after(self, function: Function, end: State) -> None:
        """Note what a function leaves in what it was given, in its object and in the module."""
        summary = self.run.summary
        names = {entry.name for entry in function.inputs}
        own = self.file.scopes.own(function.node)
        for root in list(end.roots()):
            is_me = root == function.me
            for place, taint in end.entries(root).items():
                if is_me or (root in names and len(place) > 1):
                    new = _changed(taint, place)
                    if new and len(place) > 1:
                        summary.writes[place] = new
                elif root not in own and root != "this":
                    outer = ("^" + root, *place[1:])
                    if self._is_closed_over(root, function.node):
                        if new := _changed(taint, outer):
                            summary.writes[outer] = new
                    elif begun := sources_of(taint):
                        self._global(place, begun)
        for place, taint in self.run.taken.items():
            if place[0] in names:
                summary.writes[place] = union(
                    summary.writes.get(place, CLEAN), _changed(taint, place)
                )
        if function.owner is not None and function.me:
            for place, taint in summary.writes.items():
                if place[0] == function.me and (begun := sources_of(taint)):
                    self._field(function.owner, ("self", *place[1:]), begun)

    def _is_closed_over(self, name: str, node: Node) -> bool:
        return any(
            around.kind in FUNCTIONS and name in self.file.scopes.own(around)
            for around in node.ancestors()
        )

    def _global(self, place: Path, taint: Taint) -> None:
        before = self.module.read(place)
        if len(union(before, taint)) <= len(before):
            return
        self.module.add(place, taint)
        for number in self._ranks:
            function = self.functions.by_node.get(number)
            if function is not None and place[0] not in self.file.scopes.own(function.node):
                self.seen[number] = self.seen.get(number, State()).join(self.module)[0]
                self._queue(number)

    def _field(self, owner: Node, place: Path, taint: Taint) -> None:
        held = self.fields.setdefault(id(owner), State())
        before = held.entries("self").get(place, CLEAN)
        if len(union(before, taint)) <= len(before):
            return
        held.add(place, taint)
        related = self.functions.related(owner)
        self.left -= len(related) // 4
        for other in related:
            for function in self.functions.methods_of(other):
                self._queue(id(function.node))

    def _upward(self, taint: Taint) -> Taint:
        return tuple(trace for trace in taint if trace.origin not in self.parameters)

    def _settle(self, number: int, function: Function) -> None:
        summary = self.run.summary
        summary.returns = self._upward(summary.returns)
        summary.writes = {
            place: kept for place, taint in summary.writes.items() if (kept := self._upward(taint))
        }
        known = self.run.summaries.get(number)
        is_new = known is None
        if known is None:
            known = self.run.summaries[number] = Summary()
        if known.grow(summary) or (is_new and self.runs[number] == 1):
            for caller in self.graph.callers.get(number, ()):
                if self.runs.get(caller):
                    self._queue(caller)


def _is_one_of(name: str, wanted: Collection[str]) -> bool:
    """Tell whether a function is called by one of the names, or makes what is."""
    return name in wanted or name.rpartition(".")[0] in wanted


def _changed(taint: Taint, place: Path) -> Taint:
    """Return what was not in a place when the function began."""
    return tuple(trace for trace in taint if trace.origin != place)


def _closed(state: State, in_function: bool) -> State:
    """Return a state as a function inside sees it: inputs of the outer one are variables."""
    out = State()
    for root in state.roots():
        for place, taint in state.entries(root).items():
            kept = sources_of(taint)
            if in_function and len(kept) < len(taint):
                first = next(trace for trace in taint if not isinstance(trace.origin, int))
                origin = ("^" + root, *place[1:])
                kept = union(kept, (entrance(first.start, first.end, origin),))
            out.put(place, kept)
    return out
