"""`tavo scan` as its user types it: what it prints, and its exit codes."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

FLAW = """\
import torch
from openai import OpenAI

client = OpenAI()


def run(question):
    answer = client.responses.create(model="m", input=question)
    code = answer.output_text
    exec(code)
"""
CLEAN = "def add(a, b):\n    return a + b\n"


def test_a_flaw_is_reported_with_its_way_and_exit_1(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    done = tavo("scan", ".")
    assert done.code == 1
    assert "agent.py\n" in done.out
    assert "llm-output-to-exec" in done.out
    assert "10 |     exec(code)" in done.out
    assert "1. line 9: " in done.out
    assert "1 finding (1 critical): 1 file with " in done.out
    assert "tavo explain llm-output-to-exec" in done.out
    assert done.err == ""


def test_clean_code_is_one_line_and_exit_0(tavo) -> None:
    Path("sum.py").write_text(CLEAN)
    done = tavo("scan", ".")
    assert done.code == 0
    assert done.out.startswith("No findings: 1 file with ")
    assert len(done.out.splitlines()) == 1


def test_no_file_to_look_at_is_not_called_clean(tavo) -> None:
    Path("notes.csv").write_text("nothing")
    done = tavo("scan", ".")
    assert "No findings" not in done.out
    assert done.out.startswith("Nothing to look at")


def test_json_is_one_document_with_the_published_schema(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    done = tavo("scan", ".", "--format", "json")
    report = json.loads(done.out)
    assert report["schema"] == "tavo-results/1"
    assert report["run"]["complete"] is True
    assert [f["rule_id"] for f in report["findings"]] == ["llm-output-to-exec"]


def test_sarif_has_the_flow(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    run = json.loads(tavo("scan", ".", "--format", "sarif").out)["runs"][0]
    assert run["results"][0]["codeFlows"][0]["threadFlows"][0]["locations"]


def test_a_folder_that_does_not_exist_is_named(tavo) -> None:
    done = tavo("scan", "nosuch")
    assert (done.code, done.out) == (3, "")
    assert done.err == (
        "tavo: nosuch: no such file or folder\n"
        "  Check the path; `tavo scan .` scans the current folder.\n"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"caf\xe9 = 1\n", "not UTF-8 at byte 3"),
        (b"\x00\x01\x02", "binary, not source"),
        (FLAW.encode() + b"def broken(:\n", "parsed in part: line "),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_scanned(
    tavo, content: bytes, reason: str
) -> None:
    Path("odd.py").write_bytes(content)
    Path("agent.py").write_text(FLAW)
    done = tavo("scan", ".")
    assert done.code == 4
    assert f"file odd.py: {reason}" in done.out
    assert "llm-output-to-exec" in done.out


def test_declared_latin_1_is_read(tavo) -> None:
    Path("latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nname = 'caf\xe9'\n")
    assert tavo("scan", ".").code == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_folder_is_named(tavo) -> None:
    folder = Path("secret")
    folder.mkdir(mode=0)
    done = tavo("scan", ".")
    folder.chmod(0o755)
    assert done.code == 4
    assert "secret: cannot be read" in done.out


def test_a_broken_rule_file_is_named_and_the_rest_is_scanned(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    Path("rules.yaml").write_text("rules: [\n")
    done = tavo("scan", "agent.py", "--rules", "rules.yaml")
    assert done.code == 4
    assert "rules.yaml: line" in done.out
    assert "llm-output-to-exec" in done.out


def test_a_rule_with_an_unsupported_construct_is_named(tavo) -> None:
    Path("agent.py").write_text(CLEAN)
    Path("rules.yaml").write_text(
        "rules:\n- id: one\n  languages: [python]\n  severity: ERROR\n  message: m\n"
        "  patterns:\n  - pattern: f($X)\n"
        "  - metavariable-analysis: {metavariable: $X, analyzer: luck}\n"
        "- id: two\n  languages: [python]\n  severity: ERROR\n  message: m\n  pattern: a + b\n"
    )
    done = tavo("scan", "agent.py", "--rules", "rules.yaml")
    assert done.code == 4
    assert "rule.patterns[1].metavariable-analysis: analyzer 'luck' is not supported" in done.out
    assert "two" in done.out


def test_a_rule_path_that_does_not_exist_is_usage(tavo) -> None:
    done = tavo("scan", ".", "--rules", "nosuch.yaml")
    assert done.code == 2
    assert "nosuch.yaml: no such rule file or folder" in done.err


def test_ignore_comments_need_a_reason(tavo) -> None:
    reasoned = FLAW.replace(
        "exec(code)", "exec(code)  # tavo: ignore[llm-output-to-exec] sandboxed by gVisor"
    )
    Path("agent.py").write_text(reasoned)
    done = tavo("scan", ".")
    assert (done.code, "1 ignored by comments" in done.out) == (0, True)
    Path("agent.py").write_text(reasoned.replace("sandboxed by gVisor", ""))
    done = tavo("scan", ".")
    assert done.code == 1
    assert "has no reason and does not hold" in done.out


def test_text_in_a_string_is_no_ignore_comment(tavo) -> None:
    Path("agent.py").write_text(FLAW.replace("exec(code)", 'exec(code, {"# nosemgrep": 1})'))
    assert tavo("scan", ".").code == 1


def test_ignore_files_hold_but_not_for_named_files(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    Path(".tavoignore").write_text("agent.py\n")
    done = tavo("scan", ".")
    assert "No findings: 1 file with" in done.out  # the ignore file itself
    assert "left out: by ignore files, exclude, name or kind: agent.py" in " ".join(
        done.out.split()
    )
    assert tavo("scan", "agent.py").code == 1


@pytest.mark.parametrize(
    "hidden",
    [
        b"# a comment\reval(question)\r",
        b"# coding: utf-7\n# +AAo-eval(question)\n",
        b"#!/usr/bin/env python\r# coding: utf-7\r# +AAo-eval(question)\n",
    ],
)
def test_code_hidden_in_a_comment_is_seen_as_python_sees_it(tavo, hidden: bytes) -> None:
    Path("rules.yaml").write_text(
        "rules:\n- id: dynamic\n  languages: [python]\n  severity: ERROR\n  message: m\n"
        "  pattern: eval(...)\n"
    )
    Path("agent.py").write_bytes(hidden)
    names: list[str] = []
    exec(compile(hidden, "agent.py", "exec"), {"question": 1, "eval": names.append})
    assert names == [1], "the control: Python runs it"
    done = tavo("scan", ".", "--no-default-rules", "--rules", "rules.yaml")
    assert (done.code, "dynamic" in done.out) == (1, True)


def test_fail_on_and_exit_zero(tavo) -> None:
    Path("agent.py").write_text(FLAW.replace("exec(code)", "torch.load(question)"))
    assert tavo("scan", ".").code == 1
    assert tavo("scan", ".", "--fail-on", "critical").code == 0
    assert tavo("scan", ".", "--exit-zero").code == 0
    done = tavo("scan", ".", "--fail-on", "huge")
    assert done.code == 2
    assert "scan.fail_on is 'huge', expected info, low" in done.err


@pytest.mark.parametrize("options", [("--format", "sarif"), ("--output", "sarif=out.sarif"),
                                     ("--format", "json", "-q")])  # fmt: skip
def test_why_a_run_is_not_complete_is_said_where_no_text_report_is(tavo, options) -> None:
    Path("good.py").write_text(CLEAN)
    assert "Not looked at" not in tavo("scan", ".", *options).err  # control
    Path("bad.py").write_text("def f(:\n")
    done = tavo("scan", ".", "--exclude", "*.sarif", *options)
    assert done.code == 4
    text = done.out + done.err
    assert "Not looked at, or not in full: file bad.py." in text
    assert text.count("in full: file bad.py.") == 1


def test_a_reader_that_goes_away_is_no_finding() -> None:
    """typer ends with 1 there, which is our word for findings."""
    tavo = f"{sys.executable} -m tavo rules list"
    line = f"set -o pipefail; {tavo} | true"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "")


def test_incomplete_is_not_turned_into_success(tavo) -> None:
    Path("odd.py").write_bytes(b"\xff")
    assert tavo("scan", ".", "--exit-zero").code == 4


def test_results_are_saved_listed_and_shown_again(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    first = tavo("scan", ".", "--save", "results.db")
    listed = tavo("results", "list")
    assert listed.out.split("\t")[:3] == ["1", listed.out.split("\t")[1], "yes"]
    assert tavo("results", "show").out == first.out
    exported = json.loads(tavo("results", "export", "--format", "sarif").out)
    assert exported["version"] == "2.1.0"


def test_a_file_that_is_no_result_store_is_left_alone(tavo) -> None:
    Path("agent.py").write_text(CLEAN)
    other = sqlite3.connect("other.db")
    other.execute("CREATE TABLE mine (a)")
    other.close()
    before = Path("other.db").read_bytes()
    done = tavo("scan", ".", "--save", "other.db")
    assert done.code == 2
    assert "other.db: is a database of something else" in done.err
    assert Path("other.db").read_bytes() == before
    Path("text.db").write_text("this is no database at all, and longer than a header" * 30)
    assert tavo("scan", ".", "--save", "text.db").code == 2


def test_a_project_cannot_weaken_a_check(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    Path("tavo.toml").write_text('[registry]\nroot = "root.json"\n')
    done = tavo("scan", ".")
    assert done.code == 2
    assert "registry.root may not be set by a project" in done.err


def test_an_unknown_setting_names_the_nearest(tavo) -> None:
    Path("tavo.toml").write_text("[scan]\nexclud = []\n")
    done = tavo("scan", ".")
    assert done.code == 2
    assert "unknown key 'scan.exclud'" in done.err
    assert "Did you mean 'scan.exclude'?" in done.err


def test_many_files_on_two_processes_give_the_same_report(tavo) -> None:
    for number in range(60):
        Path(f"agent_{number:02}.py").write_text(FLAW)
    one = json.loads(tavo("scan", ".", "--jobs", "1", "--format", "json").out)
    two = json.loads(tavo("scan", ".", "--jobs", "2", "--format", "json").out)
    assert one["findings"] == two["findings"]
    assert len(two["findings"]) == 60


def test_escape_sequences_in_source_do_not_reach_the_terminal(tavo) -> None:
    Path("agent.py").write_text(FLAW.replace("exec(code)", "exec(code)  # \x1b]0;owned\x07 \u202e"))
    out = tavo("scan", ".").out
    assert "\x1b" not in out
    assert "\u202e" not in out
