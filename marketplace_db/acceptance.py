"""The decision whether a package may be installed. Only this module makes an AcceptedPackage.

A package is accepted only if all of this holds:
- its digest and length are the catalog row's;
- the opened package, the catalog row and the publisher's statement agree in every field;
- enough keys of the plugin's own namespace signed the publisher's statement;
- enough reviewers, none of them a key of that namespace, signed an approval of this very package;
- neither the package nor one of those keys is revoked, and the release is not yanked unless the
  offline role lifted the yank.

The catalog's key can therefore take away, and can neither publish nor approve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from marketplace_db.catalog import ReleaseRow
from marketplace_db.errors import NotAcceptedError
from marketplace_db.package import InspectedPackage, inspect_package
from marketplace_db.permissions import permission_digest
from marketplace_db.reviews import Override, count_reviews, overrides_of, refusal
from signing.attest import PublisherClaim, VerifiedStatement, verify_publisher
from signing.digests import Digest
from signing.publishers import Publishers

__all__ = [
    "AcceptedPackage", "accept", "check_not_recalled", "claim_of_row", "publisher_claim",
    "recall_of",
]  # fmt: skip

_SEAL = object()


class AcceptedPackage:
    """A package that passed every check of `accept`, at the moment when this value was made."""

    __slots__ = ("inspected", "published", "release", "reviews")

    def __init__(
        self,
        seal: object,
        *,
        release: ReleaseRow,
        inspected: InspectedPackage,
        published: VerifiedStatement,
        reviews: tuple[VerifiedStatement, ...],
    ) -> None:
        if seal is not _SEAL:
            raise TypeError("an AcceptedPackage is made only by marketplace_db.acceptance")
        self.release = release
        self.inspected = inspected
        self.published = published
        self.reviews = reviews

    @property
    def publisher_keys(self) -> tuple[str, ...]:
        """Return the keys of the namespace that signed the publisher's statement."""
        return self.published.key_ids

    @property
    def reviewer_keys(self) -> tuple[str, ...]:
        """Return the reviewers' keys whose approvals counted, each once."""
        return tuple(dict.fromkeys(key for review in self.reviews for key in review.key_ids))

    @property
    def overrides(self) -> tuple[Override, ...]:
        """Return which checks reviewers let pass although they failed, and why."""
        return overrides_of(self.reviews)

    def __repr__(self) -> str:
        release = self.release
        return f"AcceptedPackage({release.full_id!r}, {release.version!r}, {release.package})"


def accept(
    release: ReleaseRow,
    publishers: Publishers,
    package: Path,
    publisher_envelope: bytes,
    reviewer_envelopes: Sequence[bytes],
    *,
    known_yanks: Mapping[Digest, str] | None = None,
) -> AcceptedPackage:
    """Decide about one release. The package is opened and inspected again, whoever did before.

    `known_yanks` are yanks seen in earlier catalogs: dropping one needs the offline role.
    Raises NotAcceptedError, AttestationError, PackageError, ManifestError, and OSError.
    """
    check_not_recalled(release, publishers, known_yanks=known_yanks)
    inspected = inspect_package(package)
    _compare(release, inspected)
    namespace = publishers.namespace(release.full_id)
    if Digest.of(publisher_envelope) != release.publisher_envelope:
        raise refusal(release, "the publisher's statement is not the one the catalog names")
    published = verify_publisher(
        publisher_envelope,
        namespace.keys,
        publisher_claim(inspected),
        threshold=namespace.threshold,
        revoked=publishers.revoked_keys,
    )
    reviews = count_reviews(release, publishers, reviewer_envelopes)
    return AcceptedPackage(
        _SEAL,
        release=release,
        inspected=inspected,
        published=published,
        reviews=reviews,
    )


def publisher_claim(
    inspected: InspectedPackage, *, issued: datetime | None = None
) -> PublisherClaim:
    """Return what a publisher must state about this package; `issued` is needed to sign it."""
    return PublisherClaim(
        full_id=inspected.manifest.full_id,
        version=inspected.manifest.version,
        api=inspected.manifest.api,
        package=inspected.digest,
        manifest=inspected.manifest_digest,
        lock=inspected.lock_digest,
        permissions=permission_digest(inspected.manifest),
        issued=issued,
    )


def claim_of_row(release: ReleaseRow) -> PublisherClaim:
    """Return what a publisher must have stated about a release, as the catalog tells it."""
    return PublisherClaim(
        full_id=release.full_id,
        version=release.version,
        api=release.api,
        package=release.package,
        manifest=release.manifest_digest,
        lock=release.lock_digest,
        permissions=release.permission_digest,
    )


def recall_of(
    release: ReleaseRow,
    publishers: Publishers,
    *,
    known_yanks: Mapping[Digest, str] | None = None,
) -> str:
    """Say why a release was revoked, or yanked and not lifted since, as a clause without its
    subject (`was recalled: REASON`); empty for one that stands.
    """
    reason = publishers.revoked_packages.get(release.package)
    if reason is not None:
        return f"was recalled: {reason}"
    if release.package in publishers.unyanked:
        return ""
    yank = release.yanked_reason if release.yanked else (known_yanks or {}).get(release.package)
    return "" if yank is None else f"was withdrawn: {yank or 'no reason given'}"


def check_not_recalled(
    release: ReleaseRow,
    publishers: Publishers,
    *,
    known_yanks: Mapping[Digest, str] | None = None,
) -> None:
    """Raise NotAcceptedError if the release was revoked, or yanked and not lifted since."""
    reason = recall_of(release, publishers, known_yanks=known_yanks)
    if not reason:
        return
    if release.package in publishers.revoked_packages:
        hint = f"Remove it: `tavo registry uninstall {release.full_id}`."
    else:
        hint = f"Choose another version: `tavo registry show {release.full_id}`."
    raise NotAcceptedError(f"{release.full_id} {release.version}: {reason}", hint=hint)


def _compare(release: ReleaseRow, inspected: InspectedPackage) -> None:
    """Compare the catalog row with the opened package, field by field."""
    manifest = inspected.manifest
    fields: tuple[tuple[str, object, object], ...] = (
        ("package digest", release.package, inspected.digest),
        ("package length", release.length, inspected.length),
        ("id", release.full_id, manifest.full_id),
        ("version", release.version, manifest.version),
        ("api", release.api, manifest.api),
        ("digest of plugin.yaml", release.manifest_digest, inspected.manifest_digest),
        ("digest of requirements.lock", release.lock_digest, inspected.lock_digest),
        ("permission digest", release.permission_digest, permission_digest(manifest)),
        ("copy of plugin.yaml", release.parsed_manifest(), manifest),
        (
            "list of wheels",
            sorted((wheel.filename, wheel.digest) for wheel in release.wheels),
            sorted((wheel.filename, wheel.digest) for wheel in inspected.locked),
        ),
    )
    for field, expected, found in fields:
        if expected != found:
            detail = "" if field.startswith(("copy", "list")) else f" ({expected} and {found})"
            raise refusal(
                release,
                f"the catalog and the package differ in the {field}{detail}",
                "Do not use this package; fetch it again or from another mirror.",
            )
