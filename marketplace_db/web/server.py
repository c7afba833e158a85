"""Datasette around one verified catalog, a marketplace around that, and the server of both."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

from datasette.app import Datasette
from datasette.database import Database
from datasette.plugins import pm

from marketplace_db.catalog import Catalog
from marketplace_db.catalog_file import connect
from marketplace_db.errors import MarketplaceError
from marketplace_db.web import plugin
from marketplace_db.web.desk import Desk
from marketplace_db.web.front import Front
from marketplace_db.web.limits import ServiceLimits
from marketplace_db.web.wire import App, Receive, Scope, Send
from signing.digests import VerifiedFile

__all__ = ["build_app", "hosts_of", "pages_of", "run", "serve", "serve_market"]

_log = logging.getLogger(__name__)
_LOOK_S = 1.0
_DRAIN_S = 20
_FIRST_HANDED_OVER = 3

_SETTINGS: dict[str, Any] = {
    "allow_csv_stream": False,
    "allow_download": False,
    "allow_facet": True,
    "default_allow_sql": False,
    "default_page_size": 50,
    "num_sql_threads": 2,
    "sql_time_limit_ms": 500,
    "suggest_facets": False,
}


class _CatalogDatabase(Database):  # type: ignore[misc]
    """A Datasette database over the verified file, opened as `marketplace_db.catalog` does."""

    def __init__(self, datasette: Datasette, verified: VerifiedFile) -> None:
        super().__init__(datasette, str(verified.path), is_mutable=False)
        self._verified = verified

    def connect(self, write: bool = False) -> sqlite3.Connection:
        if write:
            raise MarketplaceError("the catalog is read only")
        connection = connect(self._verified, any_thread=True)
        self._all_file_connections.append(connection)
        return connection


def build_app(
    catalog: VerifiedFile,
    *,
    hosts: frozenset[str] = frozenset({"localhost", "127.0.0.1", "[::1]"}),
    desk: Desk | None = None,
    raw_sql: bool = False,
) -> Datasette:
    """Return a Datasette that shows the catalog and answers requests for the given host names.

    An empty set of `hosts` answers all; a `desk` brings the pages of a marketplace. Raises
    CatalogError for a catalog that cannot be read.
    """
    if desk is None:
        Catalog.open(catalog, thorough=True).close()  # the desk did so itself
    if not pm.is_registered(plugin):
        pm.register(plugin, "tavo-catalog")
    datasette = Datasette([], memory=False, settings={**_SETTINGS, "default_allow_sql": raw_sql})
    datasette.remove_database("_memory")
    datasette.add_database(_CatalogDatabase(datasette, catalog), name=plugin.DATABASE)
    plugin.attach(datasette, catalog, hosts, desk)
    return datasette


def pages_of(datasette: Datasette) -> App:
    """Return the pages as an application whose first requests may come at the same time.

    Datasette itself gets ready with its first request, and fails a second one meanwhile.
    """
    app: App = datasette.app()
    lock = asyncio.Lock()

    async def pages(scope: Scope, receive: Receive, send: Send) -> None:
        async with lock:
            await datasette.invoke_startup()
        await app(scope, receive, send)

    return pages


def serve(
    catalog: VerifiedFile,
    host: str = "127.0.0.1",
    port: int = 8001,
    *,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the catalog's pages until interrupted; `ready` is told the address, once.

    Port 0 takes a free one. Listening on all addresses answers every host name. Raises
    MarketplaceError when the address cannot be used, CatalogError.
    """
    run(pages_of(build_app(catalog, hosts=hosts_of(host))), host, port, ready=ready)


