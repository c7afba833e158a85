"""What each name of a file stands for at each of its places, by one walk in order of execution.

Rules this module keeps:
- branches are joined, a loop's body counts as run any number of times, and what an assignment may
  miss is not known afterwards;
- functions are walked on their own, knowing the constants of the module, and of the functions
  around them what is declared and never changed; one that is an expression knows what holds there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tavo.scan.scopes import BINDERS, FUNCTIONS, changes_outside, names_bound, own_names, targets
from tavo.scan.tree import Node
from tavo.scan.values import Constant, State, Value, applied, join

__all__ = [
    "CHANGES", "Evaluate", "Pass", "bound_anywhere_once", "bound_once", "changed_inside",
    "first_bound",
]  # fmt: skip

# The value of an expression in a state of names, or (None) at its own place.
Evaluate = Callable[[Node, State | None], Value | None]

_DEEPEST_BLOCK = 60
_DEEPEST_TWICE = 6
_NEVER = 1 << 62
_COMPREHENSIONS = frozenset({
    "list_comprehension", "set_comprehension", "dictionary_comprehension", "generator_expression",
})  # fmt: skip
_LOOPS = frozenset({"for_statement", "while_statement", "do_statement", "c_for_statement"})
_INNER = FUNCTIONS | {"class_definition"}
CHANGES = frozenset({"assignment", "augmented_assignment", "update_expression"})
_ENDINGS = frozenset({"return_statement", "raise_statement", "break_statement",
                      "continue_statement"})  # fmt: skip


class Pass:
    """One walk over the statements of a function or of the module."""

    def __init__(
        self,
        evaluate: Evaluate,
        at: dict[Node, Value],
        known: State,
        single: frozenset[str] = frozenset(),
        declared: bool = False,
    ) -> None:
        """Walk with what is known before; `single` are the names that a file binds only once.

        `declared`: a function changes names that it does not declare, as in JavaScript. Elsewhere
        a name is no longer known after a method of its object was run for its own sake.
        """
        self.declared = declared
        self.single = single
        self.evaluate = evaluate
        self.at = at
        self.known = known
        self.functions: dict[Node, State] = {}
        self.once: State | None = None
        self.jumps: list[tuple[list[State], list[State]]] = []  # what breaks, and what continues
        self.fixed: set[str] = set()

    def block(
        self, nodes: Iterable[Node], state: State, once: State | None
    ) -> list[tuple[Node, State]]:
        """Walk a body; return the functions found in it, each with what it knows from outside."""
        self.once = once
        self._statements(nodes, {**self.known, **state}, 0)
        return list(self.functions.items())

    def _statements(self, nodes: Iterable[Node], state: State | None, depth: int) -> State | None:
        for node in nodes:
            if state is None:
                state = {}  # what follows is never run; look at it knowing nothing
            state = self._statement(node, state, depth)
        return state

    def _statement(self, node: Node, state: State, depth: int) -> State | None:
        kind = node.kind
        if depth > _DEEPEST_BLOCK:
            return {}
        if kind == "assignment":
            self._assignment(node, state)
        elif kind == "if_statement":
            return self._if(node, state, depth)
        elif kind in _LOOPS:
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
            pass  # as Semgrep: what a name was given before stays known
        elif kind == "block":
            return self._statements(node.children, state, depth + 1)
        else:
            self._expression(node, state)
            if kind == "call":
                self._forget_owner(node.children[0], state)
            if kind in _ENDINGS:
                if self.jumps and kind in {"break_statement", "continue_statement"}:
                    self.jumps[-1][kind == "continue_statement"].append(dict(state))
                return None
        return state

    def _definition(self, node: Node, state: State, depth: int) -> None:
        for child in node.children:
            if child.kind == "function_definition" or child.kind == "class_definition":
                self._definition(child, state, depth)
            elif child.kind == "block":
                if node.kind == "class_definition":
                    once, self.once = self.once, None
                    self._statements(child.children, dict(self.known), depth + 1)
                    self.once = once
                else:
                    seen = {
                        name: value
                        for name, value in state.items()
                        if name in self.fixed or (self.declared and self.once is None)
                    }
                    self._found(node, seen)
                    if self.declared:
                        self._forget_changed(node, state)
            else:
                self._expression(child, state)
        name = node.role("name")
        if name is not None:
            state.pop(name.label or "", None)

    def _found(self, function: Node, seen: State) -> None:
        """Note a function with what it knows; of one in a loop what holds in each round."""
        before = self.functions.get(function)
        both = seen if before is None else join([before, seen])
        self.functions[function] = both if both is not None else {}

    def _forget_changed(self, function: Node, state: State) -> None:
        """Forget what a function changes that is not its own."""
        for name in names_bound(function) - own_names(function, declared=True):
            state.pop(name, None)

    def _assignment(self, node: Node, state: State) -> None:
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
            self._forget_owner(left, state)
            return
        name = left.label or ""
        value = self.evaluate(right, state)
        if value is None and right.kind in {"call", "attribute", "subscript", "binary_operator"}:
            value = right
        if value is None:
            state.pop(name, None)
        else:
            state[name] = value
            if node.op == "const" or (node.op and name in self.single):
                self.fixed.add(name)
            if self.once is not None and name in self.once and node.role("type") is None:
                self.once[name] = value

    def _augmented(self, node: Node, state: State) -> None:
        left, right = node.role("left"), node.role("right")
        if left is None or right is None:
            return
        self._expression(right, state)
        before = self.evaluate(left, state)
        value = self.evaluate(right, state)
        self._unbind(left, state)
        self._forget_owner(left, state)
        if left.kind == "identifier" and isinstance(before, Constant):
            after = (
                applied(node.op.rstrip("="), before, value) if isinstance(value, Constant) else None
            )
            if after is not None:
                state[left.label or ""] = after

    def _if(self, node: Node, state: State, depth: int) -> State | None:
        ends: list[State | None] = []
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
        return join(ends)

    def _loop(self, node: Node, state: State, depth: int) -> State | None:
        bound = names_bound(node)
        before = {n: v for n, v in state.items() if n not in bound}
        target, source = node.role("left"), node.role("right")
        starts = [child for child in node.children if child.field == "initializer"]
        for start in starts:
            self._statement(start, state, depth)
        if starts:
            before = {n: v for n, v in state.items() if n not in bound}
        if source is not None:
            self._expression(source, state)
            if source.kind == "call":
                self._forget_owner(source.children[0], state)
        body, step = node.role("body"), node.role("increment")
        # Twice: first to learn what the body leaves, then with what it may have left already.
        inside = dict(state)
        if target is not None:
            self._unbind(target, inside)
        self.jumps.append(([], []))
        if len(self.jumps) > _DEEPEST_TWICE:  # twice in each would be 2 to the power of the loops
            joined = dict(before)
        else:
            first = self._statements(body.children if body else (), inside, depth + 1)
            joined = join([dict(state), first, *self.jumps[-1][0], *self.jumps[-1][1]]) or {}
            joined = {n: v for n, v in joined.items() if n in before or isinstance(v, Constant)}
        if target is not None:
            self._unbind(target, joined)
        if step is not None:
            stepped = names_bound(step)
            joined = {n: v for n, v in joined.items() if n not in stepped}
            self._expression(step, joined)
        condition = node.role("condition")
        if condition is not None:
            self._expression(condition, joined)
            if node.kind == "while_statement":
                for part in _computed_before(condition):
                    self._expression(part, {**joined, **state})
        again = dict(joined)
        last = self._statements(body.children if body else (), again, depth + 1)
        broken, continued = self.jumps.pop()
        end = join([joined, last, *continued])
        for clause in node.children:
            if clause.kind == "else_clause" and end is not None:
                after = clause.role("body")
                end = self._statements(after.children if after else (), end, depth + 1)
        end = join([end, *broken])
        return end if end is not None else before

    def _try(self, node: Node, state: State, depth: int) -> State | None:
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
        result = join(ends)
        if final is not None:
            after = self._statements(
                final.children, result if result is not None else {}, depth + 1
            )
            return after if result is not None else None
        return result

    def _match(self, node: Node, state: State, depth: int) -> State | None:
        waiting = list(reversed(node.children))
        while waiting:
            clause = waiting.pop()
            if clause.kind == "case_clause":  # those of a `match` inside it are its own
                body = clause.role("consequence")
                bound = names_bound(clause)
                inside = {n: v for n, v in state.items() if n not in bound}
                self._statements(body.children if body else (), inside, depth + 1)
            else:
                waiting.extend(reversed(clause.children))
        bound = names_bound(node)
        return {n: v for n, v in state.items() if n not in bound}

    def _expression(self, node: Node, state: State) -> None:
        """Note what the names in an expression stand for."""
        at = self.at
        stack: list[tuple[Node, State]] = [(node, state)]
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
                    known = self.evaluate(inner, names)
                    if known is not None:
                        names[name.label or ""] = known
                    else:
                        names.pop(name.label or "", None)
            elif kind in CHANGES:
                target = part.role("left") or part.children[0]
                self._unbind(target, names)
                stack.extend((child, names) for child in reversed(part.children))
            elif kind == "lambda" or kind in _COMPREHENSIONS:
                is_lambda = kind == "lambda"
                bound = own_names(part, declared=self.declared) if is_lambda else names_bound(part)
                inner_names = {n: v for n, v in names.items() if n not in bound}
                body = part.role("body")
                if body is not None and body.kind == "block":
                    self._found(part, inner_names)
                    if self.declared:
                        self._forget_changed(part, names)
                    continue
                stack.extend((child, inner_names) for child in part.children)
            else:
                stack.extend((child, names) for child in reversed(part.children))

    def _forget_owner(self, node: Node, state: State) -> None:
        """Forget what a name is when a part of it is set, or a method of it runs by itself."""
        root = node
        while root.kind in {"attribute", "subscript"} and root.children:
            root = root.children[0]
        if not self.declared and root is not node and root.kind == "identifier":
            state.pop(root.label or "", None)

    def _unbind(self, target: Node, state: State) -> None:
        stack = [target]
        while stack:
            node = stack.pop()
            if node.kind == "identifier":
                state.pop(node.label or "", None)
            elif node.kind not in {"attribute", "subscript"}:
                stack.extend(node.children)


def _computed_before(condition: Node) -> list[Node]:
    """Return the parts of a loop's condition that stand for what they are before the first round.

    As with Semgrep: what a call is given, and what decides whether a call is made.
    """
    found: list[Node] = []
    stack = [condition]
    while stack:
        node = stack.pop()
        decides = node.kind in {"boolean_operator", "conditional_expression"}
        if node.kind == "call" or (decides and _calls(node.children[1:])):
            found.append(node)
        else:
            stack.extend(node.children)
    return found


def _calls(nodes: Iterable[Node]) -> bool:
    return any(part.kind == "call" for node in nodes for part in node.walk())


def bound_anywhere_once(by_kind: Mapping[str, list[Node]]) -> frozenset[str]:
    """Return the names that the whole file binds exactly once, at whatever level."""
    counts: dict[str, int] = {}
    for kind in BINDERS:
        for node in by_kind.get(kind, ()):
            for target in targets(node):
                counts[target.label or ""] = counts.get(target.label or "", 0) + 1
    return frozenset(name for name, count in counts.items() if count == 1)


def first_bound(by_kind: Mapping[str, list[Node]], names: Iterable[str]) -> dict[str, int]:
    """Return from where on functions know what each of these names of the module is.

    It is where a file assigns the name; one that was imported before stays what was imported.
    """
    wanted = set(names)
    imports: dict[str, int] = {}
    for kind in ("import_from_statement", "aliased_import") if wanted else ():
        for node in by_kind.get(kind, ()):
            parts = node.children[-1:] if kind == "aliased_import" else node.children[1:]
            for part in parts:
                if (label := part.children[0].label if part.children else part.label) in wanted:
                    imports.setdefault(label, node.start)
    starts: dict[str, int] = {}
    for node in by_kind.get("assignment", ()) if wanted else ():
        target = node.role("left")
        if target is None or target.kind != "identifier" or target.label not in wanted:
            continue
        if all(around.kind not in _INNER for around in node.ancestors()):
            start = min(node.start, starts.get(target.label, node.start))
            known = imports.get(target.label, start + 1) > start
            starts[target.label] = start if known else _NEVER
    return starts


def changed_inside(by_kind: Mapping[str, list[Node]]) -> frozenset[str]:
    """Return the names that a function changes and a scope around it declares, as JavaScript's may.

    A name that nobody declares is taken for one of the function.
    """
    found: set[str] = set()
    declared: set[str] = set()
    for node in by_kind.get("assignment", ()):
        if node.op:
            declared.update(target.label or "" for target in targets(node))
    for node in by_kind.get("parameters", ()):
        declared.update(part.label or "" for part in node.walk() if part.kind == "identifier")
    own: dict[Node, set[str]] = {}
    for kind in ("assignment", "augmented_assignment", "update_expression"):
        for node in by_kind.get(kind, ()):
            if not changes_outside(node):
                continue
            around = next((n for n in node.ancestors() if n.kind in FUNCTIONS), None)
            if around is None:
                continue
            if around not in own:
                own[around] = own_names(around, declared=True)
            found.update({t.label or "" for t in targets(node)} - own[around])
    return frozenset(found & declared)


def bound_once(by_kind: Mapping[str, list[Node]]) -> State:
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
