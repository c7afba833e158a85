"""Installed plugins: a content-addressed store, and the record of what is in it.

Rules this module keeps:
- an installation is staged, compared with its package, flushed, renamed, and then recorded: killed
  at any instant, the old installation or the new one is there, whole;
- two installs never run at once;
- what runs was hashed just before: every file, nothing missing, nothing besides, no links;
- a folder that a running scan uses is not swept away under it.

The folder is `store/<digest>/plugin` and `store/<digest>/deps`, where the digest covers the package
and the chosen wheels.
Units: lengths in bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from signing.digests import Digest, hash_file
from tavo.errors import InputError, RefusedError, UsageError
from tavo.host.locks import hold, let_go, try_lock
from tavo.host.state import State, now_text
from tavo.private import check_private, make_private
from tavo.progress import Reporter

if TYPE_CHECKING:
    from marketplace_db.acceptance import AcceptedPackage
    from marketplace_db.manifest import Manifest
    from marketplace_db.package import InspectedPackage

__all__ = [
    "Installation",
    "Installations",
    "Origin",
    "TamperedError",
    "VerifiedInstallation",
    "installation_of_snapshot",
    "vouch_for_snapshot",
]

Origin = Literal["catalog", "local"]

_SEAL = object()
_LOCK_WAIT_S = 30.0


class TamperedError(RefusedError):
    """The files of an installation are not those that were installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One installed release, as it was recorded."""

    full_id: str
    version: str
    package: Digest
    folder: Path
    manifest_json: str
    files: Mapping[str, tuple[int, str]]
    wheels: tuple[str, ...]
    interpreter: str
    provenance: Mapping[str, Any]
    installed_at: str

    @property
    def manifest(self) -> Manifest:
        """Return the manifest that was signed."""
        from marketplace_db.manifest import manifest_from_json

        return manifest_from_json(self.manifest_json)

    @property
    def repository(self) -> str:
        """Return the repository that it came from, which its grants belong to."""
        return str(self.provenance.get("repository", ""))

    @property
    def has_native_code(self) -> bool:
        """Tell whether its wheels fit only the interpreter that they were chosen for."""
        return any(not name.endswith("-none-any.whl") for name in self.wheels)


class VerifiedInstallation:
    """An installation whose files were hashed when this value was made.

    `granted` says whether the user accepted its permissions, `granted_env` which environment
    variables among them. `origin` is `catalog` for what a publisher and reviewers signed, `local`
    for a folder or zip of the user's own. While the value lives (until `close`) no other tavo
    sweeps its folder away. `cpu_s` is the processor time that this process has spent on it by now:
    verifying it, loading what runs it.
    """

    __slots__ = ("_lock", "cpu_s", "granted", "granted_env", "installation", "origin")

    def __init__(
        self,
        seal: object,
        *,
        installation: Installation,
        granted: bool,
        lock: int,
        variables: frozenset[str] = frozenset(),
        origin: Origin = "catalog",
    ) -> None:
        self._lock = -1
        if seal is not _SEAL:
            raise TypeError("a VerifiedInstallation is made only by Installations.verify")
        self.installation = installation
        self.granted = granted
        self.granted_env = variables if granted else frozenset()
        self.origin = origin
        self.cpu_s = 0.0
        self._lock = lock

    @property
    def required(self) -> int:
        """Return the sandbox level that it needs: 2 if it was reviewed, 3 if nobody vouches."""
        return 2 if self.origin == "catalog" else 3

    @property
    def manifest(self) -> Manifest:
        """Return the manifest that was signed."""
        return self.installation.manifest

    @property
    def plugin_folder(self) -> Path:
        """Return where the plugin's own files are."""
        return self.installation.folder / "plugin"

    @property
    def dependency_folders(self) -> tuple[Path, ...]:
        """Return where its dependencies are, if it has some."""
        folder = self.installation.folder / "deps"
        return (folder,) if self.installation.wheels else ()

    def check_granted(self) -> None:
        """Raise RefusedError, which says how to accept it, unless the user did."""
        if self.granted:
            return
        one = self.installation
        raise RefusedError(
            f"{one.full_id} {one.version}: waits for your acceptance of what it may do, so it was"
            " not run",
            hint=f"Read it and answer: `tavo registry grant {one.full_id.removeprefix('tavo/')}`.",
        )

    def close(self) -> None:
        """Let the folder go."""
        let_go(self._lock)
        self._lock = -1

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        one = self.installation
        return f"VerifiedInstallation({one.full_id!r}, {one.version!r}, {one.package})"


