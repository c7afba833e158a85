"""`tavo plugin submit`: one file that a marketplace takes in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tavo.cli.context import session_of
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
) -> None:
    """Put a package, your statement and the locked wheels into one file for a marketplace."""
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
    if session.json:
        session.print_json({"file": str(out), "bytes": out.stat().st_size})
        return
    print(printable(f"{out}: {out.stat().st_size} bytes"))
    session.say("Send it to the marketplace's operator, who takes it with `tavo market submit`.")
