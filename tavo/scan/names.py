"""Imported names: which dotted name a local name stands for.

Rules this module keeps:
- a name that no import brings stands for itself, and so does a parameter or variable of a function
  that has the name of an import.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from tavo.scan.scopes import FUNCTIONS, Scopes, function_around
from tavo.scan.tree import Node

__all__ = ["Imported", "Imports", "imported"]

_DOTTED = re.compile(r"[\w$]+(?:\.[\w$]+)*\Z")


class Imported(msgspec.Struct, frozen=True):
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


class Imports:
    """What the imports of one file bring.

    An import in a function counts in that function, any other one in the whole file; of several
    imports of a name the last one before its use counts.
    """

    def __init__(
        self,
        statements: Iterable[Node],
        scopes: Scopes,
        *,
        read: Callable[[Node], Iterator[Imported]] = imported,
    ) -> None:
        """Read the statements; `read` yields the names that one of them brings."""
        self._scopes = scopes
        self._entries: dict[str, list[tuple[Node | None, int, str]]] = {}
        self._known: dict[Node, str | None] = {}
        self._expanded: dict[Node, Node | None] = {}
        for statement in statements:
            scope = function_around(statement)
            for entry in read(statement):
                name = entry.alias or (entry.name if entry.is_from else "")
                if name and entry.name != "*":
                    found = self._entries.setdefault(name, [])
                    found.append((scope, statement.start, entry.path))

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield every local name with each dotted name that it stands for somewhere."""
        for name, entries in self._entries.items():
            for path in {path for _, _, path in entries}:
                yield name, path

    def of(self, node: Node) -> str | None:
        """Return the dotted name that a name stands for at its place, None for its own."""
        label = node.label or ""
        entries = self._entries.get(label)
        if entries is None:
            return None
        if node in self._known:
            return self._known[node]
        found = self._known[node] = self._look_up(node, label, entries)
        return found

    def _look_up(
        self, node: Node, label: str, entries: Sequence[tuple[Node | None, int, str]]
    ) -> str | None:
        if self._scopes.ever_own(label) or any(scope is not None for scope, _, _ in entries):
            for around in node.ancestors():
                if around.kind in FUNCTIONS:
                    own = [entry for entry in entries if entry[0] is around]
                    if own:
                        return _last_before(own, node.start)
                    if self._scopes.hides(around, label):
                        return None
        outer = [entry for entry in entries if entry[0] is None]
        return _last_before(outer, node.start) if outer else None

    def expanded(self, node: Node) -> Node | None:
        """Return the dotted name that a name stands for, as attribute nodes at the same place.

        None if the node is not a name, or stands for itself.
        """
        if node.kind != "identifier" or node.label not in self._entries:
            return None
        if node in self._expanded:
            return self._expanded[node]
        built = self._expanded[node] = self._expand(node)
        return built

    def _expand(self, node: Node) -> Node | None:
        dotted = self.of(node)
        if dotted is None:
            return None
        parts = dotted.split(".")
        if not _DOTTED.match(dotted):
            head, _, last = dotted.rpartition(".")
            if "/" not in head or not _DOTTED.match(last):
                return None  # a relative import
            parts = [head, last]  # a module whose name is a path
        built: Node | None = None
        for part in parts:
            name = Node("identifier", node.start, node.end, node.parent)
            name.label = part
            if built is None:
                built = name
                continue
            attribute = Node("attribute", node.start, node.end, node.parent)
            attribute.children = [built, name]
            built = attribute
        return built


def _last_before(entries: Sequence[tuple[Node | None, int, str]], position: int) -> str | None:
    before = [path for _, start, path in entries if start <= position]
    return before[-1] if before else None


def _dotted(node: Node) -> str:
    if node.kind == "relative_import":
        return "".join(child.label or _dotted(child) for child in node.children)
    return ".".join(child.label or "" for child in node.children)
