"""What the wire and an exchange say to each other: values, and the interface of an exchange.

An exchange is one request of a client and its answer. The wire (`tavo.proxy.http`) owns sockets,
framing, time and connections; the exchange (`tavo.proxy.exchange`) owns what the bytes mean. The
wire calls, in this order and never from two threads:

    request_head -> [request_body] -> response_head -> response_data* -> response_end

`another` stands for `request_head` where an exchange before has judged the very same head, and
`response_whole` for the three calls of an answer that is there as a whole,

and at the end, whatever happened before, `close` exactly once. Each call but `close` may return
`Pending` instead of its answer where the interface says so; the wire then has the work done,
takes nothing more from either side meanwhile, and calls `resume` for the answer.

Rules this module keeps:
- names of headers are in lower case, values as they came, in the order in which they came;
- hop-by-hop headers, `content-length`, `transfer-encoding`, `host` and the client's credential are
  the wire's: it takes them away and sets them itself, whatever an exchange returns;
- after a `Refusal`, or once `blocked` is set, nothing more of the upstream reaches the client;
- what an exchange returns as it came is the very same object, so that nobody has to compare.

Units: sizes in bytes, `now` in seconds of the wall clock, durations in milliseconds.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec

__all__ = [
    "Exchange",
    "Finished",
    "Forward",
    "Headers",
    "Judge",
    "Mode",
    "Pending",
    "Record",
    "Refusal",
    "RequestHead",
    "ResponseHead",
    "Route",
    "Said",
    "plain_refusal",
]

Headers = list[tuple[bytes, bytes]]

_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
}  # fmt: skip


class RequestHead(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The head of a request after the wire has checked it.

    `path` is canonical: no empty or dot segments, no encoded slash, dot or backslash; a prefix that
    chose the upstream is taken away. `query` stands without its question mark. `client` tells
    credentials apart without being one: the name of a virtual key, else a hash of what the client
    sent, else empty. `secret` is key material derived from the credential, the same for all workers
    as long as the proxy runs, and never written down.
    `upstream` is the name of the upstream that the prefix chose, or empty.
    """

    method: bytes
    path: bytes
    query: bytes
    headers: Headers
    client: str = ""
    secret: bytes = b""
    upstream: str = ""
    now: float = 0.0


