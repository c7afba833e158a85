"""Correlations fed by columns: the same findings as event by event, however the log is cut."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tavo.logs.sigma.correlation import TYPES, Correlation, read_correlation
from tavo.logs.sigma.correlator import Batch, Correlator
from tavo.logs.sigma.rules import load_rules
from tavo.logs.straight import Straight
from tests.fakes.plain_correlator import Event, PlainCorrelator
from tests.logs.conftest import Look

SPAN = 10


@st.composite
def correlations(draw: st.DrawFn) -> Correlation:
    kind = draw(st.sampled_from(TYPES))
    operators = st.sampled_from(["gt", "gte", "lt", "lte", "eq", "neq"])
    condition: dict[str, Any] = draw(
        st.dictionaries(operators, st.integers(-1, 6), min_size=1, max_size=2)
    )
    if kind.startswith("value_"):
        condition["field"] = "f"
    if kind == "value_percentile":
        condition["percentile"] = draw(st.sampled_from([0, 50, 75, 100]))
    return read_correlation(
        {"type": kind, "rules": ["a", "b", "c"], "timespan": f"{SPAN}s", "group-by": ["u"],
         "condition": condition}
    )  # fmt: skip


EVENTS = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.integers(0, 60).map(lambda n: n / 2), st.sampled_from("uvw"),
        st.sampled_from([-2, 0, 1, 1.5, 3]),
    ),
    max_size=40,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(correlations(), EVENTS, st.lists(st.integers(1, 12), max_size=12), st.booleans())
def test_batches_bring_what_single_events_bring(
    correlation: Correlation, given_events: list[Any], sizes: list[int], touching: bool
) -> None:
    plain = PlainCorrelator(correlation)
    one = Correlator(correlation, touching=touching)
    events: list[Event] = [(*event, line) for line, event in enumerate(given_events)]
    while events:
        size = sizes.pop() if sizes else 1
        block, events = events[:size], events[size:]
        expected = [(*found[:3], sorted(found[3]), found[4])
                    for event in block for found in plain.take(event)]  # fmt: skip
        batches = []
        for rank, rule in enumerate("abc"):
            held = [event for event in block if event[0] == rule]
            if held:
                batches.append(Batch(
                    rule, rank, "log", 0, [event[4] for event in held],
                    [event[1] for event in held], [(event[2],) for event in held],
                    [event[3] for event in held],
                ))  # fmt: skip
        got = [
            (met.group[0], met.number, met.last, sorted(p.line - 1 for p in met.places), met.again)
            for met in one.take(batches)
        ]
        assert sorted(got) == sorted(expected)


def test_control_an_outline_that_says_too_little_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The comparison fails where the outline looks at one stretch instead of two."""
    from tavo.logs.sigma import outline

    def one_stretch(self: outline.Outline, at: int, groups: set[Any]) -> Any:
        here = self._stretches[at]
        return [group for group in groups if self._may_meet(here.weights[group])]

    monkeypatch.setattr(outline.Outline, "near", one_stretch)
    correlation = read_correlation(
        {"type": "event_count", "rules": ["a"], "timespan": "10s", "group-by": ["u"],
         "condition": {"gte": 2}}
    )  # fmt: skip
    one = Correlator(correlation)
    batches = [Batch("a", 0, "log", 0, [0], [time], [("u",)], []) for time in (9.0, 11.0)]
    assert [met for batch in batches for met in one.take([batch])] == []
    plain = PlainCorrelator(correlation)
    assert [met for n in (9.0, 11.0) for met in plain.take(("a", n, "u", None, 0))]


def rule(name: str, **detection: Any) -> dict[str, Any]:
    return {"title": name, "name": name, "level": "low", "logsource": {"product": "genai"},
            "detection": {"it": detection, "condition": "it"}}  # fmt: skip


def together(kind: str, rules: list[str], span: str, **more: Any) -> dict[str, Any]:
    return {"title": kind, "name": kind, "level": "low", "correlation": {
        "type": kind, "rules": rules, "timespan": span, "group-by": ["user.id"],
        **more,
    }}  # fmt: skip


RULES = [
    rule("asks", **{"gen_ai.usage.input_tokens|gte": 0}),
    rule("fails", **{"gen_ai.request.model": "gpt-4o", "outcome": "failure"}),
    together("event_count", ["asks"], "1m", condition={"gte": 7}),
    together("value_sum", ["asks"], "5m", **{
        "condition": {"gt": 2000, "field": "gen_ai.usage.input_tokens"},
        "group-by": ["user.id", "gen_ai.request.model"],
    }),
    together("value_count", ["asks"], "5m", condition={"gte": 4, "field": "client.address"}),
    together("temporal_ordered", ["fails", "asks"], "30s"),
    together("temporal", ["event_count", "value_count"], "10m", generate=True),
]  # fmt: skip


def lines(seed: int) -> bytes:
    chance = random.Random(seed)
    out = []
    for number in range(1500):
        user: Any = chance.choice(
            ["ann", "bob", "cy", "dee", 7, True, "", None, ["eve"], "x" * 300]
        )
        at = 1790000000 + number * chance.choice([1, 2, 7]) + chance.randrange(-20, 20)
        record: dict[str, Any] = {
            "litellm_call_id": str(number), "call_type": "acompletion", "end_user": user,
            "startTime": chance.choice([at, float(at), None]) if number % 50 == 0 else at + 0.25,
            "model": chance.choice(["gpt-4o", "claude"]),
            "model_group": chance.choice(["gpt-4o", ""]),
            "prompt_tokens": chance.choice([0, 1, 900, True, "12", None]),
            "requester_ip_address": f"198.51.100.{chance.randrange(5)}",
            "status": chance.choice(["success", "failure"]),
            "messages": [{"role": "user", "content": "hello"}],
            "response": {"choices": [{"message": {"role": "assistant", "content": "hi"}}]},
        }  # fmt: skip
        out.append(json.dumps(record))
    return "\n".join(out).encode() + b"\n"


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_columns_bring_the_findings_that_records_bring(
    seed: int, jobs: int, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tavo.logs import engine, sources

    monkeypatch.setattr(engine, "_PIECE", 60_000)
    monkeypatch.setattr(sources, "BLOCK", 20_000)
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump_all(RULES))
    loaded = load_rules([file])
    assert loaded.problems == []
    rules = list(loaded.rules.values())
    about = {rule.id: rule.about for rule in rules}
    straight = look(lines(seed), rules, jobs=jobs)
    monkeypatch.setattr(Straight, "of", staticmethod(lambda rule, correlations: None))
    built = look(lines(seed), rules, jobs=jobs)
    found = [[one for one, _ in each.incidents.findings(about)] for each in (straight, built)]
    told = {one.rule_id for one in found[0]}
    assert told == {one["name"] for one in RULES if "correlation" in one}
    assert found[0] == found[1]
    assert straight.problems == built.problems
