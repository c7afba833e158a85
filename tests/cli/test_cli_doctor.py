"""`tavo doctor sandbox`: the score of the escape list as its user sees it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tavo.host.escapes import listing, score
from tavo.host.probe import probe
from tavo.host.sandbox.levels import SandboxLevel
from tests.cli.conftest import Run
from tests.fakes.kernel import ROOT

pytestmark = pytest.mark.skipif(
    probe().level < SandboxLevel.STRONG, reason="this machine does not give L3"
)

FEW = ("read_ssh", "stat_ssh", "tcp", "proto_garbage")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "NAMES", FEW)


@pytest.mark.usefixtures("few")
def test_the_score_is_printed(tavo: Run) -> None:
    done = tavo("doctor", "sandbox")
    assert done.code == 0, done.err
    first, second = done.out.splitlines()
    assert first.startswith("good  sandbox  L3, namespaces, Landlock interface ")
    assert second == (
        "good  escapes  L3: 0 of 4 attacks worked; each of the 4 works on this machine without a"
        " sandbox"
    )


@pytest.mark.usefixtures("few")
def test_what_a_level_leaves_open_is_named_with_what_it_means(tavo: Run) -> None:
    done = tavo("doctor", "sandbox", "--level", "L2")
    assert done.code == 0
    assert done.out.splitlines()[1:] == [
        "note  escapes   L2: 1 of 4 attacks worked; each of the 4 works on this machine without a"
        " sandbox",
        "note  stat_ssh  Ask for the time and size of a private key without reading it. Open at"
        " this level: it learns which files exist, how large and how old they are.",
    ]


@pytest.mark.usefixtures("few")
def test_the_control_shows_that_the_attacks_work_here(tavo: Run) -> None:
    done = tavo("doctor", "sandbox", "--control")
    assert done.code == 0
    assert done.out.splitlines()[1] == ("note  control  without a sandbox: 4 of 4 attacks worked")


@pytest.mark.usefixtures("few")
def test_a_score_as_json_names_every_attack(tavo: Run) -> None:
    answer = json.loads(tavo("doctor", "sandbox", "--level", "L2", "--json").out)
    assert [check["name"] for check in answer["checks"]] == ["sandbox"]
    found = answer["score"]
    assert (found["level"], found["tried"], found["worked"]) == ("L2", 4, 1)
    assert [one["name"] for one in found["attacks"]] == list(FEW)
    assert found["attacks"][1] == {
        "name": "stat_ssh",
        "title": "Ask for the time and size of a private key without reading it.",
        "state": "worked",
        "stopped_by": "view",
        "must_stop": False,
        "means": "it learns which files exist, how large and how old they are",
        "reason": "",
    }


@pytest.mark.usefixtures("few")
def test_an_attack_that_must_be_stopped_and_is_not_ends_with_5(
    tavo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox with a hole: the control's process stands in for the worker of this level."""
    monkeypatch.setattr(score, "in_sandbox", lambda room, *_: score.without_sandbox(room))
    done = tavo("doctor", "sandbox")
    assert done.code == 5
    lines = done.out.splitlines()
    assert lines[1].startswith("bad   escapes        L3: 4 of 4 attacks worked")
    assert lines[2] == (
        "bad   read_ssh       Read a private key in the home folder. It must be stopped here: it"
        " reads your keys and every other file of yours."
    )


@pytest.mark.usefixtures("few")
def test_what_could_not_be_tried_is_counted_apart(
    tavo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "NAMES", ("read_ssh", "mem_bomb"))
    monkeypatch.setattr("tavo.host.escapes.targets._MEMORY_NEEDED", 1 << 60)
    done = tavo("doctor", "sandbox")
    assert done.code == 0
    assert done.out.splitlines()[1:] == [
        "good  escapes   L3: 0 of 1 attacks worked; each of the 1 works on this machine without a"
        " sandbox",
        "                not tried here: 1",
        "note  mem_bomb  less than 1 GB is free, which is too little to try it",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["doctor", "--level", "L2"], "--level and --control belong to the escape list"),
        (["doctor", "--control"], "--level and --control belong to the escape list"),
        (
            ["doctor", "sandbox", "--control", "--level", "L2"],
            "--control runs the escape list without a sandbox, at no level",
        ),
        (["doctor", "sandbox", "--level", "L0"], "'L0' is not one of 'L1', 'L2', 'L3'"),
    ],
)
def test_wrong_use_is_refused_before_anything_runs(words: list[str], said: str, tavo: Run) -> None:
    done = tavo(*words)
    assert done.code == 2
    assert said in done.err
    assert done.out == ""


LACKING = """
import sys
from tests.fakes.kernel import refuse
refuse("unshare", 1)
from tavo.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the fault is written for x86_64")
def test_a_level_that_cannot_be_had_is_refused_and_not_lowered(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LACKING, "doctor", "sandbox", "--level", "L3"], cwd=ROOT,
        env={"HOME": str(home), "PATH": os.environ["PATH"]}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert "sandbox level L3 cannot be had here: namespaces: " in done.stderr
    assert "unshare: EPERM" in done.stderr
    assert done.stdout == ""


def test_the_whole_doctor_stays_quick_and_runs_no_attack(
    tavo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an attack was run")

    monkeypatch.setattr(score, "run_list", refuse)
    assert "sandbox" in tavo("doctor").out


def test_interrupted_it_leaves_nothing_behind(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "tavo", "doctor", "sandbox"], cwd=ROOT, text=True,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "TMPDIR": str(folder)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    end = time.monotonic() + 60
    while time.monotonic() < end and not list(folder.glob("tavo-worker-*/*/home")):
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    assert list(folder.iterdir()) == []
    end = time.monotonic() + 60
    while (left := _running_in(folder)) and time.monotonic() < end:
        time.sleep(0.05)
    assert left == []


def _running_in(folder: Path) -> list[Path]:
    """Return the processes that have this folder in their environment."""
    return [
        path
        for path in Path("/proc").glob("[0-9]*/environ")
        if os.access(path, os.R_OK) and _reads(path, str(folder))
    ]


def _reads(path: Path, text: str) -> bool:
    try:
        return text.encode() in path.read_bytes()
    except OSError:
        return False
