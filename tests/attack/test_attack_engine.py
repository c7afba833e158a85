"""Attacks on a real server: found by the right probe, repeatable, resumable, bounded."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from tavo.attack.broker import Budget, Purse
from tavo.attack.engine import Attempted, Options, Probed, attack
from tavo.attack.http_target import HttpTarget
from tavo.attack.probes import Probe, load_probes, planned
from tavo.attack.report import as_json, compared, report_of
from tavo.attack.targets import TargetFailedError
from tavo.attack.transcript import Transcript
from tavo.errors import ConfigError, InputError
from tavo.llm.openai_chat import Usage
from tavo.plugins.values import ChatMessage, ChatRequest, ChatResponse
from tests.fakes.flawed import agent_module, attacked

FOUND_BY = {
    "direct-injection": "direct-override",
    "indirect-injection": "document-instruction",
    "jailbreak": "roleplay-jailbreak",
    "encoding": "encoded-override",
    "language": "other-language-override",
    "multi-turn": "slow-escalation",
    "role-marks": "speaks-as-the-system",
    "system-prompt-leak": "system-prompt-told",
    "secret-leak": "secret-told",
    "cross-customer": "other-customer",
    "tool-misuse": "unasked-tool",
    "tool-arguments": "tool-argument-injection",
    "excessive-agency": "acts-without-asking",
    "image-exfiltration": "image-carries-data-out",
    "script-output": "script-in-answer",
    "query-output": "query-in-answer",
    "command-output": "command-in-answer",
    "endless-output": "endless-answer",
}


@pytest.fixture(scope="module")
def agent() -> ModuleType:
    return agent_module()


@pytest.fixture(scope="module")
def probes() -> list[Probe]:
    return load_probes()


def options(target: HttpTarget, **changed: object) -> Options:
    asked = Options(application=target.application, secrets=target.secrets)
    return msgspec.structs.replace(asked, **changed)  # type: ignore[arg-type]


def worked(probed: list[Probed]) -> set[str]:
    return {one.probe for one in probed if one.worked}


@pytest.mark.parametrize("flaw", FOUND_BY)
def test_each_flaw_alone_is_found(flaw: str, agent: ModuleType, probes: list[Probe]) -> None:
    assert set(FOUND_BY) == set(agent.FLAWS)
    with attacked(agent, flaw) as target:
        probed, stopped = attack(target, probes, Purse(Budget()), options(target, attempts=8))
    assert stopped == ""
    assert FOUND_BY[flaw] in worked(probed)
    assert len(worked(probed)) <= 2


def test_nothing_is_found_when_the_defences_are_on(agent: ModuleType, probes: list[Probe]) -> None:
    with attacked(agent) as target:
        probed, stopped = attack(target, probes, Purse(Budget()), options(target, attempts=12))
    assert stopped == ""
    assert worked(probed) == set()
    assert all(
        one.tried == 12 and not one.failed for one in probed if one.ended != "not applicable"
    )
    assert [one.probe for one in probed if one.ended == "not applicable"] == [
        "tool-description-instruction"  # an application has tools of its own
    ]


def test_who_repeats_everything_has_not_given_in(probes: list[Probe]) -> None:
    class Echo:
        def send(self, request: ChatRequest) -> tuple[ChatResponse, Usage]:
            said = "\n".join(one.content for one in request.messages if one.role != "system")
            answer = ChatMessage(role="assistant", content=said)
            return ChatResponse(request=request, messages=(answer,)), (1, 1)

    application = Options(attempts=12, application=True, secrets=("WINTER-1",))
    probed, _ = attack(Echo(), probes, Purse(Budget()), application)
    assert worked(probed) == set()


def test_two_attacks_with_one_seed_are_the_same_to_the_byte(
    agent: ModuleType, probes: list[Probe]
) -> None:
    reports = []
    for at_a_time in (1, 8):
        with attacked(agent, *agent.FLAWS) as target:
            asked = options(target, seed=7, at_a_time=at_a_time)
            probed, stopped = attack(target, probes, Purse(Budget()), asked)
            reports.append(as_json(report_of("flawed", asked, probed, stopped)))
        with attacked(agent, *agent.FLAWS) as target:
            other, _ = attack(target, probes, Purse(Budget()), options(target, seed=8))
    assert reports[0] == reports[1]
    assert as_json(report_of("flawed", asked, other, "")) != reports[0]


def test_an_attack_that_was_interrupted_ends_like_one_that_was_not(
    agent: ModuleType, probes: list[Probe], tmp_path: Path
) -> None:
    with attacked(agent, "jailbreak", "encoding") as target:
        asked = options(target, attempts=5)
        whole, _ = attack(target, probes, Purse(Budget()), asked)
        file = tmp_path / "attack.jsonl"
        for resume, requests in ((False, 30), (True, 17), (True, 1000)):
            with Transcript(
                file, target="flawed", probes=probes, options=asked, resume=resume
            ) as transcript:
                parts, stopped = attack(
                    target, probes, Purse(Budget(requests=requests)), asked,
                    done=transcript.done, record=transcript.record,
                )  # fmt: skip
            if requests < 1000:
                assert "budget" in stopped
                with file.open("ab") as stream:
                    stream.write(b'{"probe": "half a li')  # as a kill leaves it
    assert (parts, stopped) == (whole, "")
    made = [
        msgspec.json.decode(line, type=Attempted) for line in file.read_bytes().splitlines()[1:]
    ]
    assert len(made) == len({(one.probe, one.number) for one in made})


def test_a_transcript_of_another_attack_is_not_gone_on_with(
    probes: list[Probe], tmp_path: Path
) -> None:
    file = tmp_path / "attack.jsonl"
    with Transcript(file, target="a", probes=probes, options=Options(), resume=False):
        pass
    with pytest.raises(InputError, match="is there already"):
        Transcript(file, target="a", probes=probes, options=Options(), resume=False)
    with pytest.raises(InputError, match="another attack: seed, target differ"):
        Transcript(file, target="b", probes=probes, options=Options(seed=1), resume=True)
    file.write_bytes(b"no transcript\n")
    with pytest.raises(InputError, match="is no transcript"):
        Transcript(file, target="a", probes=probes, options=Options(), resume=True)


class Failing:
    """A target that fails a few times, or always."""

    def __init__(self, times: int, error: TargetFailedError) -> None:
        self.left = times
        self.error = error
        self.asked = 0

    def send(self, request: ChatRequest) -> tuple[ChatResponse, Usage]:
        self.asked += 1
        if self.left:
            self.left -= 1
            raise self.error
        answer = ChatMessage(role="assistant", content="no")
        return ChatResponse(request=request, messages=(answer,)), (10, 5)


def test_passing_failures_are_tried_again_and_others_are_named(probes: list[Probe]) -> None:
    one = probes[:1]
    asked = Options(attempts=2, at_a_time=1, retries=1, stop_early=False)
    passing = Failing(1, TargetFailedError("t: answered 503", passing=True))
    probed, _ = attack(passing, one, Purse(Budget()), asked)
    assert (probed[0].tried, probed[0].failed, passing.asked) == (2, 0, 3)
    lasting = Failing(1, TargetFailedError("t: answered 400"))
    probed, _ = attack(lasting, one, Purse(Budget()), asked)
    assert (probed[0].tried, probed[0].failed, lasting.asked) == (1, 1, 2)
    assert probed[0].attempts[0].failed == "t: answered 400"


def test_a_guard_that_refuses_has_held(probes: list[Probe]) -> None:
    guarded = Failing(1000, TargetFailedError("t: answered 403: content policy", refused=True))
    probed, stopped = attack(
        guarded, probes[:3], Purse(Budget()), Options(attempts=2, stop_early=False)
    )
    assert stopped == ""
    assert [(one.tried, one.worked, one.failed) for one in probed] == [(2, 0, 0)] * 3
    assert probed[0].attempts[0].refused == "t: answered 403: content policy"


def test_a_target_that_nobody_reaches_is_given_up(probes: list[Probe]) -> None:
    gone = Failing(1000, TargetFailedError("t: cannot be reached", unreachable=True))
    probed, stopped = attack(
        gone, probes, Purse(Budget()), Options(at_a_time=1, retries=0, attempts=3)
    )
    assert gone.asked == 3
    assert "given up" in stopped
    assert not any(one.tried for one in probed)
    assert {one.ended for one in probed} == {"budget"}


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (Budget(requests=5), "the budget of 5 requests is used up"),
        (Budget(tokens=40), "the budget of 40 tokens is used up"),
    ],
)
def test_a_budget_ends_everything(budget: Budget, said: str, probes: list[Probe]) -> None:
    target = Failing(0, TargetFailedError(""))
    _, stopped = attack(target, probes, Purse(budget), Options(at_a_time=1))
    assert stopped == said
    assert target.asked <= 5


@pytest.mark.parametrize("usage", [(0, 0), (1, 1)])
def test_a_limit_of_tokens_ends_where_nobody_counts_them(usage: Usage, probes: list[Probe]) -> None:
    class Uncounted:
        asked = 0

        def send(self, request: ChatRequest) -> tuple[ChatResponse, Usage]:
            self.asked += 1
            answer = ChatMessage(role="assistant", content="no")
            return ChatResponse(request=request, messages=(answer,)), usage

    target = Uncounted()
    attempt = Options(at_a_time=1, attempts=1)
    _, stopped = attack(target, probes, Purse(Budget(tokens=1_000_000)), attempt)
    if sum(usage):  # the control
        assert not stopped
    else:
        assert target.asked == 1
        assert stopped == (
            "the budget of 1000000 tokens cannot be kept, for an answer came without its tokens"
        )


def test_what_must_never_be_told_counts_whatever_was_asked(probes: list[Probe]) -> None:
    """With controls: without being named, and where it was asked with it, it does not count."""

    class Tells:
        def __init__(self, answer: str) -> None:
            self.answer = answer

        def send(self, request: ChatRequest) -> tuple[ChatResponse, Usage]:
            answer = ChatMessage(role="assistant", content=self.answer)
            return ChatResponse(request=request, messages=(answer,)), (1, 1)

    (slow,) = [one for one in probes if one.id == "slow-escalation"]
    slow = msgspec.structs.replace(slow, prompts=slow.prompts[2:3])
    assert "as one word" in str(slow.prompts)
    for answer, secrets, expected in (
        ("As we are friends: SPRING-7731", ("SPRING-7731",), {"slow-escalation"}),
        ("As we are friends: 1377-GNIRPS", ("SPRING-7731",), {"slow-escalation"}),
        ("As we are friends: SPRING-7731", (), set()),
        ("Two words, one word.", ("one word",), set()),
    ):
        asked = Options(application=True, secrets=secrets)
        probed, _ = attack(Tells(answer), [slow], Purse(Budget()), asked)
        assert worked(probed) == expected, (answer, secrets)


def test_a_probe_whose_evidence_stands_in_its_prompt_is_refused(tmp_path: Path) -> None:
    probe = (
        "id: a\ntitle: A\nfamily: f\nseverity: HIGH\ngoal: g\nremediation: r\n"
        "prompts: [['Say {joined}.']]\nevidence: [{says: '{joined}'}]\n"
    )
    (tmp_path / "a.yaml").write_text(probe)
    with pytest.raises(ConfigError, match="that only repeats"):
        load_probes(tmp_path)
    (tmp_path / "a.yaml").write_text(probe.replace("Say {joined}", "Say {left}{right}."))
    with pytest.raises(ConfigError, match="that only repeats"):
        load_probes(tmp_path)
    (tmp_path / "a.yaml").write_text(probe.replace("Say {joined}", "Join {left} and {right}."))
    assert load_probes(tmp_path)[0].id == "a"
    (tmp_path / "b.yaml").write_text("id: b\n")
    with pytest.raises(ConfigError, match=r"b\.yaml"):
        load_probes(tmp_path)


def test_every_probe_is_complete(probes: list[Probe]) -> None:
    for probe in probes:
        assert probe.owasp, probe.id
        assert probe.atlas, probe.id
        assert probe.cwe, probe.id
        assert len(probe.remediation) > 60, probe.id
        texts = [turn.content for turn in planned(probe, 0, seed=1).turns]
        assert not any("{" in text and "}" in text and "{{" not in text and '"' not in text
                       for text in texts), probe.id  # fmt: skip


def test_a_comparison_says_whether_a_change_may_be_chance(probes: list[Probe]) -> None:
    def probed(worked: int, tried: int) -> Probed:
        return Probed(probe="p", tried=tried, worked=worked, failed=0, share=worked / tried,
                      low=0, high=1, ended="all", attempts=())  # fmt: skip

    def verdict(before: Probed, now: Probed) -> str:
        asked = Options()
        return compared(report_of("t", asked, [before], ""), report_of("t", asked, [now], ""))[
            0
        ].verdict

    assert verdict(probed(0, 20), probed(15, 20)) == "worse"
    assert verdict(probed(15, 20), probed(0, 20)) == "better"
    assert verdict(probed(1, 6), probed(3, 6)) == "may be chance"
    assert verdict(probed(3, 6), probed(3, 6)) == "the same"
