"""Building, inspecting and unpacking honest packages; locks; wheels."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace_db.archive import read_archive, write_canonical
from marketplace_db.errors import PackageError
from marketplace_db.lock import LockedWheel, parse_lock, write_lock
from marketplace_db.package import (
    PACKAGE_LIMITS,
    build_package,
    inspect_package,
    unpack_package,
    write_new_file,
)
from marketplace_db.paths import NameConflictError, PathSet, name_problem
from marketplace_db.wheel import check_wheel, unpack_wheel
from signing.digests import Digest
from tests.fakes.operator_market import plugin_folder, record_of, wheel_bytes

HASH = Digest.of(b"wheel")


def test_the_same_files_give_the_same_bytes_whatever_their_times_and_modes(tmp_path: Path) -> None:
    first = plugin_folder(tmp_path / "one")
    second = plugin_folder(tmp_path / "two")
    os.utime(second / "main.py", (1, 1))
    (second / "main.py").chmod(0o755)
    (second / "__pycache__").mkdir()
    (second / "__pycache__" / "main.cpython-311.pyc").write_bytes(b"cache")
    (second / ".git").mkdir()
    (second / ".git" / "config").write_bytes(b"secret")
    digest = build_package(first, tmp_path / "one.zip")
    assert build_package(second, tmp_path / "two.zip") == digest
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_an_inspected_package_tells_everything(tmp_path: Path) -> None:
    lock = f"dep==1.0 --hash=sha256:{HASH.hex}\n"
    folder = plugin_folder(
        tmp_path / "p",
        more="dependencies: [dep==1.0]\n",
        files={"requirements.lock": lock, "requirements.txt": "# pinned\ndep==1.0\n"},
    )
    digest = build_package(folder, tmp_path / "p.zip")
    inspected = inspect_package(tmp_path / "p.zip")
    assert inspected.digest == digest
    assert inspected.length == (tmp_path / "p.zip").stat().st_size
    assert inspected.manifest.full_id == "acme/sample"
    assert inspected.manifest_digest == Digest.of((folder / "plugin.yaml").read_bytes())
    assert inspected.lock_digest == Digest.of(lock.encode())
    assert inspected.locked == (LockedWheel("dep", "1.0", "dep-1.0-py3-none-any.whl", HASH),)
    assert PurePosixPath("main.py") in [file.path for file in inspected.files]
    unpack_package(inspected, tmp_path / "out")
    for file in inspected.files:
        content = (tmp_path / "out" / file.path).read_bytes()
        assert (len(content), Digest.of(content)) == (file.length, file.digest)


def test_a_folder_with_a_link_is_not_packed(tmp_path: Path) -> None:
    folder = plugin_folder(tmp_path / "p")
    (folder / "data").symlink_to("/etc/passwd")
    with pytest.raises(PackageError, match="is a link or a device"):
        build_package(folder, tmp_path / "p.zip")
    assert not (tmp_path / "p.zip").exists()


def test_a_folder_without_a_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"holds no plugin\.yaml"):
        build_package(tmp_path, tmp_path / "p.zip")


def test_a_failed_build_leaves_the_old_package(tmp_path: Path) -> None:
    folder = plugin_folder(tmp_path / "p")
    build_package(folder, tmp_path / "p.zip")
    before = (tmp_path / "p.zip").read_bytes()
    (folder / "LICENSE").unlink()
    with pytest.raises(PackageError, match="holds no LICENSE"):
        build_package(folder, tmp_path / "p.zip")
    assert (tmp_path / "p.zip").read_bytes() == before


# -- canonical zips, as a property

PARTS = st.text(st.sampled_from("abcXYZ01._-é日"), min_size=1, max_size=8)
NAMES = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
TREES = st.dictionaries(NAMES, st.binary(max_size=300), min_size=1, max_size=12)


def _is_fine(names: list[str]) -> bool:
    known = PathSet()
    try:
        for name in names:
            if name_problem(name):
                return False
            known.add(name)
    except NameConflictError:
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_canonical_round_trip(tree: dict[str, bytes]) -> None:
    if not _is_fine(list(tree)):
        with pytest.raises(PackageError):
            write_canonical(tree.items())
        return
    data = write_canonical(tree.items())
    assert data == write_canonical(reversed(tree.items()))
    archive = read_archive(data, label="x", limits=PACKAGE_LIMITS, canonical=True)
    assert {entry.name: archive.read(entry) for entry in archive.entries} == tree


@settings(max_examples=25, deadline=None)
@given(tree=TREES)
def test_zipfile_reads_what_we_write(tree: dict[str, bytes]) -> None:
    import io

    if not _is_fine(list(tree)):
        return
    with zipfile.ZipFile(io.BytesIO(write_canonical(tree.items()))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == tree


@pytest.mark.parametrize(
    "name", ["main.py", "tests/test_a.py", "données/modèle.txt", "a/b/c/d.e.f", "CONSOLE", "nul_"]
)
def test_ordinary_names_are_fine(name: str) -> None:
    assert name_problem(name) is None


def test_a_link_on_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    root = tmp_path / "root"
    root.mkdir()
    (root / "pkg").symlink_to(tmp_path / "outside")
    with pytest.raises(PackageError, match="is in the way"):
        write_new_file(root, PurePosixPath("pkg/evil.py"), b"")
    assert not any((tmp_path / "outside").iterdir())


# -- locks


def test_a_lock_is_written_as_it_is_read() -> None:
    wheels = (
        LockedWheel("a-b", "1.0", "a_b-1.0-cp311-cp311-linux_x86_64.whl", Digest.of(b"1")),
        LockedWheel("a-b", "1.0", "a_b-1.0-cp312-cp312-linux_x86_64.whl", Digest.of(b"2")),
        LockedWheel("dep", "2.1", "dep-2.1-py3-none-any.whl", Digest.of(b"3")),
    )
    data = write_lock(wheels)
    assert parse_lock(data) == wheels
    assert data.count(b"\n") == 2


def test_a_lock_without_file_names_means_universal_wheels() -> None:
    text = f"# made by hand\n\nTyping.Extensions==4.1 --hash=sha256:{HASH.hex}\n"
    (wheel,) = parse_lock(text.encode())
    assert wheel.name == "typing-extensions"
    assert wheel.filename == "typing_extensions-4.1-py3-none-any.whl"
    assert wheel.is_pure


def test_pip_reads_the_lock(tmp_path: Path) -> None:
    """The format is pip's: its own parser sees the same requirement and hash."""
    pip_parser = pytest.importorskip("pip._internal.req.req_file")
    session = pytest.importorskip("pip._internal.network.session").PipSession()
    path = tmp_path / "requirements.lock"
    path.write_bytes(write_lock([LockedWheel("dep", "1.0", "dep-1.0-py3-none-any.whl", HASH)]))
    (line,) = pip_parser.parse_requirements(str(path), session)
    assert line.requirement == "dep==1.0"
    assert line.options["hashes"] == {"sha256": [HASH.hex]}


