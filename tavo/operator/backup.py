"""A backup of a marketplace that others write to meanwhile, and its verified return.

    FOLDER/backup.json             what it is, and the digests of the files beside it; written last
    FOLDER/market.db, blobs/       the working database as of one moment, and what its rows name
    FOLDER/repository/             what was released by then
    FOLDER/market.toml, publishers.applied

Rules this module keeps:
- the repository is copied first, as of its timestamp, then the database: a database that is newer
  than the repository loses nothing, an older one would release a catalog that lacks releases;
- the files of blobs and of the repository never change, and are there before what names them is: so
  a copy that is made afterwards is whole;
- without its last file it is no backup;
- nothing is restored that was not checked: the database as SQLite and as a whole, the signatures
  from the root on, each blob by its digest, each blob that a row or the catalog names;
- a run that waited or ran when the backup was made is not begun again: it may have been done since.

Units: bytes, times UTC.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from marketplace_db.accounts import Accounts
from marketplace_db.errors import WorkingDatabaseError
from marketplace_db.executions import Executions
from marketplace_db.intake import Market
from marketplace_db.mirror_check import Checked, check
from marketplace_db.selection import Selection
from signing.client import TrustState
from signing.digests import Digest, hash_file
from signing.errors import RepositoryError, VerificationError
from signing.files import write_atomically
from signing.roles import CATALOG_NAME, blob_path, format_time
from signing.sources import DirectorySource
from tavo.operator.marketplace import APPLIED, OperatedMarket
from tavo.operator.policy import POLICY_NAME

__all__ = ["BACKUP_NAME", "Backup", "Restored", "back_up", "restore"]

BACKUP_NAME = "backup.json"
_LARGEST = 1 << 20
_NO_BUILD_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED = """
    SELECT package AS digest FROM submissions UNION SELECT publisher_envelope FROM submissions
    UNION SELECT digest FROM submission_wheels UNION SELECT report FROM checks
    UNION SELECT envelope FROM approvals UNION SELECT package FROM plugin_versions
    UNION SELECT publisher_envelope FROM plugin_versions"""
_FILES = {"market.db", POLICY_NAME, APPLIED}
_IGNORED = shutil.ignore_patterns(".new-*", "timestamp.json")


class Copied(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of a backup."""

    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    bytes: int


class Backup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands in backup.json. `root_sha256` is of the first root of the repository."""

    format: Annotated[int, Meta(ge=1, le=1)] = 1
    made_at: str
    repository: str
    root_sha256: str
    files: dict[str, Copied]


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What a restored marketplace is.

    `failed_runs` waited or ran when the backup was made; `valid_tokens` are as valid as then, also
    those that were revoked since. `expired` says that clients refuse it until it is released.
    """

    made_at: str
    root_sha256: str
    releases: int
    submissions: int
    blobs: int
    files: int
    failed_runs: int
    valid_tokens: int
    expired: bool


def back_up(place: OperatedMarket, destination: Path, *, now: datetime) -> Backup:
    """Copy the whole marketplace, without keys, into a new folder, while others write to it.

    Raises RepositoryError if the folder is not empty or cannot be written, WorkingDatabaseError.
    """
    _check_new(destination)
    with _written(destination):
        return _backed_up(place, destination, now)


@contextmanager
def _written(destination: Path) -> Iterator[None]:
    """Turn what the system refuses into a RepositoryError about the folder that was named."""
    try:
        yield
    except OSError as error:
        about = f" ({error.filename})" if error.filename else ""
        raise RepositoryError(
            f"{destination}: cannot be written: {error.strerror or error}{about}",
            hint="Choose another folder, or make room; the marketplace is as it was.",
        ) from error


