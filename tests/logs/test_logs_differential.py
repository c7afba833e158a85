"""The gate loses nothing, and rules mean what pySigma and SQLite say they mean."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tavo.logs.event import LogEvent
from tavo.logs.mapping import Mapping, load_mapping
from tavo.logs.sigma.rules import LogRule, load_rules
from tavo.logs.work import Looker
from tests.fakes.environments import python_with
from tests.logs.rule_maker import event, rule

PLAIN = """
name = "plain"
version = 1
title = "The fields by their names"
lines = "json"
logsource = [{product = "acme"}]
"""
ORACLE = """
import json, re, sqlite3, sys, yaml
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
rules, events = json.load(open(sys.argv[1]))
db = sqlite3.connect(":memory:")
db.create_function("REGEXP", 2, lambda p, t: t is not None and re.search(p, str(t)) is not None)
names = sorted({k for one in events for k in one})
# The backend's "=" minds case, which Sigma does not.
db.execute(f"CREATE TABLE logs (n INTEGER, {', '.join(n + ' COLLATE NOCASE' for n in names)})")
for n, one in enumerate(events):
    db.execute(f"INSERT INTO logs VALUES ({', '.join('?' * (len(names) + 1))})",
               [n, *(one.get(k) for k in names)])
out = {}
for one in rules:
    (sql,) = sqliteBackend().convert(SigmaCollection.from_yaml(yaml.safe_dump(one)))
    out[one["name"]] = [row[0] for row in db.execute(sql.replace("SELECT *", "SELECT n", 1))]
print(json.dumps(out))
"""


def compiled(tmp_path: Path, rules: list[dict[str, Any]]) -> tuple[Mapping, list[LogRule]]:
    (tmp_path / "rules.yml").write_text(yaml.safe_dump_all(rules))
    (tmp_path / "plain.toml").write_text(PLAIN)
    loaded = load_rules([tmp_path / "rules.yml"])
    assert loaded.problems == []
    return load_mapping(tmp_path / "plain.toml"), list(loaded.rules.values())


def found(looker: Looker, events: list[dict[str, Any]], **how: Any) -> set[tuple[str, int]]:
    data = "".join(json.dumps(one, **how) + "\n" for one in events).encode()
    return {(hit.rule, hit.line) for hit in looker.look(data).hits}


@pytest.mark.parametrize("seed", range(6))
def test_the_gate_loses_nothing(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    table, rules = compiled(tmp_path, [rule(chance, n, plain=False) for n in range(60)])
    events = [event(chance) for _ in range(150)]
    exact = {
        (one.id, number)
        for number, record in enumerate(events)
        for one in rules
        if one.matches is not None and one.matches(LogEvent(record, table))
    }
    assert len(exact) > 100
    for chosen in (rules, [one for one in rules if one.gate is not None and not one.gate.open]):
        looker = Looker(table, chosen)
        wanted = {one for one in exact if one[0] in {r.id for r in chosen}}
        assert found(looker, events) == wanted
        assert found(looker, events, ensure_ascii=False, separators=(",", ":")) == wanted
        slashed = [json.dumps(one).replace("/", "\\/") for one in events]
        seen = looker.look("\n".join(slashed).encode())
        assert {(hit.rule, hit.line) for hit in seen.hits} == wanted


def test_a_gate_that_asks_too_much_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tavo.logs.sigma import gates

    monkeypatch.setattr(gates, "_forms", lambda texts, least: frozenset({b"not there at all"}))
    with pytest.raises(AssertionError):
        test_the_gate_loses_nothing(0, tmp_path)


def oracle(tmp_path: Path, rules: list[dict[str, Any]], events: list[dict[str, Any]]) -> Any:
    python = python_with("pysigma", "pysigma==2.0.1", "pysigma-backend-sqlite==2.1.1")
    (tmp_path / "oracle.py").write_text(ORACLE)
    (tmp_path / "cases.json").write_text(json.dumps([rules, events]))
    done = subprocess.run(
        [python, str(tmp_path / "oracle.py"), str(tmp_path / "cases.json")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_rules_mean_what_the_oracle_says(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    made = [rule(chance, n, plain=True) for n in range(80)]
    events = [event(chance) for _ in range(200)]
    table, rules = compiled(tmp_path, made)
    said = oracle(tmp_path, made, events)
    ours = found(Looker(table, rules), events)
    theirs = {(name, n) for name, numbers in said.items() for n in numbers}
    assert ours == theirs
    assert len(theirs) > 200
