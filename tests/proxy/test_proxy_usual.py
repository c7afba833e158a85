"""The usual exchange in one go: whatever happens, it is what the general way makes of it."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httptools
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tavo.llm.known import operation_of
from tavo.llm.parts import Kind
from tavo.llm.usual import usual_answer, usual_request
from tavo.proxy import passing
from tavo.proxy.audit_chain import verify
from tavo.proxy.bodies import BodyError, read_document
from tavo.proxy.chain.chain import Chain
from tavo.proxy.chain.values import Where
from tavo.proxy.http import usual
from tavo.proxy.http.answers import Answers
from tavo.proxy.http.flow import Flow
from tavo.proxy.http.heads import Heads, Known, body_behind
from tavo.proxy.http.wire import Wire
from tavo.proxy.messages import RequestHead, Route
from tests.fakes.lines import Exchanged, Reloaded, Seen, played
from tests.proxy.driving import chain_of

PII = "write to jane.doe@example.com please"
KEY = "sk-proj-" + "aB3" * 16
TEXTS = ["hi", "", "a word\nand another", 'he said "hi"', "Grüße", "a\u200bb", PII, KEY, "x" * 700]


def _request(body: bytes, *more: bytes, version: bytes = b"1.1", key: bytes = b"") -> bytes:
    lines = [
        b"POST /v1/chat/completions HTTP/" + version, b"Host: proxy", b"User-Agent: test",
        b"Content-Type: application/json", b"Authorization: Bearer " + (key or b"a-virtual-key"),
        *more, b"Content-Length: %d" % len(body),
    ]  # fmt: skip
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _answer(body: bytes, *more: bytes, status: bytes = b"200 OK", version: bytes = b"1.1") -> bytes:
    lines = [b"HTTP/" + version + b" " + status, *more, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _asked(text: str = "hi", **more: Any) -> bytes:
    return json.dumps(
        {"model": "gpt-x", "messages": [{"role": "user", "content": text}], **more},
        ensure_ascii=False,
    ).encode()  # fmt: skip


def _said(text: str = "hello", **more: Any) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    document = {"id": "c-1", "object": "chat.completion", "created": 1, "model": "gpt-x",
                "choices": [choice], "usage": usage, **more}  # fmt: skip
    return json.dumps(document, ensure_ascii=False).encode()


JSON = b"Content-Type: application/json"
EVENTS = b"Content-Type: text/event-stream"
BODIES = [
    *(_asked(text) for text in TEXTS),
    _asked(temperature=0.5, n=1, max_tokens=5), _asked(n=2), _asked(stream=True),
    _asked(user="somebody"), _asked(seed=4111111111111111), _asked(Model="gpt-y"),
    _asked().replace(b'"model"', b'"model": "other", "model"'),
    _asked().replace(b'"role"', b'"content": "hidden", "role"'),
    _asked().replace(b"hi", b"h\\u0069"),
    _asked().replace(b'"hi"', b'[{"type":"text","text":"a"}]'),
    b"{}", b"[]", b"no JSON", b"\xef\xbb\xbf" + _asked(), b"\xff", b"", _asked() + b" {}",
    _asked(tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}]),
    _asked(temperature=1e300), _asked(model="a model of words"),
]  # fmt: skip
SAID = [
    *(_said(text) for text in TEXTS),
    _said().replace(b'"usage"', b'"usage": {"prompt_tokens": 1}, "usage"'),
    _said(choices=[]), _said(usage=None), _said(id="two words"), _said(error="what"),
    _said(created=4111111111111111), _said(system_fingerprint=PII), b"{}", b"[]", b"no JSON", b"",
    b" ", _said().replace(b"hello", b"h\\u0065llo"), _said("sk-the-upstreams-own"),
    _said().replace(b'"finish_reason"', b'"logprobs": {"content": []}, "finish_reason"'),
    _said().replace(b'"content"', b'"tool_calls": [{"type": "function", "function": {"name": "f",'
                    b' "arguments": "{}"}}], "content"'),
]  # fmt: skip
HEADS: list[list[bytes]] = [
    [JSON], [JSON, b"Date: now", b"Server: s"],
    [b"content-type: application/json; charset=utf-8"],
    [JSON, b"Connection: keep-alive"], [JSON, b"Connection: close"], [b"Content-Type: text/plain"],
    [JSON, b"Keep-Alive: timeout=5"], [JSON, JSON], [JSON, b"X-Tavo-Filter-Status: made up"],
    [JSON, b"X-Tavo-Request-Id: made up"], [JSON, b"Content-Encoding: gzip"], [],
    [JSON, b"X: sk-the-upstreams-own"], [JSON, b"X: \xc3\xa4"], [JSON, b"X:"], [JSON, b"X:  a  "],
    [JSON, b"Strict-Transport-Security: a", b"Alt-Svc: h3"], [JSON, b"Content-Length: 4"],
    [JSON, b"Transfer-Encoding: chunked"], [JSON, b" folded"], [JSON, b"X%s: 1%d"],
    [JSON, b"X\n: 1"],
    [JSON, b"Upgrade: x"], [JSON, b"Trailer: x"], [JSON, b"Date: now", b"Date: then"],
]  # fmt: skip
ASKING: list[list[bytes]] = [
    [], [b"Connection: keep-alive"], [b"Connection: close"], [b"Expect: 100-continue"],
    [b"X-Trace: 1"], [b"Content-Encoding: gzip"], [b"Transfer-Encoding: chunked"],
]  # fmt: skip

CONFIG: dict[str, Any] = {
    "proxy": 1, "listen": {"port": 1}, "prices": {"gpt-*": {"input": 2.5, "output": 10}},
    "upstreams": {"back": {"url": "http://127.0.0.1:9", "credential": {"env": "REAL"}}},
    "keys": {"team": {"env": "TEAM", "budget": {"requests_per_minute": 5, "cost_per_day": 1}}},
}  # fmt: skip
FREE = {**CONFIG, "keys": {"team": {"env": "TEAM"}}, "limits": {"head_bytes": 2000, "headers": 12}}
RULE = {"filter": "content", "rules": [{"id": "hi", "words": ["hi"]}]}
FILTERS = [{"filter": "pii"}, {"filter": "secrets"}]
CONFIGS: list[dict[str, Any]] = [
    CONFIG, FREE, {**FREE, "filters": FILTERS}, {**FREE, "filters": FILTERS, "observe": True},
    {**FREE, "filters": [{"filter": "secrets", "mode": "block"}]},
    {**FREE, "filters": [{"filter": "pii", "answers": True}, RULE]},
    {**FREE, "unknown_paths": "pass"},
]  # fmt: skip


def _in_general(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the shorter ways out: every head is parsed, every document is read with care."""
    monkeypatch.setattr(Heads, "find", lambda *_: (None, None, 0))
    monkeypatch.setattr(Answers, "read", lambda *_: None)
    monkeypatch.setattr(Chain, "clears", lambda *_: False)


