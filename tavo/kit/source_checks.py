"""What is wrong with a plugin's Python files, seen without running any of them.

Rules this module keeps:
- files are parsed, never imported, as the oldest Python that plugins run on reads them;
- what is only known when it runs (a class that is imported, a method of another base) is no
  problem: `tavo plugin test` sees it.

Units: sizes in bytes.
"""

from __future__ import annotations

import ast
import difflib
import warnings
from collections.abc import Iterator
from pathlib import Path

from marketplace_db.manifest import Manifest
from tavo.kit.problems import LARGEST_SOURCE, Problem, beginning, packed

__all__ = ["check_entry_point", "check_sources"]

_INTERFACES = {
    "static": "StaticAnalysisPlugin",
    "dynamic": "DynamicTestingPlugin",
    "proxy": "ProxyFilteringPlugin",
    "log": "LogAnalysisPlugin",
}
_METHODS = {
    "static": (("analyze_file", "analyze_binary", "analyze_project"),),
    "dynamic": (("run_attack",),),
    "proxy": (("filter_request",), ("filter_response",)),
    "log": (("analyze_logs",),),
}
_NEEDS_RULES = frozenset({"static", "dynamic"})
_OLDEST_PYTHON = (3, 11)


def check_entry_point(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    """Look for the class that plugin.yaml names, its interface, its methods and its rules."""
    module, _, name = manifest.entry_point.partition(":")
    inner = module.replace(".", "/")
    path = next(
        (p for p in (folder / f"{inner}.py", folder / inner / "__init__.py") if p.is_file()), None
    )
    if path is None:
        yield Problem(
            where="plugin.yaml", what=f"entry_point: there is no {inner}.py",
            hint="Name the module and class that exist, such as main:MyPlugin.",
        )  # fmt: skip
        return
    tree = _parse(path)
    if tree is None:
        return  # named among the sources
    where = path.relative_to(folder).as_posix()
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    top = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    found = classes.get(name)
    if found is None or name not in top:
        if name in _bound_names(tree):
            return  # imported or assigned: known when it runs, `tavo plugin test` looks
        near = f" It has {', '.join(sorted(top))}." if top else ""
        yield Problem(
            where=where, what=f"holds no class {name}, which entry_point names",
            hint=f"Write `class {name}({_INTERFACES[manifest.plugin_type]}):`.{near}",
        )  # fmt: skip
        return
    bases = {_last_name(base) for base in found.bases}
    wanted = _INTERFACES[manifest.plugin_type]
    others = bases & (set(_INTERFACES.values()) - {wanted})
    if others and wanted not in bases:
        yield Problem(
            where=f"{where} line {found.lineno}",
            what=f"{name} is a {sorted(others)[0]}, but plugin_type is {manifest.plugin_type}",
            hint=f"Derive it from {wanted}, or change plugin_type.",
        )
    elif not bases:
        yield Problem(
            where=f"{where} line {found.lineno}", what=f"{name} derives from nothing",
            hint=f"Write `class {name}({wanted}):`.",
        )  # fmt: skip
    elif wanted in bases:
        defined = {
            node.name for node in found.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }  # fmt: skip
        for choice in _METHODS[manifest.plugin_type]:
            if len(bases) == 1 and not defined & set(choice):
                similar = [
                    f"{there} looks like it. "
                    for there in sorted(defined)
                    if difflib.get_close_matches(there, choice, n=1, cutoff=0.8)
                ]
                yield Problem(
                    where=f"{where} line {found.lineno}",
                    what=f"{name} defines no {' or '.join(choice)}",
                    hint=f"{''.join(similar)}The developer guide shows its parameters.",
                )
        if len(bases) == 1 and manifest.plugin_type in _NEEDS_RULES and not _has_rules(tree):
            yield Problem(
                where=f"{where} line {found.lineno}",
                what=f"{name} has no rules, so nothing that it finds is valid",
                hint="Write `rules = (MY_RULE,)` in the class, with every Rule that it may name.",
            )


def _has_rules(tree: ast.Module) -> bool:
    """Tell whether anything of that name is written anywhere, in the class or behind it."""
    return any(
        isinstance(node, ast.Name | ast.Attribute)
        and _last_name(node) == "rules"
        and isinstance(node.ctx, ast.Store)
        for node in ast.walk(tree)
    )


def check_sources(folder: Path) -> Iterator[Problem]:
    """Look at every Python file: whether it can be parsed, and whether it prints."""
    for path in packed(folder):
        if path.suffix != ".py" or path.is_symlink() or not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()
        try:
            if path.stat().st_size > LARGEST_SOURCE:
                raise ValueError(f"is larger than {LARGEST_SOURCE} bytes")
            tree = _parsed(path)
        except SyntaxError as error:
            yield Problem(
                where=f"{name} line {error.lineno or 1}",
                what=f"is not Python {'.'.join(map(str, _OLDEST_PYTHON))}: {error.msg}",
                hint="Plugins run on CPython 3.11 to 3.14.",
            )
            continue
        except (ValueError, RecursionError, MemoryError) as error:
            yield Problem(where=name, what=f"cannot be parsed: {error}", hint="Simplify it.")
            continue
        if name.startswith("tests/"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _last_name(node.func) == "print":
                yield Problem(
                    where=f"{name} line {node.lineno}", what="prints", kind="note",
                    hint="Use context.log: what is printed is shown to you alone, by `plugin run`.",
                )  # fmt: skip


def _parse(path: Path) -> ast.Module | None:
    try:
        return _parsed(path)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _parsed(path: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a stranger's backslashes
        return ast.parse(beginning(path, LARGEST_SOURCE + 1), feature_version=_OLDEST_PYTHON)


def _bound_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
