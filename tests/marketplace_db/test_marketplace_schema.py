"""The schema page names every table, column and index of both databases."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from marketplace_db.schema import CATALOG_DDL, CATALOG_VERSION, upgrade_market

PAGE = (Path(__file__).parents[2] / "docs" / "schema.md").read_text("utf-8")


def section(table: str) -> str:
    table = {"submission_wheels": "wheels"}.get(table, table)
    parts = re.split(r"^### ", PAGE, flags=re.M)[1:]
    return next(part for part in parts if part.split()[0] == table)


@pytest.mark.parametrize("which", ["market", "catalog"])
def test_the_page_names_everything(which: str) -> None:
    connection = sqlite3.connect(":memory:")
    if which == "market":
        upgrade_market(connection, place="memory")
    else:
        for statement in CATALOG_DDL[CATALOG_VERSION]:
            connection.execute(statement)
    names = connection.execute("SELECT type, name FROM sqlite_master WHERE sql IS NOT NULL")
    found = [
        (kind, name) for kind, name in names if not name.startswith(("sqlite_", "_sqlite", "idx_"))
    ]
    assert len(found) > 8
    for kind, name in found:
        if kind == "index":
            assert f"`{name}`" in PAGE
            continue
        text = section(name)
        for row in connection.execute(f"PRAGMA table_info({name})"):
            assert f"`{row[1]}`" in text, f"{name}.{row[1]} is not explained"


def test_the_catalog_has_nothing_that_could_run_or_drift() -> None:
    for statements in CATALOG_DDL.values():
        for statement in statements:
            assert re.match(r"CREATE (TABLE|INDEX) ", statement)
            assert "AUTOINCREMENT" not in statement
            assert statement.startswith("CREATE INDEX") or statement.endswith("STRICT")


def test_upgrading_twice_changes_nothing() -> None:
    connection = sqlite3.connect(":memory:")
    upgrade_market(connection, place="memory")
    before = connection.execute("SELECT sql FROM sqlite_master").fetchall()
    upgrade_market(connection, place="memory")
    assert connection.execute("SELECT sql FROM sqlite_master").fetchall() == before
