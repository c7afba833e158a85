"""`tavo registry advisories --write`: the snapshot that the plugin dependency-audit asks for."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marketplace_db.advisories.snapshot import Advisories

Tavo = Callable[..., Any]
RECORD = {
    "id": "PYSEC-1", "summary": "It leaks", "modified": "2026-01-01T00:00:00Z",
    "affected": [{"package": {"ecosystem": "PyPI", "name": "northwords"},
                  "ranges": [{"type": "ECOSYSTEM",
                              "events": [{"introduced": "0"}, {"fixed": "1.0"}]}]}],
}  # fmt: skip


@pytest.fixture(autouse=True)
def records(tavo: Tavo) -> None:
    """Lie in the folder where `tavo` runs."""
    Path("osv").mkdir()
    Path("osv/a.json").write_text(json.dumps(RECORD))


@pytest.mark.parametrize(
    ("name", "unpack"),
    [("a.db", bytes), ("a.db.xz", lzma.decompress), ("a.db.gz", gzip.decompress)],
)
def test_records_become_a_snapshot(name: str, unpack: Callable[[bytes], bytes], tavo: Tavo) -> None:
    done = tavo("registry", "advisories", "--write", name, "--from", "osv")
    assert done.code == 0
    assert done.out.startswith(f"{name}: 1 advisory, the newest of 2026-01-01T00:00:00Z, ")
    first = Path(name).read_bytes()
    assert tavo("registry", "advisories", "--write", name, "--from", "osv").code == 0
    assert Path(name).read_bytes() == first
    Path("plain.db").write_bytes(unpack(first))
    with Advisories(Path("plain.db")) as known:
        assert known.info.records == 1


def test_a_snapshot_of_nothing_is_not_written(tavo: Tavo) -> None:
    """Compared with it every lock file would look clean."""
    Path("empty").mkdir()
    Path("empty/notes.txt").write_text("no record")
    done = tavo("registry", "advisories", "--write", "a.db", "--from", "empty")
    assert done.code == 3
    assert "empty: holds no advisory, so nothing is written" in done.err
    assert not Path("a.db").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "osv"), "--from needs --write"),
        (("--write", "a.db", "--from", "nowhere"), "nowhere: there is no such file or folder"),
        (("--write", "a.db", "--from", "osv", "--mirror", "m"), "are two sources"),
    ],
)
def test_what_makes_no_sense_is_refused(words: tuple[str, ...], said: str, tavo: Tavo) -> None:
    done = tavo("registry", "advisories", *words)
    assert done.code == 2
    assert said in done.err
    assert not Path("a.db").exists()


def test_a_record_that_cannot_be_read_writes_no_snapshot(tavo: Tavo) -> None:
    Path("osv/b.json").write_text("{")
    done = tavo("registry", "advisories", "--write", "a.db", "--from", "osv")
    assert done.code == 3
    assert "b.json" in done.err
    assert not Path("a.db").exists()
