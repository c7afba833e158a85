"""The reviewers' statements about a release: which of them hold, and what they let pass.

Rules this module keeps:
- a reviewer counts once, and never with a key of the plugin's own namespace;
- a check that failed is let pass by a reviewer's signed words only, which users read.

It opens no package: showing a release must be cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marketplace_db.catalog import ReleaseRow
from marketplace_db.errors import NotAcceptedError
from signing.attest import ReviewerClaim, VerifiedStatement, verify_reviewer
from signing.digests import Digest
from signing.errors import AttestationError
from signing.publishers import Publishers

__all__ = ["Override", "count_reviews", "overrides_of", "refusal"]

_MOST_ENVELOPES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A check that a reviewer let pass although it failed or was not done, in their own words."""

    key_id: str
    check: str
    reason: str


def refusal(release: ReleaseRow, problem: str, hint: str = "") -> NotAcceptedError:
    """Return what says that a release is not accepted."""
    return NotAcceptedError(f"{release.full_id} {release.version}: {problem}", hint=hint)


def overrides_of(reviews: Sequence[VerifiedStatement]) -> tuple[Override, ...]:
    """Return what the reviews let pass, the same of one reviewer once, in order."""
    found = [
        Override(key_id=review.key_id, check=check, reason=reason)
        for review in reviews
        for check, reason in sorted(review.overrides.items())
    ]
    return tuple(dict.fromkeys(found))


def count_reviews(
    release: ReleaseRow, publishers: Publishers, envelopes: Sequence[bytes]
) -> tuple[VerifiedStatement, ...]:
    """Return the approvals of a release that hold. Raises NotAcceptedError if they are too few."""
    needed = publishers.reviews_needed(release.full_id)
    own = publishers.namespace(release.full_id).keys
    allowed = {key_id: key for key_id, key in publishers.reviewers.items() if key_id not in own}
    claim = ReviewerClaim(full_id=release.full_id, version=release.version, package=release.package)
    reviews: list[VerifiedStatement] = []
    problems: list[str] = []
    for envelope in envelopes[:_MOST_ENVELOPES]:
        if Digest.of(envelope) not in release.reviewer_envelopes:
            problems.append("a statement is not named in the catalog")
            continue
        try:
            reviews.append(
                verify_reviewer(envelope, allowed, claim, revoked=publishers.revoked_keys)
            )
        except AttestationError as error:
            problems.append(str(error))
    keys = {key_id for review in reviews for key_id in review.key_ids}
    if len(keys) < needed:
        detail = f" ({problems[0]})" if problems else ""
        raise refusal(
            release,
            f"needs {needed} reviewers' approvals, has {len(keys)}{detail}",
            "Wait for its review; nothing that was not reviewed is installed.",
        )
    return tuple(reviews)
