"""TLS on both sides: certificates are verified, unless somebody says in so many words not to."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from tavo.proxy.config import Listen, Tls, Upstream
from tests.fakes.certificates import self_signed
from tests.fakes.scripted_upstream import REPLY, Client, ScriptedUpstream, answer, saying, staged


def context_of(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def test_an_upstream_is_trusted_by_its_certificate_alone(tmp_path: Path) -> None:
    pem = self_signed(tmp_path, "127.0.0.1")
    (tmp_path / "other").mkdir()
    other = self_signed(tmp_path / "other", "elsewhere.example")

    async def status(served: Path, **options: object) -> tuple[int, bytes, int]:
        back = ScriptedUpstream(saying(answer()))
        await back.start(context_of(served))
        one = Upstream(url=f"https://127.0.0.1:{back.port}", **options)  # type: ignore[arg-type]
        async with staged(upstreams={"back": one}) as stage:
            code, _, body = await stage.ask()
        await back.stop()
        return code, body, len(back.asked)

    async def main() -> None:
        # not known to the system
        code, body, asked = await status(pem)
        assert (code, asked) == (502, 0)
        assert b"back cannot be trusted: self-signed certificate" in body
        # known, and for this name
        assert await status(pem, certificates=str(pem)) == (200, REPLY, 1)
        # known, and for another name
        code, body, asked = await status(other, certificates=str(other))
        assert (code, asked) == (502, 0)
        assert b"cannot be trusted: IP address mismatch" in body
        # the control: without verification anybody is the upstream
        assert await status(other, unsafe_unverified=True) == (200, REPLY, 1)

    asyncio.run(main())


def test_clients_can_be_served_over_tls(tmp_path: Path) -> None:
    pem = self_signed(tmp_path, "127.0.0.1")

    async def main() -> tuple[int, bytes]:
        listen = Listen(port=0, tls=Tls(certificate=str(pem), key=str(pem)))
        async with staged(listen=listen) as stage:
            context = ssl.create_default_context(cafile=str(pem))
            client = Client(
                *await asyncio.open_connection("127.0.0.1", stage.app.port, ssl=context)
            )
            client.post()
            status, _, body = await client.answer()
            client.send(b"GET / HTTP/1.1\nHost: a\n\n")
            assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
            return status, body

    assert asyncio.run(main()) == (200, REPLY)
