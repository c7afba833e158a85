"""Comparing two releases: what differs is said, whatever the packages hold."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketplace_db.catalog import Catalog
from marketplace_db.errors import NotAcceptedError, NotInCatalogError
from marketplace_db.manifest import parse_manifest
from signing.client import DirectorySource
from signing.digests import Digest
from signing.errors import VerificationError
from signing.roles import blob_path
from tavo.registry.difference import Difference, Side, _unified, compare, escaped, open_side
from tests.fakes.marketplace import BUILT, Marketplace, MemoryStore
from tests.fakes.operator_market import MANIFEST


def side(
    version: str,
    files: Mapping[str, bytes] | None = None,
    *,
    more: str = "",
    wheels: Mapping[str, str] | None = None,
) -> Side:
    text = MANIFEST.format(id="sample", publisher="acme", version=version, name="One") + more
    files = files or {}
    return Side(
        full_id="acme/sample", version=version, package=version, published_at="2026-11-22",
        manifest=parse_manifest(text.encode()), wheels=wheels or {}, files=files,
        digests={name: Digest.of(data).hex for name, data in files.items()}, evidence=(),
    )  # fmt: skip


def difference(old: bytes | None, new: bytes | None) -> Difference:
    files = [{} if data is None else {"main.py": data} for data in (old, new)]
    return compare(side("1.0.0", files[0]), side("2.0.0", files[1]))


def test_permissions_are_compared_as_words_the_worst_first() -> None:
    old = side("1.0.0", more="permissions: {network: [a.example], target: true}\n")
    new = side(
        "2.0.0",
        more="permissions: {env: [KEY], native_code: true, network: [a.example, b.example]}\n",
    )
    found = compare(old, new)
    assert found.added == ("native_code", "network:b.example", "env:KEY")
    assert found.removed == ("target",)
    assert [one.words[0] for one in found.red] == ["native_code", "network:a.example"]
    back = compare(new, old)
    assert (back.added, back.removed) == (found.removed, found.added)
    assert back.red == ()
    assert compare(old, old).added == ()


def test_dependencies_are_compared_by_name_version_and_content() -> None:
    old = side("1.0.0", more="dependencies: [a==1.0, gone==1.0]\n", wheels={
        "a-1.0-py3-none-any.whl": "11", "gone-1.0-py3-none-any.whl": "12",
        "same-1.0-py3-none-any.whl": "13", "swapped-1.0-py3-none-any.whl": "14",
    })  # fmt: skip
    new = side("2.0.0", more="dependencies: [a==2.0, extra==1.0]\n", wheels={
        "a-2.0-py3-none-any.whl": "21", "extra-1.0-py3-none-any.whl": "22",
        "same-1.0-py3-none-any.whl": "13", "swapped-1.0-py3-none-any.whl": "99",
    })  # fmt: skip
    found = compare(old, new)
    assert [(w.name, w.old, w.new, w.same_version) for w in found.wheels] == [
        ("a", "1.0", "2.0", False),
        ("extra", "", "1.0", False),
        ("gone", "1.0", "", False),
        ("swapped", "1.0", "1.0", True),
    ]
    assert found.requirements_added == ("a==2.0", "extra==1.0")
    assert found.requirements_removed == ("a==1.0", "gone==1.0")


def test_other_fields_are_compared_one_by_one() -> None:
    old = side("1.0.0", more="languages: [python]\n")
    new = side("2.0.0", more="languages: [python, json]\nlimits: {memory_mb: 4096, threads: 64}\n")
    assert compare(old, new).fields == (
        ("languages", ("python",), ("python", "json")),
        ("limits.memory_mb", 512, 4096),
        ("limits.threads", 16, 64),
    )


def test_files_that_came_went_and_changed() -> None:
    old = side("1.0.0", {"a.py": b"1\n", "b.py": b"1\n2\n", "same": b"x"})
    new = side("2.0.0", {"b.py": b"1\n3\n", "c.py": b"new\n", "same": b"x"})
    found = [(f.path, f.old, f.new, f.lines) for f in compare(old, new).files]
    assert found == [
        ("a.py", 2, None, ("@@ -1 +0,0 @@", "-1")),
        ("b.py", 4, 4, ("@@ -1,2 +1,2 @@", " 1", "-2", "+3")),
        ("c.py", None, 4, ("@@ -0,0 +1 @@", "+new")),
    ]


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2J\x1b]0;x\x07", "+<U+001B>[2J<U+001B>]0;x<U+0007>"),
        ("if a:\u202e # ok", "+if a:<U+202E> # ok"),
        ("a\u2066b\u200bc\ufeff", "+a<U+2066>b<U+200B>c<U+FEFF>"),
        ("a\rb\x0bc\x0cd\x85e\u2028f", "+a<U+000D>b<U+000B>c<U+000C>d<U+0085>e<U+2028>f"),
        ("\ta", "+    a"),
        ("a\u00a0b", "+a<U+00A0>b"),
        ("\U000e0041", "+<U+E0041>"),
    ],
)
def test_hostile_text_is_shown_by_its_name(hostile: str, shown: str) -> None:
    (file,) = difference(b"", hostile.encode()).files
    assert file.lines[-1] == shown
    assert all(line.isprintable() for line in file.lines)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=50))
def test_whatever_is_escaped_can_be_printed(text: str) -> None:
    assert escaped(text).isprintable()


@pytest.mark.parametrize("data", [b"a\0b", b"\xff\xfe", b"x" * (513 << 10)])
def test_what_is_no_text_or_too_large_is_named_only(data: bytes) -> None:
    (file,) = difference(b"text\n", data).files
    assert file.lines == ()
    assert "compared by digest only" in file.note
    assert (file.old, file.new) == (5, len(data))


def test_the_end_of_the_last_line_is_not_overlooked() -> None:
    (file,) = difference(b"a", b"a\n").files
    assert (file.lines, file.note) == ((), "only the ends of its lines differ")


def test_long_lines_are_cut() -> None:
    (file,) = difference(b"", b"x" * 5000).files
    assert file.lines[-1].endswith("… (4601 more characters)")
    assert len(file.lines[-1]) < 450


def test_a_text_made_to_be_slow_to_compare_is_not_compared() -> None:
    """Lines that repeat just rarely enough: matching 50,000 of them would take hours."""
    old, new = [], []
    for number in range(25_000):
        old += [f"k{number % 100}", f"a{number}"]
        new += [f"k{number % 100}", f"b{number}"]
    began = time.process_time()
    lines = list(_unified(old, new))
    assert lines[0].endswith("replaced as a whole")
    assert len(lines) >= 99_999
    assert time.process_time() - began < 10


def patched(old: list[str], lines: list[str]) -> list[str]:
    """Apply a unified diff."""
    result: list[str] = []
    at = 0
    for line in lines:
        if line.startswith("@@"):
            start, count = re.match(r"@@ -(\d+)(?:,(\d+))?", line).groups()  # type: ignore[union-attr]
            begin = int(start) - (count != "0")
            result += old[at:begin]
            at = begin
        elif line[0] == "+":
            result.append(line[1:])
        else:
            assert old[at] == line[1:]
            at += 1
            if line[0] == " ":
                result.append(line[1:])
    return result + old[at:]


LINES = st.lists(st.sampled_from(["a", "b", "", "-", "@@", "+x", "long " * 9]), max_size=40)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LINES, LINES, st.integers(0, 3), st.sampled_from([1500, 3]))
def test_a_diff_applied_to_the_old_text_gives_the_new_one(
    old: list[str], new: list[str], same: int, most: int
) -> None:
    from unittest.mock import patch

    ends = [f"same {n}" for n in range(8)] * same
    old, new = [*ends, *old, *ends], [*ends, *new, *ends]
    with patch("tavo.registry.difference._MOST_COMPARED", most):
        lines = list(_unified(old, new))
    assert patched(old, lines) == new
    assert not lines or old != new


# -- both are accepted before anything is compared


class Mirror:
    """Two releases of a plugin in a mirror that an attacker may edit."""

    def __init__(self, folder: Path) -> None:
        self.market = Marketplace(folder)
        for version, more in (("1.0.0", ""), ("2.0.0", "permissions: {target: true}\n")):
            self.market.write_plugin("tool", version, more=more, folder=f"tool-{version}")
        self.market.release(BUILT)
        self.path = self.market.copy("mirror")
        self.opened = self.market.machine(MemoryStore()).open(DirectorySource(self.path))
        self.opened = self.opened._replace(sources=(DirectorySource(self.path),))

    def sides(self, *versions: str) -> list[Side]:
        work = self.market.folder / "work"
        work.mkdir(exist_ok=True)
        with Catalog.open(self.opened.file) as catalog:
            return [
                open_side(self.opened, catalog, "tool", version, work / version)
                for version in versions
            ]

    def blob(self, version: str, which: str = "package") -> Path:
        with Catalog.open(self.opened.file) as catalog:
            release = catalog.release("tool", version)
        digests: dict[str, Any] = {
            "package": release.package,
            "publisher": release.publisher_envelope,
            "reviewer": release.reviewer_envelopes[0],
        }
        return self.path / blob_path(digests[which])


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path)


def test_two_honest_releases_are_compared_with_their_evidence(mirror: Mirror) -> None:
    found = compare(*mirror.sides("1.0.0", "2.0.0"))
    assert found.added == ("target",)
    assert [file.path for file in found.files] == ["plugin.yaml"]
    assert [(one.by, one.decision) for one in found.new.evidence] == [
        ("publisher", "published"), ("reviewer", "approved"), ("reviewer", "approved"),
    ]  # fmt: skip
    assert all(len(one.reports) == 1 for one in found.new.evidence[1:])
    assert len({key for one in found.new.evidence for key in one.keys}) == 3


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
def test_a_tampered_package_is_refused_on_either_side(mirror: Mirror, version: str) -> None:
    path = mirror.blob(version)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(VerificationError, match="sha256"):
        mirror.sides("1.0.0", "2.0.0")


@pytest.mark.parametrize("which", ["publisher", "reviewer"])
def test_a_release_without_its_statements_is_refused(mirror: Mirror, which: str) -> None:
    mirror.blob("2.0.0", which).unlink()
    with pytest.raises(NotAcceptedError, match="statement that the catalog names is missing"):
        mirror.sides("1.0.0", "2.0.0")


def test_a_version_that_is_not_there_is_named(mirror: Mirror) -> None:
    with pytest.raises(NotInCatalogError, match=r"3\.0"):
        mirror.sides("3.0")
