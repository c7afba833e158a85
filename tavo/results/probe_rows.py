"""What each probe of an attack gave, in the rows of a store.

The table stands in `tavo.results.schema`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from tavo.results.values import ProbeResult

__all__ = ["probes_of", "write_probes"]

_COLUMNS = ProbeResult.__struct_fields__


def write_probes(
    connection: sqlite3.Connection, run_id: int, results: Iterable[ProbeResult]
) -> None:
    """Write what probes gave in a run. The caller has begun a transaction."""
    connection.executemany(
        f"INSERT INTO probe_results (run_id, {', '.join(_COLUMNS)})"  # noqa: S608
        f" VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})",
        [(run_id, *(getattr(one, name) for name in _COLUMNS)) for one in results],
    )


def probes_of(connection: sqlite3.Connection, run_id: int) -> tuple[ProbeResult, ...]:
    """Return what probes gave in a run, in their order."""
    rows = connection.execute("SELECT * FROM probe_results WHERE run_id = ? ORDER BY id", (run_id,))
    return tuple(ProbeResult(**{name: row[name] for name in _COLUMNS}) for row in rows)
