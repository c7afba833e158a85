"""Correlations: every type, whatever the order of the events, and bounded memory."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tavo.logs.sigma.correlation import read_correlation
from tavo.logs.sigma.correlator import Batch, Correlator, Met
from tavo.logs.sigma.tests import SigmaError
from tests.logs.conftest import Look


def correlator(kind: str, condition: Any = None, rules: str = "a", **more: Any) -> Correlator:
    value = {"type": kind, "rules": list(rules), "timespan": "10s", "group-by": ["u"], **more}
    if condition is not None:
        value["condition"] = condition
    return Correlator(read_correlation(value))


def met(one: Correlator, events: str | list[tuple[str, float, Any]]) -> list[tuple[str, float]]:
    if isinstance(events, str):
        events = [(rule, float(at), None) for at, rule in enumerate(events)]
    out = []
    for rule, time, value in events:
        found = feed(one, rule, time, ("u",), value)
        out += [(each.group[0], each.number) for each in found if not each.again]
    return out


def feed(one: Correlator, rule: str, time: float, group: tuple[str, ...], value: Any) -> list[Met]:
    return one.take([Batch(rule, 0, "log", 0, [0], [time], [group], [value])])


VALUES = [("a", float(n), v) for n, v in enumerate([5, 1, "9", 4, 2])]


@pytest.mark.parametrize(
    ("one", "events", "number"),
    [
        (correlator("event_count", {"gte": 3}), "aaa", 3.0),
        (correlator("value_count", {"gte": 3, "field": "f"}), VALUES, 3.0),
        (correlator("value_sum", {"gt": 18, "field": "f"}), VALUES, 19.0),
        (correlator("value_avg", {"gte": 5, "field": "f"}), VALUES, 5.0),
        (correlator("value_median", {"gte": 5, "field": "f"}), VALUES, 5.0),
        (correlator("value_percentile", {"gte": 6, "field": "f", "percentile": 75}), VALUES, 7.0),
        (correlator("temporal", rules="ab"), "ba", 2.0),
        (correlator("temporal_ordered", rules="abc"), "acbbc", 3.0),
    ],
    ids=lambda value: value.correlation.kind if isinstance(value, Correlator) else "",
)
def test_each_type(one: Correlator, events: Any, number: float) -> None:
    assert met(one, events)[0] == ("u", number)


def test_what_is_too_far_apart_or_in_the_wrong_order_is_not_met() -> None:
    assert met(correlator("event_count", {"gte": 3}), [("a", t, 0) for t in (0, 9, 18)]) == []
    assert met(correlator("temporal_ordered", rules="ab"), "bbba") == []


@pytest.mark.parametrize("seed", range(5))
def test_the_order_in_which_logs_are_read_does_not_matter(seed: int) -> None:
    chance = random.Random(seed)
    events = [("a", float(n * 100 + at), None) for n in range(20) for at in range(5)]
    chance.shuffle(events)
    assert len(met(correlator("event_count", {"gte": 5}), events)) == 20


def test_an_older_log_after_a_newer_one_is_still_correlated() -> None:
    one = correlator("event_count", {"gte": 3})
    assert met(one, [("a", 1000.0, 0)]) == []
    assert met(one, [("a", 1.0, 0), ("a", 2.0, 0), ("a", 3.0, 0)]) == [("u", 3.0)]


def test_one_long_attack_is_one_finding() -> None:
    events = [("a", float(at), None) for at in range(500)]
    assert len(met(correlator("event_count", {"gte": 5}), events)) == 1


def test_a_finding_counts_the_whole_stretch(look: Look) -> None:
    lines = [
        json.dumps({"timestamp": f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z", "status_code": 401,
                    "client_ip": "198.51.100.4", "prompt": "x"})
        for n in range(120)
    ]  # fmt: skip
    for order in ([*lines[60:], *lines[:60]], lines):  # first as of a log that was rotated
        analysis = look("\n".join(order).encode())
        (incident,) = analysis.incidents.of_rule("genai-key-guessing")
        assert (incident.count, incident.last - incident.first) == (120, 119.0)
    assert incident.numbers == {"event count in 10m": "120"}


@pytest.mark.parametrize("touching", [False, True])
def test_memory_is_bounded_and_what_was_forgotten_is_counted(touching: bool) -> None:
    one = Correlator(correlator("event_count", {"gte": 2}).correlation, most_entries=100,
                     touching=touching)  # fmt: skip
    for number in range(1000):
        feed(one, "a", number / 1000, (str(number),), None)
    assert one._entries <= 100
    assert one.forgotten > 0


@pytest.mark.parametrize("touching", [False, True])
def test_what_no_new_event_can_reach_makes_room_and_is_missed_by_late_ones_only(
    touching: bool,
) -> None:
    one = Correlator(correlator("event_count", {"gte": 2}).correlation, most_entries=100,
                     touching=touching)  # fmt: skip
    for number in range(1000):
        assert not feed(one, "a", float(number), (str(number),), None)
    assert one._entries <= 100
    assert one.forgotten == 0
    assert not feed(one, "a", 1.0, ("1",), None)  # the other one at this time is gone
    assert one.forgotten == 1
    assert feed(one, "a", 1.0, ("1",), None)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"type": "magic"}, "is not one of event_count"), ({"timespan": "soon"}, "timespan"),
     ({"condition": {"over": 3}}, "expected gt, gte"), ({"rules": []}, "names no rules"),
     ({"type": "value_sum"}, "needs the field"), ({"condition": None}, "lacks a condition")],
)  # fmt: skip
def test_what_is_wrong_is_said(change: dict[str, Any], said: str) -> None:
    good = {"type": "event_count", "rules": ["a"], "timespan": "1m", "condition": {"gte": 1}}
    with pytest.raises(SigmaError, match=said):
        read_correlation(good | change)