class Installations:
    """The store of one user: `root` is its folder, `state` holds the records."""

    def __init__(self, state: State, root: Path) -> None:
        self._state = state
        self._root = root
        self._store = root / "store"
        self._staging = root / "staging"

    def install(
        self,
        accepted: AcceptedPackage,
        wheels: Mapping[str, Path],
        provenance: Mapping[str, Any],
        *,
        reporter: Reporter | None = None,
    ) -> Installation:
        """Install a release in place of any other of the same plugin.

        `wheels` are the chosen wheels by their file names in the lock. The reporter hears of each
        step. Raises PackageError, InputError, TamperedError.
        """
        from marketplace_db.manifest import manifest_to_json

        steps = reporter or Reporter()
        inspected = accepted.inspected
        digests = {wheel.filename: wheel.digest for wheel in inspected.locked}
        for name in wheels:
            if name not in digests:
                raise UsageError(f"{inspected.manifest.full_id}: {name} is not in its lock")
        chosen = sorted((name, digests[name]) for name in wheels)
        key = _key(inspected.digest, [digest for _, digest in chosen])
        steps.begin("install", 6)
        try:
            with self._locked():
                steps.advance()
                staged = self._stage(accepted, wheels, digests)
                steps.advance()
                files = _inventory(staged)
                for packaged in inspected.files:
                    expected = (packaged.length, packaged.digest.hex)
                    if files.get(f"plugin/{packaged.path}") != expected:
                        raise TamperedError(f"{packaged.path}: changed while it was unpacked")
                _flush(staged)
                steps.advance()
                folder = self._put(staged, key, files)
                steps.advance()
                installation = Installation(
                    full_id=inspected.manifest.full_id,
                    version=inspected.manifest.version,
                    package=inspected.digest,
                    folder=folder,
                    manifest_json=manifest_to_json(inspected.manifest),
                    files=files,
                    wheels=tuple(name for name, _ in chosen),
                    interpreter=_interpreter(),
                    provenance=dict(provenance),
                    installed_at=now_text(),
                )
                self._record(installation)
                steps.advance()
                self._sweep()
                steps.advance()
        except OSError as error:
            raise InputError(
                f"{inspected.manifest.full_id}: cannot be installed: {error}",
                hint="Nothing was changed. Check the free space and the mode of the folder.",
            ) from error
        steps.end()
        return installation

    def find(self, full_id: str) -> Installation | None:
        """Return one installation, None when there is none."""
        rows = self._state.query("SELECT * FROM installations WHERE full_id = ?", full_id)
        return self._from_row(dict(rows[0])) if rows else None

    def list(self) -> list[Installation]:
        """Return all installations, by their id."""
        rows = self._state.query("SELECT * FROM installations ORDER BY full_id")
        return [self._from_row(dict(row)) for row in rows]

    def get(self, full_id: str) -> Installation:
        """Return one installation. Raises UsageError when there is none."""
        found = self.find(full_id)
        if found is None:
            raise UsageError(
                f"{full_id}: is not installed",
                hint=f"Install it: `tavo registry install {full_id.removeprefix('tavo/')}`.",
            )
        return found

    def verify(self, installation: Installation) -> VerifiedInstallation:
        """Hash every file again. Raises TamperedError for any difference, RefusedError."""
        one = installation
        hint = f"Install it again: `tavo registry install {one.full_id.removeprefix('tavo/')}`."
        try:
            lock = hold(one.folder, exclusive=False)
        except OSError as error:
            raise TamperedError(
                f"{one.full_id} {one.version}: its folder is missing ({one.folder})", hint=hint
            ) from error
        try:
            check_private(one.folder)  # else what is hashed need not be what is run
            _compare(one, hint)
            if one.has_native_code and one.interpreter != _interpreter():
                raise RefusedError(
                    f"{one.full_id} {one.version}: was installed for {one.interpreter}, this is"
                    f" {_interpreter()}",
                    hint=hint,
                )
            granted = self.granted(one)
        except BaseException:
            let_go(lock)
            raise
        words = granted or ()
        return VerifiedInstallation(
            _SEAL,
            installation=one,
            granted=granted is not None,
            lock=lock,
            variables=frozenset(w.removeprefix("env:") for w in words if w.startswith("env:")),
        )

    def granted(self, one: Installation) -> frozenset[str] | None:
        """Return the permissions that it has, as words; None while it waits for the user."""
        from marketplace_db.permissions import words_of_json
        from tavo.host.permissions import granted_words

        sets = self._state.accepted_sets(one.full_id, repository=one.repository)
        return granted_words(words_of_json(one.manifest_json), sets)

    def remove(self, full_id: str) -> Installation:
        """Forget an installation with its grants, then delete its files. Raises UsageError."""
        removed = self.get(full_id)
        namespace, _, plugin = full_id.partition("/")
        with self._locked():
            with self._state.transaction() as connection:
                connection.execute("DELETE FROM installations WHERE full_id = ?", (full_id,))
                connection.execute(
                    "DELETE FROM grants WHERE namespace = ? AND plugin = ?", (namespace, plugin)
                )
            self._sweep()
        return removed

    def _stage(
        self, accepted: AcceptedPackage, wheels: Mapping[str, Path], digests: Mapping[str, Digest]
    ) -> Path:
        from marketplace_db.package import unpack_package  # running a plugin needs neither
        from marketplace_db.wheel import unpack_wheel

        staged = self._staging / os.urandom(8).hex()
        make_private(staged)
        unpack_package(accepted.inspected, staged / "plugin")
        for name in sorted(wheels):
            unpack_wheel(wheels[name], digests[name], staged / "deps", filename=name)
        return staged

    def _put(self, staged: Path, key: str, files: Mapping[str, tuple[int, str]]) -> Path:
        """Move what was staged into the store; keep what is there already if it is the same."""
        folder = self._store / key
        make_private(self._store)
        if folder.exists():
            if _same(folder, files):
                _delete(staged)
                return folder
            folder.rename(self._staging / f"broken-{os.urandom(8).hex()}")
        staged.rename(folder)
        _flush_folder(self._store)
        return folder

    def _record(self, one: Installation) -> None:
        with self._state.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO installations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    one.full_id, one.version, one.package.hex, one.folder.name,
                    one.manifest_json, json.dumps(one.files), json.dumps(one.wheels),
                    one.interpreter, json.dumps(one.provenance), one.installed_at,
                ),
            )  # fmt: skip

    def _from_row(self, row: Mapping[str, Any]) -> Installation:
        return Installation(
            full_id=row["full_id"],
            version=row["version"],
            package=Digest(row["package"]),
            folder=self._store / row["folder"],
            manifest_json=row["manifest"],
            files={name: (entry[0], entry[1]) for name, entry in json.loads(row["files"]).items()},
            wheels=tuple(json.loads(row["wheels"])),
            interpreter=row["interpreter"],
            provenance=json.loads(row["provenance"]),
            installed_at=row["installed_at"],
        )

    def _sweep(self) -> None:
        """Delete what was staged and never finished, and what no record names any more."""
        rows = self._state.query("SELECT folder FROM installations")
        named = {row["folder"] for row in rows}
        for entry in self._staging.iterdir() if self._staging.is_dir() else ():
            _delete(entry)
        for entry in self._store.iterdir() if self._store.is_dir() else ():
            if entry.name not in named:
                _delete_unless_held(entry)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep every other install out. Raises InputError when it takes too long."""
        make_private(self._root)
        handle = os.open(self._root / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + _LOCK_WAIT_S
            while not try_lock(handle, exclusive=True):
                if time.monotonic() > deadline:
                    raise InputError(
                        f"{self._root}: another tavo is installing plugins",
                        hint="Wait for it to finish, then try again.",
                    )
                time.sleep(0.05)
            yield
        finally:
            os.close(handle)


def installation_of_snapshot(
    package: InspectedPackage,
    folder: Path,
    *,
    wheels: tuple[str, ...],
    source: str,
    added: frozenset[str] = frozenset(),
    manifest: Manifest | None = None,
) -> Installation:
    """Make read-only, flush and list what was just unpacked at `folder`; it is in no record.

    `added` are files of ours beside the plugin's, `manifest` says how to run it with them. Raises
    TamperedError when the files are not those of the package, OSError.
    """
    from marketplace_db.manifest import manifest_to_json

    files = _inventory(folder)
    expected = {f"plugin/{one.path}": (one.length, one.digest.hex) for one in package.files}
    plugin = {name: e for name, e in files.items() if name.startswith("plugin/")}
    if {name: e for name, e in plugin.items() if name not in added} != expected:
        raise TamperedError(f"{package.manifest.full_id}: changed while it was unpacked")
    _flush(folder)
    return Installation(
        full_id=package.manifest.full_id,
        version=package.manifest.version,
        package=package.digest,
        folder=folder,
        manifest_json=manifest_to_json(manifest or package.manifest),
        files=files,
        wheels=wheels,
        interpreter=_interpreter(),
        provenance={"source": source},
        installed_at=now_text(),
    )


def vouch_for_snapshot(
    one: Installation, variables: frozenset[str] = frozenset()
) -> VerifiedInstallation:
    """Hash a local plugin's snapshot again; say that the user agreed to run it with `variables`.

    `tavo.host.local` alone calls this, after it asked. Raises TamperedError.
    """
    try:
        lock = hold(one.folder, exclusive=False)
    except OSError as error:
        raise TamperedError(f"{one.full_id}: its snapshot is missing ({one.folder})") from error
    try:
        _compare(one, "Start again; nothing else may write into that folder.")
    except BaseException:
        let_go(lock)
        raise
    return VerifiedInstallation(
        _SEAL, installation=one, granted=True, lock=lock, variables=variables, origin="local"
    )


def _key(package: Digest, wheels: list[Digest]) -> str:
    text = "\n".join(["tavo-installation/1", package.hex, *sorted(d.hex for d in wheels)])
    return Digest.of(text.encode()).hex


def _interpreter() -> str:
    import sysconfig

    return f"{sys.implementation.cache_tag} on {sysconfig.get_platform()}"


def _inventory(folder: Path) -> dict[str, tuple[int, str]]:
    """Return path -> length and digest of all files; refuse everything that is not a file."""
    found: dict[str, tuple[int, str]] = {}
    for path, mode in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            raise TamperedError(f"{path}: is a link or a device")
        digest, length = hash_file(path)
        found[name] = (length, digest.hex)
    return found


def _walk(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield every entry below a folder with its mode, without following a link."""
    pending = [folder]
    while pending:
        for entry in os.scandir(pending.pop()):
            mode = entry.stat(follow_symlinks=False).st_mode
            path = Path(entry.path)
            if stat.S_ISDIR(mode):
                pending.append(path)
            yield path, mode


