"""Metavariables and what they are bound to while a pattern is compared with source.

Rules this module keeps:
- bindings are never changed in place: binding one more metavariable makes a new environment;
- a metavariable that is bound twice must be the same code both times, apart from white space,
  quotes, parentheses and import aliases;
- the work per pattern and file is bounded: running out of steps is an error with a name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tavo.scan.constants import number
from tavo.scan.parsed import ParsedFile
from tavo.scan.tree import Node

__all__ = [
    "NONE",
    "Binding",
    "BudgetError",
    "Env",
    "Run",
    "Test",
    "bind",
    "bind_node",
    "env_key",
    "same_code",
]

_STEPS = 2_000_000
_NAMES = frozenset({"identifier", "attribute", "dotted_name"})
_LITERALS = frozenset({"string", "integer", "float", "true", "false", "none"})


class BudgetError(RuntimeError):
    """Matching one pattern on one file took more steps than allowed."""


class Binding:
    """What a metavariable stands for: one node, or several beside each other, or no node.

    `start` and `end` are byte offsets. `text` is the source there, or what was given for it.
    """

    __slots__ = ("_file", "_text", "end", "node", "start")

    def __init__(
        self, start: int, end: int, *, file: ParsedFile | None = None, node: Node | None = None,
        text: str | None = None,
    ) -> None:  # fmt: skip
        self.start = start
        self.end = end
        self.node = node
        self._file = file
        self._text = text

    def __repr__(self) -> str:
        return f"Binding({self.start}, {self.end}, {self.text!r})"

    @property
    def text(self) -> str:
        """The source of what is bound; for the content of a string literal the content alone."""
        if self._text is None:
            node = self.node
            if node is not None and node.label is not None:
                self._text = node.label
            elif self._file is not None:
                self._text = self._file.source.text(self.start, self.end)
            else:
                self._text = ""
        return self._text


Env = Mapping[str, Binding]


class Run:
    """One pattern on one file: the file, and the steps that are left.

    `constants`: an expression also stands for the constant that it always is.
    """

    __slots__ = ("constants", "file", "imports", "steps")

    def __init__(self, file: ParsedFile, *, constants: bool = True) -> None:
        self.file = file
        self.constants = constants
        self.imports = file.imports
        self.steps = _STEPS

    def spend(self, steps: int = 1) -> None:
        """Count steps. Raises BudgetError when there are none left."""
        self.steps -= steps
        if self.steps < 0:
            raise BudgetError(f"more than {_STEPS:,} steps")


# A test of one node: the environments in which it holds, none where it does not.
Test = Callable[[Node, Env, Run], Sequence[Env]]

NONE: Sequence[Env] = ()


def bind_node(env: Env, name: str, node: Node, run: Run) -> Sequence[Env]:
    """Bind a metavariable to a node, or compare with what it is bound to already."""
    known = env.get(name)
    if known is None:
        if name == "$_":
            return (env,)
        return ({**env, name: Binding(node.start, node.end, file=run.file, node=node)},)
    if known.node is not None:
        same = known.node is node or _same_nodes(known.node, node, run.file)
        if not same and (known.node.kind in _LITERALS) != (node.kind in _LITERALS):
            constant = run.file.constant(node)
            same = constant is not None and constant == run.file.constant(known.node)
    else:
        same = _squeezed(known.text) == _squeezed(run.file.text(node))
    return (env,) if same else NONE


def bind(env: Env, name: str, binding: Binding, run: Run) -> Sequence[Env]:
    """Bind a metavariable to something, or compare with what it is bound to already."""
    known = env.get(name)
    if known is None:
        return (env,) if name == "$_" else ({**env, name: binding},)
    return (env,) if same_code(known, binding, run.file) else NONE


def same_code(a: Binding, b: Binding, file: ParsedFile | None = None) -> bool:
    """Tell whether two bindings are the same code."""
    if a is b or (a.start == b.start and a.end == b.end):
        return True
    if a.node is not None and b.node is not None:
        return _same_nodes(a.node, b.node, file or a._file)
    return _squeezed(a.text) == _squeezed(b.text)


def env_key(env: Env) -> tuple[object, ...]:
    """Return what tells one environment from another one of the same file."""
    if not env:
        return ()
    return tuple(sorted((name, value.start, value.end) for name, value in env.items()))


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _same_nodes(a: Node, b: Node, file: ParsedFile | None) -> bool:
    pairs = [(a, b)]
    while pairs:
        left, right = pairs.pop()
        if left is right:
            continue
        if left.kind != right.kind:
            if not _same_names(left, right, file):
                return False
            continue
        if left.kind == "string":
            if left.value != right.value:
                return False
            continue
        if left.label != right.label or left.kind == "identifier":
            if left.label == right.label:
                if not _same_home(left, right, file):
                    return False
            elif left.kind == "identifier":
                if not _same_names(left, right, file):
                    return False
            elif left.kind != "integer" or number(left.label or "") != number(right.label or ""):
                return False
            continue
        if left.op != right.op or len(left.children) != len(right.children):
            return False
        pairs.extend(zip(left.children, right.children, strict=True))
    return True


def _same_home(a: Node, b: Node, file: ParsedFile | None) -> bool:
    """Tell whether two names that are spelled the same live in the same function."""
    if file is None or a.field == "attribute" or b.field == "attribute":
        return True
    here, there = file.scopes.home(a), file.scopes.home(b)
    if here is there:
        return True
    # As in Semgrep, names that are taken out of an object are told apart by nothing but spelling.
    return file.scopes.is_taken_out(a, here) or file.scopes.is_taken_out(b, there)


def _same_names(a: Node, b: Node, file: ParsedFile | None) -> bool:
    """Tell whether two expressions are one dotted name after aliases are resolved."""
    if file is None or a.kind not in _NAMES or b.kind not in _NAMES:
        return False
    plain = a.kind == b.kind == "identifier"
    if plain and a.label not in file.imports and b.label not in file.imports:
        return False
    left = _dotted(a, file)
    return left is not None and left == _dotted(b, file)


def _dotted(node: Node, file: ParsedFile) -> str | None:
    if node.kind == "dotted_name":
        return ".".join(child.label or "" for child in node.children)
    return file.dotted(node)
