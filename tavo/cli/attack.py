"""`tavo attack`: ask a running model, agent or application what an attacker would ask it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
from tavo.cli.render import table
from tavo.cli.results import Format, Output, ReportFormat, reports_of, writable, write_reports
from tavo.errors import UsageError, worst

if TYPE_CHECKING:
    from tavo.attack.probes import Probe
    from tavo.attack.report import AttackReport, Change
    from tavo.attack.targets import Target
    from tavo.llm.prices import Price

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command("attack")(attack)


def attack(
    context: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(metavar="[TARGET]", help="An address, or a YAML file that describes one."),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the probes and stop.")] = False,
    probe: Annotated[
        list[str] | None,
        typer.Option("--probe", metavar="ID", help="Only this probe or family; may be repeated."),
    ] = None,
    pack: Annotated[
        Path | None,
        typer.Option("--pack", metavar="FOLDER", help="Probes of your own, instead of ours."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="The same attack again.")] = 0,
    attempts: Annotated[
        int, typer.Option("--attempts", metavar="N", min=1, max=10_000, help="For each probe.")
    ] = 6,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold",
            metavar="SHARE",
            min=0.001,
            max=0.999,
            help="A probe ends early when it is clear on which side of this share it is.",
        ),
    ] = 0.1,
    no_early_stop: Annotated[
        bool, typer.Option("--no-early-stop", help="Make all attempts of each probe.")
    ] = False,
    max_requests: Annotated[
        int, typer.Option("--max-requests", metavar="N", min=1, help="All together.")
    ] = 1000,
    max_tokens: Annotated[
        int,
        typer.Option(
            "--max-tokens",
            metavar="N",
            min=0,
            help="As the target counts, which it has to then; 0: no limit.",
        ),
    ] = 0,
    max_cost: Annotated[
        float,
        typer.Option(
            "--max-cost", metavar="DOLLARS", min=0, help="By --prices, with the judge; 0: no limit."
        ),
    ] = 0.0,
    prices: Annotated[
        Path | None,
        typer.Option(
            "--prices",
            metavar="FILE",
            help="US dollars for a million tokens, by model: the `prices` of a proxy.yaml.",
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge",
            metavar="TARGET",
            help="Who is asked, by a model of its own, where no evidence decides.",
        ),
    ] = None,
    max_time: Annotated[
        float, typer.Option("--max-time", metavar="SECONDS", min=1, help="All together.")
    ] = 1800.0,
    at_a_time: Annotated[
        int, typer.Option("--at-a-time", metavar="N", min=1, max=256, help="Requests at a time.")
    ] = 4,
    rate: Annotated[
        float, typer.Option("--rate", metavar="N", min=0, help="Requests in a second; 0: no limit.")
    ] = 0.0,
    retries: Annotated[
        int, typer.Option("--retries", metavar="N", min=0, max=20, help="After a passing failure.")
    ] = 2,
    transcript: Annotated[
        Path | None,
        typer.Option(
            "--transcript", metavar="FILE", help="Write each attempt down, as JSON lines."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the transcript of an interrupted attack.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write what each probe gave, as JSON."),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option("--compare", metavar="FILE", help="An earlier report to compare with."),
    ] = None,
    format: ReportFormat = None,  # noqa: A002
    output: Output = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Add the run to a result store.")
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
    """Attack what you named; exit 0 it held, 1 it gave in, 4 not complete."""
    from tavo.attack.probes import PACK, load_probes

    session = session_of(context)
    probes = _chosen(load_probes(pack or PACK, of="all"), probe or [])
    if listed:
        _list(session, probes)
        return
    if target is None:
        raise UsageError(
            "attack: nothing is named to attack",
            hint="Name an address such as http://localhost:8000/v1, or a target file.",
        )
    if resume and transcript is None:
        raise UsageError("attack: --resume needs --transcript", hint="Name the file to go on with.")
    from tavo.attack.broker import Budget
    from tavo.attack.engine import Options
    from tavo.attack.report import as_json, compared, read_report
    from tavo.attack.targets import open_target
    from tavo.results.store import ResultStore
    from tavo.runs.attack import AttackPlan, run_attack

    flags = gate_flags(
        fail_on=fail_on, fail_on_confidence=fail_on_confidence, suppressions=suppressions,
        policy=policy, data=data, allow_incomplete=allow_incomplete,
    )  # fmt: skip
    settings = session.settings(**flags)
    printed = Format.JSON if session.json else Format.TEXT
    reports = reports_of(format, output, printed=printed, save=save)
    gate = gate_plan(
        settings.scan, baseline, write_baseline, policy=policy, data=data, suppressions=suppressions
    )
    before = read_report(compare) if compare is not None else None
    written = writable(str(report), str(report)) if report is not None else None
    opened = open_target(target, os.environ)
    asked = open_target(judge, os.environ) if judge is not None else None
    try:
        probes = _for(opened, probes)
        paid = _prices(prices, max_cost, [opened, *([asked] if asked is not None else [])])
        if asked is not None and probes[0].server:
            raise UsageError(
                "attack: --judge judges what a model says, and this is a server of tools",
                hint="Leave it out: what servers do is seen without one.",
            )
        plan = AttackPlan(
            target=opened,
            probes=tuple(probes),
            options=Options(
                seed=seed, attempts=attempts, at_a_time=at_a_time, per_second=rate,
                retries=retries, threshold=threshold, stop_early=not no_early_stop,
                application=opened.application, secrets=opened.secrets,
                judge="" if asked is None else asked.name,
            ),
            budget=Budget(
                requests=max_requests, tokens=max_tokens, time_s=max_time, cost=max_cost,
                prices=paid,
            ),
            judge=asked,
            before=before,
            transcript=transcript,
            resume=resume,
            command=tuple(sys.argv[1:]),
            fail_on=settings.scan.fail_on,
            exit_zero=exit_zero,
            gate=gate,
        )  # fmt: skip
        with ResultStore(save) as store:
            run_id, code, result = run_attack(plan, store, session.reporter())
            if written is not None:
                from signing.files import write_atomically

                write_atomically(written, as_json(result))
            if not session.json and not format:
                _show(session, result, probes)
            if before is not None:
                _show_changes(session, compared(before, result))
            code = worst((code, write_reports(store, run_id, reports, session)))
    except KeyboardInterrupt:
        if transcript is not None and transcript.exists():
            session.say(f"{transcript} holds what was made: go on with it by --resume.")
        raise
    finally:
        opened.close()
        if asked is not None:
            asked.close()
    raise typer.Exit(int(code))


def _chosen(probes: list[Probe], names: list[str]) -> list[Probe]:
    from tavo.runs.attack import chosen

    known = {one.id for one in probes} | {one.family for one in probes}
    for name in names:
        if name not in known:
            import difflib

            near = difflib.get_close_matches(name, sorted(known), n=1)
            raise UsageError(
                f"attack: there is no probe and no family {name!r}",
                hint=f"Did you mean {near[0]}?" if near else "`tavo attack --list` lists them.",
            )
    return chosen(probes, names)


def _for(target: Target, probes: list[Probe]) -> list[Probe]:
    """Return the probes for what a target is. Raises UsageError if there are none."""
    from tavo.runs.attack import fitting

    found = fitting(target, probes)
    if not found:
        raise UsageError(
            f"attack: none of these probes is for what {target.name} is",
            hint="`tavo attack --list` lists them; those named mcp-… are for MCP servers.",
        )
    return found


def _prices(path: Path | None, most: float, targets: Sequence[Target]) -> dict[str, Price]:
    """Return the prices of what is asked. Raises UsageError where a limit could not be kept."""
    if path is None:
        if most:
            raise UsageError(
                "attack: --max-cost needs --prices",
                hint="Name a file with `prices: {small: {input: 0.5, output: 1.5}}`.",
            )
        return {}
    from tavo.attack.pricing import read_prices
    from tavo.llm.prices import price_of

    known = read_prices(path)
    for one in targets:
        if most and price_of(known, one.model) is None:
            raise UsageError(
                f"attack: {path}: has no price for the model {one.model!r} of {one.name}",
                hint="Add it, or name the model with `model:` in the target file.",
            )
    return known


def _list(session: Session, probes: list[Probe]) -> None:
    if session.json:
        session.print_json([
            {"id": one.id, "family": one.family, "severity": one.severity.lower(),
             "title": one.title, "owasp": one.owasp, "atlas": one.atlas, "cwe": one.cwe,
             "variants": one.variants, "prompts": len(one.prompts)}
            for one in probes
        ])  # fmt: skip
        return
    table(
        ("probe", "family", "severity", "goal"),
        [(one.id, one.family, one.severity.lower(), one.goal) for one in probes],
        color=session.color,
    )


def _show(session: Session, result: AttackReport, probes: list[Probe]) -> None:
    from tavo.attack.report import text_of

    table(
        ("severity", "probe", "worked", "95 % interval", "ended"),
        text_of(result, probes),
        color=session.color,
    )


def _show_changes(session: Session, changes: list[Change]) -> None:
    table(
        ("probe", "before", "now", "by chance", "verdict"),
        [(one.probe, one.before, one.now, f"{one.chance:.3f}", one.verdict) for one in changes],
        color=session.color,
    )
