"""What turns a run into pass or fail.

Rules this module keeps:
- a suppressed finding never counts;
- an incomplete run is never a pass: incomplete outranks findings.
"""

from __future__ import annotations

from collections.abc import Iterable

from tavo.errors import ExitCode
from tavo.plugins import Severity
from tavo.results.values import Reported

__all__ = ["verdict"]


def verdict(
    findings: Iterable[Reported], *, complete: bool, fail_on: Severity, exit_zero: bool = False
) -> ExitCode:
    """Return the exit code of a finished run.

    `exit_zero` turns findings, and nothing else, into success.
    """
    if not complete:
        return ExitCode.INCOMPLETE
    counted = any(f.suppression is None and f.finding.severity >= fail_on for f in findings)
    return ExitCode.FINDINGS if counted and not exit_zero else ExitCode.OK
