"""Which names a construct binds, and in which function a name lives.

Rules this module keeps:
- a name that a function binds anywhere, or declares as a parameter, is its own everywhere in it,
  unless it says `global` or `nonlocal`;
- comprehensions count as part of the function around them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tavo.scan.tree import Node

__all__ = [
    "BINDERS",
    "FUNCTIONS",
    "Scopes",
    "changes_outside",
    "function_around",
    "names_bound",
    "own_names",
    "targets",
]

FUNCTIONS = frozenset({"function_definition", "lambda"})
_IMPORTS = frozenset({"import_statement", "import_from_statement"})
_DEFINITIONS = frozenset({"function_definition", "class_definition"})
_DECLARATIONS = frozenset({"global_statement", "nonlocal_statement"})
_DESTRUCTURED = frozenset({"dictionary", "list"})
_DELETIONS = frozenset({"delete_statement", *_DECLARATIONS, *_IMPORTS})
BINDERS = (
    "assignment", "augmented_assignment", "for_statement", "for_in_clause", "named_expression",
    "function_definition", "class_definition", "as_pattern", "update_expression",
)  # fmt: skip
_SOFT = frozenset({
    "assignment", "augmented_assignment", "function_definition", "class_definition",
})  # fmt: skip
_CHANGES = frozenset({"augmented_assignment", "update_expression"})
_BY_LEFT = frozenset({"assignment", "augmented_assignment", "for_statement", "for_in_clause"})


def targets(node: Node) -> Iterable[Node]:
    """Return the names that a node binds, unbinds or declares by itself."""
    kind = node.kind
    if kind in _BY_LEFT:
        target = node.role("left")
    elif kind in {"named_expression", "function_definition", "class_definition"}:
        target = node.role("name")
    elif kind == "as_pattern":
        target = node.children[-1] if node.children else None
    elif kind == "update_expression":
        target = node.children[0] if node.children else None
    elif kind in _DELETIONS:
        return [part for part in node.walk() if part.kind == "identifier"]
    else:
        return ()
    if target is None or target.kind in {"attribute", "subscript"}:
        return ()
    if target.kind == "identifier":
        return (target,)
    return [part for part in target.walk() if part.kind == "identifier"]


def function_around(node: Node) -> Node | None:
    """Return the innermost function around a node, None at the level of the module."""
    return next((around for around in node.ancestors() if around.kind in FUNCTIONS), None)


def names_bound(node: Node) -> set[str]:
    """Return the names that a node and everything below it bind, other than by an import."""
    parts = (part for part in node.walk() if part.kind not in _IMPORTS)
    return {target.label or "" for part in parts for target in targets(part)}


def changes_outside(node: Node) -> bool:
    """Tell whether a binding declares nothing: in JavaScript its name may live further out."""
    kind = node.kind
    return kind in _CHANGES or (kind == "assignment" and not node.op)


def own_names(function: Node, *, declared: bool = False, hiding: bool = False) -> set[str]:
    """Return the names that live in a function: its parameters and what it binds itself.

    `declared`: only what it declares, as in JavaScript. `hiding`: without what it assigns or
    defines and gives no type.
    """
    names: set[str] = set()
    foreign: set[str] = set()
    stack = list(function.children)
    while stack:
        node = stack.pop()
        kind = node.kind
        if kind in {"parameters", "lambda_parameters"}:
            for part in node.children:
                named = part.role("name") or (part.children[0] if part.children else part)
                if part.kind in _DESTRUCTURED or named.kind in _DESTRUCTURED:
                    names.update(n.label or "" for n in part.walk() if n.kind == "identifier")
                while named.kind != "identifier" and named.children:
                    named = named.children[0]
                names.add(named.label or "")
            continue
        if kind in _DECLARATIONS:
            foreign.update(target.label or "" for target in targets(node))
        elif kind in _IMPORTS or kind == "delete_statement":
            pass
        elif hiding and kind in _SOFT:
            if node.role("type") is not None:
                names.update(target.label or "" for target in targets(node))
        elif not declared or not changes_outside(node):
            names.update(target.label or "" for target in targets(node))
        if kind not in FUNCTIONS and kind != "class_definition":
            stack.extend(node.children)
    return names - foreign


def _taken_out(function: Node) -> set[str]:
    """Return the names that a function takes out of objects."""
    names: set[str] = set()
    stack = list(function.children)
    while stack:
        node = stack.pop()
        if node.kind == "parameters":
            patterns = [part.role("name") or part for part in node.children]
        else:
            patterns = [left] if node.op and (left := node.role("left")) is not None else []
            if node.kind not in FUNCTIONS and node.kind != "class_definition":
                stack.extend(node.children)
        for pattern in patterns:
            if pattern.kind == "dictionary":
                names.update(n.label or "" for n in pattern.walk() if n.kind == "identifier")
    return names


class Scopes:
    """The functions of a file and the names that live in them, found when first asked for."""

    def __init__(self, by_kind: Mapping[str, list[Node]], *, declared: bool = False) -> None:
        """List them; `declared`: a name lives where it is declared, as in JavaScript."""
        self._declared = declared
        self._by_kind = by_kind
        self._ever: set[str] | None = None
        self._own: dict[Node, set[str]] = {}
        self._hiding: dict[Node, set[str]] = {}
        self._taken_out: dict[Node, set[str]] = {}

    def ever_own(self, label: str) -> bool:
        """Tell whether any function or the module binds a name other than by an import."""
        if self._ever is None:
            self._ever = set()
            for kind in BINDERS:
                for node in self._by_kind.get(kind, ()):
                    self._ever.update(target.label or "" for target in targets(node))
            for kind in ("parameters", "lambda_parameters"):
                for node in self._by_kind.get(kind, ()):
                    labels = (part.label for part in node.walk() if part.kind == "identifier")
                    self._ever.update(label or "" for label in labels)
        return label in self._ever

    def home(self, node: Node) -> Node | None:
        """Return the function in which a name lives, None for a name of the module."""
        label = node.label or ""
        if not self.ever_own(label):
            return None
        start, parent = node, node.parent
        if node.field == "name" and parent is not None and parent.kind in _DEFINITIONS:
            start = parent
        for around in start.ancestors():
            if around.kind in FUNCTIONS and label in self.own(around):
                return around
        return None

    def is_taken_out(self, node: Node, home: Node | None) -> bool:
        """Tell whether a name is one that a function takes out of an object."""
        if not self._declared or home is None:
            return False
        names = self._taken_out.get(home)
        if names is None:
            names = self._taken_out[home] = _taken_out(home)
        return node.label in names

    def own(self, function: Node) -> set[str]:
        """Return the names that live in a function."""
        names = self._own.get(function)
        if names is None:
            names = self._own[function] = own_names(function, declared=self._declared)
        return names

    def hides(self, function: Node, label: str) -> bool:
        """Tell whether a name of a function hides an import around it.

        As with Semgrep, what Python only assigns or defines in a function does not.
        """
        if self._declared:
            return label in self.own(function)
        names = self._hiding.get(function)
        if names is None:
            names = self._hiding[function] = own_names(function, hiding=True)
        return label in names
