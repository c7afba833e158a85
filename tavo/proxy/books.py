"""What an exchange came to: put down for metrics, page, budgets and telemetry once it has ended.

Most exchanges go the way that another one went (`tavo.proxy.http.usual`). Where such a one is
counted is looked up once for each way and model, not with each exchange.

Units: cost in US dollars, times in seconds of the wall clock.
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


class _Place(msgspec.Struct, frozen=True, gc=False):
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

    def told(self, flow: Flow) -> None:
        """Put an exchange down that has ended."""
        exchange, way = flow.exchange, flow.way
        record = exchange.record if exchange is not None else None
        is_counted = record is not None and record.counted and flow.how is _DONE
        if way is not None and record is not None and is_counted and flow.status == 200:
            place = way.places.get(record.model)
            if place is None:
                place = self._place(flow, record)
                if len(way.places) < _MOST:
                    way.places[record.model] = place
        else:
            if record is not None and not is_counted and flow.is_forwarded and flow.taken:
                estimate(record, asked=flow.taken, is_whole=flow.how is _DONE, status=flow.answered)
            place = self._place(flow, record)
        now = time.time()
        tokens, cost = 0, 0.0
        if record is not None:
            tokens = record.tokens_in + record.tokens_out
            if place.price is not None and (record.counted or record.estimated):
                cost = amount(
                    place.price, record.tokens_in, record.tokens_out, record.tokens_cached
                )
        flow.cost = cost
        self.metrics.count(place.series, flow, record, cost)
        self.live.count(place.row, flow, record, cost, now)
        if self.exporter is not None:
            self.exporter.told(flow)
        if place.number >= 0 and (tokens or cost):
            self._budgets.charge(place.number, now, tokens, cost)

    def _place(self, flow: Flow, record: Record | None) -> _Place:
        entry, door = flow.entry, self.door
        return _Place(
            self.metrics.series_of(flow),
            self.live.row_of(entry.client if entry is not None else ""),
            self.prices.of(record.model) if record is not None else None,
            door.number_of(entry.key) if door is not None and entry is not None else -1,
        )
