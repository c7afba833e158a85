"""Patterns compiled to functions, and where they match in a file.

Rules this module keeps:
- a compiled pattern holds no file: it is made once per process and used on every file;
- bindings are never changed in place; two bindings of a metavariable must be the same code;
- the work per file is bounded: `Budget` counts steps, and running out is named, not hidden.

Source of the semantics: Semgrep's documentation, and a differential run against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tavo.scan.languages.python import ParsedFile
from tavo.scan.pattern import DEEP, ELLIPSIS, Pattern, PatternError, variable_of
from tavo.scan.tree import Node

__all__ = ["Binding", "BudgetError", "Env", "Match", "Matcher", "compile_pattern", "same_code"]

_STEPS = 3_000_000
_MOST_ALTERNATIVES = 64


class BudgetError(RuntimeError):
    """Matching one pattern on one file took more steps than allowed."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a metavariable stands for: one node, or several beside each other, or no node.

    `text` is the source; for a string literal's content it is the content alone.
    """

    start: int
    end: int
    text: str
    node: Node | None = None


Env = dict[str, Binding]


@dataclass(frozen=True, slots=True)
class Match:
    """A place where a pattern holds: byte range, bindings, and the node if it is one node."""

    start: int
    end: int
    env: Env
    node: Node | None = None


class Matcher:
    """A pattern ready for use: where to look, and the test at each place."""

    def __init__(
        self,
        pattern: Pattern,
        test: Test | None,
        sequence: StatementRun | None,
        kinds: tuple[str, ...] | None,
        callee: str | None,
    ) -> None:
        self.pattern = pattern
        self.tokens = pattern.tokens()
        self._test = test
        self._sequence = sequence
        self._kinds = kinds
        self._callee = callee

    def find(self, file: ParsedFile) -> list[Match]:
        """Return all matches in a file, in the order of their start. Raises BudgetError."""
        remembered = file.memory.get(self)
        if remembered is None:
            remembered = file.memory[self] = self._find(file)
        return remembered  # type: ignore[return-value]

    def _find(self, file: ParsedFile) -> list[Match]:
        run = Run(file)
        found: dict[tuple[int, int, tuple[tuple[str, str], ...]], Match] = {}
        if self._sequence is not None:
            for body in file.by_kind.get("block", ()), file.by_kind.get("module", ()):
                for block in body:
                    for start, end, env in self._sequence.anywhere(block.children, run):
                        key = (start, end, _env_key(env))
                        found.setdefault(key, Match(start, end, env))
        elif self._test is not None:
            for node in self._candidates(file):
                for env in self._test(node, {}, run):
                    key = (node.start, node.end, _env_key(env))
                    found.setdefault(key, Match(node.start, node.end, env, node))
        return sorted(found.values(), key=lambda match: (match.start, match.end))

    def _candidates(self, file: ParsedFile) -> Iterable[Node]:
        if self._callee is not None:
            return file.calls.get(self._callee, ())
        if self._kinds is not None:
            return [node for kind in self._kinds for node in file.by_kind.get(kind, ())]
        return file.root.walk()


class Run:
    """One pattern on one file: the file, and the steps that are left."""

    __slots__ = ("file", "steps")

    def __init__(self, file: ParsedFile) -> None:
        self.file = file
        self.steps = _STEPS

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise BudgetError(f"more than {_STEPS:,} steps")


Test = Callable[[Node, Env, Run], list[Env]]


def compile_pattern(pattern: Pattern) -> Matcher:
    """Compile a pattern. Raises PatternError for what is not supported."""
    compiler = _Compiler(pattern.parsed)
    single = pattern.expression
    if single is None:
        return Matcher(pattern, None, compiler.sequence(pattern.statements), None, None)
    if compiler.is_ellipsis(single):
        raise PatternError("a pattern that is only '...' matches everything")
    kinds, callee = compiler.places(single)
    return Matcher(pattern, compiler.test(single), None, kinds, callee)


def same_code(a: Binding, b: Binding) -> bool:
    """Tell whether two bindings are the same code, apart from white space and quotes."""
    if a.text == b.text or (a.start == b.start and a.end == b.end):
        return True
    if a.node is not None and b.node is not None:
        if a.node.kind == b.node.kind == "string":
            return a.node.value == b.node.value
        if a.node.kind != b.node.kind:
            return False
    return "".join(a.text.split()) == "".join(b.text.split())


def bind(env: Env, name: str, binding: Binding) -> list[Env]:
    """Bind a metavariable, or compare with what it is bound to already."""
    if name == "$_":
        return [env]
    known = env.get(name)
    if known is None:
        return [{**env, name: binding}]
    return [env] if same_code(known, binding) else []


def _env_key(env: Env) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, binding.text) for name, binding in env.items()))


# Kinds whose children are matched by role, where a role that the pattern lacks may be anything.
_BY_ROLE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # kind: (roles that must match, roles that may be absent from the pattern)
    "assignment": (("left", "right"), ("type",)),
    "function_definition": (("name", "parameters", "body"), ("return_type", "type_parameters")),
    "class_definition": (("name", "body"), ("superclasses", "type_parameters")),
    "keyword_argument": (("name", "value"), ()),
    "for_statement": (("left", "right", "body"), ("alternative",)),
    "while_statement": (("condition", "body"), ("alternative",)),
}
_PARAMETER_KINDS = frozenset(
    {"identifier", "typed_parameter", "default_parameter", "typed_default_parameter"}
)
_EXPRESSION_STOPS = frozenset({"block"})


class _Compiler:
    """Turns the nodes of one pattern into tests."""

    def __init__(self, parsed: ParsedFile) -> None:
        self.parsed = parsed

    # -- what a pattern node is

    def name_of(self, node: Node) -> str | None:
        return self.parsed.text(node) if node.kind == "identifier" else None

    def is_ellipsis(self, node: Node) -> bool:
        if node.kind == "string_content":
            return self.parsed.text(node) == "..."
        if node.kind == "dictionary_splat" and len(node.children) == 1:
            return self.is_ellipsis(node.children[0])
        return self.name_of(node) == ELLIPSIS

    def places(self, node: Node) -> tuple[tuple[str, ...] | None, str | None]:
        """Return the kinds of nodes that the pattern can match, and the called name if any."""
        if node.kind == "identifier":
            name = self.parsed.text(node)
            return (None, None) if variable_of(name) else (("identifier", "attribute"), None)
        if node.kind == "attribute":
            return ("attribute", "identifier"), None
        if node.kind == "string":
            return ("string", "fstring", "identifier", "binary_operator"), None
        if node.kind in {"integer", "float", "true", "false", "none"}:
            return (node.kind, "identifier"), None
        if node.kind in {"import_statement", "import_from_statement"}:
            return ("import_statement", "import_from_statement"), None
        if node.kind == "call":
            callee = node.children[0]
            called = self.parsed.text(callee) if callee.kind == "identifier" else ""
            if called == DEEP:
                return None, None
            if callee.kind == "attribute":
                called = self.parsed.text(callee.children[-1])
            if called and not called.startswith("TAVO__"):
                return None, called
        return (node.kind,), None

    # -- tests for nodes

    def test(self, node: Node) -> Test:
        """Compile one pattern node."""
        kind = node.kind
        if kind == "identifier":
            return self._identifier(node)
        if kind == "call" and self.name_of(node.children[0]) == DEEP:
            return self._deep(node)
        if kind == "attribute":
            return self._attribute(node)
        if kind == "call":
            return self._call(node)
        if kind == "argument_list":
            return self._arguments(node)
        if kind == "string":
            return self._string(node)
        if kind in {"integer", "float", "true", "false", "none"}:
            return self._literal(node)
        if kind in {"block", "module"}:
            return self._block(node)
        if kind == "decorated_definition":
            return self._decorated(node)
        if kind in {"import_statement", "import_from_statement"}:
            return self._import(node)
        if kind in {"default_parameter", "typed_parameter", "typed_default_parameter"}:
            return self._parameter(node)
        if kind in _BY_ROLE:
            return self._by_role(node)
        if kind == "if_statement":
            return self._if(node)
        if kind == "return_statement" and not node.children:
            return lambda n, env, run: [env] if n.kind == "return_statement" else []
        if kind == "return_statement" and self.is_ellipsis(node.children[0]):
            return lambda n, env, run: [env] if n.kind == "return_statement" else []
        return self._generic(node)

    def _identifier(self, node: Node) -> Test:
        name = self.parsed.text(node)
        if name == ELLIPSIS:
            return lambda n, env, run: [env]
        variable = variable_of(name)
        if variable is not None:
            label = variable[0]

            def any_code(n: Node, env: Env, run: Run) -> list[Env]:
                run.step()
                return bind(env, label, Binding(n.start, n.end, run.file.text(n), n))

            return any_code

        def same_name(n: Node, env: Env, run: Run) -> list[Env]:
            run.step()
            if n.kind == "identifier":
                text = run.file.text(n)
                return [env] if text == name or run.file.imports.get(text) == name else []
            return []

        return same_name

    def _attribute(self, node: Node) -> Test:
        if len(node.children) != 2:
            raise PatternError(f"{self.parsed.text(node)!r} is not a complete attribute")
        owner, last = node.children
        if owner.kind == "attribute" and self.name_of(owner.children[-1]) == ELLIPSIS:
            return self._chain(owner.children[0], last)
        owner_test, last_test = self.test(owner), self.test(last)
        dotted = self._dotted(node)

        def attribute(n: Node, env: Env, run: Run) -> list[Env]:
            run.step()
            out: list[Env] = []
            if n.kind == "attribute" and len(n.children) == 2:
                for after in last_test(n.children[1], env, run):
                    out += owner_test(n.children[0], after, run)
            if not out and dotted is not None and n.kind in {"attribute", "identifier"}:
                return [env] if run.file.dotted(n) == dotted else []
            return out

        return attribute

    def _dotted(self, node: Node) -> str | None:
        """Return the pattern's own dotted name if it has no metavariable."""
        text = "".join(self.parsed.text(node).split())
        return text if "TAVO__" not in text and "(" not in text and "[" not in text else None

    def _chain(self, first: Node, last: Node) -> Test:
        """Compile `first. ... .last`: any calls, attributes and subscripts between the two."""
        first_test, last_test = self.test(first), self.test(last)

        def chain(n: Node, env: Env, run: Run) -> list[Env]:
            if n.kind != "attribute" or len(n.children) != 2:
                return []
            out: list[Env] = []
            for after in last_test(n.children[1], env, run):
                link: Node | None = n.children[0]
                while link is not None:
                    run.step()
                    out += first_test(link, after, run)
                    chained = link.kind in {"call", "attribute", "subscript", "await"}
                    link = link.children[0] if chained and link.children else None
            return out

        return chain

    def _call(self, node: Node) -> Test:
        callee_test = self.test(node.children[0])
        arguments = node.children[1]
        if arguments.kind != "argument_list":
            arguments_test = self.test(arguments)
        else:
            arguments_test = self._arguments(arguments)

        def call(n: Node, env: Env, run: Run) -> list[Env]:
            run.step()
            if n.kind != "call" or len(n.children) != 2:
                return []
            out: list[Env] = []
            for after in callee_test(n.children[0], env, run):
                out += arguments_test(n.children[1], after, run)
            return out

        return call

    def _arguments(self, node: Node) -> Test:
        keywords = [n for n in node.children if n.kind == "keyword_argument"]
        positional = [n for n in node.children if n.kind != "keyword_argument"]
        open_ended = any(self.is_ellipsis(n) or self._takes_many(n) for n in positional)
        positional_test = self.items(positional)
        keyword_tests = [self._by_role(n) for n in keywords]

        def arguments(n: Node, env: Env, run: Run) -> list[Env]:
            run.step()
            if n.kind != "argument_list":
                return []
            given = [c for c in n.children if c.kind == "keyword_argument"]
            if len(given) < len(keyword_tests):
                return []
            if not open_ended and len(given) != len(keyword_tests):
                return []
            envs = [env]
            for test in keyword_tests:
                envs = [after for e in envs for g in given for after in test(g, e, run)]
                if not envs:
                    return []
            rest = [c for c in n.children if c.kind != "keyword_argument"]
            return [after for e in envs for after in positional_test(rest, e, run)]

        return arguments

    def _takes_many(self, node: Node) -> bool:
        name = self.name_of(node)
        variable = variable_of(name) if name is not None else None
        return variable is not None and variable[1]

    def items(self, nodes: Sequence[Node]) -> Callable[[Sequence[Node], Env, Run], list[Env]]:
        """Compile a list of nodes, in which `...` and `$...X` take any number of nodes."""
        steps: list[tuple[str, Test | None]] = []
        for node in nodes:
            if self.is_ellipsis(node):
                steps.append(("...", None))
            elif self._takes_many(node):
                variable = variable_of(self.parsed.text(node))
                steps.append((variable[0] if variable else "...", None))
            else:
                steps.append(("", self.test(node)))
        if all(test is not None for _, test in steps):
            tests = [test for _, test in steps if test is not None]

            def exactly(found: Sequence[Node], env: Env, run: Run) -> list[Env]:
                if len(found) != len(tests):
                    return []
                envs = [env]
                for test, node in zip(tests, found, strict=True):
                    envs = [after for e in envs for after in test(node, e, run)]
                    if not envs:
                        return []
                return envs

            return exactly

        def spread(found: Sequence[Node], env: Env, run: Run) -> list[Env]:
            return _spread(steps, 0, found, 0, env, run)

        return spread

    def _string(self, node: Node) -> Test:
        value = node.value or ""
        if value == "...":

            def any_string(n: Node, env: Env, run: Run) -> list[Env]:
                run.step()
                return [env] if _string_value(n, run) is not None else []

            return any_string
        if value.startswith("=~/"):
            raise PatternError('"=~/regex/" is not supported: use metavariable-regex')
        variable = _whole_variable(value)
        if variable is not None:

            def content(n: Node, env: Env, run: Run) -> list[Env]:
                run.step()
                found = _string_value(n, run)
                if found is None or n.kind != "string":
                    return []
                return bind(env, variable, Binding(n.start, n.end, found, n))

            return content

        def same_string(n: Node, env: Env, run: Run) -> list[Env]:
            run.step()
            return [env] if _string_value(n, run) == value else []

        return same_string

    def _literal(self, node: Node) -> Test:
        kind, text = node.kind, self.parsed.text(node)

        def literal(n: Node, env: Env, run: Run) -> list[Env]:
            run.step()
            if n.kind == "identifier":
                known = run.file.constant(n)
                if known is None:
                    return []
                n = known
            return [env] if n.kind == kind and run.file.text(n) == text else []

        return literal

    def _deep(self, node: Node) -> Test:
        inner = node.children[1].children
        if len(inner) != 1:
            raise PatternError("'<... ...>' takes one expression")
        test = self.test(inner[0])

        def deep(n: Node, env: Env, run: Run) -> list[Env]:
            for below in n.walk():
                run.step()
                if found := test(below, env, run):
                    return found
            return []

        return deep

    def _parameter(self, node: Node) -> Test:
        """Compile a parameter: a type or default that the pattern lacks may be anything."""
        wanted = {role: self.test(n) for role, n in (node.roles or {}).items() if role != "name"}
        name = node.role("name") or node.children[0]
        name_test = self.test(name)

        def parameter(n: Node, env: Env, run: Run) -> list[Env]:
            if n.kind not in _PARAMETER_KINDS:
                return []
            own = n.role("name") or (n if n.kind == "identifier" else n.children[0])
            envs = name_test(own, env, run)
            for role, test in wanted.items():
                value = n.role(role)
                if value is None:
                    return []
                envs = [after for e in envs for after in test(value, e, run)]
            return envs

        return parameter

    def _parameters(self, node: Node) -> Test:
        test = self.items(node.children)

        def parameters(n: Node, env: Env, run: Run) -> list[Env]:
            plain = [_parameter_name(c) for c in n.children]
            return _dedupe(test(plain, env, run) or test(n.children, env, run))

        return parameters

    def _by_role(self, node: Node) -> Test:
        kind = node.kind
        required, optional = _BY_ROLE[kind]
        tests: list[tuple[str, Test]] = []
        for role in (*required, *optional):
            child = node.role(role)
            if child is None:
                if role in required and kind != "assignment":
                    raise PatternError(f"{self.parsed.text(node)[:40]!r} has no {role}")
                continue
            if kind == "class_definition" and role == "superclasses":
                tests.append((role, self._arguments(child)))
            elif kind == "function_definition" and role == "parameters":
                tests.append((role, self._parameters(child)))
            else:
                tests.append((role, self.test(child)))
        op = node.op

        def by_role(n: Node, env: Env, run: Run) -> list[Env]:
            run.step()
            if n.kind != kind or (op and n.op != op):
                return []
            envs = [env]
            for role, test in tests:
                child = n.role(role)
                if child is None:
                    return []
                envs = [after for e in envs for after in test(child, e, run)]
                if not envs:
                    return []
            return envs

        return by_role

    def _if(self, node: Node) -> Test:
        condition, *rest = node.children
        condition_test = self.test(condition)
        rest_tests = [self.test(n) for n in rest]

        def statement(n: Node, env: Env, run: Run) -> list[Env]:
            run.step()
            if n.kind != "if_statement" or len(n.children) < 1 + len(rest_tests):
                return []
            envs = condition_test(n.children[0], env, run)
            for test, child in zip(rest_tests, n.children[1:], strict=False):
                envs = [after for e in envs for after in test(child, e, run)]
            return envs

        return statement

    def _decorated(self, node: Node) -> Test:
        decorators = [self.test(n) for n in node.children if n.kind == "decorator"]
        definition = node.role("definition")
        if definition is None:
            raise PatternError("a decorator without a definition")
        definition_test = self.test(definition)

        def decorated(n: Node, env: Env, run: Run) -> list[Env]:
            run.step()
            own = n.role("definition")
            if n.kind != "decorated_definition" or own is None:
                return []
            given = [c for c in n.children if c.kind == "decorator"]
            envs = [env]
            for test in decorators:
                envs = [after for e in envs for g in given for after in test(g, e, run)]
                if not envs:
                    return []
            return [after for e in envs for after in definition_test(own, e, run)]

        return decorated

    def _import(self, node: Node) -> Test:
        """Compile an import: it matches any import that brings the same dotted name."""
        wanted = _imported(self.parsed, node)
        if len(wanted) != 1:
            raise PatternError("an import pattern takes one name")
        name = next(iter(wanted))
        parts = name.split(".")
        variables = {n: variable_of(part) for n, part in enumerate(parts)}

        def imports(n: Node, env: Env, run: Run) -> list[Env]:
            run.step()
            if n.kind not in {"import_statement", "import_from_statement"}:
                return []
            for found in _imported(run.file, n):
                own = found.split(".")
                if len(own) < len(parts):
                    continue
                envs = [env]
                for number, part in enumerate(parts):
                    variable = variables[number]
                    if variable is not None:
                        envs = [
                            after
                            for e in envs
                            for after in bind(
                                e, variable[0], Binding(n.start, n.end, own[number], None)
                            )
                        ]
                    elif own[number] != part:
                        envs = []
                        break
                if envs:
                    return envs
            return []

        return imports

    def _block(self, node: Node) -> Test:
        sequence = self.sequence(node.children)

        def block(n: Node, env: Env, run: Run) -> list[Env]:
            if n.kind not in {"block", "module"}:
                return []
            return _dedupe(env for _, env in sequence.whole(n.children, env, run))

        return block

    def _generic(self, node: Node) -> Test:
        """Compile a node that is matched by kind, operator and children in order."""
        kind, op = node.kind, node.op
        test = self.items(node.children)
        leaf = None if node.children else "".join(self.parsed.text(node).split())

        def generic(n: Node, env: Env, run: Run) -> list[Env]:
            run.step()
            if n.kind != kind or n.op != op:
                return []
            if leaf is not None:
                return [env] if "".join(run.file.text(n).split()) == leaf else []
            return test(n.children, env, run)

        return generic

    def sequence(self, nodes: Sequence[Node]) -> StatementRun:
        """Compile statements that follow each other."""
        return StatementRun(
            [None if self.is_ellipsis(n) else (self.test(n), self._is_loose(n)) for n in nodes]
        )

    def _is_loose(self, node: Node) -> bool:
        """Tell whether a statement is an expression that may also stand deep inside a statement."""
        return node.kind in {"call", "attribute", "await", "binary_operator", "subscript"}


