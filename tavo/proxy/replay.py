"""Recorded exchanges through the chain of a configuration, without a network.

The judge and the exchange are those that serve; only the wire is missing. Keys, budgets and
credentials are the door's and are not asked; the list of models is.

Units: none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import msgspec

from tavo.errors import ConfigError
from tavo.proxy.admission import model_is_among
from tavo.proxy.config import ProxyConfig
from tavo.proxy.judging import OBSERVED, WorkerOf, judge_of
from tavo.proxy.messages import (
    Exchange,
    Finished,
    Mode,
    Pending,
    Refusal,
    RequestHead,
    Said,
)
from tavo.proxy.recorded import Expected, Recorded

__all__ = ["Replayed", "replayed"]

_SECRET = b"tavo proxy check: one client, ever".ljust(64, b".")
"""Placeholders are the same in each replay, so that they can stand in an expectation."""


class Replayed(msgspec.Struct, kw_only=True):
    """What a chain said of an exchange. `wrong` says how that differs from what was expected."""

    recorded: Recorded
    verdict: str = "allow"
    code: str = ""
    phase: str = ""
    reason: str = ""
    said: list[Said] = []
    unjudged: str = ""
    upstream: bytes = b""
    client: bytes = b""
    wrong: list[str] = []


async def replayed(
    config: ProxyConfig, exchanges: Iterable[Recorded], worker_of: WorkerOf | None = None
) -> AsyncIterator[Replayed]:
    """Yield what the chain of a configuration says of each exchange. Raises ConfigError."""
    filters = config.filters or ([{"filter": one} for one in OBSERVED] if config.observe else [])
    if not filters:
        raise ConfigError(
            "proxy check: the configuration has no filters, so there is nothing to check",
            hint="docs/proxy-filters.md shows what can stand there.",
        )
    # what it would do is the question, also where it only observes
    judge = judge_of(msgspec.structs.replace(config, filters=filters, observe=False), worker_of)
    try:
        await judge.start()
        for one in exchanges:
            done = await _through(judge.exchange(), one, config.models)
            if one.expect is not None:
                done.wrong = _differences(done, one.expect)
            yield done
    finally:
        await judge.retire()


async def _through(exchange: Exchange, one: Recorded, models: Sequence[str] | None) -> Replayed:
    done = Replayed(recorded=one)
    try:
        refusal = await _request(exchange, one, models, done)
        if refusal is not None:
            done.phase = "request"
        elif one.pieces is not None:
            refusal = await _response(exchange, one, one.pieces, done)
            done.phase = "response" if refusal is not None else ""
    finally:
        exchange.close(Finished.DONE)
    record = exchange.record
    done.verdict, done.said, done.unjudged = record.verdict, list(record.said), record.unjudged
    if refusal is not None:
        done.verdict, done.code, done.reason = "block", refusal.code, refusal.reason
        done.client += refusal.body
    return done


async def _request(
    exchange: Exchange, one: Recorded, models: Sequence[str] | None, done: Replayed
) -> Refusal | None:
    route = exchange.request_head(
        RequestHead(
            method=one.method.encode("latin-1", "replace"), path=one.path.encode(),
            query=one.query.encode(), headers=list(one.headers), client="check", secret=_SECRET,
            now=0.0,
        )
    )  # fmt: skip
    if isinstance(route, Refusal):
        return route
    if not route.whole:
        done.upstream = one.body
        return None
    answer = await _waited(exchange, exchange.request_body(one.body))
    if isinstance(answer, Refusal):
        return answer
    if models is not None and answer.body and not model_is_among(answer.model, tuple(models)):
        return exchange.refusal(
            403, "model_not_allowed", f"the model {answer.model[:100]!r} is not allowed"
        )
    done.upstream = answer.body
    return None


async def _response(
    exchange: Exchange, one: Recorded, pieces: Sequence[bytes], done: Replayed
) -> Refusal | None:
    head = exchange.response_head(one.status, list(one.answer_headers))
    if isinstance(head, Refusal):
        return head
    out: list[bytes] = []
    passes = head.mode in (Mode.PASS, Mode.WATCH)
    for piece in pieces:
        given = await _waited(exchange, exchange.response_data(piece))
        out += [piece] if passes else given
        if exchange.blocked is not None:
            break
    else:
        if head.mode is not Mode.PASS:
            given = await _waited(exchange, exchange.response_end())
            out += [] if passes else given
    done.client = b"" if head.mode is Mode.WHOLE and exchange.blocked else b"".join(out)
    return exchange.blocked


async def _waited(exchange: Exchange, answer: Any) -> Any:
    while isinstance(answer, Pending):
        await answer.run()
        answer = exchange.resume()
    return answer


def _differences(done: Replayed, expect: Expected) -> list[str]:
    wrong: list[str] = []
    if expect.verdict is not None and done.verdict != expect.verdict:
        wrong.append(f"the verdict is {done.verdict}, expected {expect.verdict}")
    if expect.code is not None and done.code != expect.code:
        wrong.append(f"the code is {done.code or 'none'}, expected {expect.code}")
    spoke = {one.filter for one in done.said}
    wrong += [f"{name} said nothing" for name in expect.filters if name not in spoke]
    for where, body, has, lacks in (
        ("the provider", done.upstream, expect.upstream_has, expect.upstream_lacks),
        ("the client", done.client, expect.client_has, expect.client_lacks),
    ):
        text = body.decode("utf-8", "replace")
        wrong += [f"{where} does not get {one!r}" for one in has if one not in text]
        wrong += [f"{where} gets {one!r}" for one in lacks if one in text]
    return wrong
