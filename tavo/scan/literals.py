"""The ground of every compiled pattern: what a pattern node is, and literals compared.

Rules this module keeps:
- a test holds no file and changes nothing; it returns every environment in which it holds;
- what a test of a literal accepts, it also accepts as a constant that is known at that place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from tavo.scan.bindings import NONE, Binding, Env, Run, Test, bind, bind_node
from tavo.scan.constants import Constant, number
from tavo.scan.parsed import ParsedFile
from tavo.scan.pattern import DEEP, ELLIPSIS, PatternError, variable_of
from tavo.scan.regexes import RegexError, scan_regex
from tavo.scan.sequences import Items, compile_items
from tavo.scan.tree import Node

__all__ = ["LiteralCompiler", "content_of", "types_of"]

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
                       "conditional_expression", "fstring", "attribute"})  # fmt: skip
_FOLLOWED = frozenset({"call", "attribute", "subscript", "binary_operator"})
_REGEX_STRING = re.compile(r"=~/(?P<regex>.*)/(?P<flags>[a-z]*)\Z", re.DOTALL)
_BUILTIN_TYPES = {name: frozenset({name}) for name in ("int", "str", "float", "bool")}
_LITERAL_TYPES = {"integer": "int", "float": "float", "true": "bool", "false": "bool",
                  "string": "str"}  # fmt: skip
_KNOWN_TYPES = frozenset({"int", "str", "bool"})
_WHOLE_NUMBERS = frozenset({"%", "**", "//"})
_DEEPEST_TYPE = 20
_HOLDERS = frozenset({"function_definition", "lambda", "module"})
_NUMBER = frozenset({"number", "float"})
_ECMA_TYPES = {"int": _NUMBER, "float": _NUMBER, "str": frozenset({"string"}),
               "bool": frozenset({"boolean"})}  # fmt: skip


class LiteralCompiler:
    """Turns the literals of one pattern into tests, and any other node that is compared as it is.

    `symbolic`: a name also stands for the call or other expression that it was last bound to.
    """

    def __init__(self, parsed: ParsedFile, *, symbolic: bool = False) -> None:
        self.parsed = parsed
        self.symbolic = symbolic
        self.table: dict[str, Callable[[Node], Test]] = {
            "string": self._string,
            "string_content": self._content,
            "fstring": self._fstring,
            "integer": self._literal,
            "float": self._literal,
            "true": self._literal,
            "false": self._literal,
            "none": self._literal,
            "regex": self._regex,
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

    def takes_all(self, arguments: Node) -> bool:
        """Tell whether the arguments or items of a pattern are only `...`."""
        return len(arguments.children) == 1 and self.is_ellipsis(arguments.children[0])

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
        return compile_items(steps)

    def _typed(self, arguments: Node) -> Test:
        variable, wanted = arguments.children
        test = self.test(variable)
        name = "".join(self.parsed.text(wanted).split())

        def typed(n: Node, env: Env, run: Run) -> Sequence[Env]:
            return test(n, env, run) if name in types_of(n, run.file) else NONE

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
            tagged = _tagged(node)

            def any_string(n: Node, env: Env, run: Run) -> Sequence[Env]:
                if prefix == "`" and _tagged(n) != tagged:
                    return NONE
                if n.kind == "string" or (n.kind == "fstring" and prefix == "f"):
                    return (env,) if not prefix or n.op == prefix else NONE
                if n.kind == "fstring" and prefix == "`":
                    return (env,)
                if n.kind == "string_content" and run.file.language == "javascript":
                    return NONE if prefix else (env,)
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
                    return bind(env, name, content_of(n, run.file), run)
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
        tagged = _tagged(node)

        def fstring(n: Node, env: Env, run: Run) -> Sequence[Env]:
            return (
                items(n.children, env, run)
                if n.kind == "fstring" and _tagged(n) == tagged
                else NONE
            )

        return fstring

    def _regex(self, node: Node) -> Test:
        """Compile a regular expression: flags that the pattern leaves out may be there."""
        wanted = node.label or ""
        if ELLIPSIS in wanted:
            return lambda n, env, run: (
                (env,) if n.kind == "regex" or _constant(n, run, "regex") is not None else NONE
            )
        variable = variable_of(wanted.strip("/"))
        if variable is not None:
            return _regex_content(variable[0])

        def regex(n: Node, env: Env, run: Run) -> Sequence[Env]:
            known = None if n.kind == "regex" else _constant(n, run, "regex")
            label = n.label or "" if known is None else str(known.value)
            if n.kind != "regex" and known is None:
                return NONE
            same = label == wanted or label[: label.rfind("/") + 1] == wanted
            return (env,) if same else NONE

        return regex

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


def _regex_content(name: str) -> Test:
    """Bind what is between the slashes of a regular expression, also one that a name holds."""

    def content(n: Node, env: Env, run: Run) -> Sequence[Env]:
        start, end, label = n.start + 1, n.end, n.label or ""
        if n.kind != "regex":
            known = _constant(n, run, "regex")
            if known is None:
                return NONE
            start, label = n.start, str(known.value)
        text = label[1 : label.rfind("/")]
        end = start + len(text.encode()) if n.kind == "regex" else end
        return bind(env, name, Binding(start, end, text=text), run)

    return content


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
    if node.kind not in _COMPUTED or not run.constants:
        return None
    known = run.file.constant(node)
    return known if known is not None and known.kind == kind else None


def content_of(node: Node, file: ParsedFile) -> Binding:
    """Return what is between the quotes of a string literal."""
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
        regex = scan_regex(f"(?{flags}){found['regex']}" if flags else found["regex"])
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


def _tagged(node: Node) -> bool:
    """Tell whether a template is what a function before it is given."""
    around = node.parent
    return (
        around is not None
        and around.kind == "argument_list"
        and around.field == "arguments"
        and around.start == node.start
    )


def _whole_variable(value: str) -> str | None:
    """Return the metavariable if a pattern's string is nothing but one, else None."""
    found = re.fullmatch(r"\$[A-Z_][A-Z0-9_]*", value)
    return found.group() if found else None


