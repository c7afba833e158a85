"""What publishers, reviewers, builders and checks say about a package, and whether they said it.

Rules this module keeps:
- no kind of statement can be read as another one: the predicate types differ;
- every field is compared with what the caller knows, or returned for the caller to judge;
- what was read without asking for signatures has `unverified` in its name.

The form is an in-toto statement in a DSSE envelope: `signing.statements`, `signing.envelopes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from signing.digests import Digest
from signing.envelopes import open_envelope, parse_payload, sign_statement, verify_envelope
from signing.errors import AttestationError, printable
from signing.keys import PrivateKey, PublicKey
from signing.statements import (
    check_statement,
    compare_fields,
    read_digest,
    subject_of,
    take_issued,
    write_statement,
)

__all__ = [
    "BuildClaim",
    "Decision",
    "PublisherClaim",
    "ReviewerClaim",
    "VerifiedStatement",
    "VettingClaim",
    "sign_build",
    "sign_publisher",
    "sign_reviewer",
    "sign_vetting",
    "unverified_build",
    "unverified_overrides",
    "unverified_publisher",
    "unverified_vetting",
    "verify_build",
    "verify_publisher",
    "verify_reviewer",
    "verify_vetting",
]

Decision = Literal["approve", "reject"]

_PUBLISHER_TYPE = "urn:tavo:attestation:publisher:v1"
_REVIEWER_TYPE = "urn:tavo:attestation:reviewer:v1"
_BUILD_TYPE = "urn:tavo:attestation:build:v1"
_VETTING_TYPE = "urn:tavo:attestation:vetting:v1"
_LONGEST_VETTING = 1 << 20
_MOST_OVERRIDES = 32
_LONGEST_CHECK = 60
_LONGEST_OVERRIDE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherClaim:
    """What a publisher says about a package. `issued` is not compared when verifying."""

    full_id: str
    version: str
    api: int
    package: Digest
    manifest: Digest
    lock: Digest | None
    permissions: Digest
    issued: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewerClaim:
    """What a reviewer says about a package after reading `reports`.

    `overrides` are the checks that the reviewer lets pass although they failed or were not done,
    each with the reason that users read.
    """

    full_id: str
    version: str
    package: Digest
    reports: tuple[Digest, ...] = ()
    decision: Decision = "approve"
    issued: datetime | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VettingClaim:
    """What an automatic check said about a package: `report` is its whole report, plain JSON."""

    full_id: str
    version: str
    package: Digest
    report: Mapping[str, Any]
    issued: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildClaim:
    """How a wheel was made out of a source distribution; `tools` are file names and digests.

    `reproduced` counts the builds that gave the same contents, `form` is the version of the
    canonical form that the wheel was written in.
    """

    wheel: str
    digest: Digest
    source: str
    source_digest: Digest
    backend: str
    tools: tuple[tuple[str, Digest], ...]
    python: str
    sandbox: str
    tavo: str
    epoch: int
    reproduced: int = 2
    form: int = 1
    issued: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedStatement:
    """A statement whose signatures and content held.

    `reports` and `overrides` are a reviewer's, and empty for others.
    """

    key_ids: tuple[str, ...]
    issued: datetime
    reports: tuple[Digest, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def key_id(self) -> str:
        """Return the first key that signed."""
        return self.key_ids[0]


def sign_publisher(claim: PublisherClaim, key: PrivateKey) -> bytes:
    """Sign the claim; return the envelope. Raises ValueError if `issued` is missing."""
    return sign_statement(_statement(claim, _PUBLISHER_TYPE, _publisher_predicate(claim)), key)


def sign_reviewer(claim: ReviewerClaim, key: PrivateKey) -> bytes:
    """Sign the claim; return the envelope. Raises ValueError if `issued` is missing."""
    return sign_statement(_statement(claim, _REVIEWER_TYPE, _reviewer_predicate(claim)), key)


def sign_build(claim: BuildClaim, key: PrivateKey) -> bytes:
    """Sign how a wheel was built; return the envelope. Raises ValueError without `issued`."""
    return sign_statement(_statement(claim, _BUILD_TYPE, _build_predicate(claim)), key)


def sign_vetting(claim: VettingClaim, key: PrivateKey) -> bytes:
    """Sign what a check said; return the envelope. Raises ValueError without `issued`."""
    return sign_statement(_statement(claim, _VETTING_TYPE, _vetting_predicate(claim)), key)


def verify_publisher(
    envelope: bytes,
    keys: Mapping[str, PublicKey],
    expect: PublisherClaim,
    *,
    threshold: int = 1,
    revoked: Mapping[str, str] | None = None,
) -> VerifiedStatement:
    """Verify that `threshold` of the keys signed exactly the expected claim.

    `revoked` maps key ids to reasons. Raises AttestationError naming what differs.
    """
    who = f"publisher statement for {expect.full_id} {expect.version}"
    statement, signers = verify_envelope(envelope, keys, threshold, revoked or {}, who)
    predicate = check_statement(statement, _PUBLISHER_TYPE, _subject(expect), who)
    issued = take_issued(predicate, who)
    compare_fields(predicate, _publisher_predicate(expect), who)
    return VerifiedStatement(key_ids=signers, issued=issued)


def unverified_publisher(envelope: bytes, expect: PublisherClaim) -> VerifiedStatement:
    """Compare what an envelope says with the expected claim, without checking any signature.

    For authors who look at their own statement. The key ids are what the envelope says, and prove
    nothing. Raises AttestationError naming what differs, and for an envelope without signatures.
    """
    who = f"publisher statement for {expect.full_id} {expect.version}"
    payload, signatures = open_envelope(envelope)
    if not signatures:
        raise AttestationError(f"{who}: nobody signed it")
    predicate = check_statement(parse_payload(payload, who), _PUBLISHER_TYPE, _subject(expect), who)
    issued = take_issued(predicate, who)
    compare_fields(predicate, _publisher_predicate(expect), who)
    return VerifiedStatement(key_ids=tuple(key_id for key_id, _ in signatures), issued=issued)


def verify_reviewer(
    envelope: bytes,
    keys: Mapping[str, PublicKey],
    expect: ReviewerClaim,
    *,
    revoked: Mapping[str, str] | None = None,
) -> VerifiedStatement:
    """Verify that one of the keys signed the expected decision about the package.

    The reports and overrides are the reviewer's to name: they are returned, and compared only if
    those of `expect` are not empty. Raises AttestationError naming what differs.
    """
    who = f"reviewer statement for {expect.full_id} {expect.version}"
    statement, signers = verify_envelope(envelope, keys, 1, revoked or {}, who)
    predicate = check_statement(statement, _REVIEWER_TYPE, _subject(expect), who)
    issued = take_issued(predicate, who)
    expected = _reviewer_predicate(expect)
    reports = _read_reports(predicate.get("reports"), who)
    if not expect.reports:
        expected["reports"] = predicate["reports"]
    overrides: dict[str, str] = {}
    if "overrides" in predicate:
        overrides = _read_overrides(predicate["overrides"], who)
        if not expect.overrides:
            expected["overrides"] = predicate["overrides"]
    compare_fields(predicate, expected, who)
    return VerifiedStatement(key_ids=signers, issued=issued, reports=reports, overrides=overrides)


def verify_vetting(
    envelope: bytes,
    keys: Mapping[str, PublicKey],
    full_id: str,
    version: str,
    package: Digest,
    *,
    revoked: Mapping[str, str] | None = None,
) -> VettingClaim:
    """Verify that one of the keys says what a check found in this package; return what it says.

    Raises AttestationError naming what differs.
    """
    who = f"vetting statement for {full_id} {version}"
    statement, _ = verify_envelope(envelope, keys, 1, revoked or {}, who, limit=_LONGEST_VETTING)
    return _read_vetting(statement, full_id, version, package, who)


def unverified_vetting(
    envelope: bytes, full_id: str, version: str, package: Digest
) -> VettingClaim:
    """Return what a vetting statement says about this package, whoever signed it.

    For an operator who shows reports of their own. Raises AttestationError.
    """
    who = f"vetting statement for {full_id} {version}"
    payload, _ = open_envelope(envelope, limit=_LONGEST_VETTING)
    return _read_vetting(parse_payload(payload, who), full_id, version, package, who)


def unverified_overrides(envelope: bytes) -> bool:
    """Tell whether a reviewer's statement claims to let something pass, whoever signed it.

    For skipping the signatures of statements that say nothing of interest. Raises AttestationError.
    """
    statement = parse_payload(open_envelope(envelope)[0], "reviewer statement")
    predicate = statement.get("predicate") if isinstance(statement, dict) else None
    return not isinstance(predicate, dict) or "overrides" in predicate


def verify_build(
    envelope: bytes,
    keys: Mapping[str, PublicKey],
    wheel: str,
    digest: Digest,
    *,
    revoked: Mapping[str, str] | None = None,
) -> BuildClaim:
    """Verify that one of the keys says how this very wheel was built; return what it says.

    Raises AttestationError naming what differs.
    """
    who = f"build statement for {wheel}"
    statement, _ = verify_envelope(envelope, keys, 1, revoked or {}, who)
    return _read_build(statement, wheel, digest, who)


def unverified_build(envelope: bytes, wheel: str, digest: Digest) -> BuildClaim:
    """Return what a build statement says about this wheel, whoever signed it: nobody was asked.

    For an author who looks at files of their own. Raises AttestationError.
    """
    who = f"build statement for {wheel}"
    payload, _ = open_envelope(envelope)
    return _read_build(parse_payload(payload, who), wheel, digest, who)


# -- statements


def _build_predicate(claim: BuildClaim) -> dict[str, Any]:
    return {
        "source": {"name": claim.source, "digest": str(claim.source_digest)},
        "backend": claim.backend,
        "tools": [{"name": name, "digest": str(digest)} for name, digest in claim.tools],
        "python": claim.python,
        "sandbox": claim.sandbox,
        "tavo": claim.tavo,
        "epoch": claim.epoch,
        "reproduced": claim.reproduced,
        "form": claim.form,
    }


def _read_build(statement: object, wheel: str, digest: Digest, who: str) -> BuildClaim:
    predicate = check_statement(statement, _BUILD_TYPE, subject_of(wheel, digest), who)
    issued = take_issued(predicate, who)
    try:
        claim = BuildClaim(
            wheel=wheel,
            digest=digest,
            source=str(predicate["source"]["name"]),
            source_digest=read_digest(predicate["source"]["digest"]),
            backend=str(predicate["backend"]),
            tools=tuple(
                (str(one["name"]), read_digest(one["digest"])) for one in predicate["tools"]
            ),
            python=str(predicate["python"]),
            sandbox=str(predicate["sandbox"]),
            tavo=str(predicate["tavo"]),
            epoch=int(predicate["epoch"]),
            reproduced=int(predicate["reproduced"]),
            form=int(predicate["form"]),
            issued=issued,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AttestationError(f"{who}: the predicate: {printable(error)}") from None
    compare_fields(predicate, _build_predicate(claim), who)  # nothing else, and of no other type
    if claim.reproduced < 2 or claim.form != 1 or claim.sandbox not in {"L2", "L3"}:
        raise AttestationError(
            f"{who}: expected two equal builds at L2 or L3 in form 1, the statement says"
            f" {claim.reproduced} at {printable(claim.sandbox, 20)} in form {claim.form}"
        )
    return claim


def _publisher_predicate(claim: PublisherClaim) -> dict[str, Any]:
    return {
        "id": claim.full_id,
        "version": claim.version,
        "api": claim.api,
        "manifest": str(claim.manifest),
        "lock": None if claim.lock is None else str(claim.lock),
        "permissions": str(claim.permissions),
    }


def _reviewer_predicate(claim: ReviewerClaim) -> dict[str, Any]:
    if claim.decision not in get_args(Decision):
        raise ValueError(f"{claim.decision!r} is not a decision")
    predicate: dict[str, Any] = {
        "id": claim.full_id,
        "version": claim.version,
        "decision": claim.decision,
        "reports": [str(digest) for digest in claim.reports],
    }
    if claim.overrides:  # without any, the statement is the one that every version reads
        if problem := _overrides_problem(claim.overrides):
            raise ValueError(problem)
        predicate["overrides"] = dict(claim.overrides)
    return predicate


def _vetting_predicate(claim: VettingClaim) -> dict[str, Any]:
    return {"id": claim.full_id, "version": claim.version, "report": dict(claim.report)}


def _read_vetting(
    statement: object, full_id: str, version: str, package: Digest, who: str
) -> VettingClaim:
    subject = subject_of(f"{full_id}@{version}", package)
    predicate = check_statement(statement, _VETTING_TYPE, subject, who)
    issued = take_issued(predicate, who)
    report = predicate.get("report")
    if not isinstance(report, dict):
        raise AttestationError(f"{who}: the report is not an object")
    claim = VettingClaim(
        full_id=full_id, version=version, package=package, report=report, issued=issued
    )
    compare_fields(predicate, _vetting_predicate(claim), who)
    return claim


def _statement(
    claim: PublisherClaim | ReviewerClaim | BuildClaim | VettingClaim,
    predicate_type: str,
    predicate: dict[str, Any],
) -> dict[str, Any]:
    return write_statement(_subject(claim), predicate_type, predicate, claim.issued)


def _subject(claim: PublisherClaim | ReviewerClaim | BuildClaim | VettingClaim) -> dict[str, Any]:
    if isinstance(claim, BuildClaim):
        return subject_of(claim.wheel, claim.digest)
    return subject_of(f"{claim.full_id}@{claim.version}", claim.package)


def _read_reports(value: object, who: str) -> tuple[Digest, ...]:
    if not isinstance(value, list):
        raise AttestationError(f"{who}: the reports are not a list")
    try:
        return tuple(read_digest(item) for item in value)
    except ValueError as error:
        raise AttestationError(f"{who}: a report: {printable(error)}") from None


def _read_overrides(value: object, who: str) -> dict[str, str]:
    if problem := _overrides_problem(value):
        raise AttestationError(f"{who}: the overrides: {problem}")
    return dict(value)  # type: ignore[call-overload, no-any-return]


def _overrides_problem(value: object) -> str:
    """Return why this is no set of overrides, nothing if it is: none, too many, or no reason."""
    if not isinstance(value, Mapping) or not 0 < len(value) <= _MOST_OVERRIDES:
        return f"expected 1 to {_MOST_OVERRIDES} checks with their reasons"
    for check, reason in value.items():
        if not isinstance(check, str) or not 0 < len(check) <= _LONGEST_CHECK:
            return f"a check is named with 1 to {_LONGEST_CHECK} characters"
        if not isinstance(reason, str) or not 0 < len(reason.strip()) <= _LONGEST_OVERRIDE:
            return f"a reason has 1 to {_LONGEST_OVERRIDE} characters"
    return ""
