"""A marketplace as its operator has it: a folder with what was handed in and what is released.

    DIR/market.db, DIR/blobs/    submissions, checks, statements (`marketplace_db.intake`)
    DIR/catalog.db               the catalog of the last release
    DIR/publishers.applied       the document of publishers that the last release went by
    DIR/market.toml              what the operator asks of packages (`tavo.operator.policy`)
    DIR/repository/              what clients and mirrors read (`signing.repository`)

Rules this module keeps:
- the one document of publishers is the signed one in the repository; there is no draft of it that
  could differ;
- a change of an offline role is a ceremony, also where one machine holds all keys;
- a release can be repeated: what a killed one left is completed by the next;
- each released catalog is an entry of the log of releases, published in the same step; a
  marketplace of an earlier tavo begins its log with its next release.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

from marketplace_db.accounts import Account
from marketplace_db.delta import delta_name, make
from marketplace_db.errors import NotAcceptedError, WorkingDatabaseError
from marketplace_db.intake import Market, Submission
from marketplace_db.lookalikes import look_alike
from marketplace_db.package import inspect_package
from marketplace_db.release import release_catalog
from marketplace_db.submission import read_submission
from signing.attest import Decision, ReviewerClaim, sign_reviewer
from signing.ceremony import Ceremony, Change
from signing.chain import DELTAS, SHARE
from signing.digests import Digest
from signing.entitlements import read_revoked, write_revoked
from signing.errors import RepositoryError
from signing.files import write_atomically
from signing.keyring import Keyring
from signing.keys import PrivateKey
from signing.publishers import Publishers
from signing.repository import Repository
from signing.roles import (
    ADVISORIES_NAME,
    CATALOG_NAME,
    ENTITLEMENTS_NAME,
    PUBLISHERS_NAME,
    artifact_path,
)
from tavo.errors import UsageError
from tavo.operator.fallen import Fallen, fallen
from tavo.operator.policy import Policy, read_policy

__all__ = ["APPLIED", "OperatedMarket", "Released"]

APPLIED = "publishers.applied"
_KEPT_DELTAS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What a release brought: the catalog's digest and size in bytes, how many releases are in it,
    and how many blobs are new.

    `changed` is false where the market had nothing new, and dates alone were renewed. `delta` is
    the size of the page delta from the catalog before, 0 where there is none. `fallen` were
    withdrawn with it, as clients refuse them since the document of publishers changed.
    """

    catalog: Digest
    length: int
    releases: int
    blobs: int
    changed: bool
    delta: int
    fallen: tuple[Fallen, ...] = ()


