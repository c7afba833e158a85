"""What a name stands for at a place: a constant, or the expression it was last bound to.

Rules this module keeps:
- one pass over each function and over the module, in the order of execution: branches are joined,
  a loop's body counts as run any number of times, what an assignment may miss is not known;
- a name of the module is known inside functions only if it is bound exactly once in the file;
- what is not certain is not known: no answer is always allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tavo.scan.scopes import BINDERS, FUNCTIONS, names_bound, own_names, targets
from tavo.scan.tree import Node

__all__ = ["Constant", "Constants", "number"]

_DEEPEST_BLOCK = 60
_LONGEST_SUM = 400
_LONGEST_STRING = 10_000
_COMPREHENSIONS = frozenset({
    "list_comprehension", "set_comprehension", "dictionary_comprehension", "generator_expression",
})  # fmt: skip
_NEVER_KNOWN = frozenset({"list", "dictionary", "set", "tuple", "lambda", "await", "yield",
                          "comparison_operator", "expression_list"})  # fmt: skip
_INNER = FUNCTIONS | {"class_definition"}
_ENDINGS = frozenset({"return_statement", "raise_statement", "break_statement",
                      "continue_statement"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Constant:
    """A value of a kind: `str`, `int`, `float`, `bool`, `none`; None where only its kind is."""

    kind: str
    value: str | int | float | bool | None


# What a name is bound to: a constant, an expression, or (None) something unknown.
_Value = Constant | Node
_State = dict[str, _Value]


def number(label: str) -> Constant | None:
    """Return the value of a number as it is written in source, None for a complex one."""
    text = label.replace("_", "").rstrip("lL")
    try:
        if text[:1] == "0" and text.isdigit():
            return Constant("int", int(text, 8))
        return Constant("int", int(text, 0))
    except ValueError:
        pass
    try:
        return Constant("float", float(text))
    except ValueError:
        return None


class Constants:
    """The values of the names of one file, found when first asked for."""

    def __init__(self, root: Node, by_kind: Mapping[str, list[Node]]) -> None:
        self._root = root
        self._by_kind = by_kind
        self._bound: set[str] | None = None
        self._at: dict[Node, _Value] | None = None
        self._globals: _State = {}

    def of(self, node: Node) -> Constant | None:
        """Return the constant that an expression always has at this place, or None."""
        if node.kind == "identifier" and not self._ever_bound(node.label or ""):
            return None
        value = self._evaluate(node, None, 0)
        return value if isinstance(value, Constant) else None

    def bound_to(self, node: Node) -> Node | None:
        """Return the expression that a name was last bound to on every way to this place."""
        if node.kind != "identifier" or not self._ever_bound(node.label or ""):
            return None
        value = self._uses().get(node)
        return value if isinstance(value, Node) else None

    def _ever_bound(self, label: str) -> bool:
        """Tell whether a name is ever bound to something that can be known."""
        if self._bound is None:
            self._bound = set()
            for kind in ("assignment", "named_expression"):
                for node in self._by_kind.get(kind, ()):
                    target = node.children[0] if node.children else node
                    if target.kind == "identifier" and node.children[-1].kind not in _NEVER_KNOWN:
                        self._bound.add(target.label or "")
        return label in self._bound

    def _uses(self) -> dict[Node, _Value]:
        if self._at is None:
            self._at = {}
            once = _bound_once(self._by_kind)
            state: _State = {}
            pending = _Pass(self, self._at, {}).block(self._root.children, state, once)
            self._globals = {
                name: value
                for name, value in once.items()
                if isinstance(value, Constant) and value.kind != "unknown"
            }
            while pending:
                function = pending.pop()
                local = own_names(function)
                known = {n: v for n, v in self._globals.items() if n not in local}
                body = function.role("body")
                if body is not None:
                    run = _Pass(self, self._at, known)
                    pending += run.block(body.children, {}, None)
        return self._at

    def _evaluate(self, node: Node, state: _State | None, depth: int) -> _Value | None:
        """Return an expression's value, in a state of names or (None) at its own place."""
        kind = node.kind
        if kind == "identifier":
            if state is not None:
                return state.get(node.label or "")
            return self._uses().get(node)
        if kind == "string":
            return Constant("str", node.value)
        if kind == "integer" or kind == "float":
            return number(node.label or "")
        if kind == "true" or kind == "false":
            return Constant("bool", kind == "true")
        if kind == "none":
            return Constant("none", None)
        if depth > _LONGEST_SUM:
            return None
        if kind == "binary_operator":
            return self._sum(node, state, depth)
        if kind == "unary_operator" and node.op == "-":
            value = self._evaluate(node.children[0], state, depth + 1)
            if isinstance(value, Constant) and value.kind == "int" and isinstance(value.value, int):
                return Constant("int", -value.value)
        elif kind == "not_operator":
            value = self._evaluate(node.children[0], state, depth + 1)
            if isinstance(value, Constant) and value.kind == "bool" and value.value is not None:
                return Constant("bool", not value.value)
        elif kind == "conditional_expression" and len(node.children) == 3:
            first = self._evaluate(node.children[0], state, depth + 1)
            second = self._evaluate(node.children[2], state, depth + 1)
            if isinstance(first, Constant) and isinstance(second, Constant):
                return _joined(first, second)
        elif kind == "fstring":
            parts = [n for n in node.walk() if n.kind == "interpolation"]
            inner = [self._evaluate(n.children[0], state, depth + 1) for n in parts if n.children]
            if len(inner) == len(parts) and all(isinstance(v, Constant) for v in inner):
                return Constant("str", None)
        return None

    def _sum(self, node: Node, state: _State | None, depth: int) -> Constant | None:
        """Evaluate a chain of operators from its left end, without recursion along the chain."""
        chain: list[Node] = []
        left = node
        while left.kind == "binary_operator" and len(left.children) == 2:
            chain.append(left)
            left = left.children[0]
        if len(chain) > _LONGEST_SUM:
            return None
        total = self._evaluate(left, state, depth + 1)
        for part in reversed(chain):
            right = self._evaluate(part.children[1], state, depth + 1)
            if not isinstance(total, Constant) or not isinstance(right, Constant):
                return None
            total = _applied(part.op, total, right)
        return total if isinstance(total, Constant) else None


