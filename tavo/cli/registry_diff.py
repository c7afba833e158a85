"""`tavo registry diff`: two verified releases of a plugin beside each other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import Session, session_of
from tavo.cli.render import styled, wants_color
from tavo.errors import UsageError
from tavo.printable import printable

if TYPE_CHECKING:
    from tavo.registry.difference import Difference, Evidence, FileChange, Side

__all__ = ["diff"]

_Line = tuple[str, str]


def diff(
    context: typer.Context,
    old: Annotated[str, typer.Argument(metavar="PLUGIN[@VERSION]", help="A release; without a"
                                       " second one it is compared with the installed one.")],
    new: Annotated[str | None, typer.Argument(metavar="[PLUGIN[@VERSION]]",
                                              help="The release to compare it with.")] = None,
    lines: Annotated[int, typer.Option(min=0, help="Show at most this many lines of code; 0 shows"
                                       " all.")] = 1000,
    mirror: Annotated[str | None, typer.Option(
        "--mirror", metavar="SOURCE", help="A mirror's folder or https address.")] = None,
) -> None:  # fmt: skip
    """Compare two releases: permissions, dependencies, code, and who vouches for them."""
    import tempfile

    from tavo.registry.difference import compare, open_side

    session = session_of(context)
    plugin, versions = _versions(session, old, new)
    with (
        tempfile.TemporaryDirectory(prefix="tavo-diff-") as folder,
        session.shelves(mirror) as shelves,
    ):
        shelf = shelves.of(plugin)
        sides = [
            open_side(shelf.opened, shelf.catalog, plugin, version, Path(folder) / str(number))
            for number, version in enumerate(versions)
        ]
    found = compare(*sides)
    if session.json:
        session.print_json(_json(found))
        return
    color = wants_color(sys.stdout, allowed=session.color)
    for style, text in _report(found, lines):
        print(styled([(style, printable(text))], color=color))


def _versions(session: Session, old: str, new: str | None) -> tuple[str, list[str | None]]:
    """Return the plugin and the two versions that are meant, None for the newest."""
    from marketplace_db.catalog import full_id_of

    name, _, version = old.partition("@")
    plugin = full_id_of(name)
    if new is not None:
        other, _, second = new.partition("@")
        if full_id_of(other) != plugin:
            raise UsageError(
                f"registry diff: {name} and {other} are two plugins, expected two versions of one",
                hint=f"For example: tavo registry diff {name}@1.0.0 {name}@2.0.0",
            )
        return plugin, [version or None, second or None]
    installed = session.installations().find(plugin)
    if installed is None:
        raise UsageError(
            f"registry diff: {plugin} is not installed, so there is nothing to compare it with",
            hint=f"Name two versions: tavo registry diff {name}@1.0.0 {name}@2.0.0",
        )
    return plugin, [installed.version, version or None]


def _report(found: Difference, most: int) -> Iterator[_Line]:
    yield "heading", f"{found.old.full_id} {found.old.version} -> {found.new.version}"
    if found.old.package == found.new.package:
        yield "", "Both are the same package."
        return
    yield from _permissions(found)
    yield from _dependencies(found)
    if found.fields:
        yield "heading", "plugin.yaml:"
        for name, before, after in found.fields:
            yield "", f"  {name}: {_value(before)} -> {_value(after)}"
    yield from _code(found, most)
    yield "heading", "Vouched for by:"
    for side in (found.old, found.new):
        yield "", f"  {side.version}, published {side.published_at[:10]}, sha256 {side.package}"
        for one in side.evidence:
            yield "", f"    {_evidence(one)}"


def _permissions(found: Difference) -> Iterator[_Line]:
    from marketplace_db.permissions import word_sentence

    yield "heading", "Permissions:"
    for word in found.added:
        yield "bad", f"  + it can now {word_sentence(word)}"
    for one in found.red:
        yield "bad", f"  ! DANGER: {one.sentence}"
    for word in found.removed:
        yield "good", f"  - it can no longer {word_sentence(word)}"
    if not found.added and not found.removed:
        yield "", "  the same"


def _dependencies(found: Difference) -> Iterator[_Line]:
    yield "heading", "Dependencies:"
    for requirement in found.requirements_added:
        yield "bad", f"  + requires {requirement}"
    for requirement in found.requirements_removed:
        yield "good", f"  - no longer requires {requirement}"
    for wheel in found.wheels:
        if wheel.same_version:
            yield "bad", f"  ! {wheel.name} {wheel.new}: the same version, with other files"
        elif not wheel.old:
            yield "bad", f"  + brings {wheel.name} {wheel.new}"
        elif not wheel.new:
            yield "good", f"  - no longer brings {wheel.name} {wheel.old}"
        else:
            yield "", f"  ~ {wheel.name} {wheel.old} -> {wheel.new}"
    if not (found.requirements_added or found.requirements_removed or found.wheels):
        yield "", "  the same"


def _code(found: Difference, most: int) -> Iterator[_Line]:
    yield "heading", "Files:"
    if not found.files:
        yield "", "  the same"
    for file in found.files:
        yield "", f"  {_file(file)}"
    shown = 0
    for file in found.files:
        if not file.lines:
            continue
        if most and shown >= most:
            break
        yield "heading", f"--- {file.path} ({found.old.version})"
        yield "heading", f"+++ {file.path} ({found.new.version})"
        for line in file.lines:
            if most and shown >= most:
                break
            shown += 1
            yield {"+": "good", "-": "bad"}.get(line[:1], "dim" if line[:1] == "@" else ""), line
    left = sum(len(file.lines) for file in found.files) - shown
    if left:
        yield "warning", f"… and {left} more lines; --lines 0 shows all of them"


def _file(file: FileChange) -> str:
    if file.old is None:
        text = f"+ {file.path} ({file.new} bytes)"
    elif file.new is None:
        text = f"- {file.path} ({file.old} bytes)"
    else:
        text = f"~ {file.path} ({file.old} -> {file.new} bytes)"
    return f"{text}: {file.note}" if file.note else text


def _evidence(one: Evidence) -> str:
    keys = ", ".join(key[:12] for key in one.keys)
    count = len(one.reports)
    read = f", after reading {count} report{'s' if count > 1 else ''}" if count else ""
    return f"{one.by} {keys}: {one.decision} {one.issued[:10]}{read}"


def _value(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "nothing"
    text = str(value)
    return (text if len(text) <= 200 else f"{text[:200]}…") or "nothing"


def _json(found: Difference) -> dict[str, Any]:
    from marketplace_db.permissions import word_sentence

    return {
        "plugin": found.old.full_id,
        "old": _side(found.old),
        "new": _side(found.new),
        "permissions": {
            "added": [{"word": w, "allows": word_sentence(w)} for w in found.added],
            "removed": [{"word": w, "allows": word_sentence(w)} for w in found.removed],
            "danger": [one.sentence for one in found.red],
        },
        "dependencies": {
            "required": list(found.requirements_added),
            "no_longer_required": list(found.requirements_removed),
            "wheels": [
                {"name": w.name, "old": w.old or None, "new": w.new or None} for w in found.wheels
            ],
        },
        "fields": {name: {"old": _plain(a), "new": _plain(b)} for name, a, b in found.fields},
        "files": [
            {
                "path": file.path,
                "old": found.old.digests.get(file.path),
                "new": found.new.digests.get(file.path),
                "note": file.note,
                "lines": list(file.lines),
            }
            for file in found.files
        ],
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "version": side.version,
        "package": side.package,
        "published_at": side.published_at,
        "statements": [
            {
                "by": one.by, "decision": one.decision, "keys": list(one.keys),
                "issued": one.issued, "reports": list(one.reports),
            }
            for one in side.evidence
        ],
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
