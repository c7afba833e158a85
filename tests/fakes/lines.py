"""A proxy without sockets: its clients and upstreams are lines in memory."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec

from tavo.proxy.app import App
from tavo.proxy.config import ProxyConfig
from tavo.proxy.http.client import ClientConnection
from tavo.proxy.http.upstream import Pool, UpstreamConnection
from tavo.proxy.http.wire import Wire
from tavo.proxy.sharing import Shared

KEY = "a-virtual-key"
_ID = re.compile(rb"x-tavo-request-id: [0-9a-f]{12}-[0-9a-f]{8}")
_OF_TIME = ("at", "ms", "first_ms", "hash", "pid", "after", "id")
_TIMES = ("seconds", "spans", "firsts", "first_seconds")


class Line(asyncio.Transport):
    """One end of a connection: what is written to it is kept."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.out = b""
        self.protocol = protocol
        self.is_cut = False
        self.is_over = False
        self._is_lost = False

    def write(self, data: Any) -> None:
        self.out += data

    def is_closing(self) -> bool:
        return self.is_over

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.is_over = True
        self.lose()

    def abort(self) -> None:
        self.is_cut = self.is_over = True
        self.lose()

    def lose(self) -> None:
        """End it from the other side, or after it was closed."""
        if not self._is_lost:
            self._is_lost = self.is_over = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


class _Front:
    async def listen(self, wire: Wire) -> int:
        return 1

    def close(self) -> None:
        pass


@dataclass
class Exchanged:
    """What one client sent and the upstream answered, each in pieces; `ends`: it then closes."""

    asked: Sequence[bytes]
    answered: Sequence[bytes] = ()
    ends: bool = False


@dataclass
class Reloaded:
    """Another configuration takes the place of the one in use."""

    config: dict[str, Any]


@dataclass
class Seen:
    """Everything that can be told of a proxy from outside."""

    upstream: list[bytes] = field(default_factory=list)
    client: list[tuple[bytes, bool]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    used: dict[str, Any] = field(default_factory=dict)


async def played(
    config: dict[str, Any], script: Sequence[Exchanged | Reloaded], audit: Path
) -> Seen:
    """Let one client ask, one request after the other, and return what was to be seen."""
    full = _config(config, audit)
    environment = {"REAL": "sk-the-upstreams-own", "OTHER": "sk-another-one-of-its", "TEAM": KEY}
    app = App(full, Shared(key=b"k" * 32), front=_Front(), environment=environment)
    await app.start()
    ups: list[tuple[UpstreamConnection, Line]] = []
    _in_memory(app, ups)
    seen = Seen()
    client, line = _client(app)
    for one in script:
        if isinstance(one, Reloaded):
            (await app.prepare(_config(one.config, audit))).commit()
            _in_memory(app, ups)
            continue
        if line.is_over:
            client, line = _client(app)
        for piece in one.asked:
            client.data_received(piece)
            await _turns()
        busy = [(up, end) for up, end in ups if up.taker is not None and not end.is_over]
        for up, end in busy:
            for piece in one.answered:
                if not end.is_over:
                    up.data_received(piece)
                    await _turns()
            if one.ends:
                end.lose()
                await _turns()
        if not one.ends and client.flow is not None:
            for _, end in busy:
                end.lose()  # an answer that did not end
            await _turns()
        seen.client.append((_ID.sub(b"x-tavo-request-id: -", line.out), line.is_over))
        line.out = b""
    seen.upstream = [end.out for _, end in ups]
    await _turns()
    seen.figures, seen.used = _without_times(app.snapshot()), app.used()
    line.lose()
    await _turns()
    await app.stop()
    seen.rows = [_timeless(json.loads(row)) for row in audit.read_text().splitlines()]
    return seen


def _config(config: dict[str, Any], audit: Path) -> ProxyConfig:
    return msgspec.convert({**config, "audit": {"file": str(audit)}}, ProxyConfig)


def _in_memory(app: App, ups: list[tuple[UpstreamConnection, Line]]) -> None:
    """Have the pools of a proxy make lines in memory."""

    def made(pool: Pool) -> UpstreamConnection:
        up = UpstreamConnection(pool)
        line = Line(up)
        up.connection_made(line)
        pool.connects += 1
        ups.append((up, line))
        return up

    for pool in app._pools.values():

        async def connect(pool: Pool = pool) -> UpstreamConnection:
            return made(pool)

        pool.connect = connect  # type: ignore[method-assign]


def _client(app: App) -> tuple[ClientConnection, Line]:
    client = ClientConnection(app.wire)
    line = Line(cast("asyncio.Protocol", client))
    client.connection_made(line)
    return client, line


async def _turns() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


def _timeless(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in _OF_TIME}


def _without_times(figures: dict[str, Any]) -> dict[str, Any]:
    figures.pop("audit")
    for *_, series in figures["series"]:
        for name in _TIMES:
            series.pop(name)
        series["cost"] = round(series["cost"], 12)  # a sum depends on its order
    live = figures["live"]
    live["minutes"] = [[*row[1:-1], round(row[-1], 12)] for row in live["minutes"]]
    live["clients"] = [[*row[:-1], round(row[-1], 12)] for row in live["clients"]]
    for noted in figures["live"]["noted"]:
        del noted["at"], noted["id"]
    figures["filters"].pop("remembered", None)
    return figures
