"""The pages about results and settings name everything that exists."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from tavo import config
from tavo.results.schema import APPLICATION_ID, SCHEMA_VERSION
from tavo.results.store import ResultStore
from tests.fakes.results import everything, stored_run

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "user-guide.md").read_text("utf-8")
PAGE = (DOCS / "results.md").read_text("utf-8")


def columns() -> list[tuple[str, str]]:
    connection = ResultStore()._connection
    return [
        tuple(row)
        for row in connection.execute(
            "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c"
            " WHERE t.type = 'table' ORDER BY t.name, c.cid"
        )
    ]


@pytest.mark.parametrize(("table", "column"), columns(), ids=".".join)
def test_every_column_is_described(table: str, column: str) -> None:
    (section,) = re.findall(rf"^## {table}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert f"`{column}`" in section


def test_the_page_names_the_version_and_the_application() -> None:
    assert f"now {SCHEMA_VERSION}." in PAGE
    assert f"0x{APPLICATION_ID:x}" in PAGE


def test_the_questions_have_answers(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    with ResultStore(path) as store:
        stored_run(store, everything()[1:])
        stored_run(store, everything())
    (block,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    first, second = [part for part in block.split(";") if part.strip()]
    connection = sqlite3.connect(path)
    assert [row[0] for row in connection.execute(first)] == ["critical", "critical", "high", "info"]
    assert [row[0] for row in connection.execute(second)] == ["agent/answer.py"]
    connection.close()


@pytest.mark.parametrize(("variable", "key"), sorted(config._FROM_ENVIRONMENT.items()))
def test_the_guide_names_every_setting(variable: str, key: str) -> None:
    (row,) = [line for line in GUIDE.splitlines() if line.startswith(f"| `{key}` |")]
    assert f"`{variable}`" in row
    assert ("your file only" in row) is (key in config._USER_ONLY)


def test_the_guides_example_of_settings_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(# tavo.toml\n.*?)```", GUIDE, re.DOTALL)
    file = tmp_path / "tavo.toml"
    file.write_text(example)
    settings = config.load_settings(
        environment={"HOME": str(tmp_path)}, folder=tmp_path, project_file=file
    )
    assert settings.scan.exclude == ("generated/", "*_pb2.py")
