"""What an exchange came to: put down for metrics, page, budgets and telemetry once it has ended.

Most exchanges go the way that another one went (`tavo.proxy.http.usual`). Where such a one is
counted is looked up once for each way and model, not with each exchange.

Rules this module keeps:
- what an exchange used of a budget is charged at once, for the next one may be one too many;
- what is only shown is gathered, a few hundred exchanges of one minute at most, and counted when it
  is shown, or there are so many, or another minute begins.

Units: cost in US dollars, times in seconds.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from tavo.llm.prices import Price, Prices, amount
from tavo.proxy.budgets import Budgets, estimate
from tavo.proxy.http.flow import Flow
from tavo.proxy.live import Live
from tavo.proxy.messages import Finished, Record
from tavo.proxy.metrics import Metrics, Series

if TYPE_CHECKING:
    from tavo.proxy.admission import Admission
    from tavo.proxy.telemetry import Exporter

__all__ = ["Books"]

_DONE = Finished.DONE
_MOST = 32
_MOST_GATHERED = 256


_Ended = tuple["_Place", float, float, int, int, int, int, float]
"""A usual exchange: where it is counted, its time, that to its answer's head, bytes sent, tokens
in, out and cached, and what it has cost."""


class _Place(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Where exchanges of one way and model are counted; `number` is that of their key, or -1."""

    series: Series
    row: list[float]
    price: Price | None
    number: int


class Books:
    """The books of one worker."""

    def __init__(self, budgets: Budgets) -> None:
        self.metrics = Metrics()
        self.live = Live()
        self.prices = Prices({})
        self.door: Admission | None = None
        self.exporter: Exporter | None = None
        self._budgets = budgets
        self._gathered: list[_Ended] = []
        self._began = 0.0  # when gathering began, by the clock of the wall
        self._until = 0.0  # when that minute ends, by the clock of the loop

    def told(self, flow: Flow) -> None:
        """Put an exchange down that has ended."""
        way, exchange = flow.way, flow.exchange
        if way is None or exchange is None or flow.status != 200 or flow.how is not _DONE:
            self._singly(flow)
            return
        record = exchange.record
        place = way.places.get(record.model)
        if (
            place is None or not record.counted or record.said
            or (record.unjudged and self.live.judges)
        ):  # fmt: skip
            self._singly(flow)
            return
        cost = self._charged(flow, record, place)
        ended, started = flow.ended, flow.started
        if ended >= self._until:
            self._begin(ended)
        gathered = self._gathered
        gathered.append((
            place, ended - started, flow.first_at - started, flow.sent,
            record.tokens_in, record.tokens_out, record.tokens_cached, cost,
        ))  # fmt: skip
        if len(gathered) >= _MOST_GATHERED:
            self.settle()
        if self.exporter is not None:
            self.exporter.told(flow)

    def settle(self) -> None:
        """Count what was gathered; for who is about to show the figures."""
        gathered, self._gathered = self._gathered, []
        by_place: dict[_Place, list[_Ended]] = {}
        for ended in gathered:
            by_place.setdefault(ended[0], []).append(ended)
        for place, ones in by_place.items():
            _, spans, firsts, sent, into, out, cached, cost = zip(*ones, strict=True)
            usage = sum(into), sum(out), sum(cached), sum(cost)
            self.metrics.add(place.series, spans, firsts, sum(sent), usage)
            self.live.add(place.row, len(ones), usage[0] + usage[1], usage[3], self._began)

    # -- inside

    def _begin(self, now: float) -> None:
        """Begin to gather in the minute that it is; `now` by the clock of the loop."""
        self.settle()
        self._began = time.time()
        self._until = now + 60 - self._began % 60

    def _singly(self, flow: Flow) -> None:
        """Put one down that is not as those before it, or the first of its kind."""
        exchange, way = flow.exchange, flow.way
        record = exchange.record if exchange is not None else None
        is_done = flow.how is _DONE
        if record is None:
            place, cost = self._place(flow, None), 0.0
        else:
            is_counted = record.counted and is_done
            if not is_counted and flow.is_forwarded and flow.taken:
                estimate(record, asked=flow.taken, is_whole=is_done, status=flow.answered)
            place = self._place(flow, record)
            if way is not None and is_counted and flow.status == 200 and len(way.places) < _MOST:
                way.places[record.model] = place
            cost = self._charged(flow, record, place)
        self.metrics.count(place.series, flow, record, cost)
        self.live.count(place.row, flow, record, cost, time.time())
        if self.exporter is not None:
            self.exporter.told(flow)

    def _charged(self, flow: Flow, record: Record, place: _Place) -> float:
        """Charge what an exchange used to its key; return what it has cost."""
        into, out, price, cost = record.tokens_in, record.tokens_out, place.price, 0.0
        if price is not None and (record.counted or record.estimated):
            flow.cost = cost = amount(price, into, out, record.tokens_cached)
        if place.number >= 0 and (into or out or cost):
            self._budgets.charge(place.number, time.time(), into + out, cost)
        return cost

    def _place(self, flow: Flow, record: Record | None) -> _Place:
        entry, door = flow.entry, self.door
        return _Place(
            self.metrics.series_of(flow),
            self.live.row_of(entry.client if entry is not None else ""),
            self.prices.of(record.model) if record is not None else None,
            door.number_of(entry.key) if door is not None and entry is not None else -1,
        )
