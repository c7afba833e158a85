"""Answers that two readers could read in two ways, and errors of upstreams that are no JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tavo.llm.dialect import Parts
from tavo.proxy import answering as answering_module
from tavo.proxy.stream import flow as flow_module
from tavo.proxy.stream.channels import PATIENCE
from tests.fakes.dialect_traffic import SPEAKERS, Speaker, compact
from tests.proxy.driving import Done, answered, asked, chain_of, cut, resumed

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
    monkeypatch.setattr(answering_module, "read_document", json.loads)
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
    for status in (404, 429, 502):
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


# -- texts of a piece that no dialect knows


def growing(*names: str | int, pieces: list[str]) -> list[bytes]:
    """Return events in which a text stands at a path of the delta; a number is a list around."""
    out = []
    for piece in pieces:
        value: Any = piece
        for name in reversed(names):
            value = [value] if isinstance(name, int) else {"type": "text", name: value}
        out.append(b"data: " + chunk(compact(value)) + b"\n\n")
    return out


def grown(out: bytes, names: tuple[str | int, ...]) -> str:
    """Put together what a client finds at that path."""
    said = ""
    for event in out.split(b"\n\n"):
        if b'"delta"' in event:
            value = json.loads(event.removeprefix(b"data: "))["choices"][0]["delta"]
            if names[0] in value:
                for name in names:
                    value = value[name]
                said += value
    return said


PATHS: list[tuple[str | int, ...]] = [
    ("foo_text",), ("content", 0), ("content", 0, "text"), ("reasoning_details", 0, "text"),
    ("content", 0, "thinking", 0, "text"), ("audio", "transcript"), ("a name with blanks",),
]  # fmt: skip
WORDS = chain_of({"filter": "content", "rules": [{"id": "c", "words": ["project falcon"]}]})


@pytest.mark.parametrize("names", PATHS, ids=lambda names: ".".join(map(str, names)))
@pytest.mark.parametrize("size", [1, 5, 9])
def test_a_text_of_an_unknown_name_is_held_while_it_grows(
    names: tuple[str | int, ...], size: int
) -> None:
    text = f"see {SECRET} and project falcon there"
    events = growing(*names, pieces=[text[at : at + size] for at in range(0, len(text), size)])
    events += [b"data: " + chunk(b"{}").replace(b"null", b'"stop"') + b"\n\n", b"data: [DONE]\n\n"]
    done = answered(asked(STRICT, CHAT, CHAT.request("hi")), CHAT, events)
    assert done.refusal is None
    said = grown(done.out, names)
    assert said.startswith("see [")
    assert said.endswith(" and project falcon there")
    assert SECRET[:5] not in said
    done = answered(asked(WORDS, CHAT, CHAT.request("hi")), CHAT, events)
    assert done.refusal is not None
    assert text.startswith(grown(done.out, names))
    assert "p" not in grown(done.out, names)


def test_control_a_text_of_an_unknown_name_that_is_not_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = growing("foo_text", pieces=["see AKIAQ7TR2M", "XL5ZB3NC4D there"])
    assert b"AKIA" not in said_by(CHAT, b"".join(events)).out
    monkeypatch.setattr(Parts, "grown", lambda *_: None)
    assert b"AKIAQ7TR2M" in said_by(CHAT, b"".join(events)).out


def test_a_text_that_is_let_go_is_judged_as_complete() -> None:
    events = growing("context", "chunk_id", pieces=[f"key {SECRET}"])
    events += [b"data: " + chunk(b'{"content":"a word, "}') + b"\n\n" for _ in range(20)]
    events += growing("context", "chunk_id", pieces=[" and more", " of it"]) + events[1:12]
    done = answered(asked(STRICT, CHAT, CHAT.request("hi")), CHAT, events)
    assert done.refusal is None
    assert SECRET.encode() not in done.out
    assert grown(done.out, ("context", "chunk_id")) == "key [AWS_KEY_ID removed] and more of it"


def test_a_text_that_does_not_go_on_does_not_hold_the_stream_to_its_end() -> None:
    first = growing("context", "chunk_id", pieces=["AKIAQ7"])
    others = [b"data: " + chunk(b'{"content":"a word, "}') + b"\n\n" for _ in range(20)]
    done = asked(STRICT, CHAT, CHAT.request("hi"))
    exchange = done.exchange
    exchange.response_head(200, [(b"content-type", CHAT.content_type)])
    out = [resumed(exchange, exchange.response_data(event)) for event in first + others]
    assert not any(out[:PATIENCE])
    assert b"".join(b"".join(one) for one in out).startswith(b"".join(first + others[:15]))
    again = growing("context", "chunk_id", pieces=["TR2MXL5ZB3NC4D there"])
    said = b"".join(resumed(exchange, exchange.response_data(again[0])))
    assert b"TR2M" not in said
    assert exchange.blocked is not None
    assert "began in a text that was taken for complete" in CHAT.heard(said).error


# -- heads


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (307, [(b"location", b"https://elsewhere.example/v1/chat/completions")]),
        (301, []),
        (300, []),
        (200, [(b"content-encoding", b"gzip"), (b"content-encoding", b"identity")]),
        (200, [(b"content-type", b"text/event-stream")]),
    ],
)
def test_an_answer_that_leads_elsewhere_or_has_two_kinds_is_refused(
    status: int, headers: list[tuple[bytes, bytes]]
) -> None:
    body = [whole(b'{"content":"hello"}')]
    done = answered(
        asked(STRICT, CHAT, CHAT.request("hi")), CHAT, body, whole=True, status=status,
        headers=headers,
    )  # fmt: skip
    assert done.refusal is not None
    assert done.refusal.status == 502
    watched = answered(
        asked(WATCHED, CHAT, CHAT.request("hi")), CHAT, body, whole=True, status=status,
        headers=headers,
    )  # fmt: skip
    assert watched.out == body[0], "the control: an operator who watches sees it pass"


def test_a_status_whose_body_clients_read_is_judged() -> None:
    done = answered(
        asked(STRICT, CHAT, CHAT.request("hi")), CHAT, [whole(SHELL)], whole=True, status=205
    )
    assert done.refusal is not None
