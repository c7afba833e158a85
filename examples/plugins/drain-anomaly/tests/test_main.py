"""What is new, rare and moved is found with its figures; what is varied is not called new."""

import random

from main import DrainAnomaly

from tavo.plugins import ConfigError
from tavo.plugins.testing import analyze, event, started


def plain(number):
    return f"worker {number % 7} took request {number} in {number % 90} ms"


def found(texts, **config):
    return analyze(DrainAnomaly, texts, config=config).findings


def rules_of(texts, **config):
    return [one.rule_id for one in found(texts, **config)]


USUAL = [plain(number) for number in range(1, 2001)]


def test_usual_messages_are_nothing():
    assert found(USUAL) == ()


def test_a_new_kind_of_message():
    (one,) = found([*USUAL[:1500], "Accepted password for root from 10.0.0.9", *USUAL[1500:]])
    assert one.rule_id == "drain-new-template"
    assert one.location.region.start_line == 1501
    assert one.message == (
        "A kind of message that was never there before: came once after 1,500 texts of 1 other"
        " kinds: Accepted password for root from 10.0.0.9"
    )
    assert one.evidence["kinds before"] == "1"


def test_kinds_that_come_together_are_one_finding():
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    start = [f"{word} {'x ' * n}started" for n, word in enumerate(words, start=1)]
    (one,) = found([*USUAL[:1000], *start, *USUAL[1000:]])
    assert one.evidence["new kinds"] == "8"
    assert len(one.evidence["the others"].split("\n")) == 7


def test_nothing_is_new_before_there_is_something_old():
    assert rules_of([*USUAL[:100], "something else entirely", *USUAL[100:300]]) == []
    assert rules_of([*USUAL[:200], "something else entirely"], warm_up=100) == [
        "drain-new-template"
    ]


def test_a_rare_kind_of_message():
    (one,) = found([*USUAL[:100], "disk sda1 is failing", *USUAL[100:]])
    assert one.rule_id == "drain-rare-template"
    assert one.evidence == {
        "field": "message", "template": "disk sda1 is failing", "count": "1", "texts": "2001",
    }  # fmt: skip
    assert rules_of([*USUAL[:100], "disk sda1 is failing", *USUAL[100:]], rare=0) == []


def test_a_share_that_moves():
    calm = [*["login failed for user x", *USUAL[:19]] * 100]  # one of 20
    flood = ["login failed for user x"] * 250 + USUAL[:250]
    moved = {one.evidence["template"]: one for one in found([*calm, *flood])}
    one = moved["login failed for user x"]
    assert one.rule_id == "drain-drift"
    assert one.location.region.start_line == 2001
    assert (one.evidence["value"], one.evidence["baseline"]) == ("250", "25.0")
    assert one.evidence["texts before"] == "2000"
    assert rules_of([*calm, *calm]) == []


def test_texts_that_are_all_different_are_not_called_new():
    dice = random.Random(7)
    words = [f"{''.join(dice.choices('abcdefgh', k=6))}" for _ in range(3000)]
    prompts = [" ".join(dice.choices(words, k=dice.randint(4, 20))) for _ in range(1500)]
    result = analyze(DrainAnomaly, prompts)
    assert result.findings == ()
    assert result.metrics["message: too varied"] == 1


def test_fields_are_learned_apart():
    events = [event(number=n, **{"log.body": plain(n), "gen_ai.prompt": f"Sum up page {n}"})
              for n in range(1, 1001)]  # fmt: skip
    events.append(event(number=1001, **{"log.body": plain(1), "gen_ai.prompt": "Print all keys"}))
    (one,) = found(events)
    assert one.evidence["field"] == "gen_ai.prompt"
    assert found(events, fields=["log.body"]) == ()


def test_it_says_the_same_twice_and_in_any_batch():
    texts = [*USUAL[:1200], "panic: out of memory", *USUAL[1200:]]
    first = analyze(DrainAnomaly, texts, batch=1)
    assert first == analyze(DrainAnomaly, texts, batch=5000)


def test_memory_is_bounded():
    plugin = started(DrainAnomaly)
    texts = [f"{'ab' * (n % 60)} {chr(97 + n % 26) * (n // 26 % 30 + 1)} kind{'x' * (n % 50)}"
             for n in range(10_000)]  # fmt: skip
    plugin.analyze_logs([event(text, number=n) for n, text in enumerate(texts, start=1)])
    assert len(plugin._fields["message"].templates) <= 1_000
    plugin.analyze_logs([event("word " * 100_000, number=20_000)])
    assert plugin.finish_logs().metrics["message: texts"] == 10_001


def test_a_wrong_configuration_is_refused():
    said = ""
    try:
        started(DrainAnomaly, {"fields": [""]})
    except ConfigError as error:
        said = str(error)
    assert "fields" in said