def _backed_up(place: OperatedMarket, destination: Path, now: datetime) -> Backup:
    destination.mkdir(parents=True, exist_ok=True)
    timestamp = (place.directory / "repository" / "metadata" / "timestamp.json").read_bytes()
    files: dict[str, Copied] = {}
    for name in (POLICY_NAME, APPLIED):
        if (place.directory / name).is_file():
            shutil.copyfile(place.directory / name, destination / name)
            files[name] = _copied(destination / name)
    copy = destination / "repository"
    shutil.copytree(place.directory / "repository", copy, ignore=_IGNORED)
    write_atomically(copy / "metadata" / "timestamp.json", timestamp)
    place.intake.backup(destination / "market.db")
    files["market.db"] = _copied(destination / "market.db")
    if (place.directory / "blobs").is_dir():
        shutil.copytree(place.directory / "blobs", destination / "blobs", ignore=_IGNORED)
    made = Backup(
        made_at=format_time(now),
        repository=place.repository.identity,
        root_sha256=Digest.of((copy / "metadata" / "1.root.json").read_bytes()).hex,
        files=files,
    )
    write_atomically(destination / BACKUP_NAME, msgspec.json.encode(made) + b"\n")
    return made


def restore(source: Path, destination: Path, *, root_sha256: str = "", now: datetime) -> Restored:
    """Make a marketplace out of a backup, in a new folder, when all of it was checked.

    `root_sha256` is the SHA-256 of a root that it must have, the first one or any since. Raises
    RepositoryError for what is no backup or where it cannot be written, VerificationError and
    WorkingDatabaseError for a damaged one; then the folder is not there.
    """
    made = _read(source)
    _check_new(destination)
    with _written(destination):
        return _restored(source, destination, made, root_sha256, now)


def _restored(
    source: Path, destination: Path, made: Backup, root_sha256: str, now: datetime
) -> Restored:
    staged = destination.with_name(f".{destination.name}.new")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    try:
        for name in made.files:
            shutil.copyfile(source / name, staged / name)
        for name in ("repository", "blobs"):
            if (source / name).is_dir():
                shutil.copytree(source / name, staged / name, symlinks=True)
        restored = _checked(staged, made, root_sha256, now)
        if destination.exists():
            destination.rmdir()
        staged.rename(destination)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    return restored


def _checked(staged: Path, made: Backup, root_sha256: str, now: datetime) -> Restored:
    """Check everything in the folder that will be the marketplace, and make it ready."""
    for name, expected in made.files.items():
        if _copied(staged / name) != expected:
            raise VerificationError(f"{name}: is not the file that was backed up")
    root = (staged / "repository" / "metadata" / "1.root.json").read_bytes()
    found = Digest.of(root).hex
    _check_root(made.root_sha256, [found])
    blobs = _check_tree(staged)
    _check_database(staged / "market.db")
    checked = _check_repository(staged, root, made)
    if root_sha256:  # each root that was accepted is signed with the keys of the one before
        files = checked.refreshed.metadata.items()
        roots = [Digest.of(data).hex for name, data in files if name.endswith(".root.json")]
        _check_root(root_sha256.lower(), roots)
    (catalog,) = [
        staged / "repository" / one.path
        for one in checked.refreshed.artifacts
        if one.name == CATALOG_NAME
    ]
    with Market.open(staged) as market:
        _check_named(market)
        shutil.copyfile(catalog, staged / "catalog.db")
        failed = Executions(market.connection).fail_all_open(
            "the marketplace was restored from a backup; a run is not begun a second time", now=now
        )
        valid = sum(one.state == "valid" for one in Accounts(market.connection).tokens(now=now))
        return Restored(
            made_at=made.made_at,
            root_sha256=found,
            releases=market.released(),
            submissions=len(market.submissions()),
            blobs=blobs,
            files=checked.files,
            failed_runs=failed,
            valid_tokens=valid,
            expired=checked.refreshed.catalog.expires <= now,
        )


def _check_root(wanted: str, roots: Sequence[str]) -> None:
    if wanted not in roots:
        raise VerificationError(
            f"the backup has no root {wanted[:16]}…, it has"
            f" {', '.join(f'{root[:16]}…' for root in roots)}",
            hint="It is a backup of another marketplace, or was changed.",
        )


