"""`tavo plugin submit`: one file that a marketplace takes in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tavo.cli.context import Session, session_of
from tavo.printable import printable

__all__ = ["submit"]


def submit(
    context: typer.Context,
    package: Annotated[Path, typer.Argument(metavar="PACKAGE", help="A packed and signed zip.")],
    statement: Annotated[
        Path | None,
        typer.Option("--statement", metavar="FILE", help="Default: PACKAGE.dsse.json."),
    ] = None,
    wheels: Annotated[
        Path | None,
        typer.Option("--wheels", metavar="DIR", help="Where the wheels of its lock are."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Default: PACKAGE.submission.")
    ] = None,
    to: Annotated[
        str, typer.Option("--to", metavar="URL", help="Hand it in at this marketplace.")
    ] = "",
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="Your token; else TAVO_TOKEN holds it."),
    ] = None,
) -> None:
    """Put a package, your statement and the locked wheels into one file, and hand it in."""
    from marketplace_db.submission import SUFFIX
    from tavo.kit.publish import STATEMENT_SUFFIX
    from tavo.kit.publish import submission as make

    session = session_of(context)
    out = make(
        package,
        statement or package.with_name(package.name + STATEMENT_SUFFIX),
        wheels=wheels,
        out=output or package.with_name(package.name + SUFFIX),
    )
    if to:
        _hand_in(session, out, to, token_file)
        return
    if session.json:
        session.print_json({"file": str(out), "bytes": out.stat().st_size})
        return
    print(printable(f"{out}: {out.stat().st_size} bytes"))
    session.say(
        "Send it to the marketplace's operator, who takes it with `tavo market submit`,\n"
        "or hand it in yourself with --to URL."
    )


def _hand_in(session: Session, file: Path, to: str, token_file: Path | None) -> None:
    """Send the file to a marketplace; it stays here, whatever the marketplace says."""
    from tavo.registry.marketplace import Marketplace, read_token

    with Marketplace(to, read_token(token_file), offline=session.settings().offline) as place:
        taken = place.submit(file)
    if session.json:
        session.print_json({"file": str(file), "submission": taken})
        return
    print(printable(
        f"{taken.get('plugin')} {taken.get('version')} is submission {taken.get('id')} at {to}."
    ))  # fmt: skip
    session.say("It is checked, and reviewers look at it; its page there says how it goes.")
