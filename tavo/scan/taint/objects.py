"""The classes of the objects of a file: what a variable, a parameter or an attribute holds.

Rules this module keeps:
- a class is known where the source says it: by an annotation, by the call that makes the object,
  by the function of this file that returns it;
- annotations that say "or nothing", and those with notes for a framework, name the class inside;
- a class of another file is a dotted name;
- however long a chain of names, functions or annotations is, it takes no stack: a question that
  needs the answer to another one hands that out.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

from tavo.scan.parsed import ParsedFile
from tavo.scan.scopes import FUNCTIONS
from tavo.scan.tree import Node

__all__ = ["Objects", "class_around", "is_property"]

_SHELLS = frozenset({"await", "parenthesized_expression"})
_AROUND_A_CLASS = frozenset(
    {"Optional", "Annotated", "Final", "ClassVar", "Readonly", "NonNullable"}
)
_KINDS = frozenset({"call", "identifier", "attribute"})
_Asking = Generator["_Asking", Any, Any]
"""A question: it hands out the questions whose answers it needs, and is sent those."""
_PROPERTY = re.compile(rb"(?:private|public|protected|readonly|override)\s")


class Objects:
    """What objects a file has; whoever knows its functions and methods says what they return."""

    def __init__(self, file: ParsedFile) -> None:
        self.file = file
        self._classes: dict[str, Node] = {}
        self._types: dict[tuple[int, str], str | None] = {}
        self._attributes: dict[int, dict[str, str]] = {}
        self._results: dict[int, str | None] = {}
        self._assigned: dict[str, list[Node]] | None = None
        self._homes: dict[str, dict[int, list[Node]]] = {}

    def is_me(self, node: Node) -> bool:
        """Tell whether a name is that of the object in its own methods."""
        raise NotImplementedError

    def function_named(self, node: Node) -> Node | None:
        """Return the function of this file that a name stands for."""
        raise NotImplementedError

    def type_of(self, node: Node) -> str | None:
        """Return the class of an expression's value: a class of this file, or a dotted name."""
        while node.kind in _SHELLS and node.children:
            node = node.children[0]
        return self._answer(self._type(node)) if node.kind in _KINDS else None

    def _answer(self, question: _Asking) -> str | None:
        """Answer a question, and all that it asks on the way."""
        waiting, said = [question], None
        try:
            while waiting:
                try:
                    waiting.append(waiting[-1].send(said))
                    said = None
                except StopIteration as answer:
                    waiting.pop()
                    said = answer.value
        except BaseException:  # what was begun, and would look as if it were known
            self._types.clear()
            self._attributes.clear()
            self._results.clear()
            raise
        return said

    def _type(self, node: Node) -> _Asking:
        while node.kind in _SHELLS and node.children:
            node = node.children[0]
        if node.kind == "call":
            callee = node.role("function")
            if callee is None:
                return None
            made = self._class_named(callee)
            return made if made is not None else (yield self._returned_by(callee))
        if node.kind == "identifier":
            return (yield self._type_of_name(node))
        if node.kind == "attribute" and len(node.children) == 2:
            owner, name = node.children
            around = class_around(node, through=True)
            if owner.kind == "identifier" and around is not None and self.is_me(owner):
                return (yield self._attributes_of(around)).get(self.file.text(name))
        return None

    def _returned_by(self, callee: Node) -> _Asking:
        """Return the class of what a function of this file returns, wherever it returns."""
        function = self.function_named(callee) if callee.kind == "identifier" else None
        if function is None:
            return None
        if id(function) not in self._results:
            self._results[id(function)] = None  # a function that returns itself ends here
            self._results[id(function)] = yield self._find_result(function)
        return self._results[id(function)]

    def _find_result(self, function: Node) -> _Asking:
        if (annotation := function.role("return_type")) is not None:
            return self._class_of_annotation(annotation)
        found: set[str | None] = set()
        waiting = [function.role("body")]
        while waiting:
            node = waiting.pop()
            if node is None or node.kind in FUNCTIONS:
                continue
            if node.kind == "return_statement":
                found.add((yield self._type(node.children[0])) if node.children else None)
            else:
                waiting += node.children
        return found.pop() if len(found) == 1 else None

    def _class_of_annotation(self, node: Node) -> str | None:
        """Return the class that an annotation names, or that `Optional` and the like hold."""
        found: set[str] = set()
        waiting = [node]
        while waiting:
            node = waiting.pop()
            if node.kind == "generic_type" and len(node.children) == 2:
                outer, inside = node.children
                if self.file.text(outer).rpartition(".")[2] in _AROUND_A_CLASS and inside.children:
                    waiting.append(inside.children[0])
                    continue
            if node.kind == "binary_operator":
                waiting += node.children
            elif (
                node.kind == "string"
                and isinstance(node.value, str)
                and node.value in self._classes
            ):
                found.add(node.value)
            elif (name := self._class_named(node)) is not None:
                found.add(name)
        return found.pop() if len(found) == 1 else None

    def _class_named(self, node: Node) -> str | None:
        """Return the class that an expression names."""
        if node.kind == "identifier" and self.file.scopes.home(node) is None:
            label = self.file.text(node)
            if label in self._classes:
                return label
        dotted = self.file.dotted(node)
        if dotted is None:
            return None
        last = dotted.rpartition(".")[2]
        if last == "default":
            last = self.file.text(node)
        is_class = last[:1].isupper() and "." in dotted
        return dotted if is_class and node.kind in {"identifier", "attribute"} else None

    def _type_of_name(self, node: Node) -> _Asking:
        home = self.file.scopes.home(node)
        key = (id(home) if home is not None else 0, self.file.text(node))
        if key not in self._types:
            self._types[key] = None  # a class that is named after itself ends here
            self._types[key] = yield self._find_type(node, home)
        return self._types[key]

    def _find_type(self, node: Node, home: Node | None) -> _Asking:
        label = self.file.text(node)
        found: set[str | None] = set()
        for assignment in self._assigned_to(label, home):
            annotation, right = assignment.role("type"), assignment.role("right")
            if (
                annotation is not None
                and (made := self._class_of_annotation(annotation)) is not None
            ):
                return made
            if right is not None:
                found.add((yield self._type(right)))
        parameters = home.role("parameters") if home is not None else None
        for parameter in parameters.children if parameters is not None else ():
            name, annotation = parameter.role("name") or parameter, parameter.role("type")
            while name.kind != "identifier" and name.children:
                name = name.children[0]
            if self.file.text(name) == label:
                found.add(self._class_of_annotation(annotation) if annotation is not None else None)
        return found.pop() if len(found) == 1 else None

    def _assigned_to(self, label: str, home: Node | None) -> list[Node]:
        """Return the assignments to a variable of a function, or of the module."""
        if self._assigned is None:
            self._assigned = {}
            for assignment in self.file.by_kind.get("assignment", ()):
                left = assignment.role("left")
                if left is not None and left.kind == "identifier":
                    self._assigned.setdefault(self.file.text(left), []).append(assignment)
        homes = self._homes.get(label)
        if homes is None:
            homes = self._homes[label] = {}
            for assignment in self._assigned.get(label, ()):
                around = self.file.scopes.home(assignment.role("left") or assignment)
                homes.setdefault(id(around) if around is not None else 0, []).append(assignment)
        return homes.get(id(home) if home is not None else 0, [])

    def _attributes_of(self, owner: Node) -> _Asking:
        known = self._attributes.get(id(owner))
        if known is not None:
            return known
        types: dict[str, str] = {}
        self._attributes[id(owner)] = types
        for node in owner.walk():
            if node.kind == "typed_parameter" and (field := self._field_of(node)) is not None:
                types.setdefault(*field)
                continue
            left = node.role("left") if node.kind == "assignment" else None
            if left is None:
                continue
            annotation, right = node.role("type"), node.role("right")
            made = self._class_of_annotation(annotation) if annotation is not None else None
            if made is None and right is not None:
                made = yield self._type(right)
            if left.kind == "attribute" and self.is_me(left.children[0]):
                name = self.file.text(left.children[-1])
            elif left.kind == "identifier" and class_around(node) is owner:
                name = self.file.text(left)
            else:
                continue
            if made is not None:
                types.setdefault(name, made)
        return types

    def _field_of(self, parameter: Node) -> tuple[str, str] | None:
        """Return the attribute that a parameter such as `private a: A` is, and its class."""
        name, annotation = parameter.role("name"), parameter.role("type")
        if name is None or annotation is None or self.file.language == "python":
            return None
        if not is_property(self.file, parameter):
            return None
        made = self._class_of_annotation(annotation)
        return (self.file.text(name), made) if made is not None else None


def class_around(node: Node, *, through: bool = False) -> Node | None:
    """Return the class that a node stands in; `through` the functions in between, or not."""
    for around in node.ancestors():
        if around.kind == "class_definition":
            return around
        if around.kind in FUNCTIONS and not through:
            return None
    return None


def is_property(file: ParsedFile, parameter: Node) -> bool:
    """Tell whether a parameter of a constructor of TypeScript is an attribute as well."""
    return _PROPERTY.match(file.source.data, parameter.start) is not None
