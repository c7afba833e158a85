"""What automatic checks said about a release, as its reviewers have read it.

Rules this module keeps:
- a report is shown because a reviewer's verified statement names its digest, and only the bytes of
  that digest are; who else signed it is not asked;
- a report that cannot be had, or is of another form, is named with its digest, never left out;
- what a report says is foreign text: it is bounded here, and escaped where it is shown.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from marketplace_db.catalog import ReleaseRow
from marketplace_db.errors import NotAcceptedError
from marketplace_db.reviews import Override
from signing.attest import ReviewerClaim, VerifiedStatement, unverified_vetting, verify_reviewer
from signing.digests import Digest
from signing.errors import AttestationError, SourceError
from tavo.registry.reviews import fetch_from, fetch_statement
from tavo.registry.trust import OpenCatalog

__all__ = ["Evidence", "ReadReport", "Review", "read_evidence"]

_OUTCOMES = frozenset({"passed", "failed", "not done"})
_MOST_SENTENCES = 50
_LONGEST = 400
_ORIGINS = "tavo-wheel-origins/1"


class ReadReport(NamedTuple):
    """One report. `outcome` is passed, failed, not done, `recorded` where the form has none, and
    `missing` where it is not here; then `sentences` says why. `tavo` is the version that made it.
    """

    digest: Digest
    check: str
    outcome: str
    sentences: tuple[str, ...] = ()
    tavo: str = ""
    whole: Mapping[str, Any] | None = None


class Review(NamedTuple):
    """One reviewer's statement: the key, when, which reports were read, and what is let pass.

    `problem` says why it does not count, with nothing else known then.
    """

    envelope: Digest
    key_id: str
    issued: str
    reports: tuple[Digest, ...]
    overrides: tuple[Override, ...]
    problem: str = ""


class Evidence(NamedTuple):
    """What is known about a release besides its package."""

    reviews: tuple[Review, ...]
    reports: tuple[ReadReport, ...]


def read_evidence(opened: OpenCatalog, release: ReleaseRow) -> Evidence:
    """Fetch and verify the reviewers' statements of a release, and the reports that they name.

    What does not hold or cannot be had is told in the evidence. Raises VerificationError for bytes
    of another digest: the source is damaged or hostile.
    """
    with tempfile.TemporaryDirectory(prefix="tavo-reports-") as name:
        folder = Path(name)
        reviews = tuple(
            _review(opened, release, digest, folder) for digest in release.reviewer_envelopes
        )
        named = dict.fromkeys(digest for review in reviews for digest in review.reports)
        reports = tuple(_report(opened, release, digest, folder) for digest in named)
    return Evidence(reviews=reviews, reports=reports)


# -- inside


def _review(opened: OpenCatalog, release: ReleaseRow, digest: Digest, folder: Path) -> Review:
    own = opened.publishers.namespaces.get(release.full_id.partition("/")[0])
    allowed = {
        key_id: key
        for key_id, key in opened.publishers.reviewers.items()
        if own is None or key_id not in own.keys
    }
    claim = ReviewerClaim(full_id=release.full_id, version=release.version, package=release.package)
    try:
        verified = verify_reviewer(
            fetch_statement(opened, digest, folder, release),
            allowed,
            claim,
            revoked=opened.publishers.revoked_keys,
        )
    except (NotAcceptedError, AttestationError) as error:
        return Review(digest, "", "", (), (), str(error))
    return Review(
        envelope=digest,
        key_id=verified.key_id,
        issued=f"{verified.issued:%Y-%m-%dT%H:%M:%SZ}",
        reports=verified.reports,
        overrides=_overrides(verified),
    )


def _overrides(verified: VerifiedStatement) -> tuple[Override, ...]:
    return tuple(
        Override(key_id=verified.key_id, check=check, reason=reason)
        for check, reason in sorted(verified.overrides.items())
    )


def _report(opened: OpenCatalog, release: ReleaseRow, digest: Digest, folder: Path) -> ReadReport:
    path = folder / f"{digest.hex}.report"
    try:
        fetch_from(opened, digest, None, path, f"a report about {release.full_id}")
    except SourceError as error:
        return ReadReport(digest, "", "missing", (str(error),))
    data = path.read_bytes()
    try:
        claim = unverified_vetting(data, release.full_id, release.version, release.package)
    except AttestationError:
        return _plain(digest, data)
    told = claim.report
    outcome = told.get("outcome")
    return ReadReport(
        digest=digest,
        check=_text(told.get("check")),
        outcome=outcome if outcome in _OUTCOMES else "recorded",
        sentences=_sentences(told.get("sentences")),
        tavo=_text(told.get("tavo")),
        whole=told,
    )


def _plain(digest: Digest, data: bytes) -> ReadReport:
    """Read a report that nobody signed: where wheels come from, and those of a build."""
    try:
        told = json.loads(data)
        if not isinstance(told, dict):
            raise ValueError("no object")
    except (ValueError, RecursionError):
        return ReadReport(digest, "", "recorded", (f"{len(data)} bytes of another form",))
    if told.get("version") != _ORIGINS:
        return ReadReport(digest, _text(told.get("check")), "recorded", whole=told)
    wheels = [one for one in told.get("wheels", ()) if isinstance(one, dict)]
    built = sum(one.get("origin") == "built" for one in wheels)
    return ReadReport(
        digest, "wheel origins", "passed" if built == len(wheels) else "not done",
        (f"{built} of {len(wheels)} wheels were built from named sources",), whole=told,
    )  # fmt: skip


def _text(value: object) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""


def _sentences(value: object) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else []
    return tuple(one[:_LONGEST] for one in listed[:_MOST_SENTENCES] if isinstance(one, str))
