"""Who may pass, where to, with whose credential; budgets, and the configuration behind them."""

from __future__ import annotations

import asyncio
import hashlib
import stat
from pathlib import Path
from typing import Any

import pytest

from tavo.errors import ConfigError
from tavo.llm.prices import Prices, amount
from tavo.proxy.budgets import Budgets
from tavo.proxy.config import (
    Budget,
    Key,
    Listen,
    Price,
    Secret,
    Upstream,
    load_config,
)
from tavo.proxy.litellm import converted, yaml_of
from tavo.proxy.passing import usage_in
from tests.fakes.scripted_upstream import BODY, staged

REAL, VIRTUAL, OTHER = "sk-real", "virtual-1", "virtual-2"
SECRETS = {"REAL": REAL, "ONE": VIRTUAL, "TWO": OTHER}
HELD: dict[str, Any] = {"upstream": {"credential": Secret(env="REAL")}, "environment": SECRETS}


# -- keys


@pytest.mark.parametrize(
    "header", ["authorization: Bearer ", "x-api-key: ", "x-goog-api-key: ", "api-key: "]
)
def test_a_virtual_key_is_exchanged_for_the_credential_in_the_same_place(header: str) -> None:
    async def main() -> tuple[int, list[tuple[bytes, ...]]]:
        async with staged(keys={"one": Key(env="ONE")}, **HELD) as stage:
            status, _, _ = await stage.ask((header + VIRTUAL).encode())
            return status, stage.upstream.asked[0].headers

    status, headers = asyncio.run(main())
    assert status == 200
    name, _, scheme = header.partition(": ")
    assert (name.encode(), (scheme + REAL).encode()) in headers
    assert VIRTUAL.encode() not in b"".join(b"".join(pair) for pair in headers)


def test_a_key_in_the_query_of_gemini_does_not_go_on() -> None:
    async def main() -> tuple[int, bytes, bytes | None]:
        path = b"/v1beta/models/g:generateContent?key=" + VIRTUAL.encode() + b"&alt=sse"
        async with staged(keys={"one": Key(env="ONE")}, **HELD) as stage:
            status, _, _ = await stage.ask(path=path)
            asked = stage.upstream.asked[0]
            return status, asked.line, asked["authorization"]

    status, line, credential = asyncio.run(main())
    assert status == 200
    assert line == b"POST /v1beta/models/g:generateContent?alt=sse HTTP/1.1"
    assert credential == b"Bearer sk-real"


@pytest.mark.parametrize("given", ["", "Authorization: Bearer wrong", "Authorization: Basic x"])
def test_without_a_known_key_nobody_passes(given: str) -> None:
    async def main() -> tuple[int, bytes, int]:
        async with staged(keys={"one": Key(env="ONE")}, **HELD) as stage:
            status, _, body = await stage.ask(*([given.encode()] if given else []))
            return status, body, len(stage.upstream.asked)

    status, body, asked = asyncio.run(main())
    assert (status, asked) == (401, 0)
    assert b'"code":"invalid_api_key"' in body


def test_without_keys_the_credential_of_the_client_goes_on() -> None:
    """The control of the tests above: nothing is exchanged where nothing is configured."""

    async def main() -> bytes | None:
        async with staged() as stage:
            await stage.ask(b"Authorization: Bearer own")
            return stage.upstream.asked[0]["authorization"]

    assert asyncio.run(main()) == b"Bearer own"


