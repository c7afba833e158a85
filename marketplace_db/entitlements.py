"""The decision whether an organisation may use a release: what an entitlement covers, and why not.

Rules this module keeps:
- the tier is the signed manifest's, never the catalog's;
- a decision takes values: who asks, what is held, which time it is, what was taken back;
- where nothing covers a release, the answer names each statement that is about its plugin, and what
  keeps it from covering it.

Units: times UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from marketplace_db.errors import NotAcceptedError
from marketplace_db.manifest import Manifest
from marketplace_db.requirement import PluginRequirement, parse_requirement
from signing.entitlements import EntitlementClaim
from signing.publishers import Publishers
from signing.roles import format_time

__all__ = ["Basis", "check_range", "cover_problem", "covering", "holder_problem"]

_MOST_AHEAD = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What entitlements are judged by: the marketplace, its keys, the reference time, and the ids
    of those that were taken back, with reasons.

    `organisation` is the one that this machine belongs to, empty where none is configured.
    """

    repository: str
    publishers: Publishers
    reference: datetime
    organisation: str = ""
    revoked: Mapping[str, str] = field(default_factory=dict)


def check_range(versions: str) -> str:
    """Return a range of versions in normal form. Raises ValueError."""
    try:
        return parse_requirement(f"x/x {versions}").specifier
    except ValueError:
        raise ValueError(f"{versions!r:.60} is not a range of versions like >=1,<2") from None


def holder_problem(claim: EntitlementClaim, basis: Basis) -> str:
    """Say why an entitlement is worth nothing on this machine now, whatever it covers."""
    if claim.repository != basis.repository:
        return f"is for the marketplace {claim.repository[:12]}, this is {basis.repository[:12]}"
    if not basis.organisation:
        return f"is for {claim.organisation}, and this machine's organisation is not configured"
    if claim.organisation != basis.organisation:
        return f"is for {claim.organisation}, this machine belongs to {basis.organisation}"
    if claim.identifier in basis.revoked:
        return f"was taken back: {basis.revoked[claim.identifier]}"
    if basis.reference >= claim.expires:
        return f"expired {format_time(claim.expires)} (now {format_time(basis.reference)})"
    if claim.issued is not None and claim.issued > basis.reference + _MOST_AHEAD:
        return (
            f"was issued {format_time(claim.issued)}, which is later than now"
            f" ({format_time(basis.reference)}): check the clock"
        )
    return ""


def cover_problem(claim: EntitlementClaim, manifest: Manifest) -> str | None:
    """Say why an entitlement does not cover a release, None if it is about other plugins."""
    if claim.namespace != manifest.publisher or (
        claim.plugins and manifest.id not in claim.plugins
    ):
        return None
    if manifest.pricing_tier not in claim.tiers:
        return f"covers the tier {', '.join(claim.tiers)}, not {manifest.pricing_tier}"
    try:
        wanted = PluginRequirement(manifest.full_id, check_range(claim.versions))
    except ValueError:
        return f"names {claim.versions!r} as versions, which is no range"
    if not wanted.accepts(manifest.version, prereleases=True):
        return f"covers the versions {claim.versions}"
    return ""


def covering(
    claims: Iterable[EntitlementClaim], manifest: Manifest, basis: Basis
) -> EntitlementClaim | None:
    """Return the entitlement that lets this release be used, None for a free one, which needs none.

    Of several the one that lasts longest. Raises NotAcceptedError, which says what is missing.
    """
    if manifest.pricing_tier == "free":
        return None
    good: list[EntitlementClaim] = []
    problems: list[str] = []
    for claim in claims:
        uncovered = cover_problem(claim, manifest)
        if uncovered is None:
            continue
        problem = uncovered or holder_problem(claim, basis)
        if problem:
            problems.append(f"the entitlement {claim.identifier[:8]} {problem}")
        else:
            good.append(claim)
    if good:
        return max(good, key=lambda claim: (claim.expires, claim.identifier))
    article = "an" if manifest.pricing_tier == "enterprise" else "a"
    detail = "; ".join(problems[:3]) or "there is none for it on this machine"
    raise NotAcceptedError(
        f"{manifest.full_id} {manifest.version}: is {article} {manifest.pricing_tier} plugin and"
        f" needs an entitlement: {detail}",
        hint=f"Ask {manifest.publisher} for one, then: `tavo registry entitle FILE`.",
    )
