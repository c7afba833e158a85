"""Wheels in a folder: what each is, which ones something needs, and the canonical form of a built
one.

Rules this module keeps:
- every wheel is checked as an installation checks it before its metadata is believed;
- a choice is made out of what lies in the folder and nothing else: nothing is fetched;
- the canonical form is the package's (sorted names, fixed times and modes), with RECORD written
  anew; a wheel with compiled code has none.

Sources: the binary distribution format and core metadata of the Python packaging specifications.
"""

from __future__ import annotations

import base64
import email.parser
import email.policy
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from marketplace_db.archive import Archive, write_canonical
from marketplace_db.errors import PackageError
from marketplace_db.package import read_bounded
from marketplace_db.wheel import WHEEL_LIMITS, check_wheel_bytes
from signing.digests import Digest

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.version import Version

__all__ = [
    "Chosen",
    "FolderWheel",
    "UnmetError",
    "canonical_wheel",
    "choose",
    "left_out",
    "wheels_in",
]

# What must run for tavo to run plugins: the markers of a lock hold for one of these.
_ENVIRONMENTS: tuple[dict[str, str], ...] = tuple(
    {
        "python_version": version, "python_full_version": f"{version}.0", "os_name": "posix",
        "implementation_name": "cpython", "platform_python_implementation": "CPython",
        "implementation_version": f"{version}.0", "platform_release": "", "platform_version": "",
        "sys_platform": platform, "platform_system": system, "platform_machine": machine,
        "extra": "",
    }
    for version in ("3.11", "3.12", "3.13", "3.14")
    for platform, system, machine in (
        ("linux", "Linux", "x86_64"), ("linux", "Linux", "aarch64"), ("darwin", "Darwin", "arm64"),
    )
)  # fmt: skip
_NATIVE_NAMES = (".so", ".pyd", ".dll", ".dylib", ".a", ".o", ".lib", ".obj", ".exe")
_NATIVE_STARTS = (
    b"\x7fELF", b"MZ", b"!<arch>\n", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\0asm",
)  # fmt: skip
_FILENAME = re.compile(r"[A-Za-z0-9_.!+-]{1,200}\.whl")
_SIGNATURES = ("RECORD.jws", "RECORD.p7s")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderWheel:
    """One checked wheel of a folder; `requires` are its own words."""

    path: Path
    name: str
    version: Version
    digest: Digest
    requires: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The wheels of one distribution in the version that was chosen."""

    name: str
    version: Version
    wheels: tuple[FolderWheel, ...]


class UnmetError(PackageError):
    """Something is needed that is not in the folder. `missing` maps names to who needs what."""

    def __init__(self, message: str, missing: Mapping[str, str]) -> None:
        super().__init__(message)
        self.missing = dict(missing)


def wheels_in(folder: Path, *, are_tools: bool = False) -> list[FolderWheel]:
    """Check every wheel that lies in a folder. Raises PackageError, OSError."""
    found = []
    for path in sorted(folder.glob("*.whl")):
        data = read_bounded(path, WHEEL_LIMITS.archive_bytes)
        archive = check_wheel_bytes(data, path.name, is_tool=are_tools)
        name, version, requires = _metadata(archive)
        found.append(
            FolderWheel(
                path=path, name=name, version=version, digest=Digest.of(data), requires=requires
            )
        )
    return found


def choose(
    needed: Iterable[str],
    wheels: Sequence[FolderWheel],
    *,
    asker: str,
    environments: Sequence[Mapping[str, str]] | None = None,
    follow: bool = True,
) -> list[Chosen]:
    """Choose the newest fitting version of everything needed, with all that this needs.

    Without `follow`, what is needed is taken as it is, without what this needs. A marker counts if
    it holds in one of the environments, by default those that plugins run in. Raises UnmetError
    that names all that is missing, PackageError for versions that cannot go together.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    pending: list[tuple[str, Requirement]] = []
    for text in needed:
        try:
            pending.append((asker, Requirement(text)))
        except InvalidRequirement as error:
            raise PackageError(f"{asker}: {text[:80]!r} is not a requirement: {error}") from None
    places = environments or _ENVIRONMENTS
    pending = [one for one in pending if _applies(one[1], places, ())]
    return _close(pending, wheels, places, follow=follow)


def left_out(chosen: Sequence[Chosen]) -> list[str]:
    """Return the names of what the chosen distributions ask for and that is not among them."""
    from packaging.utils import canonicalize_name

    asked = {
        str(canonicalize_name(inner.name))
        for one in chosen
        for wheel in one.wheels
        for inner in wheel.requires
        if _applies(inner, _ENVIRONMENTS, ())
    }
    return sorted(asked - {one.name for one in chosen})


