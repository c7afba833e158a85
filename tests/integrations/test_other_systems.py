"""The hooks for pre-commit and the job for GitLab, run as those programs run them."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes.built import has_option
from tests.fakes.github_runner import ROOT
from tests.fakes.single_file import PYZ
from tests.integrations.test_github_action import EVIL, SAFE

pytestmark = pytest.mark.skipif(
    not PYZ.exists(), reason="run the tests with `python3 build.py test`, which builds the file"
)
HOOKS = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "old.py").write_text(SAFE)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "base"]):
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@t", *words], cwd=folder, check=True
        )
    (folder / "new.py").write_text(EVIL)
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    return folder


def environment(folder: Path) -> dict[str, str]:
    programs = folder.parent / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "tavo").write_text(
        f'#!/bin/sh\nexec {shlex.join([sys.executable, str(PYZ)])} "$@"\n'
    )
    (programs / "python3").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    return {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder.parent),
        "LANG": "C.UTF-8", "TMPDIR": str(folder.parent),
    }  # fmt: skip


def commit(hook: dict[str, Any], folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Run a hook as pre-commit does: entry split as in a shell, args, then the names."""
    words = [*shlex.split(hook["entry"]), *hook.get("args", [])]
    words += names if hook.get("pass_filenames", True) else ()
    return subprocess.run(
        words, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["tavo", "tavo-system"])
def test_a_hook_of_files(project: Path, name: str) -> None:
    assert commit(HOOKS[name], project, "old.py").returncode == 0
    done = commit(HOOKS[name], project, "old.py", "new.py")
    assert (done.returncode, "new.py" in done.stdout) == (1, True), done.stderr


def test_a_file_is_no_option(project: Path) -> None:
    (project / "--exit-zero").write_text(SAFE)
    hook = HOOKS["tavo"]
    assert commit(hook, project, "--exit-zero", "new.py").returncode == 1
    control = commit({**hook, "args": []}, project, "--exit-zero", "new.py")
    assert control.returncode == 0  # the control: without "--" a name is an option


def test_the_hook_of_what_a_commit_brings(project: Path) -> None:
    done = commit(HOOKS["tavo-change"], project)
    assert (done.returncode, "new.py" in done.stdout) == (1, True), done.stderr
    (project / "new.py").write_text(SAFE)
    assert commit(HOOKS["tavo-change"], project).returncode == 0


JOB = yaml.safe_load((ROOT / "integrations" / "gitlab" / "tavo.gitlab-ci.yml").read_text())


def gitlab(folder: Path, job: str = ".tavo", **given: str) -> subprocess.CompletedProcess[str]:
    """Run the script of a job as GitLab's runner does: one shell, variables in the environment."""
    found = JOB[job]
    variables = {**found["variables"], "SCAN_TAVO": str(PYZ), **given}
    variables.setdefault("SCAN_SHA256", "")
    if not variables["SCAN_SHA256"]:
        variables["SCAN_SHA256"] = hashlib.sha256(PYZ.read_bytes()).hexdigest()
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", "\n".join(found["script"])], cwd=folder,
        env={**environment(folder), **{k: str(v) for k, v in variables.items()}},
        capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_the_job_of_gitlab(project: Path) -> None:
    if not has_option("--output"):
        pytest.skip("this build has no option --output")
    done = gitlab(project, SCAN_PATHS="old.py\nnew.py")
    assert (done.returncode, "new.py" in done.stdout) == (1, True), done.stderr
    for name in JOB[".tavo"]["artifacts"]["paths"]:
        assert (project / name).stat().st_size > 0
    assert json.loads((project / "tavo.sarif").read_text())["version"] == "2.1.0"
    assert gitlab(project, SCAN_PATHS="old.py").returncode == 0
    assert gitlab(project, SCAN_OPTIONS="--exclude 'new.py'").returncode == 0


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"SCAN_SHA256": "0" * 64}, 5, "not SCAN_SHA256; it was not run"),
        ({"SCAN_TAVO": "http://127.0.0.1:9/t"}, 2, "neither a path nor an https:// address"),
        ({"SCAN_TAVO": "https://127.0.0.1:9/t"}, 3, "SCAN_TAVO: <urlopen error"),
        ({"SCAN_TAVO": "gone"}, 3, "No such file"),
        ({"SCAN_OPTIONS": "--no-such"}, 2, "No such option"),
        ({"SCAN_PATHS": "$(touch pwned)", "SCAN_OPTIONS": "--exclude '`touch pwned`'"}, None, ""),
    ],
)
def test_a_job_of_gitlab_that_cannot_work(
    project: Path, given: dict[str, str], code: int | None, words: str
) -> None:
    done = gitlab(project, **given)
    assert done.returncode == code or (code is None and done.returncode not in (0, 1))
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "pwned").exists()
