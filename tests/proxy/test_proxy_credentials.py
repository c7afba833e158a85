"""Credentials at the door: the client's never goes up, the upstream's never comes down."""

from __future__ import annotations

import asyncio
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from tavo.proxy.config import Audit, Key, Secret
from tavo.proxy.http.masking import Mask
from tests.fakes.scripted_upstream import REPLY, STREAM, Asked, answer, chunk, saying, staged

REAL, VIRTUAL = "sk-real-credential-0123", "virtual-1/+x"
SECRETS = {"REAL": REAL, "ONE": VIRTUAL}
HELD: dict[str, Any] = {
    "upstream": {"credential": Secret(env="REAL")}, "environment": SECRETS,
    "keys": {"one": Key(env="ONE")},
}  # fmt: skip
ONE = b"Authorization: Bearer " + VIRTUAL.encode()
GEMINI = b"/v1beta/models/g:generateContent"


# -- in the query


@pytest.mark.parametrize(
    "query",
    [b"key=virtual-1%2F%2Bx", b"k%65y=virtual-1/%2bx&alt=sse", b"alt=sse&KEY=virtual-1/%2Bx"],
)
def test_a_virtual_key_in_the_query_works_and_goes_nowhere(query: bytes, tmp_path: Path) -> None:
    async def main() -> tuple[int, bytes]:
        log = Audit(file=str(tmp_path / "audit.jsonl"))
        async with staged(audit=log, **HELD) as stage:
            status, _, _ = await stage.ask(path=GEMINI + b"?" + query)
            return status, stage.upstream.asked[0].head

    status, head = asyncio.run(main())
    assert status == 200
    assert b"virtual-1" not in head
    assert b"authorization: Bearer " + REAL.encode() in head
    assert "virtual-1" not in (tmp_path / "audit.jsonl").read_text()


def test_a_key_of_the_provider_in_the_query_goes_on_as_a_header() -> None:
    async def main() -> tuple[bytes, bytes | None, bytes]:
        async with staged() as stage:
            await stage.ask(path=GEMINI + b"?key=AIza-own&alt=sse")
            await stage.ask(path=b"/mcp?key=of-a-tool", body=b"{}")
            first, second = stage.upstream.asked
            return first.line, first["x-goog-api-key"], second.line

    line, header, other = asyncio.run(main())
    assert line == b"POST " + GEMINI + b"?alt=sse HTTP/1.1"
    assert header == b"AIza-own"
    assert other == b"POST /mcp?key=of-a-tool HTTP/1.1", (
        "of another provider it means another thing"
    )


# -- in headers


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("X-Provider-Key", b"X-Provider-Key: mine"), ("X-Provider-Key", b"x_provider_key: mine"),
     (None, b"X_Api_Key: mine"), (None, b"x-goog-api-key: mine")],
)  # fmt: skip
def test_no_header_of_the_client_stands_beside_ours(ours: str | None, theirs: bytes) -> None:
    held = {**HELD, "upstream": {"credential": Secret(env="REAL", header=ours)}}

    async def main() -> bytes:
        async with staged(**held) as stage:
            assert (await stage.ask(ONE, theirs))[0] == 200
            return stage.upstream.asked[0].head

    head = asyncio.run(main())
    assert b"mine" not in head
    assert VIRTUAL.encode() not in head
    assert head.count(REAL.encode()) == 1


# -- on the way back


