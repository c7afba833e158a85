"""How taint moves through one expression; how it comes to names is `tavo.scan.taint.binding`.

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

from tavo.scan.taint.binding import CHAINS, Binding, is_computed
from tavo.scan.taint.marks import Mark
from tavo.scan.taint.state import (
    CLEAN,
    Path,
    State,
    Taint,
    then,
    union,
)
from tavo.scan.tree import Node

__all__ = ["Expressions"]

_DEEPEST = 60
_MOST_FIELDS = 200
_LEAVES = frozenset({
    "string", "integer", "float", "true", "false", "none", "ellipsis", "string_content", "pass",
    "type", "generic_type", "union_type", "member_type", "constrained_type", "comment",
})  # fmt: skip
_COMPREHENSIONS = frozenset({
    "list_comprehension", "set_comprehension", "dictionary_comprehension", "generator_expression",
})  # fmt: skip
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


class Expressions(Binding):
    """Evaluates expressions against the marks of one rule."""

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
        if kind in CHAINS:
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
            if is_computed(node):
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
            if node.kind not in CHAINS or path is None:
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
            elif child.kind != "pair" or is_computed(child):
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
        own: set[str] = set()
        for clause in node.children:
            if clause.kind == "for_in_clause":
                source, target = clause.role("right"), clause.role("left")
                trace = self.value(source, inner) if source is not None else CLEAN
                if target is not None:
                    own |= {self.file.text(part) for part in target.walk() if not part.children}
                    self.bind(target, trace, inner)
            elif clause is not body:
                self._union(clause.children, inner)
        result = self.value(body, inner) if body is not None else CLEAN
        # `any(path.is_relative_to(root) for root in ROOTS)` checks `path`, which lives on
        state.clean_as(inner, frozenset(own))
        return result

    def _lambda(self, node: Node, state: State) -> None:
        inner = state.copy()
        parameters, body = node.role("parameters"), node.role("body")
        if parameters is not None:
            self.parameters(parameters, inner)
        if body is not None:
            self._held[node] = self.body_of_lambda(body, inner)

    def body_of_lambda(self, body: Node, state: State) -> Taint:
        """Run the body of a lambda, an expression; return what comes back."""
        return self.value(body, state)

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


def _pairs_up(left: Node, right: Node) -> bool:
    """Tell whether an assignment gives each target its own value, as in `a, b = 1, 2`."""
    return (
        left.kind in {"pattern_list", "tuple_pattern", "list_pattern"}
        and right.kind in {"expression_list", "tuple", "list"}
        and len(left.children) == len(right.children)
        and not any("splat" in part.kind for part in (*left.children, *right.children))
    )
