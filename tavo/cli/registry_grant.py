"""`tavo registry grant`: accept later what an installed plugin may do, or take it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.consent import Grant, Yes, consent_to, record_consent, tell_unasked
from tavo.cli.context import Session, session_of
from tavo.errors import UsageError
from tavo.printable import printable

if TYPE_CHECKING:
    from tavo.host.installations import Installation
    from tavo.registry.consent import Grants

__all__ = ["grant", "standing"]


def grant(
    context: typer.Context,
    plugin: Annotated[str, typer.Argument(metavar="PLUGIN", help="An installed plugin.")],
    words: Grant = None,
    yes: Yes = False,
    revoke: Annotated[list[str] | None, typer.Option(
        "--revoke", metavar="WORD", help="Take one permission back; may be repeated.")] = None,
) -> None:  # fmt: skip
    """Accept what an installed plugin may do, one permission more, or take one back."""
    from marketplace_db.catalog import full_id_of
    from tavo.registry.consent import demand_of, read_grants

    session = session_of(context)
    if revoke and (words or yes):
        raise UsageError("registry grant: --revoke stands alone, without --grant and --yes")
    store = session.installations()
    one = store.get(full_id_of(plugin))
    if revoke:
        _take_back(session, one, read_grants(revoke))
    else:
        grants = read_grants(words or (), yes=yes)
        with session.state() as state:
            accepted = state.accepted_sets(one.full_id, repository=one.repository)
        demand = demand_of(one.manifest, accepted)
        record_consent(session, consent_to(demand, grants, again=True), one)
        tell_unasked(session, grants, demand)
    print(printable(f"{one.full_id} {one.version}: {standing(store.granted(one))}"))


def standing(granted: frozenset[str] | None) -> str:
    """Say in words whether an installation may run, and with what."""
    from marketplace_db.permissions import in_order

    if granted is None:
        return "waiting for your acceptance"
    return f"accepted, with {', '.join(in_order(granted))}" if granted else "accepted"


def _take_back(session: Session, one: Installation, words: Grants) -> None:
    chosen = words.words_for(one.full_id)
    with session.state() as state:
        if not state.take_back(one.full_id, chosen, repository=one.repository):
            raise UsageError(
                f"registry grant: {', '.join(sorted(chosen))} was not granted to {one.full_id}",
                hint=f"`tavo registry show {one.full_id}` lists what was.",
            )
