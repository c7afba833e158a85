"""What approving a submission makes: its statements are verified, its release gets a row."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from marketplace_db.acceptance import publisher_claim
from marketplace_db.catalog import ReleaseRow, WheelRow
from marketplace_db.manifest import manifest_to_json
from marketplace_db.market_view import MarketView
from marketplace_db.package import InspectedPackage, inspect_package
from marketplace_db.permissions import permission_digest
from marketplace_db.schema import outer_id
from signing.attest import ReviewerClaim, VerifiedStatement, verify_publisher, verify_reviewer
from signing.digests import Digest
from signing.envelopes import open_envelope
from signing.errors import AttestationError
from signing.publishers import Publishers
from signing.roles import format_time

__all__ = ["insert_release", "prospect", "verified_publisher", "verified_review"]

_NO_REVIEWER = (
    "The key is not one of the reviewers': `tavo market publisher list` shows those,"
    " `tavo market reviewer add` appoints one."
)


def verified_publisher(
    inspected: InspectedPackage, envelope: bytes, publishers: Publishers
) -> VerifiedStatement:
    """Return the publisher's statement about a package. Raises AttestationError."""
    manifest = inspected.manifest
    namespace = publishers.namespace(manifest.full_id)
    return verify_publisher(
        envelope,
        namespace.keys,
        publisher_claim(inspected),
        threshold=namespace.threshold,
        revoked=publishers.revoked_keys,
    )


def verified_review(
    row: sqlite3.Row, envelope: bytes, publishers: Publishers
) -> tuple[str, VerifiedStatement]:
    """Return a review and whether it approves or rejects. Raises AttestationError."""
    claim = ReviewerClaim(
        full_id=row["full_id"], version=row["version"], package=Digest(row["package"])
    )
    keys = publishers.reviewers
    try:
        return "approve", verify_reviewer(envelope, keys, claim, revoked=publishers.revoked_keys)
    except AttestationError as first:
        rejection = ReviewerClaim(
            full_id=claim.full_id,
            version=claim.version,
            package=claim.package,
            decision="reject",
        )
        try:
            return "reject", verify_reviewer(
                envelope, keys, rejection, revoked=publishers.revoked_keys
            )
        except AttestationError:
            signers = {key_id for key_id, _ in open_envelope(envelope)[1]}
            if not signers & set(keys):
                first.hint = _NO_REVIEWER
            raise first from None


def prospect(
    market: MarketView, row: sqlite3.Row, reviews: list[Digest], now: datetime
) -> ReleaseRow:
    """Return the release that approving this submission would make."""
    package = Digest(row["package"])
    inspected = inspect_package(market.blob(package))
    manifest = inspected.manifest
    wheels = market.connection.execute(
        "SELECT filename, digest, length FROM submission_wheels WHERE submission_id = ?"
        " ORDER BY filename",
        (row["id"],),
    )
    (newest,) = market.connection.execute(
        "SELECT coalesce(max(seq), 0) FROM plugin_versions"
    ).fetchone()
    return ReleaseRow(
        full_id=row["full_id"],
        uuid=outer_id("version", f"{row['full_id']}@{row['version']}"),
        version=row["version"],
        seq=newest + 1,
        api=manifest.api,
        package=package,
        length=row["package_length"],
        manifest_digest=inspected.manifest_digest,
        lock_digest=inspected.lock_digest,
        permission_digest=permission_digest(manifest),
        publisher_envelope=Digest(row["publisher_envelope"]),
        reviewer_envelopes=tuple(reviews),
        wheels=tuple(
            WheelRow(
                filename=wheel["filename"],
                digest=Digest(wheel["digest"]),
                length=wheel["length"],
            )
            for wheel in wheels
        ),
        yanked=False,
        yanked_reason="",
        manifest=manifest_to_json(manifest),
        published_at=format_time(now),
    )


def insert_release(connection: sqlite3.Connection, row: sqlite3.Row, release: ReleaseRow) -> None:
    """Write the row of a release, and that of its plugin if it is the first one."""
    plugin = release.full_id.partition("/")[2]
    plugin_id = _plugin(connection, row["publisher_id"], plugin, release)
    connection.execute(
        "INSERT INTO plugin_versions (uuid, plugin_id, submission_id, seq, version, api,"
        " package, package_length, manifest_digest, lock_digest, permission_digest,"
        " publisher_envelope, manifest, published_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            release.uuid, plugin_id, row["id"], release.seq, release.version, release.api,
            release.package.hex, release.length, release.manifest_digest.hex,
            release.lock_digest.hex if release.lock_digest else None,
            release.permission_digest.hex, release.publisher_envelope.hex, release.manifest,
            release.published_at,
        ),
    )  # fmt: skip


def _plugin(
    connection: sqlite3.Connection, publisher_id: int, plugin: str, release: ReleaseRow
) -> int:
    """Return the plugin's key; a plugin gets one with its first release, without gaps."""
    found = connection.execute(
        "SELECT id FROM plugins WHERE publisher_id = ? AND plugin_id = ?",
        (publisher_id, plugin),
    ).fetchone()
    if found is not None:
        return int(found["id"])
    cursor = connection.execute(
        "INSERT INTO plugins (uuid, publisher_id, plugin_id, created_at) VALUES (?, ?, ?, ?)",
        (outer_id("plugin", release.full_id), publisher_id, plugin, release.published_at),
    )
    return int(cursor.lastrowid or 0)
