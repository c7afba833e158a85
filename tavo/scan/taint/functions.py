"""The functions of a file, and which of them a call runs.

Rules this module keeps:
- a call is resolved only where the source says plainly what is called: a function by its name, a
  method of the own class or its bases, of a class by its name, of a variable, parameter or
  attribute whose class is plain; what is not plain is not guessed, but for a method whose name of
  two words or more only one class of the file has;
- a name that an import brings is not resolved here but given back as a dotted name;
- decorators are taken to leave a function as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from tavo.scan.names import imported
from tavo.scan.parsed import ParsedFile
from tavo.scan.scopes import FUNCTIONS
from tavo.scan.taint.objects import Objects, class_around
from tavo.scan.tree import Node

__all__ = [
    "Callee",
    "Function",
    "Functions",
    "Input",
    "function_around",
    "is_super",
]

_MOST_BASES = 50
_CONSTRUCTORS = ("__init__", "constructor")
_TWO_WORDS = re.compile(r"[a-z0-9](?:_[a-z0-9]|[A-Z])")
_GETTERS = frozenset({"property", "cached_property"})


class Input(msgspec.Struct, frozen=True):
    """One parameter: its name, where it stands, and whether it takes all that is left over.

    `rest` is `*` for further arguments by position, `**` for those by name. `node` holds what a
    destructured parameter is made of; its name is then its number.
    """

    name: str
    start: int
    end: int
    rest: str = ""


class Function(msgspec.Struct, eq=False):
    """A function, method or named lambda. `me` is what a method calls its object."""

    node: Node
    name: str
    inputs: tuple[Input, ...]
    owner: Node | None = None
    me: str = ""


class Callee(msgspec.Struct, eq=False):
    """What a call runs: a function of this file, or the dotted name of an imported one.

    `receiver` is the node of the object that a method gets. `makes` says that an object is made.
    `by_class` says that a method is called on its class, so that its object is an argument.
    `guessed` says that only the method's name speaks for it: what comes back is not known by that.
    `indirect` says that the call may run others as well. `skip` arguments were given before.
    """

    function: Function | None = None
    dotted: str = ""
    receiver: Node | None = None
    makes: bool = False
    by_class: bool = False
    guessed: bool = False
    indirect: bool = False
    skip: int = 0


class Functions(Objects):
    """All functions and classes of a file, by node and by name."""

    def __init__(self, file: ParsedFile) -> None:
        super().__init__(file)
        self.by_node: dict[int, Function] = {}
        self._named: dict[tuple[int, str], Function] = {}
        self._methods: dict[int, dict[str, Function]] = {}
        self._resolved: dict[int, Callee | None] = {}
        self._getters: dict[int, str] = {}
        self._of_owner: dict[int, list[Function]] = {}
        self._bases_of: dict[int, list[tuple[str, Node, Node | None]]] = {}
        self._families: dict[int, list[Node]] = {}
        self._below: dict[int, list[Node]] | None = None
        self._singular: dict[str, Function] | None = None
        self.modules = _plain_imports(file)
        for node in file.by_kind.get("class_definition", ()):
            name = node.role("name")
            if name is not None and function_around(node) is None:
                self._classes[file.text(name)] = node
        for node in file.by_kind.get("function_definition", ()):
            self._add(node, node.role("name"))
        for node in file.by_kind.get("lambda", ()):
            left = node.parent.role("left") if node.parent is not None else None
            if left is not None and node.field == "right":
                self._add(node, left)

    def __iter__(self) -> Iterator[Function]:
        return iter(self.by_node.values())

    # -- finding them

    def _add(self, node: Node, name: Node | None) -> None:
        if name is None or name.kind not in {"identifier", "attribute"}:
            return
        text = self.file.text(name).removeprefix("module.").removeprefix("exports.")
        owner = class_around(node)
        function = Function(node, text, self._inputs(node), owner)
        self.by_node[id(node)] = function
        if owner is not None:
            function.name = f"{self.class_name(owner)}.{text}"
            function.me = self._me(function)
            if function.me and function.me != "this":
                function.inputs = function.inputs[1:]
            self._methods.setdefault(id(owner), {})[text] = function
            self._of_owner.setdefault(id(owner), []).append(function)
            if self._is_getter(node):
                self._getters[id(node)] = text
        else:
            around = function_around(node)
            self._named[id(around) if around is not None else 0, text] = function

    def add_function(self, node: Node, name: str, owner: Node | None, me: str) -> None:
        """Add a function that no name stands for."""
        self.by_node[id(node)] = Function(node, name, self._inputs(node), owner, me)

    def _is_getter(self, node: Node) -> bool:
        shell = node.parent
        if shell is None or shell.kind != "decorated_definition":
            return False
        return any(
            child.kind == "decorator"
            and self.file.text(child).rpartition(".")[2].lstrip("@") in _GETTERS
            for child in shell.children
        )

    def _me(self, function: Function) -> str:
        if self.file.language != "python":
            return "this"
        shell = function.node.parent
        if shell is not None and shell.kind == "decorated_definition":
            for child in shell.children:
                if child.kind == "decorator" and self.file.text(child).endswith("staticmethod"):
                    return ""
        first = function.inputs[0] if function.inputs else None
        return first.name if first is not None and not first.rest else ""

    def _inputs(self, node: Node) -> tuple[Input, ...]:
        parameters = node.role("parameters")
        if parameters is None:
            return ()
        out = []
        for number, parameter in enumerate(parameters.children):
            name = parameter.role("name") or parameter
            rest = "**" if parameter.kind.startswith("dictionary_splat") else ""
            if parameter.kind.startswith("list_splat") or name.kind.startswith("list_splat"):
                rest = "*"
            if name.kind.startswith("dictionary_splat"):
                rest = "**"
            if name.kind in {"dictionary", "list"}:
                out.append(Input(f"#{number}", parameter.start, parameter.end, rest))
                continue
            while name.kind != "identifier" and name.children:
                name = name.children[0]
            if name.kind == "identifier":
                out.append(Input(self.file.text(name), name.start, name.end, rest))
        return tuple(out)

    def class_name(self, node: Node) -> str:
        name = node.role("name")
        return self.file.text(name) if name is not None else "class"

    # -- resolving calls

    def called(self, call: Node) -> Callee | None:
        """Return what a call runs, None where that is not plain."""
        key = id(call)
        if key not in self._resolved:
            callee = call.role("function")
            self._resolved[key] = self.resolve(callee) if callee is not None else None
        return self._resolved[key]

    @property
    def has_properties(self) -> bool:
        return bool(self._getters)

    def read_by(self, node: Node) -> Callee | None:
        """Return the property of Python that an attribute reads, None if it is none."""
        if not self._getters or node.kind != "attribute" or len(node.children) != 2:
            return None
        if self.file.text(node.children[1]) not in self._getters.values():
            return None
        found = self.resolve(node)
        function = found.function if found is not None else None
        return found if function is not None and id(function.node) in self._getters else None

    def resolve(self, node: Node) -> Callee | None:
        """Return what an expression stands for when it is called."""
        if node.kind == "identifier":
            return self._by_name(node)
        if node.kind != "attribute" or len(node.children) != 2:
            return None
        owner, name = node.children
        label = self.file.text(name)
        around = class_around(node, through=True)
        if is_super(owner) and around is not None:
            return self._inherited(around, label, node.children[0])
        if owner.kind == "identifier" and around is not None and self.is_me(owner):
            found = self.method(around, label)
            if found is not None:
                return replaced(found, receiver=owner)
            return None
        if owner.kind == "identifier" and self._local(owner) is None:
            dotted = self.file.imports.of(owner)
            if dotted is not None:
                return Callee(dotted=f"{dotted}.{label}", receiver=None)
            known = self._classes.get(self.file.text(owner))
            if known is not None and self.file.scopes.home(owner) is None:
                method = self.method(known, label)
                if method is not None:
                    return replaced(method, receiver=owner, by_class=True)
        if (dotted := self._of_module(node)) is not None:
            return Callee(dotted=dotted)
        made = self.type_of(owner)
        if made is None:
            return self._only_one(label, owner)
        return self._method_of(made, label, owner)

    def _only_one(self, label: str, receiver: Node) -> Callee | None:
        """Return the method of an object whose class is not known, if no other class has it."""
        function = self._singular_methods().get(label)
        if function is None or not _TWO_WORDS.search(label):
            return None
        root = receiver
        while root.kind in {"attribute", "subscript", "call"} and root.children:
            root = root.children[0]
        if root.kind != "identifier" or self.file.imports.of(root) is not None:
            return None
        return Callee(function, receiver=receiver, guessed=True)

    def _singular_methods(self) -> dict[str, Function]:
        """Return the methods that one class of this file has, by name."""
        if self._singular is None:
            found: dict[str, list[Function]] = {}
            for methods in self._methods.values():
                for name, function in methods.items():
                    found.setdefault(name, []).append(function)
            self._singular = {name: those[0] for name, those in found.items() if len(those) == 1}
        return self._singular

    def _of_module(self, node: Node) -> str | None:
        """Return the dotted name of what is below an imported module, as in `a.b.run`."""
        root = node
        while root.kind == "attribute" and root.children:
            root = root.children[0]
        if root.kind != "identifier" or self.file.scopes.home(root) is not None:
            return None
        dotted = self.file.dotted(node) or ""
        inside = any(dotted.startswith(f"{module}.") for module in self.modules)
        return dotted if inside else None

    def _by_name(self, node: Node) -> Callee | None:
        function = self._local(node)
        if function is not None:
            return Callee(function)
        label = self.file.text(node)
        if is_super(node):
            around = class_around(node, through=True)
            if around is not None:
                return self._inherited(around, "constructor", node)
            return None
        home = self.file.scopes.home(node)
        if home is not None:
            return None
        known = self._classes.get(label)
        if known is not None:
            return self._constructor(known)
        dotted = self.file.imports.of(node)
        return Callee(dotted=dotted) if dotted is not None else None

    def function_named(self, node: Node) -> Node | None:
        """Return the function of this file that a name stands for."""
        function = self._local(node)
        return function.node if function is not None else None

    def _local(self, node: Node) -> Function | None:
        """Return the function of this file that a name stands for."""
        home = self.file.scopes.home(node)
        return self._named.get((id(home) if home is not None else 0, self.file.text(node)))

    def _constructor(self, owner: Node) -> Callee:
        for name in _CONSTRUCTORS:
            found = self.method(owner, name)
            if found is not None:
                return replaced(found, makes=True)
        return Callee(makes=True)

    def method(self, owner: Node, name: str) -> Callee | None:
        """Return a method of a class or of its bases."""
        found = self._methods.get(id(owner), {}).get(name)
        return Callee(found) if found is not None else self._inherited(owner, name, None)

    def _inherited(self, owner: Node, name: str, receiver: Node | None) -> Callee | None:
        waiting, seen = [owner], {id(owner)}
        for _ in range(_MOST_BASES):
            if not waiting:
                break
            node = waiting.pop(0)
            for label, base, known in self._bases(node):
                if known is None:
                    dotted = self.file.dotted(base)
                    if dotted is not None and dotted != label:
                        return Callee(dotted=f"{dotted}.{name}", receiver=receiver)
                    continue
                found = self._methods.get(id(known), {}).get(name)
                if found is not None:
                    return Callee(found, receiver=receiver)
                if id(known) not in seen:
                    seen.add(id(known))
                    waiting.append(known)
        return None

    def methods_of(self, owner: Node) -> Sequence[Function]:
        """Return the functions that stand in a class."""
        return self._of_owner.get(id(owner), ())

    def family(self, owner: Node) -> list[Node]:
        """Return a class and the classes of this file that it is made of."""
        out = self._families.get(id(owner))
        if out is None:
            out = self._families[id(owner)] = [owner]
            for node in out:
                for _, _, known in self._bases(node):
                    if known is not None and known not in out and len(out) < _MOST_BASES:
                        out.append(known)
        return out

    def related(self, owner: Node) -> list[Node]:
        """Return the classes whose objects may be objects of a class as well."""
        return list(dict.fromkeys([*self.family(owner), *self.below(owner)]))

    def below(self, owner: Node) -> list[Node]:
        """Return the classes of this file that are made of a class."""
        return self._heirs.get(id(owner), [])

    @property
    def has_heirs(self) -> bool:
        """Tell whether any class of this file is made of another one of it."""
        return bool(self._heirs)

    @property
    def _heirs(self) -> dict[int, list[Node]]:
        if self._below is None:
            self._below = {}
            for other in self.file.by_kind.get("class_definition", ()):
                for base in self.family(other)[1:]:
                    self._below.setdefault(id(base), []).append(other)
        return self._below

    def _bases(self, owner: Node) -> list[tuple[str, Node, Node | None]]:
        """Return the bases of a class: how it calls them, and those of this file."""
        found = self._bases_of.get(id(owner))
        if found is None:
            bases = owner.role("superclasses")
            found = self._bases_of[id(owner)] = [
                (label := self.file.text(base), base, self._classes.get(label))
                for base in (bases.children if bases is not None else ())
                if base.kind in {"identifier", "attribute"}
            ]
        return found

    def is_me(self, node: Node) -> bool:
        label = self.file.text(node)
        if label == "this":
            return True
        for around in node.ancestors():
            known = self.by_node.get(id(around))
            if known is not None and known.owner is not None:
                return known.me == label
        return False

    def _method_of(self, made: str, label: str, receiver: Node) -> Callee | None:
        known = self._classes.get(made)
        if known is None:
            return Callee(dotted=f"{made}.{label}", receiver=receiver)
        method = self.method(known, label)
        return replaced(method, receiver=receiver) if method is not None else None


def replaced(
    callee: Callee,
    *,
    receiver: Node | None = None,
    makes: bool = False,
    by_class: bool = False,
    indirect: bool = False,
    skip: int = 0,
) -> Callee:
    """Return a callee that is called another way."""
    return Callee(callee.function, callee.dotted, receiver, makes, by_class, False, indirect, skip)


def function_around(node: Node) -> Node | None:
    """Return the function or lambda that a node stands in."""
    for around in node.ancestors():
        if around.kind in FUNCTIONS:
            return around
    return None


def _plain_imports(file: ParsedFile) -> frozenset[str]:
    """Return the modules that `import a.b` brings under their own names."""
    if file.language != "python":
        return frozenset()
    statements = file.by_kind.get("import_statement", ())
    return frozenset(
        entry.name for node in statements for entry in imported(node) if not entry.alias
    )


def is_super(node: Node) -> bool:
    """Tell whether an expression is `super` or `super()`."""
    if node.kind == "call" and node.children:
        node = node.children[0]
    return node.kind in {"identifier", "super"} and node.label == "super"
