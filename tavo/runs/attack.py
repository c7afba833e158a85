"""One attack as a stored run: what each probe gave becomes findings, what was not done notices.

Rules this module keeps:
- an attack that worked is a finding at `targets/<name>`, with the words that showed it;
- where a scan found the same weakness in the code, the two are one finding.

Units: sizes in characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from tavo.attack.broker import Budget, Purse
from tavo.attack.engine import JUDGE_FAILED, Attempted, Judge, Options, Probed, attack, lacks
from tavo.attack.judging import UNCLEAR, YES, ModelJudge
from tavo.attack.probes import Probe
from tavo.attack.report import AttackReport, compared, report_of
from tavo.attack.targets import Target
from tavo.attack.transcript import Transcript
from tavo.errors import ExitCode
from tavo.plugins import Confidence, Finding, Location, Severity
from tavo.progress import Reporter
from tavo.results.store import ResultStore
from tavo.results.values import Notice, ProbeResult, Reported
from tavo.runs.combined import CombinedRun
from tavo.runs.confirmed import in_the_code
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
    judge: Target | None = None
    before: AttackReport | None = None
    command: tuple[str, ...] = ()
    fail_on: Severity = Severity.LOW
    exit_zero: bool = False
    gate: GatePlan | None = None


class Attacked(msgspec.Struct, frozen=True, kw_only=True):
    """What an attack gave, before it is stored."""

    report: AttackReport
    reported: tuple[Reported, ...]
    notices: tuple[Notice, ...]
    results: tuple[ProbeResult, ...]

    @property
    def looked(self) -> str:
        """Return what was looked at, as findings name it."""
        return f"targets/{self.report.target}"


def carry_out(plan: AttackPlan, purse: Purse, reporter: Reporter) -> Attacked:
    """Attack, within what is in a purse.

    Raises InputError for a transcript that cannot be gone on with, before anything is sent.
    """
    probes = {probe.id: probe for probe in plan.probes}
    judged: Judge | None = None
    if plan.judge is not None:
        judged = ModelJudge(
            plan.judge, purse, {probe.id: probe.goal for probe in plan.probes},
            seed=plan.options.seed, retries=plan.options.retries, model=plan.judge.model,
        )  # fmt: skip
    if plan.transcript is None:
        probed, stopped = attack(
            plan.target, plan.probes, purse, plan.options, judged=judged, reporter=reporter
        )
    else:
        with Transcript(
            plan.transcript, target=plan.target.name, probes=plan.probes, options=plan.options,
            resume=plan.resume,
        ) as transcript:  # fmt: skip
            probed, stopped = attack(
                plan.target, plan.probes, purse, plan.options, done=transcript.done,
                record=transcript.record, judged=judged, reporter=reporter,
            )  # fmt: skip
    report = report_of(plan.target.name, plan.options, probed, stopped)
    found = [
        _finding(probes[one.probe], one, plan.target.name, plan.options)
        for one in report.probes
        if one.worked or one.judged
    ]
    return Attacked(
        report=report, reported=tuple(found), notices=tuple(_notices(report, plan)),
        results=tuple(_results(report, plan)),
    )  # fmt: skip


def run_attack(
    plan: AttackPlan, store: ResultStore, reporter: Reporter
) -> tuple[int, ExitCode, AttackReport]:
    """Attack, store, judge; return the run's number, the exit code and the report.

    Raises InputError for a transcript that cannot be gone on with, before anything is sent.
    """
    purse = Purse(plan.budget)
    made = carry_out(plan, purse, reporter)
    if plan.budget.prices:
        reporter.note(
            f"spent: {purse.requests} requests, {purse.tokens} tokens, {purse.cost:.4f} US dollars"
        )
    run = CombinedRun(
        store, command=plan.command, root=Path.cwd(), rules=len(plan.probes), largest=1 << 20
    )
    probes = {probe.id: probe for probe in plan.probes}
    run.add_attack(made, probes, earlier=in_the_code(store, before=run.id))
    verdict = run.finish(fail_on=plan.fail_on, exit_zero=plan.exit_zero, plan=plan.gate)
    return run.id, verdict, made.report


def _results(report: AttackReport, plan: AttackPlan) -> Iterable[ProbeResult]:
    probes = {probe.id: probe for probe in plan.probes}
    before = plan.before
    old = {one.probe: one for one in before.probes} if before is not None else {}
    changes = {one.probe: one for one in compared(before, report)} if before is not None else {}
    for one in report.probes:
        result = ProbeResult(
            target=report.target, probe=one.probe, severity=probes[one.probe].severity.lower(),
            tried=one.tried, worked=one.worked, judged=one.judged, failed=one.failed, low=one.low,
            high=one.high, ended=one.ended,
        )  # fmt: skip
        if one.probe in changes:
            result = msgspec.structs.replace(
                result, verdict=changes[one.probe].verdict, chance=changes[one.probe].chance
            )
        if (earlier := old.get(one.probe)) is not None:
            result = msgspec.structs.replace(
                result, before_tried=earlier.tried, before_worked=earlier.worked,
                before_low=earlier.low, before_high=earlier.high,
            )  # fmt: skip
        yield result


def _notices(report: AttackReport, plan: AttackPlan) -> Iterable[Notice]:
    subject = f"targets/{report.target}"
    if report.stopped:
        left = sum(one.tried < report.attempts and one.ended == "budget" for one in report.probes)
        reason = (
            f"{report.stopped}; {left} of {len(report.probes)} probes were not tried to the end"
        )
        yield Notice(kind="plugin", subject=subject, reason=reason)
    if all(one.ended == "not applicable" for one in report.probes):
        reason = "none of the probes could be tried here, so nothing is known about it"
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
    unjudged = [attempt.judged for attempt in made if JUDGE_FAILED in attempt.judged]
    if unjudged:
        answers = "answer was" if len(unjudged) == 1 else "answers were"
        yield Notice(
            kind="plugin", subject=subject,
            reason=f"{len(unjudged)} {answers} not judged: {unjudged[0]}",
        )  # fmt: skip
    if unclear := sum(attempt.judged == UNCLEAR for attempt in made):
        yield Notice(
            kind="plugin", subject=subject, incomplete=False,
            reason=f"of {unclear} answers the judge {plan.options.judge} said neither yes nor no",
        )  # fmt: skip
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
    first = next(
        attempt for attempt in one.attempts
        if (attempt.worked if one.worked else attempt.judged == YES)
    )  # fmt: skip
    judged = f"{one.judged} of {one.tried} attempts, by {options.judge} and no evidence"
    evidence: dict[str, str] = {
        "worked": f"{one.worked} of {one.tried} attempts",
        "share": f"{one.low:.0%} to {one.high:.0%} with 95 % confidence",
        "why": first.worked or f"{options.judge} says so",
        **({"judged": judged} if one.judged else {}),
        "variant": first.variant,
        "seed": str(options.seed),
        "attempt": str(first.number),
        "prompt": (first.prompts[-1] if probe.server else _conversation(first))[:_SHOWN],
        "answer": first.answers[-1][:_SHOWN] if first.answers else "",
    }
    return Reported(
        finding=Finding(
            rule_id=probe.id,
            message=f"The target gave in: {probe.goal} {one.worked} of {one.tried} attempts worked."
            if one.worked
            else f"A judge says that the target gave in, and no evidence does: {probe.goal}"
            f" {one.judged} of {one.tried} attempts, says {options.judge}.",
            severity=probe.rule.severity,
            confidence=Confidence.HIGH if one.worked else Confidence.LOW,
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
