"""Rule packs that ship with tavo, and the libraries of sources and sinks their rules share.

Rules this module keeps:
- a pack is a folder of YAML files, one rule per file, in plain Semgrep syntax with one addition:
  an entry `use: NAME` in any list of patterns stands for the patterns of `library/NAME.yaml`;
- what leaves this module is plain Semgrep syntax: every `use` has been replaced;
- a library may use other libraries, but not itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final

import yaml

from tavo.errors import ConfigError

__all__ = ["PACKS", "PackFile", "expand", "load_pack"]

PACKS: Final[Mapping[str, str]] = {"tavo-ai": "tavo_ai"}

_DEEPEST_USE = 8
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class PackFile:
    """One rule file of a pack: its name, and its document with every `use` replaced."""

    name: str
    document: dict[str, Any]

    @property
    def text(self) -> str:
        """The document as JSON, which is YAML: for Semgrep, and for loaders that take text."""
        return json.dumps(self.document)


def load_pack(name: str) -> Iterator[PackFile]:
    """Yield the rule files of the pack `name`, in the order of their names.

    Raises ConfigError when the pack is unknown or one of its files is not what it should be.
    """
    folder_name = PACKS.get(name)
    if folder_name is None:
        raise ConfigError(
            f"rule pack {name!r}: unknown; expected one of {', '.join(sorted(PACKS))}",
            hint="`tavo scan --help` tells how packs are chosen.",
        )
    folder = resources.files(__name__) / folder_name
    libraries = {
        _stem(entry): _read(entry).get("patterns", []) for entry in _yaml_files(folder / "library")
    }
    for entry in _yaml_files(folder):
        yield PackFile(entry.name, expand(_read(entry), libraries, where=entry.name))


def expand(
    document: dict[str, Any], libraries: Mapping[str, list[Any]], *, where: str
) -> dict[str, Any]:
    """Return `document` with each list entry `use: NAME` replaced by that library's patterns.

    Raises ConfigError when a library is unknown or uses itself.
    """

    def walk(value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            return {key: walk(entry, depth) for key, entry in value.items()}
        if not isinstance(value, list):
            return value
        replaced: list[Any] = []
        for entry in value:
            if isinstance(entry, dict) and set(entry) == {"use"}:
                replaced.extend(walk(_library(entry["use"]), _deeper(entry["use"], depth)))
            else:
                replaced.append(walk(entry, depth))
        return replaced

    def _library(name: Any) -> list[Any]:
        found = libraries.get(name) if isinstance(name, str) else None
        if found is None:
            raise ConfigError(f"{where}: use {name!r}: no such library in this pack")
        return found

    def _deeper(name: str, depth: int) -> int:
        if depth >= _DEEPEST_USE:
            raise ConfigError(f"{where}: use {name!r}: libraries use each other in a circle")
        return depth + 1

    expanded: dict[str, Any] = walk(document, 0)
    return expanded


def _yaml_files(folder: Traversable) -> list[Traversable]:
    files = [entry for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return sorted(files, key=lambda entry: entry.name)


def _stem(entry: Traversable) -> str:
    return entry.name.removesuffix(".yaml")


def _read(entry: Traversable) -> dict[str, Any]:
    try:
        document = yaml.load(entry.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    except yaml.YAMLError as error:
        raise ConfigError(f"{entry.name}: not YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{entry.name}: expected a mapping, found {type(document).__name__}")
    return document
