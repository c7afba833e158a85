"""A package and its publisher's statement, made on the author's machine.

Rules this module keeps:
- the package is the canonical one of `marketplace_db.package`: the same files, the same bytes;
- the statement is that of `signing.attest`, over what an inspection of the package found; only a
  package that passes the inspection is signed;
- nothing is overwritten with other bytes, because what was published stays as it was.
"""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path

from marketplace_db.acceptance import publisher_claim
from marketplace_db.package import InspectedPackage, build_package, inspect_package
from marketplace_db.submission import write_submission
from signing.attest import sign_publisher
from signing.files import write_atomically
from signing.keys import PrivateKey
from tavo.errors import InputError, RefusedError, UsageError

__all__ = ["STATEMENT_SUFFIX", "pack", "sign", "submission"]

STATEMENT_SUFFIX = ".dsse.json"


def pack(folder: Path, out: Path | None = None) -> InspectedPackage:
    """Pack a plugin's folder; the file is `<publisher>-<id>-<version>.zip` here unless told.

    Raises UsageError where there is no folder, ManifestError, PackageError, RefusedError where
    another package is in the way, and InputError.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder", hint="Name a plugin's folder.")
    try:
        with tempfile.TemporaryDirectory(prefix="tavo-pack-") as name:
            made = Path(name) / (folder.absolute().name or "plugin")  # messages name it
            build_package(folder, made)
            manifest = inspect_package(made).manifest
            target = out or Path(f"{manifest.publisher}-{manifest.id}-{manifest.version}.zip")
            data = made.read_bytes()
        if target.exists() and target.read_bytes() != data:
            raise RefusedError(
                f"{target}: another package is there already, and nothing is overwritten",
                hint="Raise the version in plugin.yaml, or delete the file.",
            )
        _write(target, data)
        return inspect_package(target)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror or error}") from error


def sign(package: Path, key: PrivateKey, *, now: datetime, out: Path | None = None) -> Path:
    """Write the publisher's statement about a package beside it; return its path.

    Raises PackageError and ManifestError for a package that is not in canonical form, InputError.
    """
    try:
        claim = publisher_claim(inspect_package(package), issued=now)
        target = out or package.with_name(package.name + STATEMENT_SUFFIX)
        envelope = sign_publisher(claim, key)
    except OSError as error:
        raise InputError(f"{error.filename or package}: {error.strerror or error}") from error
    _write(target, envelope)
    return target


def submission(package: Path, statement: Path, *, wheels: Path | None, out: Path) -> Path:
    """Write the one file for a marketplace; return its path. `wheels` is a folder of them.

    Raises PackageError, ManifestError, and InputError where a file is missing or cannot be written.
    """
    try:
        found = {path.name: path for path in wheels.glob("*.whl")} if wheels is not None else {}
        data = write_submission(package, statement.read_bytes(), found)
    except OSError as error:
        raise InputError(
            f"{error.filename or package}: {error.strerror or error}",
            hint="Pack it with `tavo plugin pack`, sign it with `tavo plugin sign`.",
        ) from error
    _write(out, data)
    return out


def _write(target: Path, data: bytes) -> None:
    """Write a file, and name it where that fails: its author does not know temporary ones."""
    try:
        write_atomically(target, data)
    except OSError as error:
        raise InputError(
            f"{target}: cannot be written: {error.strerror or error}",
            hint="Name another file with --output.",
        ) from error
