"""Log plugins beside what tavo does by itself: nothing is reported twice."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tavo.logs.sigma.rules import PACK, load_rules
from tavo.plugins import Event
from tests.examples.test_official_plugins import ROOT

SIGMA = ROOT / "examples" / "plugins" / "sigma-genai"


@pytest.fixture
def sigma_genai(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(SIGMA))
    import main

    yield main.SigmaGenai
    for name in ("main", "sigma", "sequences"):
        sys.modules.pop(name, None)


def samples() -> list[Any]:
    """Every record, and every sequence of records, that a built-in rule is tried on."""
    rules = load_rules([PACK]).rules.values()
    return [
        one
        for rule in rules
        for kind in ("match", "no_match")
        for one in rule.samples.get(kind, ())
    ]


def _seconds(record: dict[str, Any]) -> float:
    at = record.get("time", 0)
    return datetime.fromisoformat(at).timestamp() if isinstance(at, str) else float(at)


def test_rules_of_the_pack_are_not_there_again(sigma_genai: Any) -> None:
    from tavo.plugins.testing import analyze

    tried = 0
    for number, sample in enumerate(samples()):
        records = sample if isinstance(sample, list) else [sample]
        events = [
            Event(
                time=datetime.fromtimestamp(_seconds(record), UTC), source=f"{number}.log",
                number=line, fields={name: v for name, v in record.items() if name != "time"},
            )
            for line, record in enumerate(records, start=1)
        ]  # fmt: skip
        assert analyze(sigma_genai, events).findings == (), sample
        tried += 1
    assert tried > 150


def test_titles_and_names_differ_from_those_of_the_pack(sigma_genai: Any) -> None:
    built_in = load_rules([PACK]).rules.values()
    assert {one.id for one in sigma_genai.rules}.isdisjoint(one.id for one in built_in)
    assert {one.title for one in sigma_genai.rules}.isdisjoint(one.about.title for one in built_in)


def test_rules_of_the_plugin_are_rules_for_the_engine_too(tmp_path: Path) -> None:
    """But for those that wait for lists, which is Sigma's `expand`, and of which it says so."""
    pack = json.loads((SIGMA / "rules.json").read_text())
    for one in pack:
        (tmp_path / f"{one['name']}.yml").write_text(json.dumps(one))
    loaded = load_rules([tmp_path])
    waiting = {one["name"] for one in pack if "expand" in json.dumps(one)}
    assert set(loaded.rules) == {one["name"] for one in pack} - waiting
    assert len(loaded.problems) == len(waiting) == 8
