"""Everything that is wrong with a plugin's folder or zip, at once, without running any of it.

Rules this module keeps:
- nothing of the plugin is executed: Python files are parsed, never imported;
- every problem says where it is and what to do; one problem hides no other one where they can be
  told apart;
- what passes here is what `tavo plugin pack` packs and a marketplace takes for inspection.
"""

from __future__ import annotations

import ast
import difflib
import json
import stat
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import msgspec

from marketplace_db.errors import ManifestError, PackageError
from marketplace_db.lock import LOCK_NAME, parse_lock
from marketplace_db.manifest import (
    MANIFEST_NAME,
    PLUGIN_TYPES,
    Limits,
    Manifest,
    Permissions,
    parse_manifest,
    permission_sentences,
)
from marketplace_db.package import (
    REQUIRED_FILES,
    build_package,
    inspect_package,
    unpack_package,
)
from marketplace_db.paths import name_problem
from marketplace_db.permissions import danger_sentences
from marketplace_db.scores import SCORES_NAME, scores_problem
from marketplace_db.sources import key_problem, listed
from marketplace_db.strict_yaml import load_yaml
from tavo.errors import InputError, UsageError
from tavo.host.config_schema import unchecked
from tavo.host.hosted import unavailable
from tavo.host.local import WHEELS_FOLDER
from tavo.kit.publish import STATEMENT_SUFFIX
from tavo.kit.statement import Statement, look_at_statement
from tavo.kit.wheels import check_programs, check_wheels
from tavo.runs.plugins import LANGUAGES

__all__ = ["INTERFACES", "Problem", "Validation", "reads_like", "validate"]

