"""A new plugin, complete and small, written into a folder that was not there.

Rules this module keeps:
- nothing is ever overwritten: the folder must be missing or empty;
- the files are those of `tavo.kit.templates`, with names filled in.
"""

from __future__ import annotations

import re
from pathlib import Path

from marketplace_db.manifest import PLUGIN_TYPES
from tavo.errors import InputError, RefusedError, UsageError
from tavo.kit import templates

__all__ = ["write_plugin"]

_TEMPLATES = Path(next(iter(templates.__path__)))
_ID = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){0,62}\Z")
_PLACES = {
    "github/plugin.yml": ".github/workflows/plugin.yml",
    "gitignore": ".gitignore",
    "trials/test_main.py": "tests/test_main.py",
}


def write_plugin(name: str, folder: Path, *, plugin_type: str, publisher: str) -> list[str]:
    """Write a plugin of this type; return the paths of its files, relative to the folder.

    Raises UsageError for a name that cannot be one, RefusedError when something is there already,
    InputError.
    """
    for what, value in (("name", name), ("publisher", publisher)):
        if not _ID.match(value):
            raise UsageError(
                f"{value!r} cannot be the {what} of a plugin",
                hint="Use a-z, 0-9 and single '-' between them, at most 63 characters.",
            )
    if plugin_type not in PLUGIN_TYPES:
        raise UsageError(f"{plugin_type!r} is no type; choose from {', '.join(PLUGIN_TYPES)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RefusedError(
            f"{folder}: something is there already, and nothing is overwritten",
            hint="Choose another folder with --folder.",
        )
    words = {
        "@ID@": name,
        "@PUBLISHER@": publisher,
        "@NAME@": name.replace("-", " ").capitalize(),
        "@TYPE@": plugin_type,
        "@CLASS@": _class_name(name),
    }
    written = []
    try:
        for base in (_TEMPLATES / "every", _TEMPLATES / plugin_type):
            for source in sorted(base.rglob("*.txt")):
                inner = source.relative_to(base).as_posix().removesuffix(".txt")
                target = folder / _PLACES.get(inner, inner)
                text = source.read_text("utf-8")
                for word, value in words.items():
                    text = text.replace(word, value)
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("x", encoding="utf-8", newline="\n") as stream:
                    stream.write(text)
                written.append(target.relative_to(folder).as_posix())
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be written: {error.strerror}") from error
    return sorted(written)


def _class_name(name: str) -> str:
    joined = "".join(part.capitalize() for part in name.split("-"))
    return joined if joined[0].isalpha() else f"Plugin{joined}"
