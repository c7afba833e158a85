"""One dynamic plugin against one target: attacks become findings with their evidence.

Rules this module keeps:
- an attack that worked is a finding at `targets/<name>`; one that could not be carried out makes
  the run incomplete, and so does a budget that did not cover all requests, whatever the plugin
  makes of it;
- one cause is one notice;
- what a plugin claims that the target said is compared with what the target was seen to say, and
  the finding says whether it agrees.

Units: sizes in characters.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from marketplace_db.manifest import Limits
from tavo.attack.broker import Purse, TargetLender
from tavo.attack.targets import Target
from tavo.host.dynamic import DynamicOutcome, DynamicWorker
from tavo.host.installations import VerifiedInstallation
from tavo.host.stopping import Stopper
from tavo.plugins import AttackResult, Attempt, Confidence, Finding, Location
from tavo.printable import counted
from tavo.results.values import Exchange, Notice, Reported
from tavo.runs.hosting import Project, lenders_for, notices_of, plugin_run, policy_for
from tavo.runs.outcome import PluginOutcome

__all__ = ["run_dynamic"]

_SHOWN = 2000
_MOST_ERRORS = 3
_MOST_GOALS = 10


def run_dynamic(
    installation: VerifiedInstallation,
    target: Target,
    purse: Purse,
    *,
    accept: Sequence[str],
    config: Mapping[str, Any] | None = None,
    project: Project | None = None,
    stopper: Stopper | None = None,
    limits: Limits | None = None,
    cpu_s: float | None = None,
) -> PluginOutcome:
    """Attack the target with a verified plugin. `project` is what the same run scans.

    `limits` replace those of the manifest; `cpu_s` bounds the processor time of its process.

    Raises SandboxUnavailableError, NotAvailableError, RefusedError, ConfigError: then it did not
    run at all.
    """
    began = time.thread_time()
    exchanges: list[Exchange] = []
    full_id = installation.manifest.full_id
    lender = TargetLender(target, plugin=full_id, purse=purse, record=exchanges.append)
    worker = DynamicWorker(
        installation,
        policy=policy_for(installation, accept),
        config=config,
        lender=lenders_for(installation, {"send": lender}, project=project, stopper=stopper),
        stopper=stopper,
        limits=limits,
        cpu_s=cpu_s,
    )
    with worker:
        outcome = worker.run(name=target.name, model=target.model)
    notices = [
        Notice(kind="plugin", subject=full_id, reason=reason)
        for reason in _not_done(outcome, lender, exchanges, worker.disabled)
    ]
    said = _said(exchanges)
    reported = tuple(
        Reported(
            finding=_finding(result, target.name, worker.threshold, said),
            rule=worker.rules[result.rule_id],
            tool=full_id,
        )
        for result in outcome.results
        if result.score >= worker.threshold
    )
    return PluginOutcome(
        reported=reported,
        run=plugin_run(
            worker,
            installation,
            findings=len(reported),
            host_cpu_s=time.thread_time() - began,
            requests=len(exchanges),
        ),
        notices=(*notices, *notices_of(worker)),
        exchanges=tuple(exchanges),
        output=worker.output,
    )


def _not_done(
    outcome: DynamicOutcome, lender: TargetLender, exchanges: Sequence[Exchange], disabled: str
) -> Iterator[str]:
    """Yield why the attack is not complete; what the plugin says about it comes second."""
    known = [cause for cause in (disabled, lender.given_up) if cause]
    if lender.refused:
        known.append(lender.refusal)
        yield (
            f"{lender.refusal}: {counted(lender.refused, 'request')} more"
            f" {'was' if lender.refused == 1 else 'were'} asked for and not sent, so not"
            " everything was tried"
        )
    errors = Counter(one.error for one in exchanges if one.response is None)
    for error, number in errors.most_common(_MOST_ERRORS):
        known.append(error)
        yield f"{number} of {counted(len(exchanges), 'request')} failed: {error}"
    said = False
    for failure in outcome.failures:
        if not any(cause in failure.reason for cause in known):
            said = True
            yield failure.reason
    stopped = []
    for result in outcome.results:
        if result.error and any(cause in result.error for cause in known):
            stopped.append(result.goal)
        elif result.error:
            said = True
            yield f"{result.goal}: {result.error}"
    if stopped:
        more = f" and {len(stopped) - _MOST_GOALS} more" if len(stopped) > _MOST_GOALS else ""
        yield f"goals not tried to the end: {'; '.join(stopped[:_MOST_GOALS])}{more}"
    if not exchanges and not said and not known:
        yield "it asked the target nothing"


def _said(exchanges: Sequence[Exchange]) -> frozenset[str]:
    """Return every answer that the target was seen to give, as the plugin may quote it."""
    return frozenset(
        message["content"].strip()
        for one in exchanges
        if one.response is not None
        for message in one.response["messages"]
    )


def _finding(result: AttackResult, target: str, threshold: float, said: frozenset[str]) -> Finding:
    best = max(result.attempts, key=lambda attempt: attempt.score, default=None)
    quoted = best is not None and _is_quoted(best, said)
    evidence = {
        "score": f"{result.score:.2f}",
        "threshold": f"{threshold:.2f}",
        "attempts": str(len(result.attempts)),
        "seen by the host": "yes" if quoted else "no",
    }
    if best is not None:
        evidence["prompt"] = best.prompt[:_SHOWN]
        evidence["answer"] = "\n".join(best.outputs)[:_SHOWN]
    return Finding(
        rule_id=result.rule_id,
        message=f"The target gave in: {result.goal}"
        + ("" if quoted else " (so says the plugin; tavo saw no such answer)"),
        severity=result.severity,
        confidence=Confidence.HIGH if quoted else Confidence.LOW,
        location=Location(path=PurePosixPath("targets", target), snippet=result.goal),
        evidence=evidence,
    )


def _is_quoted(attempt: Attempt, said: frozenset[str]) -> bool:
    outputs = [output.strip() for output in attempt.outputs if output.strip()]
    return bool(outputs) and all(output in said for output in outputs)
