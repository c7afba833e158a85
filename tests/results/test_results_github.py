"""The workflow commands: annotations of files and lines, and nothing that scanned code wrote."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tavo.plugins import Severity
from tavo.results.export.github import run_to_github
from tavo.results.store import ResultStore
from tavo.results.values import Notice, Reported
from tests.fakes.results import (
    EVAL_RULE,
    NOTICES,
    everything,
    finding_of,
    location,
    replace,
    stored_run,
    taint_finding,
)
from tests.fakes.snapshots import check_snapshot

SNAPSHOTS = Path(__file__).parent / "snapshots"
COMMANDS = Path(__file__).parents[1] / "attacks/reports/commands.txt"


def report(
    findings: list[Reported], notices: tuple[Notice, ...] = (), *, finished: bool = True,
    prefix: str = "",
) -> str:  # fmt: skip
    store = ResultStore()
    run_id = stored_run(store, findings, notices, exit_code=1, finished=finished)
    return run_to_github(store.run(run_id), store.findings(run_id), prefix=prefix)


def parsed(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Read commands as the runner does: the first line that begins with them, up to the next ::."""
    found = []
    for line in text.splitlines():
        if not line.lstrip().startswith("::"):
            continue
        head, _, data = line.lstrip()[2:].partition("::")
        name, _, pairs = head.partition(" ")
        values = dict(pair.split("=", 1) for pair in pairs.split(","))
        plain = {
            key: value.replace("%2C", ",").replace("%3A", ":").replace("%0A", "\n")
            .replace("%25", "%") for key, value in values.items()
        }  # fmt: skip
        found.append((name, plain, data.replace("%0A", "\n").replace("%25", "%")))
    return found


def test_the_report_is_as_kept() -> None:
    check_snapshot(SNAPSHOTS / "everything.github.txt", report(everything(), NOTICES) + "\n")


def test_a_finding_is_an_annotation_of_its_place() -> None:
    ((level, values, message),) = parsed(report([taint_finding()]))
    assert level == "error"
    assert values == {
        "file": "agent/answer.py", "line": "12", "endLine": "12", "col": "12", "endColumn": "36",
        "title": "llm-output-to-exec (critical)",
    }  # fmt: skip
    assert message.startswith("Text written by a model is run as Python.\n1. agent/answer.py:9: ")


def test_columns_are_named_only_inside_a_line() -> None:
    one = taint_finding()
    region = replace(one.finding.location.region, end_line=14)
    where = replace(one.finding.location, region=region)
    ((_, values, _),) = parsed(report([replace(one, finding=replace(one.finding, location=where))]))
    assert (values["line"], values["endLine"]) == ("12", "14")
    assert "col" not in values


def test_a_root_below_the_repository_is_in_the_path() -> None:
    ((_, values, _),) = parsed(report([taint_finding()], prefix="services/api/"))
    assert values["file"] == "services/api/agent/answer.py"


def of(severity: Severity, count: int) -> list[Reported]:
    one = taint_finding()
    return [replace(one, finding=replace(one.finding, severity=severity))] * count


def test_ten_of_a_level_are_shown_and_the_others_counted() -> None:
    findings = [*of(Severity.HIGH, 12), *of(Severity.CRITICAL, 3), *of(Severity.MEDIUM, 10)]
    text = report(findings)
    found = parsed(text)
    errors = [values["title"] for level, values, _ in found if level == "error"]
    assert len(errors) == 10
    assert errors[:4] == ["llm-output-to-exec (critical)"] * 3 + ["llm-output-to-exec (high)"]
    assert errors[-1] == "tavo: 6 more findings of this level"
    warnings = [values["title"] for level, values, _ in found if level == "warning"]
    assert warnings == ["llm-output-to-exec (medium)"] * 10, "exactly ten need no room for more"
    assert text.splitlines()[-1].startswith("tavo: 25 findings (3 critical, 12 high, 10 medium)")


def test_a_run_that_is_not_complete_says_so_first() -> None:
    found = parsed(report(of(Severity.HIGH, 30), NOTICES))
    assert found[0][0] == "error"
    assert found[0][1] == {"title": "tavo: the scan is not complete"}
    assert "plugin acme/slow: was stopped after 10 s" in found[0][2]
    assert len([1 for level, _, _ in found if level == "error"]) == 10
    assert "interrupted" in parsed(report([], finished=False))[0][2]
    assert parsed(report([])) == [], "control"
    assert report([]).startswith("tavo: No findings: 8 files")


def test_ignored_findings_are_no_annotations() -> None:
    assert all("calc.py" not in values.get("file", "") for _, values, _ in
               parsed(report(everything())))  # fmt: skip


@pytest.mark.parametrize("attack", COMMANDS.read_text("utf-8").splitlines())
def test_scanned_text_is_no_command(attack: str) -> None:
    path = attack.strip().strip("/") or "x"
    rule = replace(EVAL_RULE, id="r")
    one = Reported(
        rule=rule, finding=finding_of(rule, location(path, 1, 1, 2, attack), f"{attack}\n{attack}")
    )
    text = report([one], (Notice(kind="file", subject=attack, reason=attack),))
    found = parsed(text)
    assert [level for level, _, _ in found] == ["error", "error"]
    assert not re.search(r"##[A-Za-z]*\[", text)
    assert set(found[1][1]) == {"file", "line", "endLine", "col", "endColumn", "title"}
    if "##" not in attack:
        assert found[1][2] == f"{attack}\n{attack}"
        assert found[1][1]["file"] == path
