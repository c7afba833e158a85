"""`tavo results import`: what other tools found, as a run of a result store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tavo.cli.context import session_of
from tavo.cli.results import Format, write_report

__all__ = ["import_results"]


def import_results(
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="SARIF 2.1.0, also packed with gzip.")
    ],
    store: Annotated[
        Path, typer.Option("--store", metavar="FILE", help="The result store.")
    ] = Path("results.db"),
    root: Annotated[
        Path, typer.Option("--root", metavar="DIR", help="The folder that paths are relative to.")
    ] = Path(),
    base: Annotated[
        list[str] | None,
        typer.Option(
            "--base", metavar="DIR|URI", help="What the machine of the tool called that folder."
        ),
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="The report's format.")] = Format.TEXT,  # noqa: A002
    fail_on: Annotated[
        str | None,
        typer.Option("--fail-on", metavar="SEVERITY", help="Exit 1 from this severity on."),
    ] = None,
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="Exit 0 when there are findings.")
    ] = False,
) -> None:
    """Add what other tools found to a store, as one run: same report, same exit codes."""
    from tavo.cli.ai_bom import refuse_ai_bom
    from tavo.errors import InputError
    from tavo.results.store import ResultStore
    from tavo.runs.imported import import_sarif, read_all

    session = session_of(context)
    if session.json and format is Format.TEXT:
        format = Format.JSON  # noqa: A001
    refuse_ai_bom(format)
    if not root.is_dir():
        raise InputError(f"{root}: is not a folder", hint="Name the project's folder with --root.")
    settings = session.settings(scan__fail_on=fail_on)
    read = read_all(files)
    with ResultStore(store) as opened:
        run_id, code = import_sarif(
            read, opened, root=root.resolve(), bases=tuple(base or ()),
            command=tuple(sys.argv[1:]), fail_on=settings.scan.fail_on, exit_zero=exit_zero,
        )  # fmt: skip
        write_report(opened, run_id, format, color=session.color, verbose=session.verbose)
    raise typer.Exit(int(code))
