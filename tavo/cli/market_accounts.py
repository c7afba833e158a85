"""`tavo market` org, token, reviews and moderate: people, and what they may ask and say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from tavo.cli.context import session_of
from tavo.cli.market_place import Place, opened, words_given
from tavo.cli.render import table
from tavo.errors import InputError, UsageError
from tavo.printable import printable

__all__ = ["register"]

_MOST_DAYS = 730
_MOST_REVIEWS = 200

Organization = Annotated[str, typer.Argument(metavar="ORG", help="The organisation's name.")]
Namespace = Annotated[str, typer.Argument(metavar="NAMESPACE", help="The publisher's name.")]


def register(group: typer.Typer) -> None:
    """Add the groups to `tavo market`."""
    org = typer.Typer(help="Organisations that use the API.", no_args_is_help=True)
    org.command("add")(org_add)
    org.command("list")(org_list)
    org.command("give")(org_give)
    org.command("take")(org_take)
    group.add_typer(org, name="org")
    token = typer.Typer(help="Tokens with which people use the API.", no_args_is_help=True)
    token.command("new")(token_new)
    token.command("list")(token_list)
    token.command("revoke")(token_revoke)
    group.add_typer(token, name="token")
    group.command("reviews")(reviews)
    group.command("moderate")(moderate)


def org_add(
    context: typer.Context,
    name: Organization,
    display_name: Annotated[
        str, typer.Option("--display-name", metavar="TEXT", help="How people know it.")
    ] = "",
    market: Place = Path("market"),
) -> None:
    """Add an organisation."""
    from marketplace_db.accounts import Accounts, check_name
    from tavo.registry.trust import utc_now

    session = session_of(context)
    with words_given():
        check_name(name, "an organisation")
    with opened(session, market) as place:
        Accounts(place.intake.connection).add_organization(
            name, display_name=display_name, now=utc_now()
        )
    if session.json:
        session.print_json({"organization": name})
        return
    print(printable(f"{name} is an organisation of this marketplace."))
    session.say(f"Make a token for somebody of it: `tavo market token new USER --org {name}`.")


def org_list(context: typer.Context, market: Place = Path("market")) -> None:
    """List the organisations with their people and namespaces."""
    from marketplace_db.accounts import Accounts

    session = session_of(context)
    with opened(session, market) as place:
        found = Accounts(place.intake.connection).organizations()
    if session.json:
        session.print_json([one._asdict() for one in found])
        return
    if not found:
        session.say("There is no organisation yet.")
    table(
        ("organisation", "known as", "people", "namespaces", "since"),
        [
            (one.name, one.display_name, ", ".join(one.users), ", ".join(one.namespaces),
             one.created_at)
            for one in found
        ],
        color=session.color,
    )  # fmt: skip


def org_give(
    context: typer.Context, name: Organization, namespace: Namespace, market: Place = Path("market")
) -> None:
    """Let an organisation hand in for a namespace; packages still need its publisher's key."""
    from marketplace_db.accounts import Accounts
    from tavo.registry.trust import utc_now

    session = session_of(context)
    with opened(session, market) as place:
        Accounts(place.intake.connection).give_namespace(name, namespace, now=utc_now())
    if session.json:
        session.print_json({"organization": name, "namespace": namespace, "may_submit": True})
        return
    print(printable(f"{name} may hand in packages of {namespace}."))


def org_take(
    context: typer.Context, name: Organization, namespace: Namespace, market: Place = Path("market")
) -> None:
    """Take back that an organisation may hand in for a namespace."""
    from marketplace_db.accounts import Accounts

    session = session_of(context)
    with opened(session, market) as place:
        Accounts(place.intake.connection).take_namespace(name, namespace)
    if session.json:
        session.print_json({"organization": name, "namespace": namespace, "may_submit": False})
        return
    print(printable(f"{name} may no longer hand in packages of {namespace}."))