class OperatedMarket:
    """An operator's marketplace. Use it as a context manager, or call `close`."""

    def __init__(self, directory: Path, repository: Repository) -> None:
        """Use `open` or `found`."""
        self.directory = directory
        self.repository = repository
        self.intake = Market.open(directory)

    @classmethod
    def open(cls, directory: Path, keyring: Keyring) -> OperatedMarket:
        """Open the marketplace in a folder with the keys that are at hand, perhaps none.

        Raises RepositoryError, WorkingDatabaseError, OSError.
        """
        tree = directory / "repository"
        if not (tree / "metadata").is_dir():
            raise RepositoryError(
                f"{directory}: there is no marketplace here",
                hint=f"Make one: `tavo market init {directory} --keys KEYS`.",
            )
        return cls(directory, Repository.open(tree, keyring))

    @classmethod
    def found(
        cls, directory: Path, first: Ceremony, keyring: Keyring, now: datetime
    ) -> OperatedMarket:
        """Make a marketplace out of the first ceremony, with an empty catalog.

        Raises RepositoryError, WorkingDatabaseError, OSError.
        """
        repository = Repository.found(directory / "repository", first, keyring, now)
        opened = cls(directory, repository)
        opened.release(now)
        return opened

    @property
    def development(self) -> bool:
        """Tell whether its root was made for trials."""
        return self.repository.development

    def close(self) -> None:
        """Close the database."""
        self.intake.close()

    def __enter__(self) -> OperatedMarket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- the offline roles

    def publishers(self) -> Publishers:
        """Return the document of publishers, reviewers and recalls that is in force."""
        path = self.repository.artifact(PUBLISHERS_NAME)
        return Publishers(namespaces={}) if path is None else Publishers.parse(path.read_bytes())

    def prepare(self, change: Change, now: datetime) -> Ceremony:
        """Prepare a change of the offline roles. Raises RepositoryError if it changes nothing."""
        if change.publishers is not None and change.publishers == self.publishers():
            raise RepositoryError("publishers.json: this changes nothing in it")
        return self.repository.prepare(change, now)

    def adopt(self, ceremony: Ceremony, now: datetime) -> None:
        """Take over what the holders of offline keys signed; new namespaces get a row here.

        Raises RepositoryError, WorkingDatabaseError.
        """
        self.repository.adopt(ceremony, now)
        self.register(now)

    def register(self, now: datetime) -> None:
        """Give each namespace of the signed document its row among the publishers."""
        shown = self.intake.publishers()
        for name, namespace in self.publishers().namespaces.items():
            if name not in shown:
                self.intake.register_publisher(
                    name, display_name=name, official=namespace.official, now=now
                )

    # -- submissions

    def submit(
        self,
        file: Path,
        now: datetime,
        *,
        although_alike: str = "",
        account: Account | None = None,
        plugin: str | None = None,
    ) -> str:
        """Take in a submission's file; return its id.

        `although_alike` says why a name that looks like another one is taken. With an `account` it
        must be of a namespace of that account's organisation, with a `plugin` of that plugin.
        Raises MarketplaceError and SigningError for everything that a client would refuse, OSError.
        """
        with tempfile.TemporaryDirectory(prefix="tavo-submission-") as folder:
            package, statement, wheels = read_submission(file, Path(folder))
            manifest = inspect_package(package).manifest
            if account is not None and manifest.publisher not in account.namespaces:
                raise NotAcceptedError(
                    f"{manifest.full_id}: your organisation does not publish in the namespace"
                    f" {manifest.publisher}",
                    hint="The operator opens it to you: `tavo market org give`.",
                )
            if plugin is not None and manifest.full_id != plugin:
                raise WorkingDatabaseError(
                    f"the package is of {manifest.full_id}, expected {plugin}",
                    hint="Hand it in under its own name.",
                )
            if not although_alike.strip():
                self._check_name(manifest.publisher, manifest.id)
            return self.intake.submit(
                package,
                statement,
                wheels=wheels,
                publishers=self.publishers(),
                organization="" if account is None else account.organization,
                now=now,
            )

    def _check_name(self, publisher: str, name: str) -> None:
        """Raise WorkingDatabaseError for a plugin that can be taken for one of another publisher.

        The same name in another namespace is told apart by the namespace, except from an official
        one, whose plugins go by their bare name.
        """
        official = {ns for ns, one in self.publishers().namespaces.items() if one.official}
        for other in self.intake.plugin_ids():
            owner, _, known = other.partition("/")
            if owner == publisher:
                continue
            same = name == known and owner in official
            if same or look_alike(name, [known]):
                raise WorkingDatabaseError(
                    f"{publisher}/{name}: the name can be taken for {other}",
                    hint="Choose another id; the operator can allow it with a reason.",
                )

    # -- reviewing

    def policy(self) -> Policy:
        """Return what the operator asks of packages. Raises ConfigError."""
        return read_policy(self.directory)

    def blocking(self, submission: Submission) -> dict[str, str]:
        """Return the checks that block the submission's approval, and why each does."""
        return self.intake.blocking(submission.uuid, self.policy().required)

    def statement(
        self,
        submission: Submission,
        key: PrivateKey,
        decision: Decision,
        now: datetime,
        *,
        overrides: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return a reviewer's signed statement that names every report about the submission.

        `overrides` are the checks that the reviewer lets pass, with reasons that users read.
        """
        claim = ReviewerClaim(
            full_id=submission.full_id,
            version=submission.version,
            package=submission.package,
            reports=tuple(
                dict.fromkeys(check.report for check in self.intake.checks(submission.uuid))
            ),
            decision=decision,
            issued=now,
            overrides=overrides or {},
        )
        return sign_reviewer(claim, key)

    def review(self, submission: Submission, envelope: bytes, now: datetime) -> str:
        """Record a reviewer's statement; return its decision.

        Raises AttestationError, and NotAcceptedError where a check blocks the approval.
        """
        return self.intake.record_review(
            submission.uuid,
            envelope,
            publishers=self.publishers(),
            required=self.policy().required,
            now=now,
        )

    def approve(self, submission: Submission, now: datetime) -> None:
        """Make a release of a submission that has all it needs. Raises NotAcceptedError."""
        self.intake.approve(
            submission.uuid,
            publishers=self.publishers(),
            required=self.policy().required,
            now=now,
        )

    # -- releasing

    def release(self, now: datetime) -> Released:
        """Bring what was approved into the next catalog and sign it with the online keys.

        Raises RepositoryError where an online key is missing, MarketplaceError.
        """
        gone = self._withdraw_fallen(now)
        published = self.repository.published(CATALOG_NAME)
        previous = self.repository.artifact(CATALOG_NAME)
        out = self.directory / "catalog.db"
        made = release_catalog(self.intake, out, previous=previous, stored=True)
        for blob in made.blobs:
            self.repository.add_blob(blob)
        digest, length = made.digest, made.length
        changed = digest != published
        with tempfile.TemporaryDirectory(prefix="tavo-delta-") as folder:
            delta = None
            if changed and previous is not None and published is not None:
                delta = self._delta(previous, made.path, Path(folder), published, digest)
            begun = self.repository.log() is not None
            log = None
            if changed or not begun:
                log = self.repository.with_release(
                    digest, length, releases=self.intake.released(), now=now
                )
            kept = set(self._chain(published)[: _KEPT_DELTAS - 1]) if changed else None
            self.repository.publish(
                catalog=made.path if changed else None,
                deltas=[] if delta is None else [delta],
                log=log,
                without=[] if kept is None else set(self.repository.names(DELTAS)) - kept,
                renew=() if changed else ("catalog",),
                now=now,
            )
            delta_length = 0 if delta is None else delta.stat().st_size
        return Released(
            catalog=digest,
            length=length,
            releases=self.intake.released(),
            blobs=len(made.blobs),
            changed=changed,
            delta=delta_length,
            fallen=tuple(gone),
        )

    def fallen(self) -> list[Fallen]:
        """Return the releases that clients refuse since the last release of a catalog."""
        applied = self._applied()
        return [] if applied == self._document() else fallen(
            self.intake, self._document_of(applied), self.publishers()
        )  # fmt: skip

    def _withdraw_fallen(self, now: datetime) -> list[Fallen]:
        """Withdraw what fell; killed in between, the next release does it."""
        document = self._document()
        found = self.fallen()
        for one in found:
            self.intake.yank(one.full_id, one.version, reason=one.reason, now=now)
        if document is not None and document != self._applied():
            write_atomically(self.directory / APPLIED, f"{document.hex}\n".encode())
        return found

    def _document(self) -> Digest | None:
        """Return the digest of the document of publishers that is in force."""
        return self.repository.published(PUBLISHERS_NAME)

    def _applied(self) -> Digest | None:
        """Return the digest of the document that the last release went by, None if unknown."""
        try:
            return Digest((self.directory / APPLIED).read_text().strip())
        except (OSError, ValueError):
            return None

    def _document_of(self, digest: Digest | None) -> Publishers | None:
        if digest is None:
            return None
        path = self.repository.directory / artifact_path(PUBLISHERS_NAME, digest)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        return Publishers.parse(data) if Digest.of(data) == digest else None

    def publish_advisories(self, snapshot: Path, now: datetime) -> None:
        """Sign a snapshot of advisories as an artifact. Raises RepositoryError."""
        self.repository.publish(advisories=snapshot, now=now)

    def advisories(self) -> Path | None:
        """Return the snapshot of advisories that this market has signed, None without one."""
        return self.repository.artifact(ADVISORIES_NAME)

    def revoked_entitlements(self) -> dict[str, str]:
        """Return which entitlements were taken back, with reasons. Raises VerificationError."""
        path = self.repository.artifact(ENTITLEMENTS_NAME)
        return {} if path is None else read_revoked(path.read_bytes())

    def revoke_entitlement(self, identifier: str, reason: str, now: datetime) -> None:
        """Take an entitlement back, with the online keys.

        Raises RepositoryError, and UsageError for what is no id or no reason.
        """
        known = self.revoked_entitlements()
        if identifier in known:
            raise RepositoryError(
                f"the entitlement {identifier} was taken back before: {known[identifier]}"
            )
        try:
            revoked = write_revoked({**known, identifier: reason})
        except ValueError as error:
            raise UsageError(
                f"market revoke-entitlement: {error}", hint="`tavo market entitle` printed the id."
            ) from None
        self.repository.publish(entitlements=revoked, now=now)

    @staticmethod
    def _delta(old: Path, new: Path, folder: Path, before: Digest, after: Digest) -> Path | None:
        """Write the delta from the last catalog to the new one, if it is worth its bytes."""
        content = make(old, new, (before, after))
        if content is None or len(content) > new.stat().st_size * SHARE:
            return None
        path = folder / delta_name(before, after)
        path.write_bytes(content)
        return path

    def _chain(self, newest: Digest | None) -> list[str]:
        """Return the names of the deltas that lead to a catalog, the newest first."""
        into = {name[-20:-4]: name for name in self.repository.names(DELTAS)}
        chain: list[str] = []
        at = "" if newest is None else newest.hex[:16]
        while at in into and into[at] not in chain:
            chain.append(into[at])
            at = into[at].removeprefix(DELTAS)[:16]
        return chain
