"""Which release of a plugin is the newest that can still be installed.

The catalog names one. It can be behind the offline role: a key or a package may have been revoked,
or a reviewer dismissed, since it was signed; then the next older release that stands is offered.

Rules this module keeps:
- only what a statement says, verified or refused by its digest, passes a release over: a mirror
  that lacks a file cannot make anybody go back to an older release;
- what it offers is a proposal: an installation verifies all of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from marketplace_db.acceptance import claim_of_row, recall_of
from marketplace_db.catalog import Catalog, PluginRow, ReleaseRow
from marketplace_db.errors import NotAcceptedError
from marketplace_db.reviews import count_reviews
from signing.attest import verify_publisher
from signing.errors import VerificationError
from tavo.registry.reviews import StatementMissingError, fetch_statement
from tavo.registry.trust import OpenCatalog

__all__ = ["listed", "newest_offered", "recall_problem", "statement_problem"]

_MOST_TRIED = 50


def statement_problem(opened: OpenCatalog, release: ReleaseRow) -> str:
    """Say why the statements about a release do not hold any more, nothing where they do.

    A statement that cannot be had here, or whose bytes are others, is no reason: then the
    installation tells so.
    """
    with tempfile.TemporaryDirectory(prefix="tavo-statements-") as name:
        try:
            envelope, *reviews = (
                fetch_statement(opened, digest, Path(name), release)
                for digest in (release.publisher_envelope, *release.reviewer_envelopes)
            )
        except (StatementMissingError, VerificationError):
            return ""
    try:
        namespace = opened.publishers.namespace(release.full_id)
        verify_publisher(
            envelope,
            namespace.keys,
            claim_of_row(release),
            threshold=namespace.threshold,
            revoked=opened.publishers.revoked_keys,
        )
        count_reviews(release, opened.publishers, reviews)
    except (NotAcceptedError, VerificationError) as error:
        return str(error).removeprefix(f"{release.full_id} {release.version}: ")
    return ""


def recall_problem(opened: OpenCatalog, release: ReleaseRow) -> str:
    """Say why a release was taken back, nothing where it was not; no statement is read."""
    return recall_of(release, opened.publishers, known_yanks=opened.withdrawn)


def newest_offered(
    opened: OpenCatalog, catalog: Catalog, row: PluginRow
) -> tuple[ReleaseRow | None, dict[str, str]]:
    """Return the newest release that stands, and why newer ones do not, by version.

    Pre-releases are offered where there is nothing else, as the catalog does.
    """
    passed_over: dict[str, str] = {}
    for release in _newest_first(catalog, row)[:_MOST_TRIED]:
        problem = recall_problem(opened, release) or statement_problem(opened, release)
        if not problem:
            return release, passed_over
        passed_over[release.version] = problem
    return None, passed_over


def listed(opened: OpenCatalog, catalog: Catalog, rows: Sequence[PluginRow]) -> list[PluginRow]:
    """Return the rows of a list, each with the newest release that was not taken back as its
    latest. For lists: keys are not looked at, which would take a file of each plugin.
    """
    gone = {*opened.publishers.revoked_packages, *opened.withdrawn}
    affected = catalog.plugins_of(gone) if gone else frozenset()
    found = []
    for row in rows:
        if row.full_id in affected:
            good = (one for one in _newest_first(catalog, row) if not recall_problem(opened, one))
            newest = next(good, None)
            row = row._replace(latest=None if newest is None else newest.version)
        found.append(row)
    return found


def _newest_first(catalog: Catalog, row: PluginRow) -> list[ReleaseRow]:
    """Return the releases of a plugin, the newest first, and pre-releases after all final ones."""
    from packaging.version import Version

    releases = catalog.versions(row.full_id)
    return sorted(releases, key=lambda release: Version(release.version).is_prerelease)
