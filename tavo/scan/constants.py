"""What a name stands for at a place: a constant, or the expression it was last bound to.

Rules this module keeps:
- nothing is found out before it is asked for: most files are never asked;
- a name of the module is known inside functions only if it is bound exactly once in the file.
"""

from __future__ import annotations

from collections.abc import Mapping

from tavo.scan.flow import (
    CHANGES,
    Pass,
    bound_anywhere_once,
    bound_once,
    changed_inside,
    first_bound,
)
from tavo.scan.scopes import own_names
from tavo.scan.tree import Node
from tavo.scan.values import Constant, State, Value, applied, joined, number

__all__ = ["Constant", "Constants", "number"]

_LONGEST_SUM = 400
_DEEPEST = 60
_LITERAL = frozenset({"string", "integer", "float", "true", "false", "regex"})
_NEVER_KNOWN = frozenset({"list", "dictionary", "set", "tuple", "lambda", "await", "yield",
                          "comparison_operator", "expression_list"})  # fmt: skip


class Constants:
    """The values of the names of one file, found when first asked for."""

    def __init__(
        self, root: Node, by_kind: Mapping[str, list[Node]], *, declared: bool = False
    ) -> None:
        """Look at nothing yet; `declared`: functions change names that they do not declare."""
        self._declared = declared
        self._root = root
        self._by_kind = by_kind
        self._bound: set[str] | None = None
        self._at: dict[Node, Value] | None = None
        self._globals: State = {}
        self._fields: dict[Node, dict[str, Constant]] = {}

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

    def _uses(self) -> dict[Node, Value]:
        if self._at is None:
            self._at = {}
            once = bound_once(self._by_kind)
            state: State = {}
            single: frozenset[str] = frozenset()
            if self._declared:
                single = bound_anywhere_once(self._by_kind)
                changed = changed_inside(self._by_kind)
                once = {name: value for name, value in once.items() if name not in changed}
            whole = Pass(self._evaluate, self._at, {}, single, self._declared)
            pending = whole.block(self._root.children, state, once)
            self._globals = {
                name: value
                for name, value in once.items()
                if isinstance(value, Constant) and value.kind != "unknown"
            }
            starts = {} if self._declared else first_bound(self._by_kind, self._globals)
            while pending:
                function, seen = pending.pop()
                local = own_names(function, declared=self._declared)
                outside = {**self._globals, **seen}
                known = {
                    n: v
                    for n, v in outside.items()
                    if n not in local and starts.get(n, 0) <= function.start
                }
                body = function.role("body")
                if body is not None:
                    run = Pass(self._evaluate, self._at, known, single, self._declared)
                    pending += run.block(body.children, {}, None)
        return self._at

    def _evaluate(self, node: Node, state: State | None = None, depth: int = 0) -> Value | None:
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
        if kind == "regex":
            return Constant("regex", node.label)
        if kind == "attribute":
            return self._field(node) if self._declared else None
        if depth > _DEEPEST:
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
                return joined(first, second)
        elif kind == "fstring":
            parts = [n for n in node.walk() if n.kind == "interpolation"]
            inner = [self._evaluate(n.children[0], state, depth + 1) for n in parts if n.children]
            if len(inner) == len(parts) and all(isinstance(v, Constant) for v in inner):
                return Constant("str", None)
        return None

    def _field(self, node: Node) -> Constant | None:
        """Return the constant that `this.name` is: the class declares it and sets it once."""
        owner, name = node.children[0], node.children[-1]
        if owner.label != "this":
            return None
        around = next((n for n in node.ancestors() if n.kind == "class_definition"), None)
        if around is None:
            return None
        fields = self._fields.get(around)
        if fields is None:
            fields = self._fields[around] = self._fields_of(around)
        return fields.get(name.label or "")

    def _fields_of(self, around: Node) -> dict[str, Constant]:
        body = around.role("body")
        declared = {
            member.children[0].label or ""
            for member in (body.children if body is not None else ())
            if member.kind == "assignment" and member.op == "field" and member.children
        }
        values: dict[str, list[Node | None]] = {}
        for part in around.walk() if declared else ():
            if part.kind not in CHANGES or not part.children:
                continue
            target, right = part.children[0], part.role("right")
            if part.op == "field":
                if right is not None and part.parent is body:
                    values.setdefault(target.label or "", []).append(right)
            elif target.kind == "attribute" and target.children[0].label == "this":
                whole = right if part.kind == "assignment" else None
                values.setdefault(target.children[-1].label or "", []).append(whole)
        found: dict[str, Constant] = {}
        for name, given in values.items():
            if name in declared and len(given) == 1 and given[0] is not None:
                value = self._evaluate(given[0]) if given[0].kind in _LITERAL else None
                if isinstance(value, Constant):
                    found[name] = value
        return found

    def _sum(self, node: Node, state: State | None, depth: int) -> Constant | None:
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
            total = applied(part.op, total, right)
        return total if isinstance(total, Constant) else None
