"""Everything that is wrong with a plugin's folder or zip, at once, without running any of it.

Rules this module keeps:
- nothing of the plugin is executed: Python files are parsed, never imported;
- every problem says where it is and what to do; one problem hides no other one where they can be
  told apart;
- what passes here is what `tavo plugin pack` packs and a marketplace takes for inspection.
"""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from marketplace_db.errors import ManifestError, PackageError
from marketplace_db.lock import LOCK_NAME, parse_lock
from marketplace_db.manifest import Manifest
from marketplace_db.package import (
    REQUIRED_FILES,
    build_package,
    inspect_package,
    unpack_package,
)
from marketplace_db.paths import name_problem
from marketplace_db.permissions import danger_sentences, permission_sentences
from marketplace_db.scores import SCORES_NAME, scores_problem
from marketplace_db.sources import key_problem
from tavo.errors import InputError, UsageError
from tavo.host.local import WHEELS_FOLDER
from tavo.kit.manifest_checks import check_manifest, read_manifest
from tavo.kit.problems import LARGEST_MANIFEST, LARGEST_SOURCE, Problem, beginning, packed
from tavo.kit.publish import STATEMENT_SUFFIX
from tavo.kit.source_checks import check_entry_point, check_sources
from tavo.kit.statement import Statement, look_at_statement
from tavo.kit.wheels import check_programs, check_wheels

__all__ = ["Validation", "reads_like", "validate"]

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
_LARGEST_KEY = 64 << 20


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `plugin` is empty where it is not known, `package` where none was made.

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
    manifest = read_manifest(folder, problems)
    problems += _files(folder)
    if manifest is not None:
        problems += _license(folder, manifest)
        problems += _scores(folder, manifest)
        problems += check_manifest(manifest)
        problems += check_entry_point(folder, manifest)
    problems += check_sources(folder)
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


def _files(folder: Path) -> Iterator[Problem]:
    for name, hint in (
        ("README.md", REQUIRED_FILES["README.md"]),
        ("LICENSE", REQUIRED_FILES["LICENSE"]),
    ):
        if not (folder / name).is_file():
            yield Problem(where=name, what="is missing", hint=hint)
    for path in packed(folder):
        name = path.relative_to(folder).as_posix()
        if problem := name_problem(name):
            yield Problem(where=ascii(name), what=problem, hint="Rename it.")
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode):
            yield Problem(
                where=name, what="is a link or a device; a package holds only files",
                hint="Put the file itself there.",
            )  # fmt: skip
        elif problem := key_problem(beginning(path, _LARGEST_KEY)):
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
    text = beginning(path, LARGEST_MANIFEST).decode("utf-8", "replace")
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
        if what := scores_problem(beginning(path, LARGEST_SOURCE)):
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


def _wheels(folder: Path, wheels: Path, programs: Sequence[str]) -> Iterator[Problem]:
    """Look at the wheels that the lock names, how they were built, and for programs in them."""
    path = folder / LOCK_NAME
    if not path.is_file() or path.is_symlink():
        return
    try:
        locked = parse_lock(beginning(path, LARGEST_SOURCE))
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
