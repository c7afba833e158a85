"""What is wrong with a plugin.yaml, all of it at once, and what in it says less than it seems to.

Whether a manifest holds is decided by `marketplace_db.manifest` alone; here it is asked again for
each key, among others that are sound.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from marketplace_db.errors import ManifestError
from marketplace_db.manifest import (
    MANIFEST_NAME,
    PLUGIN_TYPES,
    Limits,
    Manifest,
    Permissions,
    parse_manifest,
)
from marketplace_db.strict_yaml import load_yaml
from tavo.host.config_schema import unchecked
from tavo.host.hosted import unavailable
from tavo.kit.problems import LARGEST_MANIFEST, Problem, beginning
from tavo.runs.plugins import LANGUAGES

__all__ = ["check_manifest", "read_manifest"]

_SOUND: Mapping[str, Any] = {
    "api": 1, "id": "x", "publisher": "x", "name": "x", "version": "1.0.0",
    "plugin_type": "static", "entry_point": "main:X", "description": "x", "author": "x",
    "license": "MIT",
}  # fmt: skip
_MINORS = (11, 12, 13, 14)
_PATCHES = 40
_MOST_NOTES = 10


def read_manifest(folder: Path, problems: list[Problem]) -> Manifest | None:
    """Return plugin.yaml; where it is wrong, judge each key by itself to add all that is."""
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
    data = beginning(path, LARGEST_MANIFEST + 1)
    try:
        return parse_manifest(data)
    except ManifestError as error:
        first = error
    found: dict[str, str] = {}
    try:
        document = load_yaml(data, name=MANIFEST_NAME, limit=LARGEST_MANIFEST)
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


def check_manifest(manifest: Manifest) -> Iterator[Problem]:
    """Yield what a sound manifest asks for and does not get."""
    yield from _python(manifest)
    yield from _not_here(manifest)


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