def test_a_key_may_do_what_it_may() -> None:
    keys = {
        "one": Key(env="ONE", models=["gpt-*"]),
        "two": Key(sha256=hashlib.sha256(OTHER.encode()).hexdigest(), upstreams=["else"]),
    }

    async def main() -> list[tuple[int, str]]:
        out = []
        async with staged(keys=keys, models=["gpt-4*", "m"], **HELD) as stage:
            stage.app.config.upstreams["else"] = Upstream(url="http://127.0.0.1:9")
            for key, model in (
                (VIRTUAL, b'"gpt-4"'), (VIRTUAL, b'"m"'), (VIRTUAL, b'"gpt-3"'), (VIRTUAL, b"7"),
                (VIRTUAL, b'"gpt-4","model":"gpt-5"'), (OTHER, b'"m"'),
                (VIRTUAL, b'"gpt-4","\\u006dodel":"gpt-5"'),
            ):  # fmt: skip
                status, _, body = await stage.ask(
                    b"Authorization: Bearer " + key.encode(), body=b'{"model":%b}' % model
                )
                code = body.split(b'"code":"')[1].split(b'"')[0].decode() if status > 200 else ""
                out.append((status, code))
            assert len(stage.upstream.asked) == 1
        return out

    assert asyncio.run(main()) == [
        (200, ""), (403, "model_not_allowed"), (403, "model_not_allowed"),
        (403, "model_not_allowed"), (400, "ambiguous"), (403, "upstream_not_allowed"),
        (400, "ambiguous"),
    ]  # fmt: skip


def test_a_budget_is_one_for_all_workers_and_says_when_there_is_more() -> None:
    async def main() -> list[int]:
        keys = {"one": Key(env="ONE", budget=Budget(requests_per_minute=3))}
        async with staged(keys=keys, **HELD) as stage:
            out = []
            for _ in range(4):
                status, fields, body = await stage.ask(b"Authorization: Bearer virtual-1")
                out.append(status)
            assert fields[b"x-should-retry"] == b"false"
            assert 0 < int(fields[b"retry-after"]) <= 60
            assert b"the budget of one is used up: 3 requests per minute" in body
            return out

    assert asyncio.run(main()) == [200, 200, 200, 429]
    budgets = Budgets(3)
    budget = Budget(tokens_per_day=100, cost_per_day=0.5)
    for worker in range(3):
        budgets.belong_to(worker)
        budgets.charge(7, 1000.0, tokens=30, cost=0.1)
    assert budgets.refused(7, budget, 1000.0) is None
    budgets.charge(7, 1001.0, tokens=10, cost=0.1)
    assert budgets.refused(7, budget, 1002.0) == ("100 tokens per day", 86_400 - 1002)
    assert budgets.refused(8, budget, 1002.0) is None
    assert budgets.refused(7, budget, 1002.0 + 86_400) is None
    assert budgets.refused(7, Budget(cost_per_day=0.4), 1002.0) is not None


def test_tokens_and_cost_of_an_answer_are_charged() -> None:
    async def main() -> dict[str, float]:
        keys = {"one": Key(env="ONE")}
        prices = {"m*": Price(input=1.0, output=2.0)}
        async with staged(keys=keys, prices=prices, **HELD) as stage:
            await stage.ask(b"Authorization: Bearer virtual-1")
            await asyncio.sleep(0)
            return stage.app.used()["one"]

    used = asyncio.run(main())
    assert used["tokens_per_day"] == 12
    assert used["cost_per_day"] == pytest.approx(15e-6)


def test_the_price_of_the_nearest_name_holds() -> None:
    prices = {"gpt-4*": Price(input=1.0), "gpt-4o*": Price(input=2.0, cached=0.5, output=4.0)}
    assert amount(Prices(prices).of("gpt-4o-mini"), 1_000_000, 0, 0) == 2.0
    assert amount(Prices(prices).of("gpt-4"), 1_000_000, 0, 0) == 1.0
    assert amount(Prices(prices).of("gpt-4o"), 1_000_000, 1_000_000, 400_000) == pytest.approx(5.4)
    assert amount(Prices(prices).of("other"), 9, 9, 9) == 0.0


# -- ways


def test_a_prefix_chooses_the_upstream_and_is_taken_away() -> None:
    async def main() -> list[tuple[int, bytes]]:
        out = []
        async with staged() as stage:
            port = stage.upstream.port
        async with staged(
            upstreams={"a": Upstream(url=f"http://127.0.0.1:{port}", prefix="/a")}
        ) as stage:
            status, _, _ = await stage.ask(path=b"/a/v1/chat/completions")
            out.append((status, b""))
        async with staged() as back:
            url = f"http://127.0.0.1:{back.upstream.port}/openai/v1"
            ways = {"a": Upstream(url=url, prefix="/a"), "b": Upstream(url=url, prefix="/a/b")}
            async with staged(upstreams=ways) as stage:
                for path in (b"/a/v1/chat/completions", b"/a/b/v1/chat/completions",
                             b"/ab/v1/chat/completions", b"/v1/chat/completions"):  # fmt: skip
                    status, _, _ = await stage.ask(path=path)
                    line = back.upstream.asked[-1].line if status == 200 else b""
                    out.append((status, line.split(b" ")[1] if line else b""))
        return out

    assert asyncio.run(main())[1:] == [
        (200, b"/openai/v1/chat/completions"), (200, b"/openai/v1/chat/completions"),
        (404, b""), (404, b""),
    ]  # fmt: skip


