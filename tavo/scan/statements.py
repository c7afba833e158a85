"""Statements of a pattern compiled to tests, and rows of statements with `...` between them.

Rules this module keeps:
- a row of statements with `...` is also looked for across nesting: what follows `...` may stand
  inside the bodies below it, but not outside the body in which the row began;
- an expression as a statement of a row also matches inside an assignment, a return or another
  expression statement, not in the head of a compound statement;
- a part that a pattern leaves out (else, decorators, annotations) may be there in the source.

Source of the semantics: Semgrep's documentation, "Pattern syntax", and differential runs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tavo.scan.bindings import NONE, Binding, Env, Run, Test, bind, bind_node, env_key
from tavo.scan.expressions import ExpressionCompiler, each, in_any_order, parts_of
from tavo.scan.imports import compile_import
from tavo.scan.languages.python import ParsedFile
from tavo.scan.pattern import PatternError
from tavo.scan.places import Places, places_of
from tavo.scan.tree import Node

__all__ = ["Compiler", "Row", "Statements", "statements_of"]

_BODIES = frozenset({"block", "module"})
_SIMPLE = frozenset({"assignment", "augmented_assignment", "return_statement"})
_COMPOUND = frozenset({
    "if_statement", "for_statement", "while_statement", "with_statement", "try_statement",
    "function_definition", "class_definition", "decorated_definition", "match_statement",
    "import_statement", "import_from_statement", "assert_statement", "raise_statement",
    "delete_statement", "global_statement", "nonlocal_statement", "pass_statement",
    "break_statement", "continue_statement", "exec_statement", "type_alias_statement", "ERROR",
})  # fmt: skip
_CLOSED = frozenset({"lambda", "list_comprehension", "set_comprehension",
                     "dictionary_comprehension", "generator_expression"})  # fmt: skip


class Compiler(ExpressionCompiler):
    """Turns any node of one pattern into a test."""

    def __init__(self, parsed: ParsedFile, *, symbolic: bool = False) -> None:
        super().__init__(parsed, symbolic=symbolic)
        self.table |= {
            "assignment": self._assignment,
            "block": self._body,
            "module": self._body,
            "function_definition": self._function,
            "class_definition": self._class,
            "decorated_definition": self._decorated,
            "if_statement": self._if,
            "for_statement": self._loop,
            "while_statement": self._loop,
            "with_statement": self._with,
            "try_statement": self._try,
            "return_statement": self._return,
            "raise_statement": self._raise,
            "delete_statement": self._delete,
            "import_statement": compile_import,
            "import_from_statement": compile_import,
        }

    def _assignment(self, node: Node) -> Test:
        left, right, kind = node.role("left"), node.role("right"), node.role("type")
        if left is None:
            raise PatternError(f"{self.parsed.text(node)!r} assigns to nothing")
        left_test = self.test(left)
        right_test = self.test(right) if right is not None else None
        kind_test = self.test(kind) if kind is not None else None
        name = self.variable(left)
        left_first = right is not None and (
            self.is_ellipsis(right) or self.variable(right) is not None
        )

        def assignment(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind == "named_expression":
                target, value, annotation = n.role("name"), n.role("value"), None
            elif n.kind == "assignment":
                target, value, annotation = n.role("left"), n.role("right"), n.role("type")
            else:
                return NONE
            if target is None or (value is None) != (right_test is None):
                return NONE
            targets_end = target.end
            while value is not None and value.kind == "assignment":  # a = b = value
                last = value.role("left")
                targets_end = last.end if last is not None else targets_end
                value = value.role("right")
            envs: Sequence[Env] = (env,)
            if targets_end != target.end:
                if name is not None:
                    both = Binding(target.start, targets_end, file=run.file)
                    envs = bind(env, name, both, run)
                elif not self.is_ellipsis(left):
                    return NONE
            elif kind_test is not None:
                envs = each(envs, kind_test, annotation, run) if annotation is not None else NONE
            single = targets_end == target.end
            if single and left_first:
                envs = each(envs, left_test, target, run)
            if right_test is not None and value is not None:
                envs = each(envs, right_test, value, run)
            if single and not left_first:
                envs = each(envs, left_test, target, run)
            return envs

        return assignment

    # -- definitions

    def _function(self, node: Node) -> Test:
        return self._definition(node, [])

    def _class(self, node: Node) -> Test:
        return self._definition(node, [])

    def _decorated(self, node: Node) -> Test:
        definition = node.role("definition")
        if definition is None:
            raise PatternError("a decorator without a definition")
        return self._definition(definition, [n for n in node.children if n.kind == "decorator"])

    def _definition(self, node: Node, decorators: Sequence[Node]) -> Test:
        inner = self._class_test(node) if node.kind == "class_definition" else self._def_test(node)
        kind = node.kind
        decorator_tests = [self._decorator(n) for n in decorators]

        def definition(n: Node, env: Env, run: Run) -> Sequence[Env]:
            outer: Node | None = None
            if n.kind == "decorated_definition":
                outer, found = n, n.role("definition")
                if found is None:
                    return NONE
                n = found
            if n.kind != kind:
                return NONE
            if outer is None and n.parent is not None and n.parent.kind == "decorated_definition":
                outer = n.parent
            envs = inner(n, env, run)
            if not decorator_tests or not envs:
                return envs
            if outer is None:
                return NONE
            given = [c.children[0] for c in outer.children if c.kind == "decorator" and c.children]
            return [
                after
                for before in envs
                for after in in_any_order(decorator_tests, given, before, run)
            ]

        return definition

    def _decorator(self, node: Node) -> Test:
        """Compile a decorator; `@a(...)` also takes `@a`, and `@$A` only one without arguments."""
        expression = node.children[0]
        test = self.test(expression)
        if self.variable(expression) is None:
            return test

        def decorator(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind == "call" and len(n.children) == 2 and not n.children[1].children:
                n = n.children[0]
            return test(n, env, run) if n.kind in {"identifier", "attribute"} else NONE

        return decorator

    def _def_test(self, node: Node) -> Test:
        name, parameters, body = node.role("name"), node.role("parameters"), node.role("body")
        if name is None or parameters is None or body is None:
            raise PatternError(f"{self.parsed.text(node)[:40]!r} is not a whole function")
        name_test, body_test = self.test(name), self.test(body)
        parameters_test = self.parameters(parameters.children)
        returns = node.role("return_type")
        returns_test = self.test(returns) if returns is not None else None
        is_async = node.op == "async"

        def function(n: Node, env: Env, run: Run) -> Sequence[Env]:
            own, given, code = n.role("name"), n.role("parameters"), n.role("body")
            if own is None or given is None or code is None or (is_async and n.op != "async"):
                return NONE
            envs = name_test(own, env, run)
            if envs:
                envs = [e for before in envs for e in parameters_test(given.children, before, run)]
            if returns_test is not None and envs:
                annotation = n.role("return_type")
                envs = each(envs, returns_test, annotation, run) if annotation is not None else NONE
            return each(envs, body_test, code, run)

        return function

    def _class_test(self, node: Node) -> Test:
        name, bases, body = node.role("name"), node.role("superclasses"), node.role("body")
        if name is None or body is None:
            raise PatternError(f"{self.parsed.text(node)[:40]!r} is not a whole class")
        name_test = self.test(name)
        bases_test = self.arguments(bases, open_end=True) if bases is not None else None
        needs_bases = bases is not None and any(not self.is_ellipsis(n) for n in bases.children)
        members = [self.test(n) for n in body.children if not self.is_ellipsis(n)]

        def class_(n: Node, env: Env, run: Run) -> Sequence[Env]:
            own, given, code = n.role("name"), n.role("superclasses"), n.role("body")
            if own is None or code is None:
                return NONE
            envs = name_test(own, env, run)
            if bases_test is not None and given is not None:
                envs = each(envs, bases_test, given, run)
            elif needs_bases:
                return NONE
            if not members or not envs:
                return envs
            return [e for before in envs for e in in_any_order(members, code.children, before, run)]

        return class_

    # -- compound statements

    def _body(self, node: Node) -> Test:
        """Compile a body: from its first statement on; to its last one unless there is `...`."""
        children = node.children
        if len(children) == 1:
            if self.is_ellipsis(children[0]):
                return lambda n, env, run: (env,)
            name = self.variable(children[0])
            if name is not None:
                variable = name
                return lambda n, env, run: bind_node(env, variable, n, run)
        row = self.row(children)

        def body(n: Node, env: Env, run: Run) -> Sequence[Env]:
            return row.whole(n, env, run) if n.kind in _BODIES else NONE

        return body

    def _if(self, node: Node) -> Test:
        condition, body = node.role("condition"), node.role("consequence")
        if condition is None or body is None:
            raise PatternError("an 'if' without a condition or body")
        condition_test, body_test = self.test(condition), self.test(body)
        clauses = [n for n in node.children if n.kind in {"elif_clause", "else_clause"}]
        clause_tests = [self._clause(n) for n in clauses]
        loose_else = len(clauses) == 1 and clauses[0].kind == "else_clause"

        def if_(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind not in {"if_statement", "elif_clause"}:
                return NONE
            code, block = n.role("condition"), n.role("consequence")
            if code is None or block is None:
                return NONE
            given = _clauses_after(n)
            if len(given) < len(clause_tests):
                return NONE
            envs = each(condition_test(code, env, run), body_test, block, run)
            if loose_else and given[0].kind == "elif_clause":
                last = clauses[0].role("body")
                everything = last is not None and all(self.is_ellipsis(c) for c in last.children)
                return envs if everything else NONE
            for test, clause in zip(clause_tests, given, strict=False):
                envs = each(envs, test, clause, run)
            return envs

        return if_

    def _clause(self, node: Node) -> Test:
        condition = node.role("condition")
        body = node.role("consequence") or node.role("body")
        if body is None:
            raise PatternError("an 'else' without a body")
        condition_test = self.test(condition) if condition is not None else None
        body_test = self.test(body)
        kind = node.kind

        def clause(n: Node, env: Env, run: Run) -> Sequence[Env]:
            code, block = n.role("condition"), n.role("consequence") or n.role("body")
            if n.kind != kind or block is None:
                return NONE
            envs: Sequence[Env] = (env,)
            if condition_test is not None and code is not None:
                envs = condition_test(code, env, run)
            return each(envs, body_test, block, run)

        return clause

    def _loop(self, node: Node) -> Test:
        parts = [(n.field, self.test(n)) for n in node.children if n.field != "alternative"]
        kind, is_async = node.kind, node.op == "async"

        def loop(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind != kind or (is_async and n.op != "async"):
                return NONE
            envs: Sequence[Env] = (env,)
            for role, test in parts:
                child = n.role(role)
                if child is None:
                    return NONE
                envs = each(envs, test, child, run)
            return envs

        return loop

    def _with(self, node: Node) -> Test:
        body = node.role("body")
        items = [_managed(n) for n in _with_items(node)]
        if body is None or not items:
            raise PatternError("a 'with' without a body")
        body_test = self.test(body)
        tests = [self.test(n) for n in items]

        def with_(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind == "with_item":
                statement = _with_of(n)
                given = _with_items(statement)
                given = given[given.index(n) :]
            elif n.kind == "with_statement":
                statement, given = n, _with_items(n)
            else:
                return NONE
            block = statement.role("body")
            if block is None or len(given) < len(tests):
                return NONE
            envs: Sequence[Env] = (env,)
            for test, item in zip(tests, given, strict=False):
                envs = each(envs, test, _managed(item), run)
            return each(envs, body_test, block, run)

        return with_

    def _try(self, node: Node) -> Test:
        body = node.role("body")
        if body is None:
            raise PatternError("a 'try' without a body")
        body_test = self.test(body)
        handlers = [self._handler(n) for n in node.children if n.kind == "except_clause"]
        others = {n.kind: self.test(n.children[-1]) for n in node.children if n.kind in _TAILS}

        def try_(n: Node, env: Env, run: Run) -> Sequence[Env]:
            block = n.role("body") if n.kind == "try_statement" else None
            if block is None:
                return NONE
            tails = {c.kind: c.children[-1] for c in n.children if c.kind in _TAILS and c.children}
            if tails.keys() != others.keys():
                return NONE
            envs = body_test(block, env, run)
            given = [c for c in n.children if c.kind == "except_clause"]
            if handlers:
                envs = [e for before in envs for e in in_any_order(handlers, given, before, run)]
            for kind, test in others.items():
                envs = each(envs, test, tails[kind], run)
            return envs

        return try_

    def _handler(self, node: Node) -> Test:
        *caught, body = node.children
        body_test = self.test(body)
        caught_test = self.items(caught)
        anything = len(caught) == 1 and self.is_ellipsis(caught[0])

        def handler(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind != "except_clause" or not n.children:
                return NONE
            *given, block = n.children
            if anything:
                return body_test(block, env, run)
            if [c.kind == "as_pattern" for c in given] != [c.kind == "as_pattern" for c in caught]:
                return NONE
            envs = caught_test(given, env, run)
            return [out for after in envs for out in body_test(block, after, run)]

        return handler

    # -- simple statements

    def _return(self, node: Node) -> Test:
        """Compile a return; the body of a lambda is returned as well."""
        items = self.items(node.children)

        def return_(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind == "return_statement":
                return items(n.children, env, run)
            if n.field == "body" and n.parent is not None and n.parent.kind == "lambda":
                return items([n], env, run)
            return NONE

        return return_

    def _raise(self, node: Node) -> Test:
        items = self.items([n for n in node.children if n.field != "cause"])

        def raise_(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind != "raise_statement":
                return NONE
            return items([c for c in n.children if c.field != "cause"], env, run)

        return raise_

    def _delete(self, node: Node) -> Test:
        test = self.test(node.children[0])
        wanted = node.children[0].kind

        def delete(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind != "delete_statement" or not n.children:
                return NONE
            given = n.children[0]
            if given.kind == "expression_list" and wanted != "expression_list":
                return NONE
            return test(given, env, run)

        return delete

    # -- rows

    def row(self, nodes: Sequence[Node], *, longest: bool = False) -> Row:
        """Compile statements in a row. `longest`: of matches from one place only the longest."""
        steps: list[Step | None] = []
        for node in nodes:
            if self.is_ellipsis(node):
                if not steps or steps[-1] is not None:
                    steps.append(None)
            else:
                loose = node.kind not in _COMPOUND and node.kind not in _SIMPLE
                places: Places | None = None
                if self.variable(node) is not None or self.is_deep(node):
                    loose = False
                elif not self.symbolic:
                    places = places_of(self, node)
                steps.append(Step(self.test(node), loose, node, places))
        return Row(steps, longest=longest)


_TAILS = frozenset({"else_clause", "finally_clause"})


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One statement of a row; `loose` if it also matches inside a simple statement.

    `places` are the nodes that it can match, None where any statement has to be looked at.
    """

    test: Test
    loose: bool
    node: Node
    places: Places | None

    def at(self, statement: Node, env: Env, run: Run) -> Sequence[Env]:
        """Match a statement."""
        run.spend()
        if not self.loose:
            return self.test(statement, env, run)
        if statement.kind == "return_statement":
            return (
                _inside(statement.children[0], self.test, env, run) if statement.children else NONE
            )
        if statement.kind in _COMPOUND:
            return NONE
        return _inside(statement, self.test, env, run)


