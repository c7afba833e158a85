"""`tavo results import` and `tavo scan --import-sarif` as their users type them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tavo.results.store import ResultStore
from tests.cli.test_cli_scan import FLAW
from tests.fakes.snapshots import check_snapshot

ATTACKS = Path(__file__).parents[1] / "attacks" / "sarif"
SNAPSHOTS = Path(__file__).parent / "snapshots"
CODE = "import os\n\n\ndef run(command):\n    os.system(command)\n"


def sarif(*results: dict[str, Any], name: str = "Scan-O-Matic", **run: Any) -> str:
    rule = {
        "id": "py/command", "shortDescription": {"text": "A command is built from input"},
        "help": {"text": "Use a list of words.\n\nThen no shell reads them."},
        "properties": {"security-severity": "8.8", "tags": ["external/cwe/cwe-078"]},
    }  # fmt: skip
    driver = {"name": name, "semanticVersion": "2.0.1", "rules": [rule]}
    value = {"tool": {"driver": driver}, "results": list(results), **run}
    return json.dumps({"version": "2.1.0", "runs": [value]})


def result(path: str = "app.py", line: int = 5, **more: Any) -> dict[str, Any]:
    physical = {"artifactLocation": {"uri": path}, "region": {"startLine": line, "startColumn": 5}}
    return {"ruleId": "py/command", "ruleIndex": 0, "message": {"text": "os.system runs $command"},
            "locations": [{"physicalLocation": physical}], **more}  # fmt: skip


def test_findings_of_another_tool_get_the_same_report_and_exit_code(tavo) -> None:
    Path("app.py").write_text(CODE)
    Path("other.sarif").write_text(sarif(
        result(),
        result(line=1, suppressions=[{"kind": "external", "justification": "known"}]),
        result("gone.py", 7), result("../up.py", 3), {"message": {"text": "of no rule"}},
        invocations=[{"executionSuccessful": True, "toolExecutionNotifications": [
            {"level": "error", "message": {"text": "\x1b[31mcannot parse b.py"}}]}],
    ))  # fmt: skip
    done = tavo("results", "import", "other.sarif")
    assert done.code == 4
    said = re.sub(r"[0-9.]+ s CPU", "0.00 s CPU", done.out)
    check_snapshot(SNAPSHOTS / "results-import.txt", said)
    assert done.err == ""
    shown = tavo("results", "show")
    assert shown.out == done.out


def test_without_a_loss_it_is_the_threshold_that_decides(tavo) -> None:
    Path("app.py").write_text(CODE)
    Path("other.sarif").write_text(sarif(result()))
    assert tavo("results", "import", "other.sarif").code == 1
    assert tavo("results", "import", "other.sarif", "--fail-on", "critical").code == 0
    assert tavo("results", "import", "other.sarif", "--exit-zero").code == 0
    Path("none.sarif").write_text(sarif())
    done = tavo("results", "import", "none.sarif")
    assert done.code == 0
    assert done.out.startswith("No findings: nothing was scanned here; sarif:scan-o-matic 2.0.1")


def test_a_comment_in_the_source_accepts_what_another_tool_found(tavo) -> None:
    lines = CODE.splitlines()
    lines[4] += "  # tavo: ignore[sarif:scan-o-matic:py.command] only for admins"
    Path("app.py").write_text("\n".join(lines))
    Path("other.sarif").write_text(sarif(result()))
    done = tavo("results", "import", "other.sarif", "--json")
    assert done.code == 0
    (finding,) = json.loads(done.out)["findings"]
    assert finding["suppression"]["reason"] == "only for admins"
    assert finding["tool"] == "sarif:scan-o-matic"


def test_a_scan_counts_what_other_tools_found_in_the_same_run(tavo) -> None:
    Path("app.py").write_text(CODE)
    Path("agent.py").write_text(FLAW)
    Path("other.sarif").write_text(sarif(result(level="error")))
    done = tavo("scan", "app.py", "agent.py", "--import-sarif", "other.sarif", "--json")
    assert done.code == 1
    report = json.loads(done.out)
    assert {one["tool"] for one in report["findings"]} == {"tavo", "sarif:scan-o-matic"}
    assert [one["plugin"] for one in report["plugins"]] == ["sarif:scan-o-matic"]
    Path("sum.py").write_text("x = 1\n")
    assert tavo("scan", "sum.py", "--import-sarif", "other.sarif").code == 1
    assert tavo("scan", "sum.py").code == 0  # it is the import that fails it


def test_a_file_that_is_refused_stops_a_scan_before_it_begins(tavo) -> None:
    Path("app.py").write_text(CODE)
    done = tavo("scan", ".", "--import-sarif", ATTACKS / "nan.sarif", "--save", "r.db")
    assert done.code == 3
    assert "NaN is not a number of JSON" in done.err
    assert not Path("r.db").exists()
    done = tavo("results", "import", ATTACKS / "version-1.0.0.sarif")
    assert done.code == 3
    assert not Path("results.db").exists()


def test_the_same_file_twice_is_refused(tavo) -> None:
    Path("a.sarif").write_text(sarif(result()))
    Path("b.sarif").write_text(sarif(result()))
    done = tavo("results", "import", "a.sarif", "b.sarif")
    assert done.code == 3
    assert "b.sarif: is the same as a.sarif" in done.err


def test_base_names_the_folder_of_another_machine(tavo) -> None:
    Path("app.py").write_text(CODE)
    Path("ci.sarif").write_text(sarif(result("file:///D:/a/work/app.py")))
    lost = json.loads(tavo("results", "import", "ci.sarif", "--json").out)
    assert lost["findings"][0]["location"]["path"] == "(outside)/D:/a/work/app.py"
    assert "--base" in lost["not_done"][0]["reason"]
    for base in ("D:\\a\\work", "D:/a/work/", "file:///D:/a/work"):
        done = tavo("results", "import", "ci.sarif", "--json", "--base", base)
        location = json.loads(done.out)["findings"][0]["location"]
        assert (location["path"], location["snippet"]) == ("app.py", "    os.system(command)")


def test_no_link_and_no_pipe_of_the_project_is_read(tavo, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the secret\n")
    Path("app.py").symlink_to(tmp_path / "secret.txt")
    Path("other.sarif").write_text(sarif(result(line=1)))
    done = tavo("results", "import", "other.sarif", "--json")
    assert "the secret" not in done.out
    Path("app.py").unlink()
    Path("app.py").write_text("the secret\n")  # the control: a file of the project is read
    assert "the secret" in tavo("results", "import", "other.sarif", "--json").out


def test_hostile_text_reaches_the_terminal_as_text(tavo) -> None:
    done = tavo("results", "import", ATTACKS / "markup.sarif")
    assert done.code == 4
    for sign in ("\x1b", "\x07", "\u202e"):
        assert sign not in done.out
    exported = json.loads(tavo("results", "export", "--format", "sarif").out)
    assert exported["runs"][0]["tool"]["extensions"][0]["name"].startswith("sarif:tavo-31m")


@pytest.mark.parametrize("with_sources", [True, False])
def test_our_own_report_comes_back_as_the_same_findings(tavo, with_sources: bool) -> None:
    Path("agent.py").write_text(
        FLAW + "    eval(code)  # tavo: ignore[llm-output-to-exec] a test\n"
    )
    assert tavo("scan", ".", "--save", "own.db").code == 1
    from tavo.results.export.sarif import run_to_sarif

    with ResultStore(Path("own.db")) as store:
        before = list(store.findings(1))
        Path("own.sarif").write_text(run_to_sarif(store.run(1), before, suppressed=True))
    if not with_sources:
        Path("agent.py").unlink()
    tavo("results", "import", "own.sarif", "--store", "back.db")
    with ResultStore(Path("back.db")) as store:
        after = list(store.findings(1))
    assert len(before) == 2
    assert [one.finding for one in after] == [one.finding for one in before]
    assert [one.suppression for one in after] == [one.suppression for one in before]
    assert {one.tool for one in after} == {"sarif:tavo"}
    assert [one.line_hash for one in after] == [one.line_hash for one in before]
    rules = [
        (one.rule.id, one.rule.title, one.rule.cwe, one.rule.owasp, one.rule.help) for one in after
    ]
    assert rules == [
        (one.rule.id, one.rule.title, one.rule.cwe, one.rule.owasp, one.rule.help) for one in before
    ]


def test_an_ai_bom_is_not_made_of_results(tavo) -> None:
    Path("other.sarif").write_text(sarif(result()))
    assert tavo("results", "import", "other.sarif", "--format", "ai-bom").code == 2
    tavo("results", "import", "other.sarif")
    assert tavo("results", "export", "--format", "ai-bom").code == 2
