"""Answers that two readers could read in two ways, and errors of upstreams that are no JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tavo.proxy import exchange as exchange_module
from tavo.proxy.stream import flow as flow_module
from tests.fakes.dialect_traffic import SPEAKERS, Speaker, compact
from tests.proxy.driving import Done, answered, asked, chain_of, cut

IDS = [one.name for one in SPEAKERS]
CHAT, RESPONSES, ANTHROPIC, GEMINI, ARRAY, OLLAMA, MCP = SPEAKERS
SECRET = "AKIAQ7TR2MXL5ZB3NC4D"
STRICT = chain_of(
    {"filter": "secrets", "mode": "remove"},
    {"filter": "pii", "answers": True},
    {"filter": "tools", "deny": ["shell"]},
)
WATCHED = chain_of({"filter": "secrets"}, {"filter": "tools", "deny": ["shell"]}, observe=True)

BOM = b"\xef\xbb\xbf"
CALL = (
    b'{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"c","type":"function",'
    b'"function":{%s,"arguments":"{}"}}]}'
)
TWICE = CALL % b'"name":"shell","name":"search"'
SHELL = CALL % b'"name":"shell"'


def whole(message: bytes) -> bytes:
    return b'{"choices":[{"index":0,"message":%s,"finish_reason":"stop"}]}' % message


def chunk(delta: bytes) -> bytes:
    return b'{"choices":[{"index":0,"delta":%s,"finish_reason":null}]}' % delta


WHOLE = {
    "mark": BOM + whole(SHELL),
    "mark, escaped": BOM + whole(b'{"content":"write to bob\\u0040corp.example.com"}'),
    "a tool's name twice": whole(TWICE),
    "a text twice": whole(b'{"content":"bob\\u0040corp.example.com","content":"hello"}'),
    "choices twice": whole(SHELL)[:-1] + b',"choices":[]}',
    "cut": whole(SHELL)[:-3],
    "two documents": whole(SHELL) + whole(b'{"content":"hello"}'),
    "another encoding": whole(SHELL).decode().encode("utf-16"),
    "another encoding, no mark": whole(SHELL).decode().encode("utf-16-le"),
    "too deep": b'{"choices":' + b"[" * 70 + b"]" * 70 + b"}",
    "events": b"data: " + chunk(SHELL) + b"\n\n",
}
EVENTS = {
    "mark": b"data: " + BOM + chunk(SHELL) + b"\n\n",
    "a tool's name twice": b"data: " + chunk(TWICE) + b"\n\n",
    "a text twice": b'data: {"choices":[{"delta":{"content":"\\u0041","content":"b"}}]}\n\n',
    "choices twice": b"data: " + chunk(SHELL)[:-1] + b',"choices":[]}\n\n',
    "broken": b"data: " + chunk(SHELL)[:-1] + b",}\n\n",
    "cut": b"data: " + chunk(SHELL)[:-3],
    "two in one": b"data: " + chunk(SHELL) + b"\ndata: " + chunk(b"{}") + b"\n\n",
    "a word": b"data: what is this\n\n",
    "no event at all": whole(SHELL),
    "no event at all, in lines": json.dumps(json.loads(whole(SHELL)), indent=1).encode() + b"\n",
    "after the end": b"data: [DONE]" + chunk(SHELL) + b"\n\n",
}


def said_by(speaker: Speaker, body: bytes, **options: Any) -> Done:
    done = asked(options.pop("chain", STRICT), speaker, speaker.request("hi"))
    return answered(done, speaker, cut(body, [70] * len(body)), **options)


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_with_two_readings_is_refused(name: str) -> None:
    done = said_by(CHAT, WHOLE[name], whole=True)
    assert done.out == b""
    assert done.refusal is not None
    assert (done.refusal.status, done.refusal.code) == (502, "tavo_unreadable")
    error = CHAT.heard_whole(done.refusal.body).error
    assert error.startswith("the answer cannot be judged: ")
    assert said_by(CHAT, WHOLE[name], whole=True, chain=WATCHED).out == WHOLE[name]


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_with_two_readings_ends_the_stream(name: str) -> None:
    first = b"data: " + chunk(b'{"content":"hello there. "}') + b"\n\n"
    done = said_by(CHAT, first + EVENTS[name])
    assert done.refusal is not None
    assert done.refusal.code == "tavo_unreadable"
    assert b"shell" not in done.out
    assert done.out.endswith(b"data: [DONE]\n\n")
    assert CHAT.heard(done.out).error.startswith("an event of the answer cannot be judged: ")
    body = first + EVENTS[name]
    assert said_by(CHAT, body, chain=WATCHED).out == body


@pytest.mark.parametrize("speaker", SPEAKERS, ids=IDS)
@pytest.mark.parametrize("as_whole", [False, True], ids=["stream", "whole"])
def test_all_dialects_say_so_in_their_words(speaker: Speaker, as_whole: bool) -> None:
    body = b'{"a":"\\u0041","a":"b"}'
    if not as_whole:
        body = {CHAT.content_type: b"data: %s\n\n", OLLAMA.content_type: b"%s\n"}.get(
            speaker.content_type, b"[%s]"
        ) % body  # fmt: skip
    done = said_by(speaker, body, whole=as_whole and speaker is not ARRAY)
    assert done.refusal is not None
    assert done.refusal.code == "tavo_unreadable"
    assert b'"a"' not in done.out
    heard = speaker.heard_whole if as_whole and speaker is not ARRAY else speaker.heard
    error = heard(done.out or done.refusal.body).error
    assert "the name 'a' stands twice in one object" in error


def test_what_says_nothing_goes_on() -> None:
    fine = (
        b": a comment\n\nretry: 5\n\nid: 1\ndata: \n\nevent: ping\n\n: {not: json}\n\ndata:\n\n\n"
        b'data: { "choices" : [] , "note": "\\u00e9" }\n\ndata: {}\n\ndata: [DONE] \n\n'
    )
    done = said_by(CHAT, fine)
    assert done.out == fine
    assert done.refusal is None


def test_control_without_one_reading_a_call_of_a_denied_tool_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body, event = WHOLE["a tool's name twice"], EVENTS["a tool's name twice"] + b"data: [DONE]\n\n"
    assert b"shell" not in said_by(CHAT, body, whole=True).out + said_by(CHAT, event).out
    monkeypatch.setattr(exchange_module, "_strict", json.loads)
    monkeypatch.setattr(flow_module, "_strictly", json.loads)
    assert b"shell" in said_by(CHAT, body, whole=True).out
    assert b"shell" in said_by(CHAT, event).out


# -- errors of the upstream that are no JSON


@pytest.mark.parametrize("speaker", SPEAKERS, ids=IDS)
@pytest.mark.parametrize("status", [401, 429, 502, 503])
@pytest.mark.parametrize("body", [
    f"<h1>Bad gateway</h1> {SECRET}".encode(), b'{"error":{"message":"bob\\u0040c.example"',
    BOM + b'{"error":{"message":"bob\\u0040corp.example.com"}}',
    '{"error": "bob@corp.example.com"}'.encode("utf-16"),
], ids=["html", "cut", "mark", "encoding"])  # fmt: skip
def test_an_error_that_cannot_pass_keeps_its_status(
    speaker: Speaker, status: int, body: bytes
) -> None:
    told = [(b"retry-after", b"3"), (b"www-authenticate", b"Bearer")]
    for kind in (b"text/html", b"application/octet-stream"):
        done = said_by(speaker, body, whole=True, status=status,
                       headers=[(b"content-type", kind), *told])  # fmt: skip
        assert done.out == b""
        assert done.refusal is not None
        assert (done.refusal.status, done.refusal.code) == (status, "tavo_unreadable")
        assert [pair for pair in done.refusal.headers if pair[0] != b"content-type"] == told
        assert f"the upstream answered {status}" in str(json.loads(done.refusal.body))


def test_an_error_in_plain_words_passes() -> None:
    for status in (302, 429, 502):
        body = "<h1>Überlast</h1> try again".encode()
        done = said_by(CHAT, body, whole=True, status=status)
        assert (done.out, done.refusal) == (body, None)
    assert said_by(CHAT, b"accepted", whole=True, status=202).refusal is not None
    assert said_by(MCP, b"Accepted", whole=True, status=202).out == b"Accepted"
    hostile = compact(json.loads(whole(SHELL)))[:-1]
    assert said_by(MCP, hostile, whole=True, status=202).refusal is not None


def test_an_error_that_claims_to_be_events_keeps_its_status() -> None:
    done = said_by(CHAT, b'{"error": {"message": "slow down"}}', status=429)
    assert done.refusal is not None
    assert (done.refusal.status, done.refusal.code) == (429, "tavo_unreadable")
