"""`tavo plugin run`: an author's plugin in the sandbox, on what its author names."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from tavo.cli.chosen import needed_plugins
from tavo.cli.context import Session, session_of
from tavo.cli.plugin_trust import PluginPath
from tavo.errors import ExitCode, UsageError
from tavo.printable import counted, one_line, printable

if TYPE_CHECKING:
    from tavo.host.local import LocalPlugin
    from tavo.results.values import Notice

__all__ = ["PluginConfig", "run"]

_MOST_OUTPUT = 200
_MOST_CAUSES = 20
_MOST_TRACEBACKS = 3

PluginConfig = Annotated[
    Path | None,
    typer.Option("--plugin-config", metavar="FILE", help="Its configuration: YAML, JSON, TOML."),
]


def run(
    context: typer.Context,
    path: PluginPath,
    inputs: Annotated[
        list[Path] | None, typer.Argument(metavar="[INPUT]...", help="Files and folders.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="TEXT", help="For a proxy plugin.")
    ] = None,
    answer: Annotated[
        list[str] | None,
        typer.Option("--answer", metavar="TEXT", help="What a model answers; may be repeated."),
    ] = None,
    log: Annotated[
        Path | None, typer.Option("--log", metavar="FILE", help="For a log plugin.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="URL|FILE", help="For a dynamic plugin.")
    ] = None,
    max_requests: Annotated[
        int, typer.Option("--max-requests", metavar="N", min=1, help="To the target.")
    ] = 500,
    plugin_config: PluginConfig = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Run again when a file of either has changed.")
    ] = False,
) -> None:
    """Run your own plugin in the sandbox: on files, a prompt, a log, or a scripted model."""
    from tavo.errors import TavoError
    from tavo.kit.run import watched
    from tavo.runs.plugin_config import read_config

    session = session_of(context)

    def once() -> ExitCode:
        return _run_once(
            session, path, inputs or [], prompt=prompt, answers=answer, log=log, target=target,
            max_requests=max_requests, config=read_config(plugin_config),
        )  # fmt: skip

    if not watch:
        raise typer.Exit(int(once()))
    from marketplace_db.errors import MarketplaceError

    extra = [file for file in (log, plugin_config) if file is not None]
    for round_number in watched([path, *(inputs or []), *extra]):
        session.say(f"Run {round_number}; the next one when a file changes, Ctrl-C ends.")
        try:
            once()
        except (TavoError, MarketplaceError) as error:
            print(printable(f"tavo: {error}"), file=sys.stderr)
            if error.hint:
                print(printable(f"  {error.hint}"), file=sys.stderr)


def _run_once(
    session: Session,
    path: Path,
    inputs: list[Path],
    *,
    prompt: str | None,
    answers: list[str] | None,
    log: Path | None,
    target: str | None,
    max_requests: int,
    config: dict[str, Any],
) -> ExitCode:
    from tavo.host.local import open_local
    from tavo.kit import run as kit
    from tavo.runs.plugin_config import for_one

    accept = session.settings().sandbox.accept
    given = [inputs, prompt, log, target]
    if sum(bool(entry) if isinstance(entry, list) else entry is not None for entry in given) > 1:
        raise UsageError("plugin run: name files, --prompt, --log or --target, not several")
    with open_local(path, needed_by=needed_plugins(session)) as local:
        config = for_one(config, local.manifest.full_id)
        if target is not None:
            return _run_target(
                session, local, target, max_requests=max_requests, accept=accept, config=config
            )
        if prompt is not None:
            answer = answers[0] if answers else None
            judged = kit.run_filter(local, prompt, answer, accept=accept, config=config)
            return _show_judged(session, judged)
        if answers:
            return _show_attack(
                session, kit.run_attack(local, answers, accept=accept, config=config)
            )
        if log is not None:
            events = kit.read_events(log)
            return _show_log(
                session, kit.run_log(local, events, accept=accept, config=config), len(events)
            )
        tracebacks: list[str] = []
        outcome = kit.run_files(
            local,
            inputs,
            accept=accept,
            config=config,
            reporter=session.reporter(),
            on_failure=lambda _, failure: tracebacks.append(failure.output),
        )
    return _show_files(session, outcome, tracebacks)


def _run_target(
    session: Session,
    local: LocalPlugin,
    named: str,
    *,
    max_requests: int,
    accept: Sequence[str],
    config: dict[str, Any],
) -> ExitCode:
    import os

    from tavo.attack.broker import Budget
    from tavo.attack.targets import open_target
    from tavo.kit.run import run_target

    target = open_target(named, os.environ)
    try:
        outcome = run_target(
            local, target, Budget(requests=max_requests), accept=accept, config=config
        )
    finally:
        target.close()
    return _show_files(session, outcome, [])


def _show_files(session: Session, outcome: Any, tracebacks: list[str]) -> ExitCode:
    from tavo.errors import worst

    findings = [reported.finding for reported in outcome.reported]
    if session.json:
        session.print_json({
            "findings": [_finding(finding) for finding in findings],
            "failures": [notice.reason for notice in outcome.notices],
            "output": outcome.output,
            "statistics": msgspec.to_builtins(outcome.run),
        })  # fmt: skip
    else:
        for finding in findings:
            print(printable(_finding_line(_finding(finding))))
        _say_output(session, outcome.output)
        _say_failures(session, outcome.notices, tracebacks)
        cost = outcome.run
        looked = (
            f"with {counted(len(outcome.exchanges), 'request')}"
            if outcome.exchanges
            else f"in {counted(cost.files, 'file')}"
        )
        session.say(
            f"{counted(len(findings), 'finding')} {looked};"
            f" {cost.worker_cpu_s:.2f} s CPU, {cost.peak_bytes >> 20} MB, sandbox {cost.sandbox}."
        )
    codes = [ExitCode.FINDINGS] if findings else []
    return worst([*codes, ExitCode.INCOMPLETE] if outcome.notices else codes)


def _say_output(session: Session, output: str) -> None:
    """Show its author what the plugin logged and printed."""
    for line in output.rstrip().splitlines()[-_MOST_OUTPUT:]:
        session.say(f"  | {line}")


def _say_failures(session: Session, notices: Sequence[Notice], tracebacks: Sequence[str]) -> None:
    """Say each cause once, with the files that it hit, then where in the plugin it was."""
    from tavo.results.export.summary import first_of, place_and_clause

    causes: dict[str, list[str]] = {}
    for notice in notices:
        place, clause = place_and_clause(notice.reason)
        places = causes.setdefault(clause, [])
        places += [place] if place else []
    for cause, places in list(causes.items())[:_MOST_CAUSES]:
        session.say(f"tavo: {first_of(places)}{': ' if places else ''}{one_line(cause)}")
    if len(causes) > _MOST_CAUSES:
        session.say(f"tavo: and {len(causes) - _MOST_CAUSES} causes more; --json lists all")
    if any("cannot be started" in cause for cause in causes):
        session.say("  `tavo plugin validate` names what is wrong with a plugin's folder.")
    unique = list(dict.fromkeys(text for text in tracebacks if text))
    for text in unique[:_MOST_TRACEBACKS]:
        session.say(text.rstrip())


def _show_judged(session: Session, judged: Any) -> ExitCode:
    if session.json:
        session.print_json(msgspec.to_builtins(judged.results))
    else:
        for phase, result in judged.results.items():
            labels = f" [{', '.join(result.labels)}]" if result.labels else ""
            reason = f": {result.reason}" if result.reason else ""
            print(printable(f"{phase}: {result.decision}{labels}{reason}"))
            for message in result.replacement:
                print(printable(f"  {message['role']}: {message['content']}"))
    stopped = any(result.decision != "allow" for result in judged.results.values())
    return ExitCode.FINDINGS if stopped else ExitCode.OK


def _show_log(session: Session, logged: Any, events: int) -> ExitCode:

    if session.json:
        session.print_json({
            "findings": msgspec.to_builtins(logged.findings), "metrics": logged.metrics,
        })  # fmt: skip
    else:
        for finding in logged.findings:
            print(printable(_finding_line(msgspec.to_builtins(finding))))
        for name, value in sorted(logged.metrics.items()):
            print(printable(f"{name} = {value:g}"))
        session.say(f"{counted(len(logged.findings), 'finding')} in {counted(events, 'event')}.")
    return ExitCode.FINDINGS if logged.findings else ExitCode.OK


def _show_attack(session: Session, attacked: Any) -> ExitCode:

    if session.json:
        session.print_json({
            "results": msgspec.to_builtins(attacked.results), "requests": attacked.requests,
        })  # fmt: skip
    else:
        for result in attacked.results:
            held = "broken" if result.score >= attacked.threshold else "held"
            print(printable(
                f"{held}  {result.score:.2f}  {result.severity}  {result.rule}  {result.goal}"
                f" ({counted(result.attempts, 'attempt')})"
            ))  # fmt: skip
        session.say(
            f"{counted(attacked.requests, 'request')} to a scripted model; no real one was asked."
        )
    broken = any(result.score >= attacked.threshold for result in attacked.results)
    return ExitCode.FINDINGS if broken else ExitCode.OK


def _finding(finding: Any) -> dict[str, Any]:
    region = finding.location.region
    return {
        "rule": finding.rule_id, "severity": finding.severity.value, "message": finding.message,
        "path": str(finding.location.path),
        "line": region.start_line if region is not None else 0,
        "column": region.start_column if region is not None else 0,
    }  # fmt: skip


def _finding_line(finding: dict[str, Any]) -> str:
    place = f":{finding['line']}:{finding['column']}" if finding["line"] else ""
    return (
        f"{finding['path']}{place}  {finding['severity']}  {finding['rule']}  {finding['message']}"
    )
