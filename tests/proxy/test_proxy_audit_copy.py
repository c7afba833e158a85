"""The copy of audit logs in SQLite, and the rows of one exchange on a terminal."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tavo.cli import main as tavo
from tavo.proxy.audit_copy import AuditCopy
from tavo.proxy.config import Audit, Price
from tests.fakes.scripted_upstream import staged

FILTERS = [
    {"filter": "pii"}, {"filter": "content", "rules": [{"id": "falcon", "words": ["falcon"]}]}
]  # fmt: skip


def serve(log: Path, *texts: str, texts_too: bool = False, **config: Any) -> list[str]:
    """Serve exchanges, and return their ids."""

    async def main() -> list[str]:
        audit = Audit(file=str(log), texts=texts_too)
        prices = {"gpt-*": Price(input=2, output=4)}
        async with staged(audit=audit, filters=FILTERS, prices=prices, **config) as stage:
            out = []
            for text in texts:
                body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
                _, fields, _ = await stage.ask(body=json.dumps(body).encode())
                out.append(fields[b"x-tavo-request-id"].decode())
            return out

    return asyncio.run(main())


def rows(db: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(db) as one:
        found = one.execute(query).fetchall()
    one.close()
    return found


def copy(*words: str) -> int:
    return tavo(["proxy", "audit", "db", *words])


def test_a_log_is_copied_and_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, db = tmp_path / "a.jsonl", tmp_path / "a.db"
    first = serve(log, "hello", "mail jane@example.org", "falcon")
    assert copy(str(log), "--output", str(db)) == 0
    assert f"{db}: 7 new rows; look at it with: datasette {db}" in capsys.readouterr().err
    assert db.stat().st_mode & 0o777 == 0o600
    assert rows(db, "SELECT id, verdict, outcome, cost FROM exchanges ORDER BY at, id") == [
        (first[0], "allow", "done", 30e-6), (first[1], "modify", "done", 30e-6),
        (first[2], "block", "blocked", None),
    ]  # fmt: skip
    assert rows(db, "SELECT id, why FROM blocks") == [(first[2], "content content.falcon")]
    assert rows(db, "SELECT filter, action, detail, times FROM by_filter ORDER BY filter") == [
        ("content", "block", "content.falcon", 1), ("pii", "modify", "EMAIL", 1)
    ]  # fmt: skip
    ((model, count, refused, p50, p99, cost),) = rows(
        db, "SELECT model, sum(exchanges), sum(refused), p50_ms, p99_ms, sum(cost) FROM by_model"
    )
    assert (model, count, refused) == ("gpt-4o", 3, 1)
    assert p50 <= p99
    assert cost == pytest.approx(60e-6)
    # it goes on where it ended, and over a log that was moved away meanwhile
    serve(log, "again")
    assert copy(str(log), "--output", str(db)) == 0
    log.rename(tmp_path / "old")
    serve(log, "after")
    assert copy(str(log), "--output", str(db)) == 0
    assert rows(db, "SELECT count(*) FROM exchanges") == [(5,)]
    assert rows(db, "SELECT count(*) FROM files") == [(2,)]
    assert copy(str(log), "--output", str(db)) == 0
    assert "0 new rows" in capsys.readouterr().err


def test_percentiles_are_what_they_say(tmp_path: Path) -> None:
    with AuditCopy(tmp_path / "a.db") as one:
        one._db.executemany(
            "INSERT INTO exchanges (id, at, client, ms, file) VALUES (?, '', ?, ?, '')",
            [(f"{c}{n}", c, n) for c, most in (("x", 100), ("y", 3)) for n in range(1, most + 1)],
        )
    assert rows(tmp_path / "a.db", "SELECT client, p50_ms, p95_ms, p99_ms FROM by_client") == [
        ("x", 50.0, 95.0, 99.0), ("y", 2.0, 3.0, 3.0)
    ]  # fmt: skip


def test_nothing_behind_a_break_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, db = tmp_path / "a.jsonl", tmp_path / "a.db"
    serve(log, "one", "two", "three")
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:4]).replace('"status":200', '"status":201') + "".join(lines[4:]))
    for _ in range(2):
        assert copy(str(log), "--output", str(db)) == 5
        assert "a.jsonl: NOT what was written: line 3 does not follow" in capsys.readouterr().err
    assert rows(db, "SELECT count(*), sum(done_seq IS NULL) FROM exchanges") == [(1, 1)]


def test_what_a_crash_cut_off_waits_for_its_explanation(tmp_path: Path) -> None:
    log, db = tmp_path / "a.jsonl", tmp_path / "a.db"
    serve(log, "one")
    with log.open("a") as stream:
        stream.write('{"seq":5,"at":"2026')
    with AuditCopy(db) as one:
        assert one.take([log]).broken == {}
        serve(log, "two")
        assert one.take([log]).broken == {}
    assert rows(db, "SELECT count(*) FROM exchanges") == [(2,)]
    assert rows(db, "SELECT sum(torn) FROM starts") == [(1,)]


def test_texts_are_copied_only_when_asked_for(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    serve(log, "a question", texts_too=True)
    for words, found in (((), None), (("--texts",), "a question")):
        db = tmp_path / f"{len(words)}.db"
        assert copy(str(log), "--output", str(db), *words) == 0
        ((text,),) = rows(db, "SELECT asked_text FROM exchanges")
        assert (text is None) if found is None else found in text


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda db: db.write_bytes(b"no database at all" * 99), "file is not a database"),
        (lambda db: sqlite3.connect(db).execute("CREATE TABLE x (y)"), "is no copy of audit logs"),
    ],
)
def test_a_file_of_somebody_else_is_left_alone(
    tmp_path: Path, make: Any, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log, db = tmp_path / "a.jsonl", tmp_path / "a.db"
    serve(log, "x")
    make(db)
    before = db.read_bytes()
    assert copy(str(log), "--output", str(db)) == 3
    assert says in capsys.readouterr().err
    assert db.read_bytes() == before


def test_datasette_opens_an_exchange_by_its_id(tmp_path: Path) -> None:
    from datasette.app import Datasette

    log, db = tmp_path / "a.jsonl", tmp_path / "audit.db"
    (name,) = serve(log, "mail jane@example.org")
    assert copy(str(log), "--output", str(db)) == 0

    async def main() -> tuple[int, Any, int]:
        one = Datasette([], immutables=[str(db)])
        await one.invoke_startup()
        row = await one.client.get(f"/audit/exchanges/{name}.json?_shape=objects")
        view = await one.client.get("/audit/by_model")
        return row.status_code, row.json(), view.status_code

    status, row, view = asyncio.run(main())
    assert (status, view) == (200, 200)
    assert row["rows"][0]["verdict"] == "modify"


def test_the_rows_of_an_exchange_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, other = tmp_path / "a.jsonl", tmp_path / "a.1.jsonl"
    serve(log, "x")
    (name,) = serve(other, "mail jane@example.org")
    assert tavo(["proxy", "audit", "show", name, str(log), str(other)]) == 0
    out = capsys.readouterr().out
    assert out.count(f'"id": "{name}"') == 2
    assert '"kind": "asked"' in out
    assert '"verdict": "modify"' in out
    assert tavo(["proxy", "audit", "show", name, str(other), "--json"]) == 0
    assert [row["kind"] for row in json.loads(capsys.readouterr().out)] == ["asked", "done"]
    assert tavo(["proxy", "audit", "show", name, str(log)]) == 3
    assert f"a.jsonl: there is no row of {name}" in capsys.readouterr().err
    assert tavo(["proxy", "audit", "show", "../x", str(log)]) == 2
    assert "'../x' is no x-tavo-request-id" in capsys.readouterr().err
    assert tavo(["proxy", "audit", "show", name, str(tmp_path / "none")]) == 3
    assert "none: cannot be read: No such file" in capsys.readouterr().err


def test_a_row_of_a_sound_chain_may_hold_anything(tmp_path: Path) -> None:
    from tavo.proxy.audit_chain import FIRST, sealed

    rows_ = [
        {"seq": 1, "kind": "start", "after": FIRST, "tavo": {"a": 1}, "pid": "x"},
        {"seq": 2, "kind": "asked", "id": ["a"], "model": {"x": 1}, "path": 7, "client": None},
        {"seq": 3, "kind": "done", "id": ["b"], "said": 7, "how": [1]},
        {"seq": 4, "kind": "done", "id": ["a"], "status": "200", "ms": "y", "tokens_in": 1 << 63,
         "said": [7, {"filter": {}}], "cost": True},
    ]  # fmt: skip
    head, data = FIRST, b""
    for row in rows_:
        line, head = sealed(json.dumps(row).encode()[:-1], head)
        data += line
    (tmp_path / "a").write_bytes(data)
    with AuditCopy(tmp_path / "a.db") as one:
        assert one.take([tmp_path / "a"]).rows == 4
    assert rows(tmp_path / "a.db", "SELECT status, ms, model FROM exchanges LIMIT 1") == [
        (None, None, "{'x': 1}")
    ]
    (tmp_path / "b").write_bytes(sealed(b'{"seq": "x", "kind": "start"', FIRST)[0])
    assert copy(str(tmp_path / "b"), "--output", str(tmp_path / "b.db")) == 5
    assert tavo(["proxy", "audit", "verify", str(tmp_path / "b")]) == 5
