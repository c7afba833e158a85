"""`tavo results import`: what other tools found, as a run of a result store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tavo.cli.context import session_of
from tavo.cli.judging import (
    AllowIncomplete,
    BaselineFile,
    ExitZero,
    FailOn,
    FailOnConfidence,
    PolicyData,
    PolicyPaths,
    SuppressionsFile,
    WriteBaseline,
    gate_flags,
    gate_plan,
)
from tavo.cli.results import Format, Output, ReportFormat, reports_of, write_reports

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
    format: ReportFormat = None,  # noqa: A002
    output: Output = None,
    fail_on: FailOn = None,
    fail_on_confidence: FailOnConfidence = None,
    baseline: BaselineFile = None,
    write_baseline: WriteBaseline = None,
    suppressions: SuppressionsFile = None,
    policy: PolicyPaths = None,
    data: PolicyData = None,
    allow_incomplete: AllowIncomplete = None,
    exit_zero: ExitZero = False,
) -> None:
    """Add what other tools found to a store, as one run: same report, same exit codes."""
    from tavo.errors import InputError, worst
    from tavo.results.store import ResultStore
    from tavo.runs.imported import import_sarif, read_all

    session = session_of(context)
    printed = Format.JSON if session.json else Format.TEXT
    reports = reports_of(format, output, printed=printed, save=store)
    if not root.is_dir():
        raise InputError(f"{root}: is not a folder", hint="Name the project's folder with --root.")
    flags = gate_flags(
        fail_on=fail_on, fail_on_confidence=fail_on_confidence, suppressions=suppressions,
        policy=policy, data=data, allow_incomplete=allow_incomplete,
    )  # fmt: skip
    settings = session.settings(**flags)
    gate = gate_plan(
        settings.scan, baseline, write_baseline, policy=policy, data=data, suppressions=suppressions
    )
    read = read_all(files)
    with ResultStore(store) as opened:
        run_id, code = import_sarif(
            read, opened, root=root.resolve(), bases=tuple(base or ()),
            command=tuple(sys.argv[1:]), fail_on=settings.scan.fail_on, exit_zero=exit_zero,
            gate=gate,
        )  # fmt: skip
        code = worst([code, write_reports(opened, run_id, reports, session)])
    raise typer.Exit(int(code))
