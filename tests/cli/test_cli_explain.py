"""`tavo explain`: a rule, a finding of a store, a line of a file; and what is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tavo.cli.explain import _check_unique
from tavo.errors import UsageError
from tavo.results.store import ResultStore
from tests.cli.test_cli_imported import CODE, result, sarif
from tests.cli.test_cli_scan import FLAW
from tests.fakes.snapshots import check_snapshot

SNAPSHOTS = Path(__file__).parent / "snapshots"
RULES = """\
rules:
  - id: use-literal-eval
    languages: [python, javascript]
    severity: ERROR
    message: eval runs $X
    pattern: eval($X)
    fix: ast.literal_eval($X)
"""


def test_a_rule_is_explained(tavo) -> None:
    done = tavo("explain", "llm-output-to-exec")
    assert done.code == 0
    assert done.out.startswith("llm-output-to-exec: Model output is run as code\n")
    for part in ("Why it matters", "How to mend it", "# tavo: ignore[llm-output-to-exec] why it"):
        assert part in done.out
    value = json.loads(tavo("explain", "llm-output-to-exec", "--json").out)
    assert (value["id"], value["severity"]) == ("llm-output-to-exec", "critical")


def test_a_line_of_a_file_is_scanned_and_explained_with_its_way(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    done = tavo("explain", "agent.py:10")
    assert done.code == 0
    check_snapshot(SNAPSHOTS / "explain-line.txt", done.out)
    (found,) = json.loads(tavo("explain", "agent.py:10:5", "--json").out)["findings"]
    assert found["location"]["region"]["start_line"] == 10
    assert found["accept"]["where"] == "at the end of line 10, or alone on the line before it"


def test_the_comment_that_is_shown_does_accept_the_finding(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    (found,) = json.loads(tavo("explain", "agent.py:10", "--json").out)["findings"]
    lines = FLAW.splitlines()
    lines[9] += f"  {found['accept']['comment']}"
    Path("agent.py").write_text("\n".join(lines))
    assert tavo("scan", "agent.py").code == 0


def test_a_fix_is_a_diff_and_the_comment_is_in_the_language_of_the_file(tavo) -> None:
    Path("rules.yaml").write_text(RULES)
    Path("a.js").write_text("x = 1;\nconst y = eval(x) + 1;\n")
    done = tavo("explain", "a.js:2", "--rules", "rules.yaml")
    assert done.code == 0
    assert (
        "The fix that the rule suggests\n"
        "  --- a.js\n  +++ a.js\n  @@ -2,1 +2,1 @@\n"
        "  -const y = eval(x) + 1;\n  +const y = ast.literal_eval(x) + 1;\n"
    ) in done.out
    assert "    // tavo: ignore[use-literal-eval] why it is safe here" in done.out
    assert tavo("explain", "use-literal-eval", "--rules", "rules.yaml").code == 0


def test_a_finding_of_a_store_is_found_by_the_start_of_its_fingerprint(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    tavo("scan", ".", "--save", "results.db")
    report = json.loads(tavo("results", "export").out)
    fingerprint = report["findings"][0]["fingerprint"]
    for name in (fingerprint, fingerprint[:6]):
        done = tavo("explain", name)
        assert done.code == 0
        assert f"fingerprint {fingerprint}, run 1 of results.db" in done.out
    assert tavo("explain", "agent.py:10", "--store", "results.db").code == 0
    Path("agent.py").unlink()
    assert tavo("explain", fingerprint[:6], "--json").code == 0


def test_the_start_of_several_fingerprints_names_them(tavo) -> None:
    Path("app.py").write_text(CODE)
    Path("many.sarif").write_text(sarif(*(result(line=5, level="note") for _ in range(400))))
    tavo("results", "import", "many.sarif")
    with ResultStore(Path("results.db")) as store:
        run = store.run()
        found = [(run, one) for one in store.findings(run.id)]
    with pytest.raises(UsageError, match=r"^ab: 400 findings of run 1 begin like this$") as caught:
        _check_unique("ab", found, by_place=False)
    assert "and 392 more" in caught.value.hint


def test_a_rule_of_another_tool_is_found_in_the_store_also_by_its_own_name(tavo) -> None:
    Path("app.py").write_text(CODE)
    Path("other.sarif").write_text(sarif(result()))
    tavo("results", "import", "other.sarif")
    for name in ("py.command", "py/command", "sarif:scan-o-matic:py.command"):
        done = tavo("explain", name)
        assert done.code == 0, done.err
        assert "of sarif:scan-o-matic" in done.out
        assert "# tavo: ignore[sarif:scan-o-matic:py.command] why it is safe here" in done.out


def test_what_is_not_there_names_what_is_near(tavo) -> None:
    done = tavo("explain", "llm-output-to-exce")
    assert done.code == 2
    assert "there is no rule or finding 'llm-output-to-exce' here" in done.err
    assert "Did you mean llm-output-to-exec" in done.err
    done = tavo("explain", "gone.py:3")
    assert done.code == 3
    assert "gone.py:3: there is no such file" in done.err
    Path("agent.py").write_text(FLAW)
    done = tavo("explain", "agent.py:2")
    assert done.code == 2
    assert "no rule finds anything here" in done.err
    assert "Findings are on line 10." in done.err
    Path("clean.py").write_text("x = 1\n")
    assert "The file has no findings." in tavo("explain", "clean.py:1").err
    Path("folder").mkdir()
    assert "is a folder" in tavo("explain", "folder:1").err
    assert tavo("explain", "x", "--store", "gone.db").code in (2, 3)
    assert "\x1b" not in tavo("explain", "\x1b[31mx").err


def test_a_file_that_cannot_be_read_in_full_is_no_answer(tavo) -> None:
    Path("broken.py").write_text("def f(:\n    eval(openai.x)\n")
    done = tavo("explain", "broken.py:1")
    assert done.code == 4
    assert "cannot be told, the file was not looked at in full" in done.err


def test_hostile_text_is_escaped(tavo) -> None:
    Path("app.py").write_text("x = 1  # \x1b[31m \u202e\n" * 5)
    hostile = result(message={"text": "\x1b]0;gone\x07 \u202e"})
    Path("other.sarif").write_text(sarif(hostile))
    tavo("results", "import", "other.sarif")
    done = tavo("explain", "app.py:5", "--store", "results.db")
    assert done.code == 0
    for sign in ("\x1b", "\x07", "\u202e"):
        assert sign not in done.out
