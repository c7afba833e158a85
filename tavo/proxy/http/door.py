"""Who may pass, where to, and what is noted: what the wire asks of the rest of the proxy.

The wire knows HTTP only. A `Door` knows clients, upstreams and budgets; a `Ledger` what must be
written down before a request goes on, and after its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec

from tavo.proxy.messages import Forward, Headers, Refusal

if TYPE_CHECKING:
    from tavo.proxy.http.asking import Asking
    from tavo.proxy.http.flow import Flow
    from tavo.proxy.http.upstream import Pool

__all__ = ["Door", "Entry", "Ledger", "Worded"]

Worded = Callable[[int, str, str], Refusal]


class Entry(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A request that was let in.

    `client` tells credentials apart (see `RequestHead.client`); `key` is the name of a virtual key
    or empty; `upstream` the name of the upstream, empty where the dialect is to choose it; `path`
    is the path without the prefix that chose the upstream, `query` the query without a credential;
    `secret` see `RequestHead.secret`; `given` is a credential of the client that stood in the query
    and goes on as a header where the proxy holds none of its own.
    """

    client: str
    key: str
    upstream: str
    path: bytes
    query: bytes = b""
    secret: bytes = b""
    given: bytes = b""


class Door(Protocol):
    """Decides about requests; may be exchanged while requests are under way."""

    def enter(
        self, method: bytes, path: bytes, query: bytes, fields: Mapping[bytes, bytes]
    ) -> Entry | Refusal:
        """Say who asks, and by the path where to; for the same values always the same."""

    def pool(self, entry: Entry, dialect: str, worded: Worded) -> Pool | Refusal:
        """Return the connections to the upstream of a request. `worded` words as the dialect."""

    def admit(self, entry: Entry, forward: Forward, worded: Worded, now: float) -> Refusal | None:
        """Decide by what is asked: models, budgets."""

    def outbound(self, entry: Entry, pool: Pool, headers: Headers) -> Headers:
        """Return the headers for the upstream, with its credential in place of the client's."""

    def secret(self, pool: Pool) -> bytes:
        """Return the credential that no answer of an upstream may show, empty for none."""


class Ledger(Protocol):
    """What is written down."""

    def asked(self, flow: Asking, go: Callable[[str], None]) -> None:
        """Note a request, then call `go` with an empty text, or with why it must not go on."""

    def done(self, flow: Flow) -> None:
        """Note how it ended."""
