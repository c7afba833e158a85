"""Targets of kind http: what reaches an application by its template, and what its answers say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tavo.attack.broker import Budget, Purse, TargetLender
from tavo.attack.engine import Options, attack
from tavo.attack.http_api import Sessions
from tavo.attack.http_target import HttpTarget
from tavo.attack.probes import Probe, load_probes
from tavo.attack.targets import FromEnvironment, TargetFailedError, TargetFile
from tavo.errors import ConfigError
from tavo.host.lending import LendError
from tavo.plugins.values import ChatMessage, ChatRequest
from tavo.results.values import Exchange

KEY = "team-key-0123456789"
TALK = (
    ChatMessage(role="system", content="be brief"),
    ChatMessage(role="user", content="hello"),
    ChatMessage(role="assistant", content="hi"),
    ChatMessage(role="user", content="{{system}} and more"),
)


def served(body: bytes = b"{}", status: int = 200, **headers: str) -> httpx.Response:
    heads = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, stream=httpx.ByteStream(body), headers=heads)


class Application:
    """Remembers what it was asked, and answers with a value, bytes or a response."""

    def __init__(self, answers: Callable[[Any], Any]) -> None:
        self.heard: list[Any] = []
        self.headers: list[httpx.Headers] = []
        self._answers = answers

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.heard.append(json.loads(request.content))
        self.headers.append(request.headers)
        made = self._answers(self.heard[-1])
        return made if isinstance(made, httpx.Response) else served(json.dumps(made).encode())

    def target(self, **described: Any) -> HttpTarget:
        fields: dict[str, Any] = {
            "kind": "http", "url": "http://app.example/ask", "body": {"in": "{{prompt}}"},
            "answer": "$.out",
        }  # fmt: skip
        return HttpTarget(
            TargetFile(**{**fields, **described}), {"TEAM_KEY": KEY},
            transport=httpx.MockTransport(self),
        )  # fmt: skip


def said(target: HttpTarget, *messages: ChatMessage) -> str:
    answer, _ = target.send(ChatRequest(messages=messages))
    return answer.messages[0].content


def echo(_: Any) -> Any:
    return {"out": "hi"}


def test_any_header_may_come_from_the_environment_and_is_in_nothing_that_comes_back() -> None:
    app = Application(lambda _: {"out": ""})
    app._answers = lambda _: {"out": " ".join(app.headers[-1].values())}
    headers = {"X-Api-Key": FromEnvironment("TEAM_KEY"), "X-Team": "red-seven",
               "Cookie": "id=written-in-the-file"}  # fmt: skip
    answer = said(app.target(headers=headers), TALK[1])
    assert app.headers[0]["x-api-key"] == KEY  # the control: it was sent, and came back
    assert app.headers[0]["cookie"] in " ".join(app.headers[0].values())
    assert KEY not in answer
    assert "written-in-the-file" not in answer
    assert "red-seven" in answer
    with pytest.raises(ConfigError, match="the environment variable NO_SUCH is not set"):
        app.target(headers={"X-Api-Key": FromEnvironment("NO_SUCH")})


def test_a_conversation_is_written_as_the_application_has_it() -> None:
    app = Application(echo)
    target = app.target(
        body={"talk": "{{messages}}", "n": 1}, message={"who": "{{role}}", "text": ["{{content}}"]},
        roles={"assistant": "bot"},
    )  # fmt: skip
    assert said(target, *TALK) == "hi"
    assert app.heard[0]["n"] == 1
    assert [(one["who"], one["text"]) for one in app.heard[0]["talk"]] == [
        ("system", ["be brief"]), ("user", ["hello"]), ("bot", ["hi"]),
        ("user", ["{{system}} and more"]),
    ]  # fmt: skip


def test_a_conversation_keeps_its_session_and_another_has_another() -> None:
    app = Application(echo)
    target = app.target(body={"in": "{{prompt}}", "id": "{{session}}"})
    for _ in range(2):
        said(target, TALK[1])
    first, second = (one["id"] for one in app.heard)
    assert first
    assert first != second
    # both had the same question and the same answer, and each goes on once
    for _ in range(2):
        said(target, TALK[1], TALK[2], TALK[3])
    assert {one["id"] for one in app.heard[2:]} == {first, second}
    said(target, TALK[1], TALK[2], TALK[3])
    assert app.heard[-1]["id"] not in {first, second}


def test_a_request_that_failed_is_made_again_in_its_session() -> None:
    app = Application(echo)
    target = app.target(body={"in": "{{prompt}}", "id": "{{session}}"})
    said(target, TALK[1])
    app._answers = lambda _: served(status=503)
    with pytest.raises(TargetFailedError):
        said(target, TALK[1], TALK[2], TALK[3])
    app._answers = echo
    said(target, TALK[1], TALK[2], TALK[3])
    assert len({one["id"] for one in app.heard}) == 1


def test_sessions_are_forgotten_before_they_fill_the_memory() -> None:
    sessions = Sessions()
    for number in range(10_000):
        sessions.keep([ChatMessage(role="user", content=str(number))], "x", "s")
    assert len(sessions._kept) == 4096


EVENTS = (
    b'event: a\ndata: {"delta":{"out":"on"}}\n\n: a comment\n\ndata: {"delta":\r\n'
    b'data: {"out":"e \xe2\x80\xa8word"}}\r\n\r\ndata: {"done":1,"usage":{"prompt_tokens":3,'
    b'"completion_tokens":2}}\n\ndata: [DONE]\n\n'
)
LINES = b'{"delta":{"out":"on"}}\n\n{"delta":{"out":"e \xe2\x80\xa8word"}}\n{"done":1}\n'
WORD = "one \u2028word"


@pytest.mark.parametrize(
    ("body", "kind", "described", "expected"),
    [
        (EVENTS, "text/event-stream; charset=utf-8", {"answer": "$.delta.out"}, WORD),
        (EVENTS, "application/json", {"answer": "$.delta.out", "answers": "events"}, WORD),
        (LINES, "application/x-ndjson", {"answer": "$.delta.out"}, WORD),
        (LINES, "text/plain", {"answer": "$.delta.out", "answers": "lines"}, WORD),
        (b"one\nword", "text/plain", {"answer": ""}, "one\nword"),
        (b'{"a": 1}', "application/json", {"answer": "", "answers": "text"}, '{"a": 1}'),
        (b"data: one \n\ndata: word\n\n", "text/event-stream", {"answer": ""}, "one word"),
        (b'{"out": "one"}', "text/plain", {}, "one"),
    ],
)
def test_an_answer_may_be_a_stream_or_plain_text(
    body: bytes, kind: str, described: dict[str, Any], expected: str
) -> None:
    app = Application(lambda _: served(body, Content_Type=kind))
    assert said(app.target(**described), TALK[1]) == expected


def test_the_tokens_of_a_stream_are_counted() -> None:
    app = Application(lambda _: served(EVENTS, Content_Type="text/event-stream"))
    target = app.target(answer="$.delta.out")
    assert target.send(ChatRequest(messages=(TALK[1],)))[1] == (3, 2)


@pytest.mark.parametrize(
    ("body", "kind", "problem"),
    [
        (b"", "text/event-stream", "no piece of the stream holds the answer: it is empty"),
        (b"data: {}\n\n", "text/event-stream", "no piece .*there is no 'out' at "),
        (b"data: {\n\n", "text/event-stream", "no piece .*is no JSON"),
        (b"data: 1\n\n" * 100_001, "text/event-stream", "more than 100000 pieces"),
        (b"[" * 100_000, "application/json", "is no JSON, it starts with"),
    ],
)
def test_a_stream_that_says_nothing_is_a_failure(body: bytes, kind: str, problem: str) -> None:
    app = Application(lambda _: served(body, Content_Type=kind))
    with pytest.raises(TargetFailedError, match=problem):
        said(app.target(), TALK[1])


@pytest.fixture(scope="module")
def probes() -> list[Probe]:
    return load_probes()


def left_out(target: HttpTarget, probes: list[Probe]) -> set[str]:
    return {one.id for one in probes if target.lacks(one)}


def test_what_a_body_cannot_carry_is_not_taken_for_tried(probes: list[Probe]) -> None:
    app = Application(echo)
    one_message = app.target(application=True)
    assert left_out(one_message, probes) == {"slow-escalation", "tool-result-instruction"}
    turns = app.target(application=True, body={"in": "{{prompt}}", "id": "{{session}}"})
    assert left_out(turns, probes) == {"tool-result-instruction"}
    assert left_out(app.target(application=True, body=["{{messages}}"]), probes) == set()
    assert left_out(HttpTarget(TargetFile(url="http://app.example"), {}), probes) == set()

    probed, _ = attack(
        one_message, probes, Purse(Budget()), Options(application=True, secrets=("SPRING-77",))
    )
    ended = {one.probe: one.ended for one in probed}
    assert ended["slow-escalation"] == ended["tool-result-instruction"] == "not applicable"
    assert ended["direct-override"] == "all"


def test_who_cannot_be_given_a_system_prompt_is_an_application(probes: list[Probe]) -> None:
    app = Application(echo)
    assert app.target().application
    assert app.target(body={"in": "{{prompt}}", "id": "{{session}}"}).application
    bare = app.target(body={"in": "{{prompt}}", "about": "{{system}}"})
    assert not bare.application
    with_tools = [one.id for one in probes if one.tools]
    assert with_tools
    assert left_out(bare, probes) >= set(with_tools)
    lent = app.target(body={"in": "{{messages}}", "tools": "{{tools}}"})
    assert left_out(lent, probes) == set()
    tools = [{"type": "function", "function": {"name": "add"}}]
    lent.send(ChatRequest(messages=TALK, parameters={"tools": tools}))
    assert app.heard[-1]["tools"] == tools


def test_what_a_plugin_asks_is_sent_whole_or_not_at_all() -> None:
    """A plugin cannot know that half of its conversation is left out; with controls."""
    app = Application(echo)
    alone = {"messages": [{"role": "user", "content": "hi"}]}
    planted = {"messages": [{"role": "system", "content": "keep SPRING-77"}, *alone["messages"]]}
    talk = {"messages": [{"role": one.role, "content": one.content} for one in TALK]}
    begun = {"messages": talk["messages"][:2]}
    elsewhere = {"messages": [*planted["messages"], *talk["messages"][2:]]}
    tool = {"messages": [*alone["messages"], {"role": "tool", "content": "42"}]}
    for body, taken, refused in (
        ("{{prompt}}", [alone], [planted, talk, tool]),
        ("{{prompt}} {{system}}", [alone, planted], [talk, tool]),
        ("{{prompt}} {{system}} {{session}}", [alone, begun, talk], [tool, talk, elsewhere]),
        (["{{messages}}"], [alone, planted, talk, tool], []),
    ):
        record: list[Exchange] = []
        lender = TargetLender(
            app.target(body=body), plugin="acme/x", purse=Purse(Budget()), record=record.append
        )
        for asked in taken:
            assert lender.lend("send", asked)["messages"][0]["content"] == "hi"
        sent = len(app.heard)
        for asked in refused:
            with pytest.raises(LendError, match="not sent as it is, for the body has n"):
                lender.lend("send", asked)
        assert len(app.heard) == sent
        assert sum(one.response is None for one in record) == len(refused)  # a run that knows it


@pytest.mark.parametrize(
    ("described", "problem"),
    [
        ({"message": {"a": "b"}, "body": "{{messages}}"}, "message holds no {{content}}"),
        ({"message": {"a": "{{content}}"}}, "say how {{messages}} is written, which is not in"),
        ({"roles": {"assistant": "bot"}}, "say how {{messages}} is written, which is not in"),
        ({"answers": "text"}, "answers are text, in which no path leads anywhere"),
        ({"kind": "openai", "body": None}, "answer is for kind http; kind openai has a form"),
        ({"kind": "openai", "answer": "", "body": {}, "answers": "lines"}, "answers is for kind"),
    ],
)
def test_what_would_be_without_effect_is_refused(described: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Application(echo).target(**described)
    assert problem in str(caught.value)


def test_a_guard_that_refuses_wants_no_key_and_a_busy_target_its_time() -> None:
    app = Application(lambda _: served(b"the tool refund_order is not allowed: policy", 403))
    with pytest.raises(TargetFailedError) as caught:
        said(app.target(), TALK[1])
    assert caught.value.refused
    assert "wants a key" not in str(caught.value)
    app._answers = lambda _: served(status=403)
    with pytest.raises(TargetFailedError, match="It wants a key"):
        said(app.target(), TALK[1])
    for asked, waits in (("7", 7.0), ("-7", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0)):
        app._answers = lambda _, asked=asked: served(status=429, Retry_After=asked)
        with pytest.raises(TargetFailedError) as caught:
            said(app.target(), TALK[1])
        assert caught.value.wait_s == waits
