"""The audit log: nothing passes unwritten, and nothing that was written can be changed unseen."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tavo.cli import main as tavo
from tavo.errors import InputError
from tavo.proxy import audit as audit_module
from tavo.proxy import audit_kinds
from tavo.proxy.audit_chain import FIRST, verify
from tavo.proxy.config import Audit
from tavo.proxy.messages import Finished, Record
from tests.fakes.scripted_upstream import BODY, STREAM, chunk, saying, staged


def written(path: Path, count: int = 3, **options: Any) -> list[dict[str, Any]]:
    async def main() -> None:
        async with staged(audit=Audit(file=str(path), **options)) as stage:
            for _ in range(count):
                await stage.ask(b"Authorization: Bearer key-of-a-client")

    asyncio.run(main())
    lines = path.read_text().splitlines()
    return [json.loads(line) for line in lines if line.endswith("}")]


def test_each_exchange_has_two_rows_and_no_text(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    rows = written(path)
    assert [row["kind"] for row in rows] == ["start", *["asked", "done"] * 3, "end"]
    asked, done = rows[1], rows[2]
    assert asked["id"] == done["id"]
    assert (asked["path"], asked["model"], asked["bytes"]) == (
        "/v1/chat/completions", "m", len(BODY),
    )  # fmt: skip
    assert (done["status"], done["how"], done["tokens_in"], done["tokens_out"]) == (
        200, "done", 9, 3,
    )  # fmt: skip
    text = path.read_text()
    assert "key-of-a-client" not in text
    assert '"hi"' not in text
    assert path.stat().st_mode & 0o077 == 0


def test_texts_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    rows = written(tmp_path / "audit.jsonl", 1, texts=True)
    assert json.loads(rows[1]["text"])["messages"][0]["content"] == "hi"
    assert json.loads(rows[2]["text"])["choices"][0]["message"]["content"] == "hello"


def test_a_request_that_never_went_on_has_one_row(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"

    async def main() -> None:
        async with staged(audit=Audit(file=str(path)), models=["other"]) as stage:
            assert (await stage.ask())[0] == 403

    asyncio.run(main())
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["kind"] for row in rows] == ["start", "done", "end"]
    assert (rows[1]["code"], rows[1]["path"]) == ("model_not_allowed", "/v1/chat/completions")
    assert rows[1]["asked_sha256"] == hashlib.sha256(BODY).hexdigest()


def test_the_id_of_an_answer_opens_its_row(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"

    async def main() -> bytes:
        async with staged(audit=Audit(file=str(path))) as stage:
            return (await stage.ask())[1][b"x-tavo-request-id"]

    name = asyncio.run(main()).decode()
    assert [json.loads(line)["kind"] for line in path.read_text().splitlines() if name in line] == [
        "asked", "done",
    ]  # fmt: skip


def test_a_log_goes_on_after_a_restart_and_is_intact(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    written(path)
    rows = written(path)
    assert rows[8]["kind"] == "start"
    assert rows[8]["after"] == rows[7]["hash"]
    found = verify(path)
    assert (found.broken, found.rows, found.exchanges, found.open) == ("", 16, 6, 0)
    assert found.head == rows[-1]["hash"]


CHANGES = {
    "a changed figure": lambda lines: [line.replace(":200,", ":201,") for line in lines],
    "a row less": lambda lines: lines[:3] + lines[4:],
    "a row twice": lambda lines: lines[:3] + lines[2:],
    "two rows exchanged": lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]],
    "the beginning cut off": lambda lines: lines[2:],
    "a row in between that is none": lambda lines: [*lines[:3], "{}", *lines[3:]],
    "a row cut": lambda lines: [*lines[:3], lines[3][:50], *lines[4:]],
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_log_is_not_what_was_written(
    change: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "audit.jsonl"
    written(path)
    assert tavo(["proxy", "audit", "verify", str(path)]) == 0
    assert "audit.jsonl: intact: 8 rows, 3 exchanges, " in capsys.readouterr().out
    path.write_text("\n".join(CHANGES[change](path.read_text().splitlines())) + "\n")
    assert tavo(["proxy", "audit", "verify", str(path)]) == 5
    assert "NOT what was written: line " in capsys.readouterr().out


def test_a_log_that_was_cut_at_its_end_is_noticed_by_its_last_hash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "audit.jsonl"
    head = written(path)[-1]["hash"]
    assert tavo(["proxy", "audit", "verify", str(path), "--expect", head]) == 0
    path.write_text("\n".join(path.read_text().splitlines()[:5]) + "\n")
    assert tavo(["proxy", "audit", "verify", str(path)]) == 0  # the control
    assert tavo(["proxy", "audit", "verify", str(path), "--expect", head]) == 5
    assert "rows are missing" in capsys.readouterr().out


def test_a_row_that_a_crash_cut_off_is_told_by_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    written(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 40])
    written(path, 1)
    found = verify(path)
    assert (found.broken, found.torn) == ("", 1)
    # a row that somebody cut and that no start speaks of is a break
    path.write_bytes(path.read_bytes() + data[:30] + b"\n" + data.splitlines()[1] + b"\n")
    assert verify(path).broken


def test_what_is_no_audit_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n")
    with pytest.raises(InputError, match="is no audit log"):
        written(path)
    assert path.read_text() == "my notes\n"


@pytest.mark.parametrize(("rule", "statuses"), [("block", [503, 200]), ("pass", [200, 200])])
def test_a_full_disk_follows_the_rule(
    rule: str, statuses: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    full = False
    write = os.write

    def writing(file: int, data: bytes) -> int:
        if full:
            write(file, data[:20])  # a part gets in, as on a real disk
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(audit_module.os, "write", writing)

    async def main() -> tuple[list[int], int, bool, float]:
        nonlocal full
        log = Audit(file=str(path), on_failure=rule)  # type: ignore[arg-type]
        async with staged(audit=log) as stage:
            full = True
            first, _, _ = await stage.ask()
            asked = len(stage.upstream.asked)
            ready = not stage.app.health()
            full = False
            second, _, _ = await stage.ask()
            return [first, second], asked, ready, stage.app.snapshot()["gauges"]["unaudited_total"]

    got, asked, ready, missed = asyncio.run(main())
    assert got == statuses
    assert asked == (0 if rule == "block" else 1)
    assert ready == (rule == "pass")
    assert missed == (0 if rule == "block" else 1)
    assert verify(path).broken == ""
    assert verify(path).missed == missed


def test_what_finds_no_room_among_waiting_rows_does_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_module, "_MOST_WAITING", 0)

    async def main() -> tuple[int, int]:
        async with staged(audit=Audit(file=str(tmp_path / "audit.jsonl"))) as stage:
            status, _, _ = await stage.ask()
            return status, len(stage.upstream.asked)

    assert asyncio.run(main()) == (503, 0)


def test_a_request_is_written_before_it_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    seen: list[int] = []

    async def script(asked: object, writer: asyncio.StreamWriter) -> None:
        seen.append(path.read_text().count('"kind":"asked"'))
        writer.write(STREAM + chunk(b"data: 1\n\n") + b"0\r\n\r\n")

    async def main() -> None:
        async with staged(script, audit=Audit(file=str(path))) as stage:  # type: ignore[arg-type]
            await stage.ask()

    asyncio.run(main())
    assert seen == [1]


def test_a_request_without_an_end_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    lines = [json.dumps(row) for row in written(path)]
    del lines
    data = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(data[:6]))  # as after kill -9
    found = verify(path)
    assert (found.broken, found.open) == ("", 1)
    assert found.head != FIRST
    assert saying


def test_two_proxies_never_write_to_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    config = Audit(file=str(path))
    first = audit_module.AuditLog(config)
    first.open()
    with pytest.raises(InputError, match="another proxy is writing to this audit log"):
        audit_module.AuditLog(config).open()
    first.close()
    assert verify(path).broken == ""
    third = audit_module.AuditLog(config)
    third.open()
    # the control: without the lock the rows of two destroy the chain
    monkeypatch.setattr(audit_module, "try_lock", lambda *_, **__: True)
    fourth = audit_module.AuditLog(config)
    fourth.open()
    third.close()
    fourth.close()
    assert verify(path).broken


@pytest.mark.parametrize("checked", [1 << 20, 1500])
def test_a_broken_chain_is_not_gone_on_with(
    checked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_module, "_CHECKED", checked)
    path = tmp_path / "audit.jsonl"
    written(path)
    written(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:-3], lines[-2], lines[-3], lines[-1]]))
    before = path.read_bytes()
    with pytest.raises(InputError, match="its chain is broken: line"):
        audit_module.AuditLog(Audit(file=str(path))).open()
    assert path.read_bytes() == before


def test_a_refused_request_leaves_nothing_to_those_that_go_the_same_way() -> None:
    way: Any = SimpleNamespace(parts={})
    flow: Any = SimpleNamespace(
        id=b"a-1", way=way, entry=None, upstream="back", method=b"POST", path=b"/mcp", status=429,
        started=1.0, first_at=0.0, ended=1.0, how=Finished.REFUSED, taken=2, sent=3, cost=0.0,
        code="budget_exceeded", exchange=SimpleNamespace(record=Record(dialect="mcp")),
    )  # fmt: skip
    row = audit_kinds.ended(flow, costs=True, texts=False)
    audit_kinds.not_noted(row, flow, sha256="00")
    assert (row.method, row.path, row.upstream, row.dialect) == ("POST", "/mcp", "back", "mcp")
    for _ in range(2):
        asked = audit_kinds.asked(flow, size=2, sha256="00")
        assert (asked.dialect, asked.path, asked.model) == ("mcp", "/mcp", "")
    assert list(way.parts) == [""]


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system has no such call")
@pytest.mark.parametrize("fails", [False, True])
def test_what_was_written_need_not_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    path, told = tmp_path / "audit.jsonl", list[int]()

    def advise(file: int, start: int, length: int, advice: int) -> None:
        assert (start, length, advice) == (0, 0, os.POSIX_FADV_DONTNEED)
        told.append(os.fstat(file).st_size)
        if fails:
            raise OSError(errno.EINVAL, "not here")

    monkeypatch.setattr(os, "posix_fadvise", advise)
    written(path)
    assert told == [], "it is shorter than that"
    monkeypatch.setattr(audit_module, "_CACHED", 1000)
    written(path, 9)
    assert len(told) >= 3
    assert all(b - a >= 1000 for a, b in pairwise(told))
    found = verify(path)
    assert (found.broken, found.exchanges) == ("", 12)
