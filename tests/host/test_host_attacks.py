"""The corpus of hostile answers, crashes and limits: what the host makes of each, by name.

Attacks on the machine are the escape list (`test_escapes.py`). Here it matters how the host ends
and names a worker that misbehaves. Where there is evidence outside of the worker, a control without
the sandbox shows it.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

import pytest

from tavo.host import bounds, hosted
from tavo.host.installations import VerifiedInstallation
from tavo.host.sandbox.levels import SandboxLevel, strongest_here
from tavo.host.workers import BatchResult, StaticWorker
from tests.fakes.plugins import PluginMachine, no_sandbox, text_file

CORPUS = Path(__file__).parents[1] / "attacks" / "workers"
ATTACKS = sorted(path.stem for path in CORPUS.glob("*.py") if path.stem != "hostile")
LIMITS = "limits: {{memory_mb: 128, scratch_mb: 8, {}}}\n"

pytestmark = pytest.mark.skipif(
    strongest_here() < SandboxLevel.STANDARD, reason="the sandbox of this system is not L2"
)


def header(attack: str, name: str) -> str:
    found = re.search(rf"^# {name}: (.+)$", (CORPUS / f"{attack}.py").read_text(), re.M)
    return found[1] if found else ""


WITH_EVIDENCE = [attack for attack in ATTACKS if header(attack, "evidence") != "none"]


@dataclass
class Outcome:
    """What the host knows after an attack."""

    token: str
    peak_memory: int = 0

    def saw(self, evidence: str, result: BatchResult) -> bool:
        """Tell whether the attack has left this evidence behind."""
        if evidence == "leaked":
            shown = [f.message for found in result.findings.values() for f in found]
            return self.token in "".join(shown)
        assert evidence == "memory"
        return self.peak_memory > 500 << 20


def install(attack: str, machine: PluginMachine) -> VerifiedInstallation:
    return machine.verified(
        (CORPUS / f"{attack}.py").read_text(),
        more=LIMITS.format(header(attack, "limits") or "cpu_s_per_file: 30, wall_s_per_call: 30"),
        files={"hostile.py": (CORPUS / "hostile.py").read_text()},
    )


def run(attack: str, machine: PluginMachine, *, sandbox: bool) -> tuple[BatchResult, Outcome]:
    installed = install(attack, machine)
    outcome = Outcome(f"token-{secrets.token_hex(12)}")
    policy = None if sandbox else no_sandbox()
    with StaticWorker(installed, policy=policy, config={"token": outcome.token}) as worker:
        result = worker.analyze([text_file("first.py", "one\n")])
        assert worker.level in {None, SandboxLevel.STANDARD if sandbox else SandboxLevel.NONE}
    outcome.peak_memory = worker.statistics.peak_memory
    machine.installations.verify(installed.installation)
    return result, outcome


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize("attack", ATTACKS)
def test_in_the_sandbox_the_attack_fails(attack: str, tmp_path: Path) -> None:
    result, outcome = run(attack, PluginMachine(tmp_path / "m"), sandbox=True)
    failures = {str(path): failure for path, failure in result.failures.items()}
    expected = header(attack, "sandboxed")
    if expected == "none":
        assert not failures
    else:
        kind, _, word = expected.partition(" ")
        failure = failures["first.py"]
        assert failure.kind in kind.split("|"), failure
        assert re.search(word, failure.reason), failure
    evidence = header(attack, "evidence")
    assert evidence == "none" or not outcome.saw(evidence, result)


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize("attack", WITH_EVIDENCE)
def test_without_the_sandbox_the_attack_works(
    attack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosted, "strongest_here", lambda: SandboxLevel.NONE)
    monkeypatch.setattr(bounds, "_MEMORY_OF_INTERPRETER", 1 << 40)  # the host's own look
    if attack == "exotic_calls" and os.uname().machine != "x86_64":
        pytest.skip("written for x86_64")
    result, outcome = run(attack, PluginMachine(tmp_path / "m"), sandbox=False)
    assert outcome.saw(header(attack, "evidence"), result), result
