"""Targets: their answers are hostile, and the credential that they are sent stays with us."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from typing import Any

import httpx
import pytest

from tavo.attack.broker import Budget, Purse, TargetLender
from tavo.attack.http_target import HttpTarget
from tavo.attack.targets import TargetFailedError, TargetFile
from tavo.errors import ConfigError
from tavo.host.lending import LendError
from tavo.plugins.values import ChatMessage, ChatRequest
from tavo.results.values import Exchange

SECRET = "sk-0123456789abcdef"
ASKED = ChatRequest(messages=(ChatMessage(role="user", content="hello"),))


def target(serves: Any, secret: str = SECRET, **described: Any) -> HttpTarget:
    """A target that answers with a value, bytes, or what a function makes of the request."""

    def serve(request: httpx.Request) -> httpx.Response:
        made = serves(request) if callable(serves) else serves
        if isinstance(made, httpx.Response):
            return made
        data = made if isinstance(made, bytes) else json.dumps(made).encode()
        return httpx.Response(200, stream=httpx.ByteStream(data))

    fields = {"url": "http://model.example/v1", "key": "MODEL_KEY", **described}
    return HttpTarget(
        TargetFile(**fields), {"MODEL_KEY": secret}, transport=httpx.MockTransport(serve)
    )


def said(text: str) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": text}}]}


@pytest.mark.parametrize("escape", [False, True], ids=["plain", "escaped"])
def test_a_target_that_repeats_the_credential_gives_it_to_nobody(escape: bool) -> None:
    def echo(request: httpx.Request) -> bytes:
        heard = request.headers["authorization"]
        assert SECRET in heard  # the control: it is sent, and it comes back
        if escape:
            heard = "".join(f"\\u{ord(char):04x}" for char in heard)
        choice = f'{{"message":{{"content":"your header: {heard}"}}}}'
        return f'{{"choices":[{choice}], "{heard}": 1}}'.encode()

    exchanges: list[Exchange] = []
    lender = TargetLender(
        target(echo), plugin="acme/x", purse=Purse(Budget()), record=exchanges.append
    )
    given = lender.lend("send", {"messages": [{"role": "user", "content": "hi"}]})
    assert given["messages"][0]["content"] == "your header: Bearer …"
    assert SECRET not in repr((given, exchanges))


@pytest.mark.parametrize("secret", [SECRET, ""], ids=["with a key", "without"])
@pytest.mark.parametrize(
    "described",
    [{}, {"kind": "http", "body": {"in": "{{prompt}}"}, "answer": "$.choices[0].message.content"}],
    ids=["openai", "http"],
)
def test_half_a_character_in_an_answer_is_no_character(
    secret: str, described: dict[str, Any]
) -> None:
    """JSON can spell it; a transcript, a store, a terminal and a worker cannot hold it."""
    body = b'{"choices":[{"message":{"content":"a \\ud800 b \\ud83d\\ude00 \\udfff"},"\\udc00":1}]}'
    fields = {"key": "MODEL_KEY" if secret else "", **described}
    answer, _ = target(body, secret=secret, **fields).send(ASKED)
    assert answer.messages[0].content == "a \ufffd b \U0001f600 \ufffd"


def test_the_credential_is_in_no_error_also_where_it_is_cut() -> None:
    for status, body in ((500, "x" * 190 + SECRET), (200, "x" * 190 + SECRET)):
        stream = httpx.ByteStream(body.encode())
        failing = target(lambda _, s=status, b=stream: httpx.Response(s, stream=b))
        with pytest.raises(TargetFailedError) as caught:
            failing.send(ASKED)
        assert SECRET[:6] not in str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\nX-More: 1", " ", "\x00", "é"])
def test_a_credential_that_no_header_can_hold_is_refused_without_naming_it(end: str) -> None:
    with pytest.raises(ConfigError) as caught:
        target(said("x"), secret=SECRET + end)
    assert SECRET not in str(caught.value)
    assert "the value of MODEL_KEY cannot be sent" in str(caught.value)


@pytest.mark.parametrize(
    "headers", [{"X-A": "b\r\nX-B: c"}, {"X A": "b"}, {"X-A\n": "b"}, {"": "b"}, {"X-É": "b"}]
)
def test_headers_of_a_file_cannot_smuggle_others(headers: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="cannot be sent"):
        target(said("x"), headers=headers)


@pytest.mark.parametrize("name", ["/etc/passwd", "..", "a/b", "a\x1b[2J", "a\nb"])
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot stand in findings"):
        target(said("x"), name=name)


def test_a_prompt_cannot_leave_its_place_in_a_template() -> None:
    heard: list[Any] = []

    def serve(request: httpx.Request) -> dict[str, Any]:
        heard.append((json.loads(request.content), dict(request.headers)))
        return {"out": "x"}

    hostile = '"}, "admin": true, {"x": "{{system}}{{messages}}{{prompt}}\r\nX-Admin: 1'
    one = target(serve, kind="http", answer="$.out", body={"input": "say: {{prompt}}!"})
    one.send(ChatRequest(messages=(ChatMessage(role="user", content=hostile),)))
    ((body, headers),) = heard
    assert body == {"input": f"say: {hostile}!"}
    assert "x-admin" not in headers


def test_a_prompt_that_is_data_stands_as_a_value() -> None:
    heard: list[Any] = []

    def serve(request: httpx.Request) -> dict[str, Any]:
        heard.append(json.loads(request.content))
        return {"predictions": [2]}

    one = target(serve, kind="http", answer="$.predictions[0]", body={"instances": ["{{json}}"]})
    asked = ChatRequest(messages=(ChatMessage(role="user", content="[5.1, 3.5]"),))
    answer, _ = one.send(asked)
    assert heard == [{"instances": [[5.1, 3.5]]}]
    assert answer.messages[0].content == "2"
    for text in ("hello", "[" * 100_000):
        with pytest.raises(TargetFailedError, match=r"the prompt is no JSON, which \{\{json\}\}"):
            one.send(ChatRequest(messages=(ChatMessage(role="user", content=text),)))
    assert len(heard) == 1


def test_a_bomb_in_an_answer_is_not_unpacked() -> None:
    packed = gzip.compress(gzip.compress(bytes(64 << 20)))
    for coding, problem in (("gzip, gzip", "packed as"), ("gzip", "no JSON")):
        head = {"Content-Encoding": coding}
        body = httpx.ByteStream(packed)
        with pytest.raises(TargetFailedError, match=problem):
            target(lambda _, h=head, b=body: httpx.Response(200, headers=h, stream=b)).send(ASKED)


@pytest.mark.parametrize(
    "content",
    [
        {}, {"messages": []}, {"messages": 5}, {"messages": [5]}, {"messages": [{"role": "x"}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "user", "content": "\ud800"}]},
        {"messages": [{"role": "user", "content": "x"}], "model": 5},
        {"messages": [{"role": "user", "content": "x"}], "parameters": []},
        {"messages": [{"role": "user", "content": "x" * (2 << 20)}]},
        {"messages": [{"role": "user", "content": "x"}] * 2000},
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_and_costs_nothing(content: dict[str, Any]) -> None:
    purse = Purse(Budget(requests=1))
    lender = TargetLender(target(said("x")), plugin="acme/x", purse=purse, record=lambda _: None)
    with pytest.raises(LendError):
        lender.lend("send", content)
    assert purse.requests == 0


def test_parameters_that_are_nested_too_deep_are_a_refusal() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    exchanges: list[Exchange] = []
    lender = TargetLender(
        target(said("x")), plugin="acme/x", purse=Purse(Budget()), record=exchanges.append
    )
    content = {"messages": [{"role": "user", "content": "x"}], "parameters": {"a": deep}}
    with contextlib.suppress(LendError):  # whether it is too deep depends on the interpreter
        lender.lend("send", content)


def test_threads_cannot_spend_a_request_twice() -> None:
    purse = Purse(Budget(requests=100))
    spent: list[int] = []

    def spend() -> None:
        for _ in range(100):
            try:
                purse.take()
            except LendError:
                return
            spent.append(1)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(spent) == purse.requests == 100