@pytest.mark.parametrize(("rule", "status"), [("block", 404), ("pass", 200), ("record", 200)])
def test_an_unknown_path_follows_the_rule(rule: str, status: int) -> None:
    async def main() -> int:
        async with staged(unknown_paths=rule) as stage:
            return (await stage.ask(path=b"/v9/unknown"))[0]

    assert asyncio.run(main()) == status


def test_a_web_page_is_refused_unless_its_origin_is_listed() -> None:
    async def main() -> list[int]:
        out = []
        for origins in ([], ["https://ours.example"]):
            async with staged(listen=Listen(port=0, origins=origins)) as stage:
                out += [
                    (await stage.ask(header.encode()))[0]
                    for header in ("Origin: https://evil.example", "Origin: https://ours.example",
                                   "Origin: null", "X-None: 1")
                ]  # fmt: skip
            async with staged() as stage:
                out.append((await stage.ask(b"Sec-Fetch-Site: cross-site"))[0])
        return out

    assert asyncio.run(main()) == [403, 403, 403, 200, 403, 403, 200, 403, 200, 403]


# -- the file


BASE = "proxy: 1\nupstreams:\n  a: {url: 'http://x'}\n"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (BASE + "limts: {}", "p.yaml: unknown key 'limts'", "Did you mean 'limits'?"),
        (BASE + "limits: {client_hed_s: 3}", "p.yaml: limits: unknown key 'client_hed_s'",
         "Did you mean 'client_head_s'?"),
        (BASE + "audit: {}", "p.yaml: audit: there is no 'file'", ""),
        (BASE + "listen: {port: eighty}", "p.yaml: listen.port: Expected 'int', got 'str'", ""),
        (BASE + "keys: {k: {env: K}}", "p.yaml: upstreams.a: has no credential", "Add credential"),
        ("proxy: 1\nupstreams: {a: {url: 'ftp://x'}}", "p.yaml: upstreams.a.url is 'ftp://x'", ""),
        ("proxy: 1\nupstreams: {a: {url: 'http://u:p@x'}}", "has more than host", "`credential`"),
        ("proxy: 1\nupstreams: {a: {url: 'http://x'}, b: {url: 'http://y'}}",
         "p.yaml: upstreams.b: a takes every request already", "prefix: /b"),
        ("proxy: 1\nlisten: {address: 0.0.0.0}\n"
         "upstreams: {a: {url: 'http://x', credential: {env: A}}}",
         "whoever reaches 0.0.0.0 could use it", "listen on 127.0.0.1"),
        ("proxy: 1\nupstreams: {a: {url: 'http://x', credential: {env: A, file: b}}}",
         "has env and file, expected one of env, file, unsafe_value", ""),
        ("model_list: []", "is a configuration of LiteLLM", "--litellm"),
        ("a: &x 1\nb: *x", "p.yaml:1:4", "no anchors"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_place(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(text.encode(), "p.yaml")
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_paths_are_relative_to_the_file_and_secrets_are_private(tmp_path: Path) -> None:
    text = (
        BASE.replace("'http://x'", "'http://x', credential: {file: key}") + "audit: {file: a.log}"
    )
    config = load_config(text.encode(), "p.yaml", tmp_path)
    assert config.audit is not None
    assert config.audit.file == str(tmp_path / "a.log")
    secret = tmp_path / "key"
    secret.write_text(REAL + "\n")

    async def main() -> None:
        async with staged(
            upstreams={
                "a": Upstream(url="http://127.0.0.1:9", credential=config.upstreams["a"].credential)
            }
        ):
            pass

    secret.chmod(stat.S_IRUSR)
    asyncio.run(main())
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match="others may read"):
        asyncio.run(main())


def test_a_variable_that_is_not_set_is_named_and_a_secret_never_shown() -> None:
    async def main(secrets: dict[str, str]) -> None:
        async with staged(**{**HELD, "environment": secrets}):
            pass

    with pytest.raises(ConfigError, match="the variable REAL is not set"):
        asyncio.run(main({}))
    with pytest.raises(ConfigError) as caught:
        asyncio.run(main({"REAL": "two words-secret"}))
    assert "words-secret" not in str(caught.value)


def test_a_litellm_configuration_is_a_start() -> None:
    text = b"""
model_list:
  - model_name: fast
    litellm_params: {model: openai/gpt-4o-mini, api_key: os.environ/MY_KEY, rpm: 5}
  - model_name: claude
    litellm_params: {model: anthropic/claude-x, api_key: sk-in-clear}
  - model_name: own
    litellm_params: {model: hosted_vllm/own, api_base: "http://10.0.0.1:8000/v1"}
  - model_name: bed
    litellm_params: {model: bedrock/x}
litellm_settings: {drop_params: true}
"""
    value, notes = converted(text, "litellm.yaml")
    config = load_config(yaml_of(value).encode(), "out.yaml")
    assert {name: (one.url, one.prefix) for name, one in config.upstreams.items()} == {
        "openai": ("https://api.openai.com", "/openai"),
        "anthropic": ("https://api.anthropic.com", "/anthropic"),
        "hosted_vllm": ("http://10.0.0.1:8000/v1", "/hosted_vllm"),
    }
    assert config.upstreams["openai"].credential == Secret(env="MY_KEY")
    assert config.upstreams["anthropic"].credential == Secret(env="ANTHROPIC_API_KEY")
    assert config.models == ["gpt-4o-mini", "claude-x", "own"]
    assert "sk-in-clear" not in yaml_of(value)
    said = "\n".join(notes)
    for part in ("'bedrock' is not known", "key in clear", "rpm of fast", "litellm_settings"):
        assert part in said


# Made after examples of LiteLLM: balancing, wildcards, credentials, guardrails.
LITELLM = b"""
model_list:
  - model_name: gpt-4o
    litellm_params:
      {model: azure/gpt-4o-eu, api_base: "https://eu.openai.azure.com/", api_key: os.environ/EU,
       api_version: "2024-02-01", input_cost_per_token: 0.0000025, rpm: 6}
    model_info: {mode: chat, output_cost_per_token: 0.00001}
  - model_name: gpt-4o
    litellm_params:
      {model: azure/gpt-4o-ca, api_base: "https://ca.openai.azure.com/",
       litellm_credential_name: ca}
    tpm: 20_000
  - model_name: fake
    litellm_params: {model: openai/fake, api_key: fake-key, api_base: "http://10.0.0.9:8000/v1"}
  - model_name: keyless
    litellm_params: {model: openai/keyless, api_base: "http://10.0.0.8:8000/v1"}
  - model_name: openai/*
    litellm_params: {model: openai/*, api_key: os.environ/OPENAI_API_KEY}
  - model_name: openai/*
    litellm_params: {model: openai/*, api_key: os.environ/SECOND_KEY}
  - model_name: away
    litellm_params: {model: openai/x, api_base: os.environ/BASE}
  - model_name: nowhere
    litellm_params: {model: ollama/mistral, api_base: your_ollama_api_base}
credential_list:
  - credential_name: ca
    credential_values: {api_key: os.environ/CA}
mcp_servers:
  wiki: {url: "https://mcp.example/mcp", transport: http, auth_type: none}
  local: {transport: stdio, command: npx}
guardrails:
  - guardrail_name: guard
    litellm_params: {guardrail: presidio, mode: pre_call}
litellm_settings: {drop_params: true, unheard_of: 1}
general_settings: {master_key: sk-1234, pass_through_endpoints: [{path: /x}]}
router_settings: {routing_strategy: least-busy}
environment_variables: {REDIS_HOST: x}
include: [other.yaml]
"""


def test_each_part_of_a_litellm_configuration_is_taken_or_named() -> None:
    value, notes = converted(LITELLM, "litellm.yaml")
    config = load_config(yaml_of(value).encode(), "out.yaml")
    assert {name: one.credential for name, one in config.upstreams.items()} == {
        "azure": Secret(env="EU"), "azure-ca-openai-azure-com": Secret(env="CA"),
        "openai-10-0-0-9-8000": Secret(env="OPENAI_10_0_0_9_8000_API_KEY"),
        "openai-10-0-0-8-8000": None, "openai": Secret(env="OPENAI_API_KEY"), "mcp-wiki": None,
    }  # fmt: skip
    assert config.prices == {"gpt-4o-eu": Price(input=2.5, output=10.0)}
    assert config.models is None  # openai/*
    assert "sk-1234" not in yaml_of(value)
    said = "\n".join(notes)
    for part in (
        "model_list[0]: api_version of gpt-4o is not taken over",
        "model_list[0]: rpm of gpt-4o is not taken over; here: keys with a budget",
        "model_list[0]: model_info.mode of gpt-4o is not taken over",
        "model_list[0]: gpt-4o: clients ask with Azure's own paths",
        "model_list[1]: tpm of gpt-4o is not taken over",
        "model_list[2]: the key in clear of fake is not taken over: set OPENAI_10_0_0_9_8000_API",
        "model_list[5]: the key SECOND_KEY of openai/* is not taken over: openai is asked with",
        "model_list[6]: away is left out: its api_base comes from the environment (BASE)",
        "model_list[7]: nowhere is left out: its api_base 'your_ollama_api_base' is no address",
        "mcp_servers.wiki.auth_type is not taken over", "mcp_servers.local: is left out",
        "guardrails[0] (guard) is not taken over: the filter pii is nearest",
        "litellm_settings.unheard_of is not taken over", "general_settings.master_key is not taken",
        "general_settings.pass_through_endpoints is not taken over: here: an upstream with",
        "router_settings.routing_strategy is not taken over", "environment_variables is not taken",
        "include is not taken over: convert that file on its own",
    ):  # fmt: skip
        assert part in said, part


def test_a_usual_key_never_goes_to_an_address_that_is_not_its_providers() -> None:
    """A placeholder key beside an own address must not become OPENAI_API_KEY there."""
    for extra in ("", ", api_key: none"):
        text = (
            "model_list: [{model_name: a, litellm_params: {model: openai/a,"
            f" api_base: 'http://10.0.0.9/v1'{extra}}}}}]"
        )
        assert "OPENAI_API_KEY" not in yaml_of(converted(text.encode(), "l")[0])


# -- usage


@pytest.mark.parametrize(
    ("first", "last", "found"),
    [
        (b"", b'data: {"usage":{"prompt_tokens":9,"completion_tokens":3,'
         b'"prompt_tokens_details":{"cached_tokens":4}}}\n\ndata: [DONE]\n\n', (9, 3, 4)),
        (b'data: {"message":{"usage":{"input_tokens":5,"output_tokens":1}}}',
         b'data: {"type":"message_delta","usage":{"output_tokens":7}}', (5, 7, 0)),
        (b"", b'{"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4}}', (3, 4, 0)),
        (b"", b'{"done":true,"prompt_eval_count":2,"eval_count":6}', (2, 6, 0)),
        (b"", b'{"content":"\\"usage\\":{\\"prompt_tokens\\":9}"}', None),
        (b"", b'{"usage":null}', None),
        (b"", b'{"usage":{"prompt_tokens":-5,"completion_tokens":"x"}}', (0, 0, 0)),
    ],
)  # fmt: skip
def test_usage_is_read_from_the_ends_of_an_answer(
    first: bytes, last: bytes, found: tuple[int, int, int] | None
) -> None:
    assert usage_in(first, last) == found


def test_the_body_goes_on_as_it_came() -> None:
    async def main() -> bytes:
        async with staged() as stage:
            await stage.ask(body=b'{ "model" : "m" , "x":1.0}')
            return stage.upstream.asked[0].body

    assert asyncio.run(main()) == b'{ "model" : "m" , "x":1.0}'
    assert BODY
