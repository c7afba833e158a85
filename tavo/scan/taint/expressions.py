"""How taint moves through one expression.

Rules this module keeps:
- the value of an expression is a trace or None; evaluating may change the state (a walrus, a
  container that takes a value in, a sanitizer by side effect);
- every node costs a step of a budget, and what is nested too deep is judged as a whole instead,
  so that no source text can exhaust time or stack.

Source of the semantics: Semgrep's documentation of taint mode, and comparing answers with it. On
purpose we follow what it loses: slices, comprehensions, `append` and its like, `self.x`.
"""

from __future__ import annotations

from collections.abc import Iterable

from tavo.scan.parsed import ParsedFile
from tavo.scan.taint.marks import Mark, Marks
from tavo.scan.taint.state import Path, State, Trace
from tavo.scan.tree import Node

__all__ = ["Exhausted", "Expressions"]

_DEEPEST = 60
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
        self.steps = budget
        self.found: dict[int, Trace] = {}
        self._depth = 0
        self._ambient: Trace | None = None
        self._cleansing = 0
        self._open_sinks: list[int] = []
        self._carried: dict[tuple[int, int], Trace] = {}

    # -- the entrance

    def value(self, node: Node, state: State) -> Trace | None:
        """Return how the expression's value is tainted, None if it is clean."""
        self.spend()
        mark = self.marks.at.get((node.start, node.end))
        if self._depth >= _DEEPEST:
            return self._as_a_whole(node, state)
        self._depth += 1
        try:
            if mark is None:
                trace = self._raw(node, state)[0]
                if trace is None:
                    trace = self._ambient
                if self._cleansing:
                    return None
            else:
                trace = self._marked(node, mark, state)
        finally:
            self._depth -= 1
        if trace is not None and self._open_sinks:
            self.report(self._open_sinks, trace)
        return trace

    def spend(self, steps: int = 1) -> None:
        """Pay for work. Raises Exhausted."""
        self.steps -= steps
        if self.steps < 0:
            raise Exhausted

    def report(self, sinks: Iterable[int], trace: Trace) -> None:
        """Note that tainted data arrived at sinks; the first trace to arrive is kept."""
        for number in sinks:
            self.found.setdefault(number, trace)

    def origin(self, mark: Mark) -> Trace | None:
        """Return a new trace that begins at the source of a mark."""
        if mark.source is None or self._cleansing:
            return None
        spot = self.marks.sources[mark.source]
        return Trace(spot.start, spot.end, mark.source)

    def path(self, node: Node) -> Path | None:
        """Return the place that an expression names, None if it names none."""
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
            elif node.kind == "subscript" and last.kind in {"string", "integer"}:
                key = last.value if last.value is not None else self.file.text(last)
                parts.append(f"[{last.kind[0]}:{key}]")
            else:
                return None
            node = inner

    def bind(self, target: Node, trace: Trace | None, state: State) -> None:
        """Give a value to the target of an assignment."""
        self.spend()
        kind = target.kind
        if kind not in _CHAINS:
            is_named = kind == "pair" and target.children[0].field == "label"
            for child in target.children[-1:] if is_named else target.children:
                self.bind(child, trace, state)
            return
        path = self.path(target)
        if path is not None:
            if trace is not None:
                state.taint(path, trace.then(target.start, target.end))
            else:
                state.clean(path)
            self._mark_target(target, path, state)
            return
        base = target
        while base.kind in {"attribute", "subscript"} and base.children:
            mark = self.marks.at.get((base.start, base.end))
            if base.kind == "subscript" and mark is not None and mark.sinks and trace is not None:
                self.report(mark.sinks, trace)
            if base.kind == "subscript":
                for index in base.children[1:]:
                    touched = self.value(index, state)
                    if touched is not None and mark is not None and not self.safe_indexes:
                        self.report(mark.sinks, touched)
            base = base.children[0]
            path = self.path(base)
            if path is not None:
                if trace is not None:
                    state.taint(path, trace.then(target.start, target.end))
                return
        self.value(base, state)

    def _mark_target(self, target: Node, path: Path, state: State) -> None:
        mark = self.marks.at.get((target.start, target.end))
        if mark is None:
            return
        if mark.source_lasts and (begun := self.origin(mark)) is not None:
            state.taint(path, begun)
        if mark.clean_lasts:
            state.clean(path)
        if mark.sinks and (trace := state.read(path)) is not None:
            self.report(mark.sinks, trace)

    # -- marks

    def _marked(self, node: Node, mark: Mark, state: State) -> Trace | None:
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

    def settle(
        self, node: Node, mark: Mark, state: State, trace: Trace | None, inputs: Trace | None
    ) -> Trace | None:
        """Apply a mark to the value of its node. `inputs` is the taint of a call's arguments."""
        where = (node.start, node.end)
        trace = trace or self._ambient
        if (begun := self.origin(mark)) is not None:
            trace = begun
            if mark.source_lasts and (path := self.path(node)) is not None:
                state.taint(path, begun)
        trace = self._carried.get(where, trace)
        if mark.clean:
            trace = None
            if mark.clean_lasts and (path := self.path(node)) is not None:
                state.clean(path)
        if self._cleansing:
            return None
        if trace is not None:
            self._carry(mark, trace, state)
        if trace is not None:
            self.report([*mark.sinks, *mark.wide_sinks], trace)
        elif inputs is not None and not mark.clean:
            self.report(mark.calls, inputs)
        return trace

    def _carry(self, mark: Mark, trace: Trace, state: State) -> None:
        for to, lasts in mark.carries_to:
            step = trace.then(*to)
            self._carried[to] = step
            node = self.marks.targets.get(to)
            if lasts and node is not None and (path := self.path(node)) is not None:
                state.taint(path, step)

    # -- kinds of expressions; each returns the value, and for a call the taint of its inputs

    def _raw(self, node: Node, state: State) -> tuple[Trace | None, Trace | None]:
        kind = node.kind
        if kind in _CHAINS:
            return self._chain(node, state), None
        if kind in _LEAVES:
            return None, None
        if kind == "call":
            return self._call(node, state)
        if kind == "binary_operator":
            return self._binary(node, state), None
        if kind == "comparison_operator" or kind == "not_operator":
            trace = self._union(node.children, state)
            return (None if self.safe_comparisons else trace), None
        if kind == "conditional_expression" and len(node.children) == 3:
            self.value(node.children[1], state)
            return self._union((node.children[0], node.children[2]), state), None
        if kind == "named_expression":
            return self._assign(node.role("name"), node.role("value"), state), None
        if kind == "assignment":
            return self._assign(node.role("left"), node.role("right"), state), None
        if kind in _COMPREHENSIONS:
            return self._comprehension(node, state), None
        if kind == "lambda":
            self._lambda(node, state)
            return None, None
        if kind == "pair" and node.children[0].field == "label":
            return self.value(node.children[-1], state), None
        if kind == "interpolation":
            inner = node.role("expression")
            return (self.value(inner, state) if inner is not None else None), None
        if kind == "keyword_argument":
            inner = node.role("value")
            return (self.value(inner, state) if inner is not None else None), None
        trace = self._union(node.children, state)
        return (None if kind == "yield" else trace), None

    def _union(self, nodes: Iterable[Node], state: State) -> Trace | None:
        trace: Trace | None = None
        for node in nodes:
            part = self.value(node, state)
            trace = trace or part
        return trace

    def _chain(self, node: Node, state: State) -> Trace | None:
        """Return the taint of a name, attribute or subscript."""
        path = self.path(node)
        trace = state.read(path) if path is not None else None
        while node.kind != "identifier" and node.children:
            if node.kind == "subscript":
                for index in node.children[1:]:
                    touched = self.value(index, state)
                    if touched is not None and not self.safe_indexes:
                        trace = trace or touched
            node = node.children[0]
            if node.kind not in _CHAINS or path is None:
                return self.value(node, state) or trace
            mark = self.marks.at.get((node.start, node.end))
            if mark is not None and (inner := self.path(node)) is not None:
                held = self.settle(node, mark, state, state.read(inner), None)
                if mark.clean:
                    return None
                if held is not None and (mark.source is not None or self._is_target(node)):
                    trace = trace or held
        return trace

    def _is_target(self, node: Node) -> bool:
        return (node.start, node.end) in self._carried

    def _call(self, node: Node, state: State) -> tuple[Trace | None, Trace | None]:
        callee, arguments = node.role("function"), node.role("arguments")
        given: Trace | None = None
        if arguments is not None:
            if arguments.kind == "argument_list":
                given = self._union(arguments.children, state)
            else:
                given = self.value(arguments, state)
        if callee is None:
            return given, given
        mark = self.marks.at.get((callee.start, callee.end))
        name = callee
        receiver: Trace | None = None
        called: Trace | None = None
        if callee.kind == "attribute" and len(callee.children) == 2:
            owner, name = callee.children
            receiver = self.value(owner, state)
            path = self.path(callee)
            if path is not None and len(path) > 1 and receiver is None:
                receiver = state.read(path)
            if mark is not None:
                called = self.settle(callee, mark, state, None, None)
            if given is not None and self.file.text(name) in _TAKES_IN:
                self._take_in(owner, given, node, state)
        else:
            called = self.value(callee, state)
        inputs = given or receiver or called
        result = called if self.safe_functions else inputs
        if result is not None and name.kind == "identifier":
            text = self.file.text(name)
            if (self.safe_booleans and text in _TESTS) or (self.safe_numbers and text in _NUMBERS):
                result = None
        return result, inputs

    def _take_in(self, owner: Node, trace: Trace, call: Node, state: State) -> None:
        while owner.kind == "subscript" and self.path(owner) is None and owner.children:
            owner = owner.children[0]
        path = self.path(owner)
        if path is not None and state.read(path) is None:
            state.taint(path, trace.then(call.start, call.end))

    def _binary(self, node: Node, state: State) -> Trace | None:
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
            part = self.value(right, state)
            trace = trace or part
        return trace

    def _assign(self, left: Node | None, right: Node | None, state: State) -> Trace | None:
        if right is None or left is None:
            return None
        if _pairs_up(left, right) and (right.start, right.end) not in self.marks.at:
            traces = [self.value(part, state) for part in right.children]
            for target, trace in zip(left.children, traces, strict=True):
                self.bind(target, trace, state)
            return next((trace for trace in traces if trace is not None), None)
        trace = self.value(right, state)
        self.bind(left, trace, state)
        return trace

    def _comprehension(self, node: Node, state: State) -> Trace | None:
        inner = state.copy()
        body = node.role("body")
        for clause in node.children:
            if clause.kind == "for_in_clause":
                source, target = clause.role("right"), clause.role("left")
                trace = self.value(source, inner) if source is not None else None
                if target is not None:
                    self.bind(target, trace, inner)
            elif clause is not body:
                self._union(clause.children, inner)
        return self.value(body, inner) if body is not None else None

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
            trace = self.value(default, state) if default is not None else None
            name = parameter.role("name") or parameter
            if name.kind in _DESTRUCTURED:
                self.bind(name, trace or self._ambient, state)
                begun = self._origin_at(parameter, name)
                annotation = parameter.role("type")
                is_plain = annotation is None or annotation.kind != "object_type"
                if begun is not None and is_plain and default is None:
                    self._taint_properties(name, begun, state)
                self._bind_marked(name, state)
                continue
            while name.kind != "identifier" and name.children:
                name = name.children[0]
            if name.kind != "identifier":
                continue
            path = (self.file.text(name),)
            for marked in (mark, self.marks.at.get((name.start, name.end))):
                if marked is not None and (begun := self.origin(marked)) is not None:
                    trace = begun
            if trace is None:
                trace = self._ambient
            if trace is not None:
                state.taint(path, trace)
            else:
                state.clean(path)

    def _origin_at(self, *nodes: Node) -> Trace | None:
        """Return a new trace if one of the nodes is a source."""
        for node in nodes:
            mark = self.marks.at.get((node.start, node.end))
            if mark is not None and (begun := self.origin(mark)) is not None:
                return begun
        return None

    def _taint_properties(self, pattern: Node, trace: Trace, state: State) -> None:
        """Taint what `{a, b}` brings; as in Semgrep nothing nested or with a default."""
        for pair in pattern.children if pattern.kind == "dictionary" else ():
            value = pair.children[-1] if pair.children else pair
            if pair.kind == "pair" and value.kind == "identifier" and not value.op:
                state.taint((self.file.text(value),), trace)

    def _bind_marked(self, pattern: Node, state: State) -> None:
        """Taint the names inside a destructured parameter that are sources themselves."""
        for part in pattern.walk():
            if part.kind == "identifier" and part.field != "label":
                begun = self._origin_at(part)
                if begun is not None:
                    state.taint((self.file.text(part),), begun)

    def _as_a_whole(self, node: Node, state: State) -> Trace | None:
        """Judge what is nested too deep by what occurs in it: any tainted name taints all."""
        trace: Trace | None = None
        sinks: list[int] = []
        for part in node.walk():
            self.spend()
            mark = self.marks.at.get((part.start, part.end))
            if mark is not None:
                trace = trace or self.origin(mark)
                sinks += mark.sinks + mark.wide_sinks
            if part.kind == "identifier" and trace is None:
                trace = state.read((self.file.text(part),))
        trace = trace or self._ambient
        if trace is None or self._cleansing:
            return None
        self.report(sinks, trace)
        return trace


def _pairs_up(left: Node, right: Node) -> bool:
    """Tell whether an assignment gives each target its own value, as in `a, b = 1, 2`."""
    return (
        left.kind in {"pattern_list", "tuple_pattern", "list_pattern"}
        and right.kind in {"expression_list", "tuple", "list"}
        and len(left.children) == len(right.children)
        and not any("splat" in part.kind for part in (*left.children, *right.children))
    )
