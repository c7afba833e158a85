"""Tools for rewriting a tree in place, for the readers of all languages.

Rules this module keeps:
- children know their parent after every step;
- a node that stands for several others, or for none, is `SPLICED` until its parent takes them in.
"""

from __future__ import annotations

from tavo.scan.tree import Node

__all__ = ["BARE", "SPLICED", "adopt", "as_block", "become", "made", "roles", "splice"]

SPLICED = "spliced"
"""The kind of a node whose children belong to its parent."""
BARE = "bare"
"""The `op` of a block that has no braces in the source."""


def adopt(parent: Node, children: list[Node]) -> None:
    """Give a node its children."""
    parent.children = children
    for child in children:
        child.parent = parent


def made(kind: str, around: list[Node], parent: Node, role: str = "") -> Node:
    """Return a new node over children, or an empty one at the end of its parent."""
    start, end = (around[0].start, around[-1].end) if around else (parent.end, parent.end)
    node = Node(kind, start, end, parent)
    node.field = role
    adopt(node, around)
    if any(child.kind == SPLICED for child in around):
        splice(node)
    return node


def splice(node: Node) -> None:
    """Take in what children that are spliced hold."""
    children: list[Node] = []
    for child in node.children:
        if child.kind == SPLICED:
            for inner in child.children:
                inner.field = inner.field if child.field == "" else child.field
            children += child.children
        else:
            children.append(child)
    adopt(node, children)


def become(node: Node, other: Node | None) -> None:
    """Let a node stand for one of its parts, in its place and role."""
    node.kind = SPLICED
    children = [other] if other is not None else []
    for child in children:
        child.field = node.field
    adopt(node, children)


def as_block(body: Node | None, parent: Node, role: str) -> Node:
    """Return a body as a block in a role, made where there are no braces."""
    if body is None:
        return _without_braces([], parent, role)
    if body.kind == "block":
        body.field = role
        return body
    statements = body.children if body.kind == SPLICED else [body]
    for statement in statements:
        statement.field = ""
    return _without_braces(statements, parent, role)


def _without_braces(statements: list[Node], parent: Node, role: str) -> Node:
    block = made("block", statements, parent, role)
    block.op = BARE
    return block


def roles(node: Node) -> dict[str, Node]:
    """Return the children of a node by their roles, of several the last."""
    return {child.field: child for child in node.children if child.field}