def token_new(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER", help="Whose token it is.")],
    org: Annotated[str, typer.Option("--org", metavar="ORG", help="The user's organisation.")],
    scope: Annotated[
        list[str],
        typer.Option("--scope", metavar="SCOPE", help="What it is for; may be repeated."),
    ],
    name: Annotated[
        str, typer.Option("--name", metavar="TEXT", help="To know it again in the list.")
    ] = "token",
    days: Annotated[int, typer.Option("--days", help="How long it is valid.")] = 90,
    market: Place = Path("market"),
) -> None:
    """Make a token and print it, once: the marketplace keeps only its hash."""
    from marketplace_db.accounts import Accounts, check_token
    from signing.roles import format_time
    from tavo.registry.trust import utc_now

    session = session_of(context)
    if not 1 <= days <= _MOST_DAYS:
        raise UsageError(f"market token new: --days {days}: expected 1 to {_MOST_DAYS}")
    with words_given():
        check_token(user, name, scope)
    now = utc_now()
    expires = now + timedelta(days=days)
    with opened(session, market) as place:
        identifier, secret = Accounts(place.intake.connection).new_token(
            user, org, name=name, scopes=scope, expires=expires, now=now
        )
    if session.json:
        session.print_json({"id": identifier, "token": secret, "user": user, "organization": org,
                            "scopes": sorted(set(scope)),
                            "expires_at": format_time(expires)})  # fmt: skip
        return
    print(secret)
    session.say(
        f"It is valid until {format_time(expires)} for: {', '.join(sorted(set(scope)))}.\n"
        "It is not shown again. Hand it over on a safe way."
    )


def token_list(context: typer.Context, market: Place = Path("market")) -> None:
    """List the tokens, never the tokens themselves."""
    from marketplace_db.accounts import Accounts
    from tavo.registry.trust import utc_now

    session = session_of(context)
    with opened(session, market) as place:
        found = Accounts(place.intake.connection).tokens(now=utc_now())
    if session.json:
        session.print_json([{**one._asdict(), "scopes": list(one.scopes)} for one in found])
        return
    if not found:
        session.say("There is no token yet.")
    table(
        ("id", "name", "user", "organisation", "scopes", "valid until", "state"),
        [
            (one.uuid[:8], one.name, one.user, one.organization, " ".join(one.scopes),
             one.expires_at, one.state)
            for one in found
        ],
        color=session.color,
    )  # fmt: skip


def token_revoke(
    context: typer.Context,
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="A token's id, or the beginning of it.")
    ],
    market: Place = Path("market"),
) -> None:
    """End a token, from the next request on."""
    from marketplace_db.accounts import Accounts
    from tavo.registry.trust import utc_now

    session = session_of(context)
    with opened(session, market) as place:
        done = Accounts(place.intake.connection).revoke(identifier, now=utc_now())
    if session.json:
        session.print_json({"id": done.uuid, "user": done.user, "state": "revoked"})
        return
    print(printable(f"{done.name} of {done.user} ({done.uuid[:8]}) is no longer valid."))


def reviews(context: typer.Context, market: Place = Path("market")) -> None:
    """List the users' reviews that wait to be read, the oldest first."""
    from marketplace_db.ratings import Ratings

    session = session_of(context)
    with opened(session, market) as place:
        found = Ratings(place.intake.connection).waiting(after=0, limit=_MOST_REVIEWS)
    if session.json:
        session.print_json([
            {name: value for name, value in one._asdict().items() if name != "number"}
            for one in found
        ])  # fmt: skip
        return
    if not found:
        session.say("No review waits to be read.")
    for one in found:
        print(printable(
            f"{one.uuid[:8]}  {one.plugin} {one.version}, {one.rating} of 5 by {one.author}:"
            f" {one.title}"
        ))  # fmt: skip
        for line in one.body.splitlines():
            print(printable(f"    {line}"))


def moderate(
    context: typer.Context,
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="A review's id, or the beginning of it.")
    ],
    hide: Annotated[
        str, typer.Option("--hide", metavar="REASON", help="Hide it; its author reads why.")
    ] = "",
    market: Place = Path("market"),
) -> None:
    """Show a user's review, or hide it with a reason."""
    import getpass

    from marketplace_db.errors import NotInCatalogError
    from marketplace_db.ratings import Ratings
    from tavo.registry.trust import utc_now

    session = session_of(context)
    with opened(session, market) as place:
        ratings = Ratings(place.intake.connection)
        waiting = ratings.waiting(after=0, limit=_MOST_REVIEWS)
        found = [one.uuid for one in waiting if one.uuid.startswith(identifier)]
        if len(found) > 1:
            raise UsageError(f"market moderate: {identifier!r:.60} begins several ids")
        try:
            by = getpass.getuser()
        except (OSError, KeyError):
            by = "operator"
        try:
            done = ratings.decide(
                found[0] if found else identifier, shown=not hide, reason=hide, by=by, now=utc_now()
            )
        except NotInCatalogError as error:
            raise InputError(
                str(error), hint="`tavo market reviews` lists those that wait."
            ) from None
    if session.json:
        session.print_json({"id": done.uuid, "plugin": done.plugin, "state": done.state})
        return
    print(printable(f"The review of {done.plugin} {done.version} by {done.author}: {done.state}."))
