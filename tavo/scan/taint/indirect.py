"""The functions that a call may run where it names none: out of a table, a variable, a class below.

Rules this module keeps:
- only what the file says is looked at: what a name, an attribute or an entry of a table is given
  there; of a table with known keys a constant key picks its own entries;
- methods that classes below override are called as well where the object may be one of theirs;
- a search goes few levels deep and ends at a bounded number of functions; what a name, an attribute
  or an entry stands for is looked for once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from tavo.scan.parsed import ParsedFile
from tavo.scan.taint.functions import Callee, Functions, Input, function_around, replaced
from tavo.scan.taint.objects import class_around
from tavo.scan.tree import Node

__all__ = ["Targets"]

_MOST = 24
_DEEPEST = 8
_TABLES = frozenset({"dictionary", "list", "tuple", "set"})
_ALL_OF = frozenset({"items", "values", "entries"})
_TAKES = frozenset({"append", "push", "add", "set", "insert", "appendleft", "unshift"})
_PATTERNS = frozenset({"pattern_list", "tuple_pattern", "list_pattern", "list", "tuple"})
_SKIPPED = ("__", "constructor")
_VALUES = frozenset({
    "subscript", "call", "conditional_expression", "boolean_operator", "lambda", "named_expression",
    "await", "function_definition",
})  # fmt: skip
_Entry = tuple[str | None, Node]
"""A key, None for any, and the value that stands there."""


class Targets(Functions):
    """The functions of a file, and all those that an expression may stand for."""

    def __init__(self, file: ParsedFile) -> None:
        super().__init__(file)
        self._all_called: dict[int, tuple[Callee, ...]] = {}
        self._known: dict[tuple[object, ...], tuple[Callee, ...]] = {}
        self._stored: dict[tuple[int, str], list[_Entry]] | None = None
        self._looped: dict[str, list[tuple[Node, Node]]] | None = None
        self._uses: dict[int, list[list[Node]]] | None = None
        self._kept: dict[int, dict[str, list[Node]]] = {}
        self._is_ecma = file.language != "python"
        for node in file.by_kind.get("lambda", ()):
            if id(node) not in self.by_node and (name := self._name_in_table(node)):
                self._add_entry(node, name)

    def _name_in_table(self, node: Node) -> str:
        """Return what a function is called that stands in a table which a name is given."""
        around, name = node.parent, "entry"
        if around is not None and around.kind == "pair":
            name, around = self._key(around.children[0]) or name, around.parent
        if around is None or around.kind not in _TABLES or around.field != "right":
            return ""
        return name if around.parent is not None and around.parent.kind == "assignment" else ""

    def _add_entry(self, node: Node, name: str) -> None:
        owner = class_around(node)
        me = "this" if owner is not None and self._is_ecma else ""
        self.add_function(node, name, owner if me else None, me)

    # -- of calls

    def all_called(self, call: Node) -> tuple[Callee, ...]:
        """Return all that a call may run; nothing where nobody can say."""
        known = self._all_called.get(id(call))
        if known is None:
            callee = call.role("function")
            found = self.called(call)
            if callee is None:
                known = ()
            elif found is None and callee.kind == "identifier" and self._is_parameter(callee):
                known = ()  # what its callers give is in the function's summary
            elif found is None or found.guessed:
                known = self.targets(callee) or ((found,) if found is not None else ())
            else:
                known = (found, *self._overriding(callee))
            self._all_called[id(call)] = known
        return known

    def targets(self, node: Node) -> tuple[Callee, ...]:
        """Return what an expression that is called, or given to be called, may stand for."""
        found: dict[int | str, Callee] = {}
        for one in self._find(node, 0):
            found.setdefault(id(one.function.node) if one.function else one.dotted, one)
            if len(found) >= _MOST:
                break
        return tuple(found.values())

    def _find(self, node: Node, depth: int) -> Iterator[Callee]:
        kind = node.kind
        if kind in {"identifier", "attribute"}:
            plain = self.resolve(node)
            if plain is not None and not plain.guessed:
                yield plain
                yield from self._overriding(node)
                return
            if kind == "attribute":
                yield from self._overriding(node)
        if depth <= _DEEPEST:
            for one in self._indirect(node, depth + 1):
                yield replaced(
                    one, receiver=one.receiver, by_class=one.by_class, makes=one.makes,
                    indirect=True, skip=one.skip,
                )  # fmt: skip

    def _indirect(self, node: Node, depth: int) -> Iterator[Callee]:
        kind = node.kind
        if kind == "identifier":
            yield from self._of_name(node, depth)
        elif kind == "lambda" or kind == "function_definition":
            function = self.by_node.get(id(node))
            if function is not None:
                yield Callee(function)
        elif kind == "attribute" and len(node.children) == 2:
            owner, name = node.children
            label = self.file.text(name)
            if (place := self._place(node)) is not None:
                values = self._attribute(owner, label)
                yield from self._once(("attribute", *place), self._each_of(values, depth))
            if self._is_ecma:
                yield from self._in_table(owner, label, depth)
        elif kind == "subscript" and len(node.children) >= 2:
            owner, index = node.children[0], node.children[-1]
            if self._is_ecma and owner.label == "this":
                yield from self._methods_named(owner, index)
            else:
                yield from self._in_table(owner, self._key(index), depth)
        elif kind == "call":
            yield from self._of_call(node, depth)
        elif kind == "conditional_expression" and len(node.children) == 3:
            yield from self._each_of((node.children[0], node.children[2]), depth)
        elif kind in {"boolean_operator", "await"}:
            yield from self._each_of(node.children, depth)
        elif kind == "named_expression" and (inner := node.role("value")) is not None:
            yield from self._find(inner, depth)

    def _each_of(self, nodes: Iterable[Node], depth: int) -> Iterator[Callee]:
        for node in nodes:
            if node.kind in _VALUES or node.kind in {"identifier", "attribute"}:
                yield from self._find(node, depth)

    def _each(self, entries: Iterable[_Entry], depth: int) -> Iterator[Callee]:
        return self._each_of((value for _, value in entries), depth)

    # -- of names

    def _of_name(self, node: Node, depth: int) -> Iterator[Callee]:
        home = self.file.scopes.home(node)
        label = self.file.text(node)
        around = class_around(node)
        method = self._methods.get(id(around), {}).get(label) if around is not None else None
        if method is not None and not self._is_ecma:
            yield Callee(method, by_class=True)
            return
        key = ("name", id(home) if home is not None else 0, label)
        yield from self._once(key, self._find_of_name(label, home, depth))

    def _once(self, key: tuple[object, ...], search: Iterator[Callee]) -> tuple[Callee, ...]:
        """Return what a search finds, carried out once for a key."""
        known = self._known.get(key)
        if known is None:
            self._known[key] = ()  # what stands for itself ends here
            known = self._known[key] = tuple(islice(search, _MOST))
        return known

    def _in_table(self, owner: Node, key: str | None, depth: int) -> Iterable[Callee]:
        """Return the functions in a table, those of a key if one is given."""
        search = self._each(self._entries(owner, key, depth), depth)
        place = self._place(owner)
        return search if place is None else self._once(("entry", *place, key), search)

    def _find_of_name(self, label: str, home: Node | None, depth: int) -> Iterator[Callee]:
        given = self._parameter(label, home)
        if home is not None and given is not None:
            for arguments in self._uses_of(home):
                if given < len(arguments):
                    yield from self._find(arguments[given], depth)
            return
        values = [right for one in self._assigned_to(label, home) if (right := one.role("right"))]
        yield from self._each_of(values[:_MOST], depth)
        for target, source in self._loops().get(label, ()):
            if self.file.scopes.home(target) is home:
                owner = source
                if source.kind == "call" and source.children[0].kind == "attribute":
                    owner, name = source.children[0].children[0], source.children[0].children[-1]
                    if self.file.text(name) not in _ALL_OF:
                        continue
                yield from self._in_table(owner, None, depth)

    def _parameter(self, label: str, home: Node | None) -> int | None:
        """Return which parameter of a function a name is, None if it is none."""
        parameters = home.role("parameters") if home is not None else None
        if home is None or parameters is None:
            return None
        function = self.by_node.get(id(home))
        inputs: Iterable[Input] = function.inputs if function is not None else ()
        for number, entry in enumerate(inputs):
            if entry.name == label:
                return number
        labels = (n.label for n in parameters.walk() if n.kind == "identifier")
        return 1 << 30 if label in labels else None

    def _uses_of(self, function: Node) -> list[list[Node]]:
        """Return what calls of a function, and what it decorates, give it by position."""
        if self._uses is None:
            self._uses = {}
            for call in self.file.by_kind.get("call", ()):
                found, arguments = self.called(call), call.role("arguments")
                if found is None or found.function is None or arguments is None:
                    continue
                names = [entry.name for entry in found.function.inputs]
                given = [node for node in arguments.children if node.kind != "keyword_argument"]
                for node in arguments.children:
                    label, value = node.role("name"), node.role("value")
                    if node.kind == "keyword_argument" and label is not None and value is not None:
                        at = names.index(label.label or "") if label.label in names else -1
                        if at >= len(given):
                            given += [node] * (at - len(given)) + [value]
                self._uses.setdefault(id(found.function.node), []).append(given)
            for decorator in self.file.by_kind.get("decorator", ()):
                self._note_decorator(decorator, self._uses)
        return self._uses.get(id(function), [])[:_MOST]

    def _note_decorator(self, decorator: Node, uses: dict[int, list[list[Node]]]) -> None:
        shell = decorator.parent
        if shell is None or not decorator.children:
            return
        decorated = next((n for n in shell.children if id(n) in self.by_node), None)
        name = decorator.children[0]
        found = self.resolve(name.children[0] if name.kind == "call" else name)
        if decorated is None or found is None or found.function is None:
            return
        if name.kind != "call":
            uses.setdefault(id(found.function.node), []).append([decorated])
            return
        for other in self.by_node.values():
            if function_around(other.node) is found.function.node:
                uses.setdefault(id(other.node), []).append([decorated])

    def _loops(self) -> dict[str, list[tuple[Node, Node]]]:
        """Return the names that loops bind: each with the name's place and what is gone through."""
        if self._looped is None:
            self._looped = {}
            for kind in ("for_statement", "for_in_clause"):
                for node in self.file.by_kind.get(kind, ()):
                    left, right = node.role("left"), node.role("right")
                    if left is None or right is None:
                        continue
                    for part in left.children if left.kind in _PATTERNS else (left,):
                        if part.kind == "identifier":
                            found = self._looped.setdefault(self.file.text(part), [])
                            found.append((part, right))
        return self._looped

    # -- of attributes and tables

    def _attribute(self, owner: Node, label: str) -> list[Node]:
        """Return what an attribute of the own object is given anywhere in its class."""
        around = class_around(owner, through=True)
        if around is None or owner.kind != "identifier" or not self.is_me(owner):
            return []
        return [v for one in self.family(around) for v in self._given(one).get(label, ())][:_MOST]

    def _given(self, owner: Node) -> dict[str, list[Node]]:
        known = self._kept.get(id(owner))
        if known is None:
            known = self._kept[id(owner)] = {}
            for node in owner.walk():
                left = node.role("left") if node.kind == "assignment" else None
                right = node.role("right") if left is not None else None
                if left is None or right is None:
                    continue
                if left.kind == "attribute" and self.is_me(left.children[0]):
                    known.setdefault(self.file.text(left.children[-1]), []).append(right)
                elif left.kind == "identifier" and class_around(node) is owner:
                    known.setdefault(self.file.text(left), []).append(right)
        return known

    def _entries(self, owner: Node, key: str | None, depth: int) -> Iterator[_Entry]:
        """Yield the entries of a table, those of a key if one is given."""
        for name, value in self._all_entries(owner, depth):
            if key is None or name is None or name == key:
                yield name, value

    def _all_entries(self, owner: Node, depth: int) -> Iterator[_Entry]:
        if depth > _DEEPEST:
            return
        if owner.kind == "identifier":
            home = self.file.scopes.home(owner)
            for one in self._assigned_to(self.file.text(owner), home)[:_MOST]:
                if (right := one.role("right")) is not None:
                    yield from self._members(right, depth + 1)
        elif owner.kind == "attribute":
            for right in self._attribute(owner.children[0], self.file.text(owner.children[-1])):
                yield from self._members(right, depth + 1)
        elif owner.kind in _TABLES or owner.kind == "call":
            yield from self._members(owner, depth + 1)
        place = self._place(owner)
        if place is not None:
            yield from self._stores().get(place, ())

    def _members(self, node: Node, depth: int) -> Iterator[_Entry]:
        if node.kind == "dictionary":
            for child in node.children[: 20 * _MOST]:
                if child.kind == "pair" and len(child.children) == 2:
                    yield self._key(child.children[0]), child.children[1]
                elif child.kind == "dictionary_splat" and child.children:
                    yield from self._all_entries(child.children[0], depth + 1)
        elif node.kind in _TABLES:
            for number, child in enumerate(node.children[: 20 * _MOST]):
                if child.kind in {"tuple", "list"}:
                    yield from ((None, part) for part in child.children)
                else:
                    yield str(number), child
        elif node.kind == "call" and (arguments := node.role("arguments")) is not None:
            name = self.file.text(node.children[0])
            for child in arguments.children if name in {"dict", "Map"} else ():
                label, value = child.role("name"), child.role("value")
                if child.kind == "keyword_argument" and label is not None and value is not None:
                    yield self.file.text(label), value
                elif child.kind == "list":
                    for pair in child.children[: 20 * _MOST]:
                        if len(pair.children) == 2:
                            yield self._key(pair.children[0]), pair.children[1]
                elif child.kind == "dictionary":
                    yield from self._members(child, depth)

    def _place(self, node: Node) -> tuple[int, str] | None:
        """Return what stands for a variable, or for an attribute of the own object."""
        if node.kind == "identifier":
            home = self.file.scopes.home(node)
            return (id(home) if home is not None else 0, self.file.text(node))
        if node.kind == "attribute" and self.is_me(node.children[0]):
            around = class_around(node, through=True)
            return (id(around), self.file.text(node.children[-1])) if around is not None else None
        return None

    def _stores(self) -> dict[tuple[int, str], list[_Entry]]:
        """Return what is put into tables after they were made."""
        if self._stored is None:
            stored = self._stored = {}
            for node in self.file.by_kind.get("assignment", ()):
                left, right = node.role("left"), node.role("right")
                if left is None or right is None or left.kind != "subscript":
                    continue
                if (place := self._place(left.children[0])) is not None:
                    stored.setdefault(place, []).append((self._key(left.children[-1]), right))
            for call in self.file.by_kind.get("call", ()):
                callee, arguments = call.children[0], call.role("arguments")
                if callee.kind != "attribute" or arguments is None or not arguments.children:
                    continue
                label = self.file.text(callee.children[-1])
                if label in _TAKES and (place := self._place(callee.children[0])) is not None:
                    first, last = arguments.children[0], arguments.children[-1]
                    key = self._key(first) if label == "set" else None
                    stored.setdefault(place, []).append((key, last))
        return self._stored

    def _key(self, node: Node) -> str | None:
        """Return a constant key, None for one that may be any."""
        if node.kind == "string":
            return node.value
        if node.kind == "integer":
            return self.file.text(node)
        is_name = node.kind == "identifier" and node.field == "label"
        return node.label if is_name else None

    # -- of calls that give functions

    def _of_call(self, node: Node, depth: int) -> Iterator[Callee]:
        callee, arguments = node.children[0], node.role("arguments")
        given = arguments.children if arguments is not None else []
        name = callee.children[-1] if callee.kind == "attribute" else callee
        label = self.file.text(name) if name.kind == "identifier" else ""
        owner = callee.children[0] if callee.kind == "attribute" else None
        if label == "getattr" and owner is None and len(given) >= 2:
            yield from self._methods_named(given[0], given[1])
        elif label == "partial" and given:
            before = sum(part.kind != "keyword_argument" for part in given) - 1
            yield from self._after(self._find(given[0], depth), before)
        elif owner is None:
            return
        elif label == "bind" and self._is_ecma:
            yield from self._after(self._find(owner, depth), max(len(given) - 1, 0))
        elif label == "get" and given:
            yield from self._in_table(owner, self._key(given[0]), depth)
            yield from self._each_of(given[1:2], depth)

    def _after(self, found: Iterable[Callee], count: int) -> Iterator[Callee]:
        """Yield functions whose first arguments are given already."""
        for one in found:
            yield replaced(
                one, receiver=one.receiver, by_class=one.by_class, makes=one.makes,
                indirect=one.indirect, skip=one.skip + count,
            )  # fmt: skip

    # -- of classes

    def _methods_named(self, owner: Node, name: Node) -> Iterator[Callee]:
        """Yield the methods of the own object that a text may name."""
        around = class_around(owner, through=True)
        if around is None or owner.kind not in {"identifier", "this"} or not self.is_me(owner):
            return
        exact = name.value if name.kind == "string" else None
        first = name
        while first.kind in {"binary_operator", "fstring"} and first.children:
            first = first.children[0]
        is_text = first.kind in {"string", "string_content"}
        prefix = (first.value or first.label or "") if is_text and first is not name else ""
        for one in self.related(around):
            for function in self.methods_of(one):
                last = function.name.rpartition(".")[2]
                if exact is not None and last != exact:
                    continue
                if last.startswith(prefix) and not last.startswith(_SKIPPED):
                    yield Callee(function, receiver=owner)

    def _overriding(self, callee: Node) -> Iterator[Callee]:
        """Yield the methods of classes below that may be the ones that are called."""
        if callee.kind != "attribute" or len(callee.children) != 2 or not self.has_heirs:
            return
        owner, name = callee.children
        if owner.kind == "identifier" and self.is_me(owner):
            around = class_around(owner, through=True)
        elif (
            owner.kind == "identifier" and self._is_parameter(owner)
        ) or owner.kind == "attribute":
            around = self._classes.get(self.type_of(owner) or "")
        else:
            around = None
        if around is None:
            return
        label = self.file.text(name)
        for other in self.below(around)[:_MOST]:
            function = self._methods.get(id(other), {}).get(label)
            if function is not None:
                yield Callee(function, receiver=owner)

    def _is_parameter(self, node: Node) -> bool:
        return self._parameter(self.file.text(node), self.file.scopes.home(node)) is not None
