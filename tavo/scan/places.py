"""Where in a file a pattern can match at all, and which range a match of a node has.

Rules this module keeps:
- every node that a pattern's test accepts is among its places; most others are not;
- places come from indexes of the file that are made once and shared by all patterns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tavo.scan.literals import LiteralCompiler
from tavo.scan.parsed import ParsedFile
from tavo.scan.pattern import DEEP, TYPED
from tavo.scan.tree import Node

__all__ = ["Places", "places_of", "span_of"]

Places = Callable[[ParsedFile], Iterable[Node]]

_EXPRESSIONS = (
    "identifier", "attribute", "call", "subscript", "string", "fstring", "integer", "float",
    "true", "false", "none", "list", "tuple", "set", "dictionary", "list_comprehension",
    "set_comprehension",
    "dictionary_comprehension", "generator_expression", "binary_operator", "boolean_operator",
    "comparison_operator", "unary_operator", "not_operator", "conditional_expression", "lambda",
    "await", "yield", "named_expression", "assignment", "augmented_assignment", "expression_list",
    "pattern_list", "tuple_pattern", "list_pattern", "interpolation", "ellipsis", "regex",
    "update_expression", "jsx_element", "instruction", "command",
)  # fmt: skip
_COMPUTED = ("identifier", "binary_operator", "unary_operator", "not_operator",
             "conditional_expression", "fstring")  # fmt: skip
_NAMES_ONLY = frozenset({"parameters", "lambda_parameters", "dotted_name", "aliased_import",
                         "global_statement", "nonlocal_statement"})  # fmt: skip


def places_of(compiler: LiteralCompiler, node: Node) -> Places:
    """Return where the pattern `node` can match."""
    kind = node.kind
    if kind == "decorated_definition":
        definition = node.role("definition")
        kind = definition.kind if definition is not None else kind
    if kind == "identifier":
        if compiler.variable(node) is not None:
            return _expressions
        return _named(node.label or "")
    if kind == "call":
        return _calls(compiler, node)
    if kind == "attribute":
        last = node.children[-1]
        return _chains if compiler.variable(last) else _dotted(last)
    if kind in {"string", "integer", "float", "true", "false", "none", "regex"}:
        return _literals(kind, computed=node.op in {"", "`"})
    if kind == "assignment":
        right = node.role("right")
        if right is not None and right.kind == "call" and not compiler.symbolic:
            calls = _called(compiler, right)
            if calls is not None:
                return _assigned(calls)
        left = node.role("left")
        if left is not None and left.kind in {"subscript", "attribute"} and not left.op:
            wanted = left.kind
            return lambda file: [n for n in _assignments(file) if n.children[0].kind == wanted]
        return _assignments
    if kind == "function_definition":
        name = node.role("name")
        if name is not None and compiler.is_ellipsis(name):
            return _kinds("function_definition", "lambda")
    if kind == "return_statement":
        return _returns
    if kind in _OTHERS:
        return _kinds(*_OTHERS[kind])
    return _kinds(kind)


_OTHERS = {
    "if_statement": ("if_statement", "elif_clause"),
    "with_statement": ("with_item",),
    "import_statement": ("import_statement", "import_from_statement"),
    "import_from_statement": ("import_statement", "import_from_statement"),
    "dictionary": ("dictionary", "set", "dictionary_comprehension", "set_comprehension"),
    "set": ("dictionary", "set"),
    "tuple": ("tuple", "expression_list", "pattern_list", "tuple_pattern"),
    "expression_list": ("tuple", "expression_list", "pattern_list", "tuple_pattern"),
    "list": ("list", "list_pattern", "list_comprehension", "generator_expression"),
    "generator_expression": ("generator_expression", "list_comprehension"),
    "for_statement": ("for_statement", "c_for_statement"),
}


def span_of(node: Node) -> tuple[int, int]:
    """Return the byte range that a match of a node has."""
    kind, start, end = node.kind, node.start, node.end
    parent = node.parent
    if kind in {"function_definition", "class_definition"}:
        if parent is not None and parent.kind == "decorated_definition":
            return parent.start, parent.end
    elif kind == "with_item":
        for around in node.ancestors():
            if around.kind == "with_statement":
                return start, around.end
    elif kind == "with_statement":
        items = [n for n in node.walk() if n.kind == "with_item"]
        return (items[0].start if items else start), end
    elif kind == "elif_clause" and parent is not None:
        return start, parent.end
    elif kind in {"for_statement", "while_statement"}:
        body, target = node.role("body"), node.role("left")
        if node.op == "async" and target is not None:
            start = max(start, target.start - len("for "))
        return start, body.end if body is not None else end
    elif kind in {"import_from_statement", "import_statement", "raise_statement"} and node.children:
        last = node.children[-1]
        if last.field == "cause" and len(node.children) > 1:
            last = node.children[-2]
        return start, last.end
    elif kind == "delete_statement" and node.children:
        return node.children[0].start, node.children[0].end
    return start, end


# -- kinds of places


def _kinds(*kinds: str) -> Places:
    if len(kinds) == 1:
        kind = kinds[0]
        return lambda file: file.by_kind.get(kind, ())
    return lambda file: [node for kind in kinds for node in file.by_kind.get(kind, ())]


def _is_value(node: Node) -> bool:
    """Tell whether an identifier is an expression, not a part of another construct."""
    parent = node.parent
    if parent is None or parent.kind in _NAMES_ONLY:
        return False
    if parent.kind == "attribute":
        return node is parent.children[0]
    if node.field == "name":
        return parent.kind == "named_expression"
    return node.field != "label"


def _is_parameter(node: Node) -> bool:
    """Tell whether a node is a parameter that takes an object or array apart."""
    parent = node.parent
    if parent is None or node.kind not in {"dictionary", "list"}:
        return False
    return parent.kind == "parameters" or (
        node.field == "name" and parent.parent is not None and parent.parent.kind == "parameters"
    )


def _chains(file: ParsedFile) -> Iterable[Node]:
    """Return what may be `a.b`: attributes, and names that imports bring."""
    imports = file.imports
    names = [n for n in file.by_kind.get("identifier", ()) if n.label in imports and _is_value(n)]
    return [*file.by_kind.get("attribute", ()), *names]


def _expressions(file: ParsedFile) -> Iterable[Node]:
    known = file.memory.get(_expressions)
    if not isinstance(known, list):
        known = [
            node
            for kind in _EXPRESSIONS
            for node in file.by_kind.get(kind, ())
            if kind != "identifier" or _is_value(node)
        ]
        if file.language == "javascript":  # there the text of a template is a string of its own
            known = [n for n in known if n.kind != "interpolation" and not _is_parameter(n)]
            known += file.by_kind.get("string_content", ())
        file.memory[_expressions] = known
    return known


def _identifiers(file: ParsedFile) -> dict[str, list[Node]]:
    known = file.memory.get(_identifiers)
    if isinstance(known, dict):
        return known
    found: dict[str, list[Node]] = {}
    for node in file.by_kind.get("identifier", ()):
        found.setdefault(node.label or "", []).append(node)
    file.memory[_identifiers] = found
    return found


def _named(name: str) -> Places:
    def named(file: ParsedFile) -> Iterable[Node]:
        found = _identifiers(file)
        nodes = list(found.get(name, ()))
        for alias, full in file.imports.items():
            if full == name and alias != name:
                nodes += found.get(alias, ())
        return [node for node in nodes if _is_value(node)]

    return named


def _dotted(last: Node) -> Places:
    label = last.label or ""

    def dotted(file: ParsedFile) -> Iterable[Node]:
        found = _identifiers(file)
        nodes = [
            node.parent
            for node in found.get(label, ())
            if node.parent is not None
            and node.parent.kind == "attribute"
            and node.parent.children[-1] is node
        ]
        for alias, full in file.imports.items():
            if full.endswith("." + label):
                nodes += [node for node in found.get(alias, ()) if _is_value(node)]
        return nodes

    return dotted


def _called(compiler: LiteralCompiler, node: Node) -> Places | None:
    callee = node.children[0]
    if callee.kind == "attribute":
        callee = callee.children[-1]
    name = callee.label or "" if callee.kind == "identifier" else ""
    if (
        not name
        or name in {DEEP, TYPED}
        or compiler.variable(callee)
        or compiler.is_ellipsis(callee)
    ):
        return None
    return lambda file: file.calls.get(name, ())


def _calls(compiler: LiteralCompiler, node: Node) -> Places:
    if node.children[0].kind == "identifier" and node.children[0].label in {DEEP, TYPED}:
        return _expressions
    calls = _called(compiler, node) or _kinds("call")
    if not compiler.takes_all(node.children[1]):
        return calls
    return lambda file: [*calls(file), *_bare_decorators(file)]


def _bare_decorators(file: ParsedFile) -> list[Node]:
    """Return the names in `@name`, which are called like those in `@name()`."""
    return [
        child
        for node in file.by_kind.get("decorator", ())
        for child in node.children
        if child.kind in {"identifier", "attribute"}
    ]


# Bodies of a lambda that Semgrep does not take for what it returns.
_NOT_RETURNED = frozenset({"block", "conditional_expression", "lambda"})


def _returns(file: ParsedFile) -> Iterable[Node]:
    """Return the return statements, and the bodies of lambdas, which are returned as well."""
    lambdas: Iterable[Node] = file.by_kind.get("lambda", ())
    if file.language == "python":
        lambdas = [node for node in lambdas if not _in_head(node)]
    bodies = [node.role("body") for node in lambdas]
    returns = file.by_kind.get("return_statement", [])
    kinds = _NOT_RETURNED if file.language == "python" else frozenset({"block"})
    return [*returns, *(body for body in bodies if body is not None and body.kind not in kinds)]


def _in_head(node: Node) -> bool:
    """Tell whether a lambda is a default of a parameter, or stands in a decorator."""
    for around in node.ancestors():
        if around.kind == "parameters":
            return True
        if around.kind == "decorated_definition":
            return all(child.kind != "class_definition" for child in around.children)
        if around.kind in {"block", "module"}:
            return False
    return False


def _literals(kind: str, *, computed: bool) -> Places:
    kinds = (kind, *_COMPUTED) if computed else (kind, "fstring")
    if kind == "string":
        kinds = (*kinds, "string_content")

    def literals(file: ParsedFile) -> Iterable[Node]:
        return [
            node
            for k in dict.fromkeys(kinds)
            for node in file.by_kind.get(k, ())
            if (k != "identifier" or _is_value(node))
            and (k != "string_content" or file.language == "javascript")
        ]

    return literals


def _assignments(file: ParsedFile) -> Iterable[Node]:
    """Return assignments and `:=`, of `a = b = c` only the outer one."""
    known = file.memory.get(_assignments)
    if not isinstance(known, list):
        known = [
            node
            for node in _both(file, _assigning(file))
            if node.parent is None
            or node.parent.kind != "assignment"
            or node.field != "right"
            or file.language == "javascript"  # where it is an expression of its own
        ]
        file.memory[_assignments] = known
    return known


def _assigning(file: ParsedFile) -> Sequence[str]:
    """Return the kinds that an assignment matches; in JavaScript also `+=`, as in Semgrep."""
    last = "augmented_assignment" if file.language == "javascript" else "named_expression"
    return ("assignment", last)


def _both(file: ParsedFile, kinds: Sequence[str]) -> list[Node]:
    return [node for kind in kinds for node in file.by_kind.get(kind, ())]


def _assigned(calls: Places) -> Places:
    """Return the assignments whose value is one of the calls."""

    def assigned(file: ParsedFile) -> Iterable[Node]:
        out: dict[Node, None] = {}
        for call in calls(file):
            node = call.parent
            if node is None or node.kind not in _assigning(file):
                continue
            outer = node.parent if file.language != "javascript" else None
            while outer is not None and outer.kind == "assignment":
                node, outer = outer, outer.parent
            out[node] = None
        return out

    return assigned
