"""One worker of the proxy: a configuration made into connections, a judge, figures and a log.

Rules this module keeps:
- a new configuration is built and probed beside the old one and takes its place in one step, or
  not at all; what is under way keeps the judge and the upstream that it has;
- what a reload cannot change (addresses, workers, the admin port, the log's file) is said, not
  done.

Units: times in seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from tavo.errors import ConfigError, InputError
from tavo.llm.prices import Prices
from tavo.proxy.admission import Admission
from tavo.proxy.audit import AuditLog
from tavo.proxy.books import Books
from tavo.proxy.config import ProxyConfig, Upstream
from tavo.proxy.http.upstream import Address, Pool
from tavo.proxy.http.wire import Wire
from tavo.proxy.judging import WorkerOf, judge_of
from tavo.proxy.messages import Judge
from tavo.proxy.sharing import Shared

if TYPE_CHECKING:
    from tavo.proxy.chain.pinned import Pinned
    from tavo.proxy.telemetry import Exporter

__all__ = ["App", "Change", "event_loop_factory", "raise_file_limit"]


_SWITCH_S = 0.000_5
"""So long another thread may keep the interpreter once the event loop wants it."""


class Listener(Protocol):
    """Takes clients' connections, and hands them to the wire."""

    async def listen(self, wire: Wire) -> int:
        """Accept connections; return the port. Raises OSError."""

    def close(self) -> None:
        """Accept nothing more."""


