"""Which vetting reports a reviewer's statement names: what a full copy has to take along.

The list is believed for copying only. Whoever shows a report verifies the statement first.
"""

from __future__ import annotations

from signing.attest import _open, _parse, _read_reports
from signing.digests import Digest

__all__ = ["unverified_reports"]

_MOST_REPORTS = 64


def unverified_reports(envelope: bytes) -> tuple[Digest, ...]:
    """Return the digests of at most 64 reports, whoever signed. Raises AttestationError."""
    statement = _parse(_open(envelope)[0], "reviewer statement")
    predicate = statement.get("predicate") if isinstance(statement, dict) else None
    named = predicate.get("reports") if isinstance(predicate, dict) else None
    return _read_reports(named or [], "reviewer statement")[:_MOST_REPORTS]
