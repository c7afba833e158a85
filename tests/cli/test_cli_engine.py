"""`tavo scan --engine`: another engine of PATH, with the same rules, into the same report."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run

FLAW = "import subprocess\n\n\ndef tool(cmd):\n    subprocess.run(cmd, shell=True)\n"
FAKE = """\
#!{python}
import json, os, sys
words = sys.argv[1:]
if words == ["--version"]:
    print("1.2.3")
    raise SystemExit(0)
paths = words[words.index("--") + 1:]
rules = json.load(open(words[words.index("--config") + 1]))["rules"]
open({log!r}, "w").write(json.dumps(
    {{"words": words, "env": dict(os.environ), "rules": [rule["id"] for rule in rules]}}
))
report = {{"results": [], "errors": [], "paths": {{"scanned": paths}}}}
for path in paths:
    for number, line in enumerate(open(path), start=1):
        if "shell=True" in line:
            report["results"].append({{
                "check_id": rules[0]["id"], "path": path, "start": {{"line": number, "col": 5}},
                "end": {{"line": number, "col": 9}}, "extra": {{"message": "found by the fake",
                "metavars": {{"$X": {{"abstract_content": "cmd"}}}}, "dataflow_trace": {{
                    "taint_source": ["CliLoc", [{{"path": path, "start": {{"line": 4, "col": 1}},
                    "end": {{"line": 4, "col": 2}}}}, "cmd"]]}}}}}})
{more}
print(json.dumps(report))
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program named opengrep on PATH; return where it writes what it was asked."""
    return install(tmp_path, monkeypatch)


def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str = "") -> Path:
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    log = tmp_path / "log.json"
    program = folder / "opengrep"
    program.write_text(FAKE.format(python=sys.executable, log=str(log), more=more))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return log


def test_its_findings_are_in_the_same_report_under_its_name(tavo: Run, fake: Path) -> None:
    Path("a.py").write_text(FLAW + "    subprocess.run(cmd, shell=True)  # nosemgrep\n")
    done = tavo("scan", ".", "--engine", "opengrep", "--format", "json")
    assert done.code == 1
    report = json.loads(done.out)
    first, second = report["findings"]
    assert (first["tool"], first["location"]["region"]["start_line"]) == ("opengrep", 5)
    assert first["evidence"] == {"$X": "cmd"}
    assert first["flow"][0]["message"] == "tainted here: cmd"
    assert second["suppression"]["reason"] == "nosemgrep"
    (row,) = report["plugins"]
    assert (row["plugin"], row["version"], row["files"]) == ("opengrep", "1.2.3", 1)
    assert tavo("scan", ".", "--engine", "opengrep", "--format", "sarif").code == 1
    assert "opengrep 1.2.3 on 1 file" in tavo("scan", ".", "--engine", "opengrep").out


def test_it_is_kept_from_the_network_and_gets_all_rules(
    tavo: Run, fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMGREP_APP_TOKEN", "secret")
    Path("a.py").write_text(FLAW)
    tavo("scan", ".", "--engine", "opengrep")
    asked = json.loads(fake.read_text())
    assert "SEMGREP_APP_TOKEN" not in asked["env"]
    assert asked["env"]["SEMGREP_SEND_METRICS"] == "off"
    assert asked["env"]["HTTPS_PROXY"] == "http://127.0.0.1:9"
    assert "--disable-version-check" in asked["words"]
    assert len(asked["rules"]) >= 21
    assert asked["words"][-1] == str(Path("a.py").resolve())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("raise SystemExit('out of memory')", "engine opengrep: failed with code 1: out of memory"),
        ("report = []", "engine opengrep: failed with code 0: no report that can be read"),
        ("report['paths'] = {'scanned': []}; report['results'] = []",
         "file a.py: the engine did not look at it"),
        ("report['errors'] = [{'message': 'timeout', 'path': paths[0]}]", "file a.py: timeout"),
        ("report['errors'] = [{'message': 'bad rule', 'rule_id': 'x'}]", "rule x: bad rule"),
        ("report['results'][0]['check_id'] = 'other'", "a finding of other cannot be read"),
    ],
)  # fmt: skip
def test_what_it_does_not_do_makes_the_run_incomplete(
    tavo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, said: str
) -> None:
    install(tmp_path, monkeypatch, more)
    Path("a.py").write_text(FLAW)
    done = tavo("scan", ".", "--engine", "opengrep")
    assert done.code == 4
    assert said in " ".join(done.out.split())


def test_one_that_never_ends_is_stopped(
    tavo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tavo.scan import external

    install(tmp_path, monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(external, "_SECONDS", 1.0)
    Path("a.py").write_text(FLAW)
    done = tavo("scan", ".", "--engine", "opengrep")
    assert done.code == 4
    assert "was stopped: it took longer than 1 s" in done.out


def test_one_that_is_not_there_is_named(tavo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("opengrep").write_text("#!/bin/sh\ntouch ran\n")
    Path("opengrep").chmod(0o755)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.pathsep}/usr/bin:/bin")
    done = tavo("scan", ".", "--engine", "opengrep")
    assert (done.code, done.out) == (2, "")
    assert "there is no opengrep in the folders of PATH" in done.err
    assert not Path("ran").exists()
    assert tavo("scan", ".", "--engine", "eslint").code == 2


def test_a_project_cannot_choose_it(tavo: Run, fake: Path) -> None:
    Path("tavo.toml").write_text("[scan]\nengine = 'opengrep'\n")
    assert tavo("scan", ".").code == 2
    assert not fake.exists()


def _semgrep() -> str | None:
    return os.environ.get("TAVO_TEST_SEMGREP") or shutil.which("semgrep")


@pytest.mark.skipif(_semgrep() is None, reason="not measured: there is no semgrep here")
def test_the_real_one_agrees(tavo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(_semgrep() or "").parent
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    Path("a.py").write_text(FLAW)
    places = [
        [(f["rule_id"], f["location"]["region"]) for f in json.loads(done.out)["findings"]]
        for done in (
            tavo("scan", ".", "--format", "json", *words) for words in ([], ["--engine", "semgrep"])
        )
    ]
    assert len(places[0]) == 1
    assert places[0] == places[1]


# -- a rule that the engine refuses takes all rules with it: it is looked for by halves

PICKY = """\
asked = [rule["id"] for rule in rules]
with open({log!r} + ".asks", "a") as log:
    log.write(json.dumps(asked) + "\\n")