# -- wheels


def _wheel(tmp_path: Path, data: bytes, name: str = "dep-1.0-py3-none-any.whl") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def test_a_wheel_is_unpacked_file_by_file(tmp_path: Path) -> None:
    data = wheel_bytes()
    path = _wheel(tmp_path, data)
    written = unpack_wheel(path, Digest.of(data), tmp_path / "out")
    assert (tmp_path / "out" / "dep" / "__init__.py").read_bytes() == b"VALUE = 1\n"
    assert len(written) == 4
    for file in written:
        assert Digest.of((tmp_path / "out" / file.path).read_bytes()) == file.digest


def test_a_wheel_that_lies_as_a_blob_is_named_by_the_lock(tmp_path: Path) -> None:
    data = wheel_bytes()
    path = _wheel(tmp_path, data, Digest.of(data).hex)
    check_wheel(path, Digest.of(data), filename="dep-1.0-py3-none-any.whl")
    with pytest.raises(PackageError, match="is not the name of a wheel"):
        check_wheel(path, Digest.of(data))


def test_two_wheels_share_a_folder_but_never_a_file(tmp_path: Path) -> None:
    first, second = wheel_bytes(), wheel_bytes("other")
    clash = wheel_bytes("clash", files={"dep/__init__.py": b"evil\n"})
    out = tmp_path / "out"
    unpack_wheel(_wheel(tmp_path, first), Digest.of(first), out)
    unpack_wheel(_wheel(tmp_path, second, "other-1.0-py3-none-any.whl"), Digest.of(second), out)
    path = _wheel(tmp_path, clash, "clash-1.0-py3-none-any.whl")
    with pytest.raises(PackageError, match="is there already"):
        unpack_wheel(path, Digest.of(clash), out)
    assert (out / "dep" / "__init__.py").read_bytes() == b"VALUE = 1\n"


