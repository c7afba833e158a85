"""`tavo logs`: what happened in the logs of AI systems."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.chosen import AcceptLocal, PluginConfig, configs_of, names_in, verified_plugins
from tavo.cli.context import Session, session_of
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
from tavo.cli.logs_explore import explore
from tavo.cli.logs_follow import follow
from tavo.cli.logs_given import (
    Backend,
    Intel,
    LogRules,
    MappingFile,
    NoAnomalies,
    NoDefaultRules,
    OptionalLogPaths,
    Reader,
    indicators_of,
    rule_paths_of,
    table_of,
    tables_of,
)
from tavo.cli.render import table
from tavo.cli.results import Format, Output, ReportFormat, reports_of, write_reports
from tavo.errors import UsageError, worst

if TYPE_CHECKING:
    from tavo.host.installations import VerifiedInstallation
    from tavo.logs.engine import Analysis

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(help="Logs of AI systems: rules, incidents, formats.", no_args_is_help=True)
    group.command("analyze")(analyze)
    group.command("follow")(follow)
    group.command("explore")(explore)
    group.command("formats")(formats)
    app.add_typer(group, name="logs")


def analyze(
    context: typer.Context,
    paths: OptionalLogPaths = None,
    rules: LogRules = None,
    no_default_rules: NoDefaultRules = False,
    backend: Backend = None,
    intel: Intel = None,
    no_anomalies: NoAnomalies = False,
    usual: Annotated[
        Path | None,
        typer.Option("--usual", metavar="FILE", help="Keep what is usual there, between runs."),
    ] = None,
    reader: Reader = None,
    mapping: MappingFile = None,
    log_plugins: Annotated[
        str,
        typer.Option("--log-plugins", metavar="A,B", help="Installed plugins, ./folders, zips."),
    ] = "",
    plugin_config: PluginConfig = None,
    accept_local: AcceptLocal = None,
    format: ReportFormat = None,  # noqa: A002
    output: Output = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Add the run to a result store.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", help="Processes; default: one for each processor.")
    ] = None,
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
    """Look for attacks in logs; exit 0 clean, 1 findings, 4 not complete."""
    from tavo.logs.sigma.rules import load_rules
    from tavo.logs.sources import find_sources
    from tavo.results.store import ResultStore
    from tavo.runs.logs import LogPlan, run_logs

    session = session_of(context)
    flags = gate_flags(
        fail_on=fail_on, fail_on_confidence=fail_on_confidence, suppressions=suppressions,
        policy=policy, data=data, allow_incomplete=allow_incomplete,
    )  # fmt: skip
    settings = session.settings(scan__jobs=jobs, **flags)
    printed = Format.JSON if session.json else Format.TEXT
    reports = reports_of(format, output, printed=printed, save=save)
    names = names_in(log_plugins)
    rule_paths = rule_paths_of(
        "analyze", rules, own=not no_default_rules, besides=bool(intel or names)
    )
    gate = gate_plan(
        settings.scan, baseline, write_baseline, policy=policy, data=data, suppressions=suppressions
    )
    if usual is not None and no_anomalies:
        raise UsageError(
            "logs analyze: --usual is about anomalies, and --no-anomalies looks for none",
            hint="Leave one of them out.",
        )
    root = Path.cwd()
    tables, forced = tables_of("analyze", reader, mapping or [])
    table = table_of(
        session, backend, paths=bool(paths), intel=bool(intel), usual=usual is not None
    )
    sources, left_out = find_sources(paths or [], root)
    plugins: tuple[VerifiedInstallation, ...] = ()
    if names:
        from tavo.runs.log_plugins import check_sources

        if table is not None:
            raise UsageError(
                "logs analyze: --log-plugins look at files, and --backend asks a table"
            )
        check_sources(sources)
        plugins = verified_plugins(
            session, names, accept_local or (), command="logs analyze", wanted="log"
        )
    plan = LogPlan(
        sources=tuple(sources),
        root=root,
        rules=load_rules(rule_paths),
        tables=tables,
        reader=forced,
        left_out=tuple(left_out),
        command=tuple(sys.argv[1:]),
        unusual=not no_anomalies,
        usual_file=usual,
        indicators=indicators_of(session, intel),
        table=table,
        jobs=settings.scan.jobs or min(os.cpu_count() or 1, 8),
        plugins=plugins,
        configs=configs_of(plugin_config, plugins),
        accept_sandbox=settings.sandbox.accept,
        show_output=session.verbose,
        fail_on=settings.scan.fail_on,
        exit_zero=exit_zero,
        gate=gate,
    )
    with ResultStore(save) as store:
        run_id, code, analysis = run_logs(plan, store, session.reporter())
        _say(session, analysis)
        code = worst((code, write_reports(store, run_id, reports, session)))
    raise typer.Exit(int(code))


def _say(session: Session, analysis: Analysis) -> None:
    """Say which format each log was taken for, and how sure that is."""
    for one in analysis.sources:
        if one.format:
            session.say(
                f"tavo: {one.name}: {one.format} ({one.how_sure});"
                f" {_count(one.lines, 'line')}, {_count(one.events, 'event')}"
            )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def formats(context: typer.Context) -> None:
    """List the formats that can be read, and where the sample of each comes from."""
    from tavo.logs.mapping import readers

    session = session_of(context)
    known = readers().values()
    if session.json:
        session.print_json([
            {"name": one.name, "version": one.version, "title": one.title,
             "tested": one.sample.tested, "sample": {"kind": one.sample.kind, "by": one.sample.by}}
            for one in known
        ])  # fmt: skip
        return
    table(
        ("reader", "version", "tested", "format", "sample"),
        [
            (one.name, str(one.version), "yes" if one.sample.tested else "no", one.title,
             str(one.sample))
            for one in known
        ],
        color=session.color,
    )  # fmt: skip
