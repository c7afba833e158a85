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

from tavo.scan.placeholders import ELLIPSIS, VARIABLE
from tavo.scan.tree import Node, SourceText

__all__ = ["BARE", "lower"]

_RENAMED = {
    "program": "module", "statement_block": "block", "null": "none",
    "formal_parameters": "parameters", "arguments": "argument_list", "string_fragment":
    "string_content", "await_expression": "await", "yield_expression": "yield",
    "throw_statement": "raise_statement", "array": "list", "array_pattern": "list",
    "object": "dictionary", "object_pattern": "dictionary", "sequence_expression":
    "expression_list", "spread_element": "list_splat", "rest_pattern": "list_splat",
    "assignment_expression": "assignment", "property_identifier": "identifier",
    "augmented_assignment_expression": "augmented_assignment", "this": "identifier",
    "private_property_identifier": "identifier", "type_identifier": "identifier",
    "super": "identifier", "undefined": "identifier", "statement_identifier": "identifier",
    "nested_identifier": "identifier", "predefined_type": "identifier", "literal_type":
    "identifier", "generic_type": "identifier", "template_substitution": "interpolation",
    "jsx_namespace_name": "identifier",
}  # fmt: skip
_COMPARISONS = frozenset({"==", "===", "!=", "!==", "<", "<=", ">", ">=", "in", "instanceof"})
_LOGICAL = frozenset({"&&", "||", "??"})
_NAME = re.compile(r"[A-Za-z_$][\w$]*\Z")
_METAVARIABLE = re.compile(r"\$([A-Z_][A-Z0-9_]*)\Z")
_SPLICED = "spliced"
BARE = "bare"
"""The `op` of a block that has no braces in the source."""


def lower(root: Node, source: SourceText) -> dict[str, list[Node]]:
    """Rewrite the tree in place; return its nodes by kind, in the order of the source."""
    order = list(root.walk())
    for node in reversed(order):
        rewrite = _REWRITES.get(node.kind)
        if rewrite is not None:
            rewrite(node)
        else:
            node.kind = _RENAMED.get(node.kind, node.kind)
        if any(child.kind == _SPLICED for child in node.children):
            _splice(node)
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


# -- tools


def _adopt(parent: Node, children: list[Node]) -> None:
    parent.children = children
    for child in children:
        child.parent = parent


def _made(kind: str, around: list[Node], parent: Node, role: str = "") -> Node:
    """Return a new node over children, or an empty one at the end of its parent."""
    start, end = (around[0].start, around[-1].end) if around else (parent.end, parent.end)
    node = Node(kind, start, end, parent)
    node.field = role
    _adopt(node, around)
    if any(child.kind == _SPLICED for child in around):
        _splice(node)
    return node


def _splice(node: Node) -> None:
    children: list[Node] = []
    for child in node.children:
        if child.kind == _SPLICED:
            for inner in child.children:
                inner.field = inner.field if child.field == "" else child.field
            children += child.children
        else:
            children.append(child)
    _adopt(node, children)


def _become(node: Node, other: Node | None) -> None:
    """Let a node stand for one of its parts, in its place and role."""
    node.kind = _SPLICED
    children = [other] if other is not None else []
    for child in children:
        child.field = node.field
    _adopt(node, children)


def _as_block(body: Node | None, parent: Node, role: str) -> Node:
    if body is None:
        return _without_braces([], parent, role)
    if body.kind == "block":
        body.field = role
        return body
    statements = body.children if body.kind == _SPLICED else [body]
    for statement in statements:
        statement.field = ""
    return _without_braces(statements, parent, role)


def _without_braces(statements: list[Node], parent: Node, role: str) -> Node:
    block = _made("block", statements, parent, role)
    block.op = BARE
    return block


def _roles(node: Node) -> dict[str, Node]:
    return {child.field: child for child in node.children if child.field}


# -- expressions


