"""How taint moves through one expression.

Rules this module keeps:
- the value of an expression is its taint, empty if it is clean; evaluating may change the state
  (a walrus, a container that takes a value in, a sanitizer by side effect);
- every node costs a step of a budget, and what is nested too deep is judged as a whole instead,
  so that no source text can exhaust time or stack.

Source of the semantics: Semgrep's documentation of taint mode, and comparing answers with it. On
purpose we follow what it loses: slices, comprehensions, `append` and its like, `self.x`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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

__all__ = ["Exhausted", "Expressions"]

_DEEPEST = 60
_MOST_FIELDS = 200
_ANY_INDEX = "[*]"
_UNKNOWN: Path = ("?",)
_LEAVES = frozenset({
    "string", "integer", "float", "true", "false", "none", "ellipsis", "string_content", "pass",
    "type", "generic_type", "union_type", "member_type", "constrained_type", "comment",
})  # fmt: skip
_COMPREHENSIONS = frozenset({
    "list_comprehension", "set_comprehension", "dictionary_comprehension", "generator_expression",
})  # fmt: skip
_CHAINS = frozenset({"identifier", "attribute", "subscript"})
_DESTRUCTURED = frozenset({"dictionary", "list"})
# Methods by which a container takes its argument in.
_TAKES_IN = frozenset({
    "append", "appendleft", "extend", "extendleft", "insert", "add", "update", "setdefault",
    "push", "put", "put_nowait", "write", "writelines", "add_message", "__setitem__",
})  # fmt: skip
_TESTS = frozenset({
    "isinstance", "issubclass", "bool", "hasattr", "callable", "all", "any", "startswith",
    "endswith", "isdigit", "isalpha", "isalnum", "isnumeric", "isidentifier", "isspace", "exists",
    "is_file", "is_dir",
})  # fmt: skip
_NUMBERS = frozenset({"int", "float", "len", "ord", "round", "hash", "id", "count", "index"})


class Exhausted(Exception):  # noqa: N818  (a signal, not an error of the user's)
    """The budget of steps for one rule on one function is used up."""


class Expressions:
    """Evaluates expressions against the marks of one rule."""

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
        paths = file.memory.setdefault(Expressions, {})
        assert isinstance(paths, dict)  # noqa: S101
        self._paths: dict[Node, Path | None] = paths  # those of all rules

    # -- the entrance

    def value(self, node: Node, state: State) -> Taint:
        """Return how the expression's value is tainted."""
        self.spend()
        mark = self.marks.at.get((node.start, node.end))
        if self._depth >= _DEEPEST:
            return self._as_a_whole(node, state)
        self._depth += 1
        try:
            if mark is None:
                trace = self._raw(node, state)[0] or self._ambient
                if self._cleansing:
                    return CLEAN
            else:
                trace = self._marked(node, mark, state)
        finally:
            self._depth -= 1
        if trace and self._open_sinks:
            self.report(self._open_sinks, trace)
        return trace

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
        if kind not in _CHAINS:
            is_named = kind == "pair" and self.is_ecma
            for child in target.children[-1:] if is_named else target.children:
                self.bind(child, CLEAN if self.loses and _is_lost(child) else trace, state)
            return
        path = self.path(target)
        if path is not None:
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
        while base.kind in _CHAINS and base.children:
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

    # -- marks

    def _marked(self, node: Node, mark: Mark, state: State) -> Taint:
        begun = self.origin(mark)
        ambient, self._ambient = self._ambient, (begun if mark.source_around else self._ambient)
        self._cleansing += mark.clean_around
        self._open_sinks.extend(mark.wide_sinks)
        try:
            trace, inputs = self._raw(node, state)
        finally:
            del self._open_sinks[len(self._open_sinks) - len(mark.wide_sinks) :]
            self._cleansing -= mark.clean_around
            self._ambient = ambient
        return self.settle(node, mark, state, trace, inputs)

    def settle(self, node: Node, mark: Mark, state: State, trace: Taint, inputs: Taint) -> Taint:
        """Apply a mark to the value of its node. `inputs` is the taint of a call's arguments."""
        where = (node.start, node.end)
        trace = trace or self._ambient
        if begun := self.origin(mark, union(trace, inputs)):
            begun = union(begun, trace)
            if mark.source_lasts and (path := self.path(node)) is not None:
                state.taint(path, begun)
            if not mark.source_only:
                trace = begun
        trace = self._carried.get(where, trace)
        if mark.clean:
            trace = CLEAN
            if mark.clean_lasts and (path := self.path(node)) is not None:
                state.clean(path)
        if self._cleansing:
            return CLEAN
        if trace:
            self._carry(mark, trace, state)
            self.report([*mark.sinks, *mark.wide_sinks], trace)
        elif inputs and not mark.clean:
            self.report(mark.calls, inputs)
        return trace

    def _carry(self, mark: Mark, trace: Taint, state: State) -> None:
        for to, lasts in mark.carries_to:
            step = then(trace, *to)
            self._carried[to] = step
            node = self.marks.targets.get(to)
            if lasts and node is not None and (path := self.path(node)) is not None:
                state.taint(path, step)

    # -- kinds of expressions; each returns the value, and for a call the taint of its inputs

    def _raw(self, node: Node, state: State) -> tuple[Taint, Taint]:
        kind = node.kind
        if kind in _CHAINS:
            return self._chain(node, state), CLEAN
        if kind in _LEAVES:
            return CLEAN, CLEAN
        if kind == "call":
            return self._call(node, state)
        if kind == "binary_operator":
            return self._binary(node, state), CLEAN
        if kind == "comparison_operator" or kind == "not_operator":
            trace = self._union(node.children, state)
            return (CLEAN if self.safe_comparisons else trace), CLEAN
        if kind == "conditional_expression" and len(node.children) == 3:
            self.value(node.children[1], state)
            return self._union((node.children[0], node.children[2]), state), CLEAN
        if kind == "named_expression":
            return self._assign(node.role("name"), node.role("value"), state), CLEAN
        if kind == "assignment":
            return self._assign(node.role("left"), node.role("right"), state), CLEAN
        if kind in _COMPREHENSIONS:
            return self._comprehension(node, state), CLEAN
        if kind == "lambda":
            self._lambda(node, state)
            return CLEAN, CLEAN
        if kind == "pair" and self.is_ecma:
            if _is_computed(node):
                trace = self._union(node.children, state)
                return (CLEAN if self.loses else trace), CLEAN
            held = self._held[node] = self.value(node.children[-1], state)
            return held, CLEAN
        if kind == "interpolation":
            inner = node.role("expression")
            return (self.value(inner, state) if inner is not None else CLEAN), CLEAN
        if kind == "keyword_argument":
            inner = node.role("value")
            return (self.value(inner, state) if inner is not None else CLEAN), CLEAN
        trace = self._union(node.children, state)
        if kind == "dictionary_splat":
            self._held[node] = trace
        return (self._yielded(trace) if kind == "yield" else trace), CLEAN

    def _union(self, nodes: Iterable[Node], state: State) -> Taint:
        trace: Taint = CLEAN
        for node in nodes:
            trace = union(trace, self.value(node, state))
        return trace

    def _yielded(self, trace: Taint) -> Taint:
        """Note what a generator hands out; what is sent into it is clean."""
        return CLEAN

    def _chain(self, node: Node, state: State) -> Taint:
        """Return the taint of a name, attribute or subscript."""
        path = self.path(node)
        trace = state.read(path) if path is not None else CLEAN
        while node.kind != "identifier" and node.children:
            if node.kind == "subscript":
                for index in node.children[1:]:
                    touched = self.value(index, state)
                    if not self.safe_indexes:
                        trace = union(trace, touched)
            node = node.children[0]
            if node.kind not in _CHAINS or path is None:
                return union(self.value(node, state), trace)
            mark = self.marks.at.get((node.start, node.end))
            if mark is not None and (inner := self.path(node)) is not None:
                held = self.settle(node, mark, state, state.read(inner), CLEAN)
                if mark.clean:
                    return CLEAN
                if mark.sources or self._is_target(node):
                    trace = union(trace, held)
        return trace

    def _is_target(self, node: Node) -> bool:
        return (node.start, node.end) in self._carried

    def _call(self, call: Node, state: State) -> tuple[Taint, Taint]:
        callee, arguments = call.role("function"), call.role("arguments")
        given: Taint = CLEAN
        parts: list[tuple[Node, Taint]] = []
        if arguments is not None:
            nodes = arguments.children if arguments.kind == "argument_list" else [arguments]
            for node in nodes:
                part = self.value(node, state)
                parts.append((node, part))
                given = union(given, part)
        if callee is None:
            return given, given
        mark = self.marks.at.get((callee.start, callee.end))
        name = callee
        receiver: Taint = CLEAN
        called: Taint = CLEAN
        if callee.kind == "attribute" and len(callee.children) == 2:
            owner, name = callee.children
            receiver = self.value(owner, state)
            path = self.path(callee)
            if path is not None and len(path) > 1 and not receiver:
                receiver = state.read(path)
            if mark is not None:
                called = self.settle(callee, mark, state, CLEAN, CLEAN)
            if given and not self.loses and self.file.text(name) in _TAKES_IN:
                self._take_in(owner, given, call, state)
        else:
            called = self.value(callee, state)
        inputs = union(union(given, receiver), called)
        result = called if self.safe_functions else inputs
        if (known := self.through(call, parts, receiver, state)) is not None:
            result = union(known, called)
            if self.loses or self.file.text(name) not in _TAKES_IN:
                inputs = union(inputs, known)
        if result and name.kind == "identifier":
            text = self.file.text(name)
            if (self.safe_booleans and text in _TESTS) or (self.safe_numbers and text in _NUMBERS):
                result = CLEAN
        return result, inputs

    def through(
        self, call: Node, parts: Sequence[tuple[Node, Taint]], receiver: Taint, state: State
    ) -> Taint | None:
        """Return what comes back from a call whose function is known, else None."""
        return None

    def _take_in(self, owner: Node, trace: Taint, call: Node, state: State) -> None:
        while owner.kind == "subscript" and self.path(owner) is None and owner.children:
            owner = owner.children[0]
        path = self.path(owner)
        if path is not None:
            before, taken = state.read(path), then(trace, call.start, call.end)
            self.taken[path] = union(self.taken.get(path, CLEAN), taken)
            if len(union(before, taken)) > len(before):
                state.add(path, taken)

    def _binary(self, node: Node, state: State) -> Taint:
        """Return the taint of `a + b + c`, however long, without recursion on the left."""
        rights: list[Node] = []
        while len(node.children) == 2:
            left, right = node.children
            rights.append(right)
            node = left
            if left.kind != "binary_operator" or (left.start, left.end) in self.marks.at:
                break
            self.spend()
        trace = self.value(node, state)
        for right in reversed(rights):
            trace = union(trace, self.value(right, state))
        return trace

    def _assign(self, left: Node | None, right: Node | None, state: State) -> Taint:
        if right is None or left is None:
            return CLEAN
        if _pairs_up(left, right) and (right.start, right.end) not in self.marks.at:
            traces = [self.value(part, state) for part in right.children]
            for target, trace in zip(left.children, traces, strict=True):
                self.bind(target, trace, state)
            return next((trace for trace in traces if trace), CLEAN)
        trace = self.value(right, state)
        parts = self.built(right)
        if parts is None and trace and self.is_ecma:
            parts = self.fields(right, state)
        self.bind(left, trace, state)
        if parts is not None:
            self._bind_parts(left, parts, state)
        return trace

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
                if pair.kind == "pair" and not _is_computed(pair):
                    place = "." + self.file.text(pair.children[0])
                    inner = {below[1:]: parts[below] for below in parts if below[:1] == (place,)}
                    if () in parts:
                        inner.setdefault((), parts[()])
                    self.bind(pair.children[-1], CLEAN, state)
                    self._bind_parts(pair.children[-1], inner, state)

    def fields(self, node: Node, state: State) -> dict[Path, Taint] | None:
        """Return what the parts of a value hold, by their places in it, None where it is one.

        The expression was evaluated just before.
        """
        self.spend()
        if self._ambient or (node.start, node.end) in self.marks.at:
            return None
        if node.kind in {"identifier", "attribute"}:
            path = self.path(node)
            return state.below(path) if path is not None and self._is_plain(node) else None
        if node.kind == "assignment":
            right = node.role("right")
            return self.fields(right, state) if right is not None else None
        if node.kind == "conditional_expression" and len(node.children) == 3:
            arms = [self.fields(arm, state) for arm in (node.children[0], node.children[2])]
            found: dict[Path, Taint] = {}
            for arm in arms:
                if arm is None:
                    return None
                for place, taint in arm.items():
                    if taint:
                        found[place] = union(found.get(place, CLEAN), taint)
            return found
        if node.kind in _LEAVES:
            return {}
        return self._fields_of_object(node, state) if node.kind == "dictionary" else None

    def _is_plain(self, node: Node) -> bool:
        """Tell whether nothing inside a chain of names is a source or the like."""
        while node.children:
            if (node.start, node.end) in self.marks.at:
                return False
            node = node.children[0]
        return (node.start, node.end) not in self.marks.at

    def _fields_of_object(self, node: Node, state: State) -> dict[Path, Taint] | None:
        found: dict[Path, Taint] = {}
        for child in node.children:
            held = self._held.get(child)
            if len(found) > _MOST_FIELDS:
                return None
            if child.kind == "dictionary_splat" and child.children and held is not None:
                inner = self.fields(child.children[0], state)
                for place, taint in ({(): held} if inner is None else inner).items():
                    found[place] = union(found.get(place, CLEAN), taint)
            elif child.kind != "pair" or _is_computed(child):
                continue
            elif held is None:
                return None
            else:
                name = "." + self.file.text(child.children[0])
                inner = self.fields(child.children[-1], state) if held else {}
                found = {place: taint for place, taint in found.items() if place[:1] != (name,)}
                found[(name,)] = CLEAN
                for place, taint in ({(): held} if inner is None else inner).items():
                    found[(name, *place)] = taint
        if found.get(()):  # something is anywhere in it
            return {place: taint for place, taint in found.items() if taint}
        return found

    def built(self, node: Node) -> Mapping[Path, Taint] | None:
        """Return what the attributes of a new object hold, if an expression makes one."""
        return None

    def _comprehension(self, node: Node, state: State) -> Taint:
        inner = state.copy()
        body = node.role("body")
        for clause in node.children:
            if clause.kind == "for_in_clause":
                source, target = clause.role("right"), clause.role("left")
                trace = self.value(source, inner) if source is not None else CLEAN
                if target is not None:
                    self.bind(target, trace, inner)
            elif clause is not body:
                self._union(clause.children, inner)
        return self.value(body, inner) if body is not None else CLEAN

    def _lambda(self, node: Node, state: State) -> None:
        inner = state.copy()
        parameters, body = node.role("parameters"), node.role("body")
        if parameters is not None:
            self.parameters(parameters, inner)
        if body is not None:
            self.body_of_lambda(body, inner)

    def body_of_lambda(self, body: Node, state: State) -> None:
        """Run the body of a lambda for what it does: an expression."""
        self.value(body, state)

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

    def _as_a_whole(self, node: Node, state: State) -> Taint:
        """Judge what is nested too deep by what occurs in it: any tainted name taints all."""
        trace: Taint = CLEAN
        sinks: list[int] = []
        for part in node.walk():
            self.spend()
            mark = self.marks.at.get((part.start, part.end))
            if mark is not None:
                trace = trace or self.origin(mark)
                sinks += mark.sinks + mark.wide_sinks
            if part.kind == "identifier" and not trace:
                trace = state.read((self.file.text(part),))
        trace = trace or self._ambient
        if not trace or self._cleansing:
            return CLEAN
        self.report(sinks, trace)
        return trace


def _is_lost(part: Node) -> bool:
    """Tell whether Semgrep loses taint in a part of a pattern: the rest, a computed key."""
    return _is_computed(part) if part.kind == "pair" else "splat" in part.kind


def _is_computed(pair: Node) -> bool:
    """Tell whether the key of a pair is computed, as in `{[key]: value}`."""
    return pair.children[0].field == "computed"


def _pairs_up(left: Node, right: Node) -> bool:
    """Tell whether an assignment gives each target its own value, as in `a, b = 1, 2`."""
    return (
        left.kind in {"pattern_list", "tuple_pattern", "list_pattern"}
        and right.kind in {"expression_list", "tuple", "list"}
        and len(left.children) == len(right.children)
        and not any("splat" in part.kind for part in (*left.children, *right.children))
    )
