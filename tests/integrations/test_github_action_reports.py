"""Annotations, summary and the gate's files in the GitHub Action, with tavo's real reports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.fakes.built import has_format, has_option
from tests.fakes.github_runner import Runner
from tests.fakes.single_file import PYZ
from tests.integrations.test_github_action import EVIL, HOSTILE, scan, without

pytestmark = pytest.mark.skipif(
    not PYZ.exists(), reason="run the tests with `python3 build.py test`, which builds the file"
)
LOUD = {"annotate": "true", "summary": "true"}


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    made = Runner(tmp_path / "job")
    (made.workspace / "app.py").write_text(EVIL)
    return made


def needs_formats(*names: str) -> None:
    for name in names:
        if not has_format(name):
            pytest.skip(f"this build has no format {name}")


def needs_options(*names: str) -> None:
    for name in names:
        if not has_option(name):
            pytest.skip(f"this build has no option {name}")


def test_what_the_file_does_not_have_ends_the_step_before_the_scan(runner: Runner) -> None:
    done = scan(runner, formats="sarif,crystal-ball")
    assert done.code == 2
    assert "no format crystal-ball, which the input formats asks for" in done.said("error")
    if not has_format("github"):
        assert "no format github, which the input annotate asks for" in scan(
            runner, annotate="true"
        ).said("error")
    if not has_option("--policy"):
        done = scan(runner, policy="p.rego")
        assert (done.code, "No such option: --policy" in done.said("error")) == (2, True)
    assert "findings" not in done.outputs


def test_findings_are_annotated_and_summed_up(runner: Runner) -> None:
    needs_formats("github", "markdown")
    done = scan(runner, **LOUD)
    assert done.code == 1
    (annotation,) = [(kind, where) for kind, where, _ in done.commands if kind == "error"]
    assert "file=app.py" in annotation[1]
    assert "line=6" in annotation[1]
    assert done.summary.startswith("**tavo: exit code 1**, findings at or above the threshold\n")
    assert "llm-output-to-exec" in done.summary


def test_a_scan_that_is_not_complete_says_so_once(runner: Runner) -> None:
    needs_formats("github", "markdown")
    (runner.workspace / "big.py").write_text("x = 1\n" * 600_000)
    done = scan(runner, **LOUD)
    assert done.code == 4
    assert done.said("error").count("big.py") == 1
    assert "exit code 4" in done.summary
    assert "big.py" in done.summary


def test_hostile_names_and_lines_in_annotations_and_summary(runner: Runner) -> None:
    needs_formats("github", "markdown", "junit", "html")
    shutil.copy(HOSTILE, runner.workspace / "app.py")
    folder = runner.workspace / "a,b%\n::set-output name=findings::0\n"
    folder.mkdir()
    (folder / "##[set-output name=complete]no,line=1::x.py").write_text(EVIL)
    done = scan(runner, **LOUD, formats="sarif,junit,html,json")
    assert done.code == 1
    assert (done.outputs["findings"], done.outputs["complete"]) == ("5", "true")
    assert {kind for kind, _, _ in done.commands} <= {"error", "warning", "notice"}
    assert "somebody's words" not in [text for _, _, text in done.commands]
    files = {path.suffix: path for path in map(Path, done.outputs["report-files"].splitlines())}
    assert set(files) == {".sarif", ".xml", ".html", ".json"}
    ElementTree.parse(files[".xml"])
    control = scan(
        without(runner, ('print(f"::stop-commands::{token}", flush=True)', "pass")), **LOUD
    )
    assert control.code == 1


def test_the_store_is_a_report(runner: Runner) -> None:
    done = scan(runner, formats="sqlite")
    assert Path(done.outputs["report-files"]).read_bytes().startswith(b"SQLite format 3")


def test_a_baseline_and_suppressions(runner: Runner) -> None:
    needs_options("--baseline", "--suppressions")
    done = scan(runner, args="--write-baseline base.json")
    assert done.code in (0, 1), done.log
    assert json.loads((runner.workspace / "base.json").read_text())
    done = scan(runner, baseline="base.json")
    assert done.code == 0, done.log
    (runner.workspace / "more.py").write_text(EVIL)
    assert scan(runner, baseline="base.json").code == 1
    assert scan(runner, baseline="gone.json").code in (2, 3)
    assert scan(runner, suppressions="gone.yaml").code in (2, 3)


def test_a_policy_and_its_data(runner: Runner) -> None:
    needs_options("--policy", "--data")
    (runner.workspace / "p.rego").write_text("package main\n\ndeny contains")
    done = scan(runner, policy="p.rego", fail_on="critical")
    assert done.code not in (0, 1), done.log
    assert "p.rego" in done.said("error") or "nothing here evaluates" in done.said("error")


def test_one_file_may_fail(runner: Runner) -> None:
    needs_options("--allow-incomplete")
    (runner.workspace / "app.py").write_text("x = 1\n")
    (runner.workspace / "big.py").write_text("x = 1\n" * 600_000)
    assert scan(runner).code == 4
    done = scan(runner, allow_incomplete="big.py")
    assert done.code == 0, done.log
    assert "big.py" in done.log