def _compare(one: Installation, hint: str) -> None:
    label = f"{one.full_id} {one.version}"
    seen: set[str] = set()
    folders = {parent for name in one.files for parent in _parents(name)}
    for path, mode in _walk(one.folder):
        name = path.relative_to(one.folder).as_posix()
        if stat.S_ISDIR(mode):
            if name not in folders:
                raise TamperedError(f"{label}: {name} does not belong to it", hint=hint)
            continue
        expected = one.files.get(name)
        if expected is None:
            raise TamperedError(f"{label}: {name} does not belong to it", hint=hint)
        if not stat.S_ISREG(mode):
            raise TamperedError(f"{label}: {name} is not a regular file any more", hint=hint)
        digest, length = hash_file(path)
        if (length, digest.hex) != expected:
            raise TamperedError(f"{label}: {name} has been changed", hint=hint)
        seen.add(name)
    if missing := sorted(one.files.keys() - seen):
        raise TamperedError(f"{label}: {missing[0]} is missing", hint=hint)


def _parents(name: str) -> Iterator[str]:
    parts = name.split("/")
    for depth in range(1, len(parts)):
        yield "/".join(parts[:depth])


def _same(folder: Path, files: Mapping[str, tuple[int, str]]) -> bool:
    try:
        return _inventory(folder) == files
    except (OSError, TamperedError):
        return False


def _flush(folder: Path) -> None:
    """Make every file read-only and bring everything to the disk."""
    for path, mode in _walk(folder):
        if stat.S_ISDIR(mode):
            _flush_folder(path)
            continue
        path.chmod(0o444)
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return  # folders cannot be opened there; NTFS keeps renames in order
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _delete(folder: Path) -> None:
    """Delete a folder of ours; what resists is left for the next sweep."""

    def make_writable(_: object, path: str, __: object) -> None:
        with contextlib.suppress(OSError):
            Path(path).chmod(0o700)
            Path(path).unlink()

    if folder.is_symlink() or not folder.is_dir():
        with contextlib.suppress(OSError):
            folder.unlink()
        return
    import shutil

    shutil.rmtree(folder, onerror=make_writable)


def _delete_unless_held(folder: Path) -> None:
    try:
        handle = hold(folder, exclusive=True)
    except BlockingIOError:
        return  # a scan is running it; a later sweep finds it again
    except OSError:
        handle = -1  # not a folder of ours
    try:
        _delete(folder)
    finally:
        let_go(handle)