def _attribute(node: Node) -> None:
    node.kind = "attribute"
    parts = [c for c in node.children if c.kind != "optional_chain"]
    node.op = "?." if len(parts) < len(node.children) else ""
    _adopt(node, parts[:1] + parts[-1:] if len(parts) > 2 else parts)
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
    callee.field = "function"
    arguments = next((c for c in rest if c.kind == "argument_list"), None)
    if arguments is None:
        arguments = _made("argument_list", rest, node)
    arguments.field = "arguments"
    _adopt(node, [callee, arguments])


def _subscript(node: Node) -> None:
    node.kind = "subscript"
    _adopt(node, [c for c in node.children if c.kind != "optional_chain"])


def _conditional(node: Node) -> None:
    node.kind = "conditional_expression"
    parts = _roles(node)
    if {"condition", "consequence", "alternative"} <= parts.keys():
        _adopt(node, [parts["consequence"], parts["condition"], parts["alternative"]])


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
        node.kind = "fstring"
        return
    node.kind = "string"
    node.value = "".join(child.label or "" for child in node.children)
    node.children = []
    node.op = "`"


def _interpolation(node: Node) -> None:
    node.kind = "interpolation"
    for child in node.children:
        child.field = "expression"


def _cast(node: Node) -> None:
    """`x as T`, `x satisfies T`, `x!` and `<T>x` are x."""
    index = -1 if node.kind == "type_assertion" else 0
    _become(node, node.children[index] if node.children else None)


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
        _become(node, left)
    else:
        _become(node, left)


def _default_pattern(node: Node) -> None:
    """`a = 1` as a parameter has a default; in a destructuring it is what it binds."""
    node.kind = "default_parameter"
    parts = _roles(node)
    if "left" in parts:
        parts["left"].field = "name"
    if "right" in parts:
        parts["right"].field = "value"


def _items(node: Node) -> None:
    node.kind = "list"
    for child in node.children:
        if child.kind == "default_parameter" and child.children:
            _become(child, child.children[0])


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
    _adopt(function, [c for c in node.children if c is not name])
    node.kind, node.op = "pair", ""
    _adopt(node, [_property_name(name), function])


# -- functions and classes


def _function(node: Node) -> None:
    is_expression = node.kind in {"arrow_function", "function_expression", "generator_function"}
    node.kind = "lambda" if is_expression else "function_definition"
    node.op = "async" if "async" in node.op.split() else ""
    parts = _roles(node)
    if "parameter" in parts:
        parts["parameters"] = _made("parameters", [parts["parameter"]], node, "parameters")
        parts["parameter"].field = ""
    if "parameters" not in parts:
        parts["parameters"] = _made("parameters", [], node, "parameters")
    wanted = ("name", "parameters", "return_type", "body")
    _adopt(node, [parts[role] for role in wanted[is_expression:] if role in parts])


def _parameter(node: Node) -> None:
    """A parameter with a type, a default value, or neither."""
    parts = _roles(node)
    name = parts.get("pattern") or parts.get("name")
    if name is None:
        name = next((c for c in node.children if c.kind != "decorator"), None)
    if name is None:
        node.kind = "ERROR"
        return
    kind, value = parts.get("type"), parts.get("value")
    if kind is None and value is None:
        _become(node, name)
        return
    name.field = "name"
    if value is None:
        node.kind = "typed_parameter"
    else:
        node.kind = "typed_default_parameter" if kind is not None else "default_parameter"
    _adopt(node, [part for part in (name, kind, value) if part is not None])


def _parameters(node: Node) -> None:
    node.kind = "parameters"
    for child in node.children:
        inner = child.children[0] if child.kind == _SPLICED and child.children else child
        if inner.kind == "list_splat":
            inner.kind = "list_splat_pattern"


