"""What keys have used: counters that all workers of one proxy see, without a lock.

Each worker has its own cells and is the only one who writes them; the sum over all workers is what
a key has used. The cells of several workers lie in memory that they share when they are forked, so
a worker that dies takes nothing along, and its successor goes on with its cells.

Rules this module keeps:
- a request counts when it is let in, tokens and cost when its answer has ended: what is under way
  can exceed a budget once, and is then charged;
- what a provider does not count is estimated, never free: a stream without usage, and an answer
  whose client went away before its end;
- windows are the minute and the day of the clock, in UTC.

Units: cost in millionths of a US dollar.
"""

from __future__ import annotations

import mmap

from tavo.proxy.config import Budget
from tavo.proxy.messages import Record

__all__ = ["MOST_KEYS", "Budgets", "estimate"]

BYTES_PER_TOKEN = 4
"""Of text; in most languages a token is about as long."""
_FREE = frozenset({"", "mcp"})
"""Where no model is asked."""

MOST_KEYS = 4096
_MINUTE, _MINUTE_REQUESTS, _MINUTE_TOKENS, _DAY, _DAY_REQUESTS, _DAY_TOKENS, _DAY_COST = range(7)
_CELLS = 8
_MILLION = 1_000_000


class Budgets:
    """The counters of all keys, by their number."""

    def __init__(self, workers: int = 1) -> None:
        """Make them before the workers are forked."""
        self._workers = workers
        size = workers * MOST_KEYS * _CELLS
        # a list is read and written faster
        self._cells: list[int] | memoryview[int] = (
            [0] * size if workers == 1 else memoryview(mmap.mmap(-1, size * 8)).cast("q")
        )
        self._own = 0
        self._from = self._until = self._minute = 0  # the minute that was asked for last

    def belong_to(self, worker: int) -> None:
        """Write the cells of one worker from now on."""
        self._own = worker * MOST_KEYS * _CELLS

    def take(self, key: int, budget: Budget, now: float) -> tuple[str, int] | None:
        """Note a request that is let in, or say what is used up: `refused`, then `count`."""
        cells, at = self._cells, self._own + key * _CELLS
        # nothing is over, nobody else counts
        if self._workers == 1 and self._from <= now < self._until and cells[at] == self._minute:
            of_minute, of_day = cells[at + _MINUTE_REQUESTS], cells[at + _DAY_REQUESTS]
            if (
                ((most := budget.requests_per_minute) is None or of_minute < most)
                and (
                    (most := budget.tokens_per_minute) is None or cells[at + _MINUTE_TOKENS] < most
                )
                and ((most := budget.requests_per_day) is None or of_day < most)
                and ((most := budget.tokens_per_day) is None or cells[at + _DAY_TOKENS] < most)
                and (
                    (cost := budget.cost_per_day) is None or cells[at + _DAY_COST] < cost * _MILLION
                )
            ):
                cells[at + _MINUTE_REQUESTS] = of_minute + 1
                cells[at + _DAY_REQUESTS] = of_day + 1
                return None
        over = self.refused(key, budget, now)
        if over is None:
            self.count(key, now)
        return over

    def refused(self, key: int, budget: Budget, now: float) -> tuple[str, int] | None:
        """Say which budget is used up, and in how many seconds there is more; None for none."""
        minute, day = int(now) // 60, int(now) // 86_400
        most = budget.requests_per_minute
        if most is not None and self._sum(key, _MINUTE, minute, _MINUTE_REQUESTS) >= most:
            return f"{most} requests per minute", 60 - int(now) % 60
        most = budget.tokens_per_minute
        if most is not None and self._sum(key, _MINUTE, minute, _MINUTE_TOKENS) >= most:
            return f"{most} tokens per minute", 60 - int(now) % 60
        most = budget.requests_per_day
        if most is not None and self._sum(key, _DAY, day, _DAY_REQUESTS) >= most:
            return f"{most} requests per day", 86_400 - int(now) % 86_400
        most = budget.tokens_per_day
        if most is not None and self._sum(key, _DAY, day, _DAY_TOKENS) >= most:
            return f"{most} tokens per day", 86_400 - int(now) % 86_400
        cost = budget.cost_per_day
        if cost is not None and self._sum(key, _DAY, day, _DAY_COST) >= cost * _MILLION:
            return f"{cost:g} US dollars per day", 86_400 - int(now) % 86_400
        return None

    def count(self, key: int, now: float) -> None:
        """Note a request that is let in."""
        at = self._current(key, now)
        cells = self._cells
        cells[at + _MINUTE_REQUESTS] += 1
        cells[at + _DAY_REQUESTS] += 1

    def charge(self, key: int, now: float, tokens: int, cost: float) -> None:
        """Note what an answer has used; `cost` in US dollars."""
        cells, at = self._cells, self._own + key * _CELLS
        if not self._from <= now < self._until or cells[at] != self._minute:
            self._current(key, now)
        cells[at + _MINUTE_TOKENS] += tokens
        cells[at + _DAY_TOKENS] += tokens
        if cost:
            cells[at + _DAY_COST] += int(cost * _MILLION + 0.5)

    def used(self, key: int, now: float) -> dict[str, float]:
        """Return what a key has used in this minute and on this day."""
        minute, day = int(now) // 60, int(now) // 86_400
        return {
            "requests_per_minute": self._sum(key, _MINUTE, minute, _MINUTE_REQUESTS),
            "tokens_per_minute": self._sum(key, _MINUTE, minute, _MINUTE_TOKENS),
            "requests_per_day": self._sum(key, _DAY, day, _DAY_REQUESTS),
            "tokens_per_day": self._sum(key, _DAY, day, _DAY_TOKENS),
            "cost_per_day": self._sum(key, _DAY, day, _DAY_COST) / _MILLION,
        }

    def _current(self, key: int, now: float) -> int:
        """Return where the worker's cells of a key begin, with what is over taken away."""
        at = self._own + key * _CELLS
        cells = self._cells
        minute = self._minute = int(now) // 60
        self._from, self._until = minute * 60, minute * 60 + 60
        if cells[at + _MINUTE] != minute:
            cells[at + _MINUTE_REQUESTS] = cells[at + _MINUTE_TOKENS] = 0
            cells[at + _MINUTE] = minute
            day = minute // 1440
            if cells[at + _DAY] != day:
                cells[at + _DAY_REQUESTS] = cells[at + _DAY_TOKENS] = cells[at + _DAY_COST] = 0
                cells[at + _DAY] = day
        return at

    def _sum(self, key: int, window: int, current: int, cell: int) -> int:
        cells, at, step = self._cells, key * _CELLS, MOST_KEYS * _CELLS
        if self._workers == 1:
            return cells[at + cell] if cells[at + window] == current else 0
        total = 0
        for _ in range(self._workers):
            if cells[at + window] == current:
                total += cells[at + cell]
            at += step
        return total


def estimate(record: Record, *, asked: int, is_whole: bool, status: int) -> None:
    """Put our own count of tokens where the provider's is missing.

    `asked` is the size of the request's body; `is_whole`: the answer came to its end; `status` is
    that of the upstream's answer, 0 for none.
    """
    if (record.counted and is_whole) or record.dialect in _FREE or status >= 300:
        return
    if not record.tokens_in:
        record.tokens_in = -(-asked // BYTES_PER_TOKEN)
        record.estimated = True
    said = -(-max(record.bytes_seen, record.text_bytes) // BYTES_PER_TOKEN)
    if said > record.tokens_out:
        record.tokens_out = said
        record.estimated = True
