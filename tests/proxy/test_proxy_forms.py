"""Lines that end in three ways, heads that lie about the body, and documents without a bottom."""

from __future__ import annotations

import asyncio
import json
import random
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tavo.proxy.config import Audit
from tavo.proxy.stream import framing
from tests.fakes.any_reader import heard_anyhow
from tests.fakes.dialect_traffic import SPEAKERS, Speaker
from tests.fakes.scripted_upstream import answer, saying, staged
from tests.proxy.driving import Done, answered, asked, chain_of, cut

IDS = [one.name for one in SPEAKERS]
CHAT, RESPONSES, ANTHROPIC, GEMINI, ARRAY, OLLAMA, MCP = SPEAKERS
SECRET = "AKIAQ7TR2MXL5ZB3NC4D"
STRICT = chain_of({"filter": "secrets", "mode": "remove"}, {"filter": "tools", "deny": ["shell"]})
WORDS = chain_of({"filter": "content", "rules": [{"id": "c", "words": ["project falcon"]}]})
CHUNK = '{"choices":[{"index":0,"delta":%s,"finish_reason":null}]}'


def leaks(out: bytes) -> bool:
    heard = heard_anyhow(out)
    return any(SECRET in one or one == "shell" for one in heard)


def said_by(speaker: Speaker, body: bytes, chain: Any = STRICT, size: int = 70) -> Done:
    done = asked(chain, speaker, speaker.request("hi"))
    return answered(done, speaker, cut(body, [size] * len(body)))


# -- ends of lines

STREAMS = [one for one in SPEAKERS if one.content_type == CHAT.content_type]


@pytest.mark.parametrize("speaker", STREAMS, ids=[one.name for one in STREAMS])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_however_lines_end_the_same_is_heard(speaker: Speaker, end: bytes) -> None:
    data = b"".join(speaker.stream([(0, f"see {SECRET[:9]}"), (0, f"{SECRET[9:]} ok")], None, 4))
    data = data.replace(b"\r\n", b"\n").replace(b"\n", end)
    for size in (1, 3, 1000):
        done = said_by(speaker, data, size=size)
        assert done.refusal is None
        assert not leaks(done.out)
        plain = done.out.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        assert speaker.heard(plain).texts == {0: "see [AWS_KEY_ID removed] ok"}


FINE = (CHUNK % '{"content":"hello"}').encode()
SHELL = (
    CHUNK % '{"tool_calls":[{"index":0,"function":{"name":"shell","arguments":"{}"}}]}'
).encode()
BREAKS = [b"\r", b"\v", b"\f", b"\x1c", b"\x1d", b"\x1e", b"\x85", b"\xc2\x85", b"\xe2\x80\xa8",
          b"\xe2\x80\xa9", b"\r\r", b"\n\r", b"\0"]  # fmt: skip


@pytest.mark.parametrize("sign", BREAKS)
def test_what_only_some_take_for_the_end_of_a_line_hides_nothing(sign: bytes) -> None:
    hiding = [
        b"data: %s%sdata: %s\n\n" % (FINE, sign, SHELL),
        b": note%sdata: %s\n\n" % (sign, SHELL),
        b"id: 1%sdata: %s\ndata: %s\n\n" % (sign, SHELL, FINE),
        b"event: x%sdata: %s%s%s\n\n" % (sign, SHELL, sign, sign),
        b"data: [DONE]%sdata: %s\n\n" % (sign, SHELL),
        b'data: {"a":%s%s%sdata: %s\n\n' % (sign, sign, FINE, SHELL),
        b"%sdata: %s\n\n" % (sign, SHELL),
        b"data: %s\n%s\ndata: %s\n\n" % (FINE, sign, SHELL),
    ]
    for body in hiding:
        for size in (1, 1000):
            out = said_by(CHAT, body, size=size).out
            assert not leaks(out), (body, out)
    for body in (b'{"x":%s%s%s}\n' % (sign, SHELL, sign), b"{}%s%s\n" % (sign, SHELL)):
        assert not leaks(said_by(OLLAMA, body).out)


