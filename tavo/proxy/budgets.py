"""What keys have used: counters that all workers of one proxy see, without a lock.

Each worker has its own cells and is the only one who writes them; the sum over all workers is what
a key has used. The cells of several workers lie in memory that they share when they are forked, so
a worker that dies takes nothing along, and its successor goes on with its cells.

Rules this module keeps:
- a request counts when it is let in, tokens and cost when its answer has ended: what is under way
  can exceed a budget once, and is then charged;
- what a provider does not count is estimated, never free: a stream without usage, and an answer
  whose client went away before its end;
- windows are the minute and the day of the clock, in UTC;
- where one worker serves, nobody else counts: it knows for the rest of a minute what a key has
  left, and looks at the cells again when that is used up, the minute is over, or somebody asks.

Units: cost in millionths of a US dollar.
"""

from __future__ import annotations

import math
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
_BOUNDLESS = 1 << 62


class _Left:
    """What a key has left from `since` until `until`, and what of that was left at the beginning.

    What has no bound has `_BOUNDLESS`, so that what was used is still the difference.
    """

    __slots__ = ("at_first", "budget", "cost", "requests", "since", "tokens", "until")

    def __init__(self, budget: Budget, since: int, requests: int, tokens: int, cost: int) -> None:
        self.budget = budget
        self.since, self.until = since, since + 60
        self.requests, self.tokens, self.cost = requests, tokens, cost
        self.at_first = requests, tokens, cost


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
        self._left: dict[int, _Left] = {}  # stays empty where several workers count

    def belong_to(self, worker: int) -> None:
        """Write the cells of one worker from now on."""
        self._own = worker * MOST_KEYS * _CELLS

    def take(self, key: int, budget: Budget, now: float) -> tuple[str, int] | None:
        """Note a request that is let in, or say what is used up: `refused`, then `count`."""
        left = self._left.get(key)
        if (
            left is not None and left.since <= now < left.until and left.budget is budget
            and left.requests > 0 and left.tokens > 0 and left.cost > 0
        ):  # fmt: skip
            left.requests -= 1
            return None
        over = self.refused(key, budget, now)
        if over is None:
            self.count(key, now)
            if self._workers == 1:
                self._left[key] = self._left_of(key, budget, now)
        return over

    def refused(self, key: int, budget: Budget, now: float) -> tuple[str, int] | None:
        """Say which budget is used up, and in how many seconds there is more; None for none."""
        self._write_back(key)
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
        left = self._left.get(key)
        if left is not None and left.since <= now < left.until:
            left.tokens -= tokens
            if cost:
                left.cost -= int(cost * _MILLION + 0.5)
            return
        at = self._current(key, now)
        cells = self._cells
        cells[at + _MINUTE_TOKENS] += tokens
        cells[at + _DAY_TOKENS] += tokens
        cells[at + _DAY_COST] += int(cost * _MILLION + 0.5)

    def used(self, key: int, now: float) -> dict[str, float]:
        """Return what a key has used in this minute and on this day."""
        self._write_back(key)
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
        self._write_back(key)
        at = self._own + key * _CELLS
        cells = self._cells
        minute = int(now) // 60
        if cells[at + _MINUTE] != minute:
            cells[at + _MINUTE_REQUESTS] = cells[at + _MINUTE_TOKENS] = 0
            cells[at + _MINUTE] = minute
            day = minute // 1440
            if cells[at + _DAY] != day:
                cells[at + _DAY_REQUESTS] = cells[at + _DAY_TOKENS] = cells[at + _DAY_COST] = 0
                cells[at + _DAY] = day
        return at

    def _left_of(self, key: int, budget: Budget, now: float) -> _Left:
        """Return what a key has left in the minute of `now`, whose cells are current."""
        cells, at = self._cells, self._own + key * _CELLS
        requests = min(
            _less(budget.requests_per_minute, cells[at + _MINUTE_REQUESTS]),
            _less(budget.requests_per_day, cells[at + _DAY_REQUESTS]),
        )
        tokens = min(
            _less(budget.tokens_per_minute, cells[at + _MINUTE_TOKENS]),
            _less(budget.tokens_per_day, cells[at + _DAY_TOKENS]),
        )
        most = budget.cost_per_day
        cost = _less(
            math.ceil(most * _MILLION) if most is not None else None, cells[at + _DAY_COST]
        )
        return _Left(budget, int(now) // 60 * 60, requests, tokens, cost)

    def _write_back(self, key: int) -> None:
        """Write to the cells of a key what it has used of what it had left."""
        left = self._left.pop(key, None)
        if left is None:
            return
        cells, at = self._cells, self._own + key * _CELLS
        requests, tokens, cost = left.at_first
        cells[at + _MINUTE_REQUESTS] += requests - left.requests
        cells[at + _DAY_REQUESTS] += requests - left.requests
        cells[at + _MINUTE_TOKENS] += tokens - left.tokens
        cells[at + _DAY_TOKENS] += tokens - left.tokens
        cells[at + _DAY_COST] += cost - left.cost

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


def _less(most: int | None, used: int) -> int:
    return most - used if most is not None else _BOUNDLESS


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
