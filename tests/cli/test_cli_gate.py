"""The gate as its user types it: thresholds, baselines, suppressions, policies, exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tavo import config
from tavo.results.policy.regopy import has_regopy
from tavo.results.store import ResultStore
from tavo.runs.suppressions import read_suppressions
from tests.cli.test_cli_scan import CLEAN, FLAW
from tests.fakes.snapshots import check_snapshot

SNAPSHOTS = Path(__file__).parent / "snapshots"
WEAK = "import torch\n\nmodel = torch.load('model.pt')\n"
TODAY = datetime.now(UTC).date()
LATER = str(TODAY + timedelta(days=100))
needs_rego = pytest.mark.skipif(
    not has_regopy() and shutil.which("opa") is None, reason="nothing here evaluates Rego"
)


def policy(text: str, name: str = "p.rego") -> str:
    Path(name).write_text("package main\nimport rego.v1\n" + text)
    return name


def suppressions(*entries: str) -> str:
    lines = "".join(f"  - {{{entry}}}\n" for entry in entries)
    Path("s.yaml").write_text(f"suppressions:\n{lines}")
    return "s.yaml"


# -- thresholds


def test_the_confidence_decides_as_well(tavo) -> None:
    Path("rules.yaml").write_text(
        "rules:\n- {id: one, languages: [python], severity: ERROR, message: m, pattern: a + b,"
        " metadata: {confidence: LOW}}\n"
    )
    Path("a.py").write_text(CLEAN)
    words = ("scan", "a.py", "--no-default-rules", "--rules", "rules.yaml")
    assert tavo(*words).code == 1
    done = tavo(*words, "--fail-on-confidence", "medium")
    assert done.code == 0
    assert "one" in done.out, "it is shown all the same"
    assert "expected low, medium or high" in tavo(*words, "--fail-on-confidence", "sure").err


@pytest.mark.parametrize(
    ("text", "name"),
    [("fail_on = 'critical'", "fail_on"), ("fail_on_confidence = 'high'", "fail_on_confidence")],
)
def test_a_project_cannot_let_more_pass(tavo, text: str, name: str) -> None:
    Path("a.py").write_text(WEAK)
    Path("tavo.toml").write_text(f"[scan]\n{text}\n")
    done = tavo("scan", ".")
    assert done.code == 2
    assert f"scan.{name} is" in done.err
    assert "a project may not let more pass than low" in done.err
    assert f"--{name.replace('_', '-')}" in done.err


def test_control_without_the_comparison_a_project_would_pass(
    tavo, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.py").write_text(WEAK)
    Path("tavo.toml").write_text("[scan]\nfail_on = 'critical'\n")
    monkeypatch.setattr(config, "_refuse_weaker", lambda *_: None)
    assert tavo("scan", ".").code == 0


def test_a_project_can_be_stricter_than_its_user(tavo, home: Path) -> None:
    own = home / ".config" / "tavo" / "tavo.toml"
    own.parent.mkdir(parents=True)
    own.write_text("[scan]\nfail_on = 'critical'\n")
    Path("a.py").write_text(WEAK)
    assert tavo("scan", ".").code == 0
    Path("tavo.toml").write_text("[scan]\nfail_on = 'medium'\n")
    assert tavo("scan", ".").code == 1
    assert tavo("scan", ".", "--fail-on", "critical").code == 0, "who runs it decides"


@pytest.mark.parametrize(
    "text",
    ["suppressions = 's.yaml'", "policy = ['p.rego']", "policy_data = ['d.json']",
     "allow_incomplete = ['a.py']"],
)  # fmt: skip
def test_a_project_cannot_name_what_excuses_it(tavo, text: str) -> None:
    Path("a.py").write_text(FLAW)
    Path("tavo.toml").write_text(f"[scan]\n{text}\n")
    done = tavo("scan", ".")
    assert done.code == 2
    assert "may not be set by a project, it decides about trust" in done.err


# -- baselines


def test_what_is_known_does_not_fail_and_what_is_new_does(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    assert tavo("scan", ".", "--write-baseline", "b.json").code == 1
    done = tavo("scan", ".", "--baseline", "b.json")
    assert (done.code, done.out.splitlines()[0].split(":")[0]) == (0, "No findings, 1 known")
    Path("agent.py").write_text("# moved\n\n" + FLAW)
    assert tavo("scan", ".", "--baseline", "b.json").code == 0, "code that moves stays known"
    Path("agent.py").write_text(FLAW + "    exec(code)\n")
    done = tavo("scan", ".", "--baseline", "b.json")
    assert done.code == 1
    assert "1 finding (1 critical), 1 known" in done.out, "one of two equal ones is new"
    assert "11 |     exec(code)" in done.out


def test_what_is_gone_is_named(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    Path("load.py").write_text(WEAK)
    tavo("scan", ".", "--write-baseline", "b.json")
    Path("agent.py").write_text(CLEAN)
    done = tavo("scan", ".", "--baseline", "b.json")
    assert done.code == 0
    assert "Gone since the baseline (1):\n  agent.py:10 llm-output-to-exec\n" in done.out
    report = json.loads(tavo("scan", ".", "--baseline", "b.json", "--format", "json").out)
    assert (report["gate"]["new"], report["gate"]["known"]) == (0, 1)
    assert [one["path"] for one in report["gate"]["absent"]] == ["agent.py"]
    assert [one["baseline_state"] for one in report["findings"]] == ["unchanged"]


def test_what_was_not_looked_at_is_not_gone_and_stays_in_the_baseline(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    Path("load.py").write_text(WEAK)
    tavo("scan", ".", "--write-baseline", "b.json")
    before = json.loads(Path("b.json").read_text())["findings"]
    done = tavo("scan", "load.py", "--baseline", "b.json", "--write-baseline", "b.json")
    assert done.code == 0
    assert "Gone" not in done.out
    assert json.loads(Path("b.json").read_text())["findings"] == before
    Path("agent.py").unlink()
    assert "Gone since the baseline (1):" in tavo("scan", "load.py", "--baseline", "b.json").out


@pytest.mark.parametrize("form", ["baseline", "json", "sarif", "store"])
def test_every_form_of_an_earlier_run_is_a_baseline(tavo, form: str) -> None:
    Path("agent.py").write_text(FLAW + "    eval(code)  # nosemgrep\n")
    done = tavo("scan", ".", "--save", "old.db", "--format", "json" if form == "store" else form)
    Path("old.out").write_text(done.out)
    old = "old.db" if form == "store" else "old.out"
    done = tavo("scan", ".", "--baseline", old)
    assert done.code == 0
    assert "No findings, 1 ignored by comments, 1 known" in done.out
    Path("agent.py").write_text(FLAW + "    eval(code)\n")
    assert tavo("scan", ".", "--baseline", old).code == 1, "an ignored one is not known"


def test_sarif_says_what_is_known_and_leaves_it_in(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    tavo("scan", ".", "--write-baseline", "b.json")
    Path("agent.py").write_text(FLAW + "    exec(code)\n")
    sarif = json.loads(tavo("scan", ".", "--baseline", "b.json", "--format", "sarif").out)
    results = sarif["runs"][0]["results"]
    assert [one["baselineState"] for one in results] == ["unchanged", "new"]
    assert not any("suppressions" in one for one in results)


@pytest.mark.parametrize(
    ("content", "code", "reason"),
    [
        ('{"schema": "tavo-baseline/1", "findings": [{"fingerprint": "f", "rule_id": "r",'
         ' "tool": "tavo", "path": "src/other.go", "line": 3}]}', 2, "is the baseline of another"),
        ('{"schema": "tavo-baseline/2", "findings": []}', 2, "written by a newer tavo"),
        ('{"schema": "tavo-results/7"}', 2, "written by a newer tavo"),
        ('{"schema": "tavo-baseline/1", "findings": 3}', 2, "is not what tavo-baseline/1 says"),
        ('{"schema": "tavo-results/1", "findings": [{}]}', 2, "is not what tavo-results/1 says"),
        ('{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "CodeQL"}}}]}', 2,
         "is SARIF of CodeQL"),
        ('{"version": "2.1.0", "runs": [3]}', 2, "is not what 2.1.0 says"),
        ('{"a": 1}', 2, "is JSON of something else"),
        ("hello", 2, "neither JSON nor a result store"),
        ("[" * 100_000, 2, "neither JSON nor a result store"),
        (None, 3, "cannot be read"),
    ],
)  # fmt: skip
def test_a_baseline_that_is_none_is_said_in_one_sentence(
    tavo, content: str | None, code: int, reason: str
) -> None:
    Path("agent.py").write_text(FLAW)
    if content is not None:
        Path("b.json").write_text(content)
    done = tavo("scan", ".", "--baseline", "b.json", "--save", "r.db")
    assert (done.code, done.out) == (code, "")
    assert reason in done.err
    assert len(done.err.splitlines()) == 2
    assert not Path("r.db").exists() or not ResultStore(Path("r.db")).runs()


def test_a_baseline_is_not_written_through_a_link(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    Path("victim").write_text("mine")
    Path("b.json").symlink_to("victim")
    done = tavo("scan", ".", "--write-baseline", "b.json")
    assert done.code == 3
    assert "is a symbolic link" in done.err
    assert Path("victim").read_text() == "mine"


def test_results_export_writes_the_same_baseline(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    tavo("scan", ".", "--save", "results.db", "--write-baseline", "b.json")
    assert tavo("results", "export", "--format", "baseline").out == Path("b.json").read_text()


# -- suppressions


def test_a_suppression_holds_with_a_reason_until_its_day(
    tavo, monkeypatch: pytest.MonkeyPatch
) -> None:
    # for this test it stays the day on which it was read
    monkeypatch.setattr(
        "tavo.runs.suppressions.read_suppressions", lambda file, _: read_suppressions(file, TODAY)
    )
    Path("agent.py").write_text(FLAW)
    one = 'rule: "llm-*", path: "*.py", reason: "sandboxed, SEC-1"'
    file = suppressions(f"{one}, expires: {TODAY}, approved_by: ada")
    done = tavo("scan", ".", "--suppressions", file)
    assert done.code == 0
    assert f"1 × llm-output-to-exec: sandboxed, SEC-1 (until {TODAY}, approved by ada)" in done.out
    assert "No findings, 1 suppressed:" in done.out
    assert f"holds for 0 more days, until {TODAY}" in done.out
    past = TODAY - timedelta(days=1)
    done = tavo("scan", ".", "--suppressions", suppressions(f"{one}, expires: {past}"))
    assert done.code == 1
    assert f"s.yaml entry 1: (llm-*) expired on {past}" in " ".join(done.out.split())
    assert "agree on a new day" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (f"rule: llm-output-to-exec, expires: {LATER}", "has no reason: write why"),
        (f'rule: llm-output-to-exec, reason: " ", expires: {LATER}', "has no reason: write why"),
        ("rule: llm-output-to-exec, reason: x", "has no last day: write expires: YYYY-MM-DD"),
        ("rule: llm-output-to-exec, reason: x, expires: never", "'never' is no day"),
        ("rule: llm-output-to-exec, reason: x, expires: 2027-02-30", "'2027-02-30' is no day"),
        (f"path: '*', reason: x, expires: {LATER}", "names neither a rule nor a fingerprint"),
        (f"rule: llm-other, reason: x, expires: {LATER}", "covers nothing here"),
        (f"rule: llm-output-to-exec, path: other/, reason: x, expires: {LATER}", "covers nothing"),
        (f"rule: llm-output-to-exec, fingerprint: aa, reason: x, expires: {LATER}",
         "covers nothing here"),
    ],
)  # fmt: skip
def test_a_suppression_that_does_not_count_is_named(tavo, entry: str, reason: str) -> None:
    Path("agent.py").write_text(FLAW)
    done = tavo("scan", ".", "--suppressions", suppressions(entry))
    assert done.code == 1
    assert reason in " ".join(done.out.split())
    assert "entry 1" in done.out


def test_a_suppression_by_fingerprint_covers_one(tavo) -> None:
    Path("agent.py").write_text(FLAW + "    exec(code)\n")
    report = json.loads(tavo("scan", ".", "--format", "json").out)
    first = report["findings"][0]["fingerprint"]
    file = suppressions(f"fingerprint: {first}, reason: x, expires: {LATER}")
    report = json.loads(tavo("scan", ".", "--suppressions", file, "--format", "json").out)
    assert [one["suppression"] is None for one in report["findings"]] == [False, True]
    assert report["findings"][0]["suppression"] == {
        "kind": "external", "reason": "x", "line": 0, "expires": LATER, "approved_by": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("suppressions: [{rules: x}]", "rules"),
        ("suppressions: 3", "Expected `array`"),
        ("a: 1", "a"),
        ("suppressions: [*a]", "alias"),
        ("\xff", ""),
    ],
)
def test_a_suppressions_file_that_is_wrong_is_refused(tavo, text: str, reason: str) -> None:
    Path("agent.py").write_text(FLAW)
    Path("s.yaml").write_bytes(text.encode("latin-1"))
    done = tavo("scan", ".", "--suppressions", "s.yaml")
    assert (done.code, done.out) == (2, "")
    assert "s.yaml" in done.err
    assert reason in done.err
    assert "suppressions: [{rule:" in done.err
    assert tavo("scan", ".", "--suppressions", "none.yaml").code == 3


def test_the_suppressions_of_the_guide_are_read(tavo) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "user-guide.md").read_text("utf-8")
    (text,) = re.findall(r"^```yaml\n# suppressions.yaml\n(.*?)^```$", guide, re.M | re.S)
    found = read_suppressions(_written("s.yaml", text), date(2026, 11, 28))
    assert [one.reason.rpartition(") ")[2] for one in found.notices] == [
        "covers nothing here; take it out if it never does"
    ] * 3


def _written(name: str, text: str) -> Path:
    Path(name).write_text(text)
    return Path(name)


# -- policies


@needs_rego
def test_a_policy_denies_warns_and_is_in_every_report(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    Path("d.json").write_text('{"banned": ["CWE-94"]}')
    file = policy(
        "deny_cwe contains msg if { some c in input.finding.cwe; c in data.banned;"
        ' msg := sprintf("%s is banned", [c]) }\n'
        'warn contains "look" if input.summary.findings > 0\n'
    )
    words = ("scan", ".", "--policy", file, "--data", "d.json", "--fail-on", "critical",
             "--fail-on-confidence", "high", "--save", "r.db")  # fmt: skip
    done = tavo(*words)
    assert done.code == 1
    assert "1 denied, 1 warned.\n  deny_cwe: CWE-94 is banned (agent.py:10)\n" in done.out
    assert "  warn: look\n" in done.out
    report = json.loads(tavo(*words, "--format", "json").out)
    said = [(one["kind"], one["rule"], one["message"]) for one in report["policy"]["results"]]
    assert said == [("deny", "deny_cwe", "CWE-94 is banned"), ("warn", "warn", "look")]
    assert report["policy"]["denied"] == 1
    assert report["policy"]["results"][0]["fingerprint"] == report["findings"][0]["fingerprint"]
    sarif = json.loads(tavo(*words, "--format", "sarif").out)
    notes = sarif["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    told = {(n["level"], n["message"]["text"]) for n in notes if "policy" in n["message"]["text"]}
    assert ("error", "policy deny_cwe: CWE-94 is banned") in told
    assert ("warning", "policy warn: look") in told
    shown = tavo("results", "show", "--store", "r.db").out
    assert "deny_cwe: CWE-94 is banned (agent.py:10)" in shown


@needs_rego
def test_a_warning_does_not_fail_and_a_denial_does_without_findings(tavo) -> None:
    Path("a.py").write_text(CLEAN)
    assert tavo("scan", ".", "--policy", policy('warn contains "w" if input.summary')).code == 0
    file = policy('deny contains "too few files" if input.summary.files < 3')
    done = tavo("scan", ".", "--policy", file)
    assert done.code == 1
    assert "deny: too few files" in done.out
    assert tavo("scan", ".", "--policy", file, "--exit-zero").code == 0


@needs_rego
def test_a_policy_that_fails_makes_the_run_incomplete_and_keeps_the_findings(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    file = policy("deny contains 3 if input.summary")
    done = tavo("scan", ".", "--policy", file, "--allow-incomplete", file)
    assert done.code == 4, "a policy cannot be allowed to fail"
    assert "llm-output-to-exec" in done.out
    assert "policy p.rego: it did not come to an end: deny holds a number" in done.out
    assert done.out.splitlines()[-1] == "Not looked at, or not in full: policy p.rego."


@needs_rego
def test_a_policy_that_cannot_be_used_starts_nothing(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    done = tavo("scan", ".", "--policy", policy("allow if true"), "--save", "r.db")
    assert (done.code, done.out) == (2, "")
    assert "would pass everything" in done.err
    assert not Path("r.db").exists()


def test_data_without_a_policy_is_usage(tavo) -> None:
    assert tavo("scan", ".", "--data", "d.json").code == 2


# -- what may fail, and the last line


def test_what_may_fail_does_not_turn_the_run_red_and_is_in_the_last_line(tavo) -> None:
    Path("a.py").write_text(CLEAN)
    Path("odd.py").write_bytes(b"caf\xe9 = 1\n")
    assert tavo("scan", ".").code == 4
    done = tavo("scan", ".", "--allow-incomplete", "odd.py")
    assert done.code == 0
    assert "No findings" not in done.out
    last = done.out.splitlines()[-1]
    assert last == "Not looked at, or not in full: file odd.py (allowed)."
    report = json.loads(tavo("scan", ".", "--allow-incomplete", "odd.py", "--format", "json").out)
    assert report["run"]["complete"] is False
    assert report["not_done"][0]["allowed"] is True


def test_the_last_line_is_one_line(tavo) -> None:
    for number in range(9):
        Path(f"a_file_with_a_rather_long_name_{number}.py").write_bytes(b"caf\xe9 = 1\n")
    done = tavo("scan", ".", "--allow-incomplete", "a_file_with_a_rather_long_name_3.py")
    assert done.code == 4
    last = done.out.splitlines()[-1]
    assert last == "Not looked at, or not in full: 9 files (1 allowed)."


def test_one_that_may_fail_does_not_excuse_another(tavo) -> None:
    Path("odd.py").write_bytes(b"caf\xe9 = 1\n")
    Path("other.py").write_bytes(b"caf\xe9 = 1\n")
    assert tavo("scan", ".", "--allow-incomplete", "odd.py").code == 4
    both = ("--allow-incomplete", "odd.py", "--allow-incomplete", "other.py")
    assert tavo("scan", ".", *both).code == 0


@pytest.mark.parametrize("name", ["tavo", "semgrep", "opengrep"])
def test_the_engine_itself_may_never_fail(tavo, name: str) -> None:
    Path("a.py").write_text(CLEAN)
    done = tavo("scan", ".", "--allow-incomplete", name)
    assert done.code == 2
    assert "the engine itself may not fail" in done.err


def test_a_name_that_is_nobodys_is_named(tavo) -> None:
    Path("a.py").write_text(CLEAN)
    done = tavo("scan", ".", "--allow-incomplete", "acme/wrods")
    assert done.code == 0
    assert "acme/wrods" in done.out


@needs_rego
def test_the_whole_report_is_as_kept(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    Path("gone.py").write_text(WEAK)
    tavo("scan", ".", "--write-baseline", "b.json")
    Path("gone.py").write_text(CLEAN)
    Path("agent.py").write_text(FLAW + "    exec(code)\n")
    Path("load.py").write_text(WEAK)
    Path("odd.py").write_bytes(b"caf\xe9 = 1\n")
    Path("worse.py").write_bytes(b"caf\xe9 = 1\n")
    Path(".semgrepignore").write_text("left.py\n")
    Path("left.py").write_text(FLAW)
    file = suppressions(
        "rule: unsafe-torch-load, reason: 'own files, SEC-2', expires: 2999-12-31,"
        " approved_by: bob",
        "rule: other, reason: x, expires: 2020-01-31",
    )
    rego = policy(
        'deny_new contains "nothing new" if input.finding.baseline_state == "new"\n'
        'warn contains "two files were not read" if {\n'
        "  input.summary\n  not input.summary.complete\n}\n"
        'deny_many contains "too many" if input.summary.findings > 0\n'
        'exception contains ["many"] if input.summary\n'
    )
    done = tavo("scan", ".", "--baseline", "b.json", "--suppressions", file, "--policy", rego,
                "--allow-incomplete", "odd.py")  # fmt: skip
    assert done.code == 4
    text = re.sub(r"^Policy \([^)]*\)", "Policy (EVALUATOR)", done.out, flags=re.M)
    lines = [line for line in text.splitlines(keepends=True) if "CPU." not in line]
    check_snapshot(SNAPSHOTS / "gate.txt", "".join(lines))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="sh")
def test_a_scan_without_a_gate_loads_none(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(CLEAN)
    code = (
        "import sys; from tavo.cli import main; main(['scan', '.']);"
        " print([n for n in sys.modules if 'policy' in n or 'suppressions' in n"
        " or n in ('regopy', 'tavo.results.baseline')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
