"""Imported names: which dotted name a local name stands for.

Rules this module keeps:
- an import counts for the whole file, wherever it stands; the last one of a name wins;
- a name that no import brings stands for itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tavo.scan.tree import Node

__all__ = ["Imported", "expanded", "import_map", "imported"]


@dataclass(frozen=True, slots=True)
class Imported:
    """One name of an import statement.

    `module` is the module of a `from` import, empty for a plain one; `name` is what is imported,
    `*` for everything; `end` is the byte offset where this name ends; `node` is the name's node.
    """

    module: str
    name: str
    alias: str
    end: int
    node: Node
    is_from: bool

    @property
    def path(self) -> str:
        """The dotted name that the import brings."""
        if not self.is_from:
            return self.name
        return (
            self.module + self.name if self.module.endswith(".") else f"{self.module}.{self.name}"
        )


def imported(statement: Node) -> Iterator[Imported]:
    """Yield the names of an `import` or `from … import` statement."""
    is_from = statement.kind == "import_from_statement"
    module_node = statement.role("module_name") if is_from else None
    module = _dotted(module_node) if module_node is not None else ""
    for child in statement.children:
        if child is module_node:
            continue
        if child.kind == "wildcard_import":
            yield Imported(module, "*", "", child.end, child, is_from)
            continue
        target, alias = child, ""
        if child.kind == "aliased_import" and len(child.children) == 2:
            target = child.children[0]
            alias = child.children[1].label or ""
        if target.kind == "dotted_name":
            named = target.children[0] if len(target.children) == 1 else target
            yield Imported(module, _dotted(target), alias, child.end, named, is_from)


def import_map(statements: Iterator[Node]) -> dict[str, str]:
    """Return the dotted name of every local name that the statements bring under another one."""
    names: dict[str, str] = {}
    for statement in statements:
        for entry in imported(statement):
            if entry.name == "*":
                continue
            if entry.alias:
                names[entry.alias] = entry.path
            elif entry.is_from:
                names[entry.name] = entry.path
    return names


def expanded(node: Node, imports: Mapping[str, str]) -> Node | None:
    """Return the dotted name that a name stands for as attribute nodes at the same place.

    None if the node is not a name, or stands for itself.
    """
    dotted = imports.get(node.label or "") if node.kind == "identifier" else None
    if dotted is None or dotted.startswith("."):
        return None
    built: Node | None = None
    for part in dotted.split("."):
        name = Node("identifier", node.start, node.end, node.parent)
        name.label = part
        if built is None:
            built = name
            continue
        attribute = Node("attribute", node.start, node.end, node.parent)
        attribute.children = [built, name]
        built = attribute
    return built


def _dotted(node: Node) -> str:
    if node.kind == "relative_import":
        return "".join(child.label or _dotted(child) for child in node.children)
    return ".".join(child.label or "" for child in node.children)
