"""`tavo plugin`: the author's kit, and the user's word for a plugin that nobody signed."""

from __future__ import annotations

import enum
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from tavo.cli.chosen import needed_plugins
from tavo.cli.consent import print_permissions
from tavo.cli.context import Session, session_of
from tavo.cli.plugin_submit import submit
from tavo.cli.plugin_trust import PluginPath, trust
from tavo.cli.render import styled, wants_color
from tavo.cli.wheels import build_wheels, lock
from tavo.errors import ExitCode, UsageError
from tavo.printable import one_line, printable

if TYPE_CHECKING:
    from tavo.host.local import LocalPlugin
    from tavo.kit.rehearsal import OwnTest
    from tavo.kit.statement import Statement
    from tavo.kit.validate import Validation
    from tavo.results.values import Notice

__all__ = ["register"]

_STYLES = {"passed": "good", "note": "warning", "skipped": "dim", "failed": "bad",
           "problem": "bad"}  # fmt: skip
_MOST_OUTPUT = 200
_MOST_CAUSES = 20
_MOST_TRACEBACKS = 3

PluginConfig = Annotated[
    Path | None,
    typer.Option("--plugin-config", metavar="FILE", help="Its configuration: YAML, JSON, TOML."),
]


class PluginType(enum.StrEnum):
    """The types of plugins."""

    STATIC = "static"
    DYNAMIC = "dynamic"
    PROXY = "proxy"
    LOG = "log"


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(help="Write, test, pack and sign plugins.", no_args_is_help=True)
    group.command("init")(init)
    group.command("validate")(validate)
    group.command("run")(run)
    group.command("test")(try_out)
    group.command("lock")(lock)
    group.command("pack")(pack)
    group.command("sign")(sign)
    group.command("submit")(submit)
    group.command("trust")(trust)
    app.add_typer(group, name="plugin")


def init(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The plugin's id.")],
    type: Annotated[  # noqa: A002
        PluginType, typer.Option("--type", help="What it looks at.")
    ] = PluginType.STATIC,
    publisher: Annotated[
        str, typer.Option("--publisher", metavar="NAME", help="Your namespace; default: me.")
    ] = "",
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="DIR", help="Where to; default: ./NAME.")
    ] = None,
) -> None:
    """Write a complete small plugin that works."""
    from tavo.kit.start import write_plugin

    session = session_of(context)
    target = folder or Path(name)
    named, publisher = publisher, publisher or "me"
    written = write_plugin(name, target, plugin_type=type.value, publisher=publisher)
    if session.json:
        session.print_json({"folder": str(target), "files": written})
        return
    print(printable(f"{publisher}/{name}, a {type.value} plugin, is in {target}:"))
    for path in written:
        print(printable(f"  {path}"))
    if not named:
        session.say("It is published as `me` until you write your namespace into plugin.yaml.")
    session.say(f"Next: tavo plugin test {target}")


def validate(
    context: typer.Context,
    path: PluginPath,
    public_key: Annotated[
        str, typer.Option("--public-key", metavar="HEX", help="Who must have signed the zip.")
    ] = "",
) -> None:
    """Name everything that is wrong with a plugin, without running it; exit 1 if there is."""
    from tavo.kit.validate import validate as look

    session = session_of(context)
    found = look(path, public_key=public_key)
    if session.json:
        session.print_json({**msgspec.to_builtins(found), "passed": found.passed})
    else:
        _print_validation(session, found)
    raise typer.Exit(int(ExitCode.OK if found.passed else ExitCode.FINDINGS))


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


def try_out(
    context: typer.Context,
    path: PluginPath,
    plugin_config: PluginConfig = None,
) -> None:
    """Try your own plugin on what every plugin must hold, in the sandbox; exit 1 if it fails."""
    from tavo.host.local import open_local
    from tavo.kit.contract import run_suite
    from tavo.runs.plugin_config import for_one, read_config

    session = session_of(context)
    config = read_config(plugin_config)
    with open_local(path, needed_by=needed_plugins(session)) as local:
        report = run_suite(
            local,
            accept=session.settings().sandbox.accept,
            config=for_one(config, local.manifest.full_id),
            reporter=session.reporter(),
        )
    if session.json:
        session.print_json(msgspec.to_builtins(report))
    else:
        color = wants_color(sys.stdout, allowed=session.color)
        width = max(len(check.name) for check in report.checks) + 2
        for check in report.checks:
            _print_line(check.state, check.name.ljust(width), check.found, color=color)
            if check.state in {"failed", "note"} and check.hint:
                print(" " * (9 + width) + printable(check.hint))
        failed: dict[str, list[OwnTest]] = {}
        for one in report.tests:
            if one.outcome == "failed":
                failed.setdefault(one.message.strip().partition("\n")[0], []).append(one)
        for same in failed.values():
            print("\n" + "\n".join(printable(one.name) for one in same))
            print("\n".join(printable(line) for line in same[0].message.strip().splitlines()))
        said = "passed" if report.passed else "FAILED"
        session.say(
            f"{said}: {report.plugin} {report.version}, sandbox {report.sandbox}, package"
            f" {report.package}"
        )
    raise typer.Exit(int(ExitCode.OK if report.passed else ExitCode.FINDINGS))


