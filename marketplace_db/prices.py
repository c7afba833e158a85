"""What a run on the operator's machines costs: a list of prices, and the sum for what was used.

Rules this module keeps:
- a price list has a version, and a run keeps the list that was in force when it was asked for;
- sums are exact whole numbers of millionths of the currency; a half is rounded up, once, at the
  end;
- what our side made fail costs nothing, whatever it used.

Units: prices in the currency; bytes, milliseconds.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["MICRO", "Metered", "PriceList", "cost", "money"]

MICRO = 1_000_000
_Price = Annotated[float, Meta(ge=0, le=1_000_000)]


class PriceList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices; `[execution.prices]` of market.toml holds these by name. XXX is no currency."""

    version: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,40}$")] = "none"
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$")] = "XXX"
    per_run: _Price = 0
    per_cpu_s: _Price = 0
    per_gb_s: _Price = 0
    per_request: _Price = 0
    per_1000_tokens: _Price = 0


class Metered(msgspec.Struct, frozen=True, kw_only=True):
    """What a run used, as the host and the kernel counted it.

    `cpu_ms` is the processor time of the plugin's process, `peak_memory_bytes` its largest memory,
    `bytes_out` and `bytes_in` what went to the target and came from it.
    """

    wall_ms: int = 0
    cpu_ms: int = 0
    peak_memory_bytes: int = 0
    requests: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0


def cost(prices: PriceList, used: Metered) -> int:
    """Return what was used by the price list, in millionths of its currency.

    Memory counts as its peak for the whole time, in 10^9 bytes and seconds.
    """
    gb_s = Fraction(used.peak_memory_bytes, 10**9) * Fraction(used.wall_ms, 1000)
    total = (
        _exact(prices.per_run)
        + _exact(prices.per_cpu_s) * Fraction(used.cpu_ms, 1000)
        + _exact(prices.per_gb_s) * gb_s
        + _exact(prices.per_request) * used.requests
        + _exact(prices.per_1000_tokens) * Fraction(used.prompt_tokens + used.answer_tokens, 1000)
    )
    return int(total * MICRO + Fraction(1, 2))


def money(micro: int) -> str:
    """Return an amount as a decimal number, such as 0.012500."""
    return f"{micro // MICRO}.{micro % MICRO:06}"


def _exact(price: float) -> Fraction:
    """Return the number that was written, not the binary one next to it."""
    return Fraction(str(price))
