"""What the reviewers of a release let pass although a check failed: for users to read.

It is read from the reviewers' verified statements; what the catalog says of them counts for
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from marketplace_db.catalog import ReleaseRow
from marketplace_db.errors import NotAcceptedError
from marketplace_db.reviews import Override, count_reviews, overrides_of
from signing.attest import unverified_overrides
from signing.client import fetch_blob
from signing.digests import Digest
from signing.errors import SourceError
from tavo.registry.trust import OpenCatalog

__all__ = [
    "StatementMissingError",
    "fetch_from",
    "fetch_overrides",
    "fetch_statement",
    "override_sentences",
]

_LONGEST_STATEMENT = 1 << 20


class StatementMissingError(NotAcceptedError):
    """A statement that the catalog names cannot be had from any source."""


def override_sentences(overrides: Sequence[Override]) -> list[str]:
    """Say who let what pass and why."""
    return [
        f"the reviewer with key {one.key_id[:12]} let it pass although the check {one.check} did"
        f" not: {one.reason}"
        for one in overrides
    ]


def fetch_overrides(opened: OpenCatalog, release: ReleaseRow, folder: Path) -> tuple[Override, ...]:
    """Fetch the reviewers' statements of a release into `folder`; return what they let pass.

    Signatures are looked at only where a statement claims to let something pass: without, there is
    nothing to show, and an installation verifies all of them. Raises NotAcceptedError where a
    statement is missing or too few hold, AttestationError for what is none.
    """
    reviews = [fetch_statement(opened, d, folder, release) for d in release.reviewer_envelopes]
    if not any(unverified_overrides(envelope) for envelope in reviews):
        return ()
    return overrides_of(count_reviews(release, opened.publishers, reviews))


def fetch_statement(
    opened: OpenCatalog, digest: Digest, folder: Path, release: ReleaseRow
) -> bytes:
    """Fetch a statement that the catalog names, or raise StatementMissingError."""
    path = folder / f"{digest.hex}.dsse"
    try:
        fetch_from(opened, digest, None, path, f"a statement about {release.full_id}")
    except SourceError as error:
        raise StatementMissingError(
            f"{release.full_id} {release.version}: a statement that the catalog names is missing:"
            f" {error}",
            hint="The mirror is incomplete: sync it again, or use another one.",
        ) from error
    return path.read_bytes()


def fetch_from(
    opened: OpenCatalog, digest: Digest, length: int | None, path: Path, what: str
) -> None:
    """Fetch a blob from the first source that has it. Raises SourceError."""
    problem: SourceError | None = None
    for source in opened.sources:
        try:
            fetch_blob(source, digest, length, path, limit=_LONGEST_STATEMENT)
            return
        except SourceError as error:
            problem = problem or error
    raise SourceError(
        f"{what} cannot be had: {problem or 'no source holds packages'}",
        hint="Name a mirror that holds it with --mirror.",
    )
