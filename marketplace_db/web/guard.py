"""What stands in front of a Datasette of ours: requests refused, policies and headers added."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from marketplace_db.web.wire import COMMON_HEADERS, App, Receive, Scope, Send

__all__ = ["RAW_POLICY", "guarded"]

RAW_POLICY = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    b" img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The content policy of Datasette's own pages."""


def guarded(
    app: App,
    *,
    refuse: Callable[[Scope], tuple[int, str] | None],
    policy: Callable[[str], bytes],
) -> App:
    """Return an app with the answers of `refuse` in front, and a policy for each path."""

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        if (refusal := refuse(scope)) is not None:
            await _answer(send, *refusal)
            return

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), *COMMON_HEADERS]
                headers.append((b"content-security-policy", policy(scope["path"])))
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, send_with_headers)

    return inner


async def _answer(send: Send, status: int, text: str) -> None:
    body = text.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        *COMMON_HEADERS,
    ]
    if status == 405:
        headers.append((b"allow", b"POST" if b"form" in body else b"GET, HEAD"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
