"""Programs for plugins: which are run, with what, for how long; and both through a real worker."""

from __future__ import annotations

import base64
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tavo.host.brokered_programs import ProgramLender
from tavo.host.lending import LendError
from tavo.host.stopping import Stopper
from tavo.plugins.types import Finding
from tavo.progress import Reporter
from tavo.runs.hosting import Project
from tavo.runs.plugins import run_plugin
from tavo.scan.files import walk
from tests.fakes.plugins import PluginMachine

TOOL = f"""#!{sys.executable} -IS
import os, sys, time
data = sys.stdin.buffer.read()
what = sys.argv[1]
if what == "show":
    print(sorted(os.listdir(".")), sys.argv[2:], data, sorted(os.environ))
elif what == "sleep":
    time.sleep(60)
elif what == "child":
    if os.fork() == 0:
        time.sleep(60)
elif what == "flood":
    while True:
        os.write(1, bytes(1 << 16))
elif what == "fail":
    print("why", file=sys.stderr)
    sys.exit(3)
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "tool").write_text(TOOL)
    (folder / "tool").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}.{os.pathsep}/usr/bin:/bin")
    monkeypatch.setenv("API_KEY", "sk-123")
    return folder


def ask(**changed: Any) -> dict[str, Any]:
    asked = {"program": "tool", "arguments": ["show"], "stdin": "", "files": {}, "timeout_s": 20}
    return asked | changed


def lend(seconds: float = 60, stopper: Stopper | None = None, **changed: Any) -> dict[str, Any]:
    lender = ProgramLender(["tool"], stopper=stopper or Stopper(), seconds=seconds)
    return lender.lend("run", ask(**changed))


def test_a_declared_program_is_run(tools: Path) -> None:
    data = base64.b64encode(b"text").decode()
    answer = lend(arguments=["show", "a b", "$(x)"], stdin=data, files={"d/a.py": data, "b": ""})
    out = base64.b64decode(answer["out"]).decode()
    assert answer["code"] == 0
    assert out.startswith("['b', 'd'] ['a b', '$(x)'] b'text' [")
    assert "API_KEY" not in out
    assert lend(arguments=["fail"]) == {"code": 3, "out": "", "errors": "why\n"}


def test_others_are_not(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").write_bytes((tools / "tool").read_bytes())
    (tmp_path / "here").chmod(0o755)
    for name in ("cat", "./tool", str(tools / "tool"), None, 3):
        with pytest.raises(LendError, match=r"is not declared in plugin\.yaml") as refused:
            lend(program=name)
        assert refused.value.kind == "not_available"
    lender = ProgramLender(["here"], stopper=Stopper(), seconds=9)  # the folder . is on PATH
    with pytest.raises(LendError, match="there is no here in the folders of PATH"):
        lender.lend("run", ask(program="here"))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"arguments": "show"}, "no list"),
        ({"arguments": ["x"] * 1001}, "no list of at most 1000"),
        ({"arguments": ["x\0y"]}, "no text that can be handed over"),
        ({"arguments": ["\ud800"]}, "no text that can be handed over"),
        ({"arguments": ["x" * 60_000, "y" * 60_000]}, "longer than 100000"),
        ({"stdin": "%"}, "not base64"),
        ({"stdin": 3}, "not base64"),
        ({"files": {"../x": ""}}, "not a plain relative path"),
        ({"files": {"/x": ""}}, "not a plain relative path"),
        ({"files": {"a/./x": ""}}, "not a plain relative path"),
        ({"files": {"a\nb": ""}}, "not a plain relative path"),
        ({"files": {"x": "", "x/y": ""}}, "does not start"),
        ({"files": ["x"]}, "no table"),
        ({"timeout_s": 0}, "no number above 0"),
        ({"timeout_s": True}, "no number above 0"),
        ({"timeout_s": "9"}, "no number above 0"),
        ({"called": "other"}, "only for programs that come with a plugin"),
        ({"variables": {"LD_PRELOAD": "/tmp/x.so"}}, "only for programs that come with a plugin"),
    ],
)
def test_what_cannot_be_run_is_refused(changed: dict[str, Any], reason: str, tools: Path) -> None:
    with pytest.raises(LendError, match=reason):
        lend(**changed)


def test_time_and_output_are_bounded(tools: Path) -> None:
    with pytest.raises(LendError, match="it took longer than 1 s"):
        lend(arguments=["sleep"], timeout_s=1)
    with pytest.raises(LendError, match="it printed more than 8 MB"):
        lend(arguments=["flood"])
    lender = ProgramLender(["tool"], stopper=Stopper(), seconds=0.2)
    with pytest.raises(LendError, match="it took longer than 0 s"):
        lender.lend("run", ask(arguments=["sleep"]))
    with pytest.raises(LendError, match="as often and as long as a run allows") as refused:
        lender.lend("run", ask())
    assert refused.value.kind == "budget"


def test_what_it_leaves_behind_ends_with_it(tools: Path) -> None:
    began = time.monotonic()
    assert lend(arguments=["child"])["code"] == 0
    assert time.monotonic() - began < 30  # the child holds the pipe open for a minute


def test_the_end_of_the_run_ends_it(tools: Path) -> None:
    stopper = Stopper()
    threading.Timer(0.5, stopper.stop).start()
    with pytest.raises(LendError, match="it was stopped with the run"):
        lend(arguments=["sleep"], stopper=stopper)
    with pytest.raises(LendError, match="it was stopped with the run"):
        lend(arguments=["sleep"], stopper=stopper)


BOTH = """\
from tavo.plugins import (
    Finding, Location, NotAvailableError, PluginError, Rule, Severity, StaticAnalysisPlugin,
)


