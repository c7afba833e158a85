"""The releases of tavo itself: which there are, which of them a file is, and its replacement.

Rules this module keeps:
- what counts as a release was signed by the offline `releases` role; the online keys of a market
  cannot make one;
- tavo never goes to a lower version than the running one, whatever signed metadata offers;
- a file is replaced by a rename, after its bytes matched the signed digest and the caller's probe
  has run it: killed at any instant, the old file or the new one is there.

Units: lengths in bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from signing.client import Artifact, Source, fetch_artifact
from signing.digests import Digest, hash_file
from signing.files import flush_folders
from tavo import __version__
from tavo.errors import InputError, RefusedError
from tavo.registry.trust import Trust

__all__ = ["Release", "check_file", "known_releases", "newest", "replace"]

_NAME = re.compile(r"releases/tavo(-full)?-([0-9].*)\.pyz")
_PREFIX = ".new-tavo-"
_LEFTOVER = re.compile(re.escape(_PREFIX) + r"[a-z0-9_]{8}")
_LEFTOVER_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of tavo as the `releases` role signed it."""

    version: Version
    artifact: Artifact

    @property
    def digest(self) -> Digest:
        """Return the digest of the whole file."""
        return self.artifact.digest

    @property
    def length(self) -> int:
        """Return the length of the whole file."""
        return self.artifact.length


def known_releases(trust: Trust, source: Source, *, full: bool = False) -> tuple[Release, ...]:
    """Refresh from the source with its `releases` role; return all releases, the newest first.

    `full` asks for the files with the optional engines. What was accepted is remembered: an older
    list of releases is refused from now on. Artifacts that are not named `tavo-<version>.pyz`, or
    `tavo-full-<version>.pyz`, are no releases. Raises RollbackError, ExpiredError,
    other VerificationErrors, SourceError and BusyError; then nothing has changed.
    """
    found = []
    for artifact in trust.artifacts(source):
        named = _NAME.fullmatch(artifact.name) if artifact.role == "releases" else None
        with suppress(InvalidVersion):
            if named and bool(named[1]) is full:
                found.append(Release(version=Version(named[2]), artifact=artifact))
    found.sort(key=lambda release: (release.version, release.artifact.name), reverse=True)
    return tuple(found)


def check_file(path: Path, releases: Iterable[Release]) -> Release | None:
    """Return which release the file's bytes are, None if they are none of these.

    Raises InputError if the file cannot be read.
    """
    try:
        digest, length = hash_file(path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror or error}", hint="Check the path."
        ) from error
    for release in releases:
        if (release.digest, release.length) == (digest, length):
            return release
    return None


def newest(releases: Iterable[Release], current: Version) -> Release | None:
    """Return the newest release above `current`, None if there is none.

    Pre-releases count only where `current` is one.
    """
    newer = [
        release
        for release in releases
        if release.version > current
        and (current.is_prerelease or not release.version.is_prerelease)
    ]
    return max(newer, key=lambda release: release.version, default=None)


def replace(
    path: Path,
    release: Release,
    source: Source,
    *,
    probe: Callable[[Path], object],
    running: Version | None = None,
) -> None:
    """Put a release in the place of the file at `path`, which keeps its mode.

    The release is fetched into a new folder beside the file and checked against the signed digest;
    then `probe` is called with it and raises whatever refuses it; then it is renamed. A symbolic
    link stays, and the file that it names is replaced. What earlier killed replacements left in
    the folder is removed after a minute. `running` is this tavo's version unless told.

    Raises RefusedError for a lower version than the running one, VerificationError and SourceError
    if the release cannot be had as it was signed, InputError if the file or its folder cannot be
    written, and what `probe` raises; then the old file is as it was.
    """
    lowest = Version(__version__) if running is None else running
    if release.version < lowest:
        raise RefusedError(
            f"{release.artifact.name} from {source.name}: version {release.version} is lower than"
            f" {lowest}, which is running; tavo never goes back by itself",
            hint="To go back on purpose, put the older file in place by hand.",
        )
    target, status = _target(path)
    _remove_leftovers(target.parent, time.time())
    with _folder_beside(target) as folder:
        fresh = folder / target.name
        fetch_artifact(source, release.artifact, fresh)
        _keep_owner_and_mode(fresh, status)
        probe(fresh)
        if _identity(_target(path)[1]) != _identity(status):
            raise RefusedError(
                f"{target}: was replaced by another process meanwhile, so it was left as it is",
                hint="Look at its version, and update it again if need be.",
            )
        try:
            fresh.replace(target)
        except OSError as error:
            raise _unwritable(target, error) from error
        flush_folders([target.parent])


# -- inside


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """Return what changes when a file is exchanged or written to."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _target(path: Path) -> tuple[Path, os.stat_result]:
    """Return the regular file that is meant, behind all links, and its status."""
    try:
        target = path.resolve(strict=True)
        status = target.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{path}: cannot be replaced: {reason}", hint="Name the file of tavo that is in use."
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            f"{path}: is not a regular file", hint="Name the file of tavo that is in use."
        )
    return target, status


@contextmanager
def _folder_beside(target: Path) -> Iterator[Path]:
    """Lend a folder of our own on the target's file system; it is removed afterwards."""
    try:
        made = tempfile.mkdtemp(prefix=_PREFIX, dir=target.parent)
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _unwritable(target: Path, error: OSError) -> InputError:
    return InputError(
        f"{target.parent}: this folder cannot be written ({error.strerror or error}), so"
        f" {target.name} in it was not replaced",
        hint="Run the command as the owner of the folder, or copy the file into a folder of your"
        " own and update the copy.",
    )


def _keep_owner_and_mode(fresh: Path, status: os.stat_result) -> None:
    """Give the new file the old one's mode, and as root also its owner; flush it."""
    try:
        with fresh.open("rb+") as stream:
            if sys.platform != "win32" and os.geteuid() == 0:
                os.chown(fresh, status.st_uid, status.st_gid)
            fresh.chmod(stat.S_IMODE(status.st_mode) & 0o777)
            os.fsync(stream.fileno())
    except OSError as error:
        raise InputError(f"{fresh}: cannot be prepared: {error.strerror or error}") from error


def _remove_leftovers(folder: Path, now: float) -> None:
    """Remove what killed replacements of this user left, unless one may still be running."""
    with suppress(OSError):
        for path in [path for path in folder.iterdir() if _LEFTOVER.fullmatch(path.name)]:
            with suppress(OSError):
                status = path.lstat()
                ours = sys.platform == "win32" or status.st_uid == os.geteuid()
                if stat.S_ISDIR(status.st_mode) and ours and now - _last_change(path) > _LEFTOVER_S:
                    shutil.rmtree(path, ignore_errors=True)


def _last_change(folder: Path) -> float:
    """Return when anything in the folder changed last: a slow download keeps it young."""
    return max(path.lstat().st_mtime for path in (folder, *folder.iterdir()))
