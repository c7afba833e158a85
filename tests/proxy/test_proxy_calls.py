"""The policy about tools sees each call that a client could act on, before it can."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tavo.llm import parts as parts_module
from tests.fakes.dialect_traffic import SPEAKERS, Speaker, compact, sse
from tests.proxy.driving import Done, answered, asked, chain_of, cut

CHAT, RESPONSES, ANTHROPIC, GEMINI, ARRAY, OLLAMA, MCP = SPEAKERS
ALLOW = chain_of({"filter": "tools", "allow": ["search", "get_*"]})
DENY = chain_of({"filter": "tools", "deny": ["shell"]})
ARGUED = chain_of({"filter": "tools", "arguments": [{"argument": "*", "never": "rm -rf"}]})


def said_by(speaker: Speaker, body: bytes, chain: Any = DENY, **options: Any) -> Done:
    done = asked(chain, speaker, speaker.request("hi"))
    return answered(done, speaker, cut(body, [70] * len(body)), **options)


def chunk(delta: Any, finish: str | None = None, **choice: Any) -> bytes:
    one = {"index": 0, "delta": delta, "finish_reason": finish, **choice}
    return sse({"choices": [one]})


def piece(index: Any = 0, /, id_: str = "", form: str = "function", **function: Any) -> bytes:
    call: Any = {"index": index, form: function}
    if id_:
        call["id"] = id_
    return chunk({"tool_calls": [call]})


END = chunk({}, "tool_calls") + b"data: [DONE]\n\n"


def item(step: str, where: Any = 1, **fields: Any) -> bytes:
    return sse({"type": f"response.output_item.{step}", "output_index": where, "item": fields})


def block(index: Any, **fields: Any) -> bytes:
    event = {"type": "content_block_start", "index": index, "content_block": fields}
    return sse(event, "content_block_start")


def more(index: Any, text: str) -> bytes:
    delta = {"type": "input_json_delta", "partial_json": text}
    return sse({"type": "content_block_delta", "index": index, "delta": delta},
               "content_block_delta")  # fmt: skip


def stop(index: Any) -> bytes:
    return sse({"type": "content_block_stop", "index": index}, "content_block_stop")


def candidate(part: Any) -> bytes:
    return sse({"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}]})


def line(message: Any, **fields: Any) -> bytes:
    return compact({"model": "m", "message": message, "done": False, **fields}) + b"\n"


# each of them calls `shell`, in the eyes of some client
HIDDEN: dict[str, tuple[Speaker, bytes]] = {
    "two ids under one index": (CHAT, piece(0, "a", name="search", arguments="{}")
                                + piece(0, "b", name="shell", arguments="{}") + END),
    "a name in pieces of two ids": (CHAT, piece(0, "a", name="sh", arguments='{"cmd"')
                                    + piece(0, "b", name="ell", arguments=': "x"}') + END),
    "a name in pieces": (CHAT, piece(0, "a", name="sh", arguments="") + piece(0, name="ell")
                         + piece(0, arguments="{}") + END),
    "the first name counts": (CHAT, piece(0, name="shell", arguments="")
                              + piece(0, name="_safe", arguments="{}") + END),
    "the last name counts": (CHAT, piece(0, name="x_", arguments="")
                             + piece(0, name="shell", arguments="{}") + END),
    "function beside custom": (CHAT, chunk({"tool_calls": [{
        "index": 0, "function": {"name": "search", "arguments": "{}"},
        "custom": {"name": "shell", "input": "x"}}]}) + END),
    "index as a float": (CHAT, piece(0, name="sh", arguments="{") + piece(0.0, name="ell",
                         arguments="}") + END),
    "index as a text": (CHAT, piece(0, name="sh", arguments="{") + piece("0", name="ell",
                        arguments="}") + END),
    "index as true": (CHAT, piece(1, name="sh", arguments="{") + piece(True, name="ell",
                      arguments="}") + END),
    "choice as a text": (CHAT, chunk({"tool_calls": [{"index": 0, "function": {"name": "sh"}}]})
                         + chunk({"tool_calls": [{"index": 0, "function": {"name": "ell"}}]},
                                 index="0") + END),
    "another choice than was asked for": (CHAT, chunk({"tool_calls": [{
        "index": 0, "function": {"name": "sh", "arguments": ""}}]}) + chunk({"tool_calls": [{
            "index": 0, "function": {"name": "ell", "arguments": "{}"}}]}, index=1) + END),
    "a message in an event": (CHAT, sse({"choices": [{"index": 0, "message": {"tool_calls": [{
        "index": 0, "function": {"name": "shell", "arguments": "{}"}}]}}]}) + END),
    "a message in pieces": (CHAT, b"".join(sse({"choices": [{"index": 0, "message": {
        "tool_calls": [{"index": 0, "function": {"name": one, "arguments": ""}}]}}]})
        for one in ("sh", "ell")) + END),
    "calls as an object": (CHAT, chunk({"tool_calls": {"index": 0, "function": {
        "name": "shell", "arguments": "{}"}}}) + END),
    "tool_use in a chat": (CHAT, chunk({"content": [{
        "type": "tool_use", "name": "shell", "input": {}}]}) + END),
    "another kind of call in a chat": (CHAT, chunk({"tool_calls": [{
        "index": 0, "type": "mcp", "mcp": {"name": "shell", "arguments": "{}"}}]}) + END),
    "a call beside the choices": (CHAT, sse({"choices": [], "function_call": {
        "name": "shell"}}) + END),
    "an old call": (CHAT, chunk({"function_call": {"name": "sh", "arguments": ""}})
                    + chunk({"function_call": {"name": "ell", "arguments": "{}"}}) + END),
    "an item of a kind to come": (RESPONSES, item("added", type="future_call", id="i",
                                                  name="shell", arguments="")),
    "an item of a kind to come, complete": (RESPONSES, item("done", type="future_call", id="i",
                                                            name="shell", args={"a": "b"})),
    "an item without a kind": (RESPONSES, item("done", id="i", name="shell", arguments="{}")),
    "a call beside the item": (RESPONSES, sse({"type": "response.future", "call": {
        "name": "shell"}})),
    "one item in two places": (RESPONSES, item("added", 1, type="function_call", id="i",
                                               name="sh", arguments="")
                               + item("done", 2, type="function_call", id="i", name="ell",
                                      arguments="{}")),
    "place as a text": (RESPONSES, item("added", "1", type="function_call", id="i", name="sh",
                                        arguments="") + item("done", 1, type="function_call",
                                                             id="i", name="ell", arguments="{}")),
    "a block of a kind to come": (ANTHROPIC, block(0, type="future_tool", name="shell")
                                  + more(0, "{}") + stop(0)),
    "a block that begins twice": (ANTHROPIC, block(0, type="tool_use", id="a", name="search",
                                                   input={}) + block(0, type="tool_use", id="b",
                                                                     name="shell", input={})
                                  + more(0, "{}") + stop(0)),
    "a block in the message's start": (ANTHROPIC, sse({"type": "message_start", "message": {
        "content": [{"type": "tool_use", "id": "a", "name": "shell", "input": {}}]}},
        "message_start") + more(0, "{}") + stop(0)),
    "a block's place as a text": (ANTHROPIC, block("0", type="tool_use", id="a", name="shell",
                                                   input={}) + more(0, "{}") + stop(0)),
    "a call in an unknown event": (ANTHROPIC, sse({"type": "future", "tool_use": {
        "name": "shell", "input": {}}}, "future")),
    "a call in parts": (GEMINI, candidate({"functionCall": {"name": "shell", "willContinue": True}})
                        + candidate({"functionCall": {}})),
    "a name in parts": (GEMINI, candidate({"functionCall": {"name": "sh", "willContinue": True}})
                        + candidate({"functionCall": {"name": "ell"}})),
    "a call under another name": (GEMINI, candidate({"toolCall": {"name": "shell", "args": {}}})),
    "parts that are no list": (GEMINI, sse({"candidates": [{"index": 0, "content": {"parts": {
        "functionCall": {"name": "shell", "args": {}}}}}]})),
    "calls outside of the message": (OLLAMA, line({"role": "assistant", "content": ""}, tool_calls=[
        {"function": {"name": "shell", "arguments": {}}}])),
    "calls that are no list": (OLLAMA, line({"role": "assistant", "content": "", "tool_calls": {
        "function": {"name": "shell", "arguments": {}}}})),
}  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
def test_no_call_is_hidden_from_the_policy(name: str) -> None:
    speaker, body = HIDDEN[name]
    for chain in (DENY, ALLOW):
        done = said_by(speaker, body, chain)
        assert done.refusal is not None, done.out
        for piece_of in (b'"shell"', b'"sh"', b'"ell"'):
            assert piece_of not in done.out
        assert speaker.heard(done.out).error
        record = done.exchange.record
        assert record.verdict == "block"
    assert said_by(speaker, body, chain_of({"filter": "tools", "deny": ["shell"]}, observe=True)
                   ).out == body  # fmt: skip


def test_control_without_these_looks_most_of_them_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "looks_like_call", lambda *_: None)
    passed = {
        name for name, (speaker, body) in HIDDEN.items() if b"shell" in said_by(speaker, body).out
    }
    assert {"a message in an event", "tool_use in a chat", "calls as an object",
            "a call beside the item", "a call in an unknown event"} <= passed  # fmt: skip


def wholes() -> Iterator[tuple[str, Speaker, Any]]:
    def message(**fields: Any) -> Any:
        return {"choices": [{"index": 0, "message": {"role": "assistant", **fields}}]}

    yield (
        "tool_use in a chat",
        CHAT,
        message(content=[{"type": "tool_use", "name": "shell", "input": {}}]),
    )
    yield "function beside custom", CHAT, message(tool_calls=[{
        "function": {"name": "search", "arguments": "{}"},
        "custom": {"name": "shell", "input": "x"}}])  # fmt: skip
    yield (
        "another kind",
        CHAT,
        message(tool_calls=[{"type": "mcp", "mcp": {"name": "shell", "arguments": "{}"}}]),
    )
    yield "an object", CHAT, message(tool_calls={"function": {"name": "shell"}})
    yield "a delta", CHAT, {"choices": [{"index": 0, "delta": {"tool_calls": [
        {"index": 0, "function": {"name": "shell", "arguments": "{}"}}]}}]}  # fmt: skip
    yield "to come", RESPONSES, {"output": [
        {"type": "future_call", "name": "shell", "arguments": "{}"}]}  # fmt: skip
    yield "to come, in another field", RESPONSES, {"output": [
        {"type": "future_call", "name": "shell", "what": {}}]}  # fmt: skip
    yield "elsewhere", RESPONSES, {"output": [], "calls": [{"name": "shell", "args": {}}]}
    yield "to come", ANTHROPIC, {"type": "message", "content": [
        {"type": "future_tool_use", "name": "shell", "input": {}}]}  # fmt: skip
    yield "parts no list", GEMINI, {"candidates": [{"content": {"parts": {
        "functionCall": {"name": "shell", "args": {}}}}}]}  # fmt: skip
    yield "another name", GEMINI, {"candidates": [{"content": {"parts": [
        {"tool_call": {"name": "shell"}}]}}]}  # fmt: skip
    yield "elsewhere", OLLAMA, {"message": {"role": "assistant"}, "tool_calls": [
        {"function": {"name": "shell", "arguments": {}}}]}  # fmt: skip


@pytest.mark.parametrize(("name", "speaker", "body"), [*wholes()])
def test_no_call_is_hidden_in_a_whole_answer(name: str, speaker: Speaker, body: Any) -> None:
    for chain in (DENY, ALLOW):
        done = said_by(speaker, compact(body), chain, whole=True)
        assert done.out == b""
        assert done.refusal is not None
        assert "is not allowed" in done.refusal.reason


def test_arguments_in_parts_are_judged_as_one() -> None:
    def part(path: str, value: Any, **more: Any) -> bytes:
        call = {"partialArgs": [{"jsonPath": path, **value}], "willContinue": True, **more}
        return candidate({"functionCall": call})

    start = candidate({"functionCall": {"name": "search", "willContinue": True}})
    bad = (
        start
        + part("$.a[0].cmd", {"stringValue": "rm -r"})
        + part("$.a[0].cmd", {"stringValue": "f /"})
    )
    for end in (candidate({"functionCall": {}}), b""):
        done = said_by(GEMINI, bad + end, ARGUED)
        assert done.refusal is not None
        assert b"rm -r" not in done.out
    good = start + part("$.a", {"stringValue": "ls"}) + part("$.n", {"numberValue": 3})
    good += candidate({"functionCall": {}})
    done = said_by(GEMINI, good, ARGUED)
    assert (done.out, done.refusal) == (good, None)
    odd = start + part("$..a", {"stringValue": "x"})
    assert said_by(GEMINI, odd, ARGUED).refusal is not None
    secret = chain_of({"filter": "secrets", "mode": "remove"})
    halves = start + part("$.a", {"stringValue": "AKIAQ7TR2M"})
    halves += part("$.a", {"stringValue": "XL5ZB3NC4D"}) + candidate({"functionCall": {}})
    done = said_by(GEMINI, halves, secret)
    assert done.refusal is not None
    assert b"AKIA" not in done.out


def test_calls_side_by_side_go_on() -> None:
    """What real servers do: an index each, or one index and an id each, or all in one piece."""
    one, two = {"cmd": "a"}, {"cmd": "b"}
    for body in (
        piece(0, "a", name="search", arguments=json.dumps(one))
        + piece(1, "b", name="get_x", arguments=json.dumps(two)) + END,
        piece(0, "a", name="search", arguments=json.dumps(one))
        + piece(0, "b", name="search", arguments=json.dumps(two)) + END,
        piece(0, "a", name="search", arguments="") + piece(0, "a", name="search",
                                                           arguments=json.dumps(one)) + END,
        chunk({"tool_calls": [{"id": "a", "function": {"name": "search", "arguments": "{}"}},
                              {"id": "b", "function": {"name": "get_x", "arguments": "{}"}}]})
        + END,
    ):  # fmt: skip
        done = said_by(CHAT, body, ALLOW)
        assert (done.out, done.refusal) == (body, None)


def test_a_kind_of_call_to_come_is_judged_as_a_call() -> None:
    events = item("added", type="future_call", id="i", name="search", arguments="")
    deltas = [sse({"type": "response.future_call_stuff.delta", "item_id": "i", "output_index": 1,
                   "delta": one}) for one in ('{"cmd": "rm -r', 'f /"}')]  # fmt: skip
    done = item("done", type="future_call", id="i", name="search", arguments='{"cmd": "ls"}')
    found = said_by(RESPONSES, events + b"".join(deltas) + done, ARGUED)
    assert found.refusal is not None
    assert b"rm -r" not in found.out
    fine = events + deltas[0].replace(b"rm -r", b"l") + deltas[1].replace(b"f /", b"s") + done
    found = said_by(RESPONSES, fine, ARGUED)
    assert (found.out, found.refusal) == (fine, None)


def test_what_a_provider_runs_itself_is_no_call() -> None:
    events = item("added", type="web_search_call", id="w", status="in_progress")
    events += item("done", type="web_search_call", id="w", status="completed", action={
        "type": "search", "query": "weather"})  # fmt: skip
    tool = {"type": "function", "name": "shell", "parameters": {"type": "object"}}
    events = sse({"type": "response.created", "response": {"output": [], "tools": [tool],
                  "tool_choice": {"type": "function", "name": "shell"}}}) + events  # fmt: skip
    done = said_by(RESPONSES, events, ALLOW)
    assert (done.out, done.refusal) == (events, None)