def test_any_mixture_of_signs_lets_no_reader_hear_more() -> None:
    dice = random.Random(4)
    signs = [b"data: ", b"data:", b"data", FINE, SHELL, b"\n", b"\n", b"\r", b"\r\n", b"\n\n", b" ",
             b"event: x", b": ", b"[DONE]", b"\xe2\x80\xa8", b"\xc2\x85", b"\x0c", b"\xef\xbb\xbf",
             b"id: ", b"{", b"}", b'"', b",", b'"a":', b"[", b"]"]  # fmt: skip
    for _ in range(400):
        body = b"".join(dice.choice(signs) for _ in range(dice.randrange(3, 14)))
        whole = said_by(CHAT, body, size=4000)
        assert not leaks(whole.out), body
        pieces = said_by(CHAT, body, size=dice.choice((1, 2, 5)))
        assert pieces.out == whole.out, body
        assert not leaks(said_by(OLLAMA, body).out), body


def test_control_lines_that_end_only_with_lf_hide_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"data: %s\n: note\xe2\x80\xa8data: %s\n\n" % (FINE, SHELL)
    assert not leaks(said_by(CHAT, body).out)
    monkeypatch.setattr(framing, "_BREAK_IN_NOTE", framing.re.compile(rb"\n"))
    assert leaks(said_by(CHAT, body).out)


# -- heads that lie

KINDS = [b"", b"application/json", b"text/event-stream", b"application/x-ndjson", b"text/plain",
         b"application/octet-stream", b"TEXT/EVENT-STREAM; charset=utf-16"]  # fmt: skip


def bodies() -> dict[str, bytes]:
    """Return answers in which a secret is cut and a call is hidden, in all forms."""
    found = {}
    for one in SPEAKERS:
        call = ("shell", '{"a": "b"}') if one.has_calls else None
        halves = [(0, f"see {SECRET[:9]}"), (0, f"{SECRET[9:]} ok")]
        found[f"{one.name}, stream"] = b"".join(one.stream(halves, None, 4))
        found[f"{one.name}, call"] = b"".join(one.stream([(0, "x")], call, 4))
        found[f"{one.name}, whole"] = one.whole([f"see {SECRET} ok"], None)
        found[f"{one.name}, a list"] = b"[%s,%s]" % (
            one.whole([halves[0][1]], None), one.whole([halves[1][1]], None))  # fmt: skip
        found[f"{one.name}, a list with calls"] = b"[%s]" % one.whole(["x"], call)
        found[f"{one.name}, no data"] = found[f"{one.name}, call"].replace(b"data: ", b"")
    return found


@pytest.mark.parametrize("speaker", SPEAKERS, ids=IDS)
def test_a_head_that_lies_about_its_body_lets_nothing_out(speaker: Speaker) -> None:
    tried = 0
    for kind, (name, body), status in product(KINDS, bodies().items(), (200, 400)):
        for stream in (True, False):
            path = speaker.path if stream else speaker.whole_path
            for query in {speaker.query, b"", b"alt=sse&alt=json"}:
                if query != speaker.query and speaker not in (GEMINI, ARRAY):
                    continue
                done = asked(STRICT, speaker, speaker.request("hi", stream=stream), path=path,
                             query=query)  # fmt: skip
                headers = [(b"content-type", kind)] if kind else []
                out = played(done, body, status, headers)
                tried += 1
                is_call = "call" in name or "no data" in name
                if not out or (is_call and (status >= 400 or speaker is MCP)):
                    continue  # clients read an error there, or nothing, and no call
                assert not leaks(out), (kind, name, status, out)
    assert tried > 800


