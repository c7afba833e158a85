"""The rows of a result store that say how a run was judged: thresholds, baseline, policy.

It runs inside the transactions and the error handling of `tavo.results.store`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from tavo.plugins import Confidence, Severity
from tavo.results.rows import dumps, storable
from tavo.results.values import Absent, Gate, PolicyResult, Reported

__all__ = ["gate_of", "mark", "write_gate"]

_KINDS = {kind: kind for kind in ("deny", "violation", "warn")}


def mark(connection: sqlite3.Connection, run_id: int, marked: Iterable[Reported]) -> None:
    """Write the suppression and the baseline state of stored findings, by their fingerprints."""
    rows = []
    for one in marked:
        why = one.suppression
        rows.append(
            (
                one.baseline_state,
                None if why is None else why.kind,
                None if why is None else storable(why.reason),
                None if why is None else why.line,
                "" if why is None else why.expires,
                "" if why is None else storable(why.approved_by),
                run_id,
                one.fingerprint,
            )
        )
    connection.executemany(
        "UPDATE findings SET baseline_state = ?, suppression_kind = ?, suppression_reason = ?,"
        " suppression_line = ?, suppression_expires = ?, suppression_approved_by = ?"
        " WHERE run_id = ? AND fingerprint = ?",
        rows,
    )


def write_gate(connection: sqlite3.Connection, run_id: int, gate: Gate) -> None:
    """Write how a run was judged."""
    connection.execute(
        "INSERT INTO gates (run_id, fail_on, fail_on_confidence, baseline, policy, evaluator)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            run_id, gate.fail_on, gate.fail_on_confidence, storable(gate.baseline),
            dumps(gate.policy), gate.evaluator,
        ),
    )  # fmt: skip
    connection.executemany(
        "INSERT INTO absent (run_id, fingerprint, rule_id, tool, path, line, message)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (run_id, one.fingerprint, *map(storable, (one.rule_id, one.tool, one.path)), one.line,
             storable(one.message))
            for one in gate.absent
        ],
    )  # fmt: skip
    connection.executemany(
        "INSERT INTO policy_results (run_id, kind, rule, message, details, fingerprint, excepted)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (run_id, one.kind, one.rule, storable(one.message),
             dumps(one.details), one.fingerprint,
             int(one.excepted))
            for one in gate.policy_results
        ],
    )  # fmt: skip


def gate_of(connection: sqlite3.Connection, run_id: int) -> Gate | None:
    """Return how a run was judged, None where it was not, or by an older tavo.

    Raises ValueError for a row that no tavo writes.
    """
    row = connection.execute("SELECT * FROM gates WHERE run_id = ?", (run_id,)).fetchone()
    if row is None:
        return None
    absent = connection.execute("SELECT * FROM absent WHERE run_id = ? ORDER BY id", (run_id,))
    said = connection.execute(
        "SELECT * FROM policy_results WHERE run_id = ? ORDER BY id", (run_id,)
    )
    return Gate(
        fail_on=Severity(row["fail_on"]).value,
        fail_on_confidence=Confidence(row["fail_on_confidence"]).value,
        baseline=row["baseline"],
        policy=tuple(json.loads(row["policy"])),
        evaluator=row["evaluator"],
        absent=tuple(
            Absent(**{name: one[name] for name in Absent.__struct_fields__}) for one in absent
        ),
        policy_results=tuple(
            PolicyResult(
                kind=_KINDS[one["kind"]],
                rule=one["rule"],
                message=one["message"],
                details=json.loads(one["details"]),
                fingerprint=one["fingerprint"],
                excepted=bool(one["excepted"]),
            )
            for one in said
        ),
    )