@dataclass(slots=True)
class Statements:
    """All statements of a file, outer ones before inner ones, in the order of the source."""

    nodes: list[Node]
    starts: list[int]
    index: dict[Node, int]

    def body_end(self, block: Node) -> int:
        """Return the index after the last statement in a body."""
        return bisect_left(self.starts, block.end) if block.end > block.start else 0

    def of(self, node: Node) -> int | None:
        """Return the index of the statement that a node is in."""
        current: Node | None = node
        while current is not None:
            found = self.index.get(current)
            if found is not None:
                return found
            current = current.parent
        return None


def statements_of(file: ParsedFile) -> Statements:
    """Return the statements of a file, listed once."""
    known = file.memory.get(statements_of)
    if isinstance(known, Statements):
        return known
    nodes = [n for n in file.root.walk() if n.parent is not None and n.parent.kind in _BODIES]
    listed = Statements(nodes, [n.start for n in nodes], {n: i for i, n in enumerate(nodes)})
    file.memory[statements_of] = listed
    return listed


class Row:
    """Statements in a row, with `...` (None) for any statements between them."""

    def __init__(self, steps: Sequence[Step | None], *, longest: bool) -> None:
        self.steps = list(steps)
        self.longest = longest
        self.is_open = None in self.steps

    @property
    def first(self) -> Step | None:
        """The statement that a match begins with, None if it may begin anywhere."""
        return self.steps[0] if self.steps else None

    def whole(self, block: Node, env: Env, run: Run) -> Sequence[Env]:
        """Match a body from its first statement on."""
        if not block.children:
            return (env,) if all(step is None for step in self.steps) else NONE
        listed = statements_of(run.file)
        first = listed.index[block.children[0]]
        end = listed.body_end(block)
        found: dict[tuple[object, ...], Env] = {}
        for after, last in self._match(0, first, first, end, env, run, listed, longest=True):
            if self.is_open or listed.nodes[last] is block.children[-1]:
                found.setdefault(env_key(after), after)
                if len(found) >= _MOST_ROWS:
                    break
        return list(found.values())

    def from_statement(self, at: int, run: Run) -> Iterator[tuple[int, int, Env]]:
        """Yield start, end and bindings of the rows that begin with a statement."""
        listed = statements_of(run.file)
        parent = listed.nodes[at].parent
        if parent is None:
            return
        end = listed.body_end(parent)
        start = listed.nodes[at].start
        best: dict[tuple[object, ...], tuple[int, int, Env]] = {}
        rows = self._match(0, at, at, end, {}, run, listed, longest=self.longest)
        for env, last in rows:
            stop = _reach(listed, at, last)
            if not self.longest:
                yield start, stop, env
                continue
            key = env_key(env)
            if key not in best or best[key][1] < stop:
                best[key] = (start, stop, env)
        yield from best.values()

    def _match(
        self,
        step: int,
        at: int,
        first: int,
        end: int,
        env: Env,
        run: Run,
        listed: Statements,
        *,
        longest: bool,
    ) -> Iterator[tuple[Env, int]]:
        """Yield the environments in which the steps match from `at`, with the last statement."""
        if step == len(self.steps):
            yield env, at - 1
            return
        if self.steps[step] is not None:
            indexes: Iterable[int] = (at,) if at < end else ()
        elif step == len(self.steps) - 1:
            # All lengths count as matches; surroundings and bodies only need the longest one.
            if longest or end - at > _MOST_ROWS:
                yield env, end - 1
            else:
                yield from ((env, last) for last in range(max(at - 1, first), end))
            return
        else:
            step += 1
            indexes = self._candidates(step, at, end, run, listed)
        current = self.steps[step]
        if current is None:
            return
        for index in indexes:
            statement = listed.nodes[index]
            envs = current.at(statement, env, run)
            if not envs:
                continue
            nexts = {index + 1}
            if step + 1 < len(self.steps) and self.steps[step + 1] is not None:
                # The next statement stands beside this one or, where there is `...`, below it.
                after = bisect_left(listed.starts, statement.end)
                nexts = {after, index + 1} if self.is_open else {after}
            for reached in envs:
                for following in nexts:
                    yield from self._match(
                        step + 1, following, first, end, reached, run, listed, longest=longest
                    )

    def _candidates(
        self, step: int, at: int, end: int, run: Run, listed: Statements
    ) -> Sequence[int]:
        """Return the statements from `at` on that a step can match at all."""
        current = self.steps[step]
        if current is None or current.places is None:
            return range(at, end)
        indexes = run.file.memory.get(current)
        if not isinstance(indexes, list):
            found = {listed.of(node) for node in current.places(run.file)}
            indexes = sorted(index for index in found if index is not None)
            run.file.memory[current] = indexes
        return indexes[bisect_left(indexes, at) : bisect_left(indexes, end)]


