"""Attacks on a server that was written with the official SDK: flaws that are real, and found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tavo.attack.broker import Budget, Purse
from tavo.attack.engine import Options, Probed, attack
from tavo.attack.mcp.target import McpTarget
from tavo.attack.probes import load_probes
from tavo.attack.targets import TargetFile

SERVER = Path(__file__).parents[1] / "fakes" / "sdk_server.py"
_SEED = 2  # has what these flaws give in to among its first two attempts
FEW = {"mcp-path-argument", "mcp-command-argument", "mcp-url-argument", "mcp-answers-without-key"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("hello\n")
    return tmp_path


@pytest.fixture
def careless(folder: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, str(SERVER), str(folder), "careless", "http"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        with process.stdout as said:
            yield said.readline().strip()
    finally:
        process.kill()
        process.wait()


def attacked(described: TargetFile, ids: set[str], attempts: int) -> list[Probed]:
    target = McpTarget(described, {})
    probes = [one for one in load_probes(of="server") if not ids or one.id in ids]
    try:
        asked = Options(attempts=attempts, seed=_SEED)
        probed, stopped = attack(target, probes, Purse(Budget(requests=5000)), asked)
    finally:
        target.close()
    assert stopped == ""
    tried = [attempt for one in probed for attempt in one.attempts]
    assert [f"{one.probe}: {one.failed}" for one in tried if one.failed] == []
    return probed


def worked(probed: list[Probed]) -> set[str]:
    return {one.probe for one in probed if one.worked}


def test_real_flaws_are_found_over_http(careless: str) -> None:
    probed = attacked(TargetFile(kind="mcp", url=careless, name="sdk"), FEW, attempts=2)
    assert worked(probed) == FEW


def test_a_careful_server_on_its_streams_holds(folder: Path) -> None:
    command = (sys.executable, str(SERVER), str(folder), "careful")
    described = TargetFile(kind="mcp", command=command, name="sdk")
    few = {"mcp-path-argument", "mcp-command-argument"}
    assert worked(attacked(described, few, attempts=1)) == set()


@pytest.mark.slow
def test_the_whole_pack_over_http_and_on_streams(careless: str, folder: Path) -> None:
    flaws = FEW | {"mcp-query-argument"}
    described = TargetFile(kind="mcp", url=careless, name="sdk")
    assert worked(attacked(described, set(), attempts=6)) == flaws
    command = (sys.executable, str(SERVER), str(folder), "careful")
    described = TargetFile(kind="mcp", command=command, name="sdk")
    assert worked(attacked(described, set(), attempts=6)) == set()
