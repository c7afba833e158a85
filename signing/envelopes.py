"""DSSE envelopes: JSON that keys have signed, and who signed it.

Rules this module keeps:
- signatures are checked before the payload is parsed, over the bytes that were signed;
- only keys that the caller lists count, each once; revoked keys never count;
- a field that is there twice, unknown or missing is refused, in the envelope and in the payload.

Format: https://github.com/secure-systems-lab/dsse (protocol and envelope v1).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from signing.errors import AttestationError, printable
from signing.keys import PrivateKey, PublicKey

__all__ = [
    "add_signature",
    "open_envelope",
    "parse_payload",
    "sign_statement",
    "verify_envelope",
]

_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_LONGEST_ENVELOPE = 64 * 1024
_MOST_SIGNATURES = 16


def sign_statement(statement: Mapping[str, Any], key: PrivateKey) -> bytes:
    """Return an envelope of the statement that one key signed."""
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    return _seal(payload, [(key.public.key_id, key.sign(_pre_authentication(payload)))])


def add_signature(envelope: bytes, key: PrivateKey) -> bytes:
    """Sign what an envelope says with a further key, for namespaces that need several.

    Raises AttestationError if it is not an envelope, or the key has signed it already.
    """
    payload, signatures = open_envelope(envelope)
    if key.public.key_id in dict(signatures):
        raise AttestationError(f"key {key.public.key_id[:12]} has already signed this statement")
    made = (key.public.key_id, key.sign(_pre_authentication(payload)))
    return _seal(payload, [*signatures, made])


def open_envelope(
    envelope: bytes, limit: int = _LONGEST_ENVELOPE
) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Return the payload, and key ids with signatures that nobody has checked.

    Raises AttestationError for what is no envelope, and for more than `limit` bytes.
    """
    if len(envelope) > limit:
        raise AttestationError(f"envelope: {len(envelope)} bytes, at most {limit} are allowed")
    try:
        value = json.loads(envelope, object_pairs_hook=_unique)
        if set(value) != {"payload", "payloadType", "signatures"}:
            raise ValueError(f"fields {sorted(value)}")
        if value["payloadType"] != _PAYLOAD_TYPE:
            raise ValueError(f"payload type {value['payloadType']!r:.80}")
        if not isinstance(value["signatures"], list):
            raise ValueError("signatures are not a list")
        if len(value["signatures"]) > _MOST_SIGNATURES:
            raise ValueError(f"more than {_MOST_SIGNATURES} signatures")
        payload = base64.b64decode(value["payload"], validate=True)
        signatures: list[tuple[str, bytes]] = []
        for entry in value["signatures"]:
            key_id = entry["keyid"]
            if not isinstance(key_id, str) or key_id in dict(signatures):
                raise ValueError("a key id that is not text, or twice")
            signatures.append((key_id, base64.b64decode(entry["sig"], validate=True)))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise AttestationError(
            f"envelope: not a DSSE envelope of a statement: {printable(error)}"
        ) from None
    return payload, signatures


def verify_envelope(
    envelope: bytes,
    keys: Mapping[str, PublicKey],
    threshold: int,
    revoked: Mapping[str, str],
    who: str,
    *,
    limit: int = _LONGEST_ENVELOPE,
) -> tuple[object, tuple[str, ...]]:
    """Return what `threshold` of the keys signed, and their ids.

    `revoked` maps key ids to reasons; `who` begins the sentence of a refusal. Raises
    AttestationError.
    """
    if threshold < 1:
        raise ValueError("a threshold below 1 would verify nothing")
    payload, signatures = open_envelope(envelope, limit)
    data = _pre_authentication(payload)
    signers: list[str] = []
    notes: list[str] = []
    for key_id, signature in signatures:
        key = keys.get(key_id)
        if key_id in revoked:
            notes.append(f"key {printable(key_id, 12)} was revoked: {printable(revoked[key_id])}")
        elif key is None:
            notes.append(f"key {printable(key_id, 12)} is not among the {len(keys)} allowed keys")
        elif not key.verify(signature, data):
            notes.append(f"the signature of key {key_id[:12]} does not match")
        elif key.key_id not in signers:
            signers.append(key.key_id)
    if len(signers) < threshold:
        found = "; ".join(notes) or "no further signature"
        raise AttestationError(
            f"{who}: {threshold} valid signature(s) expected, {len(signers)} found: {found}",
            hint="Do not use this package; ask its publisher for a properly signed release.",
        )
    return parse_payload(payload, who), tuple(signers)


def parse_payload(payload: bytes, who: str) -> object:
    """Return the payload's JSON value. Raises AttestationError."""
    try:
        return json.loads(payload, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise AttestationError(f"{who}: the signed payload is not JSON") from None


def _pre_authentication(payload: bytes) -> bytes:
    kind = _PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _seal(payload: bytes, signatures: Sequence[tuple[str, bytes]]) -> bytes:
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": _PAYLOAD_TYPE,
        "signatures": [
            {"keyid": key_id, "sig": base64.b64encode(signature).decode()}
            for key_id, signature in signatures
        ],
    }
    return json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a field appears twice")
    return value
