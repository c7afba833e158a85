"""`tavo pipeline`: chains of built-in steps and plugins from a file, as one run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.context import Session, session_of
from tavo.cli.judging import ExitZero, FailOn
from tavo.cli.results import Format, Output, ReportFormat, reports_of, write_reports
from tavo.errors import worst
from tavo.printable import printable

if TYPE_CHECKING:
    from tavo.host.installations import VerifiedInstallation
    from tavo.runs.pipeline_file import Pipeline

__all__ = ["register"]

PipelineFile = Annotated[Path, typer.Argument(metavar="FILE", help="The pipeline, in YAML.")]
AcceptLocal = Annotated[
    list[str] | None,
    typer.Option(
        "--accept-local", metavar="SHA256", help="Run a local plugin with this digest, this time."
    ),
]
AllowKey = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-key", metavar="VARIABLE", help="Let targets of the file use this variable."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(help="Chains of steps and plugins as one run.", no_args_is_help=True)
    group.command("run")(run)
    group.command("check")(check)
    app.add_typer(group, name="pipeline")


def run(
    context: typer.Context,
    file: PipelineFile,
    accept_local: AcceptLocal = None,
    allow_key: AllowKey = None,
    format: ReportFormat = None,  # noqa: A002
    output: Output = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Add the run to a result store.")
    ] = None,
    fail_on: FailOn = None,
    exit_zero: ExitZero = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Look at every file again.")] = False,
) -> None:
    """Run the steps of a file one after the other; exit codes as those of a scan."""
    from tavo.results.store import ResultStore
    from tavo.runs.pipeline import PipelinePlan, run_pipeline
    from tavo.runs.pipeline_file import load_pipeline

    session = session_of(context)
    printed = Format.JSON if session.json else Format.TEXT
    reports = reports_of(format, output, printed=printed, save=save)
    settings = session.settings(scan__fail_on=fail_on)
    pipeline = load_pipeline(file)
    plan = PipelinePlan(
        pipeline=pipeline,
        folder=file.absolute().parent,
        plugins=_plugins(session, pipeline, file, accept_local or []),
        command=tuple(sys.argv[1:]),
        largest=settings.scan.max_file_bytes,
        jobs=settings.scan.jobs,
        fail_on=settings.scan.fail_on,
        exit_zero=exit_zero,
        accept_sandbox=settings.sandbox.accept,
        keys=tuple(allow_key or ()),
        cache=None if no_cache else session.answers(),
        results=None if no_cache else session.results(),
    )
    with ResultStore(save) as store:
        run_id, code = run_pipeline(plan, store, session.reporter())
        code = worst((code, write_reports(store, run_id, reports, session)))
    raise typer.Exit(int(code))


def check(
    context: typer.Context,
    file: PipelineFile,
    accept_local: AcceptLocal = None,
    allow_key: AllowKey = None,
) -> None:
    """Check a file, its plugins and its targets without running anything."""
    from tavo.runs.pipeline import check_keys, check_plugins
    from tavo.runs.pipeline_file import kind_of, load_pipeline

    session = session_of(context)
    pipeline = load_pipeline(file)
    plugins = _plugins(session, pipeline, file, accept_local or [])
    check_plugins(pipeline, plugins)
    check_keys(pipeline, file.absolute().parent, allow_key or [])
    if session.json:
        session.print_json(
            [
                {"id": step.id, "use": kind_of(step), "plugin": plugins[step.id].manifest.full_id
                 if step.id in plugins else ""}
                for step in pipeline.steps
            ]
        )  # fmt: skip
        return
    for step in pipeline.steps:
        plugin = plugins[step.id].manifest if step.id in plugins else None
        what = f"{plugin.full_id} {plugin.version}" if plugin else kind_of(step)
        print(printable(f"{step.id}: {what}"))
    session.say(f"{file}: {len(pipeline.steps)} steps that fit together.")


def _plugins(
    session: Session, pipeline: Pipeline, file: Path, accept_local: list[str]
) -> dict[str, VerifiedInstallation]:
    """Return the verified plugin of each step that has one."""
    from tavo.cli.chosen import verified_plugin
    from tavo.runs.pipeline_file import PluginStep

    folder = file.absolute().parent
    return {
        step.id: verified_plugin(session, step.plugin, accept_local, folder=folder)
        for step in pipeline.steps
        if isinstance(step, PluginStep)
    }
