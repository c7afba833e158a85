"""Which vetting reports a reviewer's statement names: what a full copy has to take along.

The list is believed for copying only. Whoever shows a report verifies the statement first.
"""

from __future__ import annotations

from signing.digests import Digest
from signing.envelopes import open_envelope, parse_payload
from signing.errors import AttestationError, printable
from signing.statements import read_digest

__all__ = ["unverified_reports"]

_MOST_REPORTS = 64


def unverified_reports(envelope: bytes) -> tuple[Digest, ...]:
    """Return the digests of at most 64 reports, whoever signed. Raises AttestationError."""
    who = "reviewer statement"
    statement = parse_payload(open_envelope(envelope)[0], who)
    predicate = statement.get("predicate") if isinstance(statement, dict) else None
    named = predicate.get("reports") if isinstance(predicate, dict) else None
    if not isinstance(named, list):
        raise AttestationError(f"{who}: the reports are not a list")
    try:
        return tuple(read_digest(item) for item in named[:_MOST_REPORTS])
    except ValueError as error:
        raise AttestationError(f"{who}: a report: {printable(error)}") from None