def both(config: dict[str, Any], script: Sequence[Exchanged | Reloaded]) -> tuple[Seen, Seen, int]:
    """Return what is seen in the usual way and in the general one, and how often that was gone."""
    went = 0
    up_whole = usual.Usual.up_whole

    def counted(self: usual.Usual, *args: Any) -> bool:
        nonlocal went
        done = up_whole(self, *args)
        went += done
        return done

    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setattr(usual.Usual, "up_whole", counted)
        patch.setattr("time.time", lambda: 1_790_000_000.0)  # a minute of a budget may end
        one = asyncio.run(played(config, script, folder / "one"))
        _in_general(patch)
        other = asyncio.run(played(config, script, folder / "other"))
        assert verify(folder / "one").broken == verify(folder / "other").broken == ""
    return one, other, went


def test_an_agents_conversation_goes_the_usual_way_and_is_the_same() -> None:
    script = [
        Exchanged(
            [_request(_asked(f"question {number}"))],
            [_answer(_said(f"answer {number}"), JSON, b"Date: %d" % number)],
        )
        for number in range(8)
    ]
    for config in (FREE, {**FREE, "filters": FILTERS}):
        one, other, went = both(config, script)
        assert one == other
        assert went >= 5  # the first two are learned from
        assert len(one.rows) == 2 + 2 * len(script)


