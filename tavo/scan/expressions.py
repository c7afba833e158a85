"""Expressions of a pattern compiled to tests of nodes.

Rules this module keeps:
- a test holds no file and changes nothing; it returns every environment in which it holds;
- what a test of a literal accepts, it also accepts as a constant that is known at that place;
- a construct that cannot be compared is refused by name when the pattern is compiled.

Source of the semantics: Semgrep's documentation, "Pattern syntax", and differential runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tavo.detect.regex import Regex, RegexError
from tavo.scan.bindings import NONE, Binding, Env, Run, Test, bind, bind_node, env_key
from tavo.scan.constants import Constant, number
from tavo.scan.languages.python import ParsedFile
from tavo.scan.pattern import DEEP, ELLIPSIS, TYPED, PatternError, variable_of
from tavo.scan.tree import Node

__all__ = ["ExpressionCompiler", "Items", "distinct", "each", "in_any_order", "parts_of"]

Items = Callable[[Sequence[Node], Env, Run], Sequence[Env]]

_MOST_ALTERNATIVES = 64
_ALIKE: Final = {
    kind: group
    for group in (
        frozenset({"tuple", "expression_list", "pattern_list", "tuple_pattern"}),
        frozenset({"list", "list_pattern"}),
        frozenset({"list_splat", "list_splat_pattern"}),
        frozenset({"dictionary_splat", "dictionary_splat_pattern"}),
    )
    for kind in group
}
_COMPUTED = frozenset({"identifier", "binary_operator", "unary_operator", "not_operator",
                       "conditional_expression", "fstring"})  # fmt: skip
_FOLLOWED = frozenset({"call", "attribute", "subscript", "binary_operator"})
_REGEX_STRING = re.compile(r"=~/(?P<regex>.*)/(?P<flags>[a-z]*)\Z", re.DOTALL)
_BUILTIN_TYPES = {"int": "int", "str": "str", "float": "float", "bool": "bool"}


class ExpressionCompiler:
    """Turns the expression nodes of one pattern into tests.

    `symbolic`: a name also stands for the call or other expression that it was last bound to.
    """

    def __init__(self, parsed: ParsedFile, *, symbolic: bool = False) -> None:
        self.parsed = parsed
        self.symbolic = symbolic
        self.table: dict[str, Callable[[Node], Test]] = {
            "identifier": self._identifier,
            "attribute": self._attribute,
            "call": self._call,
            "argument_list": self.arguments,
            "subscript": self._subscript,
            "string": self._string,
            "string_content": self._content,
            "fstring": self._fstring,
            "integer": self._literal,
            "float": self._literal,
            "true": self._literal,
            "false": self._literal,
            "none": self._literal,
            "list": self._list,
            "dictionary": self._braces,
            "set": self._braces,
            "lambda": self._lambda,
            "generator_expression": self._generator,
        }

    # -- what a pattern node is

    def is_ellipsis(self, node: Node) -> bool:
        """Tell whether a pattern node is `...`."""
        if node.kind == "dictionary_splat" and len(node.children) == 1:
            node = node.children[0]
        if node.kind == "string_content":
            return node.label == "..."
        return node.kind == "identifier" and node.label == ELLIPSIS

    def variable(self, node: Node) -> str | None:
        """Return the name of the metavariable that a pattern node is, or None."""
        found = variable_of(node.label or "") if node.kind == "identifier" else None
        return found[0] if found is not None and not found[1] else None

    def several(self, node: Node) -> str | None:
        """Return the name of the metavariable if a pattern node is `$...X`, or None."""
        found = variable_of(node.label or "") if node.kind == "identifier" else None
        return found[0] if found is not None and found[1] else None

    def is_deep(self, node: Node) -> bool:
        """Tell whether a pattern node is `<... ...>`."""
        return node.kind == "call" and node.children[0].label == DEEP

    # -- tests

    def test(self, node: Node) -> Test:
        """Compile one pattern node."""
        compile_kind = self.table.get(node.kind)
        made = compile_kind(node) if compile_kind is not None else self.generic(node)
        if self.symbolic and node.kind in _FOLLOWED:
            return _followed(made)
        return made

    def generic(self, node: Node) -> Test:
        """Compile a node that is compared by kind, operator and children in order."""
        kinds = _ALIKE.get(node.kind) or frozenset({node.kind})
        op, label = node.op, node.label
        items = self.items(node.children)

        def generic(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind not in kinds or n.op != op or n.label != label:
                return NONE
            return items(n.children, env, run)

        return generic

    def items(self, nodes: Sequence[Node]) -> Items:
        """Compile a list of nodes, in which `...` and `$...X` take any number of nodes."""
        steps: list[tuple[Test | None, str]] = []
        for node in nodes:
            name = self.several(node)
            if self.is_ellipsis(node):
                steps.append((None, ""))
            elif name is not None:
                steps.append((None, name))
            else:
                steps.append((self.test(node), ""))
        return _items(steps)

    def _identifier(self, node: Node) -> Test:
        if self.is_ellipsis(node):
            return lambda n, env, run: (env,)
        name = self.variable(node) or self.several(node)
        if name is not None:
            variable = name
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

        def attribute(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind == "identifier":
                full = run.imports.expanded(n)
                if full is None or full.kind != "attribute":
                    return NONE
                n = full
            elif n.kind != "attribute" or len(n.children) != 2:
                return NONE
            if label is not None:
                return owner_test(n.children[0], env, run) if n.children[1].label == label else NONE
            return each(last_test(n.children[1], env, run), owner_test, n.children[0], run)

        return attribute

    def _chain(self, first: Node, last: Node) -> Test:
        """Compile `first. ... .last`: any calls, attributes and subscripts between the two."""
        first_test, last_test = self.test(first), self.test(last)

        def chain(n: Node, env: Env, run: Run) -> Sequence[Env]:
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
        takes_all = self.takes_all(arguments)

        def call(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind != "call":
                if takes_all and n.parent is not None and n.parent.kind == "decorator":
                    return callee_test(n, env, run)  # `@a` is a call of `a`
                return NONE
            return each(callee_test(n.children[0], env, run), arguments_test, n.children[1], run)

        return call

    def takes_all(self, arguments: Node) -> bool:
        """Tell whether the arguments or items of a pattern are only `...`."""
        return len(arguments.children) == 1 and self.is_ellipsis(arguments.children[0])

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
                steps.append((_positional(self.test(child)), ""))
        if open_end and not (steps and steps[-1] == (None, "")):
            steps.append((None, ""))
        rest_test = _items(steps)
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

        def deep(n: Node, env: Env, run: Run) -> Sequence[Env]:
            out: list[Env] = []
            stack = [n]
            while stack:
                node = stack.pop()
                run.spend()
                found = test(node, env, run)
                if found:
                    out += found
                    if len(out) >= _MOST_ALTERNATIVES:
                        break
                elif self.symbolic and node.kind == "identifier":
                    known = run.file.constants.bound_to(node)
                    if known is not None:
                        out += deep(known, env, run)
                stack.extend(reversed(parts_of(node)))
            return out

        return deep

    def _typed(self, arguments: Node) -> Test:
        variable, wanted = arguments.children
        test = self.test(variable)
        name = "".join(self.parsed.text(wanted).split())

        def typed(n: Node, env: Env, run: Run) -> Sequence[Env]:
            return test(n, env, run) if _type_of(n, run.file) == name else NONE

        return typed

    # -- literals

    def _string(self, node: Node) -> Test:
        value, prefix = node.value or "", node.op
        if node.children and all(part.value == "..." for part in node.children):
            # Several literals beside each other, whatever they are.
            return lambda n, env, run: (
                (env,) if n.kind == "fstring" or (n.kind == "string" and n.children) else NONE
            )
        if value == "...":

            def any_string(n: Node, env: Env, run: Run) -> Sequence[Env]:
                if n.kind == "string" or (n.kind == "fstring" and prefix == "f"):
                    return (env,) if not prefix or n.op == prefix else NONE
                return (env,) if not prefix and _constant(n, run, "str") is not None else NONE

            return any_string
        pattern = _REGEX_STRING.match(value)
        if pattern is not None:
            return _regex_string(pattern)
        variable = _whole_variable(value)
        if variable is not None:
            name = variable

            def content(n: Node, env: Env, run: Run) -> Sequence[Env]:
                if n.kind == "string":
                    if prefix and n.op != prefix:
                        return NONE
                    return bind(env, name, _content_of(n, run.file), run)
                known = _constant(n, run, "str")
                if known is None or not isinstance(known.value, str):
                    return NONE
                return bind(env, name, Binding(n.start, n.end, text=known.value), run)

            return content

        def same_string(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind == "string":
                return (env,) if n.value == value and (not prefix or n.op == prefix) else NONE
            known = _constant(n, run, "str") if not prefix else None
            return (env,) if known is not None and known.value == value else NONE

        return same_string

    def _content(self, node: Node) -> Test:
        """Compile the text between the replacement fields of an f-string."""
        label = node.label or ""
        variable = _whole_variable(label)
        if variable is not None:
            name = variable
            return lambda n, env, run: (
                bind_node(env, name, n, run) if n.kind == "string_content" else NONE
            )
        return lambda n, env, run: (
            (env,) if n.kind == "string_content" and n.label == label else NONE
        )

    def _fstring(self, node: Node) -> Test:
        items = self.items(node.children)

        def fstring(n: Node, env: Env, run: Run) -> Sequence[Env]:
            return items(n.children, env, run) if n.kind == "fstring" else NONE

        return fstring

    def _literal(self, node: Node) -> Test:
        kind = node.kind
        if kind in {"integer", "float"}:
            wanted = number(node.label or "")
        elif kind == "none":
            wanted = Constant("none", None)
        else:
            wanted = Constant("bool", kind == "true")
        if wanted is None:
            return self.generic(node)
        constant = wanted

        def literal(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind == kind:
                if n.label is None:
                    return (env,)
                return (env,) if number(n.label) == constant else NONE
            return (env,) if _constant(n, run, constant.kind) == constant else NONE

        return literal

    def _braces(self, node: Node) -> Test:
        """Compile a dictionary or set: items in any order, all of them unless there is `...`."""
        wanted = [n for n in node.children if not self.is_ellipsis(n)]
        is_open = len(wanted) < len(node.children)
        tests = [self.test(n) for n in wanted]
        splats = any(n.kind == "dictionary_splat" for n in wanted)
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
        return lambda n, env, run: (env,) if n.kind == "list_comprehension" else test(n, env, run)

    def _generator(self, node: Node) -> Test:
        items = self.items(node.children)
        kinds = {"generator_expression", "list_comprehension"}
        return lambda n, env, run: items(n.children, env, run) if n.kind in kinds else NONE

    def _lambda(self, node: Node) -> Test:
        parameters, body = node.role("parameters"), node.role("body")
        if body is None:
            raise PatternError("a lambda without a body")
        body_test = self.test(body)
        parameters_test = self.parameters(parameters.children if parameters is not None else [])

        def function(n: Node, env: Env, run: Run) -> Sequence[Env]:
            if n.kind != "lambda":
                return NONE
            given, code = n.role("parameters"), n.role("body")
            if code is None:
                return NONE
            envs = parameters_test(given.children if given is not None else [], env, run)
            return each(envs, body_test, code, run)

        return function

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
        items = _items(steps)

        def parameters(given: Sequence[Node], env: Env, run: Run) -> Sequence[Env]:
            return items([n for n in given if n.kind not in _SEPARATORS], env, run)

        return parameters

    def _parameter(self, node: Node) -> Test:
        if node.kind in _SPLATS:
            return self.generic(node)
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
            return envs if _parameter_name(n).kind == "identifier" else NONE

        return parameter


_HOLD_NAMES = frozenset({
    "function_definition", "class_definition", "parameters", "lambda_parameters",
    "default_parameter", "typed_parameter", "typed_default_parameter", "list_splat_pattern",
    "dictionary_splat_pattern", "global_statement", "nonlocal_statement", "dotted_name",
})  # fmt: skip
_SEPARATORS = frozenset({"keyword_separator", "positional_separator"})
_SPLATS = frozenset({"list_splat_pattern", "dictionary_splat_pattern"})
_PARAMETERS = frozenset(
    {"identifier", "typed_parameter", "default_parameter", "typed_default_parameter"}
)


def parts_of(node: Node) -> list[Node]:
    """Return what is below a node in which an expression may match, without mere names."""
    kind = node.kind
    if kind == "attribute":
        return node.children[:1]
    if kind == "keyword_argument":
        return node.children[-1:]
    if kind in _HOLD_NAMES:
        return [
            child
            for child in node.children
            if child.kind != "identifier" or child.field in {"value", "type", "return_type"}
        ]
    return node.children


def each(envs: Sequence[Env], test: Test, node: Node, run: Run) -> Sequence[Env]:
    """Apply a test to a node in each of several environments."""
    if not envs:
        return NONE
    if len(envs) == 1:
        return test(node, envs[0], run)
    return [after for env in envs for after in test(node, env, run)]


def distinct(envs: Iterable[Env]) -> list[Env]:
    """Return environments without repetitions."""
    return list({env_key(env): env for env in envs}.values())


def in_any_order(tests: Sequence[Test], nodes: Sequence[Node], env: Env, run: Run) -> Sequence[Env]:
    """Match each test with a node of its own, in any order."""
    states: list[tuple[Env, tuple[int, ...]]] = [(env, ())]
    for test in tests:
        reached: list[tuple[Env, tuple[int, ...]]] = []
        for before, used in states:
            for index, node in enumerate(nodes):
                if index not in used:
                    run.spend()
                    reached += [(after, (*used, index)) for after in test(node, before, run)]
        if not reached:
            return NONE
        states = reached[:_MOST_ALTERNATIVES]
    return [after for after, _ in states]


def _items(steps: Sequence[tuple[Test | None, str]]) -> Items:
    tests = [test for test, _ in steps if test is not None]
    if len(tests) == len(steps):

        def exactly(found: Sequence[Node], env: Env, run: Run) -> Sequence[Env]:
            if len(found) != len(tests):
                return NONE
            envs: Sequence[Env] = (env,)
            for test, node in zip(tests, found, strict=True):
                envs = each(envs, test, node, run)
                if not envs:
                    return NONE
            return envs

        return exactly
    if not tests and all(not name for _, name in steps):
        return lambda found, env, run: (env,)
    least = len(tests)

    def spread(found: Sequence[Node], env: Env, run: Run) -> Sequence[Env]:
        if len(found) < least:
            return NONE
        return _spread(steps, 0, found, 0, env, run)

    return spread


def _spread(
    steps: Sequence[tuple[Test | None, str]],
    step: int,
    found: Sequence[Node],
    at: int,
    env: Env,
    run: Run,
) -> list[Env]:
    run.spend()
    if step == len(steps):
        return [env] if at == len(found) else []
    test, name = steps[step]
    if test is not None:
        if at >= len(found):
            return []
        return [
            result
            for after in test(found[at], env, run)
            for result in _spread(steps, step + 1, found, at + 1, after, run)
        ]
    last = step == len(steps) - 1
    if last and not name:
        return [env]
    out: list[Env] = []
    for end in range(len(found) if last else at, len(found) + 1):
        envs: Sequence[Env] = (env,)
        if name:
            taken = found[at:end]
            start, stop = (taken[0].start, taken[-1].end) if taken else (0, 0)
            envs = bind(env, name, Binding(start, stop, file=run.file), run)
        for after in envs:
            out += _spread(steps, step + 1, found, end, after, run)
        if len(out) >= _MOST_ALTERNATIVES:
            break
    return out


def _positional(test: Test) -> Test:
    def positional(n: Node, env: Env, run: Run) -> Sequence[Env]:
        return test(n, env, run) if n.kind != "keyword_argument" else NONE

    return positional


def _followed(test: Test) -> Test:
    """Let a test also see what a name was last bound to."""

    def followed(n: Node, env: Env, run: Run) -> Sequence[Env]:
        envs = test(n, env, run)
        if not envs and n.kind == "identifier":
            known = run.file.constants.bound_to(n)
            if known is not None and known.end <= n.start:
                run.spend()
                return followed(known, env, run)
        return envs

    return followed


def _constant(node: Node, run: Run, kind: str) -> Constant | None:
    """Return the constant of a kind that an expression is without being a literal, or None."""
    if node.kind not in _COMPUTED:
        return None
    known = run.file.constant(node)
    return known if known is not None and known.kind == kind else None


def _content_of(node: Node, file: ParsedFile) -> Binding:
    value = node.value or ""
    text = file.source.text(node.start, node.end)
    offset = text.find(value) if value else -1
    if offset < 0:  # several literals beside each other
        return Binding(node.start, node.end, text=value)
    start = node.start + len(text[:offset].encode())
    return Binding(start, start + len(value.encode()), text=value)


def _regex_string(found: re.Match[str]) -> Test:
    flags = "".join(sorted(set(found["flags"]) & set("ims")))
    if set(found["flags"]) - set("ims"):
        raise PatternError(f'flags {found["flags"]!r} of "=~/…/" are not supported')
    try:
        regex = Regex(f"(?{flags}){found['regex']}" if flags else found["regex"])
    except RegexError as error:
        raise PatternError(f'"=~/…/": {error}') from None

    def like(n: Node, env: Env, run: Run) -> Sequence[Env]:
        if n.kind == "string":
            value: object = n.value
        else:
            known = _constant(n, run, "str")
            value = known.value if known is not None else None
        return (env,) if isinstance(value, str) and regex.found_in(value) else NONE

    return like


def _whole_variable(value: str) -> str | None:
    """Return the metavariable if a pattern's string is nothing but one, else None."""
    found = re.fullmatch(r"\$[A-Z_][A-Z0-9_]*", value)
    return found.group() if found else None


def _parameter_name(node: Node) -> Node:
    if node.kind == "identifier" or not node.children:
        return node
    return node.role("name") or node.children[0]


def _type_of(node: Node, file: ParsedFile) -> str | None:
    """Return the type of an expression where it is plain to see: a literal or an annotation."""
    known = file.constant(node)
    if known is not None:
        return _BUILTIN_TYPES.get(known.kind)
    if node.kind == "call":
        return file.dotted(node.children[0])
    if node.kind != "identifier":
        return None
    for around in node.ancestors():
        if around.kind not in {"function_definition", "module"}:
            continue
        for part in around.walk():
            name = part.role("name") or part.role("left")
            if part.kind == "typed_parameter" and part.children:
                name = part.children[0]
            kind = part.role("type")
            if kind is not None and name is not None and name.label == node.label:
                return "".join(file.text(kind).split())
    return None