def _class(node: Node) -> None:
    decorators = [c for c in node.children if c.kind == "decorator"]
    if decorators:
        inner = Node(node.kind, node.start, node.end, node)
        inner.op, inner.field = node.op, "definition"
        _adopt(inner, [c for c in node.children if c.kind != "decorator"])
        _class(inner)
        node.kind, node.op = "decorated_definition", ""
        _adopt(node, [*decorators, inner])
        return
    node.kind = "class_definition"
    node.op = ""
    name, body = node.role("name"), node.role("body")
    heritage = next((c for c in node.children if c.kind == "class_heritage"), None)
    parts: list[Node] = []
    if name is None:
        name = Node("identifier", node.start, node.start, node)
        name.label = ""
    name.field = "name"
    parts.append(name)
    if heritage is not None:
        bases = [c for c in heritage.children if c.kind != "extends_clause"]
        for clause in heritage.children:
            if clause.kind == "extends_clause":
                bases += clause.children
        for base in bases:
            base.field = ""
        parts.append(_made("argument_list", bases, node, "superclasses"))
    if body is not None:
        parts.append(body)
    _adopt(node, parts)


def _class_body(node: Node) -> None:
    """Put the decorators of a member, which stand before it, around it."""
    node.kind = "block"
    members: list[Node] = []
    waiting: list[Node] = []
    for child in node.children:
        if child.kind == "decorator":
            waiting.append(child)
        elif waiting and child.kind == "function_definition":
            child.field = "definition"
            members.append(_made("decorated_definition", [*waiting, child], node))
            waiting = []
        else:
            members += [*waiting, child]
            waiting = []
    _adopt(node, [*members, *waiting])


def _field(node: Node) -> None:
    node.kind, node.op = "assignment", "field"
    parts = _roles(node)
    left, right = parts.get("name") or parts.get("property"), parts.get("value")
    if left is None:
        node.kind = "ERROR"
        return
    if (left.label or "") == ELLIPSIS:
        _become(node, left)  # of a pattern: any members
        return
    left.field = "left"
    found = [left]
    if right is not None:
        right.field = "right"
        found.append(right)
    if "type" in parts:
        found.append(parts["type"])
    _adopt(node, found)


# -- statements


def _declaration(node: Node) -> None:
    word = node.op.split()[-1] if node.op else ""
    for child in node.children:
        if child.kind == "assignment":
            child.op = word
    node.kind = _SPLICED


def _declarator(node: Node) -> None:
    node.kind = "assignment"
    parts = _roles(node)
    found: list[Node] = []
    for old, new in (("name", "left"), ("value", "right"), ("type", "type")):
        if old in parts:
            parts[old].field = new
            found.append(parts[old])
    _adopt(node, found)


def _export(node: Node) -> None:
    parts = _roles(node)
    declared = parts.get("declaration")
    decorators = [c for c in node.children if c.kind == "decorator"]
    if declared is not None and decorators and declared.kind == "class_definition":
        node.kind, node.op, declared.field = "decorated_definition", "", "definition"
        _adopt(node, [*decorators, declared])
        return
    if declared is not None and declared.kind != _SPLICED:
        _become(node, declared)
        declared.field = ""
    elif declared is not None:
        node.kind = _SPLICED
        _adopt(node, declared.children)
    else:
        value = parts.get("value")
        node.kind, node.op = "export_statement", "default" if "default" in node.op else ""
        _adopt(node, [value] if value is not None else [])


def _if(node: Node) -> None:
    parts = _roles(node)
    condition, alternative = parts.get("condition"), parts.get("alternative")
    if condition is None:
        node.kind = "ERROR"
        return
    consequence = _as_block(parts.get("consequence"), node, "consequence")
    clauses: list[Node] = []
    if alternative is not None:
        inner = alternative.children[0] if alternative.children else None
        if inner is not None and inner.kind == "if_statement" and len(alternative.children) == 1:
            first, body, *rest = inner.children
            clause = _made("elif_clause", [first, body], node, "alternative")
            clause.start = inner.start
            clauses = [clause, *rest]
        else:
            body = _as_block(inner, alternative, "body")
            _adopt(alternative, [body])
            clauses = [alternative]
    _adopt(node, [condition, consequence, *clauses])