class Route(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Where a request goes.

    `dialect` is the name of the dialect, empty for a path that is passed unjudged. With `whole` the
    wire gathers the body (bounded) and calls `request_body`; without it the body goes on as it
    comes. `target` is path and query for the upstream, `headers` those to send.
    """

    dialect: str
    whole: bool
    target: bytes
    headers: Headers


class Forward(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The body for the upstream; the model and whether it streams, by which the wire decides."""

    body: bytes
    model: str = ""
    stream: bool = False


class Refusal(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An answer instead of the upstream's, in the error format of the dialect.

    `code` is one word for metrics and the log, such as `tavo_blocked`; `reason` a sentence.
    """

    status: int
    body: bytes
    code: str
    reason: str = ""
    headers: Headers = []


def plain_refusal(status: int, code: str, reason: str, headers: Headers | None = None) -> Refusal:
    """Word a refusal so that clients of OpenAI, Anthropic and Gemini read their error in it."""
    error = {"message": reason, "type": _TYPES.get(status, "api_error"), "code": code}
    body = msgspec.json.encode({"type": "error", "error": {**error, "param": None}})
    return Refusal(
        status=status, code=code, reason=reason, body=body,
        headers=[(b"content-type", b"application/json"), *(headers or ())],
    )  # fmt: skip


class Mode(enum.IntEnum):
    """What happens with the body of an answer.

    PASS: it goes to the client as it comes, the exchange does not see it. STREAM: the head goes at
    once, each piece through `response_data`. WHOLE: as STREAM, but the head waits for the first
    piece that may be sent, so that a `blocked` before it replaces the whole answer. WATCH: as PASS,
    but `response_data` and `response_end` are told; what they return is not used.
    """

    PASS = 0
    STREAM = 1
    WHOLE = 2
    WATCH = 3


class ResponseHead(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The head for the client."""

    status: int
    headers: Headers
    mode: Mode


class Pending(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Work that is not for the event loop: `run` is awaited, then `resume` is called.

    `run` never raises for a failed filter: what that means is decided in `resume`.
    """

    run: Callable[[], Awaitable[None]]


class Said(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one filter said that was not a plain "allow": `action` is modify, block or skip.

    `where` is `request` or `response`; `detail` holds labels, never text of a message.
    """

    filter: str
    action: str
    where: str
    detail: str = ""


class Record(msgspec.Struct, gc=False):
    """What the log, the metrics and the budgets take from an exchange; filled as it goes on.

    `verdict` is allow, modify or block. `counted`: the tokens are the provider's own count;
    `estimated`: some of them are ours, because it gave none. `text_bytes` is about how much text an
    answer had that nobody judged, for that estimate. `bytes_seen` and `bytes_released` count text
    of the answer that was judged, and that was given to the client; `unjudged` says why there are
    bytes that nobody judged, and is empty otherwise. `observed`: the chain changes
    nothing. `texts` is filled only where the log asks for texts.
    """

    dialect: str = ""
    model: str = ""
    stream: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    counted: bool = False
    estimated: bool = False
    text_bytes: int = 0
    verdict: str = "allow"
    said: list[Said] = []
    bytes_seen: int = 0
    bytes_released: int = 0
    unjudged: str = ""
    observed: bool = False
    texts: dict[str, str] | None = None


class Finished(enum.Enum):
    """How an exchange ended."""

    DONE = "done"
    REFUSED = "refused"
    BLOCKED = "blocked"
    CLIENT_GONE = "client_gone"
    UPSTREAM_FAILED = "upstream_failed"
    TIMED_OUT = "timed_out"
    SHUT_DOWN = "shut_down"
    DEFECT = "defect"


class Exchange(Protocol):
    """One request and its answer. Makes no I/O and has no clock."""

    record: Record

    @property
    def held(self) -> int:
        """How many bytes of the answer it keeps at the moment."""

    @property
    def blocked(self) -> Refusal | None:
        """Set once the answer was blocked. What `response_data` returned last is still sent."""

    def request_head(self, head: RequestHead) -> Route | Refusal:
        """Decide by the head where the request goes."""

    def request_body(self, body: bytes) -> Forward | Refusal | Pending:
        """Judge a whole body."""

    def response_head(self, status: int, headers: Headers) -> ResponseHead | Refusal:
        """Decide by the head what happens with the answer."""

    def response_data(self, data: bytes) -> Sequence[bytes] | Pending:
        """Take a piece of the answer; return what may be sent now."""

    def response_end(self) -> Sequence[bytes] | Pending:
        """Take the end of the answer; return what is still to be sent."""

    def another(self, now: float) -> Exchange | None:
        """Return a new exchange that has judged the same head with the same result.

        None where each head has to be judged by itself. May be called at any time.
        """

    def response_whole(self, body: bytes) -> bytes | None:
        """Take an answer of status 200 at once: plain JSON, and nothing in its head but that.

        Return the body for the client, which counts unless `blocked` is set. None: nothing was
        taken, and the calls for heads and pieces follow.
        """

    def resume(self) -> Forward | Refusal | Sequence[bytes] | Pending:
        """Return what the call that was `Pending` would have returned."""

    def refusal(self, status: int, code: str, reason: str) -> Refusal:
        """Word a refusal of the wire's own, such as a budget, as the dialect words errors."""

    def broken_off(self, status: int, code: str, reason: str) -> Sequence[bytes]:
        """Return what ends an answer that has begun with an error of the wire's own.

        Empty where there is no such thing: the connection is then cut.
        """

    def close(self, how: Finished) -> None:
        """End: nothing more comes. What is held back is dropped, the record is complete."""


class Judge(Protocol):
    """What one configuration of filters is: it makes the exchanges. Built once, then read only.

    A reload builds another one; exchanges keep the one that made them, and `retire` is called when
    the last of them has ended.
    """

    def exchange(self) -> Exchange:
        """Make the exchange of one request; cheap."""

    async def start(self) -> None:
        """Start what is needed, such as workers, and probe it. Raises TavoError."""

    async def retire(self) -> None:
        """End what was started."""

    def stats(self) -> Mapping[str, object]:
        """Return figures per filter for the admin port, as JSON values."""