class StatementRun:
    """Statements in a row, with `...` for any statements between them."""

    def __init__(self, steps: Sequence[tuple[Test, bool] | None]) -> None:
        self.steps = list(steps)

    def anywhere(self, found: Sequence[Node], run: Run) -> list[tuple[int, int, Env]]:
        """Return start, end and bindings of every run of statements that matches."""
        out = []
        for first in range(len(found)):
            if self.steps and self.steps[0] is None and first:
                break
            for end, env in self._match(0, found, first, {}, run, depth=0):
                out.append((found[first].start, end, env))
        return out

    def whole(self, found: Sequence[Node], env: Env, run: Run) -> list[tuple[int, Env]]:
        """Match a body from its first to its last statement."""
        if not self.steps:
            return []
        last = found[-1].end if found else 0
        open_ended = self.steps[-1] is None
        return [
            (end, after)
            for end, after in self._match(0, found, 0, env, run, depth=0)
            if open_ended or end >= last
        ]

    def _match(
        self, step: int, found: Sequence[Node], at: int, env: Env, run: Run, *, depth: int
    ) -> list[tuple[int, Env]]:
        run.step()
        if step == len(self.steps):
            return [(found[at - 1].end if at else 0, env)]
        current = self.steps[step]
        if current is None:
            if step == len(self.steps) - 1:
                return [(found[-1].end if found else 0, env)]
            out: list[tuple[int, Env]] = []
            for start in range(at, len(found)):
                out += self._match(step + 1, found, start, env, run, depth=depth)
                if depth < 40:
                    for body in _bodies(found[start]):
                        out += self._match(step, body, 0, env, run, depth=depth + 1)
                if len(out) >= _MOST_ALTERNATIVES:
                    break
            return out
        if at >= len(found):
            return []
        test, loose = current
        envs = test(found[at], env, run)
        if not envs and loose:
            envs = _inside(found[at], test, env, run)
        return [
            result
            for after in envs
            for result in self._match(step + 1, found, at + 1, after, run, depth=depth)
        ]