def types_of(node: Node, file: ParsedFile) -> frozenset[str]:
    """Return the names of an expression's type where it is plain to see."""
    if file.language == "python":
        known = _python_type(node, file, 0)
        return frozenset({known}) if known is not None else frozenset()
    constant = file.constant(node)
    if constant is not None:
        return _ECMA_TYPES.get(constant.kind, frozenset())
    found = _declared_type(node, file)
    return frozenset({found}) if found is not None else frozenset()


def _python_type(node: Node, file: ParsedFile, depth: int) -> str | None:
    """Return the type of an expression of Python, as far as Semgrep tells it."""
    kind = node.kind
    if kind in _LITERAL_TYPES:
        return _LITERAL_TYPES[kind]
    if depth > _DEEPEST_TYPE:
        return None
    if kind == "identifier":
        known = file.constant(node)
        if known is not None and (known.kind in _KNOWN_TYPES or known.value is not None):
            return known.kind if known.kind in _BUILTIN_TYPES else None
        return _declared_type(node, file)
    if kind == "binary_operator" and node.op in _WHOLE_NUMBERS:
        parts = {_python_type(child, file, depth + 1) for child in node.children}
        return "int" if parts == {"int"} else None
    if kind == "conditional_expression" and len(node.children) == 3:
        first = _python_type(node.children[0], file, depth + 1)
        return first if first == _python_type(node.children[2], file, depth + 1) else None
    if kind == "call":
        made = _declared_type(node, file)
        return made if made not in _BUILTIN_TYPES else None
    return None


def _declared_type(node: Node, file: ParsedFile) -> str | None:
    """Return the type that an annotation, a first value or a constructor gives an expression."""
    if node.kind == "call":
        return file.dotted(node.children[0])
    if node.kind != "identifier":
        return None
    declared = _declarations(file).get(node.label or "", ())
    if not declared:
        return None
    for around in node.ancestors():
        if around.kind in _HOLDERS:
            for holder, start, kind in declared:
                if holder is around and start <= node.start:
                    return kind or None
    return None


def _declarations(file: ParsedFile) -> dict[str, list[tuple[Node, int, str]]]:
    """Return by name where in a file it is declared, in what, and with which type; made once.

    In Python the type of a plain first value counts, and a name without one has none.
    """
    known = file.memory.get(_declarations)
    if isinstance(known, dict):
        return known
    found: dict[str, list[tuple[Node, int, str]]] = {}
    is_python = file.language == "python"
    kinds = ["typed_parameter", "typed_default_parameter", "assignment"]
    for kind in [*kinds, "default_parameter"] if is_python else kinds:
        for part in file.by_kind.get(kind, ()):
            annotation = part.role("type")
            name = part.role("name") or part.role("left") or part.children[0]
            if name.kind != "identifier" or (annotation is None and not is_python):
                continue
            text = ""
            right = part.role("right")
            if annotation is not None:
                text = "".join(file.text(annotation).split())
            elif right is not None:
                text = _LITERAL_TYPES.get(right.kind, "")
            holder = _holder(part, classes=is_python)
            found.setdefault(name.label or "", []).append((holder, part.start, text))
    for places in found.values():
        places.sort(key=lambda place: place[1])
    file.memory[_declarations] = found
    return found


def _holder(node: Node, *, classes: bool) -> Node:
    """Return the function, class or module in which a name is declared."""
    around = node
    for around in node.ancestors():
        if around.kind in _HOLDERS or (classes and around.kind == "class_definition"):
            break
    return around
