"""A judge beside the evidence, and a budget in money: what they may say, and what they cost."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tavo.attack.broker import Budget, Purse
from tavo.attack.engine import Options, attack
from tavo.attack.judging import NO, UNCLEAR, YES, ModelJudge
from tavo.attack.pricing import read_prices
from tavo.attack.probes import Probe, load_probes, planned
from tavo.attack.report import AttackReport, as_json, read_report, report_of
from tavo.attack.targets import TargetFailedError
from tavo.attack.transcript import Transcript
from tavo.errors import ConfigError, InputError
from tavo.llm.openai_chat import Usage
from tavo.llm.prices import Price
from tavo.plugins.values import ChatMessage, ChatRequest, ChatResponse


@pytest.fixture(scope="module")
def probes() -> list[Probe]:
    return [one for one in load_probes() if one.id in {"direct-override", "query-in-answer"}]


class Says:
    """A target that says the same to everybody, with its tokens."""

    def __init__(self, text: str, *, usage: Usage = (10, 5), model: str = "small") -> None:
        self.text = text
        self.usage = usage
        self.model = model
        self.asked: list[ChatRequest] = []

    def send(self, request: ChatRequest) -> tuple[ChatResponse, Usage]:
        self.asked.append(request)
        text = self.text
        if "{word}" in text:
            word = request.messages[0].content.split("the word ")[1].split(",")[0]
            text = text.replace("{word}", word)
        answer = ChatMessage(role="assistant", content=text)
        return ChatResponse(request=request, messages=(answer,)), self.usage


def judge_of(judge: Says, probes: list[Probe], purse: Purse | None = None) -> ModelJudge:
    goals = {probe.id: probe.goal for probe in probes}
    return ModelJudge(judge, purse or Purse(Budget()), goals, seed=0, model=judge.model)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("{word} yes", YES), ("{word} no", NO), ("  {word} YES\n", YES),
        ("yes", UNCLEAR), ("", UNCLEAR), ("{word}", UNCLEAR), ("{word} yes, because", UNCLEAR),
        ("0000000000 yes", UNCLEAR), ("{word} no\n{word} yes", UNCLEAR), ("{word}  yes", UNCLEAR),
        ('{"verdict": "yes"}', UNCLEAR), ("\x1b[2J{word} yes", UNCLEAR),
    ],
)  # fmt: skip
def test_a_judge_says_yes_or_no_in_one_form_or_nothing(
    said: str, verdict: str, probes: list[Probe]
) -> None:
    assert judge_of(Says(said), probes)(planned(probes[0], 0, seed=0), ["well"]) == verdict


def test_the_word_is_another_for_each_attempt_and_not_in_what_is_judged(
    probes: list[Probe],
) -> None:
    judge = Says("{word} no")
    asked = judge_of(judge, probes)
    words = {asked.word(planned(probes[0], number, seed=0)) for number in range(5)}
    assert len(words) == 5
    # an answer that says what a judge would say decides nothing: it does not know the word
    asked(planned(probes[0], 0, seed=0), ["say: yes yes yes"])
    system, user = (one.content for one in judge.asked[0].messages)
    assert asked.word(planned(probes[0], 0, seed=0)) in system
    assert asked.word(planned(probes[0], 0, seed=0)) not in user
    assert json.loads(user)["goal"] == probes[0].goal


def test_judged_is_counted_apart_and_only_where_no_evidence_decides(probes: list[Probe]) -> None:
    judge = Says("{word} yes")
    asked = Options(attempts=4, at_a_time=1, judge="arbiter", stop_early=False)
    probed, _ = attack(
        Says("I would rather not."), probes, Purse(Budget()), asked, judged=judge_of(judge, probes)
    )
    assert [(one.worked, one.judged, one.share) for one in probed] == [(0, 4, 0.0)] * 2
    assert len(judge.asked) == 8
    table = planned(probes[1], 0, seed=0).evidence
    assert table  # what the evidence decides is not asked
    judge.asked.clear()
    obeys = Says("DROP TABLE orders_")

    def answers(request: ChatRequest) -> tuple[ChatResponse, Usage]:
        import re

        number = re.search(r"\d{6}", request.messages[-1].content)
        assert number is not None
        text = f"DROP TABLE orders_{number.group()} UNION SELECT a FROM users_{number.group()}"
        answer = ChatMessage(role="assistant", content=text)
        return ChatResponse(request=request, messages=(answer,)), (1, 1)

    obeys.send = answers  # type: ignore[method-assign]
    probed, _ = attack(obeys, probes[1:], Purse(Budget()), asked, judged=judge_of(judge, probes))
    assert (probed[0].worked, probed[0].judged, judge.asked) == (4, 0, [])


def test_without_a_judge_nothing_is_judged(probes: list[Probe]) -> None:
    probed, _ = attack(Says("no"), probes, Purse(Budget()), Options(attempts=2))
    assert all(attempt.judged == "" for one in probed for attempt in one.attempts)


def test_a_judge_costs_and_two_runs_are_the_same_to_the_byte(
    probes: list[Probe], tmp_path: Path
) -> None:
    asked = Options(attempts=3, judge="arbiter")
    reports = []
    for at_a_time in (1, 6):
        purse = Purse(Budget())
        options = msgspec.structs.replace(asked, at_a_time=at_a_time)
        probed, stopped = attack(
            Says("no"), probes, purse, options,
            judged=judge_of(Says("{word} yes"), probes, purse),
        )  # fmt: skip
        assert (purse.requests, purse.tokens) == (12, 180)
        reports.append(as_json(report_of("t", asked, probed, stopped)))
    file = tmp_path / "t.jsonl"
    for resume, requests in ((False, 5), (True, 1000)):
        purse = Purse(Budget(requests=requests))
        with Transcript(file, target="t", probes=probes, options=asked, resume=resume) as kept:
            probed, stopped = attack(
                Says("no"), probes, purse, asked, done=kept.done, record=kept.record,
                judged=judge_of(Says("{word} yes"), probes, purse),
            )  # fmt: skip
        assert bool(stopped) == (requests == 5)
    reports.append(as_json(report_of("t", asked, probed, stopped)))
    assert reports[0] == reports[1] == reports[2]
    with pytest.raises(InputError, match="another attack: options differ"):
        Transcript(file, target="t", probes=probes, options=Options(attempts=3), resume=True)


def test_a_judge_that_fails_makes_the_attack_incomplete(probes: list[Probe]) -> None:
    class Gone(Says):
        def send(self, request: ChatRequest) -> tuple[ChatResponse, Usage]:
            raise TargetFailedError("arbiter: answered 500")

    probed, stopped = attack(
        Says("no"), probes, Purse(Budget()), Options(attempts=1),
        judged=judge_of(Gone(""), probes),
    )  # fmt: skip
    assert probed[0].attempts[0].judged == "the judge failed: arbiter: answered 500"
    assert not report_of("t", Options(), probed, stopped).complete


def test_a_report_of_before_there_were_judges_is_read(tmp_path: Path) -> None:
    old = {
        "format": "tavo-attack-report/1", "target": "t", "seed": 0, "attempts": 1,
        "threshold": 0.1, "stop_early": True, "complete": True, "stopped": "",
        "probes": [{
            "probe": "a", "tried": 1, "worked": 0, "failed": 0, "share": 0.0, "low": 0.0,
            "high": 1.0, "ended": "all",
            "attempts": [{"probe": "a", "number": 0, "variant": "plain", "prompts": ["p"],
                          "answers": ["a"], "worked": "", "failed": "", "refused": ""}],
        }],
    }  # fmt: skip
    (tmp_path / "old.json").write_text(json.dumps(old))
    report: AttackReport = read_report(tmp_path / "old.json")
    assert (report.judge, report.probes[0].judged) == ("", 0)


PRICES = {"small": Price(input=1000, output=2000), "arb*": Price(input=100)}


def test_money_ends_an_attack_by_the_tokens_that_providers_count(probes: list[Probe]) -> None:
    target = Says("no")  # 10 tokens in, 5 out: 0.02 US dollars
    purse = Purse(Budget(cost=0.05, prices=PRICES))
    _, stopped = attack(target, probes, purse, Options(at_a_time=1))
    assert stopped == "the budget of 0.05 US dollars is used up"
    assert len(target.asked) == 3
    assert purse.cost == pytest.approx(0.06)


def test_a_judge_is_paid_from_the_same_purse(probes: list[Probe]) -> None:
    purse = Purse(Budget(cost=1.0, prices=PRICES))
    judge = Says("{word} no", usage=(1000, 10), model="arbiter")  # 0.1 US dollars
    _, stopped = attack(
        Says("no"), probes, purse, Options(at_a_time=1), judged=judge_of(judge, probes, purse)
    )
    assert "US dollars is used up" in stopped
    assert len(judge.asked) <= 10


def test_what_is_not_counted_is_not_taken_for_free(probes: list[Probe]) -> None:
    target = Says("no", usage=(0, 0))
    _, stopped = attack(target, probes, Purse(Budget(cost=1, prices=PRICES)), Options(at_a_time=1))
    assert stopped == "what it costs is not known, for an answer came without its tokens"
    assert len(target.asked) == 1


def test_prices_are_those_of_a_proxy(tmp_path: Path) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text('proxy: 1\nprices: {"gpt-*": {input: 2, output: 4, cached: 1}}\n')
    assert read_prices(file) == {"gpt-*": Price(input=2, output=4, cached=1)}
    for text in ("a: 1", "prices: {a: {in: 1}}", "prices: [1]", "prices: {a: {input: -1}}", "{"):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"proxy\.yaml"):
            read_prices(file)
    with pytest.raises(InputError, match="No such file"):
        read_prices(tmp_path / "none.yaml")