def test_an_exchange_has_no_more_attributes_than_cpython_keeps_cheaply() -> None:
    """Of all that were masked and noted, as a whole and as a stream: the table is the class's."""
    names: set[str] = set()
    finished = Wire.finished

    def noted(wire: Wire, flow: Flow) -> None:
        finished(wire, flow)
        if type(flow) is usual.Usual:
            names.update(vars(flow))

    stream = [b"data: " + _said() + b"\n\n", b"data: [DONE]\n\n"]
    script = [
        Exchanged([_request(_asked(stream=True))], [_answer(b"".join(stream), EVENTS)]),
        Exchanged([_request(_asked("ho"))], [_answer(_said(), JSON)]),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wire, "finished", noted)
        for config in (FREE, {**FREE, "filters": FILTERS}):
            both(config, script * 4)
    assert {"_mask", "heard", "_ahead", "cost"} <= names
    assert len(names) <= 30, sorted(names)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_budget_a_mask_and_filters_hold_in_the_usual_way(config: dict[str, Any]) -> None:
    script = [
        Exchanged([_request(_asked(text))], [_answer(_said(said), JSON)])
        for text, said in [
            ("ho", "hello"), ("ho", "hello"), ("ho", "hello"), ("ho", "hello"), (PII, "hello"),
            ("hi", KEY), ("hi", "sk-the-upstreams-own"), ("hi", PII), (KEY, "hello"),
            ("hi", "hello"),
        ]
    ]  # fmt: skip
    one, other, went = both(config, script)
    assert one == other
    assert (went > 0) is not config.get("observe", False)


def test_what_a_head_led_to_is_forgotten_when_the_configuration_changes() -> None:
    asked = Exchanged([_request(_asked("hi"))], [_answer(_said(), JSON)])
    others = {"back": {"url": "http://127.0.0.1:8", "credential": {"env": "OTHER"}}}
    script = [
        *[asked] * 5, Reloaded({**FREE, "upstreams": others}), *[asked] * 5,
        Reloaded({**FREE, "upstreams": others, "models": ["another"]}), *[asked] * 2,
        Reloaded({**FREE, "filters": [RULE]}), *[asked] * 2,
    ]  # fmt: skip
    one, other, went = both(FREE, script)
    assert one == other
    assert went > 2
    first, second = one.upstream
    assert (first.count(b"Bearer sk-the-upstreams-own"), first.count(b"sk-another")) == (5, 0)
    assert (second.count(b"Bearer sk-another-one-of-its"), second.count(b"sk-the-")) == (5, 0)
    assert [row.get("code") for row in one.rows if row["kind"] == "done"][10:] == [
        "model_not_allowed", "model_not_allowed", "tavo_blocked", "tavo_blocked",
    ]  # fmt: skip


