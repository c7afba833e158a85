"""Wheels in a folder: which are chosen, what is missing, and the canonical form."""

from __future__ import annotations

import site
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from marketplace_db.errors import PackageError
from marketplace_db.lock import LockedWheel, parse_lock, write_lock
from marketplace_db.wheel import check_wheel_bytes
from marketplace_db.wheel_files import UnmetError, canonical_wheel, choose, wheels_in
from signing.digests import Digest
from tests.fakes.operator_market import wheel_bytes


def put(folder: Path, name: str, version: str = "1.0", *requires: str, tag: str = "") -> None:
    lines = "".join(f"Requires-Dist: {line}\n" for line in requires)
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{lines}\n".encode()
    data = wheel_bytes(name, version, files={f"{info}/METADATA": metadata})
    (folder / f"{name}-{version}-{tag or 'py3-none-any'}.whl").write_bytes(data)


def chosen(folder: Path, *needed: str) -> list[str]:
    return [f"{one.name} {one.version}" for one in choose(needed, wheels_in(folder), asker="me")]


def test_the_newest_that_fits_is_chosen_with_what_it_needs(tmp_path: Path) -> None:
    put(tmp_path, "one", "1.0", "two>=1,<3")
    for version in ("1.0", "2.5", "3.0"):
        put(tmp_path, "two", version)
    put(tmp_path, "unrelated")
    assert chosen(tmp_path, "one") == ["one 1.0", "two 2.5"]


def test_everything_that_is_missing_is_named_with_who_needs_it(tmp_path: Path) -> None:
    put(tmp_path, "one", "1.0", "two>=1")
    put(tmp_path, "three", "1.0")
    with pytest.raises(UnmetError) as caught:
        chosen(tmp_path, "one", "three>=2")
    assert str(caught.value) == "me needs three>=2; one 1.0 needs two>=1"
    assert set(caught.value.missing) == {"two", "three"}


def test_extras_count_and_markers_are_those_of_where_plugins_run(tmp_path: Path) -> None:
    put(
        tmp_path, "one", "1.0", "two; extra == 'more'", "win; sys_platform == 'win32'",
        "old; python_version < '3.9'", "mac; sys_platform == 'darwin'",
    )  # fmt: skip
    for name in ("two", "mac"):
        put(tmp_path, name)
    assert chosen(tmp_path, "one") == ["mac 1.0", "one 1.0"]
    assert chosen(tmp_path, "one[more]") == ["mac 1.0", "one 1.0", "two 1.0"]


def test_every_wheel_of_a_version_is_taken(tmp_path: Path) -> None:
    put(tmp_path, "one", tag="cp311-cp311-manylinux_2_28_x86_64")
    put(tmp_path, "one", tag="cp312-cp312-manylinux_2_28_x86_64")
    (one,) = choose(["one"], wheels_in(tmp_path), asker="me")
    assert len(one.wheels) == 2


def test_versions_that_cannot_go_together_name_both_sides(tmp_path: Path) -> None:
    put(tmp_path, "one", "1.0", "two<2")
    put(tmp_path, "two", "1.0")
    put(tmp_path, "two", "2.0")
    with pytest.raises(PackageError) as caught:
        chosen(tmp_path, "two", "one")
    assert str(caught.value) == (
        "me needs two, for which 2.0 was chosen, but one 1.0 needs two<2"
    )  # fmt: skip


def test_circles_end(tmp_path: Path) -> None:
    put(tmp_path, "one", "1.0", "two")
    put(tmp_path, "two", "1.0", "one")
    assert chosen(tmp_path, "one") == ["one 1.0", "two 1.0"]


def test_a_wheel_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "one-1.0-py3-none-any.whl").write_bytes(b"<html>")
    with pytest.raises(PackageError, match=r"one-1.0-py3-none-any.whl: is not a zip file"):
        wheels_in(tmp_path)


def test_a_tool_may_bring_a_start_up_file_and_a_dependency_may_not() -> None:
    data = wheel_bytes(files={"dep.pth": b"import os\n"})
    check_wheel_bytes(data, "dep-1.0-py3-none-any.whl", is_tool=True)
    with pytest.raises(PackageError, match="would run code when Python starts"):
        check_wheel_bytes(data, "dep-1.0-py3-none-any.whl")


def test_a_start_up_file_counts_where_python_would_run_it(tmp_path: Path) -> None:
    line = f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n".encode()
    nested = wheel_bytes(files={"dep/data/prompts.pth": line})
    check_wheel_bytes(nested, "dep-1.0-py3-none-any.whl")
    for name, runs in (("dep/data/prompts.pth", False), ("prompts.pth", True)):
        folder = tmp_path / str(runs)
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(line)
        site.addsitedir(str(folder))  # as Python does with a folder of packages when it starts
        assert (tmp_path / "ran").exists() is runs


def repacked(data: bytes, method: int, *, backwards: bool) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as old, zipfile.ZipFile(stream, "w", method) as new:
        for entry in sorted(old.infolist(), key=lambda e: e.filename, reverse=backwards):
            made = zipfile.ZipInfo(entry.filename, (2001 + backwards, 2, 3, 4, 5, 6))
            made.external_attr = (0o100600 + backwards) << 16
            new.writestr(made, old.read(entry), method)
    return stream.getvalue()


def test_the_canonical_form_depends_on_the_contents_alone() -> None:
    label = "dep-1.0-py3-none-any.whl"
    made = wheel_bytes()
    others = [
        repacked(made, zipfile.ZIP_STORED, backwards=False),
        repacked(made, zipfile.ZIP_DEFLATED, backwards=True),
    ]
    assert len({made, *others}) == 3
    forms = {canonical_wheel(one, label, name="dep", version="1") for one in (made, *others)}
    assert len(forms) == 1
    (form,) = forms
    assert canonical_wheel(form, label, name="dep", version="1.0") == form
    changed = wheel_bytes(files={"dep/__init__.py": b"VALUE = 2\n"})
    assert canonical_wheel(changed, label, name="dep", version="1.0") not in forms


@pytest.mark.parametrize(
    "name", ["one-1.0-1/../../x-py3-none-any.whl", "one-1.0-../x-none-any.whl", "one-1.0-a b.whl"]
)
def test_a_lock_names_files_and_no_paths(name: str) -> None:
    sound = LockedWheel("one", "1.0", "one-1.0-py3-none-any.whl", Digest.of(b""))
    data = write_lock([sound])
    assert parse_lock(data) == (sound,)
    with pytest.raises(PackageError):
        parse_lock(data.replace(b"one-1.0-py3-none-any.whl", name.encode()))
