"""Datasette around a database of logs, and its server on this machine's own address."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from datasette.app import Datasette
from datasette.database import Database
from datasette.plugins import pm

from marketplace_db.errors import MarketplaceError
from marketplace_db.web.server import hosts_of, run
from tavo.browse import logs

__all__ = ["build_app", "serve"]

_HOST = "127.0.0.1"
_SETTINGS: dict[str, Any] = {
    "allow_csv_stream": False,
    "allow_download": False,
    "allow_facet": True,
    "default_allow_sql": True,
    "default_page_size": 50,
    "num_sql_threads": 3,
    "sql_time_limit_ms": 2000,
    "suggest_facets": False,
    "truncate_cells_html": 300,
}


class _ReadOnly(Database):  # type: ignore[misc]
    """A database that nothing can be written to, and that attaches no other."""

    def connect(self, write: bool = False) -> sqlite3.Connection:
        if write:
            raise MarketplaceError("the database of logs is read only")
        connection = sqlite3.connect(
            f"{Path(self.path).as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA query_only = ON")
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        self._all_file_connections.append(connection)
        return connection


def build_app(path: Path, record: logs.Record, facts: Mapping[str, str]) -> Datasette:
    """Return a Datasette that shows a database of logs; `record` reads a record of one."""
    if not pm.is_registered(logs):
        pm.register(logs, "tavo-logs")
    datasette = Datasette([], memory=False, settings=_SETTINGS)
    datasette.remove_database("_memory")
    datasette.add_database(
        _ReadOnly(datasette, str(path.absolute()), is_mutable=False), name=logs.DATABASE
    )
    logs.attach(datasette, record, facts, hosts_of(_HOST))
    return datasette


def serve(
    path: Path, record: logs.Record, facts: Mapping[str, str], *, port: int,
    ready: Callable[[str], None],
) -> None:  # fmt: skip
    """Serve a database until interrupted; `ready` is told the address, once.

    Raises MarketplaceError when the address cannot be used.
    """
    run(build_app(path, record, facts).app(), _HOST, port, ready=ready)
