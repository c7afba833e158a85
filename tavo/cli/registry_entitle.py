"""`tavo registry` entitle, entitlements: which paid plugins this machine may use, and why not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import Session, session_of
from tavo.cli.render import table
from tavo.errors import ConfigError
from tavo.printable import printable

if TYPE_CHECKING:
    from signing.entitlements import EntitlementClaim
    from tavo.registry.entitlements import Entitlements, Held

__all__ = ["covered", "entitle", "entitlements"]


def entitle(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The statement that you were sent.")],
    mirror: Annotated[
        str | None,
        typer.Option("--mirror", metavar="SOURCE", help="A mirror's folder or https address."),
    ] = None,
) -> None:
    """Put an entitlement for paid plugins in place, after verifying it."""
    session = session_of(context)
    with session.shelves(mirror) as shelves:
        held = None
        for shelf in shelves:
            if (one := session.entitlements(shelf.opened)) and (not held or one.concerns(file)):
                held = one
    if held is None:
        raise _unknown()
    claim = held.add(file)
    if session.json:
        session.print_json(_form(claim))
        return
    print(printable(f"{claim.identifier[:8]}: {_what(claim)}; {covered(claim)}."))


def entitlements(
    context: typer.Context,
    remove: Annotated[
        str, typer.Option("--remove", metavar="ID", help="Remove one; the beginning will do.")
    ] = "",
) -> None:
    """List this machine's entitlements and what each is worth now, or remove one."""
    session = session_of(context)
    repositories = [market.trust.repository for market in session.markets()]
    judged = [one for id_ in repositories if (one := session.entitlements(repository=id_))]
    if not judged:
        raise _unknown()
    if remove:
        print(printable(f"Removed {judged[0].remove(remove)}."))
        return
    _print(session, judged)


def covered(claim: EntitlementClaim) -> str:
    """Say for whom an entitlement is, and until when."""
    seats = f", {claim.seats} seats" if claim.seats is not None else ""
    return f"entitled: {claim.organisation} until {claim.expires:%Y-%m-%d}{seats}"


def _print(session: Session, judged: Sequence[Entitlements]) -> None:
    # each is judged by the marketplace that it is of; another one knows nothing of it
    best: dict[str, Held] = {}
    for held in judged:
        for one in held.list():
            known = best.get(one.name)
            if known is None or (known.problem and held.is_of(one)):
                best[one.name] = one
    found = list(best.values())
    if session.json:
        session.print_json(
            [
                {"id": one.name, "good": not one.problem, "problem": one.problem,
                 **(_form(one.claim) if one.claim else {})}
                for one in found
            ]
        )  # fmt: skip
        return
    if not found:
        session.say("There are no entitlements. Free plugins need none.")
        return
    table(
        ("id", "plugins", "organisation", "until", "state"),
        [
            (one.name[:8], _what(one.claim) if one.claim else "",
             one.claim.organisation if one.claim else "",
             f"{one.claim.expires:%Y-%m-%d}" if one.claim else "", one.problem or "good")
            for one in found
        ],
        color=session.color,
    )  # fmt: skip


def _what(claim: EntitlementClaim) -> str:
    names = [f"{claim.namespace}/{name}" for name in claim.plugins or ("*",)]
    return f"{', '.join(names)}{claim.versions and ' ' + claim.versions} ({', '.join(claim.tiers)})"


def _form(claim: EntitlementClaim) -> dict[str, Any]:
    from signing.roles import format_time

    return {
        "id": claim.identifier, "organisation": claim.organisation, "namespace": claim.namespace,
        "plugins": list(claim.plugins), "tiers": list(claim.tiers), "versions": claim.versions,
        "issued": claim.issued and format_time(claim.issued),
        "expires": format_time(claim.expires), "seats": claim.seats,
    }  # fmt: skip


def _unknown() -> ConfigError:
    return ConfigError(
        "no catalog was accepted yet, so there is no marketplace to judge entitlements by",
        hint="Set registry.root and registry.source, then: `tavo registry update`.",
    )
