"""One installed plugin, and the value that says its files were just hashed.

Rules this module keeps:
- a `VerifiedInstallation` is made only by the functions here, which hash every file first: nothing
  missing, nothing besides, no links;
- it runs with an interpreter that it, its wheels and the plugins that it needs all take.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from signing.digests import Digest
from tavo.errors import RefusedError
from tavo.host.locks import hold, let_go
from tavo.host.state import now_text
from tavo.host.store_files import TamperedError, compare, find_programs, inventory, make_lasting
from tavo.private import check_private

if TYPE_CHECKING:
    from marketplace_db.manifest import Manifest
    from marketplace_db.package import InspectedPackage
    from tavo.host.together import Member

__all__ = [
    "Installation",
    "Origin",
    "VerifiedInstallation",
    "installation_of_snapshot",
    "verify_files",
    "verify_needed",
    "vouch_for_snapshot",
]

Origin = Literal["catalog", "local"]

_SEAL = object()


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
    def tag(self) -> str:
        """Return the interpreter that its wheels were chosen for; empty where they fit all."""
        from tavo.host.together import fits_every_python

        return "" if all(map(fits_every_python, self.wheels)) else self.interpreter

    @property
    def member(self) -> Member:
        """Return it as the plugins see it that need it. Raises ManifestError."""
        from tavo.host.together import Member

        manifest = self.manifest
        return Member(
            full_id=self.full_id,
            version=self.version,
            repository=self.repository,
            requires=manifest.requirements,
            python=manifest.python,
            native=manifest.permissions.native_code,
            wheels=self.wheels,
            tag=self.tag,
            elsewhere=dict(self.provenance.get("needs_from", {})),
        )


class VerifiedInstallation:
    """An installation whose files were hashed when this value was made.

    `granted` says whether the user accepted its permissions, `granted_env` which environment
    variables among them. `origin` is `catalog` for what a publisher and reviewers signed, `local`
    for a folder or zip of the user's own. `python` runs it; `needs` are the plugins whose code it
    uses, verified the same way. While the value lives (until `close`) no other tavo sweeps its
    folder, or theirs, away. `cpu_s` is the processor time that this process has spent on it by
    now: verifying it, loading what runs it.
    """

    __slots__ = (
        "_lock",
        "cpu_s",
        "granted",
        "granted_env",
        "installation",
        "needs",
        "origin",
        "python",
    )

    def __init__(
        self,
        seal: object,
        *,
        installation: Installation,
        granted: bool,
        lock: int,
        python: Path,
        needs: tuple[VerifiedInstallation, ...] = (),
        variables: frozenset[str] = frozenset(),
        origin: Origin = "catalog",
    ) -> None:
        self._lock = -1
        self.needs = needs
        if seal is not _SEAL:
            raise TypeError("a VerifiedInstallation is made only by what hashes its files")
        self.installation = installation
        self.granted = granted
        self.granted_env = variables if granted else frozenset()
        self.origin = origin
        self.cpu_s = 0.0
        self.python = python
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
        """Return where its dependencies are, and those of the plugins that it needs."""
        folder = self.installation.folder / "deps"
        own = (folder,) if self.installation.wheels else ()
        return (*own, *(path for other in self.needs for path in other.dependency_folders))

    def programs(self) -> dict[str, Path]:
        """Return where the programs lie that it brings. Raises RefusedError, OSError."""
        one = self.installation
        if not (names := one.manifest.programs):
            return {}
        return find_programs(one.folder, one.files, names, label=one.full_id)

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

    @property
    def code(self) -> str:
        """Return the digest of all code that runs in its process, interpreter included."""
        from tavo.host import interpreters

        packages = [one.installation.package.hex for one in (self, *self.needs)]
        if len(packages) == 1 and self.python == interpreters.running().path:
            return packages[0]
        return Digest.of("\n".join([*packages, str(self.python)]).encode()).hex

    def close(self) -> None:
        """Let the folder go."""
        let_go(self._lock)
        self._lock = -1
        for other in self.needs:
            other.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        one = self.installation
        return f"VerifiedInstallation({one.full_id!r}, {one.version!r}, {one.package})"


def verify_files(
    one: Installation,
    *,
    granted: bool,
    variables: frozenset[str],
    needs: tuple[VerifiedInstallation, ...] = (),
    origin: Origin = "catalog",
    hint: str = "",
) -> VerifiedInstallation:
    """Hash every file of an installation and choose what runs it.

    `needs` are the plugins that it needs, which are let go when this fails. Raises TamperedError
    for any difference, RefusedError, NoInterpreterError.
    """
    from tavo.host import interpreters
    from tavo.host.together import check_process

    try:
        member = one.member
        others = [other.installation.member for other in needs]
        tag = check_process(member, others)
        ranges = [("", member.python), *((other.label, other.python) for other in others)]
        python = interpreters.choose(member.label, ranges, tag=tag).path
        lock = _held(one, hint, private=origin == "catalog")
    except BaseException:
        for other in needs:
            other.close()
        raise
    return VerifiedInstallation(
        _SEAL, installation=one, granted=granted, lock=lock, python=python, needs=needs,
        variables=variables, origin=origin,
    )  # fmt: skip


def verify_needed(installed: Mapping[str, Installation]) -> tuple[VerifiedInstallation, ...]:
    """Hash every file of plugins that another one needs; they are not run themselves.

    Raises TamperedError; then none is held.
    """
    verified: list[VerifiedInstallation] = []
    try:
        for one in installed.values():
            lock = _held(one)
            verified.append(
                VerifiedInstallation(
                    _SEAL, installation=one, granted=False, lock=lock, python=Path()
                )
            )
    except BaseException:
        for other in verified:
            other.close()
        raise
    return tuple(verified)


def installation_of_snapshot(
    package: InspectedPackage,
    folder: Path,
    *,
    wheels: tuple[str, ...],
    source: str,
    interpreter: str = "",
    added: frozenset[str] = frozenset(),
    manifest: Manifest | None = None,
) -> Installation:
    """Make read-only, flush and list what was just unpacked at `folder`; it is in no record.

    `added` are files of ours beside the plugin's, `manifest` says how to run it with them. Raises
    TamperedError when the files are not those of the package, OSError.
    """
    from marketplace_db.manifest import manifest_to_json
    from tavo.host import interpreters

    files = inventory(folder)
    expected = {f"plugin/{one.path}": (one.length, one.digest.hex) for one in package.files}
    plugin = {name: e for name, e in files.items() if name.startswith("plugin/")}
    if {name: e for name, e in plugin.items() if name not in added} != expected:
        raise TamperedError(f"{package.manifest.full_id}: changed while it was unpacked")
    own = (manifest or package.manifest).programs
    make_lasting(folder, find_programs(folder, files, own, label=package.manifest.full_id).values())
    return Installation(
        full_id=package.manifest.full_id,
        version=package.manifest.version,
        package=package.digest,
        folder=folder,
        manifest_json=manifest_to_json(manifest or package.manifest),
        files=files,
        wheels=wheels,
        interpreter=interpreter or interpreters.running().tag,
        provenance={"source": source},
        installed_at=now_text(),
    )


def vouch_for_snapshot(
    one: Installation,
    variables: frozenset[str] = frozenset(),
    needed_by: Callable[[Member], tuple[VerifiedInstallation, ...]] | None = None,
) -> VerifiedInstallation:
    """Hash a local plugin's snapshot again; say that the user agreed to run it with `variables`.

    `tavo.host.local` alone calls this, after it asked. `needed_by` verifies the plugins that one
    needs. Raises TamperedError, RefusedError.
    """
    member = replace(one.member, repository=None)
    if member.requires and needed_by is None:
        raise RefusedError(f"{member.label}: needs other plugins, and none are at hand here")
    return verify_files(
        one,
        granted=True,
        variables=variables,
        needs=needed_by(member) if needed_by is not None else (),
        origin="local",
        hint="Start again; nothing else may write into that folder.",
    )


def _held(one: Installation, hint: str = "", *, private: bool = True) -> int:
    """Hash every file of an installation; return the lock that keeps its folder."""
    label = f"{one.full_id} {one.version}"
    hint = hint or f"Install it again: `tavo registry install {one.full_id.removeprefix('tavo/')}`."
    try:
        lock = hold(one.folder, exclusive=False)
    except OSError as error:
        raise TamperedError(f"{label}: its folder is missing ({one.folder})", hint=hint) from error
    try:
        if private:
            check_private(one.folder)  # else what is hashed need not be what is run
        compare(one.folder, one.files, label=label, hint=hint)
    except BaseException:
        let_go(lock)
        raise
    return lock
