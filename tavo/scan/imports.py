"""Import statements of a pattern compiled to tests.

Rules this module keeps:
- `import a` matches every import that brings `a` or something below it, under any name;
- `from a import b` matches every import that brings `b` of `a` or of a module below it;
- in JavaScript the parts of a module's name are those between its slashes;
- an alias in the pattern must be there in the source, one that is left out may be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from tavo.scan.bindings import NONE, Binding, Env, Run, Test, bind
from tavo.scan.literals import content_of
from tavo.scan.names import Imported, imported
from tavo.scan.pattern import ELLIPSIS, PatternError, variable_of
from tavo.scan.tree import Node

__all__ = ["compile_import"]


_BETWEEN = re.compile(r"[./]")
_METAVARIABLE = re.compile(r"\$[A-Z_][A-Z0-9_]*\Z")


class _Part(msgspec.Struct, frozen=True):
    """One name between the dots of a pattern: a metavariable or a fixed name."""

    text: str
    variable: str | None


def compile_import(node: Node) -> Test:
    """Compile an import statement. Raises PatternError if it names more or less than one."""
    read = imported
    if node.op == "es":
        from tavo.scan.languages.ecma_imports import ecma_imported as read
    wanted = [entry for entry in read(node) if entry.name != ELLIPSIS]
    if not wanted and node.op == "es":
        return _module_only(node)
    if len(wanted) > 1 and node.op == "es":
        return _all_of([_compile_entry(entry, read) for entry in wanted])
    if len(wanted) != 1:
        raise PatternError("an import pattern takes one name")
    return _compile_entry(wanted[0], read)


def _all_of(tests: Sequence[Test]) -> Test:
    """Compile an import of several names: all of them stand in the statement."""

    def all_of(n: Node, env: Env, run: Run) -> Sequence[Env]:
        envs: Sequence[Env] = (env,)
        for test in tests:
            envs = [after for before in envs for after in test(n, before, run)]
        return envs

    return all_of


def _compile_entry(entry: Imported, read: Callable[[Node], Iterator[Imported]]) -> Test:
    alias = _part(entry.alias) if entry.alias else None
    if entry.name == "*":
        return _star(_parts(entry.module))
    name, module = _parts(entry.name), _parts(entry.module)
    matches: Callable[[Imported, Env, Run], Sequence[Env]]
    if entry.is_from:

        def matches(found: Imported, env: Env, run: Run) -> Sequence[Env]:
            return _from(module, name[0], found, env, run)

    else:

        def matches(found: Imported, env: Env, run: Run) -> Sequence[Env]:
            return _plain(name, found, env, run)

    def imports(n: Node, env: Env, run: Run) -> Sequence[Env]:
        if n.kind not in {"import_statement", "import_from_statement"}:
            return NONE
        out: list[Env] = []
        for found in read(n):
            envs = matches(found, env, run)
            if alias is not None:
                envs = [e for before in envs for e in _one(alias, found.alias, found, before, run)]
            out += envs
        return out

    return imports


def _module_only(node: Node) -> Test:
    """Compile `import "m"` or `import {...} from "m"`, which take every import of the module."""
    wanted = node.role("source")
    if wanted is None or wanted.value is None:
        raise PatternError("an import without a module")
    module, part = wanted.value, _part(wanted.value)

    def module_only(n: Node, env: Env, run: Run) -> Sequence[Env]:
        source = n.role("source") if n.kind == "import_statement" else None
        if source is None:
            return NONE
        own = source.value or ""
        if part.variable is not None:
            return bind(env, part.variable, content_of(source, run.file), run)
        return (env,) if own == module or own.startswith(module + "/") else NONE

    return module_only


def _star(module: Sequence[_Part]) -> Test:
    def star(n: Node, env: Env, run: Run) -> Sequence[Env]:
        if n.kind != "import_from_statement":
            return NONE
        return [
            after
            for found in imported(n)
            if found.name == "*"
            for after in _prefix(module, found.module, found, env, run)
        ]

    return star


def _plain(name: Sequence[_Part], found: Imported, env: Env, run: Run) -> Sequence[Env]:
    if len(name) == 1 and name[0].variable is not None:
        whole = found.module if found.is_from else found.name
        return _one(name[0], whole, found, env, run)
    return _prefix(name, found.path, found, env, run)


def _from(
    module: Sequence[_Part], name: _Part, found: Imported, env: Env, run: Run
) -> Sequence[Env]:
    if found.name == "*":
        return NONE
    if not found.is_from:
        if module and module[0].variable is not None:
            return NONE
        return _prefix([*module, name], found.name, found, env, run)
    if len(module) == 1 and module[0].variable is not None:
        envs = _one(module[0], found.module, found, env, run)
    else:
        envs = _prefix(module, found.module, found, env, run)
    out = [after for before in envs for after in _one(name, found.name, found, before, run)]
    return out or _prefix([*module, name], found.module, found, env, run)


def _prefix(
    wanted: Sequence[_Part], dotted: str, found: Imported, env: Env, run: Run
) -> Sequence[Env]:
    """Match the first parts of a dotted name."""
    own = _BETWEEN.split(dotted)
    if len(own) < len(wanted):
        return NONE
    envs: Sequence[Env] = (env,)
    for part, text in zip(wanted, own, strict=False):
        envs = [after for before in envs for after in _one(part, text, found, before, run)]
        if not envs:
            return NONE
    return envs


def _one(part: _Part, text: str, found: Imported, env: Env, run: Run) -> Sequence[Env]:
    if part.variable is None:
        return (env,) if part.text == text else NONE
    if not text:
        return NONE
    node = found.node
    if node.kind == "identifier" and node.label == text:
        return bind(
            env, part.variable, Binding(node.start, node.end, file=run.file, node=node), run
        )
    return bind(env, part.variable, Binding(node.start, node.end, text=text), run)


def _part(text: str) -> _Part:
    if _METAVARIABLE.match(text):  # in a string, such as the module of an import in JavaScript
        return _Part(text, text)
    found = variable_of(text)
    return _Part(text, found[0] if found is not None else None)


def _parts(dotted: str) -> list[_Part]:
    return [_part(text) for text in _BETWEEN.split(dotted)] if dotted else []
