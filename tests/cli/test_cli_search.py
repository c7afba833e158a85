"""`tavo registry search` in a large catalog: quick by an index, and the same without it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.fakes.repository import RepositorySimulator
from tests.fakes.wordy_catalog import write_catalog

SAID = "Indexing the words of 40399 plugins, once for this catalog.\n"


@pytest.fixture
def mirror(home: Path, tmp_path: Path) -> Path:
    made = RepositorySimulator(
        tmp_path / "repository",
        now=datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1),
        catalog=write_catalog(tmp_path / "wordy.db").read_bytes(),
    )
    config = home / ".config" / "tavo"
    config.mkdir(parents=True)
    (config / "root.json").write_bytes(made.root)
    (config / "tavo.toml").write_text(
        f'[registry]\nroot = "{config / "root.json"}"\nsource = "{made.directory}"\n'
    )
    return made.directory


def test_the_first_search_says_that_it_makes_an_index(tavo: Run, mirror: Path, home: Path) -> None:
    first = tavo("registry", "search", "ananas", "--mirror", mirror)
    assert first.code == 0
    assert SAID in first.err
    assert "zoo/" in first.out
    assert "acme/" in first.out
    second = tavo("registry", "search", "ananas")
    assert SAID not in second.err
    assert second.out == first.out
    (index,) = (home / ".cache" / "tavo" / "words").iterdir()
    index.unlink()
    index.mkdir()  # now there cannot be one
    third = tavo("registry", "search", "ananas")
    assert (third.code, third.out) == (0, first.out)
    assert index.is_dir()


def test_other_commands_make_none(tavo: Run, mirror: Path, home: Path) -> None:
    for words in (("update",), ("browse",), ("show", "tavo/nothing-here")):
        tavo("registry", *words)
    assert not (home / ".cache" / "tavo" / "words").exists()


@pytest.mark.parametrize("text", ["\udcff", "x" * 60_000, "nothing at all"])
def test_what_nothing_holds_is_said_in_a_sentence(tavo: Run, mirror: Path, text: str) -> None:
    tavo("registry", "update")
    done = tavo("--json", "registry", "search", text)
    assert (done.code, json.loads(done.out)) == (0, [])
    done = tavo("registry", "search", text)
    assert done.code == 0
    assert "No plugin matches " in done.err
