"""`tavo proxy check`: what was recorded goes through the chain that would serve it."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tavo.cli import main as tavo
from tavo.proxy.config import Audit
from tests.fakes.scripted_upstream import staged

Checked = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).parents[2]

POLICY = """
proxy: 1
upstreams: {openai: {url: 'https://api.openai.com', prefix: /openai}}
models: ["gpt-*", m]
filters:
  - filter: pii
  - filter: content
    rules: [{id: falcon, words: [project falcon], phases: [response]}]
"""
MAIL = "jane.doe@example.org"


@pytest.fixture
def checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Checked:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(POLICY)

    def run(text: str | list[dict[str, Any]], *options: str) -> tuple[int, str, str]:
        if isinstance(text, list):
            text = "\n".join(map(json.dumps, text))
        (tmp_path / "e").write_text(text)
        code = tavo(["proxy", "check", "--config", "p.yaml", "e", *options])
        heard = capsys.readouterr()
        return code, heard.out, heard.err

    return run


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"body": {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}}


def delta(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


EXCHANGES = [
    {"name": "an address", "request": chat(f"mail {MAIL}"),
     "response": {"body": {"choices": [{"index": 0, "message": {"role": "assistant",
                                                                "content": "done"}}]}},
     "expect": {"verdict": "modify", "filters": ["pii"], "upstream_lacks": [MAIL],
                "client_has": ["done"]}},
    {"name": "a question", "request": chat("hi"), "expect": "allow"},
    {"name": "a stream", "request": chat("hi", stream=True),
     "response": {"events": [delta("this is project fal"), delta("con, yes"), "[DONE]"]},
     "expect": {"verdict": "block", "code": "tavo_blocked", "client_lacks": ["project falcon"]}},
    {"name": "another model", "request": {"body": {"model": "o9", "messages": []}},
     "expect": {"verdict": "block", "code": "model_not_allowed"}},
    {"name": "a path", "request": {"path": "/v1/files", "body": "x"},
     "expect": {"verdict": "block", "code": "tavo_unknown_path"}},
    {"name": "Ollama", "request": {"path": "/api/chat", "body": {"model": "m", "messages": []}},
     "response": {"lines": [{"message": {"role": "assistant", "content": "project falcon"}},
                            {"done": True}]},
     "expect": "block"},
]  # fmt: skip


def test_a_policy_that_does_what_it_should_is_0(checked: Checked) -> None:
    code, out, err = checked(EXCHANGES)
    assert (code, err) == (0, "6 exchanges: 6 as expected, 0 not, 0 without an expectation\n")
    assert out == (
        "ok   modify  e:1  an address\n"
        "              request: pii modify EMAIL\n"
        "ok   allow   e:2  a question\n"
        "ok   block   e:3  a stream\n"
        "              response: blocked by content (content.falcon) (tavo_blocked)\n"
        "              response: content block content.falcon\n"
        "ok   block   e:4  another model\n"
        "              request: the model 'o9' is not allowed (model_not_allowed)\n"
        "ok   block   e:5  a path\n"
        "              request: this path is not one that the proxy knows how to judge"
        " (tavo_unknown_path)\n"
        "ok   block   e:6  Ollama\n"
        "              response: blocked by content (content.falcon) (tavo_blocked)\n"
        "              response: content block content.falcon\n"
    )


@pytest.mark.parametrize(
    ("expect", "text"),
    [
        ("block", "the verdict is modify, expected block"),
        ({"code": "tavo_blocked"}, "the code is none, expected tavo_blocked"),
        ({"filters": ["secrets"]}, "secrets said nothing"),
        ({"upstream_has": [MAIL]}, f"the provider does not get '{MAIL}'"),
        ({"upstream_lacks": ["mail"]}, "the provider gets 'mail'"),
    ],
)
def test_what_differs_is_1_and_says_how(checked: Checked, expect: Any, text: str) -> None:
    code, out, err = checked([{"request": chat(f"mail {MAIL}"), "expect": expect}])
    assert code == 1
    assert f"expected otherwise: {text}" in out
    assert "0 as expected, 1 not" in err


def test_todays_verdicts_can_be_written_as_what_is_expected(
    checked: Checked, tmp_path: Path
) -> None:
    plain = [{key: value for key, value in one.items() if key != "expect"} for one in EXCHANGES]
    plain[0]["expect"] = {"upstream_lacks": [MAIL]}
    assert checked(plain, "--write", "w")[0] == 0
    written = (tmp_path / "w").read_text()
    first = json.loads(written.splitlines()[0])
    assert first["expect"] == {"verdict": "modify", "upstream_lacks": [MAIL]}
    code, _, err = checked(written)
    assert (code, err) == (0, "6 exchanges: 6 as expected, 0 not, 0 without an expectation\n")
    (tmp_path / "p.yaml").write_text(POLICY.replace("falcon]", "eagle]"))
    code, _, err = checked(written)
    assert (code, "4 as expected, 2 not" in err) == (1, True)


def test_a_watched_chain_is_checked_as_if_it_blocked(checked: Checked, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(POLICY + "observe: true\n")
    assert checked(EXCHANGES)[0] == 0


def test_what_a_proxy_wrote_down_can_be_replayed(
    checked: Checked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded while it only observed, replayed through a policy that does not exist yet."""

    async def main(texts: bool) -> None:
        log = Audit(file=str(tmp_path / "log"), texts=texts)
        (tmp_path / "log").unlink(missing_ok=True)
        async with staged(audit=log, observe=True) as stage:
            body = json.dumps(chat(f"mail {MAIL}")["body"]).encode()
            await stage.ask(body=body)

    asyncio.run(main(True))
    code, out, err = checked((tmp_path / "log").read_text())
    assert code == 0
    assert out.splitlines()[0].startswith("     modify  e:2  ")
    assert "pii modify EMAIL" in out
    assert "1 exchange: 0 as expected, 0 not, 1 without an expectation" in err
    asyncio.run(main(False))
    code, _, err = checked((tmp_path / "log").read_text())
    assert code == 3
    assert "there is no exchange in e: 1 exchange without texts (audit: texts: true keeps" in err


