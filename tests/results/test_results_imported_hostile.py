"""SARIF files that are wrong, hostile or too large: one sentence each, and nothing acts."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from tavo.errors import InputError
from tavo.results.imported import document
from tavo.results.imported.document import read_sarif
from tavo.results.imported.findings import read_run
from tavo.results.imported.places import OUTSIDE, Places

ATTACKS = Path(__file__).parents[1] / "attacks" / "sarif"
GOOD = b'{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": []}]}'
REFUSED = {
    "version-1.0.0.sarif": "is SARIF '1.0.0', only 2.1.0 is read",
    "version-2.0.0.sarif": "is SARIF '2.0.0', only 2.1.0 is read",
    "no-version.sarif": "is no SARIF: it names no version",
    "key-twice.sarif": "the key 'version' stands twice in one object",
    "nan.sarif": "NaN is not a number of JSON",
    "latin1.sarif": "is not UTF-8 at byte 57",
    "utf16.sarif": "is UTF-16, expected UTF-8",
    "list.sarif": "is no SARIF: expected an object with version and runs",
    "no-run.sarif": "holds no run, so it says nothing about any file",
    "runs-no-list.sarif": "is no SARIF: expected a list under 'runs'",
    "cut-off.sarif": "is not JSON: line 1, column 19",
    "empty.sarif": "is empty, expected SARIF 2.1.0",
    "inline-external.sarif": "uses inlineExternalProperties, which is not supported",
    "external-files.sarif": "uses externalPropertyFileReferences, which is not supported",
    "not-gzip.sarif.gz": "is not gzip, although it begins like it",
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_file_that_is_wrong_is_refused_with_one_sentence(name: str) -> None:
    with pytest.raises(InputError) as caught:
        read_sarif(ATTACKS / name)
    assert REFUSED[name] in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.hint


def test_every_file_of_the_corpus_is_expected() -> None:
    files = {file.name for file in ATTACKS.iterdir()} - {"README.md", "markup.sarif"}
    assert files == set(REFUSED)


def test_markup_is_only_text_and_no_path_leaves_the_root() -> None:
    (run,) = read_sarif(ATTACKS / "markup.sarif").runs
    read: list[object] = []
    places = Places(run, root="file:///p/", bases=(), read=lambda path: read.append(path))
    found = read_run(run, places)
    assert read == []
    assert found.tool == "sarif:tavo-31m-..-b"
    assert [one.finding.location.path.parts[0] for one in found.reported] == [OUTSIDE] * 3
    assert [one.rule.id for one in found.reported] != []
    assert all(not one.rule.references for one in found.reported)
    assert any("results that cannot be read: 3" in notice.reason for notice in found.notices)


@pytest.mark.parametrize(
    "data",
    [GOOD, b"\xef\xbb\xbf" + GOOD, gzip.compress(GOOD, mtime=0)],
    ids=["plain", "mark", "gzip"],
)
def test_a_byte_order_mark_and_gzip_are_understood(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "x.sarif"
    file.write_bytes(data)
    assert len(read_sarif(file).runs) == 1


def test_a_file_that_is_too_large_is_refused_also_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.sarif"
    padded = GOOD + b" " * (2 << 20)
    for data, said in ((padded, "is larger than 1 MB"), (gzip.compress(padded), "unpacked it is")):
        file.write_bytes(data)
        assert read_sarif(file)  # it is the bound that refuses it
        with monkeypatch.context() as patch:
            patch.setattr(document, "LARGEST", 1 << 20)
            with pytest.raises(InputError, match=said):
                read_sarif(file)


def test_gzip_that_is_cut_off_or_goes_on_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.sarif"
    for data in (gzip.compress(GOOD)[:-9], gzip.compress(GOOD) * 2):
        file.write_bytes(data)
        with pytest.raises(InputError, match="is not one whole gzip stream"):
            read_sarif(file)


@pytest.mark.parametrize("character", ["[", '{"a":'])
def test_deep_nesting_is_refused(tmp_path: Path, character: str) -> None:
    file = tmp_path / "x.sarif"
    file.write_text('{"version": "2.1.0", "runs": ' + character * 300_000)
    with pytest.raises(InputError, match="is nested too deep"):
        read_sarif(file)


def test_a_pipe_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder", "gone"):
        with pytest.raises(InputError):
            read_sarif(tmp_path / name)


def test_a_number_without_end_and_too_many_runs_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.sarif"
    file.write_text('{"version": "2.1.0", "runs": [{"a": ' + "9" * 5000 + "}]}")
    with pytest.raises(InputError, match="is not JSON as SARIF asks for"):
        read_sarif(file)
    file.write_text(json.dumps({"version": "2.1.0", "runs": [{}] * 101}))
    with pytest.raises(InputError, match="holds 101 runs, at most 100"):
        read_sarif(file)


def test_a_message_of_brackets_takes_no_time() -> None:
    from tavo.results.imported.values import plain_text

    for text in ("[" * 8000, "[\\" * 4000, "[a](" * 2000, "[a]" * 2000 + "("):
        assert plain_text(text)
