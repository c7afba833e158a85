"""Which packages lock files and manifests name, in which version, and on which line.

Rules this module keeps:
- only what is pinned to one version is told; a range says nothing about what is installed;
- formats are read line by line, so each package has its line, and no format runs anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["Pinned", "reader_of"]

Reader = Callable[[str], Iterator["Pinned"]]

_REQUIREMENT = re.compile(
    r"^\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*===?\s*([\w.!+-]+)\s*(?:[;#\\,].*)?(?:--hash.*)?$"
)
_IN_PYPROJECT = re.compile(
    r"[\"']([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*==\s*([\w.!+-]+)\s*(?:;[^\"']*)?[\"']"
)
_TOML = re.compile(r'^(name|version)\s*=\s*"([^"]+)"')
_JSON_KEY = re.compile(r'^(\s*)"([^"]*)"\s*:\s*\{')
_JSON_VERSION = re.compile(r'^(\s*)"version"\s*:\s*"(?:==)?([^"]+)"')
_PNPM = re.compile(
    r"^  ['\"]?/?((?:@[^/@\s]+/)?[^/@\s'\"]+)[@/]([^:('\"\s/]+)(?:\([^:]*\))?['\"]?:"
)
_YARN_NAME = re.compile(r'^"?((?:@[^/@\s"]+/)?[^@\s",]+)@')
_YARN_VERSION = re.compile(r'^\s+version:?\s+"?([^"\s]+)"?')


@dataclass(frozen=True, slots=True)
class Pinned:
    """A package in one version; `line` counts from 1."""

    ecosystem: str
    name: str
    version: str
    line: int


def reader_of(path: PurePosixPath) -> Reader | None:
    """Return what reads a file of this name, or None."""
    name = path.name.lower()
    if name in {"uv.lock", "poetry.lock", "pdm.lock"} or re.fullmatch(
        r"pylock(\.\w+)?\.toml", name
    ):
        return _toml
    if re.fullmatch(r"(?:.*requirements.*|constraints.*)\.(?:txt|lock|in)", name):
        return _requirements
    if path.parent.name.lower() == "requirements" and name.endswith(".txt"):
        return _requirements
    return {
        "pyproject.toml": _pyproject,
        "pipfile.lock": _pipfile,
        "package-lock.json": _package_lock,
        "npm-shrinkwrap.json": _package_lock,
        "pnpm-lock.yaml": _pnpm,
        "yarn.lock": _yarn,
    }.get(name)


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    return enumerate((line.rstrip("\r") for line in text.split("\n")), start=1)


def _requirements(text: str) -> Iterator[Pinned]:
    for number, line in _numbered(text):
        match = _REQUIREMENT.match(line)
        if match is not None:
            yield Pinned("PyPI", match[1], match[2], number)


def _pyproject(text: str) -> Iterator[Pinned]:
    for number, line in _numbered(text):
        if not line.lstrip().startswith("#"):
            for match in _IN_PYPROJECT.finditer(line):
                yield Pinned("PyPI", match[1], match[2], number)


def _toml(text: str) -> Iterator[Pinned]:
    name, inside = "", False
    for number, line in _numbered(text):
        if line.startswith("["):
            name, inside = "", line.strip() in {"[[package]]", "[[packages]]"}
        match = _TOML.match(line) if inside else None
        if match is None:
            continue
        if match[1] == "name":
            name = match[2]
        elif name:
            yield Pinned("PyPI", name, match[2], number)
            name = ""


def _pipfile(text: str) -> Iterator[Pinned]:
    yield from _json(
        "PyPI", text, lambda key: "" if key in {"_meta", "default", "develop"} else key
    )


def _package_lock(text: str) -> Iterator[Pinned]:
    def name(key: str) -> str:
        if "node_modules/" in key:
            return key.rpartition("node_modules/")[2]
        return key if "/" not in key or key.startswith("@") else ""

    yield from _json("npm", text, name)


def _json(ecosystem: str, text: str, named: Callable[[str], str]) -> Iterator[Pinned]:
    """Read `"name": {"version": "…"}` as npm and Pipenv write it: indented, one value a line."""
    open_keys: list[tuple[int, str]] = []
    for number, line in _numbered(text):
        key = _JSON_KEY.match(line)
        if key is not None:
            indent = len(key[1])
            open_keys = [one for one in open_keys if one[0] < indent]
            open_keys.append((indent, key[2]))
            continue
        version = _JSON_VERSION.match(line)
        if version is None:
            continue
        inside = [one for one in open_keys if one[0] < len(version[1])]
        if inside and (name := named(inside[-1][1])):
            yield Pinned(ecosystem, name, version[2], number)


def _pnpm(text: str) -> Iterator[Pinned]:
    section, seen = "", set()
    for number, line in _numbered(text):
        if line and not line.startswith((" ", "#")):
            section = line.strip().rstrip(":")
        match = _PNPM.match(line) if section in {"packages", "snapshots"} else None
        if match is not None and (match[1], match[2]) not in seen:
            seen.add((match[1], match[2]))
            yield Pinned("npm", match[1], match[2], number)


def _yarn(text: str) -> Iterator[Pinned]:
    name = ""
    for number, line in _numbered(text):
        if line and not line[0].isspace() and not line.startswith("#"):
            match = _YARN_NAME.match(line)
            name = match[1] if match and not line.startswith("__metadata") else ""
        elif name and (version := _YARN_VERSION.match(line)):
            if version[1] != "0.0.0-use.local":
                yield Pinned("npm", name, version[1], number)
            name = ""
