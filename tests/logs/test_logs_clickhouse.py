"""ClickHouse: statements that no rule can break out of, and the same findings as from a file."""

from __future__ import annotations

import json
import random
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tavo.errors import ConfigError, InputError
from tavo.logs.clickhouse import sql
from tavo.logs.clickhouse.client import Address, Client, address_of
from tavo.logs.clickhouse.run import analyze_table, ask, columns_of
from tavo.logs.clickhouse.sql import Column, literal, name
from tavo.logs.engine import Analysis, analyze
from tavo.logs.fields import FIELDS
from tavo.logs.mapping import Mapping, load_mapping, readers
from tavo.logs.sigma.rules import LogRule, load_rules
from tavo.logs.sigma.tests import SigmaError
from tavo.logs.sources import find_sources
from tests.fakes.environments import python_with
from tests.logs import rule_maker

ROOT = Path(__file__).parents[2]
EVIL = ["' OR 1=1 --", "\\' OR 1=1", "'); DROP TABLE events; --", "a\0b", "`; SELECT 1", "x\\",
        "{p:String}", "unhex('41')", "\U0001f600'", "%", "*/ --", "\n'"]  # fmt: skip


def rules_of(tmp_path: Path, *documents: dict[str, Any]) -> dict[str, LogRule]:
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump_all(documents))
    loaded = load_rules([file])
    assert loaded.problems == []
    return loaded.rules


def rule(number: int, detection: dict[str, Any]) -> dict[str, Any]:
    return {"title": f"r{number}", "name": f"r{number}", "level": "low",
            "logsource": {"product": "genai"},
            "detection": {"s": detection, "condition": "s"}}  # fmt: skip


COLUMNS = columns_of({"gen_ai_prompt": "String", "usage_cost": "Float64", "time": "DateTime64(3)",
                      "gen_ai_tool_name": "Array(String)", "user_id": "Nullable(String)",
                      "blob": "Tuple(a Int8)"}, None)  # fmt: skip


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("how", ["", "|contains", "|startswith", "|endswith", "|contains|cased"])
def test_no_text_of_a_rule_ends_its_literal(evil: str, how: str, tmp_path: Path) -> None:
    detection = {f"gen_ai.prompt{how}": evil, f"gen_ai.tool.name{how}": [evil, "b"]}
    found = rules_of(tmp_path, rule(1, detection))
    [(statement, _)] = ask(found, COLUMNS, database="d", table="t").statements
    for text in re.findall(r"'([^']*)'", statement):
        assert re.fullmatch(r"[A-Za-z0-9 _.,:/@-]*", text)
    assert not set(statement) - set("'`()[]=!<>,.*/-+ _:@" + _LETTERS)


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def test_without_the_guard_the_attack_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rules_of(tmp_path, rule(1, {"gen_ai.prompt": "' OR 1=1 OR '' = '"}))
    safe = ask(found, COLUMNS, database="d", table="t").statements[0][0]
    assert "OR 1=1" not in safe
    monkeypatch.setattr(sql, "literal", lambda text: f"'{text}'")
    assert "' or 1=1 or ''" in ask(found, COLUMNS, database="d", table="t").statements[0][0]


@pytest.mark.parametrize("text", ["a`b", "a'b", "", "a b", "x" * 200, "a\\"])
def test_no_name_ends_its_backticks(text: str) -> None:
    with pytest.raises(SigmaError):
        name(text)
    assert columns_of({text: "String"}, None).of_field == {}


def test_literals() -> None:
    assert literal("read_file /etc") == "'read_file /etc'"
    assert literal("it's") == "unhex('69742773')"


def test_fields_have_their_columns_and_lists_are_lists() -> None:
    assert COLUMNS.get("gen_ai.prompt") == Column("gen_ai_prompt", "text")
    assert COLUMNS.get("gen_ai.tool.name") == Column("gen_ai_tool_name", "list")
    assert COLUMNS.get("blob") is None


