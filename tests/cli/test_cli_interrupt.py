"""Ctrl-C in the middle of long work: exit 130, one line, no traceback, no process left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tavo.cli import main

CODE = "import openai\nopenai.responses.create()\n" + "def f(x):\n    return eval(x)\n" * 2000
RECORD = json.dumps({"model": "gpt-4", "messages": [{"role": "user", "content": "hello " * 90}]})
SAID = "\ntavo: interrupted\n"


def _hears_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _spent(group: int) -> float:
    """Return the processor time of all processes of a group, in seconds."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_bytes().rpartition(b")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _has_gone(group: int) -> bool:
    """Tell whether a group of processes ends: who has just ended may not be buried yet."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_ends_a_scan_with_130(tmp_path: Path, jobs: str) -> None:
    for number in range(400):
        (tmp_path / f"file_{number}.py").write_text(CODE)
    assert _interrupted(["scan", str(tmp_path), "--jobs", jobs], tmp_path, 1.5) == (130, SAID)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_ends_an_analysis_of_logs_with_130(tmp_path: Path, jobs: str) -> None:
    (tmp_path / "log.jsonl").write_text(f"{RECORD}\n" * 400_000)
    words = ["logs", "analyze", str(tmp_path / "log.jsonl"), "--jobs", jobs]
    assert _interrupted(words, tmp_path, 2.5) == (130, SAID)


def _interrupted(words: list[str], home: Path, after_s: float) -> tuple[int, str]:
    """Return how a command ends, and what it says, that is interrupted twice at its work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tavo", *words],
        env={**os.environ, "HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_hears_ctrl_c,  # whatever started these tests may have it ignored
    )
    while process.poll() is None and _spent(process.pid) < after_s:  # it is at work by then
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert _has_gone(process.pid)
    return process.returncode, errors


def test_ctrl_c_while_the_command_line_is_imported_is_none_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(words: list[str]) -> int:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as cause:
            raise RuntimeError("Error calling __set_name__ on an attribute") from cause

    monkeypatch.setattr("tavo.cli._run", run)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == SAID


@pytest.mark.parametrize(("cause", "code"), [(KeyboardInterrupt(), 130), (OSError(), 70)])
def test_ctrl_c_that_the_interpreter_wraps_is_no_defect(
    cause: BaseException, code: int,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:  # fmt: skip
    def invoke(words: list[str]) -> int:
        raise RuntimeError("Error calling __set_name__ on an attribute") from cause

    monkeypatch.setattr("tavo.cli.app.invoke", invoke)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    handler = signal.getsignal(signal.SIGINT)
    try:
        assert main(["doctor"]) == code
    finally:
        signal.signal(signal.SIGINT, handler)
    assert (capsys.readouterr().err == SAID) == (code == 130)
