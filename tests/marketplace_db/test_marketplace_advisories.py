"""Advisories in OSV's format: the order of versions, what is affected, and the snapshot."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from marketplace_db.advisories.records import Affected, affects, read_advisory
from marketplace_db.advisories.snapshot import Advisories, read_records, write_snapshot
from marketplace_db.advisories.versions import EARLIEST, place
from marketplace_db.errors import AdvisoryError

# In the order of Semantic Versioning 2.0.0, section 11, and around it.
SEMVER = (
    "0.0.0-0", "0.0.0", "1.0.0-0", "1.0.0-2", "1.0.0-11", "1.0.0-alpha", "1.0.0-alpha.1",
    "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0",
    "1.0.1", "1.2.0", "1.10.0", "2.0.0", "2.1.0", "2.1.1", "99999999999999999999.0.0",
)  # fmt: skip
PEP440 = ("1.dev0", "1a1", "1b1", "1rc1", "1", "1.post1", "1.0.1", "1.10", "2", "1!0")


@pytest.mark.parametrize(("ecosystem", "ordered"), [("npm", SEMVER), ("PyPI", PEP440)])
def test_versions_stand_in_the_order_of_their_ecosystem(
    ecosystem: str, ordered: tuple[str, ...]
) -> None:
    places = [place(ecosystem, text) for text in ordered]
    assert None not in places
    for number, before in enumerate(places):
        assert all(before < after for after in places[number + 1 :])
        assert before > EARLIEST
    assert place("npm", "1.0.0+build.1") == place("npm", "1.0.0+2") == place("npm", "v1.0.0")


@pytest.mark.parametrize("text", ["", "1.0", "01.0.0", "1.0.0-", "1.0.0-01-é", "latest", "1" * 300])
def test_what_is_no_version_has_no_place(text: str) -> None:
    assert place("npm", text) is None
    assert affects(Affected(ecosystem="npm", package="x", ranges=RANGE), text) == "unclear"


RANGE = ((("introduced", "1.0.0"), ("fixed", "1.2.0"), ("introduced", "2.0.0-rc.1")),)


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        ("0.9.9", "no"), ("1.0.0", "yes"), ("1.1.9", "yes"), ("1.2.0-rc.1", "yes"), ("1.2.0", "no"),
        ("1.9.0", "no"), ("2.0.0-beta", "no"), ("2.0.0-rc.1", "yes"), ("3.0.0", "yes"),
    ],
)  # fmt: skip
def test_ranges_begin_with_introduced_and_end_before_fixed(version: str, answer: str) -> None:
    assert affects(Affected(ecosystem="npm", package="x", ranges=RANGE), version) == answer


def test_events_need_no_order_and_last_affected_is_affected() -> None:
    events = (("last_affected", "1.5"), ("introduced", "0"), ("limit", "3"), ("introduced", "2"))
    part = Affected(ecosystem="PyPI", package="x", ranges=(events,))
    found = {v: affects(part, v) for v in ("0.1", "1.5", "1.5.1", "2", "2.9", "3", "4")}
    assert found == {"0.1": "yes", "1.5": "yes", "1.5.1": "no", "2": "yes", "2.9": "yes",
                     "3": "no", "4": "no"}  # fmt: skip


def test_listed_version_is_affected_however_it_is_written() -> None:
    part = Affected(ecosystem="PyPI", package="x", versions=("1.0", "2004d"))
    assert [affects(part, v) for v in ("1.0", "1.0.0", "1", "1.0.1")] == ["yes"] * 3 + ["no"]
    assert affects(part, "2004d") == "yes"
    assert affects(part, "2004e") == "unclear"  # it has no place in the order


@given(
    st.lists(st.integers(1, 60), min_size=2, max_size=8, unique=True),
    st.integers(0, 70),
    st.randoms(use_true_random=False),
)
def test_ranges_say_what_specifiers_say(numbers: list[int], asked: int, random: Any) -> None:
    numbers = sorted(numbers)[: len(numbers) // 2 * 2]
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    events = [event for low, high in pairs for event in (("introduced", f"1.{low}"),
                                                         ("fixed", f"1.{high}"))]  # fmt: skip
    random.shuffle(events)
    part = Affected(ecosystem="PyPI", package="x", ranges=(tuple(events),))
    inside = any(f"1.{asked}" in SpecifierSet(f">=1.{low},<1.{high}") for low, high in pairs)
    assert affects(part, f"1.{asked}") == ("yes" if inside else "no")


def record(name: str = "OSV-1", **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "modified": "2026-01-02T00:00:00Z",
        "summary": "Reads files of others.",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "Dep_One"},
                "ranges": [
                    {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.2"}]}
                ],
            }
        ],
        **more,
    }


@pytest.mark.parametrize(
    ("vector", "label"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "critical"),  # 9.8
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", "medium"),  # 6.4
        ("CVSS:3.0/AV:L/AC:L/PR:L/UI:R/S:U/C:L/I:N/A:N", "low"),  # 2.8
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", "low"),  # 0
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", "high"),  # 8.8
        ("CVSS:3.1/AV:X", ""),
    ],
)
def test_severity_is_that_of_the_base_score(vector: str, label: str) -> None:
    value = record(severity=[{"type": "CVSS_V3", "score": vector}])
    assert read_advisory(value).severity == label
    told = record(severity=[{"type": "CVSS_V3", "score": vector}],
                  database_specific={"severity": "MODERATE"})  # fmt: skip
    assert read_advisory(told).severity == "medium"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"id": "../x"}, "has the id"),
        ({"id": 7}, "has the id"),
        ({"affected": {}}, "affected is not a list"),
        ({"affected": [{"package": {"ecosystem": "PyPI", "name": 7}}]}, "is not a text"),
        ({"affected": [{"package": {"ecosystem": "npm", "name": "x"},
                        "ranges": [{"type": "SEMVER", "events": [{"fixed": "1.0.0"}]}]}]},
         "begins nowhere"),
        ({"affected": [{"package": {"ecosystem": "npm", "name": "x"},
                        "ranges": [{"type": "OTHER", "events": []}]}]}, "has the type 'OTHER'"),
        ({"affected": [{"package": {"ecosystem": "npm", "name": "x"},
                        "ranges": [{"type": "SEMVER",
                                    "events": [{"introduced": "0", "fixed": "1.0.0"}]}]}]},
         "an event has the fields"),
    ],
)  # fmt: skip
def test_record_that_cannot_be_read_is_named(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(AdvisoryError, match=sentence):
        read_advisory(record(**change))


def snapshot(tmp_path: Path, *records: dict[str, Any]) -> Path:
    source = tmp_path / "all.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in records:
            archive.writestr(f"{one['id']}.json", json.dumps(one))
    out = tmp_path / "advisories.db"
    write_snapshot(read_records(source), out)
    return out


def test_snapshot_answers_for_the_name_in_any_form(tmp_path: Path) -> None:
    out = snapshot(
        tmp_path, record(), record("OSV-2", withdrawn="2026-02-01T00:00:00Z"),
        record("OSV-3", affected=[{"package": {"ecosystem": "Go", "name": "x"}}]),
    )  # fmt: skip
    with Advisories(out) as opened:
        assert (opened.info.records, opened.info.newest) == (1, "2026-01-02T00:00:00Z")
        (match,) = opened.about("PyPI", "dep-one", "1.1")
        assert (match.advisory.id, match.certain) == ("OSV-1", True)
        assert opened.about("PyPI", "dep.one", "1.2") == []
        assert opened.about("npm", "dep-one", "1.1.0") == []
        (unclear,) = opened.about("PyPI", "dep_one", "old")
        assert not unclear.certain


def test_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    first = snapshot(tmp_path, record("B"), record("A")).read_bytes()
    assert snapshot(tmp_path, record("A"), record("B")).read_bytes() == first


def test_record_that_is_there_twice_or_broken_ends_the_import(tmp_path: Path) -> None:
    source = tmp_path / "records"
    source.mkdir()
    for name in ("a.json", "b.json"):
        (source / name).write_text(json.dumps(record()))
    out = tmp_path / "advisories.db"
    with pytest.raises(AdvisoryError, match="OSV-1: is there twice"):
        write_snapshot(read_records(source), out)
    (source / "b.json").write_text("[" * 100_000)
    with pytest.raises(AdvisoryError, match=r"b\.json: is not JSON"):
        write_snapshot(read_records(source), out)
    (source / "b.json").write_text(json.dumps(record("OSV-2", affected=7)))
    with pytest.raises(AdvisoryError, match=r"b\.json: OSV-2: affected is not a list"):
        write_snapshot(read_records(source), out)
    assert not out.exists()
    (source / "b.json").unlink()
    assert write_snapshot(read_records(source), out).records == 1  # control


def test_file_that_is_no_snapshot_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(b"something else")
    with pytest.raises(AdvisoryError, match="cannot be read"):
        Advisories(other)
    other.unlink()
    sqlite3.connect(other).execute("CREATE TABLE x (y)").connection.close()
    with pytest.raises(AdvisoryError, match="is not a snapshot"):
        Advisories(other)
    out = snapshot(tmp_path, record())
    connection = sqlite3.connect(out)
    connection.execute("UPDATE snapshot SET format = 2")
    connection.commit()
    connection.close()
    with pytest.raises(AdvisoryError, match="has the format 2, expected 1"):
        Advisories(out)