def pack(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The plugin's folder.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Where to write it.")
    ] = None,
    build_wheel: Annotated[
        list[Path] | None,
        typer.Option(
            "--build-wheel", metavar="SDIST",
            help="First build its wheel of these sources, in the sandbox; may be repeated.",
        ),
    ] = None,
    build_with: Annotated[
        Path | None,
        typer.Option("--build-with", metavar="DIR", help="Where wheels of the build tools lie."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Your key, which signs how wheels were built."),
    ] = None,
) -> None:  # fmt: skip
    """Pack a plugin: the same files give the same bytes. Prints the package's digest."""
    from tavo.kit.publish import pack as make

    session = session_of(context)
    if not build_wheel and (build_with or key):
        raise UsageError("plugin pack: --build-with and --key are for --build-wheel")
    built = build_wheels(session, path, build_wheel, build_with, key) if build_wheel else []
    package = make(path, output)
    if session.json:
        session.print_json({
            "file": str(package.path), "package": package.digest.hex, "length": package.length,
            "plugin": package.manifest.full_id, "version": package.manifest.version,
            **({"built": built} if built else {}),
        })  # fmt: skip
        return
    for one in built:
        print(printable(f"{one['sha256']}  {one['wheel']}"))
    print(printable(f"{package.digest.hex}  {package.path}"))
    _warn(session, package.path)
    session.say(f"Next: tavo plugin sign {package.path} --key FILE")


def sign(
    context: typer.Context,
    package: Annotated[Path, typer.Argument(metavar="PACKAGE", help="A packed zip.")],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="Your publisher key.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Where to write it.")
    ] = None,
) -> None:
    """Sign a package: write the publisher's statement about it, beside it."""
    from tavo.cli.key import load_key
    from tavo.kit.publish import sign as make
    from tavo.registry.trust import utc_now

    session = session_of(context)
    private = load_key(key)
    written = make(package, private, now=utc_now(), out=output)
    if session.json:
        session.print_json({"file": str(written), "key_id": private.public.key_id})
        return
    print(printable(str(written)))
    _warn(session, package)
    session.say(f"Signed with key {private.public.key_id}.")


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
            f"with {_count(len(outcome.exchanges), 'request')}"
            if outcome.exchanges
            else f"in {_count(cost.files, 'file')}"
        )
        session.say(
            f"{_count(len(findings), 'finding')} {looked};"
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
        session.say(f"{_count(len(logged.findings), 'finding')} in {_count(events, 'event')}.")
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
                f" ({_count(result.attempts, 'attempt')})"
            ))  # fmt: skip
        session.say(
            f"{_count(attacked.requests, 'request')} to a scripted model; no real one was asked."
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


def _print_validation(session: Session, found: Validation) -> None:
    color = wants_color(sys.stdout, allowed=session.color)
    for problem in found.problems:
        _print_line(problem.kind, f"{problem.where}: ", problem.what, color=color)
        if problem.hint:
            print("         " + printable(problem.hint))
    if found.plugin:
        print(printable(f"{found.plugin} {found.version}, a {found.plugin_type} plugin"))
        print_permissions(found.can, found.cannot, found.danger)
    if found.package:
        print(f"sha256 {found.package}")
    if found.statement is not None and not found.statement.problem:
        _print_statement(found.statement)
    count = sum(problem.kind == "problem" for problem in found.problems)
    session.say(f"{_count(count, 'problem')}.")


def _warn(session: Session, package: Path) -> None:
    """Say what is wrong with a package that could be made, and would not work."""
    from tavo.kit.validate import validate as look

    problems = [problem for problem in look(package).problems if problem.kind == "problem"]
    for problem in problems:
        session.say(f"tavo: {problem.where}: {problem.what}")
    if problems:
        session.say("  A marketplace will not take it like this.")


def _print_statement(statement: Statement) -> None:
    keys = ", ".join(statement.key_ids)
    print(printable(f"{statement.file}: every field agrees with the package"))
    print(printable(f"  signed {statement.issued} by key {keys}"))
    if statement.signature == "verified":
        print("  its signature is verified")
    else:
        print("  its signature was not checked: name your key with --public-key HEX")


def _print_line(kind: str, name: str, text: str, *, color: bool) -> None:
    spans = [(_STYLES[kind], kind.ljust(9)), ("", printable(name)), ("", one_line(text))]
    print(styled(spans, color=color))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
