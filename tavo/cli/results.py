"""`tavo results`: the runs of a result store, listed, shown again, exported; others imported."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import typer

from tavo.cli.context import session_of
from tavo.cli.render import columns, styled, table, wants_color
from tavo.errors import UsageError

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
    group = typer.Typer(help="Stored results of scans.", no_args_is_help=True)
    group.command("list")(list_runs)
    group.command("show")(show)
    group.command("export")(export)
    group.command("import")(import_)
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
    _report(context, store, run, format)


def import_(
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="SARIF 2.1.0, also packed with gzip.")
    ],
    store: Store = _DEFAULT,
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
    from tavo.errors import InputError
    from tavo.results.store import ResultStore
    from tavo.runs.imported import import_sarif, read_all

    session = session_of(context)
    if session.json and format is Format.TEXT:
        format = Format.JSON  # noqa: A001
    if format is Format.AI_BOM:
        raise UsageError(
            "a bill of materials is made from a project, not from results",
            hint="Use `tavo scan PATH --format ai-bom`.",
        )
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


def write_report(store: object, run_id: int, kind: Format, *, color: bool, verbose: bool) -> None:
    """Print the report of a run to standard output."""
    from tavo.results.store import ResultStore

    if not isinstance(store, ResultStore):
        raise TypeError("a report is made from a result store")
    run = store.run(run_id)
    findings = store.findings(run_id)
    if kind is Format.AI_BOM:
        raise UsageError(
            "a bill of materials is made from a project, not from stored results",
            hint="Use `tavo scan PATH --format ai-bom`.",
        )
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
