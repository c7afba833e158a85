"""How much a client may ask for: sizes of bodies, and buckets that fill with time.

Rules this module keeps:
- who has a token is counted by it, everybody else by address, IPv6 by network of 64 bits;
- how many are remembered is bounded: the one that was seen the longest ago is forgotten first.

Units: bytes, requests, seconds.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["Buckets", "ServiceLimits", "client_of"]

_MOST_CLIENTS = 20_000


class ServiceLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator allows; `[service]` of market.toml holds these by name."""

    largest_submission_mb: Annotated[int, Meta(ge=1, le=600)] = 64
    reads_per_minute: Annotated[int, Meta(ge=1, le=10_000_000)] = 1200
    writes_per_minute: Annotated[int, Meta(ge=1, le=10_000_000)] = 60
    submissions_per_hour: Annotated[int, Meta(ge=1, le=10_000_000)] = 60
    waiting_submissions: Annotated[int, Meta(ge=1, le=1000)] = 4
    raw_sql: bool = False
    open_metrics: bool = False
    hosts: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
    trusted_proxies: Annotated[tuple[str, ...], Meta(max_length=64)] = ()


class Buckets:
    """A bucket for each client: `most` requests at once, and `most` new ones in `period_s`."""

    def __init__(self, most: int, period_s: float) -> None:
        self.most = most
        self.period_s = period_s
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, now: float) -> float:
        """Take one; return 0, or after how many seconds there is one where there is none."""
        level, since = self._levels.pop(client, (float(self.most), now))
        level = min(float(self.most), level + (now - since) * self.most / self.period_s)
        wait = 0.0 if level >= 1 else (1 - level) * self.period_s / self.most
        self._levels[client] = (level - 1 if level >= 1 else level, now)
        if len(self._levels) > _MOST_CLIENTS:
            self._levels.popitem(last=False)
        return math.ceil(wait * 1000) / 1000


def client_of(peer: str, forwarded: str, trusted: frozenset[str]) -> str:
    """Return the address that asks: the peer's, or what a trusted proxy says it stands for."""
    address = peer
    if peer in trusted:
        for hop in reversed([part.strip() for part in forwarded.split(",") if part.strip()]):
            address = hop
            if hop not in trusted:
                break
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return peer or "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((found, 64), strict=False))
    return str(found)
