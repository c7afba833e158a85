"""`tavo trust`: which marketplaces this machine trusts, and what it believes about the time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import Session, session_of
from tavo.cli.trust_clock import clock
from tavo.errors import RefusedError, UsageError
from tavo.printable import printable

if TYPE_CHECKING:
    from signing.digests import Digest
    from tavo.registry.marketplaces import Marketplaces
    from tavo.registry.shelves import Market

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(help="Whom this machine trusts, and what it believes about the time.",
                        no_args_is_help=True)  # fmt: skip
    group.command("show")(show)
    group.command("add")(add)
    group.command("remove")(remove)
    group.command("clock")(clock)
    app.add_typer(group, name="trust")


def show(context: typer.Context) -> None:
    """List the marketplaces that this machine trusts: fingerprints, sources, namespaces, age."""
    session = session_of(context)
    rows = [_facts(market) for market in session.markets()]
    policy = _policy(session)
    if session.json:
        session.print_json({"marketplaces": rows, "site_policy": policy})
        return
    if not rows:
        session.say("No marketplace is trusted. `tavo trust add` adds one.")
    for row in rows:
        mark = ", DEVELOPMENT ROOT" if row["development"] else ""
        print(printable(f"{row['name']}: repository {row['repository']}{mark}"))
        print(printable(f"  fingerprint {row['fingerprint_shown']}"))
        print(printable(f"  source {row['source'] or 'none is configured'}"))
        print(printable(f"  namespaces {_namespaces(row)}"))
        print(printable(
            f"  catalog issued {row['issued']}, valid until {row['expires']}" if row["issued"]
            else "  no catalog was accepted yet"
        ))  # fmt: skip
    if policy["path"]:
        print(printable(
            f"Policy of the site {policy['path']}: expired lists count for"
            f" {policy['stale_days']} days ({policy['reason']})"
        ))  # fmt: skip


def _facts(market: Market) -> dict[str, Any]:
    from signing.client import root_facts, root_fingerprint
    from signing.roles import format_time
    from tavo.registry.marketplaces import grouped

    trust = market.trust
    fingerprint = root_fingerprint(trust.root)
    record = trust.record()
    return {
        "name": market.name,
        "repository": trust.repository,
        "fingerprint": fingerprint.hex,
        "fingerprint_shown": grouped(fingerprint),
        "development": root_facts(trust.root).development,
        "source": market.source,
        "bound": sorted(market.bound),
        "listed": sorted(trust.namespaces()),
        "issued": record and format_time(record.issued),
        "expires": record and format_time(record.expires),
    }


def _namespaces(row: dict[str, Any]) -> str:
    if row["bound"]:
        absent = sorted(set(row["bound"]) - set(row["listed"]))
        return ", ".join(row["bound"]) + (
            f"; not in its list now: {', '.join(absent)}" if absent else ""
        )
    return f"all that are bound to no other, now {', '.join(row['listed']) or 'none'}"


def _policy(session: Session) -> dict[str, Any]:
    from tavo.registry.site_policy import read_site_policy

    return read_site_policy(session.settings().registry.site_policy)._asdict()


def add(
    context: typer.Context,
    place: Annotated[
        str, typer.Argument(metavar="URL|DIR", help="Where it is read: an address or a folder.")
    ],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What to call it here.")],
    fingerprint: Annotated[
        str,
        typer.Option(
            "--fingerprint", metavar="HEX",
            help="Of its root's keys, as its operator told you elsewhere; else you type it.",
        ),
    ] = "",
    namespaces: Annotated[
        list[str] | None,
        typer.Option(
            "--namespace", metavar="NAME",
            help="This namespace comes from here and from nowhere else; may be repeated.",
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--all-namespaces", help="All of its namespaces that are bound to no other."),
    ] = False,
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="NAME", help="Its place in the order; default: the last."),
    ] = None,
    plain_http: Annotated[
        bool, typer.Option("--unsafe-plain-http", help="Let this address be without https.")
    ] = False,
) -> None:  # fmt: skip
    """Trust a marketplace, after comparing its fingerprint; again, to change what was said."""
    from signing.client import root_facts
    from signing.roles import format_time
    from tavo.registry.marketplaces import Known, find_root, read_fingerprint
    from tavo.registry.trust import utc_now

    session = session_of(context)
    if bool(namespaces) == everything:
        raise UsageError(
            "trust add: say which namespaces come from it",
            hint="--namespace NAME for each, or --all-namespaces for what is bound to no other.",
        )
    source = session.source(place, plain_http=plain_http)
    expected = read_fingerprint(fingerprint) if fingerprint else _typed(place)
    root = find_root(source, expected)
    facts = root_facts(root)
    known = session.marketplaces()
    _check_free(session, known, name, facts.repository)
    trust = session.trust_of(root)
    opened = session.used(trust.update(source))
    one = Known(
        name=name, source=_kept(place), fingerprint=expected.hex, repository=facts.repository,
        root=root.decode(), namespaces=tuple(sorted(_named(namespaces or []))),
        added=format_time(utc_now()), plain_http=plain_http,
    )  # fmt: skip
    known.with_one(one, before).save()
    session.tell(opened.notes)
    listed = sorted(opened.publishers.namespaces)
    for namespace in one.namespaces:
        if namespace not in listed:
            session.say(f"{namespace}: {name} does not list this namespace now.")
    print(printable(
        f"{name}: trusted, repository {facts.repository[:12]}, catalog version"
        f" {opened.file.version}; its namespaces are {', '.join(listed) or 'none'}."
    ))  # fmt: skip
    if plain_http:
        session.say(f"UNSAFE: {name} is read without https; what is fetched is signed, but not"
                    " secret, and news can be held back until its lists expire.")  # fmt: skip
    _tell_conflicts(session)


def _typed(place: str) -> Digest:
    """Have the user type the fingerprint; nothing that was fetched is shown before.

    Raises RefusedError where nobody is there, UsageError.
    """
    from tavo.registry.marketplaces import read_fingerprint

    if not sys.stdin.isatty():
        raise RefusedError(
            f"{place}: nobody is here to type its fingerprint, and it was not given",
            hint="Have its operator tell it to you (`tavo market status` there), then name it with"
            " --fingerprint.",
        )
    print("Type the fingerprint that its operator told you over another way than this address.",
          file=sys.stderr)  # fmt: skip
    text: str = typer.prompt("Fingerprint", err=True)
    return read_fingerprint(text)


def _named(namespaces: list[str]) -> set[str]:
    for name in namespaces:
        if not name.replace("-", "").isalnum() or name != name.lower() or not name.isascii():
            raise UsageError(
                f"--namespace {name!r:.60}: is no namespace", hint="It is the part before the /."
            )
    return set(namespaces)


def _kept(place: str) -> str:
    """Return the place as it is kept: a folder does not depend on the current one."""
    from pathlib import Path

    return place if "://" in place else str(Path(place).expanduser().resolve())


def _check_free(session: Session, known: Marketplaces, name: str, repository: str) -> None:
    for market in session.markets():
        if market.trust.repository == repository and known.find(market.name) is None:
            raise UsageError(
                "this marketplace is trusted already: it is the one of this file or of"
                " registry.root",
                hint="Set registry.source in the user configuration to say where it is read.",
            )
    here = known.find(name)
    if here is not None and here.repository != repository:
        raise UsageError(
            f"{name}: is the name of another marketplace here ({here.repository[:12]})",
            hint=f"Choose another name, or `tavo trust remove {name}` first.",
        )


def _tell_conflicts(session: Session) -> None:
    """Say which namespaces come from nowhere now, as several marketplaces list them."""
    from tavo.registry.shelves import routes_of

    markets = session.markets()
    routes = routes_of(markets)
    names = {name for market in markets for name in market.trust.namespaces()}
    for name in sorted(names) if routes else ():
        try:
            routes.of(name)  # type: ignore[union-attr]
        except RefusedError as error:
            session.say(f"tavo: {error}")
            session.say(f"  {error.hint}")


def remove(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `tavo trust show` calls it.")],
) -> None:
    """Trust a marketplace no more. What was seen of it stays known, should it be added again."""
    session = session_of(context)
    known = session.marketplaces()
    gone = known.get(name)
    left = [one for one in session.installations().list() if one.repository == gone.repository]
    known.without(name).save()
    print(printable(f"{name}: not trusted any more."))
    if left:
        session.say(
            f"Its plugins are still installed, without recalls from now on:"
            f" {', '.join(one.full_id for one in left)}. `tavo registry uninstall` removes them."
        )
