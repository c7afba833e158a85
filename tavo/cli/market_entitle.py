"""`tavo market` entitle, revoke-entitlement: who may use paid plugins, and who may no longer.

Rules this module keeps:
- whoever sells a namespace's plugins signs with a key of their own, on a machine of their own:
  neither a marketplace's folder nor its keys are needed for it;
- what no client would believe is not written.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.context import Session, session_of
from tavo.cli.key import load_key, load_keyring
from tavo.cli.market_place import KeysFolder, Place, opened
from tavo.errors import InputError, RefusedError, UsageError
from tavo.printable import printable

if TYPE_CHECKING:
    from marketplace_db.entitlements import Basis

__all__ = ["register"]

_TIERS = ("paid", "enterprise")


def register(group: typer.Typer) -> None:
    """Add the commands to the group of the market."""
    group.command("entitle")(entitle)
    group.command("revoke-entitlement")(revoke_entitlement)


def entitle(
    context: typer.Context,
    organisation: Annotated[
        str, typer.Argument(metavar="ORGANISATION", help="Who may use them, such as example.com.")
    ],
    plugins: Annotated[
        list[str],
        typer.Argument(metavar="PLUGIN...", help="publisher/name, or publisher/* for all."),
    ],
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="A key for entitlements of the namespace.")
    ],
    expires: Annotated[
        str, typer.Option("--expires", metavar="DATE", help="The last day, such as 2027-12-31.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The new file, for them.")
    ],
    tier: Annotated[
        list[str] | None,
        typer.Option("--tier", metavar="TIER", help="paid or enterprise; both if none is named."),
    ] = None,
    versions: Annotated[
        str, typer.Option("--versions", metavar="RANGE", help="Such as '<2'; all without it.")
    ] = "",
    seats: Annotated[
        int | None, typer.Option("--seats", metavar="N", help="Told, and counted by nobody.")
    ] = None,
    market: Annotated[
        Path | None,
        typer.Option("--market", metavar="DIR", envvar="TAVO_MARKET",
                     help="The marketplace's folder; without it, the one that this tavo trusts."),
    ] = None,
) -> None:  # fmt: skip
    """Sign who may use paid plugins, until when, and write it into a file."""
    import secrets

    from signing.entitlements import EntitlementClaim, sign_entitlement, verify_entitlement
    from signing.errors import AttestationError
    from signing.files import write_atomically
    from tavo.registry.trust import utc_now

    session = session_of(context)
    if output.exists():
        raise UsageError(f"{output}: is there already", hint="Name a new file.")
    namespace, names = _named(plugins)
    now = utc_now()
    basis = _basis(session, market, now)
    try:
        claim = EntitlementClaim(
            identifier=secrets.token_hex(16),
            repository=basis.repository,
            organisation=organisation,
            namespace=namespace,
            plugins=names,
            tiers=tuple(tier or _TIERS),  # type: ignore[arg-type]
            versions=_range_of(versions),
            expires=_end_of(expires),
            seats=seats,
            issued=now,
        )
    except ValueError as error:
        raise UsageError(f"market entitle: {error}") from None
    envelope = sign_entitlement(claim, load_key(key))
    try:
        verify_entitlement(envelope, basis.publishers)
    except AttestationError as error:
        raise RefusedError(
            f"{key}: no client would believe it: {error}",
            hint=f"`tavo market publisher entitlement-key {namespace} --key HEX` binds the key;"
            " it needs the offline keys of the marketplace.",
        ) from None
    try:
        write_atomically(output, envelope)
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror or error}") from error
    if session.json:
        session.print_json(
            {"id": claim.identifier, "file": str(output), "organisation": organisation,
             "namespace": namespace, "plugins": list(names), "tiers": list(claim.tiers),
             "versions": claim.versions, "expires": f"{claim.expires:%Y-%m-%dT%H:%M:%SZ}",
             "seats": seats}
        )  # fmt: skip
        return
    print(printable(f"{output}: entitlement {claim.identifier} for {organisation}, until"
                    f" {claim.expires:%Y-%m-%d}."))  # fmt: skip
    session.say("Note the id: with it the operator takes it back"
                " (`tavo market revoke-entitlement`).")  # fmt: skip


def revoke_entitlement(
    context: typer.Context,
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="The whole id, 32 digits (`tavo market entitle`).")
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What users read.")],
    keys: KeysFolder = None,
    market: Place = Path("market"),
) -> None:
    """Take an entitlement back, for good; the online keys sign it, and users hear of it."""
    from signing.roles import ONLINE_ROLES
    from tavo.registry.trust import utc_now

    session = session_of(context)
    if not reason.strip():
        raise UsageError("market revoke-entitlement: --reason is empty", hint="Users read it.")
    with opened(session, market, load_keyring(keys, ONLINE_ROLES)) as place:
        place.revoke_entitlement(identifier.lower(), reason, utc_now())
    if session.json:
        session.print_json({"id": identifier.lower(), "reason": reason})
        return
    print(printable(f"{identifier.lower()}: taken back; machines hear of it with their next"
                    " update of the catalog."))  # fmt: skip


def _named(plugins: list[str]) -> tuple[str, tuple[str, ...]]:
    """Return the namespace and the names in it, none for all of them."""
    pairs = [text.partition("/") for text in plugins]
    namespaces = {pair[0] for pair in pairs}
    if len(namespaces) != 1 or not all(pair[2] for pair in pairs):
        raise UsageError(
            f"market entitle: {' '.join(plugins)[:80]!r} are not plugins of one publisher",
            hint="Such as acme/finder acme/guard, or 'acme/*'.",
        )
    names = tuple(dict.fromkeys(pair[2] for pair in pairs))
    return namespaces.pop(), () if "*" in names else names


def _end_of(day: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(day), time(23, 59, 59), UTC)
    except ValueError:
        raise ValueError(f"--expires {day!r:.40} is not a day like 2027-12-31") from None


def _range_of(versions: str) -> str:
    from marketplace_db.entitlements import check_range

    try:
        return check_range(versions)
    except ValueError as error:
        raise ValueError(f"--versions {error}") from None


def _basis(session: Session, market: Path | None, now: datetime) -> Basis:
    from marketplace_db.entitlements import Basis

    if market is not None:
        with opened(session, market) as place:
            return Basis(
                repository=place.repository.identity, publishers=place.publishers(), reference=now
            )
    held = session.entitlements()
    if held is None:
        raise UsageError(
            "market entitle: which marketplace is it for?",
            hint="Name its folder with --market, or let this tavo trust it: registry.root and"
            " registry.source in the user configuration, then `tavo registry update`.",
        )
    return held.basis