def _loop(node: Node) -> None:
    parts = _roles(node)
    kinds = {"for_in_statement": "for_statement", "for_statement": "c_for_statement"}
    if node.kind == "for_in_statement":
        node.op = "of" if "of" in node.op.split() else "in"
    node.kind = kinds.get(node.kind, node.kind)
    body = _as_block(parts.get("body"), node, "body")
    order = ("left", "right", "initializer", "condition", "increment")
    found = [parts[role] for role in order if role in parts]
    _adopt(node, [*found, body])


def _switch(node: Node) -> None:
    parts = _roles(node)
    node.kind = "match_statement"
    value, body = parts.get("value"), parts.get("body")
    if value is None or body is None:
        node.kind = "ERROR"
        return
    value.field, body.kind, body.field = "subject", "block", "body"
    _adopt(node, [value, body])


def _case(node: Node) -> None:
    node.kind = "case_clause"
    value = node.role("value")
    statements = [c for c in node.children if c is not value]
    flat: list[Node] = []
    for statement in statements:
        flat += statement.children if statement.kind == _SPLICED else [statement]
    if flat and flat[-1].kind == "break_statement" and not flat[-1].children:
        flat.pop()
    for statement in flat:
        statement.field = ""
    block = _made("block", flat, node, "consequence")
    _adopt(node, [value, block] if value is not None else [block])


def _try(node: Node) -> None:
    for child in node.children:
        if child.kind in {"except_clause", "finally_clause"}:
            child.field = ""


def _catch(node: Node) -> None:
    node.kind = "except_clause"


def _labelled(node: Node) -> None:
    body = node.role("body") or (node.children[-1] if node.children else None)
    _become(node, body)
    if body is not None:
        body.field = ""


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
    _adopt(node, [
        name, _made("jsx_attributes", attributes, node, "attributes"),
        _made("jsx_children", texts, node, "children"),
    ])  # fmt: skip


def _jsx_text(node: Node) -> None:
    text = (node.label or "").strip()
    if text.startswith("TAVO__") and text.isidentifier():
        node.kind, node.label, node.op = "identifier", text, "text"


def _jsx_expression(node: Node) -> None:
    _become(node, node.children[0] if node.children else None)


def _jsx_attribute(node: Node) -> None:
    if node.children:
        node.children[0].field = "label"
    if len(node.children) > 1:
        node.children[-1].field = "value"


def _import(node: Node) -> None:
    node.op = "es"


_REWRITES: dict[str, Callable[[Node], None]] = {
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
    "function_declaration": _function,
    "generator_function_declaration": _function,
    "method_definition": _function,
    "arrow_function": _function,
    "function_expression": _function,
    "generator_function": _function,
    "required_parameter": _parameter,
    "optional_parameter": _parameter,
    "formal_parameters": _parameters,
    "class_body": _class_body,
    "class_declaration": _class,
    "abstract_class_declaration": _class,
    "class": _class,
    "public_field_definition": _field,
    "field_definition": _field,
    "lexical_declaration": _declaration,
    "variable_declaration": _declaration,
    "variable_declarator": _declarator,
    "export_statement": _export,
    "if_statement": _if,
    "for_statement": _loop,
    "for_in_statement": _loop,
    "while_statement": _loop,
    "do_statement": _loop,
    "switch_statement": _switch,
    "switch_case": _case,
    "switch_default": _case,
    "try_statement": _try,
    "catch_clause": _catch,
    "labeled_statement": _labelled,
    "jsx_element": _element,
    "jsx_self_closing_element": _element,
    "jsx_text": _jsx_text,
    "jsx_expression": _jsx_expression,
    "jsx_attribute": _jsx_attribute,
    "import_statement": _import,
}
