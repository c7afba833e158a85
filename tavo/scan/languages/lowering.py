"""JavaScript's and TypeScript's tree -> the general tree, whose kinds all languages share.

Rules this module keeps:
- what has a counterpart in the general tree becomes it: declarations are assignments, objects are
  dictionaries, function expressions are lambdas, `else if` is an `elif`; what has none keeps a
  kind of its own: `c_for_statement`, `do_statement`, `update_expression`, `regex`, `jsx_element`;
- a body is always a block, and the name of a property is an identifier with the field `label`,
  so that nobody takes it for a variable;
- types are text, in the role `type`; casts are what they cast.

The kinds: see `tavo.scan.tree`. Nodes are rewritten children first, without recursion.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tavo.scan.languages.ecma_statements import STATEMENTS
from tavo.scan.languages.rewriting import SPLICED, adopt, become, made, roles, splice
from tavo.scan.placeholders import ELLIPSIS, VARIABLE
from tavo.scan.tree import Node

__all__ = ["COMPUTED", "lower"]

COMPUTED = "computed"
"""The role of the key in `{[key]: value}`."""

_RENAMED = {
    "program": "module", "statement_block": "block", "null": "none",
    "formal_parameters": "parameters", "arguments": "argument_list",
    "string_fragment": "string_content", "escape_sequence": "string_content",
    "await_expression": "await", "yield_expression": "yield",
    "throw_statement": "raise_statement", "array": "list", "array_pattern": "list",
    "object": "dictionary", "object_pattern": "dictionary", "sequence_expression":
    "expression_list", "spread_element": "list_splat", "rest_pattern": "list_splat",
    "assignment_expression": "assignment", "property_identifier": "identifier",
    "augmented_assignment_expression": "augmented_assignment", "this": "identifier",
    "private_property_identifier": "identifier", "type_identifier": "identifier",
    "super": "identifier", "undefined": "identifier", "statement_identifier": "identifier",
    "nested_identifier": "identifier", "predefined_type": "identifier", "literal_type":
    "identifier", "generic_type": "identifier", "template_substitution": "interpolation",
    "jsx_namespace_name": "identifier", "meta_property": "identifier",
}  # fmt: skip
_COMPARISONS = frozenset({"==", "===", "!=", "!==", "<", "<=", ">", ">=", "in", "instanceof"})
_LOGICAL = frozenset({"&&", "||", "??"})
_NAME = re.compile(r"[A-Za-z_$][\w$]*\Z")
_METAVARIABLE = re.compile(r"\$([A-Z_][A-Z0-9_]*)\Z")


def lower(root: Node, order: list[Node]) -> dict[str, list[Node]]:
    """Rewrite the tree in place; return its nodes by kind, in the order of the source.

    `order` lists all nodes, parents first.
    """
    find, renamed = _REWRITES.get, _RENAMED
    for node in reversed(order):
        kind = node.kind
        rewrite = find(kind)
        if rewrite is not None:
            rewrite(node)
        elif kind in renamed:
            node.kind = renamed[kind]
        for child in node.children:
            if child.kind == SPLICED:
                splice(node)
                break
    by_kind: dict[str, list[Node]] = {}
    for node in root.walk():
        known = by_kind.get(node.kind)
        if known is None:
            by_kind[node.kind] = [node]
        else:
            known.append(node)
    for nodes in by_kind.values():
        nodes.sort(key=_start)
    return by_kind


def _start(node: Node) -> int:
    return node.start


# -- expressions


def _attribute(node: Node) -> None:
    node.kind = "attribute"
    parts = [c for c in node.children if c.kind != "optional_chain"]
    node.op = "?." if len(parts) < len(node.children) else ""
    adopt(node, parts[:1] + parts[-1:] if len(parts) > 2 else parts)
    if len(parts) >= 2:
        node.children[-1].field = "attribute"


def _call(node: Node) -> None:
    is_new = node.kind == "new_expression"
    parts = [c for c in node.children if c.kind != "optional_chain"]
    node.kind, node.op = "call", "new" if is_new else ""
    if not parts:
        node.kind = "ERROR"
        return
    callee, *rest = parts
    if callee.kind == "expression_list" and _is_number_before(callee):
        callee = callee.children[1]  # `(0, module.f)(x)`, as compilers write it
    callee.field = "function"
    arguments = next((c for c in rest if c.kind == "argument_list"), None)
    if arguments is None:
        arguments = made("argument_list", rest, node)
    arguments.field = "arguments"
    adopt(node, [callee, arguments])


def _is_number_before(node: Node) -> bool:
    return len(node.children) == 2 and node.children[0].label in {"0", "1"}


def _subscript(node: Node) -> None:
    node.kind = "subscript"
    adopt(node, [c for c in node.children if c.kind != "optional_chain"])


def _conditional(node: Node) -> None:
    node.kind = "conditional_expression"
    parts = roles(node)
    if {"condition", "consequence", "alternative"} <= parts.keys():
        adopt(node, [parts["consequence"], parts["condition"], parts["alternative"]])


def _binary(node: Node) -> None:
    if node.op in _LOGICAL:
        node.kind = "boolean_operator"
    elif node.op in _COMPARISONS:
        node.kind = "comparison_operator"
    else:
        node.kind = "binary_operator"


def _unary(node: Node) -> None:
    node.kind = "not_operator" if node.op == "!" else "unary_operator"
    if node.kind == "not_operator":
        node.op = ""


def _number(node: Node) -> None:
    text = node.label or ""
    is_float = "." in text or ("e" in text.lower() and not text.lower().startswith("0x"))
    node.kind = "float" if is_float else "integer"
    node.label = text.rstrip("n")


def _template(node: Node) -> None:
    if any(child.kind == "interpolation" for child in node.children):
        node.kind, node.value = "fstring", None
        return
    node.kind = "string"  # whose parts between escapes stay its children, as Semgrep has them
    node.op = "`"


def _interpolation(node: Node) -> None:
    node.kind = "interpolation"
    for child in node.children:
        child.field = "expression"


def _cast(node: Node) -> None:
    """`x as T`, `x satisfies T`, `x!` and `<T>x` are x."""
    index = -1 if node.kind == "type_assertion" else 0
    become(node, node.children[index] if node.children else None)


def _property_name(node: Node) -> Node:
    """Return the name of a property as an identifier, where it is a fixed name."""
    if node.kind == "string" and node.value is not None:
        variable = _METAVARIABLE.match(node.value)
        if _NAME.match(node.value):
            node.label = f"{VARIABLE}{variable[1]}" if variable else node.value
            node.kind, node.value = "identifier", None
    if node.kind == "identifier":
        node.field = "label"
    return node


def _pair(node: Node) -> None:
    node.kind = "pair"
    if len(node.children) == 2:
        if node.children[0].field == COMPUTED:
            node.op = "["
        else:
            _property_name(node.children[0])
        node.children[1].field = "value"


def _shorthand(node: Node) -> None:
    """`{a}` is `{a: a}`."""
    if node.label == ELLIPSIS:
        node.kind = "identifier"
        return
    key, value = (Node("identifier", node.start, node.end, node) for _ in range(2))
    key.label = value.label = node.label
    key.field, value.field = "label", "value"
    node.kind, node.label = "pair", None
    node.children = [key, value]


def _default_in_object(node: Node) -> None:
    """`{a = 1}` in a pattern is `{a: a}` for what it binds."""
    left = node.children[0] if node.children else None
    if left is None:
        node.kind = "ERROR"
    elif left.kind == "pair":
        left.children[-1].op = "="
        become(node, left)
    else:
        become(node, left)


def _default_pattern(node: Node) -> None:
    """`a = 1` as a parameter has a default; in a destructuring it is what it binds."""
    node.kind = "default_parameter"
    parts = roles(node)
    if "left" in parts:
        parts["left"].field = "name"
    if "right" in parts:
        parts["right"].field = "value"


def _items(node: Node) -> None:
    node.kind = "list"
    for child in node.children:
        if child.kind == "default_parameter" and child.children:
            become(child, child.children[0])


def _object(node: Node) -> None:
    node.kind = "dictionary"
    for child in node.children:
        if child.kind == "list_splat":
            child.kind = "dictionary_splat"
        elif child.kind == "function_definition":
            _method_as_pair(child)
        elif child.kind == "pair" and len(child.children) == 2:
            value = child.children[1]
            if value.kind == "default_parameter" and value.children:
                value.children[0].parent = child
                child.children[1] = value.children[0]
                child.children[1].field = "value"


def _method_as_pair(node: Node) -> None:
    name = node.role("name")
    if name is None:
        return
    function = Node("lambda", node.start, node.end, node)
    function.op, function.field = node.op, "value"
    adopt(function, [c for c in node.children if c is not name])
    node.kind, node.op = "pair", ""
    adopt(node, [_property_name(name), function])


# -- JSX


def _element(node: Node) -> None:
    opening = node.role("open_tag")
    inner = [c for c in node.children if c is not opening]
    is_closed = opening is None
    if opening is None:
        opening, inner = node, []
    name = opening.role("name")
    attributes = [c for c in opening.children if c.field == "attribute"]
    for child in (*inner, *attributes):
        child.field = ""
    if node.kind != "jsx_element" or name is None:
        name = name or Node("identifier", node.start, node.start, node)
        name.label = name.label or ""
    name.field = "name"
    node.kind, node.op = "jsx_element", "/" if is_closed else ""
    texts = [c for c in inner if c.kind != "jsx_text" or (c.label or "").strip()]
    adopt(node, [
        name, made("jsx_attributes", attributes, node, "attributes"),
        made("jsx_children", texts, node, "children"),
    ])  # fmt: skip


def _jsx_text(node: Node) -> None:
    text = (node.label or "").strip()
    if text.startswith("TAVO__") and text.isidentifier():
        node.kind, node.label, node.op = "identifier", text, "text"


def _jsx_expression(node: Node) -> None:
    become(node, node.children[0] if node.children else None)


def _jsx_attribute(node: Node) -> None:
    if node.children:
        node.children[0].field = "label"
    if len(node.children) > 1:
        node.children[-1].field = "value"


def _import(node: Node) -> None:
    node.op = "es"


_REWRITES: dict[str, Callable[[Node], None]] = {
    **STATEMENTS,
    "member_expression": _attribute,
    "call_expression": _call,
    "new_expression": _call,
    "subscript_expression": _subscript,
    "ternary_expression": _conditional,
    "binary_expression": _binary,
    "unary_expression": _unary,
    "number": _number,
    "template_string": _template,
    "template_substitution": _interpolation,
    "as_expression": _cast,
    "satisfies_expression": _cast,
    "non_null_expression": _cast,
    "type_assertion": _cast,
    "pair": _pair,
    "pair_pattern": _pair,
    "shorthand_property_identifier": _shorthand,
    "shorthand_property_identifier_pattern": _shorthand,
    "object_assignment_pattern": _default_in_object,
    "assignment_pattern": _default_pattern,
    "object": _object,
    "object_pattern": _object,
    "array_pattern": _items,
    "jsx_element": _element,
    "jsx_self_closing_element": _element,
    "jsx_text": _jsx_text,
    "jsx_expression": _jsx_expression,
    "jsx_attribute": _jsx_attribute,
    "import_statement": _import,
}
