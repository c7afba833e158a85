"""One attack as a stored run: what each probe gave becomes findings, what was not done notices.

Rules this module keeps:
- an attack that worked is a finding at `targets/<name>`, with the words that showed it;
- a finding of a scan in the same store that is about the same weakness is named in it, and the
  other way round what an attack confirmed is sure.

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
from tavo.runs.gate import GatePlan

__all__ = ["AttackPlan", "chosen", "run_attack"]

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


def run_attack(
    plan: AttackPlan, store: ResultStore, reporter: Reporter
) -> tuple[int, ExitCode, AttackReport]:
    """Attack, store, judge; return the run's number, the exit code and the report.

    Raises InputError for a transcript that cannot be gone on with, before anything is sent.
    """
    purse = Purse(plan.budget)
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
    run = CombinedRun(
        store, command=plan.command, root=Path.cwd(), rules=len(plan.probes), largest=1 << 20
    )
    run.note(_notices(report, plan))
    found = [
        _finding(probes[one.probe], one, plan.target.name, plan.options)
        for one in report.probes
        if one.worked
    ]
    run.add_records(found, [f"targets/{plan.target.name}"])
    code = run.finish(fail_on=plan.fail_on, exit_zero=plan.exit_zero, plan=plan.gate)
    return run.id, code, report


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
