"""JavaScript's functions, classes and statements in the general tree.

Rules this module keeps: see `tavo.scan.languages.lowering`, which applies these rewrites.
"""

from __future__ import annotations

from collections.abc import Callable

from tavo.scan.languages.rewriting import SPLICED, adopt, as_block, become, made, roles
from tavo.scan.placeholders import ELLIPSIS
from tavo.scan.tree import Node

__all__ = ["STATEMENTS"]


# -- functions and classes


def _function(node: Node) -> None:
    is_expression = node.kind in {"arrow_function", "function_expression", "generator_function"}
    node.kind = "lambda" if is_expression else "function_definition"
    node.op = "async" if "async" in node.op.split() else ""
    parts = roles(node)
    if "parameter" in parts:
        parts["parameters"] = made("parameters", [parts["parameter"]], node, "parameters")
        parts["parameter"].field = ""
    if "parameters" not in parts:
        parts["parameters"] = made("parameters", [], node, "parameters")
    wanted = ("name", "parameters", "return_type", "body")
    adopt(node, [parts[role] for role in wanted[is_expression:] if role in parts])


def _parameter(node: Node) -> None:
    """A parameter with a type, a default value, or neither."""
    parts = roles(node)
    name = parts.get("pattern") or parts.get("name")
    if name is None:
        name = next((c for c in node.children if c.kind != "decorator"), None)
    if name is None:
        node.kind = "ERROR"
        return
    kind, value = parts.get("type"), parts.get("value")
    if kind is None and value is None:
        become(node, name)
        return
    name.field = "name"
    if value is None:
        node.kind = "typed_parameter"
    else:
        node.kind = "typed_default_parameter" if kind is not None else "default_parameter"
    adopt(node, [part for part in (name, kind, value) if part is not None])


def _parameters(node: Node) -> None:
    node.kind = "parameters"
    for child in node.children:
        inner = child.children[0] if child.kind == SPLICED and child.children else child
        if inner.kind == "list_splat":
            inner.kind = "list_splat_pattern"


def _class(node: Node) -> None:
    decorators = [c for c in node.children if c.kind == "decorator"]
    if decorators:
        inner = Node(node.kind, node.start, node.end, node)
        inner.op, inner.field = node.op, "definition"
        adopt(inner, [c for c in node.children if c.kind != "decorator"])
        _class(inner)
        node.kind, node.op = "decorated_definition", ""
        adopt(node, [*decorators, inner])
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
        parts.append(made("argument_list", bases, node, "superclasses"))
    if body is not None:
        parts.append(body)
    adopt(node, parts)


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
            members.append(made("decorated_definition", [*waiting, child], node))
            waiting = []
        else:
            members += [*waiting, child]
            waiting = []
    adopt(node, [*members, *waiting])


def _field(node: Node) -> None:
    node.kind, node.op = "assignment", "field"
    parts = roles(node)
    left, right = parts.get("name") or parts.get("property"), parts.get("value")
    if left is None:
        node.kind = "ERROR"
        return
    if (left.label or "") == ELLIPSIS:
        become(node, left)  # of a pattern: any members
        return
    left.field = "left"
    found = [left]
    if right is not None:
        right.field = "right"
        found.append(right)
    if "type" in parts:
        found.append(parts["type"])
    adopt(node, found)


# -- statements


def _declaration(node: Node) -> None:
    word = node.op.split()[-1] if node.op else ""
    for child in node.children:
        if child.kind == "assignment":
            child.op = word
    node.kind = SPLICED


def _declarator(node: Node) -> None:
    node.kind = "assignment"
    parts = roles(node)
    found: list[Node] = []
    for old, new in (("name", "left"), ("value", "right"), ("type", "type")):
        if old in parts:
            parts[old].field = new
            found.append(parts[old])
    adopt(node, found)


def _export(node: Node) -> None:
    parts = roles(node)
    declared = parts.get("declaration")
    decorators = [c for c in node.children if c.kind == "decorator"]
    if declared is not None and decorators and declared.kind == "class_definition":
        node.kind, node.op, declared.field = "decorated_definition", "", "definition"
        adopt(node, [*decorators, declared])
        return
    if declared is not None and declared.kind != SPLICED:
        become(node, declared)
        declared.field = ""
    elif declared is not None:
        node.kind = SPLICED
        adopt(node, declared.children)
    else:
        value = parts.get("value")
        node.kind, node.op = "export_statement", "default" if "default" in node.op else ""
        adopt(node, [value] if value is not None else [])


def _if(node: Node) -> None:
    parts = roles(node)
    condition, alternative = parts.get("condition"), parts.get("alternative")
    if condition is None:
        node.kind = "ERROR"
        return
    consequence = as_block(parts.get("consequence"), node, "consequence")
    clauses: list[Node] = []
    if alternative is not None:
        inner = alternative.children[0] if alternative.children else None
        if inner is not None and inner.kind == "if_statement" and len(alternative.children) == 1:
            first, body, *rest = inner.children
            clause = made("elif_clause", [first, body], node, "alternative")
            clause.start = inner.start
            clauses = [clause, *rest]
        else:
            body = as_block(inner, alternative, "body")
            adopt(alternative, [body])
            clauses = [alternative]
    adopt(node, [condition, consequence, *clauses])


def _loop(node: Node) -> None:
    parts = roles(node)
    kinds = {"for_in_statement": "for_statement", "for_statement": "c_for_statement"}
    if node.kind == "for_in_statement":
        node.op = "of" if "of" in node.op.split() else "in"
    node.kind = kinds.get(node.kind, node.kind)
    body = as_block(parts.get("body"), node, "body")
    order = ("left", "right", "initializer", "condition", "increment")
    found = [parts[role] for role in order if role in parts]
    adopt(node, [*found, body])


def _switch(node: Node) -> None:
    parts = roles(node)
    node.kind = "match_statement"
    value, body = parts.get("value"), parts.get("body")
    if value is None or body is None:
        node.kind = "ERROR"
        return
    value.field, body.kind, body.field = "subject", "block", "body"
    adopt(node, [value, body])


def _case(node: Node) -> None:
    node.kind = "case_clause"
    value = node.role("value")
    statements = [c for c in node.children if c is not value]
    flat: list[Node] = []
    for statement in statements:
        flat += statement.children if statement.kind == SPLICED else [statement]
    if flat and flat[-1].kind == "break_statement" and not flat[-1].children:
        flat.pop()
    for statement in flat:
        statement.field = ""
    block = made("block", flat, node, "consequence")
    adopt(node, [value, block] if value is not None else [block])


def _try(node: Node) -> None:
    for child in node.children:
        if child.kind in {"except_clause", "finally_clause"}:
            child.field = ""


def _catch(node: Node) -> None:
    node.kind = "except_clause"


def _labelled(node: Node) -> None:
    body = node.role("body") or (node.children[-1] if node.children else None)
    become(node, body)
    if body is not None:
        body.field = ""


STATEMENTS: dict[str, Callable[[Node], None]] = {
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
}
"""What is done with nodes of these kinds of the grammar."""
