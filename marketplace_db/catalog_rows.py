"""What a catalog answers: plugins, releases, approvals and reviews as values.

Rules this module keeps:
- they are named tuples: each command that opens a catalog waits for these classes, and a dataclass
  takes six times as long to make;
- a value that the file holds in another form than it should is an error, never a guess.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from marketplace_db.errors import CatalogError
from signing.digests import Digest

if TYPE_CHECKING:
    from marketplace_db.manifest import Manifest

__all__ = [
    "STALE", "ApprovalRow", "PluginRow", "ReleaseRow", "ReviewRow", "WheelRow", "digest_of",
    "full_id_of", "plugin_of", "release_of", "unreadable",
]  # fmt: skip

STALE = "Run `tavo registry update`, or sync the mirror again."
"""What to do about a catalog that is damaged or of another time."""


class PluginRow(NamedTuple):
    """One plugin. `latest` is its newest version that is not yanked, None if all are."""

    full_id: str
    uuid: str
    publisher: str
    publisher_name: str
    official: bool
    id: str
    name: str
    description: str
    plugin_type: str
    author: str
    license: str
    pricing_tier: str
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    latest: str | None
    updated_at: str


class WheelRow(NamedTuple):
    """One wheel that a release depends on; `length` in bytes."""

    filename: str
    digest: Digest
    length: int


class ReleaseRow(NamedTuple):
    """One version of a plugin, as the catalog tells it. Digests name blobs of the repository."""

    full_id: str
    uuid: str
    version: str
    seq: int
    api: int
    package: Digest
    length: int
    manifest_digest: Digest
    lock_digest: Digest | None
    permission_digest: Digest
    publisher_envelope: Digest
    reviewer_envelopes: tuple[Digest, ...]
    wheels: tuple[WheelRow, ...]
    yanked: bool
    yanked_reason: str
    manifest: str
    published_at: str

    def parsed_manifest(self) -> Manifest:
        """Return the catalog's copy of the manifest. Raises ManifestError."""
        from marketplace_db.manifest import manifest_from_json

        return manifest_from_json(self.manifest)


class ApprovalRow(NamedTuple):
    """A reviewer's approval of a release, as the catalog tells it; the envelope proves it."""

    key_id: str
    envelope: Digest
    issued: str


class ReviewRow(NamedTuple):
    """One user's published review of a version; `rating` from 1 to 5."""

    version: str
    author: str
    rating: int
    title: str
    body: str
    created_at: str


def full_id_of(name: str) -> str:
    """Return the full id for a full or bare plugin name."""
    return name if "/" in name else f"tavo/{name}"


def plugin_of(row: sqlite3.Row) -> PluginRow:
    """Return a row of the catalog's query for plugins."""
    values = dict(row)
    values["official"] = bool(values["official"])
    values["categories"] = tuple(json.loads(values["categories"]))
    values["tags"] = tuple(json.loads(values["tags"]))
    return PluginRow(**values)


def release_of(
    full_id: str, row: sqlite3.Row, wheels: Sequence[sqlite3.Row], approvals: Sequence[sqlite3.Row]
) -> ReleaseRow:
    """Return a row of `plugin_versions` with those of its wheels and approvals."""
    return ReleaseRow(
        full_id=full_id,
        uuid=row["uuid"],
        version=row["version"],
        seq=row["seq"],
        api=row["api"],
        package=digest_of(row["package"]),
        length=row["package_length"],
        manifest_digest=digest_of(row["manifest_digest"]),
        lock_digest=None if row["lock_digest"] is None else digest_of(row["lock_digest"]),
        permission_digest=digest_of(row["permission_digest"]),
        publisher_envelope=digest_of(row["publisher_envelope"]),
        reviewer_envelopes=tuple(
            digest_of(approval["envelope"])
            for approval in sorted(approvals, key=lambda one: int(one["id"]))
        ),
        wheels=tuple(
            WheelRow(
                filename=wheel["filename"],
                digest=digest_of(wheel["digest"]),
                length=wheel["length"],
            )
            for wheel in sorted(wheels, key=lambda one: str(one["filename"]))
        ),
        yanked=row["yanked_at"] is not None,
        yanked_reason=row["yanked_reason"] or "",
        manifest=row["manifest"],
        published_at=row["published_at"],
    )


def digest_of(value: bytes) -> Digest:
    """Return a digest that is stored as bytes. Raises CatalogError for a damaged one."""
    try:
        return Digest(value.hex())
    except ValueError as error:
        raise CatalogError(f"the catalog holds a damaged digest: {error}", hint=STALE) from error


def unreadable(path: Path, error: Exception) -> CatalogError:
    """Return the error for a file that SQLite cannot read."""
    return CatalogError(f"{path.name}: cannot be read as a catalog: {error}", hint=STALE)
