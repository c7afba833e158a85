"""One dynamic plugin against one target: attacks become findings with their evidence.

Rules this module keeps:
- an attack that worked is a finding at `targets/<name>`; one that could not be carried out makes
  the run incomplete;
- what a plugin claims that the target said is compared with what the target was seen to say, and
  the finding says whether it agrees.

Units: sizes in characters.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from tavo.attack.broker import Purse, TargetLender
from tavo.attack.targets import HttpTarget
from tavo.host.dynamic import DynamicWorker
from tavo.host.installations import VerifiedInstallation
from tavo.host.stopping import Stopper
from tavo.plugins import AttackResult, Attempt, Confidence, Finding, Location
from tavo.results.values import Exchange, Notice, Reported
from tavo.runs.hosting import lenders_for, notices_of, plugin_run, policy_for
from tavo.runs.outcome import PluginOutcome

__all__ = ["run_dynamic"]

_SHOWN = 2000


def run_dynamic(
    installation: VerifiedInstallation,
    target: HttpTarget,
    purse: Purse,
    *,
    accept: Sequence[str],
    config: Mapping[str, Any] | None = None,
    stopper: Stopper | None = None,
) -> PluginOutcome:
    """Attack the target with a verified plugin.

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
        lender=lenders_for(installation, {"send": lender}),
        stopper=stopper,
    )
    with worker:
        outcome = worker.run(name=target.name, model=target.model)
    notices = [
        Notice(kind="plugin", subject=full_id, reason=failure.reason)
        for failure in outcome.failures
        if failure.reason != worker.disabled
    ]
    notices += [
        Notice(kind="plugin", subject=full_id, reason=f"{result.goal}: {result.error}")
        for result in outcome.results
        if result.error
    ]
    unanswered = [one for one in exchanges if one.response is None]
    if unanswered:
        reason = f"{len(unanswered)} of {len(exchanges)} requests failed: {unanswered[0].error}"
        notices.append(Notice(kind="plugin", subject=full_id, reason=reason))
    elif not exchanges and not notices and not worker.disabled:
        notices.append(Notice(kind="plugin", subject=full_id, reason="it asked the target nothing"))
    said = _said(exchanges)
    reported = tuple(
        Reported(
            finding=_finding(result, target.name, worker.threshold, said),
            rule=worker.rules[result.rule_id],
            tool=full_id,
        )
        for result in outcome.results
        if result.score >= worker.threshold and not result.error
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
    )


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
        message=f"The target gave in: {result.goal}",
        severity=result.severity,
        confidence=Confidence.HIGH if quoted else Confidence.LOW,
        location=Location(path=PurePosixPath("targets", target), snippet=result.goal),
        evidence=evidence,
    )


def _is_quoted(attempt: Attempt, said: frozenset[str]) -> bool:
    outputs = [output.strip() for output in attempt.outputs if output.strip()]
    return bool(outputs) and all(output in said for output in outputs)
