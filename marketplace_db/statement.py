"""The monthly statement: what an organisation's runs used and cost, as CSV (RFC 4180).

Rules this module keeps:
- every run that ended in the month has a line, also one that costs nothing, with the version of the
  price list that it was asked for under;
- sums are of the lines above them, one for each currency;
- no cell begins with what a spreadsheet takes for a formula.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable

from marketplace_db.errors import WorkingDatabaseError
from marketplace_db.executions import Execution
from marketplace_db.prices import money

__all__ = ["MONTH", "check_month", "write_statement"]

MONTH = r"^20[0-9]{2}-(?:0[1-9]|1[0-2])$"
_HEAD = (
    "run", "plugin", "version", "target", "asked_by", "asked_at", "started_at", "finished_at",
    "state", "wall_s", "cpu_s", "peak_memory_bytes", "requests", "bytes_out", "bytes_in",
    "prompt_tokens", "answer_tokens", "billed", "price_list", "currency", "cost",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def check_month(month: str) -> str:
    """Return a month like 2026-11. Raises WorkingDatabaseError for anything else."""
    if not re.fullmatch(MONTH.removeprefix("^").removesuffix("$"), month):
        raise WorkingDatabaseError(f"{month!r:.40} is no month", hint="Write one like 2026-11.")
    return month


def write_statement(runs: Iterable[Execution]) -> str:
    """Return the statement of the runs that ended in a month."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(_HEAD)
    sums: Counter[str] = Counter()
    for one in runs:
        used = one.used
        sums[one.prices.currency] += one.cost_micro
        writer.writerow(
            _plain(value)
            for value in (
                one.uuid, one.plugin, one.version, one.target, one.user, one.asked_at,
                one.started_at or "", one.finished_at or "", one.state, _seconds(used.wall_ms),
                _seconds(used.cpu_ms), used.peak_memory_bytes, used.requests, used.bytes_out,
                used.bytes_in, used.prompt_tokens, used.answer_tokens,
                "yes" if one.billed else "no", one.prices.version, one.prices.currency,
                money(one.cost_micro),
            )
        )  # fmt: skip
    for currency, micro in sorted(sums.items()):
        writer.writerow(["total", *[""] * (len(_HEAD) - 3), currency, money(micro)])
    return stream.getvalue()


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03}"


def _plain(value: object) -> str:
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
