"""Heads of requests before a chain: what goes up in a query or a header is text as well.

Rules this module keeps:
- nothing in a head can be changed: what would have to be is blocked;
- credentials in their own headers, cookies and names of sessions are for the upstream, and are not
  looked at; of other headers only credentials are looked for, because addresses belong there;
- a head that was found good is not judged again as long as the very same values come: see
  `tavo.proxy.chain.memo.GoodHeads`.
"""

from __future__ import annotations

from urllib.parse import unquote_plus

from tavo.llm.parts import Kind, Slot
from tavo.proxy.chain.desk import ChainDesk
from tavo.proxy.messages import RequestHead

__all__ = ["judge_head"]

_OWN = frozenset({
    b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key", b"cookie", b"mcp-session-id",
})  # fmt: skip


def judge_head(desk: ChainDesk, head: RequestHead) -> None:
    """Judge path, query and headers. Raises Blocked."""
    slots = [Slot(None, None, "user", Kind.URL, fixed=unquote_plus(head.path.decode("latin-1")))]
    for part in head.query.split(b"&") if head.query else ():
        text = unquote_plus(part.decode("latin-1"))
        slots.append(Slot(None, None, "user", Kind.URL, fixed=text))
    said = [value for name, value in head.headers if name not in _OWN]
    text = b"\n".join(said).decode("utf-8", "replace")
    slots.append(Slot(None, None, "header", Kind.URL, fixed=text))
    desk.slots(slots)