def _check_tree(staged: Path) -> int:
    """Hash each blob, whoever names it; nothing but files and folders is restored."""
    count = 0
    for path in staged.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise VerificationError(f"{path.relative_to(staged)}: is no file")
        parts = path.relative_to(staged).parts
        if not path.is_file() or "blobs" not in parts[:2]:
            continue
        named = path.name
        if len(named) != 64 or hash_file(path)[0].hex != named:
            raise VerificationError(f"{path.relative_to(staged)}: has not the content of its name")
        count += 1
    return count


def _check_database(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("PRAGMA integrity_check(5)").fetchall()
            lost = connection.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.Error as error:
        raise WorkingDatabaseError(f"market.db: cannot be read: {error}") from error
    if rows != [("ok",)]:
        raise WorkingDatabaseError(f"market.db: is damaged: {rows[0][0]}")
    if lost:
        raise WorkingDatabaseError(f"market.db: a row of {lost[0][0]} names one that is not there")


def _check_repository(staged: Path, root: bytes, made: Backup) -> Checked:
    with tempfile.TemporaryDirectory(prefix="tavo-restore-") as cache:
        checked = check(
            DirectorySource((staged / "repository").resolve()),
            Selection(),
            root=root,
            cache=Path(cache),
            state=TrustState(),
            # As it was then: what has expired since is signed again, and is no worse for it.
            now=_moment(staged / "repository" / "metadata", datetime.fromisoformat(made.made_at)),
            build_time=_NO_BUILD_TIME,
        )
    if wrong := (*checked.missing, *checked.damaged):
        raise VerificationError(f"repository/{wrong[0]}: is missing or damaged")
    return checked


def _check_named(market: Market) -> None:
    """Check that each blob that a row names is there; `_check_tree` has hashed it."""
    for row in market.connection.execute(_NAMED):
        digest = row["digest"]
        if digest and not market.blob(Digest(digest)).is_file():
            raise VerificationError(f"{blob_path(Digest(digest))}: is named and not there")


def _moment(metadata: Path, made: datetime) -> datetime:
    """Return when the backup was made, or before its metadata expired, if it had by then."""
    newest: dict[str, tuple[int, Path]] = {"timestamp": (0, metadata / "timestamp.json")}
    for path in metadata.glob("[0-9]*.*.json"):
        number, role, _ = path.name.split(".")
        if number.isdecimal() and int(number) >= newest.get(role, (0, path))[0]:
            newest[role] = (int(number), path)
    moment = made
    for _, path in newest.values():
        try:
            signed = msgspec.json.decode(path.read_bytes(), type=_Signed).signed
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise VerificationError(f"{path.name}: is no metadata: {error}") from None
        moment = min(moment, signed.expires - timedelta(seconds=1))
    return moment


class _Expiry(msgspec.Struct):
    expires: datetime


class _Signed(msgspec.Struct):
    signed: _Expiry


def _read(source: Path) -> Backup:
    """Return what a backup says of itself. Raises RepositoryError."""
    path = source / BACKUP_NAME
    hint = "Name a folder that `tavo market backup` wrote, and that it finished."
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST)
        made = msgspec.json.decode(data, type=Backup)
        datetime.fromisoformat(made.made_at)
    except OSError as error:
        raise RepositoryError(f"{source}: is no backup: {path.name}: {error.strerror}", hint=hint
                              ) from error  # fmt: skip
    except (ValueError, msgspec.DecodeError) as error:
        raise RepositoryError(f"{path}: is not one of this version: {error}", hint=hint) from None
    if "market.db" not in made.files or not made.files.keys() <= _FILES:
        raise RepositoryError(f"{path}: names other files than a backup has", hint=hint)
    return made


def _copied(path: Path) -> Copied:
    digest, length = hash_file(path)
    return Copied(sha256=digest.hex, bytes=length)


def _check_new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RepositoryError(f"{folder}: is not empty", hint="Name a new folder.")