_MOST_ROWS = 300


def _reach(listed: Statements, first: int, last: int) -> int:
    """Return where a row ends: with the last statement, or the last of what it stands in."""
    end = listed.nodes[last].end
    current = listed.nodes[last].parent
    while current is not None:
        index = listed.index.get(current)
        if index is not None:
            if index < first:
                break
            end = max(end, current.end)
        current = current.parent
    return end


def _inside(root: Node, test: Test, env: Env, run: Run) -> Sequence[Env]:
    """Match an expression, or else the outermost ones inside it."""
    out: list[Env] = []
    stack = [root]
    while stack:
        node = stack.pop()
        run.spend()
        found = test(node, env, run)
        if found:
            out += found
            continue
        if node.kind in _CLOSED:
            continue
        stack.extend(reversed(parts_of(node)))
    return out


def _clauses_after(node: Node) -> list[Node]:
    """Return the `elif` and `else` clauses that follow an `if` or `elif`."""
    if node.kind == "if_statement":
        return [n for n in node.children if n.kind in {"elif_clause", "else_clause"}]
    siblings = node.parent.children if node.parent is not None else []
    later = siblings[siblings.index(node) + 1 :] if node in siblings else []
    return [n for n in later if n.kind in {"elif_clause", "else_clause"}]


def _with_items(node: Node) -> list[Node]:
    return [
        item
        for clause in node.children
        if clause.kind == "with_clause"
        for item in clause.children
        if item.kind == "with_item"
    ]


def _with_of(item: Node) -> Node:
    for around in item.ancestors():
        if around.kind == "with_statement":
            return around
    return item


def _managed(item: Node) -> Node:
    return item.children[0] if item.children else item
