"""The GitHub Action: action.yml's own steps in a shell, on a real tavo.pyz and real repositories.

A control runs a copy of the action in which one guard was edited away, and the attack works there.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.fakes.github_runner import ROOT, Runner, Step
from tests.fakes.single_file import PYZ

pytestmark = pytest.mark.skipif(
    not PYZ.exists(), reason="run the tests with `python3 build.py test`, which builds the file"
)
EVIL = """\
import openai


def run(q):
    text = openai.OpenAI().responses.create(input=q).output_text
    return eval(text)
"""
SAFE = "def add(a, b):\n    return a + b\n"
QUIET = {"annotate": "false", "summary": "false"}


def sha256(path: Path = PYZ) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    made = Runner(tmp_path)
    (made.workspace / "app.py").write_text(EVIL)
    return made


def scan(runner: Runner, **inputs: str) -> Step:
    given = {"tavo": str(PYZ), "sha256": sha256(), **QUIET, **inputs}
    return runner.run(**given)


def without(runner: Runner, *edits: tuple[str, str]) -> Runner:
    """Return the runner with a copy of the action in which guards are edited away."""
    copy = runner.folder / "action"
    unread = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "integrations", copy / "integrations", ignore=unread)
    shutil.copy(ROOT / "action.yml", copy)
    for guard, instead in edits:
        found = [p for p in copy.rglob("*") if p.is_file() and guard in p.read_text("utf-8")]
        assert len(found) == 1, f"{guard!r} is in {found}"
        found[0].write_text(found[0].read_text("utf-8").replace(guard, instead), "utf-8")
    runner.action = copy
    return runner


# -- what it is made of


def test_no_input_stands_in_the_text_of_a_script() -> None:
    document = yaml.safe_load((ROOT / "action.yml").read_text())
    scripts = [step["run"] for step in document["runs"]["steps"] if "run" in step]
    assert scripts
    assert [script for script in scripts if "${{" in script] == []


def test_every_input_is_handed_over_and_every_output_is_set() -> None:
    document = yaml.safe_load((ROOT / "action.yml").read_text())
    step = document["runs"]["steps"][0]
    assert step["env"] == {
        "INPUT_" + name.upper().replace("-", "_"): f"${{{{ inputs.{name} }}}}"
        for name in document["inputs"]
    }
    sources = (ROOT / "integrations" / "github" / "tavo_action" / "inputs.py").read_text()
    read = set(re.findall(r'\b(?:text|line|lines|listed|flag)\("([a-z0-9-]+)"\)', sources))
    assert read | {"python"} == set(document["inputs"])
    steps = (ROOT / "integrations" / "github" / "tavo_action" / "steps.py").read_text()
    set_there = set(re.findall(r'\.output\("([a-z-]+)"', steps))
    assert set_there == set(document["outputs"])


def test_other_actions_are_pinned_by_commit() -> None:
    for line in (ROOT / "action.yml").read_text().splitlines():
        if "uses:" in line:
            assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_it_uses_the_standard_library_only() -> None:
    for path in (ROOT / "integrations" / "github").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
                names.append(node.module or "")
            for name in names:
                assert name.split(".")[0] in {*sys.stdlib_module_names, "tavo_action"}, name


# -- as it is used


def test_findings_fail_the_job_and_the_report_is_uploaded(runner: Runner) -> None:
    done = scan(runner, upload_sarif="true", category="ai", formats="sarif,json,text")
    assert done.code == 1, done.log
    assert done.outputs["exit-code"] == "1"
    assert done.outputs["findings"] == "1"
    assert done.outputs["complete"] == "true"
    assert "llm-output-to-exec" in done.log
    files = [Path(name) for name in done.outputs["report-files"].splitlines()]
    assert [path.name for path in files] == ["tavo.sarif", "tavo.json", "tavo.txt"]
    assert {path.parent for path in files} == {Path(done.outputs["report-folder"])}
    assert done.uploads == [{"sarif_file": done.outputs["sarif-file"], "category": "ai"}]
    (run,) = json.loads(files[0].read_text())["runs"]
    assert run["automationDetails"]["id"] == "ai/"
    assert len(run["results"]) == 1
    (place,) = run["results"][0]["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "app.py"
    assert sha256(Path(done.outputs["tavo-file"])) == sha256()


def test_a_clean_project(runner: Runner) -> None:
    (runner.workspace / "app.py").write_text(SAFE)
    done = scan(runner, upload_sarif="true")
    assert done.code == 0
    assert done.commands == []
    assert (done.outputs["exit-code"], done.outputs["findings"]) == ("0", "0")
    assert len(done.uploads) == 1


def test_nothing_is_uploaded_that_was_not_asked_for(runner: Runner) -> None:
    assert scan(runner).uploads == []


def test_a_scan_that_is_not_complete_is_red_and_still_uploaded(runner: Runner) -> None:
    (runner.workspace / "big.py").write_text("x = 1\n" * 600_000)
    done = scan(runner, upload_sarif="true")
    assert done.code == 4
    assert done.outputs["complete"] == "false"
    assert "the scan is not complete:\nfile big.py: " in done.said("error")
    assert len(done.uploads) == 1


def test_paths_with_blanks_dashes_and_other_letters_stay_names(runner: Runner) -> None:
    for name in ("a b", "-x", "für; touch pwned", "$(touch pwned)"):
        (runner.workspace / name).mkdir()
        (runner.workspace / name / "a.py").write_text(EVIL)
    done = scan(runner, paths="a b\n-x\n\nfür; touch pwned\n$(touch pwned)\n")
    assert done.outputs["findings"] == "4", done.log
    assert not (runner.workspace / "pwned").exists()


def test_the_threshold_and_more_options(runner: Runner) -> None:
    assert scan(runner, fail_on="critical").code == 1
    rules = runner.workspace / "my rules.yaml"
    rules.write_text(
        "rules:\n- id: mine\n  languages: [python]\n  severity: INFO\n"
        "  message: mine\n  pattern: eval(...)\n"
    )
    done = scan(runner, rules="my rules.yaml", args="--no-default-rules --jobs '1'")
    assert (done.code, done.outputs["findings"]) == (1, "1")
    assert scan(runner, rules="my rules.yaml", args="--no-default-rules", fail_on="high").code == 0


@pytest.mark.parametrize(
    ("inputs", "code", "words"),
    [
        ({"sha256": ""}, 2, "sha256 is '', expected 64"),
        ({"sha256": "0" * 63}, 2, "expected 64 hexadecimal digits"),
        ({"tavo": ""}, 2, "the input tavo is empty"),
        ({"tavo": "gone.pyz"}, 3, "gone.pyz: no such file in the workspace"),
        ({"tavo": "http://127.0.0.1:9/tavo.pyz"}, 5, "expected an https:// address"),
        ({"tavo": "file:///etc/passwd"}, 5, "expected an https:// address"),
        ({"tavo": "https://me:secret@host/t"}, 2, "a name or password in it"),
        ({"upload_sarif": "yes"}, 2, "upload-sarif is 'yes', expected true or false"),
        ({"gate_from": "head"}, 2, "gate-from is 'head', expected base or checkout"),
        ({"formats": "sarif,pdf"}, 2, "no format pdf, which the input formats asks for"),
        ({"formats": "../x"}, 2, "names '../x', which is no name of a format"),
        ({"args": "--save x.db"}, 2, "args names --save, which the Action sets itself"),
        ({"args": "--format=json"}, 2, "args names --format=json"),
        ({"args": "--baseline=b.json"}, 2, "--baseline=b.json, which is the input baseline"),
        ({"args": "--policy p.rego"}, 2, "args names --policy, which is the input policy"),
        ({"args": "'open"}, 2, "not quoted as in a shell"),
        ({"fail_on": "huge"}, 2, "fail_on is 'huge'"),
        ({"paths": "gone"}, 3, "gone: no such file or folder"),
        ({"sarif_file": "../out.sarif"}, 2, "leads out of the workspace"),
        ({"sarif_file": "gone/out.sarif"}, 2, "the folder is not there"),
        ({"baseline": "a\nb"}, 2, "baseline has several lines"),
        ({"static_plugins": "nobody/knows"}, None, "nobody/knows"),
        ({"args": "--no-such-option"}, 2, "No such option"),
        ({"python": "no-such-python"}, 2, "the input python names is not there"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_a_sentence_and_a_red_step(
    runner: Runner, inputs: dict[str, str], code: int | None, words: str
) -> None:
    done = scan(runner, **inputs)
    assert done.code == code or (code is None and done.code not in (0, 1, 4)), done.log
    assert words in done.said("error"), done.log
    assert "Traceback" not in done.log
    assert "secret" not in done.log
    if "python" not in inputs:
        assert done.outputs["exit-code"] == str(done.code)
    assert done.uploads == []
    assert "findings" not in done.outputs


def test_no_interpreter_is_a_sentence(runner: Runner, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("bash", "dirname", "cat"):
        (programs / name).symlink_to(str(shutil.which(name)))
    (programs / "python3").write_text("#!/bin/sh\nexit 1\n")  # as an old one answers
    (programs / "python3").chmod(0o755)
    runner.variables["PATH"] = str(programs)
    done = scan(runner)
    assert done.code == 2
    assert "no CPython of 3.11 or newer is on PATH. Put actions/setup-python" in done.said("error")


def test_an_interpreter_by_its_path(runner: Runner) -> None:
    assert scan(runner, python=sys.executable).code == 1


def test_a_sarif_file_of_ones_own(runner: Runner) -> None:
    done = scan(runner, sarif_file="out.sarif", formats="")
    assert Path(done.outputs["sarif-file"]) == runner.workspace / "out.sarif"
    assert json.loads((runner.workspace / "out.sarif").read_text())["version"] == "2.1.0"


def test_a_report_that_fails_is_red_and_keeps_a_worse_code(runner: Runner) -> None:
    (runner.workspace / "app.py").write_text(SAFE)
    broken = ('run["automationDetails"]["id"] = f"{category}/"', 'raise OSError("disk full")')
    without(runner, broken)
    done = scan(runner, category="other")
    assert (done.code, done.outputs["exit-code"], done.outputs["complete"]) == (3, "3", "false")
    assert "a report failed: disk full" in done.said("error")
    (runner.workspace / "big.py").write_text("x = 1\n" * 600_000)
    assert scan(runner, category="other").code == 4


def test_a_plugin_is_installed_from_a_lock_and_one_that_is_refused_is_red(runner: Runner) -> None:
    environment = {"HOME": str(runner.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    subprocess.run(
        [sys.executable, str(PYZ), "registry", "lock", "model-files", "--output", "tavo.lock"],
        cwd=runner.workspace, env=environment, check=True, capture_output=True,
    )  # fmt: skip
    done = scan(runner, lock="tavo.lock", static_plugins="model-files")
    assert done.code in (1, 5), done.log  # 5: no sandbox on this machine
    lock = runner.workspace / "tavo.lock"
    lock.write_text(re.sub(r"[0-9a-f]{64}", "0" * 64, lock.read_text()))
    done = scan(runner, lock="tavo.lock", static_plugins="model-files")
    assert done.code == 5
    assert "findings" not in done.outputs


# -- the file


@pytest.fixture
def evil_pyz(runner: Runner) -> Path:
    path = runner.workspace / "evil.pyz"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("__main__.py", "open('pwned', 'w').close()\n")
    return path


def test_a_file_that_is_not_the_expected_one_is_never_run(runner: Runner, evil_pyz: Path) -> None:
    done = scan(runner, tavo="evil.pyz")
    assert done.code == 5
    assert f"its sha256 is {sha256(evil_pyz)}" in done.said("error")
    assert "it was not run" in done.said("error")
    assert not (runner.workspace / "pwned").exists()
    assert list(runner.temporary.rglob("*.pyz*")) == []
    scan(without(runner, ("if digest.hexdigest() != sha256:", "if False:")), tavo="evil.pyz")
    assert (runner.workspace / "pwned").exists()  # the control


def test_the_digest_may_be_written_in_capitals(runner: Runner) -> None:
    assert scan(runner, sha256=sha256().upper()).code == 1


# -- what the scanned project tries


INJECTION = '$(touch pwned) `touch pwned` "; touch pwned; "'


def test_an_input_is_no_command(runner: Runner) -> None:
    done = scan(runner, paths=INJECTION, exclude=INJECTION, args="--exclude '$(touch pwned)'")
    assert done.code == 3
    assert not (runner.workspace / "pwned").exists()
    script = 'exec bash "$GITHUB_ACTION_PATH/integrations/github/start.sh"'
    scan(without(runner, (script, 'echo "${{ inputs.paths }}"')), paths=INJECTION)
    assert (runner.workspace / "pwned").exists()  # the control: an expression in a script


HOSTILE = ROOT / "tests" / "attacks" / "github" / "commands.py"


def test_code_lines_and_names_are_no_commands_of_the_runner(runner: Runner) -> None:
    shutil.copy(HOSTILE, runner.workspace / "app.py")
    folder = runner.workspace / "a\n::set-output name=findings::0\nb"
    folder.mkdir()
    (folder / "##[set-output name=complete]true.py").write_text(EVIL)
    (runner.workspace / "::error ::x.py").write_text("x = 1\n" * 600_000)
    done = scan(runner)
    assert done.code == 4
    assert done.outputs["findings"] == "5"
    assert done.outputs["complete"] == "false"
    assert [name for name, _, _ in done.commands] == ["error"]
    assert "somebody" not in done.said()


def test_what_a_program_prints_is_no_command_of_the_runner(runner: Runner) -> None:
    """tavo itself prints no command of the scanned code; whatever else it prints is held, too."""
    loud = runner.workspace / "loud.pyz"
    with zipfile.ZipFile(loud, "w") as out:
        out.writestr(
            "__main__.py",
            "import sys\n"
            "print('::error ::somebody said so', flush=True)\n"
            "sys.exit(3 if 'results' in sys.argv else 1)\n",
        )
    done = scan(runner, tavo="loud.pyz", sha256=sha256(loud))
    assert "somebody said so" not in done.said()
    guard = ('print(f"::stop-commands::{token}", flush=True)', "pass")
    control = scan(without(runner, guard), tavo="loud.pyz", sha256=sha256(loud))
    assert "somebody said so" in control.said()


def test_an_output_cannot_bring_another_one(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "integrations" / "github"))
    from tavo_action.workflow import Workflow

    from tests.fakes.github_runner import _outputs

    path = runner.folder / "outputs"
    hostile = "a\nexit-code=0\ntavo-\nx<<y\nz\ny"
    Workflow({"GITHUB_OUTPUT": str(path)}).output("report-files", hostile)
    assert _outputs(path.read_text()) == {"report-files": hostile}
    control = f"report-files={hostile}\n"
    assert _outputs(control)["exit-code"] == "0"  # the control: a plain line


@pytest.mark.parametrize("planted", ["link to a file", "link to a folder"])
def test_a_report_is_not_written_through_a_link(runner: Runner, planted: str) -> None:
    target = runner.folder / "outside"
    target.mkdir()
    victim = target / "out.sarif"
    victim.write_text("mine")
    if planted == "link to a file":
        (runner.workspace / "out.sarif").symlink_to(victim)
        done = scan(runner, sarif_file="out.sarif")
        assert done.code == 1
        assert not (runner.workspace / "out.sarif").is_symlink()
    else:
        (runner.workspace / "build").symlink_to(target)
        done = scan(runner, sarif_file="build/out.sarif")
        assert done.code == 2
        assert "leads out of the workspace, through a link" in done.said("error")
    assert victim.read_text() == "mine"
    if planted == "link to a file":
        (runner.workspace / "out.sarif").unlink()
        (runner.workspace / "out.sarif").symlink_to(victim)
        scan(without(runner, ("Path(partial).replace(path)", "path.write_bytes(data)")),
             sarif_file="out.sarif")  # fmt: skip
    else:
        scan(without(runner, ("not parent.is_relative_to(workspace)", "False")),
             sarif_file="build/out.sarif")  # fmt: skip
    assert victim.read_text() != "mine"  # the control


def test_a_module_beside_the_project_is_not_imported(runner: Runner) -> None:
    for name in ("json", "tavo_action", "tempfile", "sitecustomize"):
        (runner.workspace / f"{name}.py").write_text("open('pwned', 'w').close()\n")
    runner.variables["PYTHONPATH"] = str(runner.workspace)
    assert scan(runner, exclude="*.py\n!app.py").code in (0, 1)
    assert not (runner.workspace / "pwned").exists()
    scan(without(runner, ('exec "$found" -I -S -B "$here"', 'exec "$found" -B "$here"')))
    assert (runner.workspace / "pwned").exists()  # the control


def test_a_long_summary_is_cut_and_says_so(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "integrations" / "github"))
    from tavo_action.workflow import Workflow

    path = runner.folder / "summary.md"
    path.write_text("before\n")
    Workflow({"GITHUB_STEP_SUMMARY": str(path)}).summary("| zeile ü |\n" * 200_000)
    data = path.read_bytes()
    assert 1_000_000 < len(data) <= 1 << 20
    assert data.decode().startswith("before\n| zeile ü |\n")
    assert data.decode().endswith("The reports hold all of it.*\n")
    assert capsys.readouterr().out.startswith("::warning title=tavo::the summary of the job is cut")


def test_annotations_that_are_none_are_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "integrations" / "github"))
    from tavo_action.workflow import Workflow, escaped

    good = "::error file=a%2Cb.py,line=3,title=x::100%25 %0A::set-output name=a::b"
    bad = ["::set-output name=findings::0", "##[add-path]/tmp", "::add-mask::e", "words"]
    Workflow({}).annotate("\n".join([good, *bad]))
    step = Step()
    step.log = capsys.readouterr().out
    from tests.fakes.github_runner import _obey

    _obey(step)
    assert [name for name, _, _ in step.commands] == ["error"]
    assert step.outputs == {}
    assert escaped("a%\r\n::b,c\x1b") == "a%25%0D%0A::b,c\N{REPLACEMENT CHARACTER}"
    assert escaped("a:b,c", of_property=True) == "a%3Ab%2Cc"
