"""`tavo market` backup and restore: a copy of everything but keys, and its verified return."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tavo.cli.context import session_of
from tavo.cli.market_place import Place, opened
from tavo.printable import printable

__all__ = ["register"]


def register(group: typer.Typer) -> None:
    """Add the commands to `tavo market`."""
    group.command("backup")(backup)
    group.command("restore")(restore)


def backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")],
    market: Place = Path("market"),
) -> None:
    """Copy the whole marketplace while it is served, as of one moment; no keys are in it."""
    import msgspec

    from tavo.operator.backup import back_up
    from tavo.registry.trust import utc_now

    session = session_of(context)
    with opened(session, market) as place:
        made = back_up(place, folder, now=utc_now())
    if session.json:
        session.print_json({"folder": str(folder), **msgspec.to_builtins(made)})
        return
    print(printable(f"{folder}: a copy of {market}, without keys, as of {made.made_at}."))
    session.say(f"Try it: `tavo market restore {printable(str(folder))} --market NEW`.")


def restore(
    context: typer.Context,
    backup_folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="What `tavo market backup` wrote.")
    ],
    root_sha256: Annotated[
        str, typer.Option("--root-sha256", metavar="HEX", help="The root that it must have.")
    ] = "",
    market: Place = Path("market"),
) -> None:
    """Make a marketplace out of a backup, in a new folder, when all of it was checked."""
    import msgspec

    from tavo.operator.backup import restore as run
    from tavo.registry.trust import utc_now

    session = session_of(context)
    done = run(backup_folder, market, root_sha256=root_sha256, now=utc_now())
    if session.json:
        session.print_json({"market": str(market), **msgspec.to_builtins(done)})
        return
    print(printable(
        f"{market}: restored as of {done.made_at}: {done.releases} releases, {done.submissions}"
        f" submissions, {done.blobs} blobs; signatures, digests and the database are as they"
        f" should be. Root {done.root_sha256}."
    ))  # fmt: skip
    if done.valid_tokens:
        session.say(
            f"tavo: {done.valid_tokens} tokens are valid as they were then, also if you revoked"
            " some since: `tavo market token list`."
        )
    if done.failed_runs:
        session.say(
            f"tavo: {done.failed_runs} runs that had not ended then are failed, not begun again."
        )
    if done.expired:
        session.say("tavo: its dates are over: `tavo market release` renews those of online roles.")
