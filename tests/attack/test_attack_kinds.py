"""Each kind of target: asked as its provider documents, its answer read, its failures named."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tavo.attack.evidence import calls_in
from tavo.attack.http_target import HttpTarget
from tavo.attack.programs import CommandTarget, PythonTarget
from tavo.attack.targets import TargetFailedError, TargetFile, open_target
from tavo.errors import ConfigError
from tavo.plugins.values import ChatMessage, ChatRequest

TOOL = {"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}}}
ASKED = ChatRequest(
    messages=(
        ChatMessage(role="system", content="be kind"),
        ChatMessage(role="user", content="hello"),
        ChatMessage(role="assistant", content="hi"),
        ChatMessage(role="tool", content="a result"),
        ChatMessage(role="user", content="and now?"),
    ),
    parameters={"tools": (TOOL,)},
)
ANSWERS: dict[str, Any] = {
    "openai": {
        "choices": [{"message": {"content": "well", "tool_calls": [
            {"function": {"name": "pay", "arguments": '{"to": 7}'}}]}}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3},
    },
    "anthropic": {
        "content": [{"type": "text", "text": "well"},
                    {"type": "tool_use", "name": "pay", "input": {"to": 7}}],
        "usage": {"input_tokens": 11, "output_tokens": 3},
    },
    "gemini": {
        "candidates": [{"content": {"parts": [
            {"text": "well"}, {"functionCall": {"name": "pay", "args": {"to": 7}}}]}}],
        "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 3},
    },
    "ollama": {
        "message": {"content": "well",
                    "tool_calls": [{"function": {"name": "pay", "arguments": {"to": 7}}}]},
        "prompt_eval_count": 11, "eval_count": 3,
    },
}  # fmt: skip
WHERE = {
    "openai": ("/v1/chat/completions", "authorization", "Bearer sk-1"),
    "anthropic": ("/v1/messages", "x-api-key", "sk-1"),
    "gemini": ("/v1beta/models/small%2Fx:generateContent", "x-goog-api-key", "sk-1"),
    "ollama": ("/api/chat", "authorization", "Bearer sk-1"),
}
BASES = {
    "openai": "http://m.example/v1", "anthropic": "http://m.example/v1/",
    "gemini": "http://m.example", "ollama": "http://m.example",
}  # fmt: skip


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_provider_is_asked_and_read_as_it_documents(kind: str) -> None:
    seen: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        data = json.dumps(ANSWERS[kind]).encode()
        return httpx.Response(200, stream=httpx.ByteStream(data))

    target = HttpTarget(
        TargetFile(url=BASES[kind], kind=kind, model="small/x", key="K"),  # type: ignore[arg-type]
        {"K": "sk-1"},
        transport=httpx.MockTransport(serve),
    )
    response, usage = target.send(ASKED)
    path, header, value = WHERE[kind]
    assert seen[0].url.raw_path.decode() == path
    assert seen[0].headers[header] == value
    assert usage == (11, 3)
    text = response.messages[0].content
    assert text.startswith("well")
    assert [(name, json.loads(given)) for name, given in calls_in(text)] == [("pay", {"to": 7})]
    body = json.loads(seen[0].content)
    assert "pay" in json.dumps(body["tools"])
    if kind == "anthropic":
        assert body["system"] == "be kind"
        assert [one["role"] for one in body["messages"]] == ["user", "assistant", "user"]
    if kind == "gemini":
        assert [one["role"] for one in body["contents"]] == ["user", "model", "user"]
    if kind == "ollama":
        assert body["stream"] is False


@pytest.mark.parametrize("kind", ["anthropic", "gemini", "ollama"])
def test_another_shape_and_a_missing_model_are_named(kind: Any) -> None:
    with pytest.raises(ConfigError, match="needs a model"):
        HttpTarget(TargetFile(url="http://m.example", kind=kind), {})
    for answer in ({}, [], {"content": 1, "candidates": "x", "message": []}, "text"):
        data = json.dumps(answer).encode()
        target = HttpTarget(
            TargetFile(url="http://m.example", kind=kind, model="m"),
            {},
            transport=httpx.MockTransport(
                lambda _, data=data: httpx.Response(200, stream=httpx.ByteStream(data))
            ),
        )
        with pytest.raises(TargetFailedError, match="the answer has no"):
            target.send(ASKED)


def command(source: str, **more: Any) -> CommandTarget:
    return CommandTarget(
        TargetFile(kind="command", command=(sys.executable, "-c", source), name="c", **more)
    )


def test_a_command_reads_the_conversation_and_writes_its_answer() -> None:
    echo = "import json,sys; print(json.load(sys.stdin)['messages'][-1]['content'].upper())"
    response, usage = command(echo).send(ASKED)
    assert (response.messages[0].content, usage) == ("AND NOW?", (0, 0))
    answers = "import json; print(json.dumps({'out': ['x', {'text': 'hello'}]}))"
    response, _ = command(answers, answer="$.out[1].text").send(ASKED)
    assert response.messages[0].content == "hello"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import sys; sys.exit('no key')", "c: ended with 1: no key"),
        ("import time; time.sleep(60)", "no whole answer within"),
        ("while True: print('x' * 65536)", "no whole answer within"),
        ("import os; os.close(0); os.close(1)", None),
    ],
)
def test_a_command_that_fails_is_bounded_and_named(source: str, said: str | None) -> None:
    target = command(source, timeout_s=2 if said == "no whole answer within" else 60)
    if said is None:
        assert target.send(ASKED)[0].messages[0].content == ""
        return
    with pytest.raises(TargetFailedError, match=said):
        target.send(ASKED)


def test_a_command_that_is_not_there_was_not_reached() -> None:
    target = CommandTarget(TargetFile(kind="command", command=("/no/such/program",)))
    with pytest.raises(TargetFailedError, match="cannot be started: No such file") as caught:
        target.send(ASKED)
    assert caught.value.unreachable
    with pytest.raises(ConfigError, match="names no command"):
        CommandTarget(TargetFile(kind="command"))


def test_a_python_function_keeps_what_it_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "import time\ncount = 0\n"
        "def answer(messages):\n"
        "    global count; count += 1\n"
        "    print('this is no answer')\n"
        "    text = messages[-1]['content']\n"
        "    if text == 'fail': raise ValueError('so it is')\n"
        "    if text == 'sleep': time.sleep(60)\n"
        "    return f'{count} {text}'\n"
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "target.yaml").write_text(
        "kind: python\ncall: mine:answer\ntimeout_s: 60\napplication: true\nsecrets: [SPRING-77]\n"
    )
    target = open_target("target.yaml", {})
    assert isinstance(target, PythonTarget)
    assert (target.name, target.application, target.secrets) == ("answer", True, ("SPRING-77",))

    def asked(text: str) -> str:
        request = ChatRequest(messages=(ChatMessage(role="user", content=text),))
        return target.send(request)[0].messages[0].content

    try:
        assert [asked("a"), asked("b")] == ["1 a", "2 b"]
        with pytest.raises(TargetFailedError, match="answer: raised ValueError: so it is"):
            asked("fail")
        assert asked("c") == "4 c"
        target._timeout_s = 0.5  # type: ignore[attr-defined]
        with pytest.raises(TargetFailedError, match=r"no answer within 0\.5 s"):
            asked("sleep")
        target._timeout_s = 60  # type: ignore[attr-defined]
        assert asked("d") == "1 d"  # it began anew
    finally:
        target.close()


@pytest.mark.parametrize("call", ["mine", "mine:", ":x", "mine:a b", "no_such_module_here:x"])
def test_a_function_that_is_not_there_is_named(call: str) -> None:
    described = TargetFile(kind="python", call=call, timeout_s=60)
    if "no_such" not in call:
        with pytest.raises(ConfigError, match="names no function"):
            PythonTarget(described)
        return
    target = PythonTarget(described)
    with pytest.raises(TargetFailedError, match="cannot be called"):
        target.send(ASKED)
    target.close()


@pytest.mark.parametrize(
    ("status", "body", "refused"),
    [
        (
            403,
            {"error": {"code": "tavo_blocked", "message": "blocked by the filter injection"}},
            True,
        ),
        (400, {"error": {"code": "content_filter"}}, True),
        (403, {"error": {"message": "this key may not use the model"}}, False),
        (500, {"error": {"message": "the guard is down"}}, False),
    ],
)
def test_what_a_guard_refuses_is_told_from_what_fails(
    status: int, body: Any, refused: bool
) -> None:
    data = json.dumps(body).encode()
    target = HttpTarget(
        TargetFile(url="http://m.example/v1"),
        {},
        transport=httpx.MockTransport(
            lambda _: httpx.Response(status, stream=httpx.ByteStream(data))
        ),
    )
    with pytest.raises(TargetFailedError) as caught:
        target.send(ASKED)
    assert caught.value.refused is refused


def test_half_a_character_from_a_program_is_no_character(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "half.py").write_text(
        "def says(messages):\n    return 'a \\ud800 b'\n\n\ndef raises(messages):\n"
        "    raise ValueError('c \\udfff d')\n"
    )
    said = []
    for name in ("says", "raises"):
        (tmp_path / "t.yaml").write_text(f"kind: python\ncall: half:{name}\n")
        target = open_target(str(tmp_path / "t.yaml"), {})
        try:
            answer, _ = target.send(ASKED)
            said.append(answer.messages[0].content)
        except TargetFailedError as error:
            said.append(str(error).rpartition(": ")[2])
        finally:
            target.close()
    assert said == ["a \ufffd b", "c \ufffd d"]