@pytest.mark.parametrize(
    ("kind", "condition", "said"),
    [("value_avg", {"gte": 5, "field": "usage.cost"}, "of type value_avg is not asked"),
     ("event_count", {"lt": 5}, "another condition than gt or gte")],
)  # fmt: skip
def test_what_has_no_statement_is_refused_in_a_sentence(
    kind: str, condition: dict[str, Any], said: str, tmp_path: Path
) -> None:
    correlated = {"title": "c", "name": "c", "level": "low", "correlation": {
        "type": kind, "rules": ["r1"], "group-by": ["user.id"], "timespan": "1h",
        "condition": condition}}  # fmt: skip
    found = rules_of(tmp_path, rule(1, {"gen_ai.prompt": "x"}), correlated)
    asked = ask(found, COLUMNS, database="d", table="t")
    assert said in asked.refused["c"]
    assert asked.statements == []


@pytest.mark.parametrize(
    ("text", "said"),
    [("clickhouse://u:secret@h/d/t", "holds no credentials"), ("clickhouse://h/d", "no address"),
     ("http://h/d/t", "no address"), ("clickhouse://h:x/d/t", "not an address"),
     ("clickhouse://h/d/t?x=1", "parts too many")],
)  # fmt: skip
def test_addresses_that_are_none(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        address_of(text)
    assert said in str(error.value)
    assert "secret" not in str(error.value)


@pytest.fixture
def server() -> Iterator[tuple[Address, list[dict[str, str]], list[tuple[int, bytes]]]]:
    asked: list[dict[str, str]] = []
    answers: list[tuple[int, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
            status, data = answers[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    running = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield address_of(f"clickhouse://127.0.0.1:{running.server_address[1]}/d/t"), asked, answers
    running.shutdown()
    running.server_close()
    thread.join()


def test_credentials_come_from_the_environment_and_statements_only_read(server: Any) -> None:
    address, asked, answers = server
    answers.append((200, b'{"n": 1}\n'))
    environment = {"CLICKHOUSE_USER": "ann", "CLICKHOUSE_PASSWORD": "pw"}
    with Client(address, environment, timeout_s=60) as client:
        assert list(client.rows("SELECT 1")) == [{"n": 1}]
    assert asked[0]["x-clickhouse-user"] == "ann"
    assert "readonly=2" in asked[0]["path"]
    assert "pw" not in asked[0]["path"]


@pytest.mark.parametrize(
    ("status", "data", "said"),
    [(500, b"Code: 60. Unknown table", "answers 500: Code: 60"), (403, b"no", "refuses the user"),
     (200, b"Code: 159. Timeout exceeded\n", "is no JSON")],
)  # fmt: skip
def test_an_answer_that_is_none_is_an_error(
    status: int, data: bytes, said: str, server: Any
) -> None:
    address, _, answers = server
    answers.append((status, data))
    with Client(address, {}, timeout_s=60) as client, pytest.raises(InputError) as error:
        list(client.rows("SELECT 1"))
    assert said in str(error.value)


# -- the same findings, asked of chdb


@pytest.fixture(scope="module")
def chdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Client]]:
    folder = tmp_path_factory.mktemp("chdb")
    process = subprocess.Popen(
        [
            python_with("chdb", "chdb==4.4.0"),
            str(ROOT / "tests/fakes/chdb_server.py"),
            str(folder / "data"),
        ],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    address = address_of(f"clickhouse://127.0.0.1:{port}/default/events")
    yield lambda table: Client(address, {}, timeout_s=60)
    process.kill()
    process.wait()


def filled(client: Client, table: str, events: list[dict[str, Any]], kinds: dict[str, str]) -> None:
    list(client.lines(f"DROP TABLE IF EXISTS `{table}`"))
    declared = ", ".join(f"`{one.replace('.', '_')}` {kind}" for one, kind in kinds.items())
    list(client.lines(f"CREATE TABLE `{table}` ({declared}) ENGINE = MergeTree ORDER BY tuple()"))
    rows = "\n".join(json.dumps({k.replace(".", "_"): v for k, v in e.items()}) for e in events)
    list(client.lines(f"INSERT INTO `{table}` FORMAT JSONEachRow\n{rows}"))


def shown(found: Analysis, rules: dict[str, LogRule]) -> list[str]:
    """Return what findings say, but for where the records are."""
    return sorted(
        repr((
            ident, one.actor if one.actor[0] != "source" else "source", one.count, one.first,
            one.last, sorted(one.numbers.items()),
            sorted((field, sorted(values)) for field, values in one.values.items()),
        ))
        for ident in rules for one in found.incidents.of_rule(ident)
    )  # fmt: skip


def from_file(
    events: list[dict[str, Any]], rules: dict[str, LogRule], folder: Path,
    mapping: Mapping | None = None,
) -> Analysis:  # fmt: skip
    (folder / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
    sources, _ = find_sources([str(folder / "a.jsonl")], folder)
    event = mapping or readers()["event"]
    return analyze(sources, list(rules.values()), [event], forced=event, unusual=False)


def kinds_of(events: list[dict[str, Any]]) -> dict[str, str]:
    kinds = {"time": "Float64"}
    for field in {field for event in events for field in event} - {"time"}:
        many = any(isinstance(one.get(field), list) for one in events)
        number = field in FIELDS and FIELDS[field].kind == "number"
        kinds[field] = "Array(String)" if many else "Nullable(Float64)" if number else "String"
    return kinds


def samples(pack: list[LogRule]) -> list[dict[str, Any]]:
    """Return the samples of all our rules as one log, each rule's with users of its own."""
    from tavo.logs.times import parse_time

    events: list[dict[str, Any]] = []
    for number, one in enumerate(pack):
        for key in ("match", "no_match"):
            listed = one.samples.get(key) or []
            for sample in listed if isinstance(listed, list) else [listed]:
                group = sample if isinstance(sample, list) else [sample]
                for at, record in enumerate(group):
                    time = parse_time(record.get("time"))
                    events.append({
                        **record, "time": time or 1_790_000_000.0 + number * 100_000 + at * 10,
                        "event.id": f"e{len(events):06}",
                    })  # fmt: skip
    lists = {field for event in events for field, v in event.items() if isinstance(v, list)}
    for event in events:
        for field in lists & event.keys():
            value = event[field]
            event[field] = list(map(str, value)) if isinstance(value, list) else [str(value)]
    return sorted(events, key=lambda one: (one["time"], one["event.id"]))


@pytest.mark.slow
def test_our_own_rules_find_the_same_in_a_table(
    chdb: Callable[[str], Client], pack: list[LogRule], tmp_path: Path
) -> None:
    events, rules = samples(pack), {one.id: one for one in pack}
    with chdb("events") as client:
        filled(client, "events", events, kinds_of(events))
        there = analyze_table(client, pack, database="default", table="events", source="x")
    here = from_file(events, rules, tmp_path)
    assert [(one.subject, one.reason) for one in there.problems if one.incomplete] == []
    assert len({one.split("'")[1] for one in shown(here, rules)}) > 60
    assert shown(there, rules) == shown(here, rules)


RAW = """
name = "raw"
version = 1
title = "Records whose fields rules name as they are"
lines = "json"
extends = "event"
logsource = [{product = "acme"}]
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_random_rules_find_the_same_in_a_table(
    seed: int, chdb: Callable[[str], Client], tmp_path: Path
) -> None:
    chance = random.Random(seed)
    events = [
        {**rule_maker.event(chance), "time": 1_790_000_000.0 + n, "event.id": f"e{n:05}",
         "user.id": f"u{chance.randrange(20)}"}
        for n in range(1500)
    ]  # fmt: skip
    documents = [rule_maker.rule(chance, n, plain=False) for n in range(60)]
    correlations = [
        {"title": f"c{n}", "name": f"c{n}", "level": "low", "correlation": {
            "type": kind, "rules": [f"r{n * 3 + at}" for at in range(2)], "group-by": ["user.id"],
            "timespan": "40s", "generate": True, **more}}
        for n, (kind, more) in enumerate([
            ("event_count", {"condition": {"gte": 3}}),
            ("value_count", {"condition": {"gte": 2, "field": "address"}}),
            ("value_sum", {"condition": {"gt": 100, "field": "tokens"}}),
            ("temporal", {}), ("temporal_ordered", {}),
        ])
    ]  # fmt: skip
    rules = rules_of(tmp_path, *documents, *correlations)
    (tmp_path / "raw.toml").write_text(RAW)
    raw = load_mapping(tmp_path / "raw.toml")
    kinds = {**kinds_of(events), "tokens": "Nullable(Float64)"}
    with chdb("events") as client:
        filled(client, f"random{seed}", events, kinds)
        there = analyze_table(client, list(rules.values()), database="default",
                              table=f"random{seed}", source="x", mapping=raw)  # fmt: skip
    here = from_file(events, rules, tmp_path, raw)
    assert [one for one in there.problems if one.incomplete] == []
    assert shown(there, rules) == shown(here, rules)
    assert len(shown(here, rules)) > 20
