"""How a marketplace stands: what waits, what is released, how long which metadata is valid."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from marketplace_db.intake import Submission
from signing.digests import Digest
from signing.publishers import Publishers
from signing.record import root_fingerprint
from signing.roles import ROLES, format_time
from tavo.operator.marketplace import OperatedMarket
from tavo.printable import counted

__all__ = ["status_of"]


def status_of(market: OperatedMarket, now: datetime) -> dict[str, Any]:
    """Return the queue, what is released, and how long which metadata is valid, as JSON.

    Raises RepositoryError, WorkingDatabaseError, ConfigError.
    """
    repository, intake = market.repository, market.intake
    publishers = market.publishers()
    required = market.policy().required
    submissions = intake.submissions()
    waiting = [
        {
            "id": one.uuid, "plugin": one.full_id, "version": one.version,
            "submitted_at": one.submitted_at, "approvals": one.approvals,
            "needs": _needs(one, publishers),
            "blocked_by": intake.blocking(one.uuid, required),
        }
        for one in submissions if one.state == "submitted"
    ]  # fmt: skip
    return {
        "repository": repository.identity,
        "root_sha256": Digest.of(repository.root_bytes).hex,
        "root_fingerprint": root_fingerprint(repository.root_bytes).hex,
        "releases": intake.released(),
        "withdrawn": len(set(intake.withdrawn()) - publishers.unyanked),
        "submissions": len(submissions),
        "waiting": waiting,
        "roles": [
            {
                "role": role,
                "version": repository.version(role),
                "expires": format_time(repository.expires(role)),
                "days_left": (repository.expires(role) - now).days,
                "keys_missing": repository.missing_keys(role),
            }
            for role in ROLES
        ],
    }


def _needs(submission: Submission, publishers: Publishers) -> str:
    if submission.full_id.partition("/")[0] not in publishers.namespaces:
        return "its namespace is closed"
    missing = publishers.reviews_needed(submission.full_id) - submission.approvals
    if missing <= 0:
        return "to be approved"
    return counted(missing, "more approval")