def test_without_forgetting_the_old_credential_would_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the heads are the same before and after."""
    asked = Exchanged([_request(_asked("hi"))], [_answer(_said(), JSON)])
    others = {"back": {"url": "http://127.0.0.1:8", "credential": {"env": "OTHER"}}}
    kept = Heads()
    monkeypatch.setattr("tavo.proxy.http.wire.Heads", lambda: kept)
    script = [*[asked] * 5, Reloaded({**FREE, "upstreams": others}), *[asked] * 5]
    seen = asyncio.run(played(FREE, script, tmp_path / "audit"))
    assert b"".join(seen.upstream).count(b"Bearer sk-the-upstreams-own") == 10


@st.composite
def scripts(draw: st.DrawFn) -> list[Exchanged]:
    out = []
    asking = draw(st.lists(st.sampled_from(ASKING), min_size=1, max_size=2))
    heads = draw(st.lists(st.sampled_from(HEADS), min_size=1, max_size=2))
    for _ in range(draw(st.integers(2, 7))):
        is_odd = draw(st.integers(0, 3)) == 0
        body = draw(st.sampled_from(BODIES)) if is_odd else _asked(draw(st.sampled_from(TEXTS)))
        version = draw(st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]))
        asked = _request(body, *draw(st.sampled_from(asking)), version=version)
        said = draw(st.sampled_from(SAID))
        head = draw(st.sampled_from([[JSON], *heads]))
        status = draw(st.sampled_from([b"200 OK"] * 6 + [b"200 Fine", b"404 Not Found", b"204 No"]))
        answered = _answer(said, *head, status=status, version=version)
        answered += draw(st.sampled_from([b"", b"", b"", b"", b"x", b"\r\n", answered]))
        if draw(st.integers(0, 9)) == 0:
            answered = b"HTTP/1.1 103 Early Hints\r\n\r\n" + answered
        if draw(st.integers(0, 9)) == 0:
            answered = answered[: draw(st.integers(0, len(answered)))]
        pieces = draw(st.sampled_from([_whole, _whole, _whole, _halves, _behind_the_head]))
        into = draw(st.sampled_from([_whole, _whole, _whole, _halves, _behind_the_head]))
        out.append(Exchanged(into(asked), pieces(answered), draw(st.integers(0, 9)) == 0))
    return out


def _whole(data: bytes) -> list[bytes]:
    return [data]


def _halves(data: bytes) -> list[bytes]:
    return [data[: len(data) // 2], data[len(data) // 2 :]]


def _behind_the_head(data: bytes) -> list[bytes]:
    at = data.find(b"\r\n\r\n") + 4
    return [data[:at], data[at:]]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(CONFIGS), scripts())
def test_any_exchanges_are_the_same_in_both_ways(
    config: dict[str, Any], script: list[Exchanged]
) -> None:
    one, other, _ = both(config, script)
    assert one == other


@pytest.mark.slow
@settings(max_examples=3_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(CONFIGS), scripts())
def test_very_many_exchanges_are_the_same_in_both_ways(
    config: dict[str, Any], script: list[Exchanged]
) -> None:
    one, other, _ = both(config, script)
    assert one == other


# -- each of the shorter ways by itself


class _Parsed:
    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.ends = 0
        self.parser = httptools.HttpResponseParser(self)
        self.status, self.keeps = 0, False

    def on_headers_complete(self) -> None:
        self.status, self.keeps = self.parser.get_status_code(), self.parser.should_keep_alive()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.ends += 1


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(HEADS), min_size=1, max_size=3), st.sampled_from(SAID),
    st.binary(max_size=8), st.integers(0, 400),
)  # fmt: skip
def test_an_answer_that_is_read_by_its_form_is_what_llhttp_reads(
    learned: list[list[bytes]], body: bytes, odd: bytes, at: int
) -> None:
    answers = Answers(12)
    for head in learned:
        data, parsed = _answer(_said(), *head), _Parsed()
        try:
            parsed.parser.feed_data(data)
        except httptools.HttpParserError:
            continue
        answers.learn(data, parsed.headers)
    for head in HEADS:
        data = _answer(body, *head)
        data = data[:at] + odd + data[at:]
        found = answers.read(data)
        if found is None:
            continue
        parsed = _Parsed()
        parsed.parser.feed_data(data)
        names = dict(parsed.headers)
        assert (parsed.status, parsed.keeps) == (200, True)
        assert (parsed.ends, parsed.body) == (1, found[1])
        assert names[b"content-type"].startswith(b"application/json")
        kept = [pair for pair in parsed.headers if pair[0] not in _GONE]
        assert found[0] == b"".join(b"\r\n%b: %b" % pair for pair in kept)
        assert not names.keys() & {b"content-encoding", b"transfer-encoding", b"keep-alive"}


_GONE = (b"content-length", b"connection", b"alt-svc", b"strict-transport-security")


def _mutated(draw: st.DrawFn, data: bytes) -> bytes:
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        to = draw(st.integers(at, min(len(data), at + 20)))
        piece = draw(
            st.sampled_from([b"", b'"', b"\\", b"\\u0022", b'"model":"x",', b'"content":"y",', b"1",
                             b" ", b"null", b"9e99", b"{}", b"[]", data[at:to] * 2, b"\x00"])
        )  # fmt: skip
        data = data[:at] + piece + data[to:]
    return data


@st.composite
def mutants(draw: st.DrawFn, of: Callable[[str], bytes], more: Sequence[bytes]) -> bytes:
    return _mutated(draw, draw(st.one_of(st.text(max_size=20).map(of), st.sampled_from(more))))


def _one(reading: Any) -> tuple[list[tuple[str, str, Kind]], tuple[Any, ...]]:
    texts = [(slot.text, slot.role, slot.kind) for slot in reading.slots]
    return texts, (reading.joins, reading.calls, reading.tools, reading.drops, reading.media)


CHAT = operation_of("POST", "/v1/chat/completions", "")


@settings(max_examples=400, deadline=None)
@given(mutants(lambda text: _asked(text.replace("\ud800", "")), BODIES))
def test_a_request_that_is_read_at_once_is_what_is_read_with_care(data: bytes) -> None:
    found = usual_request(data)
    if found is None:
        return
    assert CHAT is not None
    reading = CHAT.dialect.read_request(CHAT, read_document(data))
    texts, rest = _one(reading)
    assert [text for text, _, _ in texts] == [text for text in found.texts if text]
    assert {kind for _, _, kind in texts} <= {Kind.TEXT}
    assert not any(rest)
    assert (reading.model, reading.is_stream) == (found.model, found.is_stream)
    assert reading.choices == found.choices


@settings(max_examples=400, deadline=None)
@given(mutants(lambda text: _said(text.replace("\ud800", "")), SAID))
def test_an_answer_that_is_read_at_once_is_what_is_read_with_care(data: bytes) -> None:
    found = usual_answer(data)
    if found is None:
        return
    assert CHAT is not None
    reading = CHAT.dialect.read_answer(CHAT, read_document(data))
    texts, rest = _one(reading)
    assert texts == ([(found.text, "assistant", Kind.TEXT)] if found.text else [])
    assert not any(rest)
    assert reading.usage == (found.tokens_in, found.tokens_out)


def test_a_name_that_stands_twice_is_never_read_at_once() -> None:
    for data in (
        _asked().replace(b'"model"', b'"model": "other", "model"'),
        _asked().replace(b'"role"', b'"content": "x", "role"'),
        _asked('"').replace(b'"role"', b'"role": "user", "role"'),
        _asked().replace(b'"hi"', b'"\\u0022\\u0022\\u0022\\u0022"').replace(
            b'"role"', b'"role": "user", "role"'
        ),
    ):  # fmt: skip
        assert usual_request(data) is None
        with pytest.raises(BodyError):
            read_document(data)
    assert usual_request(_asked('"')) is not None  # quotes alone are no reason


def test_without_the_quotes_counted_the_last_of_two_names_would_be_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: it is the counting that keeps them out."""
    monkeypatch.setattr("tavo.llm.usual._once", lambda decoder, data: decoder.decode(data))
    found = usual_request(_asked().replace(b'"role"', b'"content": "hidden", "role"'))
    assert found is not None
    assert found.texts == ["hi"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(TEXTS), st.text(max_size=30)), max_size=3), st.data())
