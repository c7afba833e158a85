"""Expressions of a pattern compiled to tests of nodes.

Rules this module keeps:
- a name also matches what an import brings under another name;
- keyword arguments, dictionary items and set items are compared in any order;
- a construct that cannot be compared is refused by name when the pattern is compiled.

Source of the semantics: Semgrep's documentation, "Pattern syntax", and differential runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from tavo.scan.bindings import NONE, Binding, Env, Run, Test, bind, bind_node
from tavo.scan.literals import LiteralCompiler
from tavo.scan.parsed import ParsedFile
from tavo.scan.pattern import TYPED, PatternError
from tavo.scan.sequences import (
    MOST_ALTERNATIVES,
    Items,
    compile_items,
    each,
    in_any_order,
    parts_of,
    positional,
)
from tavo.scan.tree import Node

__all__ = ["ExpressionCompiler"]


class ExpressionCompiler(LiteralCompiler):
    """Turns the expression nodes of one pattern into tests."""

    def __init__(self, parsed: ParsedFile, *, symbolic: bool = False) -> None:
        super().__init__(parsed, symbolic=symbolic)
        self.table |= {
            "identifier": self._identifier,
            "attribute": self._attribute,
            "call": self._call,
            "argument_list": self.arguments,
            "subscript": self._subscript,
            "list": self._list,
            "dictionary": self._braces,
            "set": self._braces,
            "lambda": self._lambda,
            "generator_expression": self._generator,
            "jsx_element": self._element,
        }

    def _identifier(self, node: Node) -> Test:
        if self.is_ellipsis(node):
            return lambda n, env, run: (env,)
        name = self.variable(node) or self.several(node)
        if name is not None:
            variable = name
            if node.op == "text":
                return lambda n, env, run: (
                    bind_node(env, variable, n, run) if n.kind == "jsx_text" else NONE
                )
            return lambda n, env, run: bind_node(env, variable, n, run)
        label = node.label or ""

        def same_name(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind != "identifier":
                return NONE
            return (env,) if n.label == label or run.imports.of(n) == label else NONE

        return same_name

    def _callee(self, node: Node) -> Test:
        """Compile what is called: a metavariable takes an imported name also by its full name."""
        test = self.test(node)
        if self.variable(node) is None:
            return test

        def callee(n: Node, env: Env, run: Run) -> Sequence[Env]:
            envs = test(n, env, run)
            full = run.imports.expanded(n)
            return [*envs, *test(full, env, run)] if full is not None else envs

        return callee

    def _attribute(self, node: Node) -> Test:
        if len(node.children) != 2:
            raise PatternError(f"{self.parsed.text(node)!r} is not a complete attribute")
        owner, last = node.children
        if owner.kind == "attribute" and self.is_ellipsis(owner.children[-1]):
            return self._chain(owner.children[0], last)
        owner_test, last_test = self.test(owner), self.test(last)
        label = last.label if self.variable(last) is None else None
        op, any_owner = node.op, self.variable(owner) is not None

        def attribute(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind == "identifier":
                full = run.imports.expanded(n)
                if full is None or full.kind != "attribute":
                    return NONE
                n = full
            elif n.kind != "attribute" or len(n.children) != 2:
                return NONE
            if n.op != op and (op or not any_owner):  # a?.b is b of something else than a
                return NONE
            if label is not None:
                return owner_test(n.children[0], env, run) if n.children[1].label == label else NONE
            return each(last_test(n.children[1], env, run), owner_test, n.children[0], run)

        return attribute

    def _chain(self, first: Node, last: Node) -> Test:
        """Compile `first. ... .last`: any calls, attributes and subscripts between the two."""
        first_test, last_test = self.test(first), self.test(last)

        def chain(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind == "identifier":
                n = run.imports.expanded(n) or n
            if n.kind != "attribute" or len(n.children) != 2:
                return NONE
            out: list[Env] = []
            for after in last_test(n.children[1], env, run):
                link: Node | None = n.children[0]
                while link is not None:
                    run.spend()
                    out += first_test(link, after, run)
                    chained = link.kind in {"call", "attribute", "subscript", "await"}
                    link = link.children[0] if chained and link.children else None
            return out

        return chain

    def _call(self, node: Node) -> Test:
        callee, arguments = node.children[0], node.children[1]
        if self.is_deep(node):
            return self._deep(arguments)
        if callee.kind == "identifier" and callee.label == TYPED:
            return self._typed(arguments)
        callee_test, arguments_test = self._callee(callee), self.arguments(arguments)
        takes_all, op = self.takes_all(arguments), node.op

        def call(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind != "call" or n.op != op:
                if takes_all and n.parent is not None and n.parent.kind == "decorator" and not op:
                    return callee_test(n, env, run)  # `@a` is a call of `a`
                return NONE
            return each(callee_test(n.children[0], env, run), arguments_test, n.children[1], run)

        return call

    def arguments(self, node: Node, *, open_end: bool = False) -> Test:
        """Compile arguments: keywords in any order, all given ones unless there is `...`.

        `open_end`: further ones may follow, as the bases of a class may.
        """
        keywords: list[tuple[str | None, Test, Test]] = []
        steps: list[tuple[Test | None, str]] = []
        for child in node.children:
            if child.kind == "keyword_argument":
                key, value = child.children
                label = key.label if self.variable(key) is None else None
                keywords.append((label, self.test(key), self.test(value)))
            elif self.is_ellipsis(child) and child.kind == "identifier":
                steps.append((None, ""))
            elif (name := self.several(child)) is not None:
                steps.append((None, name))
            else:
                steps.append((positional(self.test(child)), ""))
        if open_end and not (steps and steps[-1] == (None, "")):
            steps.append((None, ""))
        rest_test = compile_items(steps)
        if not keywords:

            def positional_only(n: Node, env: Env, run: Run) -> Sequence[Env]:
                return rest_test(n.children, env, run) if n.kind == "argument_list" else NONE

            return positional_only

        def arguments(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind != "argument_list":
                return NONE
            states: list[tuple[Env, list[Node]]] = [(env, n.children)]
            for label, key_test, value_test in keywords:
                reached: list[tuple[Env, list[Node]]] = []
                for before, left in states:
                    for given in left:
                        if given.kind != "keyword_argument" or len(given.children) != 2:
                            continue
                        key, value = given.children
                        if label is not None and key.label != label:
                            continue
                        rest = [c for c in left if c is not given]
                        envs = each(key_test(key, before, run), value_test, value, run)
                        reached.extend((after, rest) for after in envs)
                if not reached:
                    return NONE
                states = reached
            return [out for after, left in states for out in rest_test(left, after, run)]

        return arguments

    def _subscript(self, node: Node) -> Test:
        owner_test = self.test(node.children[0])
        wanted = node.children[1:]
        items = self.items(wanted)
        single = wanted[0] if len(wanted) == 1 else None
        is_slice = single is not None and single.kind == "slice"
        name = self.variable(single) if single is not None else None
        takes_all = single is not None and (self.is_ellipsis(single) or name is not None)

        def subscript(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind != "subscript":
                return NONE
            given = n.children[1:]
            if len(given) == 1 and (given[0].kind == "slice") != is_slice:
                return NONE
            envs = owner_test(n.children[0], env, run)
            if takes_all and len(given) > 1:
                if name is None:
                    return envs
                whole = Binding(given[0].start, given[-1].end, file=run.file)
                return [out for after in envs for out in bind(after, name, whole, run)]
            return [out for after in envs for out in items(given, after, run)]

        return subscript

    def _deep(self, arguments: Node) -> Test:
        inner = arguments.children
        if len(inner) != 1 or inner[0].kind == "keyword_argument":
            raise PatternError("'<... ...>' takes one expression")
        test = self.test(inner[0])
        is_ecma = self.parsed.language == "javascript"

        def deep(n: Node, env: Env, run: Run) -> Sequence[Env]:
            out: list[Env] = []
            stack = [n]
            while stack:
                node = stack.pop()
                run.spend()
                found = test(node, env, run)
                if found:
                    out += found
                    if len(out) >= MOST_ALTERNATIVES:
                        break
                elif self.symbolic and node.kind == "identifier":
                    known = run.file.constants.bound_to(node)
                    if known is not None:
                        out += deep(known, env, run)
                if not is_ecma:
                    stack.extend(reversed(_deep_parts(node)))
                elif node.kind != "lambda":  # as Semgrep: not into functions
                    stack.extend(reversed(parts_of(node)))
            return out

        return deep

    def _braces(self, node: Node) -> Test:
        """Compile a dictionary or set: items in any order, all of them unless there is `...`."""
        wanted = [n for n in node.children if not self.is_ellipsis(n)]
        is_ecma = self.parsed.language == "javascript"  # there an object may always have more
        is_open = is_ecma or len(wanted) < len(node.children)
        tests = [self.test(n) for n in wanted]
        splats = is_ecma or any(n.kind == "dictionary_splat" for n in wanted)
        kinds = {"dictionary", "set"}
        if not wanted and is_open:
            kinds |= {"dictionary_comprehension", "set_comprehension"}

        def braces(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind not in kinds:
                return NONE
            if len(n.children) < len(tests) or (not is_open and len(n.children) != len(tests)):
                return NONE
            if tests and not splats and any(c.kind == "dictionary_splat" for c in n.children):
                return NONE
            return in_any_order(tests, n.children, env, run)

        return braces

    def _list(self, node: Node) -> Test:
        test = self.generic(node)
        if not self.takes_all(node):
            return test

        def whole(n: Node, env: Env, run: Run) -> Sequence[Env]:
            # As in Semgrep, `f(a for a in b)` is given a list.
            around = n.parent if n.kind == "generator_expression" else None
            bare = around is not None and around.kind == "argument_list"
            if n.kind == "list_comprehension" or (bare and around and around.start == n.start):
                return (env,)
            return test(n, env, run)

        return whole

    def _generator(self, node: Node) -> Test:
        items = self.items(node.children)
        kinds = {"generator_expression", "list_comprehension"}
        return lambda n, env, run: items(n.children, env, run) if n.kind in kinds else NONE

    def _lambda(self, node: Node) -> Test:
        parameters, body = node.role("parameters"), node.role("body")
        if body is None:
            raise PatternError("a lambda without a body")
        body_test = self.test(body)
        is_async = node.op == "async" and self.parsed.language != "javascript"
        takes_block = body.kind == "block" or self.is_ellipsis(body)
        parameters_test = self.parameters(parameters.children if parameters is not None else [])

        def function(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind != "lambda" or (is_async and n.op != "async"):
                return NONE
            given, code = n.role("parameters"), n.role("body")
            if code is not None and code.kind == "block" and not takes_block:
                code = _only_value(code)
            if code is None:
                return NONE
            envs = parameters_test(given.children if given is not None else [], env, run)
            return each(envs, body_test, code, run)

        return function

    # -- JSX

    def _element(self, node: Node) -> Test:
        """Compile an element: further attributes may be there, in any order.

        One that closes itself takes any children.
        """
        name, attributes, children = node.children
        name_test = self.test(name)
        wanted = [
            self._jsx_attribute(n)
            for n in attributes.children
            if not (n.children and self.is_ellipsis(n.children[0]))
        ]
        children_test = self.items(children.children)
        any_children = node.op == "/"

        def element(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind != "jsx_element" or len(n.children) != 3:
                return NONE
            envs = name_test(n.children[0], env, run)
            if wanted and envs:
                given = n.children[1].children
                envs = [e for before in envs for e in in_any_order(wanted, given, before, run)]
            if any_children:
                return envs
            return [
                e for before in envs for e in children_test(n.children[2].children, before, run)
            ]

        return element

    def _jsx_attribute(self, node: Node) -> Test:
        if node.kind != "jsx_attribute":
            return self.generic(node) if node.kind != "identifier" else self.test(node)
        label = node.children[0].label
        label_test = self.test(node.children[0])
        is_fixed = self.variable(node.children[0]) is None
        value_test = self.test(node.children[1]) if len(node.children) > 1 else None

        def attribute(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind != "jsx_attribute" or not n.children:
                return NONE
            if is_fixed and n.children[0].label != label:
                return NONE
            envs = (env,) if is_fixed else label_test(n.children[0], env, run)
            if value_test is None:
                return envs if len(n.children) == 1 else NONE
            return each(envs, value_test, n.children[1], run) if len(n.children) > 1 else NONE

        return attribute

    # -- parameters

    def parameters(self, nodes: Sequence[Node]) -> Items:
        """Compile parameters: a type or default that the pattern lacks may be anything."""
        steps: list[tuple[Test | None, str]] = []
        for node in nodes:
            name = self.several(node)
            if self.is_ellipsis(node):
                steps.append((None, ""))
            elif name is not None:
                steps.append((None, name))
            elif node.kind not in _SEPARATORS:
                steps.append((self._parameter(node), ""))
        items = compile_items(steps)

        def parameters(given: Sequence[Node], env: Env, run: Run) -> Sequence[Env]:
            return items([n for n in given if n.kind not in _SEPARATORS], env, run)

        return parameters

    def _parameter(self, node: Node) -> Test:
        if node.kind in _SPLATS:
            return self.generic(node)
        if node.kind in _PATTERNS:
            test = self.test(node)
            return lambda n, env, run: test(_parameter_name(n), env, run)
        wanted = [(n.field, self.test(n)) for n in node.children if n.field in {"type", "value"}]
        if node.kind == "typed_parameter" and node.children[0].kind in _SPLATS:
            name_test = self.generic(node.children[0])
        else:
            name_test = self.test(_parameter_name(node))

        def parameter(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind not in _PARAMETERS:
                return NONE
            envs = name_test(_parameter_name(n), env, run)
            for role, test in wanted:
                value = n.role(role)
                if value is None:
                    return NONE
                envs = each(envs, test, value, run)
            return envs if _parameter_name(n).kind in _NAMED else NONE

        return parameter


_SEPARATORS = frozenset({"keyword_separator", "positional_separator"})
_SPLATS = frozenset({"list_splat_pattern", "dictionary_splat_pattern"})
_PATTERNS = frozenset({"dictionary", "list"})
_NAMED = _PATTERNS | {"identifier"}
_PARAMETERS = frozenset({"identifier", "typed_parameter", "default_parameter",
                         "typed_default_parameter", "dictionary", "list"})  # fmt: skip


def _deep_parts(node: Node) -> Sequence[Node]:
    """Return where `<... ...>` looks below a node: as in Semgrep, not in heads of definitions."""
    kind = node.kind
    if kind in _WITH_HEADS:
        return [child for child in node.children if child.kind in _BODIES_OF_HEADS]
    if kind == "for_statement" or kind == "lambda":
        return [child for child in node.children if child.field not in {"left", "parameters"}]
    if kind == "as_pattern" and node.parent is not None and node.parent.kind in _WITH:
        return ()
    if kind == "assignment" and node.role("type") is not None:
        right = node.role("right")
        return [right] if right is not None else []
    return parts_of(node)


_WITH_HEADS = frozenset({"function_definition", "class_definition", "decorated_definition",
                         "except_clause"})  # fmt: skip
_WITH = frozenset({"with_statement", "with_clause", "with_item"})
_BODIES_OF_HEADS = frozenset({"block", "function_definition", "class_definition"})


def _only_value(block: Node) -> Node | None:
    """Return what a body returns that does nothing else."""
    only = block.children[0] if len(block.children) == 1 else None
    if only is None or only.kind != "return_statement" or len(only.children) != 1:
        return None
    return only.children[0]


def _parameter_name(node: Node) -> Node:
    if node.kind in _NAMED or not node.children:
        return node
    return node.role("name") or node.children[0]
