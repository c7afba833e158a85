"""Where a release is had from: out of this file or from elsewhere, how large it is, and for whom.

Rules this module keeps:
- what is said here is from the verified catalog and from names of files; it decides nothing;
- a package that only a mirror can have is told before anything is fetched, with the way to it;
- what fits every system is not compared with this one: `show` waits for that.

Units: bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from signing.errors import SourceError
from signing.roles import blob_path

if TYPE_CHECKING:
    from marketplace_db.catalog import ReleaseRow, WheelRow
    from tavo.registry.trust import OpenCatalog

__all__ = ["SYSTEMS", "Origin", "check_at_hand", "lacking", "origin_of"]

SYSTEMS = ("linux-x86_64", "linux-aarch64", "macos-arm64", "windows-x86_64")
"""The systems that tavo is released for."""


class Origin(NamedTuple):
    """Where package and wheels of a release come from, and how many bytes they are here.

    `problem` says why it cannot run here, as the end of a sentence; `lacks` names the systems for
    which a wheel is missing, such as `windows-x86_64` or `macos-arm64 with CPython 3.14`.
    """

    in_file: bool
    size: int
    problem: str
    lacks: tuple[str, ...]


def origin_of(opened: OpenCatalog, release: ReleaseRow) -> Origin:
    """Return what this machine would fetch for a release, and from where. Raises RefusedError."""
    if not release.parsed_manifest().python and all(map(_fits_all, release.wheels)):
        size = release.length + sum(one.length for one in release.wheels)
        return Origin(_in_file(opened, release, release.wheels), size, "", ())
    from tavo.registry.candidates import choose_for

    choice = choose_for(release, [("", release.parsed_manifest().python)])
    problem = choice if isinstance(choice, str) else ""
    names = () if isinstance(choice, str) else choice.wheels
    wheels = [one for one in release.wheels if one.filename in names]
    return Origin(
        in_file=_in_file(opened, release, wheels),
        size=release.length + sum(one.length for one in wheels),
        problem=problem,
        lacks=lacking([one.filename for one in release.wheels]),
    )


def check_at_hand(opened: OpenCatalog, release: ReleaseRow, wheels: Sequence[WheelRow]) -> None:
    """Refuse early what only a mirror has, where this machine has none. Raises SourceError."""
    only_file = opened.embedded is not None and list(opened.sources) == [opened.embedded]
    if not only_file or _in_file(opened, release, wheels):
        return
    size = release.length + sum(one.length for one in wheels)
    name = release.full_id.removeprefix("tavo/")
    raise SourceError(
        f"{release.full_id} {release.version}: is not inside of this file; it comes from the"
        f" marketplace or a mirror of it ({max(size, 50_000) / 1e6:.1f} MB for this system)",
        hint=f"Name one: `tavo registry install {name} --mirror SOURCE`, its https:// address or a"
        " folder that `tavo mirror sync` wrote; or set registry.source in the user configuration.",
    )


def lacking(filenames: Iterable[str]) -> tuple[str, ...]:
    """Return the supported systems for which a distribution of these wheels has none."""
    from marketplace_db.selection import Selection
    from tavo.host.interpreters import MINORS

    groups: dict[str, list[str]] = {}
    for name in filenames:
        groups.setdefault(name.partition("-")[0].lower(), []).append(name)
    found: list[str] = []
    for system in SYSTEMS:
        without = [
            minor
            for minor in sorted(MINORS)
            if not all(
                any(map(Selection.of(platforms=[system], pythons=[minor]).wants_wheel, group))
                for group in groups.values()
            )
        ]
        if len(without) == len(MINORS):
            found.append(system)
        elif without:
            found.append(f"{system} with CPython {', '.join(without)}")
    return tuple(found)


def _fits_all(wheel: WheelRow) -> bool:
    return wheel.filename.endswith("-py3-none-any.whl")


def _in_file(opened: OpenCatalog, release: ReleaseRow, wheels: Iterable[WheelRow]) -> bool:
    if opened.embedded is None:
        return False
    digests = [release.package, *(one.digest for one in wheels)]
    return all((opened.embedded.path / blob_path(one)).exists() for one in digests)
