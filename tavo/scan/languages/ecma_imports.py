"""What the imports of a JavaScript or TypeScript file bring: `import`, and `require`.

Rules this module keeps:
- to code `node:fs` is `fs`; patterns of imports compare what is written, as Semgrep does;
- a module's name with other characters than those of a name, such as `./a` or
  `@scope/b`, is known by its text and not by parts;
- a default import stands for `default` of its module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from tavo.scan.names import Imported, Imports
from tavo.scan.parsed import ParsedFile
from tavo.scan.tree import Node

__all__ = ["ecma_imported", "ecma_imports", "without_defaults"]

_WRAPPERS = frozenset({
    "__importStar", "_interopRequireWildcard", "_interop_require_wildcard", "__toESM",
})  # fmt: skip
_DEFAULT_WRAPPERS = frozenset({
    "__importDefault", "_interopRequireDefault", "_interop_require_default", "__toESM",
})  # fmt: skip
_PLAIN = re.compile(r"[A-Za-z_$][\w$]*\Z")


def ecma_imports(file: ParsedFile) -> Imports:
    """Return the table of a file's imports."""
    statements: list[Node] = list(file.by_kind.get("import_statement", ()))
    for kind in ("assignment", "import_require_clause"):
        statements += file.by_kind.get(kind, ())
    statements = [node for node in statements if node.kind != "assignment" or _required(node)]
    statements.sort(key=lambda node: node.start)
    return Imports(statements, file.scopes, read=_resolved)


def _resolved(statement: Node) -> Iterator[Imported]:
    for entry in ecma_imported(statement):
        module, name = module_name(entry.module), module_name(entry.name)
        yield replace(entry, module=module, name=name)


def ecma_imported(statement: Node) -> Iterator[Imported]:
    """Yield the names that an import, or an assignment of a `require`, brings."""
    if statement.kind == "assignment":
        yield from _from_require(statement)
        return
    source = statement.role("source") or _string_of(statement)
    module = source.value or "" if source is not None else ""
    for clause in statement.children:
        if clause.kind == "import_clause":
            yield from _clause(clause, module)
        elif clause.kind == "import_require_clause":
            yield from _require_clause(clause)


def module_name(text: str) -> str:
    """Return a module's name as it stands in dotted names: `fs` for `node:fs`."""
    return text.removeprefix("node:")


def _string_of(node: Node) -> Node | None:
    return next((child for child in node.children if child.kind == "string"), None)


def _clause(clause: Node, module: str) -> Iterator[Imported]:
    for child in clause.children:
        if child.kind == "identifier":
            yield Imported(module, "default", child.label or "", child.end, child, True)
        elif child.kind == "namespace_import" and child.children:
            name = child.children[-1]
            yield Imported("", module, name.label or "", child.end, name, False)
        elif child.kind == "named_imports":
            for specifier in child.children:
                if specifier.kind != "import_specifier" or not specifier.children:
                    continue
                name, alias = specifier.children[0], specifier.children[-1]
                renamed = alias.label or "" if alias is not name else ""
                yield Imported(module, name.label or "", renamed, specifier.end, name, True)


def _require_clause(clause: Node) -> Iterator[Imported]:
    name, source = clause.children[0], _string_of(clause)
    if source is not None:
        module = source.value or ""
        yield Imported("", module, name.label or "", clause.end, name, False)


def _required(assignment: Node) -> str | None:
    """Return the module if an assignment's value is `require("…")` or `await import("…")`."""
    right = assignment.role("right")
    if right is not None and right.kind == "await" and right.children:
        right = right.children[0]
    if right is not None and _wrapper_of(right) in _WRAPPERS | _DEFAULT_WRAPPERS:
        right = right.children[1].children[0]
    if right is None or right.kind != "call" or len(right.children) != 2:
        return None
    callee, arguments = right.children
    if callee.label != "require" and callee.kind != "import":
        return None
    if len(arguments.children) != 1 or arguments.children[0].value is None:
        return None
    return arguments.children[0].value


def _wrapper_of(node: Node) -> str:
    """Return the name of the function that a call gives an argument to, else nothing."""
    if node.kind != "call" or len(node.children) != 2 or not node.children[1].children:
        return ""
    callee = node.children[0]
    return (callee.children[-1] if callee.kind == "attribute" else callee).label or ""


def without_defaults(by_kind: dict[str, list[Node]]) -> None:
    """Make `f.default` the name `f` where a compiler wrote `f = __importDefault(require("fs"))`."""
    names = {
        left.label
        for node in by_kind.get("assignment", ())
        if (left := node.role("left")) is not None
        and (right := node.role("right")) is not None
        and _wrapper_of(right) in _DEFAULT_WRAPPERS
        and _required(node)
    }
    if not names:
        return
    gone: set[Node] = set()
    found = [node for node in by_kind.get("attribute", ()) if _is_default_of(node, names)]
    for node in found:
        gone.update((node, *node.children))
        node.kind, node.label, node.children = "identifier", node.children[0].label, []
    for kind, more in (("attribute", []), ("identifier", found)):
        nodes = [node for node in by_kind.get(kind, ()) if node not in gone] + more
        by_kind[kind] = sorted(nodes, key=lambda node: node.start)


def _is_default_of(node: Node, names: set[str | None]) -> bool:
    owner, member = node.children[0], node.children[-1]
    return owner.kind == "identifier" and owner.label in names and member.label == "default"


def _from_require(assignment: Node) -> Iterator[Imported]:
    module, left = _required(assignment), assignment.role("left")
    if module is None or left is None:
        return
    if left.kind == "identifier":
        yield Imported("", module, left.label or "", left.end, left, False)
    elif left.kind == "dictionary":
        yield from _properties(left.children, module)


def _properties(pairs: Iterable[Node], module: str) -> Iterator[Imported]:
    for pair in pairs:
        if pair.kind != "pair" or len(pair.children) != 2:
            continue
        key, value = pair.children
        if key.kind == value.kind == "identifier":
            alias = value.label or "" if value.label != key.label else ""
            yield Imported(module, key.label or "", alias, pair.end, value, True)
