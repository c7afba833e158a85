"""The gate of a scan: suppressions, baseline and policy on what a run has found, in this order.

Rules this module keeps:
- all of it is chosen by whoever runs the scan, and read before the scan is begun;
- what it decides is stored with the findings: every report shows the same;
- a policy that fails makes the run incomplete, and so does nothing else here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tavo import __version__
from tavo.plugins import Confidence, Severity
from tavo.results.gate import allow
from tavo.results.values import Absent, Gate, Notice, PluginRun, Reported

if TYPE_CHECKING:
    from tavo.results.baseline import Baseline
    from tavo.results.policy.files import PolicyFiles
    from tavo.runs.suppressions import Suppressions

__all__ = ["GatePlan", "Judged", "judge"]

_LOWEST = Severity.LOW
_LEAST = Confidence.LOW


class GatePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is judged by besides `fail_on`. `allow_incomplete` are names that may fail."""

    fail_on_confidence: Confidence = _LEAST
    suppressions: Suppressions | None = None
    baseline: Baseline | None = None
    write_baseline: Path | None = None
    policy: PolicyFiles | None = None
    allow_incomplete: tuple[str, ...] = ()


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is after its gate. `unseen` are entries of the baseline not looked at."""

    findings: Sequence[Reported]
    notices: Sequence[Notice]
    gate: Gate
    unseen: Sequence[Absent] = ()


def judge(
    plan: GatePlan,
    findings: Sequence[Reported],
    notices: Sequence[Notice],
    plugins: Sequence[PluginRun],
    *,
    fail_on: Severity = _LOWEST,
    files: int,
    rules: int,
    looked: Callable[[str, str], bool],
) -> Judged:
    """Apply a plan to what a run has found.

    `looked` tells of a tool and a path whether that tool looked at that file, or the file is gone.
    """
    said = list(notices)
    absent: list[Absent] = []
    unseen: list[Absent] = []
    if plan.suppressions is not None:
        findings = plan.suppressions.applied(findings)
        said += plan.suppressions.notices
    if plan.baseline is not None:
        from tavo.results.baseline import compared

        findings, absent, unseen = compared(findings, plan.baseline, looked)
    said = allow(said, plan.allow_incomplete, _ids(plugins))
    gate = Gate(
        fail_on=fail_on.value,
        fail_on_confidence=plan.fail_on_confidence.value,
        baseline="" if plan.baseline is None else plan.baseline.name,
        absent=tuple(absent),
    )
    if plan.policy is not None:
        gate, more = _with_policy(
            gate, plan.policy, findings, said, plugins, files=files, rules=rules
        )
        said += more
    return Judged(findings=findings, notices=said, gate=gate, unseen=unseen)


def _with_policy(
    gate: Gate,
    policy: PolicyFiles,
    findings: Sequence[Reported],
    notices: Sequence[Notice],
    plugins: Sequence[PluginRun],
    *,
    files: int,
    rules: int,
) -> tuple[Gate, list[Notice]]:
    from msgspec.structs import replace

    from tavo.errors import TavoError
    from tavo.results.policy.documents import documents
    from tavo.results.policy.evaluate import PolicyOutcome, evaluated

    seen = documents(findings, notices, plugins, files=files, rules=rules, tool_version=__version__)
    try:
        outcome = evaluated(policy, seen, findings)
    except TavoError as error:  # it was fine before the scan; what was found is kept
        outcome = PolicyOutcome(evaluator="", problem=str(error))
    gate = replace(
        gate, policy=policy.names, evaluator=outcome.evaluator, policy_results=outcome.results
    )
    if not outcome.problem:
        return gate, []
    reason = f"it did not come to an end: {outcome.problem}"
    return gate, [Notice(kind="policy", subject=", ".join(policy.names), reason=reason)]


def _ids(plugins: Sequence[PluginRun]) -> Collection[str]:
    return {one.plugin for one in plugins}