class App:
    """One worker. Make it inside a running loop, `start` it, and `stop` it once."""

    def __init__(
        self, config: ProxyConfig, shared: Shared, *, worker: int = 0,
        environment: Mapping[str, str] | None = None, worker_of: WorkerOf | None = None,
        front: Listener | None = None,
    ) -> None:  # fmt: skip
        """`worker_of` makes the workers of plugins that are filters.

        `front` takes the clients' connections, where they come in another way than over HTTP.
        """
        self.config = config
        self.worker = worker
        self.books = Books(shared.budgets)
        self.port = 0
        self.reloads = 0
        self._shared = shared
        self._worker_of = worker_of
        self._front = front
        self._environment = os.environ if environment is None else environment
        self._wire: Wire | None = None
        self._pools: dict[str, Pool] = {}
        self._door: Admission | None = None
        self._audit: AuditLog | None = None
        self._exporter: Exporter | None = None
        self._looking: asyncio.Task[None] | None = None

    @property
    def wire(self) -> Wire:
        """The connections, once it is started."""
        if self._wire is None:
            raise RuntimeError("the worker is not started")
        return self._wire

    async def start(self) -> None:
        """Start the judge, open the log, listen. Raises TavoError."""
        config = self.config
        sys.setswitchinterval(_SWITCH_S)
        self._shared.budgets.belong_to(self.worker)
        judge = judge_of(config, self._worker_of, self._pinned_of(config))
        await judge.start()
        if config.audit is not None:
            self._audit = AuditLog(config.audit, worker=self.worker)
            self._audit.observe, self._audit.costs = config.observe, bool(config.prices)
            self._audit.open()
        wire = Wire(
            limits=config.limits,
            door=_NoDoor(),
            judge=judge,
            ledger=self._audit,
            told=self.books.told,
        )
        if self._audit is not None:
            self._audit.serve(wire.clock.reads.soon)
        wire.stamp = _stamp(config)
        self._wire = wire
        self._pools = self._pools_of(config)
        self._door = self.books.door = self._door_of(config, self._pools)
        wire.enter_by(self._door)
        self.books.prices = Prices(config.prices)
        self.books.live.judges = bool(config.filters) or config.observe
        if config.telemetry is not None:
            from tavo.proxy.telemetry import Exporter

            self._exporter = self.books.exporter = Exporter(
                config, config.telemetry, snapshot=self.snapshot, environment=self._environment
            )  # fmt: skip
        listen = config.listen
        tls = _server_tls(config) if listen.tls is not None else None
        port = listen.port or self._shared.port
        try:
            if self._front is not None:
                self.port = await self._front.listen(wire)
            else:
                self.port = await wire.listen(
                    listen.address, port, tls=tls, shared=self._shared.workers > 1
                )
        except OSError as error:
            await wire.drain()
            raise InputError(
                f"{listen.address}:{port}: cannot listen there: {error.strerror or error}",
                hint="Another program has the port; choose one with --port.",
            ) from error
        if self._exporter is not None and config.telemetry is not None:
            self._exporter.start()
            every = config.telemetry.every_s
            self._looking = wire.clock.loop.create_task(self._look(self._exporter, every))

    async def _look(self, exporter: Exporter, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            exporter.look()

    async def prepare(self, config: ProxyConfig) -> Change:
        """Build and probe a new configuration, beside the one in use. Raises TavoError."""
        pools = self._pools_of(config)
        door = self._door_of(config, pools)
        judge = judge_of(config, self._worker_of, self._pinned_of(config))
        try:
            await judge.start()
        except BaseException:
            await judge.retire()
            raise
        return Change(self, config, pools, door, judge)

    def put(self, change: Change) -> list[str]:
        """Put a prepared configuration in place; return what is to be said of it."""
        notes = _unchanged(self.config, change.config)
        if change.config.observe != self.config.observe:
            does = "it changes and blocks"
            if change.config.observe:
                does = "OBSERVE ONLY: nothing is changed or blocked"
            notes.append(f"from now on: {does}")
        old, self._pools = self._pools, change.pools
        for name, pool in old.items():
            if self._pools.get(name) is not pool:
                pool.retire()
        self.config = change.config
        self.books.prices = Prices(change.config.prices)
        self.books.live.judges = bool(change.config.filters) or change.config.observe
        wire = self.wire
        wire.limits = change.config.limits
        wire.stamp = _stamp(change.config)
        self._door = self.books.door = change.door
        wire.enter_by(change.door)
        wire.change(change.judge)
        if self._audit is not None:
            self._audit.observe = change.config.observe
            self._audit.costs = bool(change.config.prices)
            self._audit.reopen()
        self.reloads += 1
        return notes

    async def stop(self) -> int:
        """Drain; return how many exchanges had to be cut."""
        if self._front is not None:
            self._front.close()
        cut = await self.wire.drain()
        for pool in self._pools.values():
            pool.retire()
        if self._audit is not None:
            self._audit.close()
        if self._exporter is not None and self._looking is not None:
            self._looking.cancel()
            await asyncio.to_thread(self._exporter.stop)
        return cut

    def hurry(self) -> None:
        """Cut what is under way, once it drains."""
        self.wire.hurry()

    def health(self) -> str:
        """Return why this worker should get no requests, empty if it should."""
        if self.wire.draining:
            return "it is ending"
        if self._audit is not None and self._audit.trouble and self._audit.blocks:
            return f"the audit log cannot be written: {self._audit.trouble}"
        return ""

    def snapshot(self) -> dict[str, Any]:
        """Return the figures of this worker as JSON values."""
        wire = self.wire
        self.books.settle()
        out = self.books.metrics.snapshot()
        gauges: dict[str, float] = {
            "active_exchanges": wire.active,
            "client_connections": len(wire.clients),
            "buffered_bytes": wire.buffered,
            "turned_away_total": wire.turned_away,
            "reloads_total": self.reloads,
            "defects_total": wire.defects,
            "observing": int(self.config.observe),
        }
        for pool in self._pools.values():
            gauges["upstream_connections"] = gauges.get("upstream_connections", 0) + pool.open
            gauges["upstream_connects_total"] = (
                gauges.get("upstream_connects_total", 0) + pool.connects
            )
        if self._exporter is not None:
            gauges["telemetry_sent_total"] = self._exporter.sent
            gauges["telemetry_dropped_total"] = self._exporter.dropped
        if self._audit is not None:
            gauges["audit_rows_total"] = self._audit.written
            gauges["unaudited_total"] = self._audit.missed
            out["audit"] = [{"file": str(self._audit.path), "hash": self._audit.head}]
        out["gauges"] = gauges
        out["live"] = self.books.live.snapshot()
        out["filters"] = dict(wire.current.judge.stats())
        return out

    def used(self) -> dict[str, dict[str, float]]:
        """Return what the keys have used, in all workers."""
        return self._door.used() if self._door is not None else {}

    # -- inside

    def _pools_of(self, config: ProxyConfig) -> dict[str, Pool]:
        """Make the pools; those of upstreams that stay the same are kept."""
        pools: dict[str, Pool] = {}
        for name, upstream in config.upstreams.items():
            kept = self._pools.get(name)
            same = self.config.upstreams.get(name) == upstream
            if kept is not None and same and config.limits == self.config.limits:
                pools[name] = kept
            else:
                address = address_of(name, upstream)
                pools[name] = Pool(name, address, config.limits, self.wire.clock)
        return pools

    def _door_of(self, config: ProxyConfig, pools: Mapping[str, Pool]) -> Admission:
        numbers = self._shared.numbers(config.keys)
        return Admission(
            config, pools, self._shared, numbers, self._environment,
            any_origin=self._front is not None,
        )  # fmt: skip

    def _pinned_of(self, config: ProxyConfig) -> Pinned | None:
        wanted = any(one.get("filter") == "mcp-pins" for one in config.filters)
        return self._shared.pinned() if wanted else None


class Change:
    """A configuration that was built and probed: `commit` it or `abandon` it."""

    def __init__(
        self, app: App, config: ProxyConfig, pools: dict[str, Pool], door: Admission, judge: Judge
    ) -> None:
        self.config, self.pools, self.door, self.judge = config, pools, door, judge
        self._app = app

    def commit(self) -> list[str]:
        """Put it in place; return what is to be said of it."""
        return self._app.put(self)

    async def abandon(self) -> None:
        """End what was started for it."""
        await self.judge.retire()


def address_of(name: str, upstream: Upstream) -> Address:
    """Return where an upstream is. Raises ConfigError."""
    parts = urlsplit(upstream.url)
    host = parts.hostname or ""
    if parts.scheme == "http":
        return Address(host, parts.port or 80, None, parts.path)
    context = ssl.create_default_context()
    if upstream.certificates is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(upstream.certificates)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"upstreams.{name}.certificates: {upstream.certificates}: {error}"
            ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if upstream.unsafe_unverified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return Address(host, parts.port or 443, context, parts.path)


def event_loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the event loop: uvloop where it is installed, else asyncio's own."""
    with contextlib.suppress(ImportError):
        import uvloop  # type: ignore[import-not-found,unused-ignore]

        return uvloop.new_event_loop  # type: ignore[no-any-return,unused-ignore]
    return asyncio.new_event_loop


def raise_file_limit() -> None:
    """Allow as many connections as the system lets us."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _NoDoor:
    """Stands in until the door is made; nothing listens yet."""

    def _closed(self, *_: object) -> Any:
        raise RuntimeError("the proxy is not open")

    enter = pool = admit = outbound = secret = _closed


def _server_tls(config: ProxyConfig) -> ssl.SSLContext:
    tls = config.listen.tls
    if tls is None:
        raise RuntimeError("no TLS is configured")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(Path(tls.certificate), Path(tls.key))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"listen.tls: {tls.certificate}, {tls.key}: {error}") from None
    return context


def _stamp(config: ProxyConfig) -> bytes:
    """Return what answers carry of the proxy itself: that it changes nothing, if so."""
    return b"\r\nx-tavo-observe: 1" if config.observe else b""


def _unchanged(old: ProxyConfig, new: ProxyConfig) -> list[str]:
    names = {"listen": "the address", "workers": "the number of workers",
             "admin": "the admin port", "audit": "the audit log",
             "telemetry": "the export of telemetry",
             "secret_file": "the secret of placeholders"}  # fmt: skip
    return [
        f"{what} ({name}) changes with the next start only"
        for name, what in names.items()
        if getattr(old, name) != getattr(new, name)
    ]