def test_har_of_other_tools_can_be_replayed(checked: Checked) -> None:
    def entry(url: str, text: str, answer: bytes, kind: str) -> dict[str, Any]:
        return {
            "request": {"method": "POST", "url": url, "headers": [
                {"name": "Content-Type", "value": "application/json"},
                {"name": "Authorization", "value": "Bearer sk-secret"}],
                "postData": {"mimeType": "application/json", "text": text}},
            "response": {"status": 200, "headers": [{"name": "content-type", "value": kind}],
                         "content": {"mimeType": kind, "encoding": "base64",
                                     "text": base64.b64encode(answer).decode()}},
        }  # fmt: skip

    stream = b"".join(
        b"data: %b\n\n" % json.dumps(delta(part)).encode() for part in ("project ", "falcon")
    )
    body = json.dumps(chat("hi", stream=True)["body"])
    code, out, err = checked(json.dumps({"log": {"version": "1.2", "entries": [
        entry("https://api.openai.com/v1/chat/completions", body, stream, "text/event-stream"),
        entry("https://cdn.example/x.js", "", b"", "text/javascript"),
    ]}}), "--write", "w")  # fmt: skip
    assert code == 0
    assert out.startswith("     block   e: entry 1  POST /v1/chat/completions\n")
    assert "left out: 1 request that is none to a model" in err
    assert "sk-secret" not in Path("w").read_text()


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("{", 3, "e:1: is no recorded exchange: Input data was truncated"),
        (
            '\n{"request": {"pth": "/x"}}',
            3,
            "e:2: is no recorded exchange: Object contains unknown",
        ),
        ("", 3, "proxy check: there is no exchange in e"),
        ('{"log": {"entries": 7}}', 3, "e: begins like HAR, and has no log.entries"),
        ('{"log": {"entries": [{}]}}', 3, "e: entry 1 of log.entries is not HAR 1.2"),
        ("[" * 100_000, 3, "e:1: is no recorded exchange"),
    ],
)
def test_what_cannot_be_read_is_named(checked: Checked, text: str, code: int, says: str) -> None:
    got, _, err = checked(text)
    assert got == code
    assert says in err


def test_a_policy_without_filters_checks_nothing_and_says_so(
    checked: Checked, tmp_path: Path
) -> None:
    (tmp_path / "p.yaml").write_text("proxy: 1\nupstreams: {a: {url: 'http://127.0.0.1:1'}}\n")
    code, _, err = checked(EXCHANGES)
    assert (code, "has no filters, so there is nothing to check" in err) == (2, True)
    assert tavo(["proxy", "check", "e"]) == 2


def test_the_examples_of_the_guide_are_what_they_say(checked: Checked, tmp_path: Path) -> None:
    from tavo.proxy.config import load_config

    guide = (ROOT / "docs" / "proxy.md").read_text()
    blocks = re.findall(r"```(\w*)\n(.*?)```", guide, re.DOTALL)
    for kind, text in blocks:
        if kind == "yaml":
            whole = text if "upstreams:" in text else f"upstreams: {{a: {{url: http://x}}}}\n{text}"
            load_config((whole if "proxy: 1" in whole else f"proxy: 1\n{whole}").encode(), "guide")
    (lines,) = [text for kind, text in blocks if kind == "json"]
    (tmp_path / "p.yaml").write_text(POLICY.replace('models: ["gpt-*", m]\n', ""))
    code, out, err = checked(lines)
    assert (code, "2 as expected" in err) == (0, True), out
