"""One finding out of two: what a scan saw in the code, and an attack that went through it.

Rules this module keeps:
- probe and rule are about the same weakness where the probe names the rule in `code`, and only
  there; which of several places it was nobody can tell, so all are named;
- the finding of the attack stays, and is as bad as the worse of the two; where both are in one run,
  those in the code do not count a second time;
- only the newest scan of a store says what is in the code;
- what only a judge says confirms nothing: its word would take what is in the code out of the count.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from tavo.attack.probes import Probe
from tavo.plugins import Confidence, Finding, Step
from tavo.results.store import ResultStore
from tavo.results.values import CONFIRMS, Reported, Run, Suppression

__all__ = ["confirmed", "counted_once", "in_the_code"]

_MOST = 20
_COMMANDS = frozenset({"scan", "attack", "pipeline", "logs", "proxy", "results", "plugin"})


def in_the_code(store: ResultStore, *, before: int) -> list[Reported]:
    """Return what the newest scan of a store found, of those before a run."""
    for run in store.runs():
        if run.id < before and run.finished_at and _is_scan(store.run(run.id)):
            return list(store.findings(run.id))
    return []


def confirmed(
    found: Iterable[Reported], probes: Mapping[str, Probe], code: Sequence[Reported]
) -> list[Reported]:
    """Return the findings of an attack, each with the places in the code that it confirms."""
    return [
        _with_code(one, places) if (places := _same(one, probes, code)) else one for one in found
    ]


def counted_once(
    found: Iterable[Reported], probes: Mapping[str, Probe], code: Sequence[Reported]
) -> list[Reported]:
    """Return the findings in the code that an attack of the same run confirms, as not counting."""
    by: dict[str, tuple[Reported, Reported]] = {}
    for one in found:
        for place in _same(one, probes, code):
            by.setdefault(place.fingerprint, (place, one))
    return [
        replace(
            place,
            suppression=Suppression(
                kind="external", line=0,
                reason=f"counted in {attack.rule.id} at {attack.finding.location.path},"
                " the attack that confirms it",
            ),
        )
        for place, attack in by.values()
        if place.suppression is None
    ]  # fmt: skip


def _is_scan(run: Run) -> bool:
    """Tell whether rules looked at files in a run: those of an attack alone are its probes."""
    command = next((word for word in run.info.command if word in _COMMANDS), "scan")
    return command == "scan" and run.info.rules > len(run.probes)


def _same(
    attack: Reported, probes: Mapping[str, Probe], code: Sequence[Reported]
) -> list[Reported]:
    """Return what is in the code of the weakness that an attack has shown, the worst first."""
    if attack.finding.confidence is not Confidence.HIGH:
        return []
    probe = probes[attack.rule.id]
    places = [
        one
        for one in code
        if one.tool == "tavo" and one.rule.id in probe.code and one.finding.location.region
    ]
    return sorted(places, key=lambda one: -one.finding.severity.rank)


def _with_code(one: Reported, places: Sequence[Reported]) -> Reported:
    shown = places[:_MOST]
    named = [f"{_place(place.finding)} ({place.rule.id})" for place in shown]
    more = f" and {len(places) - _MOST} more" if len(places) > _MOST else ""
    finding = dataclasses.replace(
        one.finding,
        message=f"Confirmed, in the code and by an attack. {one.finding.message} The code has this"
        f" weakness: {', '.join(named[:3])}{'' if len(places) <= 3 else ' and more'}.",
        severity=max(one.finding.severity, *(place.finding.severity for place in shown)),
        evidence={**one.finding.evidence, CONFIRMS: ", ".join(named) + more},
        flow=tuple(
            Step(
                location=place.finding.location,
                message=f"the same weakness in the code: {place.rule.title} ({place.rule.id},"
                f" {place.fingerprint[:12]})",
            )
            for place in shown
        ),
    )
    return replace(one, finding=finding)


def _place(finding: Finding) -> str:
    region = finding.location.region
    return f"{finding.location.path}{'' if region is None else f':{region.start_line}'}"