def _applied(op: str, left: Constant, right: Constant) -> Constant | None:
    a, b = left.value, right.value
    if left.kind == right.kind == "str":
        if op != "+":
            return None
        known = isinstance(a, str) and isinstance(b, str) and len(a) + len(b) < _LONGEST_STRING
        return Constant("str", str(a) + str(b) if known else None)
    if left.kind == "str" and right.kind == "int" and op == "*":
        return Constant("str", None)
    if {left.kind, right.kind} <= {"int", "float"} and "float" in {left.kind, right.kind}:
        return Constant("float", None)
    if left.kind != "int" or right.kind != "int":
        return None
    if not isinstance(a, int) or not isinstance(b, int) or max(abs(a), abs(b)) > 1 << 64:
        return Constant("int", None) if op in {"+", "-", "*"} else None
    if op == "+":
        return Constant("int", a + b)
    if op == "-":
        return Constant("int", a - b)
    return Constant("int", a * b) if op == "*" else None


def _joined(a: _Value, b: _Value) -> _Value | None:
    if a is b or (isinstance(a, Constant) and a == b):
        return a
    if isinstance(a, Constant) and isinstance(b, Constant) and a.kind == b.kind:
        return Constant(a.kind, None)
    return None


def _join(states: Iterable[_State | None]) -> _State | None:
    """Join the states of ways that come together; None is a way that ended."""
    result: _State | None = None
    for state in states:
        if state is None:
            continue
        if result is None:
            result = state
            continue
        joined: _State = {}
        for name, value in result.items():
            other = state.get(name)
            merged = _joined(value, other) if other is not None else None
            if merged is not None:
                joined[name] = merged
        result = joined
    return result