def _close(
    pending: list[tuple[str, Requirement]],
    wheels: Sequence[FolderWheel],
    environments: Sequence[Mapping[str, str]],
    *,
    follow: bool,
) -> list[Chosen]:
    from packaging.utils import canonicalize_name

    asked: dict[str, list[tuple[str, Requirement]]] = {}
    chosen: dict[str, Chosen] = {}
    missing: dict[str, str] = {}
    expanded: set[tuple[str, frozenset[str]]] = set()
    while pending:
        asker, requirement = pending.pop(0)
        name = str(canonicalize_name(requirement.name))
        asked.setdefault(name, []).append((asker, requirement))
        if name not in chosen:
            fitting = [w for w in wheels if w.name == name and _fits(requirement, w.version)]
            if not fitting:
                missing.setdefault(name, f"{asker} needs {_words(requirement)}")
                continue
            best = max(wheel.version for wheel in fitting)
            chosen[name] = Chosen(
                name=name, version=best, wheels=tuple(w for w in fitting if w.version == best)
            )
        picked = chosen[name]
        extras = frozenset(requirement.extras)
        if not follow or (name, extras) in expanded:
            continue
        expanded.add((name, extras))
        pending += [
            (f"{name} {picked.version}", inner)
            for wheel in picked.wheels
            for inner in wheel.requires
            if _applies(inner, environments, extras)
        ]
    if missing:
        raise UnmetError("; ".join(missing.values()), missing)
    for name, picked in chosen.items():
        for asker, requirement in asked[name]:
            if not _fits(requirement, picked.version):
                first = asked[name][0]
                raise PackageError(
                    f"{first[0]} needs {_words(first[1])}, for which {picked.version} was chosen,"
                    f" but {asker} needs {_words(requirement)}",
                    hint="Leave only the version in the folder that fits all, or name it in"
                    " plugin.yaml.",
                )
    return [chosen[name] for name in sorted(chosen)]


def canonical_wheel(data: bytes, label: str, *, name: str, version: str) -> bytes:
    """Return a wheel that was just built in its canonical form: same contents, fixed everything.

    Raises PackageError for a wheel of another distribution, for compiled code, and for what no
    installation takes.
    """
    from packaging.utils import canonicalize_version, parse_wheel_filename

    if not _FILENAME.fullmatch(label):
        raise PackageError(f"{label[:200]!r} is not the name of a wheel")
    archive = check_wheel_bytes(data, label)
    found, said, _, tags = parse_wheel_filename(label)
    if found != name or canonicalize_version(said) != canonicalize_version(version):
        raise PackageError(f"{label}: is the wheel of another distribution than {name} {version}")
    if odd := sorted(str(tag) for tag in tags if (tag.abi, tag.platform) != ("none", "any")):
        raise PackageError(f"{label}: is not a pure Python wheel, its name says {odd[0]}")
    contents = {entry.name: archive.read(entry) for entry in archive.entries}
    for inner, content in contents.items():
        if inner.lower().endswith(_NATIVE_NAMES) or content.startswith(_NATIVE_STARTS):
            raise PackageError(f"{label}: {inner!r} is compiled code; only pure Python is built")
    info = next(n for n in contents if n.endswith(".dist-info/RECORD")).rpartition("/")[0]
    for left_out in ("RECORD", *_SIGNATURES):
        contents.pop(f"{info}/{left_out}", None)
    contents[f"{info}/RECORD"] = _record(contents, f"{info}/RECORD")
    made = write_canonical(contents.items())
    check_wheel_bytes(made, label)
    return made


def _record(contents: Mapping[str, bytes], own_name: str) -> bytes:
    import csv
    import io

    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for name in sorted(contents):
        digest = base64.urlsafe_b64encode(hashlib.sha256(contents[name]).digest())
        rows.writerow((name, f"sha256={digest.rstrip(b'=').decode()}", len(contents[name])))
    rows.writerow((own_name, "", ""))
    return text.getvalue().encode()


def _metadata(archive: Archive) -> tuple[str, Version, tuple[Requirement, ...]]:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import parse_wheel_filename

    name, version, _, _ = parse_wheel_filename(archive.label)
    entry = next(e for e in archive.entries if e.name.endswith(".dist-info/METADATA"))
    text = archive.read(entry).decode("utf-8", "replace")
    message = email.parser.Parser(policy=email.policy.compat32).parsestr(text, headersonly=True)
    try:
        requires = tuple(Requirement(line) for line in message.get_all("Requires-Dist", []))
    except InvalidRequirement as error:
        raise PackageError(f"{archive.label}: METADATA cannot be read: {error}") from None
    return str(name), version, requires


def _applies(
    requirement: Requirement, environments: Sequence[Mapping[str, str]], extras: Iterable[str]
) -> bool:
    marker = requirement.marker
    return marker is None or any(
        marker.evaluate({**environment, "extra": extra})
        for environment in environments
        for extra in ("", *extras)
    )


def _fits(requirement: Requirement, version: Version) -> bool:
    return requirement.specifier.contains(version, prereleases=True)


def _words(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.specifier}"
