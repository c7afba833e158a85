"""One file that carries a package to a marketplace: package, publisher's statement, wheels.

It is a zip in canonical form (`marketplace_db.archive`) with `package.zip`, `statement.dsse.json`
and `wheels/<file name>` for each wheel that the package locks. The statement covers the package,
the package's lock covers the wheels: the file around them needs no signature of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from marketplace_db.archive import ArchiveLimits, read_archive, write_canonical
from marketplace_db.errors import PackageError
from marketplace_db.package import inspect_package, read_bounded

__all__ = ["SUFFIX", "read_submission", "write_submission"]

SUFFIX = ".submission"

_PACKAGE, _STATEMENT, _WHEELS = "package.zip", "statement.dsse.json", "wheels/"
_MAKE_ONE = "Hand in the file that `tavo plugin submit PACKAGE` writes."
_LIMITS = ArchiveLimits(archive_bytes=600 << 20, entries=500, total_bytes=600 << 20)


def write_submission(package: Path, statement: bytes, wheels: Mapping[str, Path]) -> bytes:
    """Return the file's bytes. `wheels` are by file name, all that the package locks.

    Raises PackageError, ManifestError and OSError.
    """
    inspected = inspect_package(package)
    missing = sorted({wheel.filename for wheel in inspected.locked} - set(wheels))
    if missing:
        raise PackageError(
            f"{package.name}: the wheel {missing[0]} is locked, but not at hand",
            hint="Name the folder with the wheels.",
        )
    files = [(_PACKAGE, package.read_bytes()), (_STATEMENT, statement)]
    files += [
        (_WHEELS + wheel.filename, wheels[wheel.filename].read_bytes())
        for wheel in inspected.locked
    ]
    return write_canonical(files)


def read_submission(path: Path, into: Path) -> tuple[Path, bytes, dict[str, Path]]:
    """Write what a file carries into an empty folder; return package, statement and wheels.

    Nothing of it is verified by that. Raises PackageError, OSError.
    """
    data = read_bounded(path, _LIMITS.archive_bytes)
    archive = read_archive(data, label=path.name, limits=_LIMITS, canonical=True)
    statement: bytes | None = None
    package: Path | None = None
    wheels: dict[str, Path] = {}
    for entry in archive.entries:
        name, content = entry.name, archive.read(entry)
        if name == _STATEMENT:
            statement = content
            continue
        is_wheel = name.startswith(_WHEELS) and name.count("/") == 1 and name.endswith(".whl")
        if name != _PACKAGE and not is_wheel:
            raise PackageError(
                f"{path.name}: {name} does not belong into a submission", hint=_MAKE_ONE
            )
        target = into / name.rpartition("/")[2]
        target.write_bytes(content)
        if is_wheel:
            wheels[target.name] = target
        else:
            package = target
    if package is None or statement is None:
        lacking = _PACKAGE if package is None else _STATEMENT
        raise PackageError(f"{path.name}: {lacking} is missing in it", hint=_MAKE_ONE)
    return package, statement, wheels
