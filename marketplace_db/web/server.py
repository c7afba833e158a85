"""Datasette around one verified catalog, and the server that answers with it."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable
from typing import Any

from datasette.app import Datasette
from datasette.database import Database
from datasette.plugins import pm

from marketplace_db.catalog import Catalog
from marketplace_db.errors import MarketplaceError
from marketplace_db.web import plugin
from signing.digests import VerifiedFile

__all__ = ["build_app", "serve"]

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
        connection = Catalog.connect(self._verified, any_thread=True)
        self._all_file_connections.append(connection)
        return connection


def build_app(
    catalog: VerifiedFile, *, hosts: frozenset[str] = frozenset({"localhost", "127.0.0.1", "[::1]"})
) -> Datasette:
    """Return a Datasette that shows the catalog and answers requests for the given host names.

    An empty set of `hosts` answers all. Raises CatalogError for a catalog that cannot be read.
    """
    Catalog.open(catalog, thorough=True).close()
    if not pm.is_registered(plugin):
        pm.register(plugin, "tavo-catalog")
    datasette = Datasette([], memory=False, settings=dict(_SETTINGS))
    datasette.remove_database("_memory")
    datasette.add_database(_CatalogDatabase(datasette, catalog), name=plugin.DATABASE)
    plugin.attach(datasette, catalog, hosts)
    return datasette


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
    import uvicorn

    everywhere = host in {"", "0.0.0.0", "::"}  # noqa: S104
    known = {"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host.lower()}
    app = build_app(catalog, hosts=frozenset() if everywhere else frozenset(known)).app()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except (OSError, OverflowError) as error:
            raise MarketplaceError(
                f"{host}:{port}: cannot listen there: {getattr(error, 'strerror', '') or error}",
                hint="Choose another port, or 0 for any free one.",
            ) from error
        found = listener.getsockname()[1]
        config = uvicorn.Config(
            app, log_level="warning", lifespan="on", server_header=False, access_log=False
        )
        if ready is not None:
            listener.listen(128)
            ready(f"http://{f'[{host}]' if ':' in host else host}:{found}/")
        uvicorn.Server(config).run(sockets=[listener])
