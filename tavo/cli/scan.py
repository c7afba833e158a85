"""`tavo scan`: look for flaws with the built-in rules, and with static and dynamic plugins."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.chosen import AcceptLocal, PluginConfig, configs_of, names_in, verified_plugins
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
from tavo.errors import UsageError, worst

if TYPE_CHECKING:
    from tavo.attack.broker import Budget
    from tavo.attack.targets import Target
    from tavo.results.imported.document import SarifFile
    from tavo.runs.attack import AttackPlan
    from tavo.scan.external import Engine

__all__ = ["register"]

_BUILTIN = "builtin"
"""Stands for our own probes among the plugins that attack."""


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command("scan")(scan)


def scan(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Files and folders.")
    ] = None,
    static_plugins: Annotated[
        str,
        typer.Option("--static-plugins", metavar="A,B", help="Installed plugins, ./folders, zips."),
    ] = "",
    dynamic_plugins: Annotated[
        str,
        typer.Option(
            "--dynamic-plugins",
            metavar="A,B",
            help="Plugins that attack the target, named alike; builtin: our own probes.",
        ),
    ] = "",
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="URL|FILE", help="The system under test."),
    ] = None,
    max_requests: Annotated[
        int | None,
        typer.Option(
            "--max-requests",
            metavar="N",
            min=1,
            help="To the target, all together; 500, with the built-in probes 1000.",
        ),
    ] = None,
    max_tokens: Annotated[
        int,
        typer.Option("--max-tokens", metavar="N", min=0, help="As the target counts; 0: no limit."),
    ] = 0,
    plugin_config: PluginConfig = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Look at every file again.")] = False,
    accept_local: AcceptLocal = None,
    rules: Annotated[
        list[Path] | None,
        typer.Option("--rules", metavar="PATH", help="Rule file or folder, besides our own pack."),
    ] = None,
    no_default_rules: Annotated[
        bool, typer.Option("--no-default-rules", help="Without our own pack.")
    ] = False,
    import_sarif: Annotated[
        list[Path] | None,
        typer.Option(
            "--import-sarif", metavar="FILE", help="Count what another tool found, in SARIF."
        ),
    ] = None,
    diff: Annotated[
        str | None,
        typer.Option(
            "--diff", metavar="REV", help="Only what changed since a Git revision counts."
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            "--engine", metavar="NAME", help="tavo, or opengrep or semgrep of PATH, with our rules."
        ),
    ] = "tavo",
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
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="PATTERN", help="Leave out, as in .gitignore."),
    ] = None,
    exit_zero: ExitZero = False,
) -> None:
    """Scan files and folders; exit 0 clean, 1 findings, 4 not complete."""
    from tavo.results.store import ResultStore
    from tavo.runs.scan import ScanPlan, run_scan
    from tavo.scan.rule_source import PACK, RuleSource

    session = session_of(context)
    flags = gate_flags(
        fail_on=fail_on, fail_on_confidence=fail_on_confidence, suppressions=suppressions,
        policy=policy, data=data, allow_incomplete=allow_incomplete,
    )  # fmt: skip
    settings = session.settings(scan__jobs=jobs, **flags)
    if format is Format.AI_BOM:
        from tavo.cli.ai_bom import print_ai_bom

        code = print_ai_bom(context, paths or [], settings, exclude or [], output or [])
        raise typer.Exit(int(code))
    printed = Format.JSON if session.json else Format.TEXT
    reports = reports_of(format, output, printed=printed, save=save)
    own = (*(Path(path) for path in settings.scan.rules), *(rules or ()))
    rule_paths = tuple(dict.fromkeys((*(() if no_default_rules else (PACK,)), *own)))
    static, dynamic = names_in(static_plugins), names_in(dynamic_plugins)
    probing = target is not None and (not dynamic or _BUILTIN in dynamic)
    dynamic = [one for one in dynamic if one != _BUILTIN]
    _check_asked(paths or [], rule_paths, static, dynamic, target, asked=bool(dynamic_plugins))
    if diff is not None and not paths:
        raise UsageError(
            "scan: --diff compares files, and none are named", hint="Name them: `tavo scan .`"
        )
    gate = gate_plan(
        settings.scan, baseline, write_baseline, policy=policy, data=data, suppressions=suppressions
    )
    with ExitStack() as closing:
        verified = [
            verified_plugins(session, names, accept_local or (), command="scan", wanted=kind)
            for kind, names in (("static", static), ("dynamic", dynamic))
        ]
        opened = None if target is None else closing.enter_context(_target(target))
        most = max_requests or (1000 if probing else 500)
        plan = ScanPlan(
            targets=tuple(paths or ()),
            rules=RuleSource(rule_paths if paths else ()),
            imported=_imported(import_sarif),
            plugins=verified[0],
            dynamic=verified[1],
            target=opened,
            budget=None if opened is None else _budget(most, max_tokens),
            probing=_probing(opened) if probing and opened is not None else None,
            configs=configs_of(plugin_config, [one for group in verified for one in group]),
            cache=None if no_cache or not static else session.answers(),
            diff=diff,
            engine=_engine(engine) if paths else None,
            results=None if no_cache else session.results(),
            command=tuple(sys.argv[1:]),
            exclude=(*settings.scan.exclude, *(exclude or ())),
            largest=settings.scan.max_file_bytes,
            jobs=settings.scan.jobs,
            fail_on=settings.scan.fail_on,
            exit_zero=exit_zero,
            gate=gate,
            accept_sandbox=settings.sandbox.accept,
            show_output=session.verbose,
        )
        store = closing.enter_context(ResultStore(save))
        run_id, code = run_scan(plan, store, session.reporter())
        code = worst((code, write_reports(store, run_id, reports, session)))
    raise typer.Exit(int(code))


def _imported(files: Sequence[Path] | None) -> tuple[SarifFile, ...]:
    if not files:
        return ()
    from tavo.runs.imported import read_all

    return read_all(files)


def _engine(name: str) -> Engine | None:
    if name == "tavo":
        return None
    from tavo.scan.external import find_engine

    return find_engine(name)


def _check_asked(
    paths: Sequence[Path],
    rule_paths: Sequence[Path],
    static: Sequence[str],
    dynamic: Sequence[str],
    target: str | None,
    *,
    asked: bool,
) -> None:
    """Raise UsageError for what leads to nothing; `asked`: somebody is to attack."""
    if asked and target is None:
        raise UsageError(
            "scan: --dynamic-plugins need a --target",
            hint="Name an address like http://localhost:8000/v1, or a YAML file.",
        )
    if not paths and (static or target is None):
        raise UsageError(
            "scan: name the files and folders to scan",
            hint="`tavo scan .` scans the current folder.",
        )
    if not rule_paths and not static and target is None:
        raise UsageError(
            "scan: there is nothing to scan with",
            hint="Leave --no-default-rules out, or add --rules or --static-plugins.",
        )


def _probing(target: Target) -> AttackPlan:
    """Return what `tavo attack` would do with a target, with nothing else said."""
    from tavo.attack.broker import Budget
    from tavo.attack.engine import Options
    from tavo.attack.probes import load_probes
    from tavo.runs.attack import AttackPlan, fitting

    return AttackPlan(
        target=target,
        probes=tuple(fitting(target, load_probes(of="all"))),
        options=Options(application=target.application, secrets=target.secrets),
        budget=Budget(),
    )


@contextmanager
def _target(named: str) -> Iterator[Target]:
    import os

    from tavo.attack.targets import open_target

    target = open_target(named, os.environ)
    try:
        yield target
    finally:
        target.close()


def _budget(requests: int, tokens: int) -> Budget:
    from tavo.attack.broker import Budget

    return Budget(requests=requests, tokens=tokens)
