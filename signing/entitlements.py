"""Who may use paid plugins: entitlements, statements that are signed for one organisation.

Rules this module keeps:
- only a key that the offline `publishers` role bound to the entitlements of a namespace says who
  may use that namespace's plugins; no other key does, neither an online one nor one that signs
  packages;
- a statement names one marketplace, one organisation, one namespace and an end; every field must
  be there and nothing else;
- signatures are checked before the payload is parsed;
- what was taken back by the online side is a list of ids that only ever grows.

Form: an in-toto Statement v1 in DSSE (`signing.statements`, `signing.envelopes`) about an
organisation: the subject is its id, with the SHA-256 of "tavo-organisation/1", the marketplace's id
and its own, each on a line.

Units: times UTC.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from signing.digests import Digest
from signing.envelopes import open_envelope, parse_payload, sign_statement, verify_envelope
from signing.errors import AttestationError, VerificationError, printable
from signing.keys import PrivateKey, PublicKey
from signing.publishers import Publishers
from signing.roles import format_time, parse_time
from signing.statements import (
    check_statement,
    compare_fields,
    subject_of,
    take_issued,
    write_statement,
)

__all__ = [
    "ORGANISATION",
    "EntitlementClaim",
    "Tier",
    "read_revoked",
    "sign_entitlement",
    "unverified_entitlement",
    "verify_entitlement",
    "write_revoked",
]

Tier = Literal["paid", "enterprise"]

ORGANISATION = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,98}[a-z0-9])?\Z")
_ENTITLEMENT_TYPE = "urn:tavo:attestation:entitlement:v1"
_ID = re.compile(r"[0-9a-f]{32}\Z")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\Z")
_MOST_PLUGINS = 200
_LONGEST_RANGE = 200
_MOST_SEATS = 10_000_000
_MOST_REVOKED = 100_000
_LONGEST_REASON = 500
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementClaim:
    """What an entitlement says.

    `identifier` are 32 hexadecimal digits. `plugins` are names in the namespace, empty for all of
    them; `versions` is a range such as `<2`, empty for all. `seats` is for people to read: nothing
    counts them.
    """

    identifier: str
    repository: str
    organisation: str
    namespace: str
    tiers: tuple[Tier, ...]
    expires: datetime
    plugins: tuple[str, ...] = ()
    versions: str = ""
    seats: int | None = None
    issued: datetime | None = None

    def __post_init__(self) -> None:
        if problem := _problem(self):
            raise ValueError(problem)


def sign_entitlement(claim: EntitlementClaim, key: PrivateKey) -> bytes:
    """Sign the claim; return the envelope. Raises ValueError if `issued` is missing."""
    subject = _subject(claim.repository, claim.organisation)
    return sign_statement(
        write_statement(subject, _ENTITLEMENT_TYPE, _predicate(claim), claim.issued), key
    )


def verify_entitlement(envelope: bytes, publishers: Publishers) -> EntitlementClaim:
    """Verify that a key for the entitlements of the named namespace signed this; return it.

    Whom and what it covers, and when, is decided elsewhere. Raises AttestationError.
    """
    who = "entitlement"
    keys: dict[str, PublicKey] = {}
    for namespace in publishers.namespaces.values():
        keys.update(namespace.entitlement_keys)
    try:
        statement, signers = verify_envelope(envelope, keys, 1, publishers.revoked_keys, who)
    except AttestationError as error:
        error.hint = _ASK
        raise
    claim = _read(statement, who)
    bound = publishers.namespaces.get(claim.namespace)
    if bound is None or not set(signers) & set(bound.entitlement_keys):
        raise AttestationError(
            f"{who} {claim.identifier[:8]} for {claim.namespace}: the key {signers[0][:12]} may not"
            f" sign entitlements of the namespace {claim.namespace}",
            hint=_ASK,
        )
    return claim


def unverified_entitlement(envelope: bytes) -> EntitlementClaim:
    """Return what an entitlement says, whoever signed it: to name it, and for nothing else.

    Raises AttestationError.
    """
    return _read(parse_payload(open_envelope(envelope)[0], "entitlement"), "entitlement")


def write_revoked(revoked: Mapping[str, str]) -> bytes:
    """Return the artifact of the `catalog` role that takes entitlements back, with reasons.

    Raises ValueError for ids and reasons that it cannot hold.
    """
    _check_revoked(revoked)
    value = {"format": _FORMAT, "revoked": dict(revoked)}
    return (json.dumps(value, sort_keys=True, indent=1) + "\n").encode()


def read_revoked(data: bytes) -> dict[str, str]:
    """Read which entitlements were taken back, each with its reason. Raises VerificationError."""
    try:
        value = json.loads(data)
        if set(value) != {"format", "revoked"} or value["format"] != _FORMAT:
            raise ValueError(f"expected format {_FORMAT} and revoked")
        revoked = value["revoked"]
        _check_revoked(revoked)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise VerificationError(f"entitlements.json: cannot be read: {printable(error)}") from None
    return dict(revoked)


# -- inside

_ASK = "Ask whoever sold it for a statement that is signed with the key of that namespace."


def _check_revoked(revoked: Mapping[str, str]) -> None:
    if len(revoked) > _MOST_REVOKED:
        raise ValueError(f"{len(revoked)} entries, at most {_MOST_REVOKED} are allowed")
    for identifier, reason in revoked.items():
        if not _ID.match(identifier):
            raise ValueError(f"{identifier!r:.60} is no id of 32 hexadecimal digits")
        if not isinstance(reason, str) or not 0 < len(reason.strip()) <= _LONGEST_REASON:
            raise ValueError(f"a reason has 1 to {_LONGEST_REASON} characters")


def _subject(repository: str, organisation: str) -> dict[str, Any]:
    text = f"tavo-organisation/1\n{repository}\n{organisation}\n"
    return subject_of(organisation, Digest.of(text.encode()))


def _predicate(claim: EntitlementClaim) -> dict[str, Any]:
    return {
        "id": claim.identifier,
        "repository": claim.repository,
        "organisation": claim.organisation,
        "namespace": claim.namespace,
        "plugins": list(claim.plugins),
        "tiers": list(claim.tiers),
        "versions": claim.versions,
        "expires": format_time(claim.expires),
        "seats": claim.seats,
    }


def _read(statement: object, who: str) -> EntitlementClaim:
    told = statement.get("predicate") if isinstance(statement, dict) else None
    named = told if isinstance(told, dict) else {}
    subject = _subject(str(named.get("repository")), str(named.get("organisation")))
    predicate = check_statement(statement, _ENTITLEMENT_TYPE, subject, who)
    issued = take_issued(predicate, who)
    try:
        claim = EntitlementClaim(
            identifier=predicate["id"],
            repository=predicate["repository"],
            organisation=predicate["organisation"],
            namespace=predicate["namespace"],
            plugins=tuple(predicate["plugins"]),
            tiers=tuple(predicate["tiers"]),
            versions=predicate["versions"],
            expires=parse_time(predicate["expires"]),
            seats=predicate["seats"],
            issued=issued,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AttestationError(f"{who}: the predicate: {printable(error)}") from None
    compare_fields(predicate, _predicate(claim), who)  # nothing else, and of no other type
    return claim


def _problem(claim: EntitlementClaim) -> str:
    """Return why this is no claim, nothing if it is one."""
    if not isinstance(claim.identifier, str) or not _ID.match(claim.identifier):
        return "the id is not 32 hexadecimal digits"
    if not isinstance(claim.repository, str) or not _ID.match(claim.repository):
        return "the marketplace's id is not 32 hexadecimal digits"
    if not isinstance(claim.organisation, str) or not ORGANISATION.match(claim.organisation):
        return "an organisation is named like example.com: small letters, digits, dots and dashes"
    if not isinstance(claim.namespace, str) or not _NAME.match(claim.namespace):
        return f"{claim.namespace!r:.60} is not the name of a namespace"
    if len(claim.plugins) > _MOST_PLUGINS:
        return f"at most {_MOST_PLUGINS} plugins are named; none means all of the namespace"
    for name in claim.plugins:
        if not isinstance(name, str) or not _NAME.match(name):
            return f"{name!r:.60} is not the name of a plugin in the namespace {claim.namespace}"
    if not claim.tiers or not set(claim.tiers) <= set(get_args(Tier)):
        return "tiers are paid, enterprise or both"
    if not isinstance(claim.versions, str) or len(claim.versions) > _LONGEST_RANGE:
        return f"a range of versions has at most {_LONGEST_RANGE} characters"
    if claim.seats is not None and (
        type(claim.seats) is not int or not 1 <= claim.seats <= _MOST_SEATS
    ):
        return "seats are a whole number from 1"
    if claim.issued is not None and claim.issued >= claim.expires:
        return "it would have ended when it was issued"
    return ""