INTERFACES = {
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
_DETECTING = frozenset({"static", "proxy", "log"})
_COMPILED = (".pyc", ".pyo", ".so", ".pyd", ".dll", ".dylib", ".pth")
_LICENSE_WORDS = {
    "MIT": "permission is hereby granted, free of charge",
    "Apache-2.0": "apache license",
    "BSD-2-Clause": "redistribution and use in source and binary forms",
    "BSD-3-Clause": "redistribution and use in source and binary forms",
    "GPL-3.0-only": "gnu general public license",
    "GPL-3.0-or-later": "gnu general public license",
    "MPL-2.0": "mozilla public license",
}
_SOUND: Mapping[str, Any] = {
    "api": 1, "id": "x", "publisher": "x", "name": "x", "version": "1.0.0",
    "plugin_type": "static", "entry_point": "main:X", "description": "x", "author": "x",
    "license": "MIT",
}  # fmt: skip
_LARGEST_MANIFEST = 64 * 1024
_LARGEST_SOURCE = 1 << 20
_LARGEST_KEY = 64 << 20
_OLDEST_PYTHON = (3, 11)
_MINORS = (11, 12, 13, 14)
_PATCHES = 40
_MOST_FILES = 10_000
_MOST_NOTES = 10


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to mend. A `note` is a piece of advice: the plugin can be packed as it is."""

    where: str
    what: str
    hint: str = ""
    kind: Literal["problem", "note"] = "problem"


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `manifest` is None where it cannot be read, `package` where none was made.

    `can` and `cannot` complete the sentences "It can …" and "It can NOT …"; `danger` are whole.
    `statement` is the publisher's beside a zip, None where there is none.
    """

    path: str
    problems: tuple[Problem, ...]
    plugin: str = ""
    version: str = ""
    plugin_type: str = ""
    package: str = ""
    can: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()
    danger: tuple[str, ...] = ()
    statement: Statement | None = None

    @property
    def passed(self) -> bool:
        """Tell whether there are only notes."""
        return all(problem.kind == "note" for problem in self.problems)


def validate(path: Path, *, public_key: str = "") -> Validation:
    """Look at a plugin's folder or zip, and at the statement beside a zip.

    `public_key` is the key that must have signed that. Raises UsageError where there is nothing to
    look at, InputError.
    """
    if not path.exists():
        raise UsageError(f"{path}: there is no such folder or zip")
    try:
        if path.is_dir():
            if public_key:
                raise UsageError(f"{path}: is a folder; a statement is about a packed zip")
            return _validate_folder(path, path, ())
        with tempfile.TemporaryDirectory(prefix="tavo-validate-") as name:
            folder = Path(name) / "plugin"
            try:
                inspected = inspect_package(path)
                unpack_package(inspected, folder)
            except (PackageError, ManifestError) as error:
                hint = error.hint or "Unpack it, validate the folder, and pack it with"
                hint += "" if error.hint else " `tavo plugin pack`."
                problem = Problem(where=path.name, what=str(error), hint=hint)
                return Validation(path=str(path), problems=(problem,))
            statement = look_at_statement(inspected, public_key)
            before: tuple[Problem, ...] = ()
            if statement is not None and statement.problem:
                hint = "Sign the package again with `tavo plugin sign`, or delete the statement."
                name = f"{path.name}{STATEMENT_SUFFIX}"
                before = (Problem(where=name, what=statement.problem, hint=hint),)
            found = _validate_folder(folder, path, before)
            return msgspec.structs.replace(found, statement=statement)
    except OSError as error:
        raise InputError(f"{error.filename or path}: cannot be read: {error.strerror}") from error


def _validate_folder(folder: Path, shown: Path, before: tuple[Problem, ...]) -> Validation:
    problems = list(before)
    manifest = _manifest(folder, problems)
    problems += _files(folder)
    if manifest is not None:
        problems += _license(folder, manifest)
        problems += _scores(folder, manifest)
        problems += _python(manifest)
        problems += _not_here(manifest)
        problems += _entry_point(folder, manifest)
    problems += _sources(folder)
    programs = manifest.programs if manifest is not None else ()
    wheels = (shown if shown.is_dir() else shown.parent) / WHEELS_FOLDER
    problems += _wheels(folder, wheels, programs)
    package = ""
    with tempfile.TemporaryDirectory(prefix="tavo-validate-") as name:
        try:
            package = build_package(folder, Path(name) / "package.zip").hex
        except (PackageError, ManifestError) as error:
            if not any(problem.kind == "problem" for problem in problems):
                what = str(error).removeprefix("package.zip: ")
                problems.append(Problem(where="package", what=what, hint=error.hint))
    can, cannot = permission_sentences(manifest) if manifest is not None else ([], [])
    return Validation(
        path=str(shown),
        problems=tuple(problems),
        plugin=manifest.full_id if manifest is not None else "",
        version=manifest.version if manifest is not None else "",
        plugin_type=manifest.plugin_type if manifest is not None else "",
        package=package,
        can=tuple(can),
        cannot=tuple(cannot),
        danger=danger_sentences(manifest) if manifest is not None else (),
    )


def _manifest(folder: Path, problems: list[Problem]) -> Manifest | None:
    """Read plugin.yaml; where it is wrong, judge each key by itself to name all that is."""
    path = folder / MANIFEST_NAME
    if not path.is_file() or path.is_symlink():
        problems.append(
            Problem(
                where=MANIFEST_NAME,
                what="is missing",
                hint="`tavo plugin init NAME --type static` writes a complete plugin.",
            )
        )
        return None
    data = _beginning(path, _LARGEST_MANIFEST + 1)
    try:
        return parse_manifest(data)
    except ManifestError as error:
        first = error
    found: dict[str, str] = {}
    try:
        document = load_yaml(data, name=MANIFEST_NAME, limit=_LARGEST_MANIFEST)
    except ManifestError as error:
        document, first = None, error
    if isinstance(document, dict):
        required = [
            field.name
            for field in msgspec.structs.fields(Manifest)
            if field.required and field.name not in document
        ]
        for name in required:
            found[f"{MANIFEST_NAME}: missing key '{name}'"] = f"Add a line `{name}: …`."
        plugin_type = document.get("plugin_type")
        sound = {**_SOUND}
        if plugin_type in PLUGIN_TYPES:
            sound["plugin_type"] = plugin_type
        for key, value in document.items():
            nested = {"permissions": Permissions, "limits": Limits}.get(key)
            if nested is not None and isinstance(value, dict):
                for inner, entry in value.items():
                    _judge({**sound, key: {inner: entry}}, found)
            else:
                _judge({**sound, key: value}, found)
    if not found:
        found[str(first)] = first.hint
    for message, hint in found.items():
        where, _, what = message.partition(": ")
        hint = hint or "The developer guide's table of plugin.yaml says what each key may be."
        problems.append(Problem(where=where, what=what or message, hint=hint))
    return None


def _judge(document: Mapping[str, Any], found: dict[str, str]) -> None:
    try:
        parse_manifest(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"))
    except ManifestError as error:
        found.setdefault(str(error), error.hint)


def _files(folder: Path) -> Iterator[Problem]:
    for name, hint in (
        ("README.md", REQUIRED_FILES["README.md"]),
        ("LICENSE", REQUIRED_FILES["LICENSE"]),
    ):
        if not (folder / name).is_file():
            yield Problem(where=name, what="is missing", hint=hint)
    for path in _packed(folder):
        name = path.relative_to(folder).as_posix()
        if problem := name_problem(name):
            yield Problem(where=ascii(name), what=problem, hint="Rename it.")
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode):
            yield Problem(
                where=name, what="is a link or a device; a package holds only files",
                hint="Put the file itself there.",
            )  # fmt: skip
        elif problem := key_problem(_beginning(path, _LARGEST_KEY)):
            yield Problem(
                where=name, what=problem,
                hint="Move it out of the folder; a test makes a sample of a key by itself.",
            )  # fmt: skip
        elif name.lower().endswith(_COMPILED):
            yield Problem(
                where=name, what="is compiled or start-up code, which a reviewer cannot read",
                hint="Leave it out; compiled code comes in wheels named in requirements.lock.",
            )  # fmt: skip
    if not any((folder / "tests").rglob("test_*.py")):
        yield Problem(
            where="tests/", what="holds no test_*.py", kind="note",
            hint="A test for each rule shows reviewers and users that it works.",
        )  # fmt: skip


def reads_like(license_id: str, text: str) -> bool | None:
    """Tell whether a text reads like that of an SPDX licence, None where its words are not known.

    For a look, never for lawyers: it is a few words that each version of the licence has.
    """
    words = _LICENSE_WORDS.get(license_id)
    return None if words is None else words in " ".join(text.lower().split())


def _license(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    path = folder / "LICENSE"
    if not path.is_file():
        return
    text = _beginning(path, _LARGEST_MANIFEST).decode("utf-8", "replace")
    if not text.strip():
        yield Problem(where="LICENSE", what="is empty", hint="Add the licence's text.")
    elif reads_like(manifest.license, text) is False:
        yield Problem(
            where="LICENSE", kind="note",
            what=f"does not read like {manifest.license}, which plugin.yaml names",
            hint="Let the two agree.",
        )  # fmt: skip


def _scores(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    """Look at the figures of a plugin that detects something; attacks have none."""
    path = folder / SCORES_NAME
    if path.is_file():
        if what := scores_problem(_beginning(path, _LARGEST_SOURCE)):
            yield Problem(
                where=SCORES_NAME, what=what, kind="note",
                hint='Write {"format": 1, "held_out": [{"data": …, "metric": …, "value": …,'
                ' "rows": …}]}, with 20 figures at most.',
            )  # fmt: skip
    elif manifest.plugin_type in _DETECTING:
        yield Problem(
            where=SCORES_NAME, what="is missing: nothing says how well this plugin detects",
            kind="note",
            hint="Run it on data that it was not made from, and write down what it found, and what"
            " it found wrongly.",
        )  # fmt: skip


def _python(manifest: Manifest) -> Iterator[Problem]:
    """Look for ranges of versions that say something else than their author meant."""
    if not manifest.python:
        return
    from packaging.specifiers import SpecifierSet

    known = [f"3.{minor}.{patch}" for minor in _MINORS for patch in range(_PATCHES)]
    fitting = list(SpecifierSet(manifest.python).filter(known))
    if not fitting:
        yield Problem(
            where=MANIFEST_NAME, what=f"python: {manifest.python!r} takes none of CPython 3.11 to"
            " 3.14, on which tavo runs plugins", hint="Widen it, or leave it out.",
        )  # fmt: skip
    elif all(version.endswith(".0") for version in fitting):
        yield Problem(
            where=MANIFEST_NAME, what=f"python: {manifest.python!r} takes only {fitting[-1]}, not"
            " its later fixes", kind="note", hint="Write '==3.12.*', or '>=3.11,<3.13'.",
        )  # fmt: skip


def _not_here(manifest: Manifest) -> Iterator[Problem]:
    """Note what plugin.yaml asks for and this version does not do."""
    if missing := unavailable(manifest):
        yield Problem(
            where=MANIFEST_NAME, kind="note",
            what=f"permissions: {missing} is not available to a {manifest.plugin_type} plugin,"
            " which does not run if it asks for it",
            hint="Leave it out; static and dynamic plugins may have it.",
        )  # fmt: skip
    for language in manifest.languages:
        if language not in LANGUAGES:
            near = difflib.get_close_matches(language, sorted(LANGUAGES), n=1)
            yield Problem(
                where=MANIFEST_NAME, kind="note",
                what=f"languages: no file is known to be {language!r}, so none is handed in"
                + (f"; did you mean {near[0]!r}?" if near else ""),
                hint=f"Known: {', '.join(sorted(LANGUAGES))}.",
            )  # fmt: skip
    for word in islice(unchecked(manifest.config_schema), _MOST_NOTES):
        yield Problem(
            where=MANIFEST_NAME, kind="note", what=f"{word} is not checked by tavo",
            hint="Check it in start(), and raise ConfigError.",
        )  # fmt: skip


def _entry_point(folder: Path, manifest: Manifest) -> Iterator[Problem]:
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
            hint=f"Write `class {name}({INTERFACES[manifest.plugin_type]}):`.{near}",
        )  # fmt: skip
        return
    bases = {_last_name(base) for base in found.bases}
    wanted = INTERFACES[manifest.plugin_type]
    others = bases & (set(INTERFACES.values()) - {wanted})
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


def _sources(folder: Path) -> Iterator[Problem]:
    for path in _packed(folder):
        if path.suffix != ".py" or path.is_symlink() or not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()
        try:
            if path.stat().st_size > _LARGEST_SOURCE:
                raise ValueError(f"is larger than {_LARGEST_SOURCE} bytes")
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


def _wheels(folder: Path, wheels: Path, programs: Sequence[str]) -> Iterator[Problem]:
    """Look at the wheels that the lock names, how they were built, and for programs in them."""
    path = folder / LOCK_NAME
    if not path.is_file() or path.is_symlink():
        return
    try:
        locked = parse_lock(_beginning(path, _LARGEST_SOURCE))
    except PackageError:
        return  # named with the package
    if locked and not wheels.is_dir():
        yield Problem(
            where=LOCK_NAME, what=f"its wheels were not looked at: there is no {wheels}",
            hint="Put them there, and hand them in with the package.", kind="note",
        )  # fmt: skip
        return
    for where, what, is_note in check_wheels(locked, wheels):
        yield Problem(
            where=where, what=what, kind="note" if is_note else "problem",
            hint="" if is_note else f"Fetch or build it again; `tavo plugin lock {folder.name}`.",
        )  # fmt: skip
    for where, what in check_programs(programs, locked, wheels):
        yield Problem(
            where=where, what=what,
            hint="Lock wheels that all bring it, or name it as it is called there.",
        )  # fmt: skip


def _packed(folder: Path) -> Iterator[Path]:
    """Yield what a package would hold, links too, in order, up to a bound."""
    yield from sorted(islice(listed(folder), _MOST_FILES))


def _parse(path: Path) -> ast.Module | None:
    try:
        return _parsed(path)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _parsed(path: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a stranger's backslashes
        return ast.parse(_beginning(path, _LARGEST_SOURCE + 1), feature_version=_OLDEST_PYTHON)


def _beginning(path: Path, limit: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(limit)


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