def played(done: Done, body: bytes, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    from tavo.proxy.messages import Mode, Refusal

    exchange = done.exchange
    head = exchange.response_head(status, headers)
    if isinstance(head, Refusal):
        return b""
    assert head.mode in (Mode.STREAM, Mode.WHOLE)
    out: list[bytes] = []
    for one in cut(body, [50] * len(body)):
        found = exchange.response_data(one)
        assert not hasattr(found, "run")
        out += found  # type: ignore[arg-type]
        if exchange.blocked:
            return b"".join(out)
    found = exchange.response_end()
    return b"".join([*out, *found])  # type: ignore[misc]


def test_an_encoding_in_which_a_text_says_something_else_is_refused() -> None:
    """In UTF-7, +AEA- is an at sign: a filter sees no address, who believes the head does."""
    hidden = b'{"choices":[{"index":0,"message":{"content":"bob+AEA-corp.test"}}]}'
    chain = chain_of({"filter": "pii", "answers": True})
    for kind, ok in (("utf-7", False), ("UTF-16", False), ('"cp037"', False), ("utf-8", True),
                     ("UTF8 ", True), ("iso-8859-1", True)):  # fmt: skip
        headers = [(b"content-type", f"application/json; charset={kind}".encode())]
        done = asked(chain, CHAT, CHAT.request("hi", stream=False))
        out = played(done, hidden, 200, headers)
        assert (out == hidden) == ok
        refusal = asked(chain, CHAT, hidden, headers=headers).refusal
        assert (refusal is None) == ok
        if refusal is not None:
            assert refusal.status == 415
            assert "only UTF-8 can be judged" in CHAT.heard_whole(refusal.body).error


# -- documents without a bottom


def nested(depth: int, inner: str = "1", form: str = "list") -> str:
    opening, closing = ("[", "]") if form == "list" else ('{"a":', "}")
    return opening * depth + inner + closing * depth


DEPTHS = (70, 900, 4000, 200_000)


@pytest.mark.parametrize("speaker", SPEAKERS, ids=IDS)
@pytest.mark.parametrize("form", ["list", "object"])
def test_what_is_nested_without_end_is_refused_in_the_words_of_the_dialect(
    speaker: Speaker, form: str
) -> None:
    for depth in DEPTHS:
        deep = nested(depth, form=form)
        done = asked(STRICT, speaker, b'{"messages":%s}' % deep.encode())
        assert done.refusal is not None
        assert done.refusal.status == (200 if speaker is MCP and depth < 0 else 400)
        json.loads(done.refusal.body)
        document = json.loads(speaker.whole(["hello"], None))
        for body in (
            json.dumps({**document, "x": "DEEP"}).replace('"DEEP"', deep).encode(),
            deep.encode(),
        ):
            done = asked(STRICT, speaker, speaker.request("hi", stream=False),
                         path=speaker.whole_path)  # fmt: skip
            answered(done, speaker, [body], whole=True)
            assert done.out == b""
            assert done.refusal is not None
            assert done.refusal.code == "tavo_unreadable"
            assert speaker.heard_whole(done.refusal.body).error
        events = speaker.stream([(0, "hello")], None, 4)
        number = next(n for n, event in enumerate(events) if b"hello" in event)
        events[number] = events[number].replace(b'"hello"', deep.encode())
        done = answered(asked(STRICT, speaker, speaker.request("hi")), speaker, events)
        assert done.refusal is not None
        assert speaker.heard(done.out).error


CALLED = [one for one in SPEAKERS if one.has_calls]


@pytest.mark.parametrize("speaker", CALLED, ids=[one.name for one in CALLED])
def test_arguments_that_are_nested_without_end_are_refused(speaker: Speaker) -> None:
    for depth in DEPTHS:
        deep = nested(depth, form="object")
        for whole in (False, True):
            if whole:
                pieces = [speaker.whole(["x"], ("search", '{"a": "DEEP"}'))]
            else:
                pieces = speaker.stream([(0, "x")], ("search", '{"a": "DEEP"}'), 99)
            escaped = deep.replace('"', '\\"').encode()
            pieces = [one.replace(b'\\"DEEP\\"', escaped).replace(b'"DEEP"', deep.encode())
                      for one in pieces]  # fmt: skip
            path = speaker.whole_path if whole else b""
            done = asked(STRICT, speaker, speaker.request("hi", stream=not whole), path=path)
            answered(done, speaker, pieces, whole=whole)
            assert done.refusal is not None
            assert b'"a":' * 40 not in done.out
            assert b'\\"a\\":' * 40 not in done.out
            said = done.out if not whole else done.refusal.body
            error = speaker.heard_whole(said) if whole else speaker.heard(said)
            assert error.error


def test_a_deep_answer_leaves_its_row_in_the_audit_log(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    deep = b'{"choices":[{"index":0,"message":{"content":"x","tool_calls":[{"function":{"name":"f",'
    deep += b'"arguments":%s}}]}}]}' % nested(3000).encode()

    async def main() -> tuple[int, dict[bytes, bytes], bytes]:
        async with staged(
            saying(answer(deep)), filters=[{"filter": "secrets"}], audit=Audit(file=str(log))
        ) as stage:
            got = await stage.ask()
            assert stage.app.wire.defects == 0
            return got

    status, fields, body = asyncio.run(main())
    assert status == 502
    assert CHAT.heard_whole(body).error
    rows = [json.loads(row) for row in log.read_text("utf-8").splitlines()]
    mine = [row for row in rows if fields[b"x-tavo-request-id"].decode() in json.dumps(row)]
    assert mine
    assert any(row.get("verdict") == "block" for row in mine), mine