def _bad_record(change: str) -> bytes:
    info = "dep-1.0.dist-info"
    files = {
        "dep/__init__.py": b"VALUE = 1\n",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: dep\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = record_of(files) + f"{info}/RECORD,,\n"
    if change == "unlisted":
        return wheel_bytes(files={"dep/evil.py": b"evil"}, record=record)
    if change == "absent":
        return wheel_bytes(record=record + "dep/gone.py,sha256=AAAA,1\n")
    if change == "hash":
        return wheel_bytes(files={"dep/__init__.py": b"EVIL = 1\n"}, record=record)
    if change == "weak":
        return wheel_bytes(record=record.replace("dep/__init__.py,sha256=", "dep/__init__.py,md5="))
    if change == "length":
        return wheel_bytes(record=record.replace(",10\n", ",11\n", 1))
    return wheel_bytes(record=record + "dep/__init__.py,sha256=AAAA,1\n")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (wheel_bytes(files={"dep-1.0.data/scripts/run": b"#!"}), "outside of its folder"),
        (wheel_bytes(files={"dep-1.0.data/other/x.py": b""}), "outside of its folder"),
        (wheel_bytes(files={"dep-1.0.data/x.py": b""}), "outside of its folder"),
        (wheel_bytes(files={"dep-1.0.data/purelib/x.pth": b""}), "run code when Python starts"),
        (
            wheel_bytes(files={"dep-1.0.data/purelib/dep/__init__.py": b"EVIL = 1\n"}),
            "are the same file",
        ),
        (wheel_bytes(files={"dep-1.0.data/scripts/run": b"\x7fELF\x02"}), "is compiled code"),
        (wheel_bytes(files={"evil.pth": b"import os"}), "run code when Python starts"),
        (wheel_bytes(files={"dep/__pycache__/x.cpython-311.pyc": b""}), "is compiled code"),
        (wheel_bytes(files={"dep/fast.cpython-311-x86_64-linux-gnu.so": b""}), "is compiled code"),
        (wheel_bytes(files={"dep/libfast.so.1": b""}), "is compiled code"),
        (wheel_bytes(files={"dep/data.bin": b"\x7fELF\x02\x01"}), "is compiled code"),
        (wheel_bytes(files={"other-1.0.dist-info/METADATA": b""}), "expected one .dist-info"),
        (wheel_bytes("other"), "the folder of another distribution"),
        (wheel_bytes("dep", "2.0"), "the folder of another distribution"),
        (wheel_bytes(files={"../evil.py": b""}), "has the part '..'"),
        (_bad_record("unlisted"), "is not in RECORD"),
        (_bad_record("absent"), "which is not in the wheel"),
        (_bad_record("hash"), "does not match its hash in RECORD"),
        (_bad_record("weak"), "no strong hash"),
        (_bad_record("length"), "does not have its length in RECORD"),
        (_bad_record("twice"), "twice"),
    ],
)
def test_a_hostile_wheel_is_refused_before_a_file_is_written(
    data: bytes, sentence: str, tmp_path: Path
) -> None:
    path = _wheel(tmp_path, data)
    with pytest.raises(PackageError) as caught:
        unpack_wheel(path, Digest.of(data), tmp_path / "out")
    assert sentence in str(caught.value)
    assert not (tmp_path / "out").exists()
    # Control: without our checks the same bytes unpack.
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "control")


def test_data_of_a_wheel_is_checked_and_left_out(tmp_path: Path) -> None:
    manual = {"dep-1.0.data/data/share/man/man1/dep.1": b".TH DEP\n"}
    data = wheel_bytes(files=manual)
    written = unpack_wheel(_wheel(tmp_path, data), Digest.of(data), tmp_path / "out")
    assert PurePosixPath("dep/__init__.py") in {file.path for file in written}
    assert not list((tmp_path / "out").glob("*.data"))
    # What is left out is no hiding place: its hash has to hold like any other.
    with zipfile.ZipFile(tmp_path / "dep-1.0-py3-none-any.whl") as archive:
        record = archive.read("dep-1.0.dist-info/RECORD").decode()
    data = wheel_bytes(files={next(iter(manual)): b"changed\n"}, record=record)
    with pytest.raises(PackageError, match="does not match its hash"):
        unpack_wheel(_wheel(tmp_path, data), Digest.of(data), tmp_path / "other")


def test_a_wheel_is_laid_out_as_an_installer_does_and_its_programs_stay_where_they_are(
    tmp_path: Path,
) -> None:
    parts = {
        "dep-1.0.data/purelib/dep/more.py": b"MORE = 1\n",
        "dep-1.0.data/platlib/fast/__init__.py": b"FAST = 1\n",
        "dep-1.0.data/scripts/run": b"\x7fELF\x02\x01",
    }
    data = wheel_bytes(files=parts)
    path = _wheel(tmp_path, data)
    name = "dep-1.0-py3-none-manylinux_2_28_x86_64.whl"
    written = unpack_wheel(path, Digest.of(data), tmp_path / "out", filename=name)
    assert {"dep/more.py", "fast/__init__.py", "dep-1.0.data/scripts/run"} < {
        str(file.path) for file in written
    }
    assert (tmp_path / "out" / "dep" / "more.py").read_bytes() == b"MORE = 1\n"
    assert not (tmp_path / "out" / "dep-1.0.data" / "scripts" / "run").stat().st_mode & 0o111


def test_a_tampered_wheel_is_refused_by_its_digest(tmp_path: Path) -> None:
    path = _wheel(tmp_path, wheel_bytes(files={"dep/evil.py": b"evil"}))
    with pytest.raises(PackageError, match="expected sha256:"):
        unpack_wheel(path, Digest.of(wheel_bytes()), tmp_path / "out")


def test_a_wheel_for_one_system_may_hold_compiled_code(tmp_path: Path) -> None:
    data = wheel_bytes(files={"dep/fast.so": b"\x7fELF\x02\x01"})
    path = _wheel(tmp_path, data, "dep-1.0-cp311-cp311-linux_x86_64.whl")
    assert check_wheel(path, Digest.of(data))
    data = wheel_bytes(files={"dep/x.so.py": b"", "dep/a.so.1.txt": b"", "dep/setup.exe": b"MZ"})
    assert check_wheel(_wheel(tmp_path, data), Digest.of(data))