if any("refuse" in name for name in asked):
    report = {{"results": [], "paths": {{"scanned": []}}, "errors": [
        {{"message": "invalid language in rule: " + ", ".join(asked), "rule_id": None}}]}}
"""


def several(*names: str) -> str:
    rules = [
        {"id": name, "message": "m", "severity": "LOW", "languages": ["python", "dockerfile"],
         "pattern": "subprocess.run(...)"} for name in names
    ]  # fmt: skip
    return json.dumps({"rules": rules})


def asks(log: Path) -> list[list[str]]:
    return [json.loads(line) for line in Path(f"{log}.asks").read_text().splitlines()]


def test_a_rule_that_it_refuses_is_found_by_halves_and_named(
    tavo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log.json"
    install(tmp_path, monkeypatch, PICKY.format(log=str(log)))
    Path("a.py").write_text(FLAW)
    names = [f"rule-{number}" for number in range(14)] + ["refuse-a", "refuse-b"]
    Path("r.yaml").write_text(several(*names))
    words = ("scan", "a.py", "--no-default-rules", "--rules", "r.yaml", "--engine", "opengrep")
    done = tavo(*words)
    said = " ".join(done.out.split())
    assert done.code == 4
    assert "rule refuse-a: opengrep: invalid language in rule: refuse-a" in said
    assert "rule refuse-b: opengrep: invalid language in rule: refuse-b" in said
    assert "opengrep rule-0" in done.out, "the others still ran"
    assert asks(log)[-1] == names[:14]
    assert len(asks(log)) <= 12, "by halves, not one by one"


def test_without_looking_for_it_nothing_is_found(
    tavo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tavo.scan import external

    monkeypatch.setattr(external, "_accepted", lambda engine, entries, *rest: entries)
    install(tmp_path, monkeypatch, PICKY.format(log=str(tmp_path / "log.json")))
    Path("a.py").write_text(FLAW)
    Path("r.yaml").write_text(several("rule-0", "refuse-a"))
    words = ("scan", "a.py", "--no-default-rules", "--rules", "r.yaml", "--engine", "opengrep")
    done = tavo(*words)
    assert done.code == 4
    assert "opengrep rule-0" not in done.out


def test_when_it_refuses_very_many_it_is_not_asked_for_ever(
    tavo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log.json"
    install(tmp_path, monkeypatch, PICKY.format(log=str(log)))
    Path("a.py").write_text(FLAW)
    Path("r.yaml").write_text(several("good", *(f"refuse-{number}" for number in range(60))))
    words = ("scan", "a.py", "--no-default-rules", "--rules", "r.yaml", "--engine", "opengrep")
    done = tavo(*words, "--format", "json")
    assert done.code == 4
    assert len(asks(log)) <= 41
    notices = [one for one in json.loads(done.out)["not_done"] if one["kind"] == "rule"]
    assert {one["subject"] for one in notices} >= {f"refuse-{number}" for number in range(60)}
    assert any("too many rules are refused: not tried" in one["reason"] for one in notices)


@pytest.mark.skipif(_semgrep() is None, reason="not measured: there is no semgrep here")
def test_the_real_one_refuses_a_rule_and_runs_the_others(
    tavo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(_semgrep() or "").parent
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    Path("a.py").write_text(FLAW)
    good, bad = json.loads(several("good", "bad"))["rules"]
    bad["languages"] = ["python", "no-such-language"]
    Path("r.yaml").write_text(json.dumps({"rules": [good, bad]}))
    words = ("scan", "a.py", "--no-default-rules", "--rules", "r.yaml", "--engine", "semgrep")
    done = tavo(*words)
    assert done.code == 4, done.out
    assert "semgrep good" in done.out
    assert "rule bad: semgrep: " in " ".join(done.out.split())
