"""`tavo market` target and statement: what organisations may attack from here, and what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tavo.cli.context import session_of
from tavo.cli.market_place import Place, opened, words_given
from tavo.cli.render import table
from tavo.errors import InputError, TavoError
from tavo.printable import printable

__all__ = ["register"]

Organization = Annotated[str, typer.Argument(metavar="ORG", help="The organisation's name.")]
TargetName = Annotated[str, typer.Argument(metavar="NAME", help="The target's name there.")]


def register(group: typer.Typer) -> None:
    """Add the commands to `tavo market`."""
    target = typer.Typer(help="Systems that organisations may attack.", no_args_is_help=True)
    target.command("add")(target_add)
    target.command("list")(target_list)
    target.command("remove")(target_remove)
    group.add_typer(target, name="target")
    group.command("statement")(statement)


def target_add(
    context: typer.Context,
    org: Organization,
    name: TargetName,
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="An address, or a YAML file that describes it.")
    ],
    network: Annotated[
        list[str] | None,
        typer.Option("--network", metavar="CIDR", help="It may lead there although not public."),
    ] = None,
    market: Place = Path("market"),
) -> None:
    """Register a target for an organisation: you vouch that it may have it attacked."""
    import msgspec

    from marketplace_db.targets import Targets, check_target
    from tavo.attack.http_target import HttpTarget
    from tavo.attack.targets import read_target
    from tavo.operator.execution import check_for_others, judged_address
    from tavo.registry.trust import utc_now

    session = session_of(context)
    with words_given():
        check_target(name, network or ())
    described = read_target(target)
    check_for_others(described)
    # What it says is judged now; its credential is needed where it is run, and not here.
    HttpTarget(msgspec.structs.replace(described, key="", name=name), {}).close()
    with opened(session, market) as place:
        made = Targets(place.intake.connection).add(
            org, name, url=described.url, description=msgspec.json.encode(described).decode(),
            networks=network or (), now=utc_now(),
        )  # fmt: skip
    problem = address = ""
    if not session.settings().offline:
        try:
            address = judged_address(described, made.networks)
        except TavoError as error:
            problem = str(error)
    if session.json:
        session.print_json({"organization": org, "target": name, "url": made.url,
                            "networks": list(made.networks), "address": address,
                            "problem": problem})  # fmt: skip
        return
    leads = f", which leads to {address} now" if address else ""
    print(printable(f"{org} may have {name} attacked: {made.url}{leads}."))
    if problem:
        session.say(printable(f"tavo: as it is now, it would be refused: {problem}"))
    if described.key:
        session.say(f"Its credential is the variable {described.key} of `tavo market work`.")


def target_list(context: typer.Context, market: Place = Path("market")) -> None:
    """List the targets of all organisations."""
    from marketplace_db.accounts import Accounts
    from marketplace_db.targets import Targets
    from tavo.operator.policy import limits_of_nobody

    session = session_of(context)
    with opened(session, market) as place:
        found = Targets(place.intake.connection).targets()
        known = {one.name for one in Accounts(place.intake.connection).organizations()}
    for sentence in limits_of_nobody(market, known):
        session.complain(sentence)
    if session.json:
        session.print_json([
            {"organization": one.organization, "target": one.name, "url": one.url,
             "networks": list(one.networks), "since": one.created_at}
            for one in found
        ])  # fmt: skip
        return
    if not found:
        session.say("No target is registered, so nothing can be run for anybody.")
    table(
        ("organisation", "target", "address", "may lead into", "since"),
        [
            (one.organization, one.name, one.url, ", ".join(one.networks) or "public addresses",
             one.created_at)
            for one in found
        ],
        color=session.color,
    )  # fmt: skip


def target_remove(
    context: typer.Context, org: Organization, name: TargetName, market: Place = Path("market")
) -> None:
    """Take a target out; runs that wait for it are not begun."""
    from marketplace_db.targets import Targets
    from tavo.registry.trust import utc_now

    session = session_of(context)
    with opened(session, market) as place:
        gone = Targets(place.intake.connection).remove(org, name, now=utc_now())
    if session.json:
        session.print_json({"organization": org, "target": name, "url": gone.url})
        return
    print(printable(f"{org} may no longer have {name} attacked ({gone.url})."))


def statement(
    context: typer.Context,
    org: Organization,
    month: Annotated[str, typer.Argument(metavar="MONTH", help="Such as 2026-11.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Default: stdout.")
    ] = None,
    market: Place = Path("market"),
) -> None:
    """Write what an organisation's runs used and cost in a month, as CSV."""
    from marketplace_db.accounts import Accounts
    from marketplace_db.errors import WorkingDatabaseError
    from marketplace_db.executions import Executions
    from marketplace_db.statement import check_month, write_statement

    session = session_of(context)
    with words_given():
        check_month(month)
    with opened(session, market) as place:
        known = {one.name for one in Accounts(place.intake.connection).organizations()}
        if org not in known:
            raise WorkingDatabaseError(
                f"there is no organisation {org!r:.80}", hint="`tavo market org list` has them."
            )
        text = write_statement(Executions(place.intake.connection).finished_in(org, month))
    write_csv(text, output)


def write_csv(text: str, output: Path | None) -> None:
    """Write a statement to a file, or to stdout. Raises InputError."""
    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text, "utf-8", newline="")
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror}") from error