def test_texts_that_are_clear_at_once_hold_nothing_for_any_rule(
    texts: list[str], data: st.DataObject
) -> None:
    if data.draw(st.booleans()):
        texts = [*texts, data.draw(st.sampled_from([PII, KEY])) + data.draw(st.text(max_size=3))]
    chain = chain_of(*FILTERS)
    for phase, roles in (
        ("request", ("user", "system", "assistant")),
        ("response", ("assistant",)),
    ):
        if not chain.clears(phase, texts):
            continue
        for role in roles:
            compiled = chain.compiled(Where(phase, role, Kind.TEXT))
            for text in texts:
                assert (
                    compiled is None
                    or not compiled.look(text.encode("utf-8", "surrogatepass")).matches
                )


def test_rules_that_ask_where_a_text_ends_are_not_cleared_at_once() -> None:
    def chain(pattern: str) -> Chain:
        return chain_of({"filter": "secrets", "custom": {"own": pattern}})

    assert chain(r"abc").clears("request", ["hi"])
    assert not chain(r"^hi$").clears("request", ["there"])
    assert not chain(r"\Ahi").clears("request", ["there"])
    assert not chain_of(*FILTERS, observe=True).clears("request", ["hi"])
    assert not chain_of({"filter": "injection"}).clears("request", ["hi"])


