"""Places in which values go up or come down beside the texts: heads, data, numbers, other names."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

from tavo.llm.gemini import Gemini
from tests.fakes.dialect_traffic import SPEAKERS
from tests.fakes.scripted_upstream import staged
from tests.proxy.driving import answered, asked, chain_of

CHAT, RESPONSES, ANTHROPIC, GEMINI, ARRAY, OLLAMA, MCP = SPEAKERS
KEY = "ghp_" + "aB3xYz9KqLmN0pRsTuVwXyZ1234567890AbC"
CARD = 4111111111111111
BOTH = chain_of({"filter": "secrets"}, {"filter": "pii", "mode": "remove", "answers": True})


# -- heads


@pytest.mark.parametrize(
    ("path", "header"),
    [(f"/v1/chat/completions?user={KEY}", b""), (f"/v1/chat/completions?a=1&%67={KEY[:9]}%61"
     + KEY[9:], b""), ("/v1/chat/completions?q=bob%40example.com", b""),
     ("/v1/chat/completions", b"X-Note: token " + KEY.encode())],
)  # fmt: skip
def test_a_value_in_the_query_or_in_a_header_goes_nowhere(path: str, header: bytes) -> None:
    async def main() -> tuple[int, int]:
        filters: list[Any] = [{"filter": "secrets"}, {"filter": "pii"}]
        async with staged(filters=filters) as stage:
            more = [header] if header else []
            status, _, _ = await stage.ask(*more, path=path.encode())
            return status, len(stage.upstream.asked)

    assert asyncio.run(main()) == (403, 0)


def test_usual_heads_pass_and_so_do_credentials_in_their_own_headers() -> None:
    async def main() -> list[int]:
        filters: list[Any] = [{"filter": "secrets"}, {"filter": "pii"}]
        async with staged(filters=filters) as stage:
            usual = (
                b"User-Agent: Mozilla/5.0 Chrome/120.0.0.0",
                b"X-Forwarded-For: 192.168.1.1",
                b"Authorization: Bearer sk-proj-aB3xYz9KqLmN0pRsTuVwXyZ1",
                b"X-Request-Id: 7f",
            )
            path = b"/v1/chat/completions?api-version=2024-10-21"
            return [(await stage.ask(*usual, path=path))[0] for _ in range(2)]

    assert asyncio.run(main()) == [200, 200]


def test_a_good_head_is_judged_once_and_another_one_again() -> None:
    chain = chain_of({"filter": "secrets"})
    headers = [(b"x-a", b"fine")]
    for _ in range(2):
        assert asked(chain, CHAT, CHAT.request("hi"), headers=headers).refusal is None
    bad = [(b"x-a", KEY.encode())]
    assert asked(chain, CHAT, CHAT.request("hi"), headers=bad).refusal is not None


# -- data and numbers


def tool_result(value: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {
        "content": [], "structuredContent": value}}).encode()  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [{"id": KEY}, {"data": KEY + "x" * 60}, {"rows": [{"status": KEY}]}, {"result": {"url": KEY}},
     {"signature": KEY + "A" * 40}],
)  # fmt: skip
def test_a_secret_under_any_name_of_a_result_is_taken_out(value: Any) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t"}}
    done = answered(asked(BOTH, MCP, request), MCP, [tool_result(value)], whole=True)
    assert KEY[:20].encode() not in done.out
    sent = asked(BOTH, GEMINI, {"contents": [{"role": "user", "parts": [
        {"functionResponse": {"name": "t", "response": value}}]}]}).sent  # fmt: skip
    assert KEY[:20].encode() not in sent


def test_a_short_secret_as_data_is_no_data() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AKIAQYLPMN5HHHFPZAM2"
                                               + "/" * 40}}  # fmt: skip
    body = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
    assert asked(BOTH, CHAT, body).refusal is not None


@pytest.mark.parametrize("number", [CARD, float(CARD), -CARD])
def test_a_card_as_a_number_is_one(number: float) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t"}}
    value = tool_result({"rows": [{"n": number}]})
    assert answered(asked(BOTH, MCP, request), MCP, [value], whole=True).refusal is not None
    for body in ({"model": "m", "messages": [], "metadata": {"n": number}},
                 {"model": "m", "messages": [], "unknown": [number]}):  # fmt: skip
        assert asked(BOTH, CHAT, body).refusal is not None
    assert asked(BOTH, CHAT, {"model": "m", "messages": [], "seed": 1234567890123}).refusal is None


# -- media


IMAGE = base64.b64encode(bytes(range(256)) * 3).decode()


@pytest.mark.parametrize(
    ("part", "kind"),
    [({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}, "image"),
     ({"type": "image_url", "image_url": {"url": f"data:audio/wav;base64,{IMAGE}"}}, "audio"),
     ({"type": "image_url", "image_url": {"url": f"data:application/pdf;base64,{IMAGE}"}}, "file"),
     ({"type": "input_audio", "input_audio": {"data": IMAGE, "format": "wav"}}, "audio"),
     ({"type": "file", "file": {"file_data": f"data:application/pdf;base64,{IMAGE}"}}, "file"),
     ({"type": "hologram", "hologram": {"data": IMAGE}}, "hologram"),
     ({"type": "text", "text": "hi", "data": IMAGE}, "unknown")],
)  # fmt: skip
def test_media_of_every_kind_follow_the_policy(part: Any, kind: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
    allowed = {"image"} | {kind}
    assert (
        asked(chain_of({"filter": "media", "allow": sorted(allowed)}), CHAT, body).refusal is None
    )
    others = [one for one in ("image", "audio", "video", "tokens") if one != kind]
    refusal = asked(chain_of({"filter": "media", "allow": others}), CHAT, body).refusal
    assert refusal is not None
    assert refusal.status == 403


@pytest.mark.parametrize(
    "speaker", [ANTHROPIC, RESPONSES, GEMINI, OLLAMA], ids=lambda one: one.name
)
def test_data_that_no_dialect_names_follow_it_too(speaker: Any) -> None:
    body = {**speaker.request("hi"), "attachment": {"data": IMAGE}}
    refusal = asked(chain_of({"filter": "media"}), speaker, body).refusal
    assert refusal is not None
    assert "unknown is not allowed" in refusal.reason
    assert asked(chain_of({"filter": "media"}), speaker, speaker.request("hi")).refusal is None


# -- names in other letters


@pytest.mark.parametrize(
    "body",
    [{"model": "m", "Messages": [{"role": "user", "content": "x"}]},
     {"model": "m", "messages": [{"role": "user", "content": "a", "Content": "b"}]},
     {"model": "m", "messages": [{"ROLE": "system", "content": "a"}]},
     {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "TEXT": "a"}]}]},
     {"model": "m", "messages": [], "Tools": []},
     {"model": "m", "me\u017f\u017fages": []}],
)  # fmt: skip
@pytest.mark.parametrize("speaker", [CHAT, OLLAMA], ids=lambda one: one.name)
def test_a_name_in_other_letters_has_two_readings(speaker: Any, body: Any) -> None:
    refusal = asked(BOTH, speaker, body).refusal
    assert refusal is not None
    assert refusal.code == "tavo_unreadable"


def test_names_in_schemas_and_arguments_are_their_authors() -> None:
    schema = {"type": "object", "properties": {"Content": {"type": "string"}, "Model": {}}}
    body = {
        "model": "m", "metadata": {"Name": "x", "Role": "y"},
        "messages": [{"role": "assistant", "tool_calls": [{"id": "1", "function": {
            "name": "f", "arguments": '{"Content": "x"}'}}]}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
    }  # fmt: skip
    assert asked(BOTH, CHAT, body).refusal is None
    assert (
        asked(
            BOTH,
            MCP,
            {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {"name": "t", "arguments": {"Text": "a"}},
            },
        ).refusal
        is None
    )
    assert Gemini().name == "gemini"


# -- what is written down


def test_records_hold_kinds_and_digests_never_what_was_said() -> None:
    secret = "tool-" + KEY
    chain = chain_of({"filter": "mcp-pins", "first_use": "hold"}, {"filter": "media"},
                     {"filter": "tools", "deny": [secret]}, {"filter": "secrets"})  # fmt: skip
    listed = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": [
        {"name": secret, "description": "d"}]}}).encode()  # fmt: skip
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    one = answered(asked(chain, MCP, request), MCP, [listed], whole=True)
    two = asked(chain, MCP, {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                             "params": {"name": secret, "arguments": {}}})  # fmt: skip
    part = {"type": secret, "data": IMAGE}
    three = asked(chain, CHAT, {"model": "m", "messages": [{"role": "user", "content": [part]}]})
    twice = f'{{"a": 1, "{KEY}": 1, "{KEY}": 2}}'
    four = asked(chain, CHAT, {"model": "m", "messages": [{"role": "assistant", "tool_calls": [
        {"id": "1", "function": {"name": KEY, "arguments": twice}}]}]})  # fmt: skip
    for done in (one, two, three, four):
        assert done.exchange.record.said
        assert "ghp_" not in str(done.exchange.record.said)
