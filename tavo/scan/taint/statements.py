"""How taint moves through the statements of one function, in every order they can run.

Rules this module keeps:
- branches are joined; a loop is repeated until nothing more becomes tainted, or a fixed number of
  times; what a `try` did up to any statement may have happened when a handler starts;
- blocks that are nested too deep are left out, and whoever runs the function is told;
- the body of a nested function or method is not run here but handed out, with what it can see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from tavo.scan.parsed import ParsedFile
from tavo.scan.taint.calls import Calls
from tavo.scan.taint.functions import Function
from tavo.scan.taint.marks import Mark, Marks
from tavo.scan.taint.state import CLEAN, Path, State, Taint, join_all, union
from tavo.scan.tree import Node

__all__ = ["NestedFunction", "Statements"]

_LOOP_ROUNDS = 8
_DEEPEST = 100
_TAKEN_APART = frozenset({"dictionary", "list"})
_FUNCTION = "function_definition"
_CAPTURES = frozenset({"dotted_name", "identifier", "splat_pattern"})


class NestedFunction(msgspec.Struct):
    """A function found on the way, and what its body can see from outside.

    `is_clean`: it stands inside a sanitizer. `held` is what the attributes of its object hold.
    """

    node: Node
    state: State
    ambient: Taint
    is_clean: bool = False
    known: Function | None = None
    held: tuple[tuple[Path, Taint], ...] = ()


class _Loop(msgspec.Struct):
    breaks: list[State] = msgspec.field(default_factory=list)
    continues: list[State] = msgspec.field(default_factory=list)


class Statements(Calls):
    """Runs the statements of functions against the marks of one rule."""

    def __init__(
        self, file: ParsedFile, marks: Marks, options: frozenset[str], budget: int
    ) -> None:
        super().__init__(file, marks, options, budget)
        self.nested: dict[int, NestedFunction] = {}
        self._loops: list[_Loop] = []
        self._attempts: list[State] = []
        self._returned: State | None = None
        self._level = 0
        self._values: list[Taint] = []
        self.has_skipped = False

    def begin_run(self, budget: int) -> None:
        """Start with a budget of steps for one function."""
        self.steps, self.nested, self.has_skipped = budget, {}, False

    def run_function(self, function: NestedFunction) -> State | None:
        """Run the body of a function, and return what may be tainted when it ends."""
        state = function.state.copy()
        self._ambient = function.ambient
        self._cleansing = int(function.is_clean)
        if self.functions is not None:
            self.begin(function.known, state)
        parameters = function.node.role("parameters")
        if parameters is not None:
            self.parameters(parameters, state)
        self.keep_parameters(state)
        self.spend(len(function.held))
        for place, taint in function.held:
            state.add(place, taint)
        body = function.node.role("body")
        if body is not None and body.kind != "block":
            self.summary.returns = self.value(body, state)
            return state
        return self.run_body([body] if body is not None else [], state)

    def run_body(self, blocks: Iterable[Node], state: State) -> State | None:
        """Run blocks one after the other, and return what may be tainted at any exit."""
        self._loops, self._attempts, self._returned = [], [], None
        self._level = 0
        end: State | None = state
        for block in blocks:
            end = self.block(block.children, end) if end is not None else None
        return join_all(end, self._returned)

    def block(self, statements: Sequence[Node], state: State) -> State | None:
        """Run statements; None if their end cannot be reached."""
        if self._level >= _DEEPEST:
            self.has_skipped = True
            return state
        self._level += 1
        try:
            current: State | None = state
            for statement in statements:
                if current is None:
                    # Never run, but a function that is declared here can still be called.
                    if self.file.language == "javascript" and statement.kind == _FUNCTION:
                        self._statement(statement, State())
                    continue
                current = self._statement(statement, current)
                if current is not None and self._attempts:
                    self.spend(1 + len(current))
                    self._attempts[-1] = self._attempts[-1].join(current)[0]
            return current
        finally:
            self._level -= 1

    def _statement(self, node: Node, state: State) -> State | None:
        run = _KINDS.get(node.kind)
        if run is None:
            self._top(node, state)
            return state
        self.spend()
        mark = self.marks.at.get((node.start, node.end))
        if mark is None:
            return run(self, node, state)
        return self._marked_statement(node, mark, state, run)

    def _marked_statement(self, node: Node, mark: Mark, state: State, run: _Run) -> State | None:
        """Run a statement that is a source, a sink or a sanitizer as a whole."""
        begun = self.origin(mark)
        ambient, self._ambient = self._ambient, begun or self._ambient
        values, self._values = self._values, []
        self._cleansing += mark.clean_around
        self._open_sinks.extend(mark.wide_sinks)
        try:
            after = run(self, node, state)
            for trace in self._values:
                self.report(mark.sinks, trace)
        finally:
            del self._open_sinks[len(self._open_sinks) - len(mark.wide_sinks) :]
            self._cleansing -= mark.clean_around
            self._ambient, self._values = ambient, values
        return after

    def _top(self, node: Node | None, state: State) -> Taint:
        """Evaluate an expression that is a direct part of a statement."""
        if node is None:
            return CLEAN
        trace = self.value(node, state)
        if trace:
            self._values.append(trace)
        return trace

    def body_of_lambda(self, body: Node, state: State) -> Taint:
        """Run the body of a lambda: an expression, or a block as functions have them."""
        if body.kind != "block":
            return self.value(body, state)
        kept = self._loops, self._attempts, self._returned, self.summary.returns
        self._loops, self._attempts, self._returned = [], [], None
        self.summary.returns = CLEAN
        try:
            self.block(body.children, state)
            return self.summary.returns
        finally:
            self._loops, self._attempts, self._returned, self.summary.returns = kept

    # -- statements

    def _parts(self, node: Node, state: State) -> State | None:
        for child in node.children:
            self._top(child, state)
        return state

    def _assignment(self, node: Node, state: State) -> State | None:
        trace = self._assign(node.role("left"), node.role("right"), state)
        if trace:
            self._values.append(trace)
        return state

    def _augmented(self, node: Node, state: State) -> State | None:
        left, right = node.role("left"), node.role("right")
        if left is not None and right is not None:
            before = self.value(left, state)
            added = self._top(right, state)
            self.bind(left, union(before, added), state)
        return state

    def _return(self, node: Node, state: State) -> State | None:
        for child in node.children:
            self.summary.returns = union(self.summary.returns, self._top(child, state))
        self._returned = join_all(self._returned, state)
        return None

    def _raise(self, node: Node, state: State) -> State | None:
        self._parts(node, state)
        if self._attempts:
            self._attempts[-1] = self._attempts[-1].join(state)[0]
        return None

    def _break(self, node: Node, state: State) -> State | None:
        if self._loops:
            self._loops[-1].breaks.append(state)
        return None

    def _continue(self, node: Node, state: State) -> State | None:
        if self._loops:
            self._loops[-1].continues.append(state)
        return None

    def _if(self, node: Node, state: State) -> State | None:
        self._top(node.role("condition"), state)
        ends = [self._arm(node.role("consequence"), state)]
        rest: State | None = state
        for clause in node.children:
            if clause.kind == "elif_clause":
                self._top(clause.role("condition"), state)
                ends.append(self._arm(clause.role("consequence"), state))
            elif clause.kind == "else_clause":
                ends.append(self._arm(clause.role("body"), state))
                rest = None
        return self._joined(*ends, rest)

    def _arm(self, body: Node | None, state: State) -> State | None:
        self.spend(1 + len(state) // 8)
        return self.block(body.children, state.copy()) if body is not None else state

    def _joined(self, *states: State | None) -> State | None:
        self.spend(sum(len(state) // 8 for state in states if state is not None))
        return join_all(*states)

    def _for(self, node: Node, state: State) -> State | None:
        right, left = node.role("right"), node.role("left")
        trace = self._top(right, state)

        is_apart = left is not None and left.kind in _TAKEN_APART  # lost, as in Semgrep

        def enter(inside: State) -> None:
            if left is not None:
                self.bind(left, CLEAN if is_apart else trace, inside)

        return self._loop(node, state, enter)

    def _while(self, node: Node, state: State) -> State | None:
        def enter(inside: State) -> None:
            self._top(node.role("condition"), inside)

        return self._loop(node, state, enter)

    def _c_for(self, node: Node, state: State) -> State | None:
        for child in node.children:
            if child.field == "initializer":
                self._statement(child, state)

        def enter(inside: State) -> None:
            self._top(node.role("condition"), inside)
            self._top(node.role("increment"), inside)

        return self._loop(node, state, enter)

    def _do(self, node: Node, state: State) -> State | None:
        return self._while(node, self._arm(node.role("body"), state) or state)

    def _loop(self, node: Node, state: State, enter: Callable[[State], None]) -> State | None:
        loop = _Loop()
        self._loops.append(loop)
        entry = state
        body = node.role("body")
        for _ in range(_LOOP_ROUNDS):
            inside = entry.copy()
            enter(inside)
            loop.continues.clear()
            end = self.block(body.children, inside) if body is not None else inside
            again = self._joined(end, *loop.continues)
            if again is None:
                break
            entry, more = entry.join(again)
            if not more:
                break
        self._loops.pop()
        if node.kind == "while_statement":
            entry = entry.copy()
            enter(entry)
        after: State | None = entry
        for clause in node.children:
            if clause.kind == "else_clause":
                after = self._arm(clause.role("body"), entry)
        return self._joined(after, *loop.breaks)

    def _try(self, node: Node, state: State) -> State | None:
        body = node.role("body")
        self._attempts.append(state.copy())
        try:
            end = self.block(body.children, state.copy()) if body is not None else state
        finally:
            broken = self._attempts.pop()
        ends: list[State | None] = []
        last: list[Node] = []
        for clause in node.children:
            if clause.kind in {"except_clause", "except_group_clause"}:
                ends.append(self._handler(clause, broken.copy()))
            elif clause.kind == "else_clause" and end is not None:
                end = self._arm(clause.role("body"), end)
            elif clause.kind == "finally_clause":
                last = _body_of(clause)
        after = self._joined(end, *ends)
        if self._attempts:
            self._attempts[-1] = self._attempts[-1].join(broken)[0]
        if last:
            if after is None:
                self.block(last, broken.copy())
                return None
            return self.block(last, after)
        return after

    def _handler(self, clause: Node, state: State) -> State | None:
        for child in clause.children:
            if child.kind == "as_pattern":
                target = child.role("alias")
                if target is not None:
                    self.bind(target, CLEAN, state)
        return self.block(_body_of(clause), state)

    def _with(self, node: Node, state: State) -> State | None:
        for clause in node.children:
            if clause.kind != "with_clause":
                continue
            for item in clause.children:
                value = item.role("value") or (item.children[0] if item.children else None)
                if value is not None and value.kind == "as_pattern" and value.children:
                    trace = self._top(value.children[0], state)
                    if (target := value.role("alias")) is not None:
                        self.bind(target, trace, state)
                else:
                    self._top(value, state)
        body = node.role("body")
        return self.block(body.children, state) if body is not None else state

    def _match(self, node: Node, state: State) -> State | None:
        trace = self._top(node.role("subject"), state)
        body = node.role("body")
        ends: list[State | None] = [state]
        for case in body.children if body is not None else ():
            inside = state.copy()
            consequence, guard = case.role("consequence"), case.role("guard")
            for pattern in case.children:
                if pattern is not consequence and pattern is not guard:
                    self._capture(pattern, trace, inside)
            if guard is not None:
                self._parts(guard, inside)
            ends.append(self._arm(consequence, inside))
        return self._joined(*ends)

    def _capture(self, pattern: Node, trace: Taint, state: State) -> None:
        for part in pattern.walk():
            if part.kind == "dotted_name" and len(part.children) == 1:
                self.bind(part.children[0], trace, state)
            elif part.kind in _CAPTURES and not part.children:
                self.bind(part, trace, state)

    def _decorated(self, node: Node, state: State) -> State | None:
        for child in node.children:
            if child.kind == "decorator":
                self._parts(child, state)
            else:
                self._statement(child, state)
        return state

    def _function(self, node: Node, state: State) -> State | None:
        self.hand_out(node, state)
        name = node.role("name")
        if name is not None:
            state.clean((self.file.text(name),))
        return state

    def hand_out(self, node: Node, state: State) -> None:
        """Note a function that is defined here, and what it can see."""
        known = self.nested.get(id(node))
        seen = state.copy() if known is None else known.state.join(state)[0]
        self.nested[id(node)] = NestedFunction(node, seen, self._ambient, self._cleansing > 0)

    def _lambda(self, node: Node, state: State) -> None:
        if self.functions is not None and id(node) in self.functions.by_node:
            self.hand_out(node, state)
            return
        super()._lambda(node, state)

    def _yielded(self, trace: Taint) -> Taint:
        self.summary.returns = union(self.summary.returns, trace)
        return CLEAN

    def _class(self, node: Node, state: State) -> State | None:
        parents, body = node.role("superclasses"), node.role("body")
        if parents is not None:
            self._parts(parents, state)
        return self.block(body.children, state) if body is not None else state

    def _nothing(self, node: Node, state: State) -> State | None:
        return state

    def _block(self, node: Node, state: State) -> State | None:
        return self.block(node.children, state)


_Run = Callable[[Statements, Node, State], "State | None"]

_KINDS: dict[str, _Run] = {
    "assignment": Statements._assignment,
    "augmented_assignment": Statements._augmented,
    "return_statement": Statements._return,
    "raise_statement": Statements._raise,
    "break_statement": Statements._break,
    "continue_statement": Statements._continue,
    "if_statement": Statements._if,
    "for_statement": Statements._for,
    "while_statement": Statements._while,
    "c_for_statement": Statements._c_for,
    "do_statement": Statements._do,
    "export_statement": Statements._parts,
    "try_statement": Statements._try,
    "with_statement": Statements._with,
    "match_statement": Statements._match,
    "decorated_definition": Statements._decorated,
    "function_definition": Statements._function,
    "class_definition": Statements._class,
    "delete_statement": Statements._parts,
    "assert_statement": Statements._parts,
    "expression_list": Statements._parts,
    "exec_statement": Statements._parts,
    "print_statement": Statements._parts,
    "pass_statement": Statements._nothing,
    "import_statement": Statements._nothing,
    "import_from_statement": Statements._nothing,
    "future_import_statement": Statements._nothing,
    "global_statement": Statements._nothing,
    "nonlocal_statement": Statements._nothing,
    "type_alias_statement": Statements._nothing,
    "block": Statements._block,
    "ERROR": Statements._block,
}


def _body_of(clause: Node) -> list[Node]:
    body = clause.role("body")
    if body is None:
        body = next((child for child in clause.children if child.kind == "block"), None)
    return body.children if body is not None else []
