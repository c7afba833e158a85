"""`tavo rules` on folders of one's own: what its user sees, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fakes.snapshots import check_snapshot

SNAPSHOTS = Path(__file__).parent / "snapshots"
RULES = """\
rules:
  - {id: call, message: called, severity: LOW, languages: [python], pattern: bad($X)}
  - id: token
    message: A token.
    severity: ERROR
    languages: [regex]
    pattern-regex: tok_[a-z]{6}(?!x)
    paths: {include: ["*.conf"]}
"""
PYTHON = """\
# ruleid: call
bad(1)
# ok: call
good(1)
# todoruleid: call
worse(1)
# todook: call
bad(2)
"""
MARKDOWN = """\
<!-- ruleid: token -->
<!-- ok: call -->
tok_abcdef
/* ok: token */
tok_abcdefx
"""


def project() -> None:
    Path("rules/.git").mkdir(parents=True)
    Path("rules/.git/hooks.yaml").write_text("no: rules")
    Path("rules/mine.yaml").write_text(RULES)
    Path("rules/mine.py").write_text(PYTHON)
    Path("rules/mine.md").write_text(MARKDOWN)
    Path("rules/mine.test.yaml").write_text("# ok: token\na: 1\n")


def test_rules_test_says_what_is_as_expected_and_what_differs(tavo) -> None:
    project()
    text = ""

    def step(*words: str) -> int:
        nonlocal text
        done = tavo(*words)
        text += f"$ tavo {' '.join(words)}\n{done.out}{done.err}[{done.code}]\n\n"
        return done.code

    assert step("rules", "test", "rules") == 0
    Path("rules/mine.py").write_text(PYTHON.replace("bad(1)", "fine(1)") + "bad(3)\n")
    assert step("rules", "test", "rules") == 1
    Path("rules/other.yaml").write_text(
        "rules:\n  - {id: other, message: m, severity: LOW, languages: [cobol], pattern: x}\n"
    )
    Path("rules/mine.py").unlink()
    assert step("rules", "test", "rules") == 2
    Path("lonely").mkdir()
    Path("lonely/a.yaml").write_text(RULES)
    assert step("rules", "test", "lonely") == 2
    assert step("rules", "test", "lonely", "--samples", "nosuch") == 3
    assert step("rules", "validate", "rules") == 2
    check_snapshot(SNAPSHOTS / "rules-test.txt", text)


def test_samples_in_a_folder_of_their_own_and_json(tavo) -> None:
    Path("rules").mkdir()
    Path("rules/a.yaml").write_text(RULES)
    Path("samples/token").mkdir(parents=True)
    Path("samples/token/any.conf").write_text("# ruleid: token\nnothing\n")
    done = tavo("rules", "test", "rules", "--samples", "samples", "--json")
    assert done.code == 1
    call, token = json.loads(done.out)["rules"]
    assert (call["id"], call["samples"]) == ("call", 0)
    assert token["differences"] == [
        {"sample": "samples/token/any.conf", "missing": [2], "unexpected": [], "problems": []}
    ]


def test_a_sample_says_its_path_and_json_says_it_with_a_key(tavo) -> None:
    rule = {"id": "latest", "message": "m", "severity": "LOW", "languages": ["json"],
            "pattern": '"tag": "latest"', "paths": {"include": [".tools/app.json"]}}  # fmt: skip
    Path("a.yaml").write_text(json.dumps({"rules": [rule]}))
    body = (
        '{\n%s  "//1": "ruleid: latest",\n  "tag": "latest",\n  "//2": "ok: latest",\n  "x": 1\n}\n'
    )
    Path("a.json").write_text(body % '  "//": "samplepath: .tools/app.json",\n')
    Path("a.test.json").write_text(body % "")
    assert tavo("rules", "test", "a.yaml").code == 0
    Path("a.json").write_text(body % '  "//": "samplepath: .tools/other.json",\n')
    done = tavo("rules", "test", "a.yaml")
    assert done.code == 1
    assert "a.json:4: missing" in done.out


def test_a_scan_with_rules_on_text_looks_at_files_of_any_kind(tavo) -> None:
    Path("r.yaml").write_text(RULES)
    Path("app.conf").write_text("token = tok_abcdef\n")
    Path("app.txt").write_text("token = tok_abcdef\n")
    Path("app.py").write_text("bad(1)\n")
    done = tavo("scan", ".", "--rules", "r.yaml", "--no-default-rules", "--format", "json")
    report = json.loads(done.out)
    assert done.code == 1
    found = {(f["rule_id"], f["location"]["path"]) for f in report["findings"]}
    assert found == {("token", "app.conf"), ("call", "app.py")}
    assert report["run"]["complete"] is True
    assert report["run"]["files"] == 2


def test_rules_list_for_a_risk_a_weakness_a_technique_or_a_language(tavo) -> None:
    def ids(*words: str) -> set[str]:
        return {rule["id"] for rule in json.loads(tavo("rules", "list", *words, "--json").out)}

    every = ids()
    assert "llm-output-to-exec" in ids("--owasp", "llm05")
    assert ids("--owasp", "LLM05", "--owasp", "ASI04:2026") > ids("--owasp", "LLM05")
    assert "llm-output-to-shell" in ids("--cwe", "78") == ids("--cwe", "cwe-78")
    assert "provider-api-key" in ids("--atlas", "AML.T0055", "--language", "regex")
    assert "agent-hook-runs-remote-code" in ids("--language", "regex") - ids("--language", "python")
    assert ids("--language", "ts") == ids("--language", "javascript") < every
    done = tavo("rules", "list", "--owasp", "LLM99")
    assert (done.code, done.out) == (0, "")
    assert "No rule is about all of that" in done.err
    done = tavo("rules", "list", "--language", "cobol")
    assert done.code == 2
    assert "there are no rules for 'cobol'" in done.err
