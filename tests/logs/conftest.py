"""Logs on disk, and one way to look at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tavo.logs.engine import Analysis, analyze
from tavo.logs.mapping import readers
from tavo.logs.sigma.rules import PACK, LogRule, load_rules
from tavo.logs.sources import find_sources

Look = Callable[..., Analysis]


@pytest.fixture(scope="session")
def pack() -> list[LogRule]:
    loaded = load_rules([PACK])
    assert loaded.problems == []
    return list(loaded.rules.values())


@pytest.fixture
def look(pack: list[LogRule], tmp_path: Path) -> Look:
    """Look at a file, or at bytes, with our own rules."""

    def run(
        log: Path | bytes, rules: Sequence[LogRule] | None = None, *, jobs: int = 1
    ) -> Analysis:
        path = log if isinstance(log, Path) else tmp_path / "a.jsonl"
        if isinstance(log, bytes):
            path.write_bytes(log)
        sources, _ = find_sources([str(path)], path.parent)
        return analyze(sources, rules or pack, readers().values(), jobs=jobs)

    return run
