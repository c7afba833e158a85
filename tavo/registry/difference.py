"""What differs between two releases of a plugin: permissions, dependencies, code, vetting evidence.

Rules this module keeps:
- both releases are accepted as for an installation before anything of them is compared;
- comparing is pure: values in, values out. Reading is `open_side` alone;
- work and text are bounded, whatever a package holds: a file that is large, binary or too different
  is named with its digests;
- foreign text is escaped here, so that an invisible or bidirectional character is seen.

Units: lengths in bytes, lines from 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import parse_wheel_filename

from marketplace_db.acceptance import AcceptedPackage
from marketplace_db.catalog import Catalog
from marketplace_db.manifest import Manifest
from marketplace_db.package import unpack_package
from marketplace_db.permissions import Red, permission_words, red_combinations
from tavo.registry.install import fetch_accepted
from tavo.registry.trust import OpenCatalog

__all__ = [
    "Difference",
    "Evidence",
    "FileChange",
    "Side",
    "WheelChange",
    "compare",
    "escaped",
    "open_side",
]

_LARGEST_TEXT = 512 << 10
_MOST_COMPARED = 1500
_LONGEST_LINE = 400
_CONTEXT = 3
_NOT_FIELDS = ("permissions", "dependencies", "version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One statement that counted: who signed it, what it says, when, after reading what."""

    by: str
    decision: str
    keys: tuple[str, ...]
    issued: str
    reports: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One accepted release. `files` are path -> content, `digests` path -> sha256 of each."""

    full_id: str
    version: str
    package: str
    published_at: str
    manifest: Manifest
    wheels: Mapping[str, str]
    files: Mapping[str, bytes]
    digests: Mapping[str, str]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelChange:
    """One dependency: its versions before and after, empty where there is none."""

    name: str
    old: str
    new: str
    same_version: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One file: its lengths, None where it is not there, and the lines of a unified diff.

    `note` says why there are no lines.
    """

    path: str
    old: int | None
    new: int | None
    lines: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Everything that differs, the permissions as words, the worst first."""

    old: Side
    new: Side
    added: tuple[str, ...]
    removed: tuple[str, ...]
    red: tuple[Red, ...]
    fields: tuple[tuple[str, Any, Any], ...]
    requirements_added: tuple[str, ...]
    requirements_removed: tuple[str, ...]
    wheels: tuple[WheelChange, ...]
    files: tuple[FileChange, ...]


def open_side(
    opened: OpenCatalog, catalog: Catalog, name: str, version: str | None, folder: Path
) -> Side:
    """Fetch and accept one release, and read its files in `folder`, which the caller deletes.

    Raises what `fetch_accepted` raises, and NotInCatalogError.
    """
    release = catalog.release(name, version)
    folder.mkdir()
    accepted = fetch_accepted(opened, release, folder)
    inspected = accepted.inspected
    unpack_package(inspected, folder / "files")
    return Side(
        full_id=release.full_id,
        version=release.version,
        package=release.package.hex,
        published_at=release.published_at,
        manifest=inspected.manifest,
        wheels={wheel.filename: wheel.digest.hex for wheel in release.wheels},
        files={str(f.path): (folder / "files" / f.path).read_bytes() for f in inspected.files},
        digests={str(file.path): file.digest.hex for file in inspected.files},
        evidence=_evidence(accepted),
    )


def compare(old: Side, new: Side) -> Difference:
    """Compare two releases of one plugin. Nothing is read."""
    before, after = permission_words(old.manifest), permission_words(new.manifest)
    known = {one.sentence for one in red_combinations(before)}
    asked_before, asked_now = set(old.manifest.dependencies), set(new.manifest.dependencies)
    return Difference(
        old=old,
        new=new,
        added=tuple(word for word in after if word not in before),
        removed=tuple(word for word in before if word not in after),
        red=tuple(one for one in red_combinations(after) if one.sentence not in known),
        fields=tuple(_fields(old.manifest, new.manifest)),
        requirements_added=tuple(sorted(asked_now - asked_before)),
        requirements_removed=tuple(sorted(asked_before - asked_now)),
        wheels=tuple(_wheels(old.wheels, new.wheels)),
        files=tuple(_files(old, new)),
    )


def escaped(text: str) -> str:
    """Return text of a package as it may be shown: what is invisible or steers becomes its name."""
    if text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


# -- inside


def _shown(character: str) -> str:
    if character == "\t":
        return "    "
    return character if character.isprintable() else f"<U+{ord(character):04X}>"


def _evidence(accepted: AcceptedPackage) -> tuple[Evidence, ...]:
    published = accepted.published
    statements = [("publisher", "published", published)]
    statements += [("reviewer", "approved", review) for review in accepted.reviews]
    return tuple(
        Evidence(
            by=by,
            decision=decision,
            keys=statement.key_ids,
            issued=statement.issued.isoformat(timespec="seconds"),
            reports=tuple(report.hex for report in statement.reports),
        )
        for by, decision, statement in statements
    )


def _fields(old: Manifest, new: Manifest) -> Iterator[tuple[str, Any, Any]]:
    """Yield every other field of plugin.yaml that differs; those of `limits` one by one."""
    for name in old.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if name in _NOT_FIELDS or before == after:
            continue
        if name != "limits":
            yield name, before, after
            continue
        for limit in before.__struct_fields__:
            if getattr(before, limit) != getattr(after, limit):
                yield f"limits.{limit}", getattr(before, limit), getattr(after, limit)


def _wheels(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[WheelChange]:
    before, after = _by_name(old), _by_name(new)
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name, {}), after.get(name, {})
        if was == now:
            continue
        versions = [", ".join(sorted({_version(f) for f in side})) for side in (was, now)]
        yield WheelChange(
            name=name,
            old=versions[0],
            new=versions[1],
            same_version=versions[0] == versions[1],
        )


def _by_name(wheels: Mapping[str, str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for filename, digest in wheels.items():
        found.setdefault(str(parse_wheel_filename(filename)[0]), {})[filename] = digest
    return found


def _version(filename: str) -> str:
    return str(parse_wheel_filename(filename)[1])


def _files(old: Side, new: Side) -> Iterator[FileChange]:
    for path in sorted(old.files.keys() | new.files.keys()):
        if old.digests.get(path) == new.digests.get(path):
            continue
        before, after = old.files.get(path), new.files.get(path)
        lines: Sequence[str] = ()
        note = ""
        was, now = _text(before), _text(after)
        if was is None or now is None:
            note = "not text, or larger than 512 KiB: compared by digest only"
        else:
            lines = [_cut(escaped(line)) for line in _unified(was, now)]
            if not lines and before is not None and after is not None:
                note = "only the ends of its lines differ"
        yield FileChange(
            path=path,
            old=None if before is None else len(before),
            new=None if after is None else len(after),
            lines=tuple(lines),
            note=note,
        )


def _text(content: bytes | None) -> list[str] | None:
    """Return the lines of a text, None for what is none or too large."""
    if content is None:
        return []
    if len(content) > _LARGEST_TEXT or b"\0" in content:
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return text.removesuffix("\n").split("\n") if text else []


def _unified(old: list[str], new: list[str]) -> Iterable[str]:
    """Return a unified diff without its file names.

    What is equal at both ends is set aside first. Where more than 1,500 lines are left, they are
    shown as replaced as a whole: matching lines of hostile texts costs the cube of their number.
    """
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    start = max(0, head - _CONTEXT)
    ends = [len(side) - max(0, tail - _CONTEXT) for side in (old, new)]
    was, now = old[start : ends[0]], new[start : ends[1]]
    if max(len(was), len(now)) <= _MOST_COMPARED:
        for number, line in enumerate(difflib.unified_diff(was, now, lineterm="", n=_CONTEXT)):
            if number > 1:
                yield _moved(line, start) if line.startswith("@@") else line
        return
    yield f"@@ -{start + 1},{len(was)} +{start + 1},{len(now)} @@ replaced as a whole"
    yield from (f"-{line}" for line in was)
    yield from (f"+{line}" for line in now)


def _moved(header: str, by: int) -> str:
    """Return the header of a hunk with its line numbers moved."""
    _, old, new, _ = header.split(" ", 3)
    return f"@@ {_plus(old, by)} {_plus(new, by)} @@"


def _plus(mark: str, by: int) -> str:
    line, comma, count = mark[1:].partition(",")
    return f"{mark[0]}{int(line) + by}{comma}{count}"


def _common(old: Sequence[str], new: Sequence[str]) -> int:
    count = 0
    for one, other in zip(old, new, strict=False):
        if one != other:
            break
        count += 1
    return count


def _cut(line: str) -> str:
    more = len(line) - _LONGEST_LINE
    return line if more <= 0 else f"{line[:_LONGEST_LINE]}… ({more} more characters)"
