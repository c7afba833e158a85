"""What a provider does not count is estimated, also for a client that goes away."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tavo.proxy import books
from tavo.proxy.config import Audit, Budget, Key, Secret
from tests.fakes.scripted_upstream import BODY, STREAM, Asked, answer, chunk, saying, staged

HELD: dict[str, Any] = {
    "upstream": {"credential": Secret(env="REAL")},
    "environment": {"REAL": "sk-real-credential-1", "ONE": "virtual-1"},
    "keys": {"one": Key(env="ONE", budget=Budget(tokens_per_day=1_000))},
}
ONE = b"Authorization: Bearer virtual-1"
ASKING = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'
FILTERS: list[list[dict[str, Any]]] = [[], [{"filter": "secrets"}]]


def event(text: str) -> bytes:
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": None}]
    value = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": choices}
    return chunk(b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n")


def used(stage: Any) -> int:
    return int(stage.app.used()["one"]["tokens_per_day"])


@pytest.mark.parametrize("filters", FILTERS, ids=["passing", "filtering"])
def test_a_stream_without_usage_is_estimated(filters: list[Any], tmp_path: Path) -> None:
    words = [event("word ") for _ in range(100)]

    async def main() -> tuple[int, str]:
        log = Audit(file=str(tmp_path / "audit.jsonl"))
        async with staged(saying(STREAM, *words, chunk(b"data: [DONE]\n\n"), b"0\r\n\r\n"),
                          filters=filters, audit=log, **HELD) as stage:  # fmt: skip
            assert (await stage.ask(ONE, body=ASKING))[0] == 200
            await asyncio.sleep(0)
            return used(stage), str(stage.app.snapshot()["series"])

    tokens, series = asyncio.run(main())
    assert 100 <= tokens <= 250
    assert "'estimated': 1" in series
    rows = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    [done] = [row for row in rows if row["kind"] == "done"]
    assert done["estimated"] is True
    assert done["tokens_in"] + done["tokens_out"] == tokens


@pytest.mark.parametrize("filters", FILTERS, ids=["passing", "filtering"])
def test_a_client_that_goes_away_pays_for_what_was_produced(filters: list[Any]) -> None:
    async def endless(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM)
        while True:
            writer.write(event("word " * 10))
            await writer.drain()
            await asyncio.sleep(0.001)

    async def main() -> tuple[int, int]:
        async with staged(endless, filters=filters, **HELD) as stage:
            client = await stage.client()
            client.post(ASKING, ONE)
            await client.reader.readuntil(b"word word")
            for _ in range(20):
                await client.reader.readuntil(b"\n\n")
            client.close()
            async with asyncio.timeout(60):
                await stage.upstream.gone.wait()
                while not used(stage):
                    await asyncio.sleep(0.01)
            first = used(stage)
            while used(stage) < 1_000:
                client = await stage.client()
                client.post(ASKING, ONE)
                for _ in range(30):
                    await client.reader.readuntil(b"\n\n")
                client.close()
                before, count = used(stage), 0
                while used(stage) == before and count < 6000:
                    await asyncio.sleep(0.01)
                    count += 1
            return first, (await stage.ask(ONE, body=ASKING))[0]

    first, last = asyncio.run(main())
    assert first > 150
    assert last == 429, "the budget is used up by answers that nobody read to the end"


def test_control_without_the_estimate_they_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "estimate", lambda *_, **__: None)

    async def main() -> int:
        async with staged(saying(STREAM, event("a"), b"0\r\n\r\n"), **HELD) as stage:
            await stage.ask(ONE, body=ASKING)
            return used(stage)

    assert asyncio.run(main()) == 0


def test_what_a_provider_counts_is_believed_and_errors_are_free() -> None:
    async def main() -> tuple[int, int]:
        async with staged(**HELD) as stage:
            await stage.ask(ONE)
            counted = used(stage)
        async with staged(saying(answer(b'{"error":{}}', status=b"500 No")), **HELD) as stage:
            await stage.ask(ONE, body=BODY)
            return counted, used(stage)

    assert asyncio.run(main()) == (12, 0)


def test_what_clients_call_models_makes_no_series() -> None:
    async def main() -> list[str]:
        async with staged(saying(answer(status=b"404 Not Found"))) as stage:
            for number in range(150):
                await stage.ask(body=b'{"model":"made-up-%d","messages":[]}' % number)
            return [row[1] for row in stage.app.snapshot()["series"]]

    assert asyncio.run(main()) == ["other"]


def test_a_model_that_answers_has_its_series() -> None:
    async def main() -> list[str]:
        async with staged() as stage:
            for number in range(120):
                await stage.ask(body=b'{"model":"m%d","messages":[]}' % number)
            return [row[1] for row in stage.app.snapshot()["series"]]

    models = asyncio.run(main())
    assert models[0] == "m0"
    assert len(models) == 101
    assert models.count("other") == 1