def _usage(data: bytes) -> tuple[int, int, int] | None:
    """Return what is read of an answer of OpenAI's, whatever stands before its end."""
    exchange = passing.PassingExchange("block")
    asked = RequestHead(method=b"POST", path=b"/v1/chat/completions", query=b"", headers=[])
    assert isinstance(exchange.request_head(asked), Route)
    another = exchange.another(0.0)
    assert another is not None
    if another.response_whole(data) is None:
        return None
    record = another.record
    return record.tokens_in, record.tokens_out, record.tokens_cached


counts = st.dictionaries(
    st.sampled_from(
        ["prompt_tokens", "completion_tokens", "input_tokens", "prompt_tokens_details", "other"]
    ),
    st.one_of(
        st.integers(-3, 1 << 41), st.none(),
        st.dictionaries(st.just("cached_tokens"), st.integers(0, 9)),
    ),
    max_size=3,
)  # fmt: skip
values = st.recursive(
    st.one_of(counts, st.none(), st.text('"{}:,usage\\ ', max_size=12)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(["usage", "a", "usageMetadata", "}", '"usage":{']), inner, max_size=3
        ),
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=400)
@given(
    st.lists(
        st.tuples(st.sampled_from(["usage", "id", "choices", "usageMetadata"]), values), max_size=4
    ),
    st.sampled_from([(",", ":"), (", ", ": ")]), st.sampled_from(["", "}", "\n", "]"]),
)  # fmt: skip
def test_usage_that_is_read_by_its_type_is_that_of_the_document(
    members: list[tuple[str, Any]], marks: tuple[str, str], behind: str
) -> None:
    """A name may stand twice in it, and any value may stand where a count should."""
    comma, colon = marks
    text = comma.join(
        json.dumps(name) + colon + json.dumps(value, separators=marks) for name, value in members
    )
    data = f"{{{text}}}{behind}".encode()
    assert _usage(data) == passing._of_whole(data)


def test_usage_further_in_is_none_of_the_answers() -> None:
    data = b'{"choices":[{"usage":{"prompt_tokens":9,"completion_tokens":9}}],"id":"x"}'
    assert passing._of_whole(data) is None
    assert _usage(data) is None
    assert passing.usage_in(b"", data) == (9, 9, 0)  # which asks where it stands of no answer


@given(st.integers(0, 10**6), st.integers(-2, 2), st.booleans())
def test_a_body_is_found_by_the_length_that_its_head_says(size: int, more: int, zero: bool) -> None:
    start, rest = b"POST / HTTP/1.1\r\nContent-Length: ", b"\r\nHost: a\r\n\r\n"
    known = Known(
        b"POST", b"/", b"", [], {}, 1, True, start=start, rest=rest, size=len(start) + len(rest)
    )
    head = b"%b%b%d%b" % (start, b"0" if zero else b"", size, rest)
    data = head + b"x" * min(max(size + more, 0), 2000)
    whole = len(data) == len(head) + size and not zero
    assert body_behind(known, data) == (len(head) if whole else 0)
