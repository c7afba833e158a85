"""Anomalies: all that is planted is found, nothing else is, also from one run to the next."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tavo.errors import ConfigError, InputError
from tavo.logs import usual as module
from tavo.logs.anomaly import RULES
from tavo.logs.engine import Analysis, analyze
from tavo.logs.mapping import readers
from tavo.logs.sigma.rules import LogRule
from tavo.logs.sources import find_sources
from tavo.logs.usual import NO_HISTORY, Usual, open_usual, save_usual
from tests.logs.unusual_traffic import DAYS, PLANTED, text


def looked(log: Path, rules: list[LogRule], usual: Usual = NO_HISTORY, jobs: int = 1) -> Analysis:
    sources, _ = find_sources([str(log)], log.parent)
    return analyze(sources, rules, readers().values(), usual=usual, jobs=jobs)


def alarms(found: Analysis) -> list[tuple[str, str]]:
    return [
        (rule.id, one.actor[1])
        for rule in RULES.values() for one in found.incidents.of_rule(rule.id)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def refusal(request: pytest.FixtureRequest) -> list[LogRule]:
    pack: list[LogRule] = request.getfixturevalue("pack")
    return [one for one in pack if one.id in {"genai-refusal", "genai-blocked-by-filter"}]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("unusual") / "a.jsonl"
    path.write_bytes(text())
    return path


@pytest.fixture(scope="module")
def found(log: Path, refusal: list[LogRule]) -> Analysis:
    return looked(log, refusal)


def test_all_that_is_planted_is_found_and_nothing_else(found: Analysis) -> None:
    assert sorted(alarms(found)) == sorted(PLANTED)


def test_every_alarm_says_value_baseline_spread_count_and_events(
    found: Analysis, log: Path
) -> None:
    data = log.read_bytes()
    [one] = found.incidents.of_rule("anomaly-tokens")
    assert one.numbers["hour"] == "2026-09-18T10:00:00Z"
    assert float(one.numbers["tokens"].replace(",", "")) > 360_000
    assert set(one.numbers) == {"hour", "actor", "tokens", "median of 336 hours",
                                "median deviation"}  # fmt: skip
    for rule in RULES.values():
        for incident in found.incidents.of_rule(rule.id):
            assert incident.count
            assert len(incident.numbers) >= 4
            for place in incident.places:
                assert json.loads(data[place.offset : place.offset + place.length])
    [one] = found.incidents.of_rule("anomaly-new-address")
    assert one.numbers["new address"] == "203.0.113.77"
    assert one.numbers["known networks"] == "1 (10.1.9.0/24)"
    place = one.places[0]
    assert json.loads(data[place.offset :].split(b"\n")[0])["client_ip"] == "203.0.113.77"


def test_slow_reading_finds_the_same(refusal: list[LogRule], tmp_path: Path) -> None:
    """A line that only the lenient parser reads, in every block, turns the fast way off."""
    plain = text(9, 12)
    lines = plain.split(b"\n")
    for at in range(0, len(lines) - 1, 1000):
        lines[at] = lines[at].replace(b'"hello"', b'"hello \\ud800"')
    (tmp_path / "a.jsonl").write_bytes(plain)
    fast = alarms(looked(tmp_path / "a.jsonl", refusal))
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    assert sorted(alarms(looked(tmp_path / "a.jsonl", refusal))) == sorted(fast)
    assert len(fast) > 10


def test_a_day_alone_shows_what_earlier_runs_have_made_usual(
    tmp_path: Path, refusal: list[LogRule]
) -> None:
    usual, day = tmp_path / "usual.db", tmp_path / "day.jsonl"
    for first in range(DAYS):
        day.write_bytes(text(first=first, last=first + 1))
        known = open_usual(usual)
        found = looked(day, refusal, known)
        known.close()
        save_usual(usual, found.tally)
        if first == 11:
            assert sorted(alarms(found)) == sorted(PLANTED)
            before = usual.read_bytes()
            known = open_usual(usual)
            assert sorted(alarms(looked(day, refusal, known))) == sorted(PLANTED)
            known.close()
            rows = _rows(usual)
            save_usual(usual, found.tally)
            assert _rows(usual) == rows
            assert len(usual.read_bytes()) == len(before)
        elif first > 7:
            assert alarms(found) == []


def _rows(path: Path) -> list[object]:
    with sqlite3.connect(path) as database:
        return [database.execute(f"SELECT * FROM {one}").fetchall() for one in module._MOST]


def test_the_nightly_batch_is_an_alarm_without_the_time_of_the_day(
    log: Path, refusal: list[LogRule], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tavo.logs import anomaly

    monkeypatch.setattr(anomaly, "_same_time", lambda *_args, **_more: [])
    assert ("anomaly-tokens", "user-1") in alarms(looked(log, refusal))


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tavo.logs import totals

    log = tmp_path / "a.jsonl"
    log.write_bytes(text(0, 2))

    monkeypatch.setattr(totals, "_MOST_CELLS", dict.fromkeys(totals._MOST_CELLS, 100))
    monkeypatch.setattr(totals, "_MOST_VALUES", 10)
    found = looked(log, [])
    assert {"hours of actors", "hours of keys", "hours of models",
            "addresses, tools and models of actors"} <= found.tally.full  # fmt: skip
    assert any("beyond are not looked at" in one.reason for one in found.problems)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(b"hello" * 1000), "is no file of `--usual`, or is damaged"),
        (lambda path: sqlite3.connect(path).execute("CREATE TABLE x (y)").connection.commit(),
         "is no file of `--usual`"),
        (lambda path: _made(path, version=9), "has version 9, this tavo reads version 1"),
    ],
)  # fmt: skip
def test_another_file_is_refused_and_stays(make, said: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "usual.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(ConfigError) as error:
        open_usual(path)
    assert said in str(error.value)
    assert path.read_bytes() == before


def _made(path: Path, *, version: int) -> None:
    from tavo.logs.totals import Totals

    save_usual(path, Totals())
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {version}")


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "usual.db"
    _made(path, version=1)
    before = path.read_bytes()

    def fails(*_: object) -> None:
        raise sqlite3.OperationalError("disk full")

    monkeypatch.setattr(module, "_add", fails)
    from tavo.logs.totals import Totals

    with pytest.raises(InputError):
        save_usual(path, Totals())
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["usual.db"]
