"""How taint moves through a call whose function is known.

Rules this module keeps:
- a function is never run for a call: its summary says what comes back, what it changes and which
  sinks it reaches, and is applied to the taint of the arguments;
- where no summary is known, a call is judged as one of a function that nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tavo.plugins import Step
from tavo.scan.parsed import ParsedFile
from tavo.scan.taint.expressions import Expressions
from tavo.scan.taint.functions import Callee, Function, Input, is_super
from tavo.scan.taint.indirect import Targets
from tavo.scan.taint.marks import Marks
from tavo.scan.taint.objects import is_property
from tavo.scan.taint.state import CLEAN, Origin, Path, State, Taint, Trace, entrance, then, union
from tavo.scan.taint.summary import Summary, inputs_of, sources_of
from tavo.scan.tree import Node

__all__ = ["GIVEN", "Calls", "Known", "spoken"]

# Functions that call the function they are given: with each of the other values, or with what
# follows it.
_WITH_EACH = frozenset({
    "map", "filter", "forEach", "flatMap", "find", "findIndex", "some", "every", "then", "sort",
    "sorted", "starmap", "imap",
})  # fmt: skip
_ASKS_OF_EACH = frozenset({"every", "some"})
_WITH_THE_REST = frozenset({
    "to_thread", "run_in_executor", "submit", "apply_async", "call_soon", "run_sync", "partial",
    "setTimeout", "setImmediate", "nextTick", "start_soon", "create_task", "add_task",
    "run_in_threadpool", "call_soon_threadsafe", "call_later", "enqueue",
})  # fmt: skip
# Those that hand out what the function returns.
_GIVES_BACK = frozenset({
    "map", "flatMap", "then", "starmap", "imap", "to_thread", "run_in_executor", "submit",
    "run_sync", "run_in_threadpool",
})  # fmt: skip
GIVEN = frozenset({"identifier", "attribute", "lambda", "subscript", "call"})
"""Kinds of expressions that may stand for a function which is given to another one."""
_SPLATS = frozenset({"list_splat", "dictionary_splat"})


class Known(msgspec.Struct, eq=False):
    """A function whose summary is known, of this file or another one."""

    name: str
    inputs: Sequence[Input]
    me: str
    summary: Summary
    makes: bool = False
    entries: Mapping[str, Step] = {}


_Parts = Sequence[tuple[Node | None, Taint]]
"""Arguments with what they hold; what no expression stands for is given by position."""


class _Given(msgspec.Struct):
    """What a call gives to one parameter: its taint, and where it stands."""

    taint: Taint = CLEAN
    path: Path | None = None
    node: Node | None = None
    parts: Mapping[Path, Taint] | None = None


class Calls(Expressions):
    """Evaluates calls of known functions; `functions` is None where none are looked for."""

    def __init__(
        self, file: ParsedFile, marks: Marks, options: frozenset[str], budget: int
    ) -> None:
        super().__init__(file, marks, options, budget)
        self.functions: Targets | None = None
        self.summaries: dict[int, Summary] = {}
        self.elsewhere: Mapping[str, Known] = {}
        self.current: Function | None = None
        self.summary = Summary()
        self._parameters: Node | None = None
        self._built: dict[tuple[int, int], dict[Path, Taint]] = {}

    # -- what the function that is run is given

    def begin(self, function: Function | None, state: State) -> None:
        """Start a new summary; the object of a method is an input that no parameter names."""
        self.current, self.summary, self._built = function, Summary(), {}
        self.taken = {}
        self._parameters = function.node.role("parameters") if function is not None else None
        if function is not None and function.me == "this":
            where = function.node
            state.add(("this",), (entrance(where.start, where.start, ("this",)),))

    def keep_parameters(self, state: State) -> None:
        """Put what a constructor of TypeScript declares as `private a: string` into its object."""
        function = self.current
        if function is None or function.me != "this" or self._parameters is None:
            return
        if not function.name.endswith(".constructor"):
            return
        for parameter in self._parameters.children:
            name = parameter.role("name") or parameter
            taint = state.read((name.label,)) if name.label else CLEAN
            if taint and is_property(self.file, parameter):
                state.add(("this", f".{name.label}"), then(taint, name.start, name.end))

    def given(self, parameters: Node, parameter: Node) -> Taint:
        """Return a trace that begins at the parameter, if the function's callers matter."""
        function = self.current
        if function is None or parameters is not self._parameters:
            return CLEAN
        for entry in function.inputs:
            if parameter.start <= entry.start and entry.end <= parameter.end:
                return (entrance(entry.start, entry.end, (entry.name,)),)
        if function.me and parameter is parameters.children[0]:
            return (entrance(parameter.start, parameter.end, (function.me,)),)
        return CLEAN

    def report(self, sinks: Sequence[int], trace: Taint) -> None:  # type: ignore[override]
        """Note what arrived: from a source it is a flow, from an input it is the callers' flow."""
        if self.functions is None:
            super().report(sinks, trace)
            return
        if begun := sources_of(trace):
            super().report(sinks, begun)
        if given := inputs_of(trace):
            known = self.summary.sinks
            for number in sinks:
                known[number] = union(known.get(number, CLEAN), given)

    # -- calls

    def through(
        self, call: Node, parts: Sequence[tuple[Node, Taint]], receiver: Taint, state: State
    ) -> Taint | None:
        """Return what comes back from a call, None if nobody knows."""
        if self.functions is None:
            return None
        callee = call.children[0]
        called = self.functions.all_called(call)
        if not called and (given := self._given_function(callee, state)):
            for trace in given:
                self._note_call(trace, [taint for _, taint in parts])
            return None
        several = [(found, known) for found in called if (known := self._known(found)) is not None]
        if not several:
            return self._higher_order(callee, parts, receiver, state)
        result: Taint | None = None
        for found, known in several:
            came = self._through_one(call, found, known, parts, receiver, state)
            result = came if result is None else union(result, came or CLEAN)
        if result is not None and any(found.indirect for found, _ in several):
            for _, taint in parts:  # others may be called as well
                result = union(result, taint)
        return result

    def _through_one(
        self, call: Node, found: Callee, known: Known, parts: _Parts, receiver: Taint, state: State
    ) -> Taint | None:
        """Apply what one function does; None if it may be another one."""
        bound = self._bound(known, found, parts)
        built: dict[Path, Taint] | None = {} if (found.makes or known.makes) else None
        if known.me and not found.by_class and built is None:
            bound[known.me] = self._object(found, receiver, state)
        result = self._apply(known, bound, call, state, built)
        if built is not None:
            for part in built.values():
                result = union(result, part)
            self._built[call.start, call.end] = built
        return None if found.guessed else result

    def _chain(self, node: Node, state: State) -> Taint:
        """Return the taint of a chain of names; a property in it is a call without arguments."""
        trace = super()._chain(node, state)
        if self.functions is None or not self.functions.has_properties:
            return trace
        while node.kind in {"attribute", "subscript"} and node.children:
            found = self.functions.read_by(node)
            known = self._known(found) if found is not None else None
            if found is not None and known is not None:
                given = _Given()
                if found.receiver is not None:
                    given = self._object(found, self.value(found.receiver, state), state)
                trace = union(trace, self._apply(known, {known.me: given}, node, state, None))
            node = node.children[0]
        return trace

    def _known(self, found: Callee) -> Known | None:
        function = found.function
        if function is None:
            return self.elsewhere.get(found.dotted)
        summary = self.summaries.get(id(function.node))
        if summary is None:
            return None
        return Known(function.name, function.inputs, function.me, summary)

    def _given_function(self, callee: Node, state: State) -> Taint:
        """Return the inputs that an expression that is called stands for by itself."""
        if self.current is None or callee.kind != "identifier":
            return CLEAN
        read = state.read((self.file.text(callee),))
        return tuple(
            t for t in inputs_of(read) if isinstance(t.origin, tuple) and len(t.origin) == 1
        )

    def _note_call(self, function: Trace, arguments: list[Taint]) -> None:
        if isinstance(function.origin, tuple):
            self.summary.call(function.origin, arguments)

    def _object(self, found: Callee, receiver: Taint, state: State) -> _Given:
        """Return what a method gets as its object."""
        node = found.receiver
        if node is None:
            return _Given()
        if is_super(node):
            me = self.current.me if self.current is not None else ""
            return _Given(state.read((me,)), (me,), node) if me else _Given()
        return self._one(node, receiver)

    def _one(self, node: Node, taint: Taint) -> _Given:
        inner = node
        if inner.kind == "keyword_argument":
            inner = inner.role("value") or inner
        while inner.kind == "await" and inner.children:
            inner = inner.children[0]
        return _Given(taint, self.path(inner), inner, self._built.get((inner.start, inner.end)))

    def _bound(self, known: Known, found: Callee, parts: _Parts) -> dict[str, _Given]:
        """Give each argument to its parameter."""
        inputs = list(known.inputs)
        if found.by_class and known.me:
            inputs.insert(0, Input(known.me, 0, 0))
        names = {entry.name for entry in inputs}
        places = []
        for entry in inputs:
            if entry.rest:
                break
            places.append(entry.name)
        places = places[found.skip :]
        rest = {entry.rest: entry.name for entry in inputs if entry.rest}
        bound: dict[str, _Given] = {}
        at = 0
        for node, taint in parts:
            if node is not None and node.kind in _SPLATS:
                for name in [*places[at:], *rest.values()]:
                    self._more(bound, name, _Given(taint))
                continue
            if node is not None and node.kind == "keyword_argument":
                label = node.role("name")
                text = self.file.text(label) if label is not None else ""
                name = text if text in names else rest.get("**", "")
            elif at < len(places):
                name = places[at]
                at += 1
            else:
                name = rest.get("*", "")
            if name:
                self._more(
                    bound, name, self._one(node, taint) if node is not None else _Given(taint)
                )
        return bound

    def _more(self, bound: dict[str, _Given], name: str, given: _Given) -> None:
        known = bound.get(name)
        bound[name] = given if known is None else _Given(union(known.taint, given.taint))

    def _apply(
        self,
        known: Known,
        bound: Mapping[str, _Given],
        call: Node,
        state: State,
        built: dict[Path, Taint] | None,
    ) -> Taint:
        """Apply a summary to what a call gives. Returns what comes back."""
        summary = known.summary
        self.spend(1 + summary.size())
        places = {entry.name: entry for entry in known.inputs}
        memory: dict[Path, Taint] = {}

        def entering(origin: Path) -> Taint:
            if origin not in memory:
                memory[origin] = self._entering(known, places, bound, origin, state)
            return memory[origin]

        def put(taint: Taint) -> Taint:
            """Replace what the function was given by what the call gives."""
            out: list[Trace] = []
            known: set[tuple[Origin, str]] = set()
            for trace in taint:
                given = (trace,) if isinstance(trace.origin, int) else entering(trace.origin)
                for one in given:
                    if (one.key, one.label) not in known:
                        known.add((one.key, one.label))
                        out.append(one if one is trace else trace.after(one))
            return tuple(out)

        if not self._cleansing:
            for number, taint in summary.sinks.items():
                if arrived := put(taint):
                    self.report([number], arrived)
        for place, taint in summary.writes.items():
            if written := put(taint):
                self._write(place, written, bound, known, state, built)
        for place, arguments in summary.called.items():
            node = bound[place[0]].node if place[0] in bound else None
            taints = [put(taint) for taint in arguments]
            if node is not None and any(taints):
                self._call_back(node, [(None, taint) for taint in taints], state)
        return then(put(summary.returns), call.start, call.end, f"comes back from {known.name}")

    def _entering(
        self,
        known: Known,
        places: Mapping[str, Input],
        bound: Mapping[str, _Given],
        origin: Path,
        state: State,
    ) -> Taint:
        root, below = origin[0], origin[1:]
        if root.startswith("^"):
            return state.read((root[1:], *below))
        given = bound.get(root)
        if given is None:
            return CLEAN
        if given.parts is not None:
            taint: Taint = CLEAN
            for place, part in given.parts.items():
                if place[: len(below)] == below or below[: len(place)] == place:
                    taint = union(taint, part)
        elif given.path is not None and below:
            taint = state.read((*given.path, *below))
        elif given.node is not None and given.node.kind == "dictionary" and below:
            taint = self._member(given.node, below[0], state)
        else:
            taint = given.taint
        if (step := known.entries.get(root)) is not None:
            return tuple(trace.then_elsewhere(step) for trace in taint)
        entry = places.get(root)
        if entry is None or not entry.end:
            return taint
        return then(
            taint, entry.start, entry.end, f"goes into parameter {spoken(root)} of {known.name}"
        )

    def _member(self, node: Node, place: str, state: State) -> Taint:
        """Return the taint of one entry of an object that is written out."""
        for pair in node.children:
            if pair.kind != "pair" or len(pair.children) != 2:
                return self._union([node], state)
            key, value = pair.children
            if place in {"." + self.file.text(key), f"[s:{key.value}]"}:
                return self.value(value, state)
        return CLEAN

    def _write(
        self,
        place: Path,
        taint: Taint,
        bound: Mapping[str, _Given],
        known: Known,
        state: State,
        built: dict[Path, Taint] | None,
    ) -> None:
        root, below = place[0], place[1:]
        if built is not None and root == known.me:
            built[below] = union(built.get(below, CLEAN), taint)
            return
        given = bound.get(root)
        path = given.path if given is not None else None
        if root.startswith("^"):
            path = (root[1:],)
        if path is not None:
            target = (*path, *below)
            self.spend(len(state.entries(path[0])) >> 5)
            before = state.read(target)
            if len(union(before, taint)) > len(before):
                state.add(target, taint)

    # -- functions that are given to functions

    def _higher_order(
        self,
        callee: Node,
        parts: Sequence[tuple[Node, Taint]],
        receiver: Taint,
        state: State,
    ) -> Taint | None:
        """Call the functions that a function is given; return what comes back, if that is known."""
        name = callee.children[-1] if callee.kind == "attribute" else callee
        label = self.file.text(name) if name.kind == "identifier" else ""
        if label in _ASKS_OF_EACH:
            self._ask_of_each(parts, state)
        back: Taint | None = None
        if label in _WITH_EACH:
            values = receiver
            for _, taint in parts:
                values = union(values, taint)
            if values or label in _GIVES_BACK:
                for node, _ in parts:
                    came = self._call_back(node, [(None, values)], state)
                    if came is not None:
                        back = came if back is None else union(back, came)
        elif label in _WITH_THE_REST:
            for number, (node, _) in enumerate(parts):
                after = parts[number + 1 :]
                if any(taint for _, taint in after) or label in _GIVES_BACK:
                    back = self._call_back(node, after, state)
                if back is not None:
                    break
        elif label in {"Thread", "Process", "Timer"}:
            values = CLEAN
            target: Node | None = None
            for node, taint in parts:
                key = node.role("name") if node.kind == "keyword_argument" else None
                if key is not None and self.file.text(key) in {"target", "function"}:
                    target = node.role("value")
                else:
                    values = union(values, taint)
            if target is not None and values:
                self._call_back(target, [(None, values)] * 8, state)
        elif label in {"call", "apply"} and self.is_ecma and callee.kind == "attribute":
            rest: _Parts = parts[1:]
            if label == "apply":
                rest = [(None, taint) for _, taint in parts[1:]]
            self._call_back(callee.children[0], rest, state)
        return back if label in _GIVES_BACK else None

    def _call_back(self, node: Node, parts: _Parts, state: State) -> Taint | None:
        """Call what an argument stands for. Returns what comes back, None if it is no function."""
        if node.kind not in GIVEN or self.functions is None:
            return None
        if node.kind == "lambda" and id(node) not in self.functions.by_node:
            taints = [taint for _, taint in parts]
            if not any(taints):
                return self._held.get(node)  # it was run when it was given
            return self._run_lambda(node, taints, state)[1]
        path = self.path(node)
        if path is not None and len(path) == 1 and (given := self._given_function(node, state)):
            for trace in given:
                self._note_call(trace, [taint for _, taint in parts])
            return None
        back: Taint | None = None
        for found in self.functions.targets(node):
            known = self._known(found)
            if known is None or found.makes or known.makes:
                continue
            bound = self._bound(known, found, parts)
            if known.me and found.receiver is not None:
                bound[known.me] = self._one(found.receiver, CLEAN)
            came = self._apply(known, bound, node, state, None)
            if found.indirect:
                for _, taint in parts:
                    came = union(came, taint)
            back = came if back is None else union(back, came)
        return back

    def _ask_of_each(self, parts: Sequence[tuple[Node, Taint]], state: State) -> None:
        """Make clean what a question checks: `ROOTS.some((root) => path.startsWith(root))`."""
        for node, _ in parts:
            if node.kind != "lambda":
                continue
            parameters = node.role("parameters")
            own = parameters.walk() if parameters is not None else ()
            inner, _ = self._run_lambda(node, (), state)
            state.clean_as(inner, frozenset(self.file.text(p) for p in own if not p.children))

    def _run_lambda(self, node: Node, taints: Sequence[Taint], state: State) -> tuple[State, Taint]:
        """Run a lambda with what it is given; return what is known then, and what comes back."""
        inner = state.copy()
        parameters, body = node.role("parameters"), node.role("body")
        if parameters is not None:
            self.parameters(parameters, inner)
            for parameter, taint in zip(parameters.children, taints, strict=False):
                name = parameter.role("name") or parameter
                if taint:
                    self.bind(name, taint, inner)
        back = self.body_of_lambda(body, inner) if body is not None else CLEAN
        return inner, back

    # -- objects

    def built(self, node: Node) -> dict[Path, Taint] | None:
        """Return what the attributes of a new object hold, if an expression makes one."""
        while node.kind == "await" and node.children:
            node = node.children[0]
        return self._built.get((node.start, node.end))


def spoken(name: str) -> str:
    """Return how a step of a flow names a parameter: one that is destructured has a number."""
    return f"number {int(name[1:]) + 1}" if name.startswith("#") else name
