"""What turns a run into pass or fail.

Rules this module keeps:
- a suppressed finding never counts, nor one that the baseline knows;
- an incomplete run is never a pass, except where the one who runs it named the part that may fail;
- the built-in engine cannot be named as such a part;
- what a policy denies fails the run, whatever the thresholds say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from msgspec.structs import replace

from tavo.errors import ExitCode, UsageError
from tavo.plugins import Confidence, Severity
from tavo.results.values import Notice, PolicyResult, Reported

__all__ = ["allow", "check_allowed", "denies", "verdict"]

_NEVER_ALLOWED = frozenset({"engine", "policy"})
_LEAST = Confidence.LOW


def verdict(
    findings: Iterable[Reported],
    *,
    complete: bool,
    fail_on: Severity,
    fail_on_confidence: Confidence = _LEAST,
    denied: bool = False,
    exit_zero: bool = False,
) -> ExitCode:
    """Return the exit code of a finished run.

    `complete` is false where something that was not allowed to fail failed. `denied` says that a
    policy did not let it pass. `exit_zero` turns findings, and nothing else, into success.
    """
    if not complete:
        return ExitCode.INCOMPLETE
    counted = denied or any(
        f.suppression is None
        and f.finding.severity >= fail_on
        and f.finding.confidence >= fail_on_confidence
        for f in findings
    )
    return ExitCode.FINDINGS if counted and not exit_zero else ExitCode.OK


def denies(results: Iterable[PolicyResult]) -> bool:
    """Tell whether a policy did not let the run pass."""
    return any(one.kind in {"deny", "violation"} and not one.excepted for one in results)


def check_allowed(names: Iterable[str]) -> None:
    """Raise UsageError for what can never be allowed to fail."""
    for name in names:
        if name in {"", "tavo", "opengrep", "semgrep"}:
            raise UsageError(
                f"--allow-incomplete {name or repr(name)}: the engine itself may not fail",
                hint="Name a plugin, such as tavo/model-files, or one file or rule that fails.",
            )


def allow(
    notices: Sequence[Notice], names: Collection[str], plugins: Collection[str]
) -> list[Notice]:
    """Return the notices with those about these names allowed, and one for a name that is nobody's.

    A name is a plugin's id, where a bare one means `tavo/name`, or the subject of a notice.
    `plugins` are those of the run.
    """
    wanted = {*names, *(f"tavo/{name}" for name in names if "/" not in name)}
    out: list[Notice] = []
    met: set[str] = set()
    for one in notices:
        if one.incomplete and one.kind not in _NEVER_ALLOWED and one.subject in wanted:
            met.add(one.subject)
            out.append(replace(one, allowed=True))
        else:
            out.append(one)
    for name in names:
        if not {name, f"tavo/{name}"} & {*met, *plugins}:
            reason = "--allow-incomplete names it, and nothing of that name was asked for or failed"
            out.append(Notice(kind="suppression", subject=name, reason=reason, incomplete=False))
    return out
