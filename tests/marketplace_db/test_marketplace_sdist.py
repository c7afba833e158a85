"""Source distributions from strangers: read whole and judged, or refused with nothing on disk."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from marketplace_db.errors import PackageError
from marketplace_db.sdist import SDIST_LIMITS, read_sdist
from signing.digests import hash_file
from tests.fakes.sdists import sdist_files, tar_member, write_sdist, write_tar

TOP = "tiny-1.0"
Members = list[tuple[tarfile.TarInfo, bytes]]


def sound() -> Members:
    return [tar_member(f"{TOP}/{name}", content) for name, content in sdist_files().items()]


def test_everything_of_it_is_known(tmp_path: Path) -> None:
    path = write_sdist(tmp_path)
    sdist = read_sdist(path)
    assert (sdist.name, sdist.version, sdist.digest) == ("tiny", "1.0", hash_file(path)[0])
    assert dict(sdist.files) == sdist_files()
    assert sdist.build_system.backend == "backend"
    assert sdist.build_system.path == ("own",)


def test_a_zip_is_read_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "tiny-1.0.zip", "w") as archive:
        for name, content in sdist_files().items():
            archive.writestr(f"{TOP}/{name}", content)
    assert dict(read_sdist(tmp_path / "tiny-1.0.zip").files) == sdist_files()


def test_a_link_inside_is_a_copy(tmp_path: Path) -> None:
    members = [
        *sound(),
        tar_member(f"{TOP}/docs/a.py", kind=tarfile.SYMTYPE, link="../tiny/__init__.py"),
        tar_member(f"{TOP}/b.py", kind=tarfile.LNKTYPE, link=f"{TOP}/tiny/__init__.py"),
    ]
    files = dict(read_sdist(write_tar(tmp_path / f"{TOP}.tar.gz", members)).files)
    assert files["docs/a.py"] == files["b.py"] == files["tiny/__init__.py"]


@pytest.mark.parametrize(
    ("table", "backend", "requires"),
    [
        (None, "setuptools.build_meta:__legacy__", ("setuptools",)),
        (b"[project]\nname = 'x'\n", "setuptools.build_meta:__legacy__", ("setuptools",)),
        (b"[build-system]\nrequires = ['a>1', 'b']\n",
         "setuptools.build_meta:__legacy__", ("a>1", "b")),
        (b"[build-system]\nrequires = []\nbuild-backend = 'a.b:c.d'\n", "a.b:c.d", ()),
    ],
)  # fmt: skip
def test_the_backend_is_what_the_project_says(
    table: bytes | None, backend: str, requires: tuple[str, ...], tmp_path: Path
) -> None:
    files = {"pyproject.toml": table or b""}
    path = write_sdist(tmp_path, files=files)
    if table is None:
        members = [m for m in sound() if not m[0].name.endswith("pyproject.toml")]
        path = write_tar(tmp_path / f"{TOP}.tar.gz", members)
    system = read_sdist(path).build_system
    assert (system.backend, system.requires) == (backend, requires)


OUTSIDE: dict[str, tuple[Members, str]] = {
    "absolute": ([tar_member("/etc/x")], "is absolute"),
    "dots": ([tar_member(f"{TOP}/../../x")], "has the part '..'"),
    "link out": (
        [tar_member(f"{TOP}/x", kind=tarfile.SYMTYPE, link="../../secret")],
        "is a link to '../secret', which is no file in it",
    ),
    "absolute link": (
        [tar_member(f"{TOP}/x", kind=tarfile.SYMTYPE, link="/etc/passwd")],
        "is a link to '/etc/passwd', which is no file in it",
    ),
    "hard link out": (
        [tar_member(f"{TOP}/x", kind=tarfile.LNKTYPE, link="/etc/passwd")],
        "is a link to '/etc/passwd', which is no file in it",
    ),
    "link to a link": (
        [tar_member(f"{TOP}/x", kind=tarfile.SYMTYPE, link="y"),
         tar_member(f"{TOP}/y", kind=tarfile.SYMTYPE, link="x")],
        "which is no file in it",
    ),
    "through a link": (
        [tar_member(f"{TOP}/x", kind=tarfile.SYMTYPE, link="/tmp"), tar_member(f"{TOP}/x/y")],
        "holds 'tiny-1.0/x'",
    ),
    "device": ([tar_member(f"{TOP}/x", kind=tarfile.CHRTYPE)], "is not a regular file"),
    "pipe": ([tar_member(f"{TOP}/x", kind=tarfile.FIFOTYPE)], "is not a regular file"),
    "twice": ([tar_member(f"{TOP}/PKG-INFO")], "holds 'tiny-1.0/PKG-INFO' twice"),
    "two cases": ([tar_member(f"{TOP}/pkg-info")], "which differ only by case"),
    "second folder": ([tar_member("other-1.0/x")], "does not hold exactly one folder"),
    "beside the folder": ([tar_member("x")], "does not hold exactly one folder"),
    "windows name": ([tar_member(f"{TOP}/nul.py")], "a device name on Windows"),
    "backslash": ([tar_member(f"{TOP}/a\\b.py")], "holds a backslash"),
}  # fmt: skip


@pytest.mark.parametrize(("more", "said"), OUTSIDE.values(), ids=OUTSIDE)
def test_what_would_be_written_elsewhere_is_refused(
    more: Members, said: str, tmp_path: Path
) -> None:
    path = write_tar(tmp_path / f"{TOP}.tar.gz", [*sound(), *more])
    with pytest.raises(PackageError) as caught:
        read_sdist(path)
    assert said in str(caught.value)
    assert caught.value.hint


def test_the_control_of_names_that_lead_out(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar.gz", [tar_member("../planted", b"x")])
    inner = tmp_path / "inner"
    inner.mkdir()
    with tarfile.open(path) as archive:
        archive.extractall(inner, filter="fully_trusted")
    assert (tmp_path / "planted").read_bytes() == b"x"


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def act(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return act


def _bomb(path: Path) -> None:
    stream = io.BytesIO()
    with gzip.open(stream, "wb", 9) as packed:
        for _ in range(SDIST_LIMITS.total_bytes // (1 << 20) + 1):
            packed.write(bytes(1 << 20))
    path.write_bytes(stream.getvalue())


def _many(path: Path) -> None:
    more = [tar_member(f"{TOP}/{n}") for n in range(SDIST_LIMITS.entries)]
    write_tar(path, [*sound(), *more])


DAMAGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (_bytes(lambda _: b""), "is cut off"),
    "no gzip": (_bytes(lambda data: b"PK" + data), "is not a gzip file, or is damaged"),
    "cut off": (_bytes(lambda data: data[:-20]), "is cut off"),
    "something behind": (_bytes(lambda data: data + b"x"), "has data behind its end"),
    "no tar": (_bytes(lambda _: gzip.compress(b"x" * 1024)), "is not a tar file, or is damaged"),
    "bomb": (_bomb, "unpacks to more than"),
    "many entries": (_many, "holds more than 5000 entries"),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGED.values(), ids=DAMAGED)
def test_what_is_damaged_or_too_large_is_refused(
    damage: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    path = write_sdist(tmp_path)
    damage(path)
    with pytest.raises(PackageError) as caught:
        read_sdist(path)
    assert said in str(caught.value)


PROJECTS = {
    "no toml": (b"[[[", "pyproject.toml cannot be read"),
    "not UTF-8": (b"\xff", "pyproject.toml cannot be read"),
    "deep": (b"x = " + b"[" * 100_000, "pyproject.toml cannot be read"),
    "requires": (b"[build-system]\nrequires = 'x'\n", "build-system.requires is not a list"),
    "table": (b"build-system = 3\n", "build-system.requires is not a list"),
    "backend": (b"[build-system]\nbuild-backend = 'os; x'\n", "build-backend 'os; x' is no module"),
    "number": (b"[build-system]\nbuild-backend = 3\n", "build-backend 3 is no module"),
    "path": (b"[build-system]\nbackend-path = ['../x']\n", "backend-path '../x' has the part '..'"),
    "absolute path": (b"[build-system]\nbackend-path = ['/x']\n", "backend-path '/x' is absolute"),
}


@pytest.mark.parametrize(("text", "said"), PROJECTS.values(), ids=PROJECTS)
def test_a_wrong_project_file_is_named(text: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(PackageError) as caught:
        read_sdist(write_sdist(tmp_path, files={"pyproject.toml": text}))
    assert said in str(caught.value)


def test_a_file_of_another_name_is_refused(tmp_path: Path) -> None:
    path = write_sdist(tmp_path)
    path.rename(tmp_path / "other-1.0.tar.gz")
    with pytest.raises(PackageError, match=r"holds the folder 'tiny-1.0', that of another"):
        read_sdist(tmp_path / "other-1.0.tar.gz")
    (tmp_path / "other.tgz").write_bytes(b"")
    with pytest.raises(PackageError, match=r"other.tgz: is not the name of a source distribution"):
        read_sdist(tmp_path / "other.tgz")


def test_without_metadata_it_is_no_source_distribution(tmp_path: Path) -> None:
    members = [member for member in sound() if not member[0].name.endswith("PKG-INFO")]
    with pytest.raises(PackageError, match="holds no PKG-INFO"):
        read_sdist(write_tar(tmp_path / f"{TOP}.tar.gz", members))
