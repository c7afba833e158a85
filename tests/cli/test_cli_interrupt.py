"""Ctrl-C in the middle of a scan: exit 130, one line, no traceback, no process left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CODE = "import openai\nopenai.responses.create()\n" + "def f(x):\n    return eval(x)\n" * 2000


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
    process = subprocess.Popen(
        [sys.executable, "-m", "tavo", "scan", str(tmp_path), "--jobs", jobs],
        env={**os.environ, "HOME": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_hears_ctrl_c,  # whatever started these tests may have it ignored
    )
    while process.poll() is None and _spent(process.pid) < 1.5:  # it has begun to scan by then
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "\ntavo: interrupted\n"
    assert _has_gone(process.pid)
