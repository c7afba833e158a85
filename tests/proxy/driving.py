"""Drives an exchange as the wire does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tavo.proxy.chain.build import build_chain
from tavo.proxy.chain.chain import Chain
from tavo.proxy.exchange import ChainExchange
from tavo.proxy.messages import Finished, Forward, Mode, Pending, Refusal, RequestHead, Route
from tests.fakes.dialect_traffic import Speaker

KEY = b"k" * 32


def chain_of(*entries: Mapping[str, Any], observe: bool = False) -> Chain:
    return build_chain(entries, key=KEY, observe=observe)


@dataclass
class Done:
    """What came of an exchange."""

    exchange: ChainExchange
    sent: bytes = b""
    out: bytes = b""
    refusal: Refusal | None = None

    @property
    def body(self) -> Any:
        return json.loads(self.sent)

    @property
    def said(self) -> set[tuple[str, str, str]]:
        return {(one.filter, one.action, one.where) for one in self.exchange.record.said}


def resumed(exchange: ChainExchange, answer: Any) -> Any:
    while isinstance(answer, Pending):
        asyncio.run(answer.run())  # type: ignore[arg-type]
        answer = exchange.resume()
    return answer


def asked(
    chain: Chain, speaker: Speaker, body: Any, *, client: str = "client", secret: bytes = b"s" * 32,
    headers: Iterable[tuple[bytes, bytes]] = (), path: bytes = b"",
    query: bytes | None = None, **options: Any,
) -> Done:  # fmt: skip
    """Send the request only."""
    exchange = ChainExchange(chain, **options)
    done = Done(exchange)
    route = exchange.request_head(RequestHead(
        method=b"POST", path=path or speaker.path, query=speaker.query if query is None else query,
        headers=list(headers),
        client=client, secret=secret, now=1000.0,
    ))  # fmt: skip
    if isinstance(route, Refusal):
        done.refusal = route
        return done
    assert isinstance(route, Route)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = resumed(exchange, exchange.request_body(raw))
    if isinstance(answer, Refusal):
        done.refusal = answer
    else:
        assert isinstance(answer, Forward)
        done.sent = answer.body
    return done


def answered(
    done: Done, speaker: Speaker, pieces: Sequence[bytes], *, whole: bool = False,
    headers: Iterable[tuple[bytes, bytes]] = (), status: int = 200,
) -> Done:  # fmt: skip
    """Let the upstream answer."""
    exchange = done.exchange
    kind = b"application/json" if whole else speaker.content_type
    head = exchange.response_head(status, [(b"content-type", kind), *headers])
    if isinstance(head, Refusal):
        done.refusal = head
        return done
    out: list[bytes] = []
    for piece in pieces:
        out += resumed(exchange, exchange.response_data(piece))
        if exchange.blocked:
            break
    else:
        if head.mode is not Mode.PASS:
            out += resumed(exchange, exchange.response_end())
    done.out = b"".join(out)
    if exchange.blocked is not None:
        done.refusal = exchange.blocked
    exchange.close(Finished.BLOCKED if exchange.blocked else Finished.DONE)
    return done


def cut(data: bytes, sizes: Iterable[int]) -> list[bytes]:
    """Cut bytes into pieces; the last takes the rest."""
    out, at = [], 0
    for size in sizes:
        if at >= len(data):
            break
        out.append(data[at : at + size])
        at += size
    return [*out, data[at:]] if at < len(data) else out
