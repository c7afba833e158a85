"""The entitlements of this machine: put in place, listed, removed, and asked for a paid plugin.

Rules this module keeps:
- a file is worth what its signature is: each is verified again whenever it is used, with the keys
  of the document of publishers that this machine trusts now;
- what cannot be read or verified covers nothing, and is named;
- nothing is sent anywhere, and nothing is asked over a network.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from marketplace_db.entitlements import Basis, covering, holder_problem
from marketplace_db.errors import NotAcceptedError
from marketplace_db.manifest import Manifest
from signing.entitlements import EntitlementClaim, unverified_entitlement, verify_entitlement
from signing.errors import AttestationError
from signing.files import write_atomically
from tavo.errors import InputError, RefusedError, UsageError
from tavo.private import make_private

__all__ = ["Entitlements", "Held"]

_SUFFIX = ".entitlement"
_LARGEST = 64 * 1024
_MOST = 1000


class Held(NamedTuple):
    """An entitlement on this machine; `problem` says why it is worth nothing now, if it is.

    `claim` is what it says, None where that cannot be read; it is believed only if `verified`.
    """

    name: str
    claim: EntitlementClaim | None
    problem: str
    verified: bool = False


class Entitlements:
    """The entitlements in a folder of this user, judged by a basis."""

    def __init__(self, folder: Path, basis: Basis) -> None:
        self.folder = folder
        self.basis = basis

    def concerns(self, file: Path) -> bool:
        """Tell whether a file says that it is an entitlement of this marketplace."""
        return unverified_entitlement(_read(file)).repository == self.basis.repository

    def is_of(self, one: Held) -> bool:
        """Tell whether an entitlement says that it is of this marketplace."""
        return one.claim is not None and one.claim.repository == self.basis.repository

    def add(self, file: Path) -> EntitlementClaim:
        """Put an entitlement in place.

        Raises InputError, and RefusedError for one that is worth nothing here.
        """
        envelope = _read(file)
        try:
            claim = verify_entitlement(envelope, self.basis.publishers)
        except AttestationError as error:
            raise RefusedError(f"{file}: {error}", hint=error.hint) from error
        if problem := holder_problem(claim, self.basis):
            raise RefusedError(f"{file}: {problem}", hint=self._hint(claim))
        try:
            make_private(self.folder)
            if len(list(self.folder.iterdir())) >= _MOST:
                raise InputError(
                    f"{self.folder}: holds {_MOST} entitlements already",
                    hint="Remove old ones: `tavo registry entitlements --remove ID`.",
                )
            write_atomically(self.folder / f"{claim.identifier}{_SUFFIX}", envelope, mode=0o600)
        except OSError as error:
            raise InputError(
                f"{self.folder}: cannot be written: {error.strerror or error}"
            ) from error
        return claim

    def remove(self, beginning: str) -> str:
        """Remove the one whose id begins so; return the id. Raises UsageError."""
        found = [path for path in self._files() if path.stem.startswith(beginning)]
        if not beginning or len(found) != 1:
            raise UsageError(
                f"{beginning!r}: {'more than one' if found else 'no'} entitlement has such an id",
                hint="`tavo registry entitlements` lists them.",
            )
        try:
            found[0].unlink()
        except OSError as error:
            raise InputError(f"{found[0]}: cannot be removed: {error.strerror or error}") from error
        return found[0].stem

    def list(self) -> list[Held]:
        """Return all of them by id, each with what keeps it from being worth anything."""
        held: list[Held] = []
        for path in self._files():
            claim: EntitlementClaim | None = None
            try:
                envelope = _read(path)
                claim = unverified_entitlement(envelope)
                claim = verify_entitlement(envelope, self.basis.publishers)
                held.append(Held(path.stem, claim, holder_problem(claim, self.basis), True))
            except (AttestationError, InputError) as error:
                held.append(Held(path.stem, claim, str(error)))
        return held

    def check(self, manifest: Manifest) -> EntitlementClaim | None:
        """Return what lets a release be used, None for a free one. Raises NotAcceptedError."""
        if manifest.pricing_tier == "free":
            return None
        verified: list[EntitlementClaim] = []
        bad: list[str] = []
        for one in self.list():
            if one.verified and one.claim is not None:
                verified.append(one.claim)
            elif one.claim is None or one.claim.namespace == manifest.publisher:
                bad.append(f"{one.name[:8]} counts for nothing: {one.problem}")
        try:
            return covering(verified, manifest, self.basis)
        except NotAcceptedError as error:
            if bad:
                raise NotAcceptedError(f"{error}; {'; '.join(bad[:3])}", hint=error.hint) from None
            raise

    def problem(self, manifest: Manifest) -> str:
        """Say why a release may not be used, nothing if it may."""
        try:
            self.check(manifest)
        except NotAcceptedError as error:
            return str(error).removeprefix(f"{manifest.full_id} {manifest.version}: ")
        return ""

    # -- inside

    def _files(self) -> Iterator[Path]:
        if self.folder.is_dir():
            yield from sorted(self.folder.glob(f"*{_SUFFIX}"))[:_MOST]

    def _hint(self, claim: EntitlementClaim) -> str:
        if not self.basis.organisation:
            return (
                "If that is yours, say so in the user configuration: [registry]"
                f' organisation = "{claim.organisation}".'
            )
        return "Ask whoever sold it for one that is right for this machine."


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > _LARGEST:
        raise InputError(f"{path}: is longer than {_LARGEST} bytes, so it is no entitlement")
    return data
