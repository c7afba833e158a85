"""Files that name packages -> packages with their versions.

Rules this module keeps:
- a file is parsed by its own format, never searched with expressions; what cannot be read is said;
- a lock file knows a version, a requirement only asks for one.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import msgspec

__all__ = ["Declared", "declared_in", "is_manifest", "is_unread"]

_UNREAD = frozenset({
    "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb", "pdm.lock", "Pipfile", "Pipfile.lock",
    "environment.yml", "environment.yaml", "go.mod", "pom.xml", "build.gradle", "Cargo.lock",
    "Gemfile.lock",
})  # fmt: skip
_UNREAD_AT_THE_TOP = frozenset({"setup.py", "setup.cfg"})

_LONGEST = 200


class Declared(msgspec.Struct, frozen=True):
    """A package that a manifest names: `version` is exact, `wanted` only what is asked for."""

    ecosystem: str
    name: str
    version: str
    wanted: str
    line: int


def is_manifest(path: PurePosixPath) -> bool:
    """Tell whether a file of this name is read."""
    return _reader(path) is not None


def is_unread(path: PurePosixPath) -> bool:
    """Tell whether a file is a manifest of a kind that is not read: what it names is missing."""
    return path.name in _UNREAD or str(path) in _UNREAD_AT_THE_TOP


def declared_in(path: PurePosixPath, text: str) -> list[Declared]:
    """Return the packages that a manifest names. Raises ValueError with what is wrong."""
    reader = _reader(path)
    if reader is None:
        return []
    lines = _Lines(text)
    try:
        return [
            msgspec.structs.replace(one, line=one.line or lines.of(one.name))
            for one in reader(text)
            if one.name and len(one.name) <= _LONGEST
        ]
    except (TypeError, AttributeError, KeyError, RecursionError) as error:
        raise ValueError(f"it is not as its format says: {type(error).__name__}") from None


def _reader(path: PurePosixPath) -> Callable[[str], Iterator[Declared]] | None:
    name = path.name.lower()
    if name.endswith((".txt", ".in")) and (
        "requirements" in name or path.parent.name == "requirements"
    ):
        return _requirements
    if name == "metadata" and path.parent.name.endswith(".dist-info"):
        return _metadata
    return _BY_NAME.get(name)


class _Lines:
    """Where names stand in a text, looked for once."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._known: dict[str, int] = {}

    def of(self, name: str) -> int:
        if not self._known:
            for number, line in enumerate(self._lines, start=1):
                for quote in "\"'":
                    for part in line.split(quote)[1::2]:
                        word = part.split("[")[0].split(" ")[0].rstrip("=<>!~;,")
                        self._known.setdefault(word.lower(), number)
                        for sign in "=<>!~;@":
                            self._known.setdefault(
                                part.split(sign)[0].split("[")[0].strip().lower(), number
                            )
        for key in (name.lower(), f"node_modules/{name}".lower()):
            if key in self._known:
                return self._known[key]
        return 1


def _requirement(text: str, line: int) -> Declared | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        found = Requirement(text)
    except InvalidRequirement:
        return None
    exact = [one.version for one in found.specifier if one.operator in ("==", "===")]
    version = exact[0] if exact and "*" not in exact[0] else ""
    return Declared("pypi", found.name, version, str(found.specifier), line)


def _requirements(text: str) -> Iterator[Declared]:
    for number, line in enumerate(text.split("\n"), start=1):
        asked = line.split(" #")[0].split(" --")[0].strip().rstrip("\\").strip()
        if asked and not asked.startswith(("#", "-")):
            found = _requirement(asked, number)
            if found is not None:
                yield found


def _metadata(text: str) -> Iterator[Declared]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            return
        if line.startswith("Requires-Dist:"):
            found = _requirement(line.partition(":")[2].strip(), number)
            if found is not None:
                yield found


def _toml(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def _pyproject(text: str) -> Iterator[Declared]:
    value = _toml(text)
    project = value.get("project") or {}
    asked = list(project.get("dependencies") or ())
    for group in (project.get("optional-dependencies") or {}).values():
        asked += group
    for group in (value.get("dependency-groups") or {}).values():
        asked += [one for one in group if isinstance(one, str)]
    for one in asked:
        found = _requirement(one, 0)
        if found is not None:
            yield found
    poetry = (value.get("tool") or {}).get("poetry") or {}
    tables = [poetry.get("dependencies") or {}]
    tables += [one.get("dependencies") or {} for one in (poetry.get("group") or {}).values()]
    for table in tables:
        for name, wanted in table.items():
            asked_for = wanted if isinstance(wanted, str) else str(dict(wanted).get("version", ""))
            if name != "python":
                yield Declared("pypi", name, "", asked_for, 0)


def _python_lock(text: str) -> Iterator[Declared]:
    """uv.lock and poetry.lock: a list of packages with versions."""
    for one in _toml(text).get("package") or ():
        yield Declared("pypi", str(one["name"]), str(one.get("version", "")), "", 0)


def _json(text: str) -> Any:
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(value, Mapping):
        raise ValueError("it is no object")
    return value


def _package_json(text: str) -> Iterator[Declared]:
    value = _json(text)
    for key in ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies"):
        for name, wanted in (value.get(key) or {}).items():
            exact = str(wanted) if str(wanted)[:1].isdigit() and " " not in str(wanted) else ""
            yield Declared("npm", name, exact if "x" not in exact else "", str(wanted), 0)


def _package_lock(text: str) -> Iterator[Declared]:
    value = _json(text)
    for where, one in (value.get("packages") or {}).items():
        name = str(where).rpartition("node_modules/")[2]
        if where and "node_modules/" in where:
            yield Declared("npm", str(one.get("name", name)), str(one.get("version", "")), "", 0)
    if not value.get("packages"):
        for name, one in (value.get("dependencies") or {}).items():
            yield Declared("npm", name, str(one.get("version", "")), "", 0)


_BY_NAME: dict[str, Callable[[str], Iterator[Declared]]] = {
    "pyproject.toml": _pyproject, "uv.lock": _python_lock, "poetry.lock": _python_lock,
    "package.json": _package_json, "package-lock.json": _package_lock,
    "npm-shrinkwrap.json": _package_lock,
}  # fmt: skip
