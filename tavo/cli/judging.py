"""What a run is judged by besides a threshold: the options, and reading what they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.errors import UsageError

if TYPE_CHECKING:
    from tavo.config import ScanSettings
    from tavo.runs.gate import GatePlan

__all__ = [
    "AllowIncomplete",
    "BaselineFile",
    "ExitZero",
    "FailOn",
    "FailOnConfidence",
    "PolicyData",
    "PolicyPaths",
    "SuppressionsFile",
    "WriteBaseline",
    "gate_flags",
    "gate_plan",
]

FailOn = Annotated[
    str | None,
    typer.Option("--fail-on", metavar="SEVERITY", help="Exit 1 from this severity on."),
]
ExitZero = Annotated[bool, typer.Option("--exit-zero", help="Exit 0 when there are findings.")]
FailOnConfidence = Annotated[
    str | None,
    typer.Option(
        "--fail-on-confidence", metavar="CONFIDENCE", help="And of at least this confidence."
    ),
]
BaselineFile = Annotated[
    Path | None,
    typer.Option("--baseline", metavar="FILE", help="What an earlier run found is known."),
]
WriteBaseline = Annotated[
    Path | None,
    typer.Option("--write-baseline", metavar="FILE", help="Write what this run finds as one."),
]
SuppressionsFile = Annotated[
    Path | None,
    typer.Option(
        "--suppressions", metavar="FILE", help="Reasoned exceptions with an end date, in YAML."
    ),
]
PolicyPaths = Annotated[
    list[Path] | None,
    typer.Option("--policy", metavar="PATH", help="A policy in Rego: package main, deny, warn."),
]
PolicyData = Annotated[
    list[Path] | None,
    typer.Option("--data", metavar="PATH", help="Data of the policy, in JSON or YAML."),
]
AllowIncomplete = Annotated[
    list[str] | None,
    typer.Option("--allow-incomplete", metavar="ID", help="This plugin, file or rule may fail."),
]


def gate_flags(
    *,
    fail_on: str | None,
    fail_on_confidence: str | None,
    suppressions: Path | None,
    policy: list[Path] | None,
    data: list[Path] | None,
    allow_incomplete: list[str] | None,
) -> dict[str, Any]:
    """Return what the options set, as `Session.settings` takes it."""
    return {
        "scan__fail_on": fail_on,
        "scan__fail_on_confidence": fail_on_confidence,
        "scan__suppressions": None if suppressions is None else str(suppressions),
        "scan__policy": _texts(policy),
        "scan__policy_data": _texts(data),
        "scan__allow_incomplete": allow_incomplete or None,
    }


def _texts(paths: list[Path] | None) -> list[str] | None:
    return [str(path) for path in paths] if paths else None


def gate_plan(
    scan: ScanSettings,
    baseline: Path | None,
    write: Path | None,
    *,
    policy: list[Path] | None,
    data: list[Path] | None,
    suppressions: Path | None,
) -> GatePlan:
    """Read all that the run will be judged by, so that nothing is started if it is wrong.

    What stands on the command line is read as it is named there: so it is named in messages.
    """
    from tavo.results.gate import check_allowed
    from tavo.runs.gate import GatePlan

    check_allowed(scan.allow_incomplete)
    if scan.policy_data and not scan.policy:
        raise UsageError("--data is for a policy, and there is none", hint="Add --policy.")
    known = reasoned = files = None
    if baseline is not None:
        from tavo.results.baseline import read_baseline

        known = read_baseline(baseline)
    if scan.suppressions is not None:
        from datetime import UTC, datetime

        from tavo.runs.suppressions import read_suppressions

        today = datetime.now(UTC).date()
        reasoned = read_suppressions(suppressions or Path(scan.suppressions), today)
    if scan.policy:
        from tavo.results.policy.evaluate import check_policy
        from tavo.results.policy.files import read_policy

        files = read_policy(
            policy or [Path(path) for path in scan.policy],
            data or [Path(path) for path in scan.policy_data],
        )
        check_policy(files)
    return GatePlan(
        fail_on_confidence=scan.fail_on_confidence, suppressions=reasoned, baseline=known,
        write_baseline=write, policy=files, allow_incomplete=scan.allow_incomplete,
    )  # fmt: skip
