"""One attack as a stored run: what each probe gave becomes findings, what was not done notices.

Rules this module keeps:
- an attack that worked is a finding at `targets/<name>`, with the words that showed it;
- where a scan found the same weakness in the code, the two are one finding.

Units: sizes in characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from tavo.attack.broker import Budget, Purse
from tavo.attack.engine import Attempted, Judge, Options, Probed, attack, lacks
from tavo.attack.probes import Probe
from tavo.attack.report import AttackReport, report_of
from tavo.attack.targets import Target
from tavo.attack.transcript import Transcript
from tavo.errors import ExitCode
from tavo.plugins import Confidence, Finding, Location, Severity
from tavo.progress import Reporter
from tavo.results.store import ResultStore
from tavo.results.values import Notice, Reported
from tavo.runs.combined import CombinedRun
from tavo.runs.confirmed import confirmed, in_the_code
from tavo.runs.gate import GatePlan

__all__ = ["AttackPlan", "Attacked", "carry_out", "chosen", "fitting", "run_attack"]

_SHOWN = 2000


class AttackPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What an attack is asked to do."""

    target: Target
    probes: tuple[Probe, ...]
    options: Options
    budget: Budget
    transcript: Path | None = None
    resume: bool = False
    judged: Judge | None = None
    command: tuple[str, ...] = ()
    fail_on: Severity = Severity.LOW
    exit_zero: bool = False
    gate: GatePlan | None = None


class Attacked(msgspec.Struct, frozen=True, kw_only=True):
    """What an attack gave, before it is stored."""

    report: AttackReport
    reported: tuple[Reported, ...]
    notices: tuple[Notice, ...]

    @property
    def looked(self) -> str:
        """Return what was looked at, as findings name it."""
        return f"targets/{self.report.target}"


def carry_out(plan: AttackPlan, purse: Purse, reporter: Reporter) -> Attacked:
    """Attack, within what is in a purse.

    Raises InputError for a transcript that cannot be gone on with, before anything is sent.
    """
    probes = {probe.id: probe for probe in plan.probes}
    if plan.transcript is None:
        probed, stopped = attack(
            plan.target, plan.probes, purse, plan.options, judged=plan.judged, reporter=reporter
        )
    else:
        with Transcript(
            plan.transcript, target=plan.target.name, probes=plan.probes, options=plan.options,
            resume=plan.resume,
        ) as transcript:  # fmt: skip
            probed, stopped = attack(
                plan.target, plan.probes, purse, plan.options, done=transcript.done,
                record=transcript.record, judged=plan.judged, reporter=reporter,
            )  # fmt: skip
    report = report_of(plan.target.name, plan.options, probed, stopped)
    found = [
        _finding(probes[one.probe], one, plan.target.name, plan.options)
        for one in report.probes
        if one.worked
    ]
    return Attacked(report=report, reported=tuple(found), notices=tuple(_notices(report, plan)))


def run_attack(
    plan: AttackPlan, store: ResultStore, reporter: Reporter
) -> tuple[int, ExitCode, AttackReport]:
    """Attack, store, judge; return the run's number, the exit code and the report.

    Raises InputError for a transcript that cannot be gone on with, before anything is sent.
    """
    made = carry_out(plan, Purse(plan.budget), reporter)
    run = CombinedRun(
        store, command=plan.command, root=Path.cwd(), rules=len(plan.probes), largest=1 << 20
    )
    run.note(made.notices)
    probes = {probe.id: probe for probe in plan.probes}
    code = in_the_code(store, before=run.id)
    run.add_records(confirmed(made.reported, probes, code), [made.looked])
    verdict = run.finish(fail_on=plan.fail_on, exit_zero=plan.exit_zero, plan=plan.gate)
    return run.id, verdict, made.report


def _notices(report: AttackReport, plan: AttackPlan) -> Iterable[Notice]:
    subject = f"targets/{report.target}"
    if report.stopped:
        left = sum(one.tried < report.attempts and one.ended == "budget" for one in report.probes)
        reason = (
            f"{report.stopped}; {left} of {len(report.probes)} probes were not tried to the end"
        )
        yield Notice(kind="plugin", subject=subject, reason=reason)
    made = [attempt for one in report.probes for attempt in one.attempts]
    refusal = next((attempt.refused for attempt in made if attempt.refused), "")
    if refusal and not any(attempt.answers for attempt in made):
        reason = f"no request was answered, so it is not known whether a guard held: {refusal}"
        yield Notice(kind="plugin", subject=subject, reason=reason)
    errors: dict[str, int] = {}
    for attempt in made:
        if attempt.failed:
            errors[attempt.failed] = errors.get(attempt.failed, 0) + 1
    for error, number in sorted(errors.items(), key=lambda item: -item[1])[:3]:
        attempts = "attempt was" if number == 1 else "attempts were"
        yield Notice(
            kind="plugin", subject=subject, reason=f"{number} {attempts} not carried out: {error}"
        )
    skipped: dict[str, list[str]] = {}
    for probe in plan.probes:
        if reason := lacks(plan.target, probe, plan.options):
            skipped.setdefault(reason, []).append(probe.id)
    for reason, names in skipped.items():
        yield Notice(
            kind="plugin", subject=subject, incomplete=False,
            reason=f"not tried, for {reason}: {', '.join(names)}",
        )  # fmt: skip
    left_alone = sorted(getattr(plan.target, "left_alone", ()))
    if left_alone:
        yield Notice(
            kind="plugin", subject=subject, incomplete=False,
            reason=f"tools that were not called, for what they may destroy or send (`calls: all` in"
            f" the target file has them called): {', '.join(map(repr, left_alone))}"[:2000],
        )  # fmt: skip


def _finding(probe: Probe, one: Probed, target: str, options: Options) -> Reported:
    first = next(attempt for attempt in one.attempts if attempt.worked)
    evidence: Mapping[str, str] = {
        "worked": f"{one.worked} of {one.tried} attempts",
        "share": f"{one.low:.0%} to {one.high:.0%} with 95 % confidence",
        "why": first.worked,
        "variant": first.variant,
        "seed": str(options.seed),
        "attempt": str(first.number),
        "prompt": (first.prompts[-1] if probe.server else _conversation(first))[:_SHOWN],
        "answer": first.answers[-1][:_SHOWN] if first.answers else "",
    }
    return Reported(
        finding=Finding(
            rule_id=probe.id,
            message=f"The target gave in: {probe.goal}"
            f" {one.worked} of {one.tried} attempts worked.",
            severity=probe.rule.severity,
            confidence=Confidence.HIGH,
            location=Location(path=PurePosixPath("targets", target), snippet=probe.title),
            evidence=evidence,
        ),
        rule=probe.rule,
    )


def _conversation(attempt: Attempted) -> str:
    return "\n---\n".join(attempt.prompts)


def chosen(probes: Sequence[Probe], names: Sequence[str]) -> list[Probe]:
    """Return the probes of these ids and families; all of them without names."""
    if not names:
        return list(probes)
    return [probe for probe in probes if probe.id in names or probe.family in names]


def fitting(target: Target, probes: Sequence[Probe]) -> list[Probe]:
    """Return the probes that are for what a target is: a server of tools, or a model."""
    from tavo.attack.mcp.target import McpTarget

    is_server = isinstance(target, McpTarget)
    return [probe for probe in probes if bool(probe.server) == is_server]
