"""in-toto Statements v1: what is signed about one subject, and how it is compared.

Rules this module keeps:
- a statement counts only if its type, subject and every field of its predicate are exactly the
  expected ones, and nothing else is in it;
- values of different types differ: `true` is not 1.

Format: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from signing.digests import Digest
from signing.errors import AttestationError, printable
from signing.roles import format_time, parse_time

__all__ = [
    "check_statement",
    "compare_fields",
    "read_digest",
    "subject_of",
    "take_issued",
    "write_statement",
]

_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


def write_statement(
    subject: Mapping[str, Any],
    predicate_type: str,
    predicate: Mapping[str, Any],
    issued: datetime | None,
) -> dict[str, Any]:
    """Return a statement that was issued then. Raises ValueError if `issued` is missing."""
    if issued is None:
        raise ValueError("a claim to be signed needs its time of issue")
    return {
        "_type": _STATEMENT_TYPE,
        "subject": [subject],
        "predicateType": predicate_type,
        "predicate": {**predicate, "issued": format_time(issued)},
    }


def subject_of(name: str, digest: Digest) -> dict[str, Any]:
    """Return what a statement is about: a name, and the digest that counts."""
    return {"name": name, "digest": {"sha256": digest.hex}}


def check_statement(
    statement: object,
    predicate_type: str,
    expected: dict[str, Any],
    who: str,
) -> dict[str, Any]:
    """Return the predicate of a statement of this type about the expected subject.

    `who` begins the sentence of a refusal, here and below. Raises AttestationError.
    """
    if not isinstance(statement, dict) or set(statement) != {
        "_type",
        "subject",
        "predicateType",
        "predicate",
    }:
        raise AttestationError(f"{who}: the signed payload is not an in-toto statement")
    _equal(statement["_type"], _STATEMENT_TYPE, "statement type", who)
    _equal(statement["predicateType"], predicate_type, "predicate type", who)
    subject = statement["subject"]
    try:
        found = subject[0]["digest"]["sha256"]
    except (TypeError, KeyError, IndexError):
        found = None
    _equal(found, expected["digest"]["sha256"], "package digest", who)
    _equal(subject, [expected], "subject", who)
    if not isinstance(statement["predicate"], dict):
        raise AttestationError(f"{who}: the predicate is not an object")
    return dict(statement["predicate"])


def take_issued(predicate: dict[str, Any], who: str) -> datetime:
    """Take the time of issue out of a predicate. Raises AttestationError."""
    try:
        return parse_time(predicate.pop("issued", None))
    except ValueError as error:
        raise AttestationError(f"{who}: time of issue: {printable(error)}") from None


def compare_fields(found: dict[str, Any], expected: dict[str, Any], who: str) -> None:
    """Raise AttestationError, naming the field, unless both have the same fields and values."""
    for name, value in expected.items():
        _equal(found.get(name), value, name, who)
    extra = sorted(set(found) - set(expected))
    if extra:
        raise AttestationError(
            f"{who}: unknown fields in the predicate: {printable(', '.join(extra))}"
        )


def read_digest(value: object) -> Digest:
    """Read a digest as predicates have it. Raises ValueError."""
    return Digest(str(value).removeprefix("sha256:"))


def _equal(found: object, expected: object, field: str, who: str) -> None:
    if type(found) is not type(expected) or found != expected:
        raise AttestationError(
            f"{who}: {field} differs: expected {expected!s:.120}, "
            f"the statement says {printable(found, 120)}"
        )
