"""What the page of the admin port shows beside the metrics: the last hour, keys, what stood out.

Rules this module keeps:
- it is bounded, holds no text of a message, and costs an exchange next to nothing;
- a snapshot is plain JSON, and snapshots of workers add up.

Units: times in seconds of the wall clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from tavo.proxy.http.flow import Flow
from tavo.proxy.messages import Finished, Record

__all__ = ["KEPT_MINUTES", "Live", "merged"]

KEPT_MINUTES = 60
_MOST_CLIENTS = 500
_MOST_NOTED = 50
_REFUSED = (Finished.REFUSED, Finished.BLOCKED)
_ENDED = (*_REFUSED, Finished.DONE, Finished.CLIENT_GONE)
_DONE = Finished.DONE
_NOTED = frozenset({"block", "skip"})


class Live:
    """Counts for one worker. Each list is: exchanges, refused or blocked, failed, tokens, cost."""

    def __init__(self) -> None:
        self.judges = False  # there are filters, so that what nobody judged stands out
        self._minutes: dict[int, list[float]] = {}
        self._from = self._until = 0  # where the minute of `_row` begins and ends
        self._row: list[float] = []
        self._clients: dict[str, list[float]] = {}
        self._noted: deque[dict[str, Any]] = deque(maxlen=_MOST_NOTED)

    def row_of(self, client: str) -> list[float]:
        """Return where the exchanges of a client are counted."""
        mine = self._clients.get(client)
        if mine is None:
            if len(self._clients) >= _MOST_CLIENTS:
                client = "other"
            mine = self._clients.setdefault(client, [0, 0, 0, 0, 0.0])
        return mine

    def count(
        self, mine: list[float], flow: Flow, record: Record | None, cost: float, now: float
    ) -> None:
        """Count an exchange that has ended, also in the row of its client."""
        row = self._row
        if not self._from <= now < self._until:
            row = self._row_of(int(now) // 60)
        row[0] += 1
        mine[0] += 1
        if record is not None and record.counted:
            tokens = record.tokens_in + record.tokens_out
            row[3] += tokens
            mine[3] += tokens
        if cost:
            row[4] += cost
            mine[4] += cost
        how, status = flow.how, flow.status
        said = record.said if record is not None else ()
        unjudged = self.judges and record is not None and record.unjudged != ""
        if how is _DONE and status < 500 and not said and not unjudged:
            return  # as nearly all are
        refused, failed = how in _REFUSED, how not in _ENDED or status >= 500
        for one in (row, mine):
            one[1] += refused
            one[2] += failed
        if refused or failed or unjudged or (said and any(one.action in _NOTED for one in said)):
            self._noted.append({
                "at": now, "id": flow.id.decode("ascii"), "client": self._named(flow),
                "status": flow.status, "how": how.value, "code": flow.code[:60],
                "model": record.model[:80] if record is not None else "",
                "observed": record.observed if record is not None else False,
                "said": [
                    f"{one.filter} {one.action} {one.detail}".strip()[:80] for one in said[:4]
                ],
            })  # fmt: skip

    def add(self, mine: list[float], count: int, tokens: int, cost: float, now: float) -> None:
        """Count exchanges in which nothing stood out, also in the row of their client."""
        for row in (self._row_of(int(now) // 60), mine):
            row[0] += count
            row[3] += tokens
            row[4] += cost

    def _named(self, flow: Flow) -> str:
        client = flow.entry.client if flow.entry is not None else ""
        return client if client in self._clients else "other"

    def _row_of(self, minute: int) -> list[float]:
        row = self._minutes.get(minute)
        if row is None:
            for old in [one for one in self._minutes if one <= minute - KEPT_MINUTES]:
                del self._minutes[old]
            row = self._minutes[minute] = [0, 0, 0, 0, 0.0]
        self._from, self._until, self._row = minute * 60, minute * 60 + 60, row
        return row

    def snapshot(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "minutes": [[minute, *row] for minute, row in self._minutes.items()],
            "clients": [[name, *row] for name, row in self._clients.items()],
            "noted": list(self._noted),
        }


def merged(ones: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sum of snapshots."""
    minutes: dict[int, list[float]] = {}
    clients: dict[str, list[float]] = {}
    noted: list[Any] = []
    for one in ones:
        _add(minutes, one["minutes"])
        _add(clients, one["clients"])
        noted += one["noted"]
    noted.sort(key=lambda row: -row["at"])
    return {
        "minutes": [[minute, *row] for minute, row in sorted(minutes.items())],
        "clients": [[name, *row] for name, row in clients.items()],
        "noted": noted[:_MOST_NOTED],
    }


def _add(into: dict[Any, list[float]], rows: Iterable[list[Any]]) -> None:
    for name, *row in rows:
        found = into.get(name)
        into[name] = row if found is None else [a + b for a, b in zip(found, row, strict=True)]