def serve_market(
    desk: Desk,
    limits: ServiceLimits,
    host: str = "127.0.0.1",
    port: int = 8640,
    *,
    version: str,
    worker: Callable[[], str] = lambda: "off",
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve a marketplace, API and pages, until SIGTERM or SIGINT; what was begun is finished.

    `worker` tells how the workers are: up, down or off. Raises MarketplaceError when the address
    cannot be used, and what `Desk.load` raises.
    """
    desk.market().use_wal()
    desk.load()
    hosts = hosts_of(host) | frozenset(limits.hosts)
    front = Front(_pages(desk, limits), desk, limits, hosts=hosts, version=version, worker=worker)
    ended = threading.Event()

    def look_after() -> None:
        while not ended.wait(_LOOK_S):
            try:
                if desk.look_after(time.monotonic()):
                    front.pages = _pages(desk, limits)
            except Exception:  # noqa: BLE001  # the server goes on with what it has
                _log.exception("looking after the marketplace failed")

    keeper = threading.Thread(target=look_after, name="keeper", daemon=True)
    keeper.start()
    try:
        run(front, host, port, ready=ready)
    finally:
        ended.set()
        keeper.join(_DRAIN_S)
        front.close()


def run(app: App, host: str, port: int, *, ready: Callable[[str], None] | None = None) -> None:
    """Answer requests at an address until interrupted. Raises MarketplaceError.

    A socket that a service manager holds for us is used in place of the address: who connects
    between our end and our next start waits there, and is turned away by nobody.
    """
    import uvicorn

    with _handed_over() or _bound(host, port) as listener:
        found = listener.getsockname()[1]
        config = uvicorn.Config(
            app, log_level="warning", lifespan="on", server_header=False, access_log=False,
            proxy_headers=False, timeout_graceful_shutdown=_DRAIN_S, log_config=None,
        )  # fmt: skip
        if ready is not None:
            listener.listen(128)
            ready(f"http://{f'[{host}]' if ':' in host else host}:{found}/")
        before = signal.signal(signal.SIGTERM, lambda *_: None)
        try:  # uvicorn sends the signal again when it is done: there is something left to do then
            with contextlib.suppress(KeyboardInterrupt):  # that is how one ends it
                uvicorn.Server(config).run(sockets=[listener])
        finally:
            signal.signal(signal.SIGTERM, before)


def _handed_over() -> socket.socket | None:
    """Return the one socket of a service manager (sd_listen_fds(3)), None where there is none.

    Raises MarketplaceError for anything else than one that listens for connections.
    """
    handed = os.environ.pop("LISTEN_FDS", ""), os.environ.pop("LISTEN_PID", "")
    if handed != ("1", str(os.getpid())):
        return None
    try:
        listener = socket.socket(fileno=_FIRST_HANDED_OVER)
        listener.set_inheritable(False)
        if listener.family in {socket.AF_INET, socket.AF_INET6} and listener.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        ):
            return listener
    except OSError:
        pass  # it is no socket
    raise MarketplaceError(
        "what was handed over does not listen for TCP connections",
        hint="Hand over a socket that does, or unset LISTEN_FDS.",
    )


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends small answers at once, not 40 ms later.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        # A name that leads nowhere has codes of its own, not those of errno.
        elsewhere = isinstance(error, socket.gaierror) or (
            isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL
        )
        raise MarketplaceError(
            f"{host}:{port}: cannot listen there: {getattr(error, 'strerror', '') or error}",
            hint="Choose an address of this machine, such as 127.0.0.1."
            if elsewhere
            else "Choose another port, or 0 for any free one.",
        ) from error
    return listener


def hosts_of(host: str) -> frozenset[str]:
    """Return the host names to answer for when listening at an address; none means all."""
    if host in {"", "0.0.0.0", "::"}:  # noqa: S104
        return frozenset()
    return frozenset(
        {"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host.lower()}
    )


def _pages(desk: Desk, limits: ServiceLimits) -> App:
    """Return the pages of the catalog that the desk shows now."""
    return pages_of(
        build_app(desk.edition.verified, hosts=frozenset(), desk=desk, raw_sql=limits.raw_sql)
    )