def _spread(
    steps: Sequence[tuple[str, Test | None]],
    step: int,
    found: Sequence[Node],
    at: int,
    env: Env,
    run: Run,
) -> list[Env]:
    run.step()
    if step == len(steps):
        return [env] if at == len(found) else []
    name, test = steps[step]
    if test is not None:
        if at >= len(found):
            return []
        return [
            result
            for after in test(found[at], env, run)
            for result in _spread(steps, step + 1, found, at + 1, after, run)
        ]
    if name == "..." and step == len(steps) - 1:
        return [env]
    out: list[Env] = []
    for end in range(at, len(found) + 1):
        envs = [env]
        if name != "...":
            taken = found[at:end]
            start, stop = (taken[0].start, taken[-1].end) if taken else (0, 0)
            envs = bind(env, name, Binding(start, stop, run.file.source.text(start, stop)))
        for after in envs:
            out += _spread(steps, step + 1, found, end, after, run)
        if len(out) >= _MOST_ALTERNATIVES:
            break
    return out


def _inside(statement: Node, test: Test, env: Env, run: Run) -> list[Env]:
    """Match an expression anywhere in a statement, but not in the bodies below it."""
    out: list[Env] = []
    stack = list(reversed(statement.children))
    while stack:
        node = stack.pop()
        if node.kind in _EXPRESSION_STOPS:
            continue
        run.step()
        out += test(node, env, run)
        stack.extend(reversed(node.children))
    return out