class Plugin(StaticAnalysisPlugin):
    rules = (Rule(id="word", title="A word", severity=Severity.LOW),)

    def start(self, context):
        self.context = context

    def analyze_project(self, files):
        for act in (self.list, self.read, self.outside, self.run):
            try:
                said = act()
            except PluginError as error:
                said = f"{type(error).__name__}: {error}"
            yield Finding(rule_id="word", message=said, severity=Severity.LOW,
                          location=Location(path=files[0]))

    def list(self):
        return " ".join(map(str, self.context.project_files("*.lock")))

    def read(self):
        return self.context.read_project("uv.lock").decode()

    def outside(self):
        return self.context.read_project("../secret").decode()

    def run(self):
        result = self.context.run("tool", ["show"], files={"a": b""})
        return f"{result.code} {result.text.split(' [')[0]}"
"""


@pytest.fixture
def machine(tmp_path: Path) -> PluginMachine:
    return PluginMachine(tmp_path / "machine")


def said(machine: PluginMachine, project: Path, asked: str) -> list[str]:
    installed = machine.verified(BOTH, more=asked)
    files = list(walk((project,), project))
    outcome = run_plugin(installed, files, largest=1 << 20, accept=(), reporter=Reporter(),
                         project=Project(project, (project,)))  # fmt: skip
    assert outcome.notices == ()
    found: list[Finding] = [one.finding for one in outcome.reported]
    return [finding.message for finding in found]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the sandbox")
def test_a_worker_gets_what_it_declares_and_nothing_else(
    machine: PluginMachine, tools: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "uv.lock").write_text("locked")
    (tmp_path / "secret").write_text("outside")
    outside = "ProjectFileError: '../secret' is not a path below the project"
    assert said(machine, project, "permissions: {files: project, subprocess: [tool]}\n") == [
        "uv.lock", "locked", outside, "0 ['a']",
    ]  # fmt: skip
    nothing = [f"NotAvailableError: {kind} is not lent to this plugin"
               for kind in ("files", "read", "run")]  # equal ones are one  # fmt: skip
    assert said(PluginMachine(tmp_path / "other"), project, "") == nothing


COUNTS = """\
from tavo.plugins import Finding, Location, Rule, Severity, StaticAnalysisPlugin


class Plugin(StaticAnalysisPlugin):
    rules = (Rule(id="word", title="A word", severity=Severity.LOW),)

    def analyze_project(self, files):
        yield Finding(rule_id="word", message=f"{len(files)} files", severity=Severity.LOW,
                      location=Location(path=max(files)))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the sandbox")
def test_who_looks_at_the_project_alone_is_told_of_every_file(
    machine: PluginMachine, tmp_path: Path
) -> None:
    """Files come in batches, and what the plugin looks at is known after the first of them."""
    project = tmp_path / "project"
    project.mkdir()
    for number in range(600):
        (project / f"{number}.py").write_text(f"x = {number}\n")
    files = list(walk((project,), project))
    outcome = run_plugin(machine.verified(COUNTS), files, largest=1 << 20, accept=(),
                         reporter=Reporter(), project=Project(project, (project,)))  # fmt: skip
    assert outcome.notices == ()
    (reported,) = outcome.reported
    assert reported.finding.message == "600 files"
    assert outcome.run.files == 600
