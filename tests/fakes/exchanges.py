"""An exchange that judges nothing, and the judge that makes it: where tests of the wire begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tavo.proxy.messages import (
    Exchange,
    Finished,
    Forward,
    Headers,
    Mode,
    Pending,
    Record,
    Refusal,
    RequestHead,
    ResponseHead,
    Route,
    plain_refusal,
)


class PassThrough:
    """What comes goes on."""

    __slots__ = ("record",)
    blocked = None
    held = 0

    def __init__(self) -> None:
        self.record = Record(unjudged="no filter is configured")

    def request_head(self, head: RequestHead) -> Route | Refusal:
        target = head.path + b"?" + head.query if head.query else head.path
        return Route(dialect="", whole=True, target=target, headers=head.headers)

    def request_body(self, body: bytes) -> Forward | Refusal | Pending:
        return Forward(body=body)

    def response_head(self, status: int, headers: Headers) -> ResponseHead | Refusal:
        return ResponseHead(status=status, headers=headers, mode=Mode.PASS)

    def response_data(self, data: bytes) -> Sequence[bytes] | Pending:
        return (data,)

    def response_end(self) -> Sequence[bytes] | Pending:
        return ()

    def another(self, now: float) -> Exchange | None:
        return None

    def response_whole(self, body: bytes) -> bytes | None:
        return None

    def resume(self) -> Forward | Refusal | Sequence[bytes] | Pending:
        raise RuntimeError("nothing was pending")

    def refusal(self, status: int, code: str, reason: str) -> Refusal:
        return plain_refusal(status, code, reason)

    def broken_off(self, status: int, code: str, reason: str) -> Sequence[bytes]:
        return ()

    def close(self, how: Finished) -> None:
        """Nothing is held."""


class Passing:
    """The judge without filters."""

    def exchange(self) -> Exchange:
        return PassThrough()

    async def start(self) -> None:
        """Nothing to start."""

    async def retire(self) -> None:
        """Nothing was started."""

    def stats(self) -> Mapping[str, object]:
        return {}
