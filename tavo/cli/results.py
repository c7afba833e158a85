"""`tavo results`: the runs of a result store, listed, shown again, exported."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import typer

from tavo.cli.context import session_of
from tavo.cli.render import columns, styled, table, wants_color

__all__ = ["Format", "register", "write_report"]


class Format(enum.StrEnum):
    """The formats of a report."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    AI_BOM = "ai-bom"


Store = Annotated[Path, typer.Option("--store", metavar="FILE", help="The result store.")]
RunNumber = Annotated[int | None, typer.Argument(metavar="[RUN]", help="Default: the newest.")]
_DEFAULT = Path("results.db")


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    from tavo.cli.results_import import import_results

    group = typer.Typer(help="Stored results of scans.", no_args_is_help=True)
    group.command("list")(list_runs)
    group.command("show")(show)
    group.command("export")(export)
    group.command("import")(import_results)
    app.add_typer(group, name="results")


def list_runs(context: typer.Context, store: Store = _DEFAULT) -> None:
    """List the runs of a store, the newest first."""
    from tavo.results.store import ResultStore

    session = session_of(context)
    with ResultStore(store, must_exist=True) as opened:
        runs = opened.runs()
    if session.json:
        session.print_json(
            [
                {"id": run.id, "uuid": run.uuid, "started_at": run.info.started_at,
                 "complete": run.complete, "exit_code": run.exit_code, "files": run.files,
                 "findings": run.findings, "root": run.info.root}
                for run in runs
            ]
        )  # fmt: skip
        return
    if not runs:
        session.say(f"{store} holds no run.")
    table(
        ("run", "started", "complete", "files", "findings", "root"),
        [
            (str(run.id), run.info.started_at[:19], "yes" if run.complete else "NO",
             str(run.files), str(run.findings), run.info.root)
            for run in runs
        ],
        color=session.color,
    )  # fmt: skip


def show(context: typer.Context, run: RunNumber = None, store: Store = _DEFAULT) -> None:
    """Show the report of a run again."""
    _report(context, store, run, Format.TEXT)


def export(
    context: typer.Context,
    run: RunNumber = None,
    store: Store = _DEFAULT,
    format: Annotated[Format, typer.Option("--format", help="The report's format.")] = Format.JSON,  # noqa: A002
) -> None:
    """Write a run in another format to standard output."""
    from tavo.cli.ai_bom import refuse_ai_bom

    refuse_ai_bom(format)
    _report(context, store, run, format)


def write_report(store: object, run_id: int, kind: Format, *, color: bool, verbose: bool) -> None:
    """Print the report of a run to standard output."""
    from tavo.results.store import ResultStore

    if not isinstance(store, ResultStore):
        raise TypeError("a report is made from a result store")
    run = store.run(run_id)
    findings = store.findings(run_id)
    if kind is Format.JSON:
        from tavo.results.export.json import run_to_json

        print(run_to_json(run, findings))
    elif kind is Format.SARIF:
        from tavo.results.export.sarif import run_to_sarif

        print(run_to_sarif(run, findings))
    else:
        from tavo.results.export.text import run_to_lines

        colored = wants_color(sys.stdout, allowed=color)
        for line in run_to_lines(run, findings, width=columns(), verbose=verbose):
            print(styled(line, color=colored).rstrip())


def _report(context: typer.Context, path: Path, run: int | None, kind: Format) -> None:
    from tavo.results.store import ResultStore

    session = session_of(context)
    with ResultStore(path, must_exist=True) as store:
        chosen = store.run(run).id
        write_report(store, chosen, kind, color=session.color, verbose=session.verbose)
