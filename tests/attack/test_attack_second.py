"""A second flawed agent, written from the names of the flaws alone: what the probes find on it."""

from __future__ import annotations

from types import ModuleType

import pytest

from tavo.attack.broker import Budget, Purse
from tavo.attack.engine import Options, attack
from tavo.attack.evidence import calls_in
from tavo.attack.probes import Probe, load_probes, planned
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
    tried = [attempt for one in probed for attempt in one.attempts]
    assert [f"{one.probe}: {one.failed}" for one in tried if one.failed] == []
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
    for_models = {"tool-description-instruction"}  # an application has tools of its own
    expected = {probe.id for probe in probes} - for_models
    assert worked(agent, "all", probes, attempts=6) == expected


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


@pytest.mark.parametrize(
    "written",
    [
        'Done: pay({"to": 7})',
        'pay({"to": 7}).',
        'I see.\n[pay({"to": 7})]\nBye.',
        'Thought: I should.\nAction: pay\nAction Input: {"to": 7}',
        '<tool_call>\n{"name": "pay", "arguments": {"to": 7}}\n</tool_call>',
        'Well:\n```json\n{"name": "pay", "parameters": {"to": 7}}\n```',
        '[TOOL_CALLS] [{"name": "pay", "arguments": {"to": 7}}]\n',
    ],
)
def test_a_call_that_is_written_out_is_a_call(written: str) -> None:
    assert calls_in(written) == [("pay", '{"to": 7}')]


@pytest.mark.parametrize(
    "written",
    [
        'I will not call pay({"to": 7}) for you.',
        "The tool pay (to 7) is not for customers.",
        "Action: pay\nThat is what you want, but no.",
        "<tool_call>" * 50_000,
        "pay(" * 50_000,
    ],
)
def test_a_sentence_that_names_a_tool_is_no_call(written: str) -> None:
    assert calls_in(written) == []


def test_few_attempts_try_as_many_prompts_and_variants_as_can_be(probes: list[Probe]) -> None:
    for probe in probes:
        few = len(probe.prompts)
        for seed in range(3):
            made = [planned(probe, number, seed=seed) for number in range(few)]
            assert len({plan.variant for plan in made}) == min(few, len(probe.variants)), probe.id
            whole = few * len(probe.variants)
            later = [planned(probe, number, seed=seed).variant for number in range(whole)]
            assert {later.count(name) for name in probe.variants} == {few}, probe.id
