"""What the gate did, in JSON, SARIF and text: valid, complete, and printable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import jsonschema
import pytest

from tavo.results.export.github import run_to_github
from tavo.results.export.html import run_to_html
from tavo.results.export.json import run_to_value
from tavo.results.export.junit import run_to_junit
from tavo.results.export.markdown import run_to_markdown
from tavo.results.export.sarif import run_to_sarif_value
from tavo.results.export.text import run_to_lines
from tavo.results.store import ResultStore
from tavo.results.values import Absent, Gate, Notice, PolicyResult, Suppression
from tests.fakes.results import NOTICES, PLUGIN_RUN, everything, replace, stored_run
from tests.results.test_results_sarif import oasis
from tests.results.test_results_text import HOSTILE, forbidden

__all__ = ["oasis"]
PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas" / "tavo-results-1.json"
KNOWN = Suppression(kind="external", reason="known: in the baseline b.json", line=0)
DATED = Suppression(
    kind="external", reason=f"why {HOSTILE}", line=0, expires="2027-01-31", approved_by=HOSTILE
)


@pytest.fixture
def judged() -> tuple[ResultStore, int]:
    store = ResultStore()
    notices = [replace(NOTICES[0], incomplete=True, allowed=True), *NOTICES[1:]]
    run_id = stored_run(store, everything(), notices, [PLUGIN_RUN], exit_code=1)
    found = [one for one in store.findings(run_id) if one.suppression is None]
    store.mark(
        run_id,
        [
            replace(found[0], baseline_state="unchanged", suppression=KNOWN),
            replace(found[1], baseline_state="new", suppression=DATED),
            replace(found[2], baseline_state="new"),
        ],
    )
    gone = Absent(
        fingerprint="f" * 32, rule_id="old", tool="tavo", path=f"a{HOSTILE}.py", line=3, message="m"
    )
    said = tuple(
        PolicyResult(
            kind=kind, rule=f"{kind}_x", message=f"no {HOSTILE}", details={"a": [1, None]},
            fingerprint=fingerprint, excepted=excepted,
        )
        for kind in ("deny", "violation", "warn")
        for fingerprint in ("", found[2].fingerprint)
        for excepted in (False, True)
    )  # fmt: skip
    gate = Gate(
        fail_on="high", fail_on_confidence="medium", baseline="b.json", absent=(gone,),
        policy=("p.rego",), evaluator="regopy 1.5.2", policy_results=said,
    )  # fmt: skip
    store.add_gate(run_id, gate)
    return store, run_id


def test_json_is_valid_and_says_all(judged: tuple[ResultStore, int]) -> None:
    store, run_id = judged
    value = run_to_value(store.run(run_id), store.findings(run_id))
    validator = jsonschema.Draft202012Validator(json.loads(PUBLISHED.read_text()))
    assert list(validator.iter_errors(value)) == []
    assert (value["gate"]["new"], value["gate"]["known"]) == (2, 1)
    assert (value["policy"]["denied"], value["policy"]["warned"]) == (4, 2)
    assert len(value["policy"]["results"]) == 12
    assert value["policy"]["results"][0]["details"] == {"a": [1, None]}


@pytest.mark.parametrize("suppressed", [False, True])
def test_sarif_is_valid_and_known_ones_are_results(
    judged: tuple[ResultStore, int], oasis: Any, suppressed: bool
) -> None:
    store, run_id = judged
    log = run_to_sarif_value(store.run(run_id), store.findings(run_id), suppressed=suppressed)
    assert [error.message for error in oasis.iter_errors(log)] == []
    results = log["runs"][0]["results"]
    states = [one.get("baselineState") for one in results if "suppressions" not in one]
    assert sorted(state for state in states if state) == ["new", "unchanged"]
    told = log["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    levels = [one["level"] for one in told if one["descriptor"]["id"] == "tavo/policy-not-done"]
    assert sorted(levels) == ["error"] * 4 + ["note"] * 6 + ["warning"] * 2
    assert told[0]["level"] == "note", "what may fail is no error"


@pytest.mark.parametrize("width", [30, 100])
def test_no_text_of_a_policy_or_a_baseline_steers_the_terminal(
    judged: tuple[ResultStore, int], width: int
) -> None:
    store, run_id = judged
    lines = run_to_lines(store.run(run_id), store.findings(run_id), width=width)
    text = "\n".join("".join(part for _, part in line) for line in lines)
    assert forbidden(text) == set()
    assert "Suppressed (1):" in text
    assert "Gone since the baseline (1):" in text
    assert text.splitlines()[-1].endswith(".")
    assert forbidden(HOSTILE), "control"


def test_a_run_that_was_not_judged_says_nothing_of_a_gate() -> None:
    store = ResultStore()
    run_id = stored_run(store, everything(), (Notice(kind="file", subject="a", reason="b"),))
    value = run_to_value(store.run(run_id), store.findings(run_id))
    assert (value["gate"], value["policy"]) == (None, None)


def test_reports_for_people_say_what_the_policy_denied(judged: tuple[ResultStore, int]) -> None:
    store, run_id = judged
    run, findings = store.run(run_id), list(store.findings(run_id))
    markdown = run_to_markdown(run, findings)
    assert "🔴 **Policy:** 4 denied, 2 warned, 6 excepted." in markdown
    assert "1 finding of the baseline gone." in markdown
    page = run_to_html(run, findings)
    assert "<b>Policy:</b> 4 denied, 2 warned, 6 excepted." in page
    suites = fromstring(run_to_junit(run, findings)).findall("testsuite")
    (policy,) = [one for one in suites if one.get("name") == "policy"]
    # a deny, a violation and a warn about a finding and about the run, and what is excepted of them
    assert (policy.get("failures"), policy.get("skipped"), policy.get("tests")) == ("2", "3", "6")
    commands = run_to_github(run, findings).splitlines()
    denied = [line for line in commands if line.startswith("::error title=tavo policy")]
    warned = [line for line in commands if line.startswith("::warning title=tavo policy")]
    assert (len(denied), len(warned)) == (2, 1)
    for text in (markdown, page, "\n".join(commands)):
        assert forbidden(text) == set()


def test_policy_that_denied_nothing_is_said_too(judged: tuple[ResultStore, int]) -> None:
    store, run_id = judged
    run = store.run(run_id)
    assert run.gate is not None
    quiet = replace(run, gate=replace(run.gate, policy_results=(), absent=()))
    assert "✅ **Policy:** 0 denied, 0 warned." in run_to_markdown(quiet, [])
    assert "<div class=good><b>Policy:</b> 0 denied" in run_to_html(quiet, [])
    assert 'name="nothing is denied"' in run_to_junit(quiet, [])
    none = replace(run, gate=replace(run.gate, policy=(), policy_results=(), absent=()))
    for report in (run_to_markdown, run_to_junit, run_to_github):
        assert "olicy" not in report(none, [])
    assert "<b>Policy:</b>" not in run_to_html(none, [])
