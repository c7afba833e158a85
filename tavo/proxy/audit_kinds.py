"""The two rows of an exchange in the audit log, field by field and in the order of the file.

Rules this module keeps:
- a row is made and encoded for its exchange alone: what cannot be encoded is that one's defect;
- a field that is not set does not stand in the row.

Units: sizes in bytes, durations in milliseconds, cost in US dollars.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tavo.proxy.http.asking import Asking
from tavo.proxy.http.flow import Flow
from tavo.proxy.messages import Finished, Record, Said

__all__ = ["Asked", "Ended", "asked", "ended", "not_noted", "would_be"]

_DONE = Finished.DONE
_MOST_MODELS = 32
_LONGEST_PATH, _LONGEST_MODEL = 2048, 256

_Whose = tuple[str, str, str, str, str, str]
"""Client, upstream, method, path, dialect and model."""


class Asked(msgspec.Struct, gc=False, kw_only=True):
    """Before a request goes on."""

    at: str = ""
    kind: str = "asked"
    id: str
    client: str
    upstream: str
    method: str
    path: str
    dialect: str
    model: str
    bytes: int
    sha256: str
    said: list[Said] | UnsetType = UNSET
    text: str | UnsetType = UNSET


class Ended(msgspec.Struct, gc=False, kw_only=True):
    """After its answer. From `method` to `asked_text`: of a request that never went on."""

    at: str = ""
    kind: str = "done"
    id: str
    client: str
    model: str
    status: int
    how: str
    ms: float
    bytes_in: int
    bytes_out: int
    code: str | UnsetType = UNSET
    first_ms: float | UnsetType = UNSET
    sha256: str | UnsetType = UNSET
    method: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    upstream: str | UnsetType = UNSET
    dialect: str | UnsetType = UNSET
    asked_sha256: str | UnsetType = UNSET
    asked_text: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    verdict: str | UnsetType = UNSET
    observed: bool | UnsetType = UNSET
    would: str | UnsetType = UNSET
    bytes_seen: int | UnsetType = UNSET
    bytes_released: int | UnsetType = UNSET
    tokens_in: int | UnsetType = UNSET
    tokens_out: int | UnsetType = UNSET
    estimated: bool | UnsetType = UNSET
    tokens_cached: int | UnsetType = UNSET
    cost: float | UnsetType = UNSET
    unjudged: str | UnsetType = UNSET
    said: list[Said] | UnsetType = UNSET
    texts: dict[str, str] | UnsetType = UNSET


def asked(flow: Asking, *, size: int, sha256: str) -> Asked:
    """Return the row of a request that is about to go on; size and hash are those of its body."""
    exchange = flow.exchange
    record = exchange.record if exchange is not None else None
    client, upstream, method, path, dialect, model = _whose(flow, record)
    row = Asked(
        id=flow.id.decode("ascii"), client=client, upstream=upstream, method=method, path=path,
        dialect=dialect, model=model, bytes=size, sha256=sha256,
    )  # fmt: skip
    if record is not None and record.said:
        row.said = record.said
    return row


def ended(flow: Flow, *, costs: bool, texts: bool) -> Ended:
    """Return the row of an exchange that has ended, but for what was said.

    `costs`: there are prices. `texts`: the log has texts.
    """
    exchange = flow.exchange
    record = exchange.record if exchange is not None else None
    whose = _whose(flow, record)
    started, first_at, how = flow.started, flow.first_at, flow.how
    row = Ended(
        id=flow.id.decode("ascii"), client=whose[0], model=whose[5], status=flow.status,
        how="done" if how is _DONE else how.value,
        ms=int((flow.ended - started) * 1e6) / 1000,  # cheaper than to round a float
        bytes_in=flow.taken, bytes_out=flow.sent,
    )  # fmt: skip
    if flow.code:
        row.code = flow.code
    if first_at:
        row.first_ms = int((first_at - started) * 1e6) / 1000
    if record is not None:
        _fill(row, record, flow.cost if costs else None, texts)
    return row


def not_noted(row: Ended, flow: Flow, *, sha256: str) -> None:
    """Add what the row `asked` would have said; the hash is that of what came of the body."""
    row.upstream, row.method = flow.upstream, flow.method.decode("latin-1")
    row.path = flow.path[:_LONGEST_PATH].decode("latin-1")
    if flow.exchange is not None:
        row.dialect = flow.exchange.record.dialect
    row.asked_sha256 = sha256


def _fill(row: Ended, record: Record, cost: float | None, texts: bool) -> None:
    """Add what the exchange itself has found out."""
    row.verdict = record.verdict
    if record.observed:
        row.observed, row.would = True, would_be(record)
    row.bytes_seen, row.bytes_released = record.bytes_seen, record.bytes_released
    if record.counted or record.estimated:
        row.tokens_in, row.tokens_out = record.tokens_in, record.tokens_out
        if record.estimated:
            row.estimated = True
        if record.tokens_cached:
            row.tokens_cached = record.tokens_cached
        if cost is not None:
            row.cost = int(cost * 1e9 + 0.5) / 1e9
    if record.unjudged:
        row.unjudged = record.unjudged
    if record.said:
        row.said = record.said
    if texts and record.texts:
        row.texts = record.texts


def _whose(flow: Asking, record: Record | None) -> _Whose:
    model = record.model if record is not None else ""
    way = flow.way
    known: Any = way.parts.get(model) if way is not None else None
    if known is not None:
        return known  # type: ignore[no-any-return]
    whose = (
        flow.entry.client if flow.entry is not None else "", flow.upstream,
        flow.method.decode("latin-1"), flow.path[:_LONGEST_PATH].decode("latin-1"),
        record.dialect if record is not None else "", model[:_LONGEST_MODEL],
    )  # fmt: skip
    if way is not None and len(way.parts) < _MOST_MODELS:
        way.parts[model] = whose
    return whose


def would_be(record: Record) -> str:
    """Return the verdict that an exchange would have had if the chain did more than observe."""
    actions = {said.action for said in record.said}
    return "block" if "block" in actions else "modify" if "modify" in actions else "allow"
