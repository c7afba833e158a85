"""Local plugins: a folder or a zip that no publisher signed and nobody reviewed.

Rules this module keeps:
- what is checked, asked about and run is one private read-only copy, made first: a change of the
  folder afterwards changes nothing, and a change before is asked about again;
- the content has one digest, that of its canonical package: a folder, and the zip that
  `tavo plugin pack` makes of it, are the same plugin;
- only the user's own words start one: its path on the command line. No file of a scanned project,
  no setting and no variable can;
- a name of the form `name` or `publisher/name` is never a path, whatever folders lie around.

Units: sizes in bytes.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Self

from signing.digests import Digest
from tavo.errors import InputError, RefusedError, UsageError
from tavo.host import interpreters
from tavo.host.installed import (
    Installation,
    VerifiedInstallation,
    installation_of_snapshot,
    vouch_for_snapshot,
)
from tavo.host.work_folder import WorkFolder

if TYPE_CHECKING:
    from marketplace_db.manifest import Manifest
    from marketplace_db.package import InspectedPackage
    from tavo.host.interpreters import Interpreter
    from tavo.host.state import State
    from tavo.host.together import Member

__all__ = ["WHEELS_FOLDER", "LocalPlugin", "NotConfirmedError", "is_local_name", "open_local"]

WHEELS_FOLDER = ".wheels"
_NeededBy = Callable[["Member"], tuple[VerifiedInstallation, ...]]
_ID = re.compile(r"[a-z0-9-]+(?:/[a-z0-9-]+)?\Z")


class NotConfirmedError(RefusedError):
    """Nobody has agreed to run a local plugin with this content."""


@dataclass(slots=True, kw_only=True)
class LocalPlugin:
    """A private copy of a local plugin. Use it as a context manager, or `close` it."""

    source: Path
    package: InspectedPackage
    installation: Installation
    _folder: WorkFolder
    _needed_by: _NeededBy | None = None

    @property
    def digest(self) -> Digest:
        """Return the digest of its content, which is that of its package."""
        return self.package.digest

    @property
    def manifest(self) -> Manifest:
        """Return its checked manifest."""
        return self.package.manifest

    @property
    def plugin_folder(self) -> Path:
        """Return where the copies of its files are."""
        return self.installation.folder / "plugin"

    def confirmed(self, state: State, *, accept: Collection[str] = ()) -> VerifiedInstallation:
        """Return it ready to run if the user agreed to exactly this content.

        `accept` are digests that the user named for this run. It gets those environment variables
        that were granted when the user agreed. Raises NotConfirmedError.
        """
        if self.digest.hex in accept or state.is_confirmed_local(self.digest):
            variables = state.local_variables(self.digest) & self._variables
            return vouch_for_snapshot(self.installation, variables, self._needed_by)
        raise NotConfirmedError(
            f"{self.source}: nobody signed or reviewed this plugin ({self.manifest.full_id}"
            f" {self.manifest.version}), and you have not agreed to run it as it is now",
            hint=f"Read it, then agree once: `tavo plugin trust {self.source}`; or for this run"
            f" only: --accept-local {self.digest.hex}",
        )

    def own(self) -> VerifiedInstallation:
        """Return it ready to run because the user asked to run this very folder or zip."""
        return vouch_for_snapshot(self.installation, self._variables, self._needed_by)

    @property
    def _variables(self) -> frozenset[str]:
        return frozenset(self.manifest.permissions.env)

    def rehearsal(self, files: Mapping[str, bytes], manifest: Manifest) -> VerifiedInstallation:
        """Return a second copy with files of ours beside the plugin's, run as `manifest` says.

        Raises RefusedError when the plugin has a file of that name.
        """
        taken = {str(one.path) for one in self.package.files} & files.keys()
        if taken:
            raise RefusedError(
                f"{self.source}: {sorted(taken)[0]} is a name that the kit uses itself",
                hint="Call the file something else.",
            )
        from marketplace_db.package import write_new_file

        folder = self._folder.path / "rehearsal"
        if not folder.exists():
            shutil.copytree(self.installation.folder, folder, symlinks=True)
            for name, content in files.items():
                write_new_file(folder / "plugin", PurePosixPath(name), content)
        return vouch_for_snapshot(
            installation_of_snapshot(
                self.package,
                folder,
                wheels=self.installation.wheels,
                source=self.installation.provenance["source"],
                interpreter=self.installation.interpreter,
                added=frozenset(f"plugin/{name}" for name in files),
                manifest=manifest,
            ),
            frozenset(manifest.permissions.env),
            self._needed_by,
        )

    def close(self) -> None:
        """Delete the copy."""
        self._folder.delete()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def is_local_name(name: str) -> bool:
    """Tell whether a word names a folder or zip, not an installed plugin.

    `name` and `publisher/name` are always installed plugins: a folder of that name, which a scanned
    project may hold, is never run for it. Write `./publisher/name` for the folder.
    """
    return not _ID.match(name) and ("/" in name or "\\" in name or name.startswith(".")
                                    or name.lower().endswith(".zip"))  # fmt: skip


def open_local(
    path: Path, *, wheels: Path | None = None, needed_by: _NeededBy | None = None
) -> LocalPlugin:
    """Copy a plugin's folder or zip into a private folder and check all of it.

    `wheels` is the folder with the wheels of its lock, `.wheels` in or beside it unless told;
    `needed_by` verifies the installed plugins whose code it uses. Raises UsageError when there is
    nothing, PackageError, ManifestError, TamperedError, NoInterpreterError, InputError.
    """
    from marketplace_db.package import inspect_package, unpack_package

    if not path.exists():
        raise UsageError(
            f"{path}: there is no such folder or zip",
            hint="Name a plugin's folder or its packed zip; `tavo registry list` names what is"
            " installed.",
        )
    private = WorkFolder()
    folder = private.path
    try:
        packed = folder / (path.absolute().name or "plugin")  # messages name it
        _pack(path, packed)
        package = inspect_package(packed)
        packed.rename(folder / "package")
        package = replace(package, path=folder / "package")
        snapshot = folder / "copy"
        snapshot.mkdir()
        unpack_package(package, snapshot / "plugin")
        manifest = package.manifest
        python = interpreters.choose(manifest.full_id, [("", manifest.python)])
        chosen = _unpack_wheels(
            package, wheels or (path if path.is_dir() else path.parent) / WHEELS_FOLDER, snapshot,
            python,
        )  # fmt: skip
        installation = installation_of_snapshot(
            package,
            snapshot,
            wheels=chosen,
            source=str(path.absolute()),
            interpreter=python.tag,
        )
    except BaseException as error:
        private.delete()
        if isinstance(error, OSError):
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
        raise
    return LocalPlugin(
        source=path, package=package, installation=installation, _folder=private,
        _needed_by=needed_by,
    )  # fmt: skip


def _pack(path: Path, out: Path) -> None:
    from marketplace_db.errors import PackageError
    from marketplace_db.package import PACKAGE_LIMITS, build_package, read_bounded

    if path.is_dir():
        build_package(path, out)
        return
    if not path.is_file():
        raise PackageError(f"{path}: is neither a folder nor a file")
    out.write_bytes(read_bounded(path, PACKAGE_LIMITS.archive_bytes))


def _unpack_wheels(
    package: InspectedPackage, wheels: Path, snapshot: Path, python: Interpreter
) -> tuple[str, ...]:
    """Unpack what the lock names and the interpreter takes, each compared with its digest."""
    if not package.locked:
        return ()
    from packaging.utils import parse_wheel_filename

    from marketplace_db.wheel import unpack_wheel

    names = []
    ours = frozenset(interpreters.tags_of(python))
    for locked in package.locked:
        path = wheels / locked.filename
        if not parse_wheel_filename(locked.filename)[3] & ours:
            continue  # another system's wheel
        if not path.is_file():
            raise InputError(
                f"{package.manifest.full_id}: needs {locked.filename}, which is not in {wheels}",
                hint=f"Put the wheels of requirements.lock into {wheels}; their digests are"
                " compared.",
            )
        private = snapshot.parent / "wheel"
        shutil.copyfile(path, private)
        unpack_wheel(private, locked.digest, snapshot / "deps", filename=locked.filename)
        private.unlink()
        names.append(locked.filename)
    return tuple(names)
