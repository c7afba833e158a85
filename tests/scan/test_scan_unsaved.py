"""A text that an editor has changed and not saved is scanned instead of the file on the disk."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from tavo.progress import Reporter
from tavo.scan.engine import scan_file
from tavo.scan.files import SourceFile, UnreadableError, read
from tavo.scan.incremental import KeptResults, scan_files
from tavo.scan.rule_source import RuleSource

RULE = """
rules:
- id: calls-eval
  languages: [python]
  severity: ERROR
  message: eval
  pattern: eval($X)
"""


@pytest.fixture
def rules(tmp_path: Path) -> RuleSource:
    (tmp_path / "rule.yaml").write_text(RULE)
    return RuleSource([tmp_path / "rule.yaml"])


def test_what_is_unsaved_counts(tmp_path: Path, rules: RuleSource) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    saved = SourceFile(tmp_path / "a.py", PurePosixPath("a.py"))
    unsaved = SourceFile(saved.path, saved.relative, content=b"eval(x)\n")
    assert len(scan_file(saved, rules.loaded).hits) == 0
    assert len(scan_file(unsaved, rules.loaded).hits) == 1
    with pytest.raises(UnreadableError, match="too large: 8 bytes, at most 5"):
        read(unsaved, largest=5)


def test_a_mark_in_front_says_that_it_is_utf_8(tmp_path: Path, rules: RuleSource) -> None:
    text = "# coding: latin-1\nx = 'é'; eval(x)\n"
    file = SourceFile(tmp_path / "a.py", PurePosixPath("a.py"), content=text.encode("utf-8-sig"))
    (hit,) = scan_file(file, rules.loaded).hits
    region = hit.finding.location.region
    assert region is not None
    assert region.start_column == 10
    bare = SourceFile(file.path, file.relative, content=text.encode())
    (hit,) = scan_file(bare, rules.loaded).hits  # the control: the declaration counts
    region = hit.finding.location.region
    assert region is not None
    assert region.start_column == 11


def test_what_is_kept_of_it_is_not_kept_for_the_file(tmp_path: Path, rules: RuleSource) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "a.py").write_text("x = 1\n")
    saved = SourceFile(folder / "a.py", PurePosixPath("a.py"))
    unsaved = SourceFile(saved.path, saved.relative, content=b"eval(x)\n")

    def hits(file: SourceFile) -> int:
        kept = KeptResults(tmp_path / "state" / "kept", rules, root=folder, largest=1000)
        try:
            found = scan_files([file], rules, kept=kept, jobs=1, largest=1000, reporter=Reporter())
            return sum(len(one.hits) for one in found)
        finally:
            kept.close()

    for _ in range(2):
        assert [hits(saved), hits(unsaved), hits(saved)] == [0, 1, 0]