def _bodies(statement: Node) -> list[list[Node]]:
    """Return the bodies right below a statement, such as the branches of an `if`."""
    if statement.kind in {"function_definition", "class_definition", "decorated_definition"}:
        return []
    out: list[list[Node]] = []
    stack = list(statement.children)
    while stack:
        node = stack.pop()
        if node.kind == "block":
            out.append(node.children)
        elif node.kind.endswith("_clause"):
            stack.extend(node.children)
    return out


def _string_value(node: Node, run: Run) -> str | None:
    """Return the value of a string literal, also through a name or a sum that is constant."""
    if node.kind == "string":
        return node.value
    if node.kind == "identifier":
        known = run.file.constant(node)
        return known.value if known is not None else None
    if node.kind == "binary_operator" and node.op == "+" and len(node.children) == 2:
        run.step()
        left = _string_value(node.children[0], run)
        right = _string_value(node.children[1], run) if left is not None else None
        return left + right if left is not None and right is not None else None
    return None


def _whole_variable(value: str) -> str | None:
    """Return the metavariable if a pattern's string is nothing but one, else None."""
    if value.startswith("$") and value[1:].replace("_", "A").isalnum() and value.isupper():
        return value
    return None


def _parameter_name(node: Node) -> Node:
    if node.kind in _PARAMETER_KINDS and node.kind != "identifier":
        return node.role("name") or node.children[0]
    return node


def _imported(parsed: ParsedFile, node: Node) -> set[str]:
    """Return the dotted names that an import statement brings."""
    prefix = ""
    module = node.role("module_name")
    if node.kind == "import_from_statement" and module is not None:
        prefix = parsed.text(module) + "."
    names = set()
    for child in node.children:
        if child is module and prefix:
            continue
        target = child.children[0] if child.kind == "aliased_import" else child
        names.add(prefix + parsed.text(target))
    return names


def _dedupe(envs: Iterable[Env]) -> list[Env]:
    return list({_env_key(env): env for env in envs}.values())