def echoing(*, stream: bool) -> Any:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        said = asked["authorization"] or b""
        body = json.dumps({"error": {"message": f"wrong key: {said.decode()}!"}}).encode()
        if not stream:
            writer.write(answer(body, b"x-echo: " + said, status=b"401 Unauthorized"))
            return
        writer.write(STREAM)
        for at in range(0, len(body), 3):
            writer.write(chunk(body[at : at + 3]))
            await writer.drain()
            await asyncio.sleep(0.001)
        writer.write(chunk(b"\n\n" + said[:-1]) + b"0\r\n\r\n")

    return script


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("filters", [[], [{"filter": "pii"}]], ids=["passing", "filtering"])
def test_an_upstream_that_repeats_its_credential_gives_it_to_nobody(
    stream: bool, filters: list[Any]
) -> None:
    async def main() -> bytes:
        async with staged(echoing(stream=stream), filters=filters, **HELD) as stage:
            client = await stage.client()
            client.post(b'{"model":"m","messages":[]}', ONE, b"Connection: close")
            return await client.rest()

    out = asyncio.run(main())
    assert out.startswith(b"HTTP/1.1 ")
    assert REAL.encode() not in out
    if not filters:
        assert b"*" * len(REAL) in out
        assert out.endswith(b'"}}' if not stream else b"0\r\n\r\n")


def test_control_without_the_mask_the_credential_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tavo.proxy.admission import Admission

    monkeypatch.setattr(Admission, "secret", lambda *_: b"")

    async def main() -> bytes:
        async with staged(echoing(stream=False), **HELD) as stage:
            return (await stage.ask(ONE))[2]

    assert REAL.encode() in asyncio.run(main())


def test_an_answer_that_is_compressed_could_hold_it_unseen() -> None:
    async def main() -> tuple[bytes | None, int]:
        packed = saying(answer(b"\x1f\x8b", b"content-encoding: gzip"))
        async with staged(packed, **HELD) as stage:
            status, _, _ = await stage.ask(ONE, b"Accept-Encoding: gzip")
            return stage.upstream.asked[0]["accept-encoding"], status

    assert asyncio.run(main()) == (b"identity", 502)


def test_a_credential_is_masked_behind_who_unpacks_an_answer() -> None:
    body = zlib.compress(b'{"message":"wrong key: ' + REAL.encode() + b'"}')
    packed = saying(answer(body, b"content-encoding: deflate", status=b"401 No"))

    async def main() -> bytes:
        async with staged(packed, filters=[{"filter": "pii"}], **HELD) as stage:
            return (await stage.ask(ONE))[2]

    assert b"wrong key: " + b"*" * len(REAL) in asyncio.run(main())


def test_a_mask_is_as_long_as_what_it_hides_whatever_the_cut() -> None:
    secret = b"abcabcabd-secret"
    text = b"x abcabcabcabd-secret y abcabca abcabcabd-secret abcabcab"
    for size in range(1, len(text)):
        mask = Mask(secret)
        out = b"".join(mask.feed(text[at : at + size]) for at in range(0, len(text), size))
        assert out + mask.end() == text.replace(secret, b"*" * len(secret))


# -- what the client reads when it may not pass


@pytest.mark.parametrize(
    ("path", "shape"),
    [(b"/v1/chat/completions", {"error": {"message", "type", "param", "code"}}),
     (b"/v1/responses", {"error": {"message", "type", "param", "code"}}),
     (b"/v1/messages", {"type": None, "error": {"type", "message"}}),
     (GEMINI, {"error": {"code", "message", "status", "details"}})],
)  # fmt: skip
def test_who_has_no_key_reads_it_as_the_dialect_says_it(path: bytes, shape: dict[str, Any]) -> None:
    async def main() -> tuple[int, Any]:
        async with staged(**HELD) as stage:
            status, _, body = await stage.ask(path=path)
            return status, json.loads(body)

    status, value = asyncio.run(main())
    assert status == 401
    assert value.keys() == shape.keys()
    assert set(value["error"]) == shape["error"]
    assert REPLY not in json.dumps(value).encode()


@pytest.mark.parametrize("body", [b'{"Model":"gpt-5","messages":[]}',
                                  b'{"model":"m","MODEL":"gpt-5","messages":[]}'])  # fmt: skip
def test_a_model_in_other_letters_is_no_way_around_the_list(body: bytes) -> None:
    async def main() -> int:
        async with staged(models=["m"]) as stage:
            return (await stage.ask(body=body))[0]

    assert asyncio.run(main()) in {400, 403}
