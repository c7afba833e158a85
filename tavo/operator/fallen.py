"""Releases that clients refuse since the document of publishers changed.

A key was revoked or taken away, a reviewer dismissed, a package recalled: then a catalog must not
go on naming such a release as the latest. It is withdrawn, with a reason that users read.

Rules this module keeps:
- only what a change can have touched is looked at: a market has releases by the hundred thousand;
- it decides nothing that a client does not decide itself: it says so in the catalog, too.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from marketplace_db.intake import Market
from signing.digests import Digest
from signing.publishers import Namespace, Publishers

__all__ = ["Fallen", "fallen"]

_RELEASES = """
    SELECT u.name AS namespace, u.name || '/' || p.plugin_id AS full_id, v.version, v.package,
           v.publisher_envelope, v.yanked_at IS NOT NULL AS yanked,
           (SELECT json_group_array(a.key_id) FROM approvals a
            WHERE a.submission_id = v.submission_id AND a.decision = 'approve') AS reviewers
    FROM plugin_versions v JOIN plugins p ON p.id = v.plugin_id
    JOIN publishers u ON u.id = p.publisher_id ORDER BY v.id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallen:
    """A release that clients refuse, and why."""

    full_id: str
    version: str
    reason: str

    def __str__(self) -> str:
        return f"{self.full_id} {self.version}: {self.reason}"


def fallen(market: Market, before: Publishers | None, after: Publishers) -> list[Fallen]:
    """Return the releases that stood under `before`, None for unknown, and do not any more."""
    found: list[Fallen] = []
    touched = _touched(before, after)
    for row in market.connection.execute(_RELEASES).fetchall():
        package = Digest(row["package"])
        if row["yanked"] and package not in after.unyanked:
            continue  # it did not stand
        reason = after.revoked_packages.get(package)
        if reason is not None:
            reason = f"it was recalled: {reason}"
        elif touched is None or row["namespace"] in touched:
            envelope = market.blob(Digest(row["publisher_envelope"])).read_bytes()
            signers, reviewers = _signers(envelope), json.loads(row["reviewers"])
            reason = _reason(after, row["namespace"], row["full_id"], signers, reviewers)
        if reason:
            found.append(Fallen(full_id=row["full_id"], version=row["version"], reason=reason))
    return found


# -- inside


def _touched(before: Publishers | None, after: Publishers) -> frozenset[str] | None:
    """Return the namespaces whose releases may have lost something, None for all."""
    if before is None or _valid(before, before.reviewers) - _valid(after, after.reviewers):
        return None
    return frozenset(
        name for name, known in before.namespaces.items()
        if _lost(before, known, after, after.namespaces.get(name), name)
    )  # fmt: skip


def _lost(
    before: Publishers, known: Namespace, after: Publishers, now: Namespace | None, name: str
) -> bool:
    return (
        now is None
        or bool(_valid(before, known.keys) - _valid(after, now.keys))
        or now.threshold > known.threshold
        or after.reviews_needed(name) > before.reviews_needed(name)
    )


def _valid(document: Publishers, keys: Collection[str]) -> set[str]:
    return set(keys) - set(document.revoked_keys)


def _signers(envelope: bytes) -> Iterator[str]:
    """Yield who signed a statement; its signatures were verified when it was taken in."""
    for signature in json.loads(envelope)["signatures"]:
        yield str(signature["keyid"])


def _reason(
    document: Publishers, name: str, full_id: str, signers: Iterator[str], reviewers: list[str]
) -> str:
    """Say why a release does not stand, nothing if it does."""
    namespace = document.namespaces.get(name)
    if namespace is None:
        return f"nobody may publish in {name} any more"
    signed = list(signers)
    left = [key for key in signed if key in _valid(document, namespace.keys)]
    if len(left) < namespace.threshold:
        for key in signed:
            if key in document.revoked_keys:
                return (
                    f"the key {key[:12]} that signed it was revoked: {document.revoked_keys[key]}"
                )
            if key not in namespace.keys:
                return f"the key {key[:12]} that signed it is no key of {name} any more"
        return f"{namespace.threshold} keys of {name} must sign, {len(left)} did"
    allowed = _valid(document, document.reviewers) - set(namespace.keys)
    have, needed = len(allowed & set(reviewers)), document.reviews_needed(full_id)
    if have < needed:
        return f"it has {have} of {needed} approvals that count"
    return ""
