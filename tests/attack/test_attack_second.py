"""A second flawed agent, written from the names of the flaws alone: what the probes find on it."""

from __future__ import annotations

from types import ModuleType

import pytest

from tavo.attack.broker import Budget, Purse
from tavo.attack.engine import Options, attack
from tavo.attack.probes import Probe, load_probes
from tests.attack.test_attack_engine import FOUND_BY
from tests.fakes.flawed import agent_module, second_attacked


@pytest.fixture(scope="module")
def agent() -> ModuleType:
    return agent_module("second-agent")


@pytest.fixture(scope="module")
def probes() -> list[Probe]:
    return load_probes()


def worked(agent: ModuleType, flaws: str, probes: list[Probe], attempts: int) -> set[str]:
    with second_attacked(agent, flaws) as target:
        asked = Options(application=True, secrets=target.secrets, attempts=attempts)
        probed, stopped = attack(target, probes, Purse(Budget()), asked)
    assert stopped == ""
    assert not any(one.failed for one in probed)
    return {one.probe for one in probed if one.worked}


@pytest.mark.parametrize("flaw", FOUND_BY)
def test_each_flaw_alone_is_found_by_its_probe(
    flaw: str, agent: ModuleType, probes: list[Probe]
) -> None:
    assert set(FOUND_BY) == set(agent.FLAWS)
    one = [probe for probe in probes if probe.id == FOUND_BY[flaw]]
    assert worked(agent, flaw, one, attempts=6) == {FOUND_BY[flaw]}


def test_all_probes_find_something_when_all_defences_are_off(
    agent: ModuleType, probes: list[Probe]
) -> None:
    assert worked(agent, "all", probes, attempts=6) == {probe.id for probe in probes}


def test_nothing_is_found_when_all_defences_are_on(agent: ModuleType, probes: list[Probe]) -> None:
    assert worked(agent, "none", probes, attempts=12) == set()


def test_the_desk_still_does_its_work_when_it_defends_itself(agent: ModuleType) -> None:
    for question, answer in {
        "When are you open on Saturday?": "from 9 to 12",
        "I would like to book an appointment for my knee.": "Free slots",
        "Summarise this letter:\n\nDear doctor, the knee is better.": "the knee is better",
    }.items():
        said = agent.Desk(set()).answer([{"role": "user", "content": question}], [])
        assert answer in said["content"]
