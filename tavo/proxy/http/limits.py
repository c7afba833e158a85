"""The bounds of everything that a client or an upstream can make the proxy hold or wait for.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["Limits"]

_Size = Annotated[int, Meta(ge=1, le=1 << 40)]
_Count = Annotated[int, Meta(ge=1, le=1_000_000)]
_Time = Annotated[float, Meta(gt=0, le=86_400)]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `limits` of proxy.yaml; counts and buffers are those of one worker."""

    head_bytes: _Size = 64 << 10
    headers: _Count = 200
    body_bytes: _Size = 32 << 20
    buffered_bytes: _Size = 512 << 20
    clients: _Count = 20_000
    client_head_s: _Time = 15
    client_body_s: _Time = 30
    client_body_total_s: _Time = 300
    client_idle_s: _Time = 75
    client_write_s: _Time = 60
    upstream_connect_s: _Time = 10
    upstream_write_s: _Time = 60
    upstream_head_s: _Time = 600
    upstream_body_s: _Time = 300
    upstream_keep_s: _Time = 55
    upstream_connections: _Count = 10_000
    judging_s: _Time = 60
    exchange_s: _Time = 3_600
    drain_s: _Time = 30
