"""The gate: which findings fail a run, and what outranks them."""

from __future__ import annotations

import pytest

from tavo.config import ScanSettings
from tavo.errors import ExitCode
from tavo.plugins import Severity
from tavo.results.gate import verdict
from tavo.results.values import Reported, Suppression
from tests.fakes.results import replace, taint_finding


def of(severity: Severity) -> Reported:
    one = taint_finding()
    return replace(one, finding=replace(one.finding, severity=severity))


@pytest.mark.parametrize("severity", list(Severity))
@pytest.mark.parametrize("threshold", list(Severity))
def test_the_threshold_counts_itself_and_above(severity: Severity, threshold: Severity) -> None:
    code = verdict([of(severity)], complete=True, fail_on=threshold)
    above = list(Severity).index(severity) >= list(Severity).index(threshold)
    assert code is (ExitCode.FINDINGS if above else ExitCode.OK)


def test_by_default_info_does_not_fail_and_low_does() -> None:
    default = ScanSettings().fail_on
    assert verdict([of(Severity.INFO)], complete=True, fail_on=default) is ExitCode.OK
    assert verdict([of(Severity.LOW)], complete=True, fail_on=default) is ExitCode.FINDINGS


def test_no_findings_pass() -> None:
    assert verdict([], complete=True, fail_on=Severity.INFO) is ExitCode.OK


def test_a_suppressed_finding_never_counts() -> None:
    one = of(Severity.CRITICAL)
    excused = replace(one, suppression=Suppression(kind="inSource", reason="why", line=1))
    assert verdict([excused], complete=True, fail_on=Severity.INFO) is ExitCode.OK
    assert verdict([one], complete=True, fail_on=Severity.INFO) is ExitCode.FINDINGS, "control"


@pytest.mark.parametrize("findings", [[], [of(Severity.CRITICAL)]])
@pytest.mark.parametrize("exit_zero", [False, True])
def test_incomplete_outranks_findings_and_is_never_zero(
    findings: list[Reported], exit_zero: bool
) -> None:
    code = verdict(findings, complete=False, fail_on=Severity.LOW, exit_zero=exit_zero)
    assert code is ExitCode.INCOMPLETE


def test_exit_zero_turns_only_findings_into_success() -> None:
    found = [of(Severity.HIGH)]
    assert verdict(found, complete=True, fail_on=Severity.LOW, exit_zero=True) is ExitCode.OK
