"""Installed plugins: a content-addressed store, and the record of what is in it.

Rules this module keeps:
- installations are staged, compared with their packages, flushed, renamed, and then recorded
  together: killed at any instant, all old ones or all new ones are there, whole;
- two installs never run at once, and none leaves a plugin without what it needs;
- the installation before is kept for a rollback until it is pruned or replaced in turn;
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
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signing.digests import Digest
from signing.files import flush_folders
from tavo.errors import InputError, RefusedError, UsageError
from tavo.host.installed import (
    Installation,
    VerifiedInstallation,
    verify_files,
    verify_needed,
)
from tavo.host.locks import try_lock
from tavo.host.state import State, now_text
from tavo.host.store_files import (
    TamperedError,
    delete,
    delete_unless_held,
    find_programs,
    inventory,
    is_same,
    make_lasting,
)
from tavo.private import make_private
from tavo.progress import Reporter

if TYPE_CHECKING:
    from marketplace_db.acceptance import AcceptedPackage
    from tavo.host.interpreters import Interpreter
    from tavo.host.together import Member

__all__ = [
    "Installation",
    "Installations",
    "Staged",
    "TamperedError",
    "VerifiedInstallation",
]

_LOCK_WAIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A release to install: its chosen wheels by their names in the lock, and for whom."""

    accepted: AcceptedPackage
    wheels: Mapping[str, Path]
    provenance: Mapping[str, Any]
    interpreter: Interpreter | None = None


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
        """Install one release, as `install_all` does."""
        staged = Staged(accepted=accepted, wheels=wheels, provenance=provenance)
        return self.install_all([staged], reporter=reporter)[0]

    def install_all(
        self, releases: Sequence[Staged], *, reporter: Reporter | None = None
    ) -> list[Installation]:
        """Install releases in place of any others of the same plugins: all of them or none.

        The reporter hears of each step. Raises PackageError, InputError, TamperedError, and
        RefusedError if a plugin would be left without what it needs; then nothing has changed.
        """
        steps = reporter or Reporter()
        for one in releases:
            _check_wheels(one)
        names = ", ".join(one.accepted.inspected.manifest.full_id for one in releases)
        steps.begin("install", 3 + 3 * len(releases))
        try:
            with self._locked():
                steps.advance()
                made = [self._make(one, steps) for one in releases]
                self._check_needs({one.full_id: one for one in made})
                self._record(made)
                steps.advance()
                self._sweep()
                steps.advance()
        except OSError as error:
            raise InputError(
                f"{names}: cannot be installed: {error}",
                hint="Nothing was changed. Check the free space and the mode of the folder.",
            ) from error
        steps.end()
        return made

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

    def previous(self, full_id: str) -> Installation | None:
        """Return the installation that is kept for a rollback, None when there is none."""
        rows = self._state.query("SELECT * FROM previous_installations WHERE full_id = ?", full_id)
        return self._from_row(dict(rows[0])) if rows else None

    def verify(self, installation: Installation) -> VerifiedInstallation:
        """Hash every file again, and those of the plugins that it needs; choose what runs it.

        Raises TamperedError for any difference, RefusedError, NoInterpreterError.
        """
        granted = self.granted(installation)
        words = granted or ()
        return verify_files(
            installation,
            granted=granted is not None,
            variables=frozenset(w.removeprefix("env:") for w in words if w.startswith("env:")),
            needs=self.needed_by(installation.member),
        )

    def needed_by(self, one: Member) -> tuple[VerifiedInstallation, ...]:
        """Verify all plugins whose code a plugin uses. Raises RefusedError, TamperedError."""
        from tavo.host.together import closure

        installed: dict[str, Installation] = {}

        def find(full_id: str) -> Member | None:
            found = self.find(full_id)
            if found is None:
                return None
            installed[full_id] = found
            return found.member

        members = closure(one, find)
        return verify_needed({member.full_id: installed[member.full_id] for member in members})

    def granted(self, one: Installation) -> frozenset[str] | None:
        """Return the permissions that it has, as words; None while it waits for the user."""
        from marketplace_db.permissions import words_of_json
        from tavo.host.permissions import granted_words

        sets = self._state.accepted_sets(one.full_id, repository=one.repository)
        return granted_words(words_of_json(one.manifest_json), sets)

    def remove(self, full_id: str) -> Installation:
        """Forget an installation with its grants, then delete its files.

        Raises UsageError, and RefusedError while another plugin needs it.
        """
        with self._locked():
            removed = self.get(full_id)
            self._check_needs({}, gone=full_id)
            namespace, _, plugin = full_id.partition("/")
            with self._state.transaction() as connection:
                for table in ("installations", "previous_installations"):
                    connection.execute(
                        f"DELETE FROM {table} WHERE full_id = ?",  # noqa: S608
                        (full_id,),
                    )
                connection.execute(
                    "DELETE FROM grants WHERE namespace = ? AND plugin = ?", (namespace, plugin)
                )
            self._sweep()
        return removed

    def roll_back(
        self, full_ids: Sequence[str], check: Callable[[Installation], object]
    ) -> tuple[tuple[Installation, Installation], ...]:
        """Put the installations before in the place of these, all or none; return both of each.

        `check` raises what forbids to go back to one. What is replaced is kept in turn. Raises
        UsageError where nothing is kept, TamperedError, RefusedError; then nothing has changed.
        """
        with self._locked():
            pairs = []
            for full_id in full_ids:
                now, before = self.get(full_id), self.previous(full_id)
                if before is None:
                    raise UsageError(
                        f"{full_id}: no earlier installation is kept",
                        hint=f"Name the version: tavo registry install {full_id}==VERSION",
                    )
                check(before)
                verify_needed({full_id: before})[0].close()
                pairs.append((now, before))
            self._check_needs({before.full_id: before for _, before in pairs})
            self._record([before for _, before in pairs])
        return tuple(pairs)

    def prune(self) -> tuple[Installation, ...]:
        """Forget what is kept for rollbacks, and delete it."""
        with self._locked():
            rows = self._state.query("SELECT * FROM previous_installations ORDER BY full_id")
            with self._state.transaction() as connection:
                connection.execute("DELETE FROM previous_installations")
            self._sweep()
        return tuple(self._from_row(dict(row)) for row in rows)

    def _make(self, one: Staged, steps: Reporter) -> Installation:
        """Put a release into the store; no record names it yet."""
        from marketplace_db.manifest import manifest_to_json
        from tavo.host import interpreters

        inspected = one.accepted.inspected
        digests = {wheel.filename: wheel.digest for wheel in inspected.locked}
        staged = self._stage(one.accepted, one.wheels, digests)
        steps.advance()
        files = inventory(staged)
        for packaged in inspected.files:
            expected = (packaged.length, packaged.digest.hex)
            if files.get(f"plugin/{packaged.path}") != expected:
                raise TamperedError(f"{packaged.path}: changed while it was unpacked")
        manifest = inspected.manifest
        make_lasting(
            staged,
            find_programs(staged, files, manifest.programs, label=manifest.full_id).values(),
        )
        steps.advance()
        key = _key(inspected.digest, [digests[name] for name in one.wheels])
        folder = self._put(staged, key, files)
        steps.advance()
        return Installation(
            full_id=inspected.manifest.full_id,
            version=inspected.manifest.version,
            package=inspected.digest,
            folder=folder,
            manifest_json=manifest_to_json(inspected.manifest),
            files=files,
            wheels=tuple(sorted(one.wheels)),
            interpreter=(one.interpreter or interpreters.running()).tag,
            provenance=dict(one.provenance),
            installed_at=now_text(),
        )

    def _check_needs(self, changed: Mapping[str, Installation], *, gone: str = "") -> None:
        """Refuse a change that leaves a plugin without what it needs."""
        from tavo.host.together import check_process, closure, unmet

        after = {one.full_id: one for one in self.list()} | dict(changed)
        after.pop(gone, None)
        members = {name: one.member for name, one in after.items()}
        problem = unmet(members, {*changed, gone})
        if problem:
            hint = "Name it as well, to change them together." if changed else "Remove that first."
            raise RefusedError(f"{problem}; nothing was changed", hint=hint)
        for name, one in members.items():
            others = closure(one, members.get) if one.requires else ()
            if {name, *(other.full_id for other in others)} & changed.keys():
                check_process(one, others)

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
            if is_same(folder, files):
                delete(staged)
                return folder
            folder.rename(self._staging / f"broken-{os.urandom(8).hex()}")
        flush_folders([self._staging])  # so that there is a folder that can be renamed
        staged.rename(folder)
        flush_folders([self._store])
        return folder

    def _record(self, made: Sequence[Installation]) -> None:
        """Record installations in one transaction, and what they replace as kept."""
        with self._state.transaction() as connection:
            for one in made:
                row = (
                    one.full_id, one.version, one.package.hex, one.folder.name,
                    one.manifest_json, json.dumps(one.files), json.dumps(one.wheels),
                    one.interpreter, json.dumps(one.provenance), one.installed_at,
                )  # fmt: skip
                connection.execute(
                    "INSERT OR REPLACE INTO previous_installations SELECT * FROM installations"
                    " WHERE full_id = ? AND folder <> ?",
                    (one.full_id, one.folder.name),
                )
                connection.execute(
                    "INSERT OR REPLACE INTO installations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    row,
                )

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
        rows = self._state.query(
            "SELECT folder FROM installations UNION SELECT folder FROM previous_installations"
        )
        named = {row["folder"] for row in rows}
        for entry in self._staging.iterdir() if self._staging.is_dir() else ():
            delete(entry)
        for entry in self._store.iterdir() if self._store.is_dir() else ():
            if entry.name not in named:
                delete_unless_held(entry)

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


def _check_wheels(one: Staged) -> None:
    locked = {wheel.filename for wheel in one.accepted.inspected.locked}
    for name in one.wheels:
        if name not in locked:
            raise UsageError(
                f"{one.accepted.inspected.manifest.full_id}: {name} is not in its lock"
            )


def _key(package: Digest, wheels: list[Digest]) -> str:
    text = "\n".join(["tavo-installation/1", package.hex, *sorted(d.hex for d in wheels)])
    return Digest.of(text.encode()).hex
