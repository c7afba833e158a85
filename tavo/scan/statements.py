"""Statements of a pattern compiled to tests.

Rules this module keeps:
- a part that a pattern leaves out (else, decorators, annotations) may be there in the source;
- a body is compared from its first statement on, to its last one unless there is `...` in it;
- members of a class and handlers of a `try` are compared in any order.

Source of the semantics: Semgrep's documentation, "Pattern syntax", and differential runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from tavo.scan.bindings import NONE, Binding, Env, Run, Test, bind, bind_node
from tavo.scan.expressions import ExpressionCompiler
from tavo.scan.imports import compile_import
from tavo.scan.parsed import DECLARED, ParsedFile
from tavo.scan.pattern import PatternError
from tavo.scan.places import Places, places_of
from tavo.scan.rows import BODIES, COMPOUND, Row, Step
from tavo.scan.sequences import each, in_any_order
from tavo.scan.tree import Node

__all__ = ["Compiler"]

_SIMPLE = frozenset({"assignment", "augmented_assignment", "return_statement"})


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
            "c_for_statement": self._loop,
            "do_statement": self._loop,
            "with_statement": self._with,
            "try_statement": self._try,
            "return_statement": self._return,
            "raise_statement": self._raise,
            "delete_statement": self._delete,
            "import_statement": compile_import,
            "import_from_statement": compile_import,
        }
        if parsed.language == "dockerfile":
            from tavo.scan.instructions import instruction_tests

            self.table |= instruction_tests(self)

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
        op, is_ecma = node.op, self.parsed.language == "javascript"
        deep = right is not None and self.is_deep(right)

        def assignment(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind == "named_expression":
                target, value, annotation = n.role("name"), n.role("value"), None
            elif n.kind == "assignment":
                target, value, annotation = n.role("left"), n.role("right"), n.role("type")
                if op and n.op != op and (op != "var" or n.op not in DECLARED):
                    return NONE
            elif n.kind == "augmented_assignment" and is_ecma and not op:
                target, value, annotation = n.role("left"), n.role("right"), None
            else:
                return NONE
            if target is None or (value is None) != (right_test is None):
                return NONE
            targets_end = target.end
            # a = b = value; in JavaScript b = value is an assignment of its own.
            while value is not None and value.kind == "assignment" and not is_ecma:
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
                found = each(envs, right_test, value, run)
                if not found and deep and n.kind == "augmented_assignment":
                    found = each(envs, right_test, target, run)  # a += b is a = a + b
                envs = found
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
        name = node.role("name")
        kinds = {node.kind}
        if name is not None and self.is_ellipsis(name) and node.kind == "function_definition":
            kinds.add("lambda")
        decorator_tests = [self._decorator(n) for n in decorators]

        def definition(n: Node, env: Env, run: Run) -> Sequence[Env]:
            outer: Node | None = None
            if n.kind == "decorated_definition":
                outer, found = n, n.role("definition")
                if found is None:
                    return NONE
                n = found
            if n.kind not in kinds:
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
        any_name = self.is_ellipsis(name)  # `function ... (a) { }` takes those without a name

        def function(n: Node, env: Env, run: Run) -> Sequence[Env]:
            own, given, code = n.role("name"), n.role("parameters"), n.role("body")
            if given is None or code is None or (is_async and n.op != "async"):
                return NONE
            envs = name_test(own, env, run) if own is not None else (env,) if any_name else NONE
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

                def everything(n: Node, env: Env, run: Run) -> Sequence[Env]:
                    if run.file.language != "javascript" or n.kind != "block" or not n.children:
                        return bind_node(env, variable, n, run)
                    first, last = n.children[0], n.children[-1]  # without the braces
                    whole = Binding(first.start, last.end, file=run.file, node=n)
                    return bind(env, variable, whole, run)

                return everything
        row = self.row(children)

        def body(n: Node, env: Env, run: Run) -> Sequence[Env]:
            is_value = n.parent is not None and n.parent.kind == "lambda"
            return row.whole(n, env, run) if n.kind in BODIES or is_value else NONE

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
        over = node.op if node.op in {"of", "in"} else ""
        left, body = node.role("left"), node.role("body")
        braces = body.op if body is not None else ""  # a body in braces is no single statement
        if left is not None and self.is_ellipsis(left) and self.parsed.language == "javascript":
            return self._any_loop(node)

        def loop(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind != kind or (is_async and n.op != "async") or (over and n.op != over):
                return NONE
            envs: Sequence[Env] = (env,)
            for role, test in parts:
                child = n.role(role)
                if child is None or (role == "body" and child.op != braces):
                    return NONE
                envs = each(envs, test, child, run)
            return envs

        return loop

    def _any_loop(self, node: Node) -> Test:
        """Compile `for (...) { }`, which takes loops of every kind."""
        body = node.role("body")
        body_test = self.test(body) if body is not None else None
        braces = body.op if body is not None else ""

        def any_loop(n: Node, env: Env, run: Run) -> Sequence[Env]:
            code = n.role("body")
            if n.kind not in {"for_statement", "c_for_statement"} or code is None:
                return NONE
            if code.op != braces:
                return NONE
            return body_test(code, env, run) if body_test is not None else (env,)

        return any_loop

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
                given = given[given.index(n) :] if n in given else []
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
            if anything or (not given and run.file.language == "javascript"):
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
                loose = node.kind not in COMPOUND and node.kind not in _SIMPLE
                if self.parsed.language == "javascript" and node.kind == "assignment":
                    loose = not node.op  # there it is an expression
                places: Places | None = None
                if self.variable(node) is not None or self.is_deep(node):
                    loose = False
                elif not self.symbolic:
                    places = places_of(self, node)
                steps.append(Step(self.test(node), loose, node, places))
        return Row(steps, longest=longest)


_TAILS = frozenset({"else_clause", "finally_clause"})


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