class _Pass:
    """One walk over the statements of a function or of the module."""

    def __init__(self, owner: Constants, at: dict[Node, _Value], known: _State) -> None:
        self.owner = owner
        self.at = at
        self.known = known
        self.functions: list[Node] = []
        self.once: _State | None = None
        self.jumps: list[list[_State]] = []

    def block(self, nodes: Iterable[Node], state: _State, once: _State | None) -> list[Node]:
        """Walk a body; return the functions found in it, which are walked on their own."""
        self.once = once
        self._statements(nodes, {**self.known, **state}, 0)
        return self.functions

    def _statements(self, nodes: Iterable[Node], state: _State | None, depth: int) -> _State | None:
        for node in nodes:
            if state is None:
                state = {}  # what follows is never run; look at it knowing nothing
            state = self._statement(node, state, depth)
        return state

    def _statement(self, node: Node, state: _State, depth: int) -> _State | None:
        kind = node.kind
        if depth > _DEEPEST_BLOCK:
            return {}
        if kind == "assignment":
            self._assignment(node, state)
        elif kind == "if_statement":
            return self._if(node, state, depth)
        elif kind in {"for_statement", "while_statement"}:
            return self._loop(node, state, depth)
        elif kind == "try_statement":
            return self._try(node, state, depth)
        elif kind == "with_statement":
            for clause in node.children:
                if clause.kind != "block":
                    self._expression(clause, state)
                    for part in clause.walk():
                        if part.kind == "as_pattern" and len(part.children) == 2:
                            self._unbind(part.children[1], state)
            body = node.role("body")
            return self._statements(body.children if body else (), state, depth + 1)
        elif kind in {"function_definition", "class_definition", "decorated_definition"}:
            self._definition(node, state, depth)
        elif kind == "augmented_assignment":
            self._augmented(node, state)
        elif kind == "delete_statement":
            for child in node.children:
                self._unbind(child, state)
        elif kind == "match_statement":
            return self._match(node, state, depth)
        elif kind in {"import_statement", "import_from_statement"}:
            for part in node.walk():
                if part.kind == "identifier":
                    state.pop(part.label or "", None)
        elif kind == "block":
            return self._statements(node.children, state, depth + 1)
        else:
            self._expression(node, state)
            if kind in _ENDINGS:
                if self.jumps and kind in {"break_statement", "continue_statement"}:
                    self.jumps[-1].append(dict(state))
                return None
        return state

    def _definition(self, node: Node, state: _State, depth: int) -> None:
        for child in node.children:
            if child.kind == "function_definition" or child.kind == "class_definition":
                self._definition(child, state, depth)
            elif child.kind == "block":
                if node.kind == "class_definition":
                    once, self.once = self.once, None
                    self._statements(child.children, dict(self.known), depth + 1)
                    self.once = once
                else:
                    self.functions.append(node)
            else:
                self._expression(child, state)
        name = node.role("name")
        if name is not None:
            state.pop(name.label or "", None)

    def _assignment(self, node: Node, state: _State) -> None:
        left, right = node.role("left"), node.role("right")
        if left is None:
            return
        if right is None:
            self._unbind(left, state)
            return
        if right.kind == "assignment":
            self._assignment(right, state)
            self._unbind(left, state)
            return
        self._expression(right, state)
        if left.kind != "identifier":
            self._expression(left, state)
            self._unbind(left, state)
            return
        name = left.label or ""
        value = self.owner._evaluate(right, state, 0)
        if value is None and right.kind in {"call", "attribute", "subscript", "binary_operator"}:
            value = right
        if value is None:
            state.pop(name, None)
        else:
            state[name] = value
            if self.once is not None and name in self.once and node.role("type") is None:
                self.once[name] = value

    def _augmented(self, node: Node, state: _State) -> None:
        left, right = node.role("left"), node.role("right")
        if left is None or right is None:
            return
        self._expression(right, state)
        before = self.owner._evaluate(left, state, 0)
        value = self.owner._evaluate(right, state, 0)
        self._unbind(left, state)
        if left.kind == "identifier" and isinstance(before, Constant):
            after = (
                _applied(node.op.rstrip("="), before, value)
                if isinstance(value, Constant)
                else None
            )
            if after is not None:
                state[left.label or ""] = after

    def _if(self, node: Node, state: _State, depth: int) -> _State | None:
        ends: list[_State | None] = []
        has_else = False
        condition = node.role("condition")
        if condition is not None:
            self._expression(condition, state)
        body = node.role("consequence")
        ends.append(self._statements(body.children if body else (), dict(state), depth + 1))
        for clause in node.children:
            if clause.kind == "elif_clause":
                test, body = clause.role("condition"), clause.role("consequence")
                if test is not None:
                    self._expression(test, state)
                ends.append(self._statements(body.children if body else (), dict(state), depth + 1))
            elif clause.kind == "else_clause":
                has_else = True
                body = clause.role("body")
                ends.append(self._statements(body.children if body else (), dict(state), depth + 1))
        if not has_else:
            ends.append(state)
        return _join(ends)

    def _loop(self, node: Node, state: _State, depth: int) -> _State | None:
        before = {n: v for n, v in state.items() if n not in names_bound(node)}
        target, source = node.role("left"), node.role("right")
        if source is not None:
            self._expression(source, state)
        body = node.role("body")
        # Twice: first to learn what the body leaves, then with what it may have left already.
        inside = dict(state)
        if target is not None:
            self._unbind(target, inside)
        self.jumps.append([])
        first = self._statements(body.children if body else (), inside, depth + 1)
        joined = _join([dict(state), first, *self.jumps[-1]]) or {}
        joined = {n: v for n, v in joined.items() if n in before or isinstance(v, Constant)}
        if target is not None:
            self._unbind(target, joined)
        condition = node.role("condition")
        if condition is not None:
            self._expression(condition, joined)
        again = dict(joined)
        last = self._statements(body.children if body else (), again, depth + 1)
        end = _join([joined, last, *self.jumps.pop()])
        for clause in node.children:
            if clause.kind == "else_clause" and end is not None:
                after = clause.role("body")
                end = self._statements(after.children if after else (), end, depth + 1)
        return end if end is not None else before

    def _try(self, node: Node, state: _State, depth: int) -> _State | None:
        start = dict(state)
        body = node.role("body")
        end = self._statements(body.children if body else (), state, depth + 1)
        changed = names_bound(body) if body is not None else set()
        handled = {n: v for n, v in start.items() if n not in changed}
        ends = [end]
        final: Node | None = None
        for clause in node.children:
            block = next((c for c in clause.children if c.kind == "block"), None)
            if block is None:
                continue
            if clause.kind == "else_clause":
                if ends[0] is not None:
                    ends[0] = self._statements(block.children, ends[0], depth + 1)
            elif clause.kind == "finally_clause":
                final = block
            elif clause is not body:
                for part in clause.children:
                    if part is not block:
                        self._expression(part, handled)
                ends.append(self._statements(block.children, dict(handled), depth + 1))
        result = _join(ends)
        if final is not None:
            after = self._statements(
                final.children, result if result is not None else {}, depth + 1
            )
            return after if result is not None else None
        return result

    def _match(self, node: Node, state: _State, depth: int) -> _State | None:
        for clause in node.walk():
            if clause.kind == "case_clause":
                body = clause.role("consequence")
                inside = {n: v for n, v in state.items() if n not in names_bound(clause)}
                self._statements(body.children if body else (), inside, depth + 1)
        return {n: v for n, v in state.items() if n not in names_bound(node)}

    def _expression(self, node: Node, state: _State) -> None:
        """Note what the names in an expression stand for."""
        at = self.at
        stack: list[tuple[Node, _State]] = [(node, state)]
        while stack:
            part, names = stack.pop()
            kind = part.kind
            if kind == "identifier":
                value = names.get(part.label or "")
                if value is not None:
                    at[part] = value
                else:
                    at.pop(part, None)
            elif kind == "attribute":
                stack.append((part.children[0], names))
            elif kind == "keyword_argument" and len(part.children) == 2:
                stack.append((part.children[1], names))
            elif kind == "named_expression":
                name, inner = part.role("name"), part.role("value")
                if name is not None and inner is not None:
                    stack.append((inner, dict(names)))
                    known = self.owner._evaluate(inner, names, 0)
                    if known is not None:
                        names[name.label or ""] = known
                    else:
                        names.pop(name.label or "", None)
            elif kind == "lambda" or kind in _COMPREHENSIONS:
                bound = names_bound(part) if kind != "lambda" else own_names(part)
                inner_names = {n: v for n, v in names.items() if n not in bound}
                stack.extend((child, inner_names) for child in part.children)
            else:
                stack.extend((child, names) for child in reversed(part.children))

    def _unbind(self, target: Node, state: _State) -> None:
        if target.kind == "identifier":
            state.pop(target.label or "", None)
        elif target.kind not in {"attribute", "subscript"}:
            for child in target.children:
                self._unbind(child, state)


def _bound_once(by_kind: Mapping[str, list[Node]]) -> _State:
    """Return the names that the whole file binds exactly once, at the level of the module."""
    counts: dict[str, int] = {}
    foreign: set[str] = set()
    for kind in BINDERS:
        for node in by_kind.get(kind, ()):
            if any(around.kind in _INNER for around in node.ancestors()):
                continue
            for target in targets(node):
                counts[target.label or ""] = counts.get(target.label or "", 0) + 1
    for kind in ("global_statement", "nonlocal_statement"):
        for node in by_kind.get(kind, ()):
            foreign.update(target.label or "" for target in targets(node))
    return {
        name: Constant("unknown", None)
        for name, count in counts.items()
        if count == 1 and name not in foreign
    }
