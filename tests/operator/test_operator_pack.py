"""What goes into the single file, for which systems; the same inputs give the same bytes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tavo.operator.pack.archive import keep, solid
from tavo.operator.pack.code import compile_all, find_interpreters
from tavo.operator.pack.contents import collect, form_of, module_name, native_name, owner_of
from tavo.operator.pack.layout import Facts, write
from tavo.operator.pack.natives import check_native, machine_of, needed_part
from tavo.operator.pack.targets import (
    MINORS,
    PLATFORMS,
    PackError,
    Target,
    _index,
    all_targets,
    install,
    locked_packages,
    parse_targets,
)
from tests.fakes.single_file import PYZ, manifest, target

ROOT = Path(__file__).parents[2]
LINUX = Target("linux-x86_64", "311")
WINDOWS = Target("windows-x86_64", "311")


# -- targets


def test_targets_are_four_systems_times_four_interpreters() -> None:
    assert len(all_targets()) == len(PLATFORMS) * len(MINORS) == 16
    assert parse_targets(["linux-x86_64"]) == [Target("linux-x86_64", m) for m in MINORS]
    assert parse_targets(["windows-x86_64-cp313"]) == [Target("windows-x86_64", "313")]
    assert len(parse_targets(["cp312"])) == 4


def test_an_unknown_target_names_the_right_ones() -> None:
    with pytest.raises(PackError, match="'linux-riscv' is not a target; use linux-x86_64"):
        parse_targets(["linux-riscv"])


def wheel(folder: Path, name: str, tag: str) -> str:
    """Write a wheel that holds nothing; return its sha256."""
    path = folder / f"{name}-1.0-{tag}.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL",
            f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        )
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package index of our own: a folder of wheels."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    _index.cache_clear()
    yield folder
    _index.cache_clear()


def test_every_missing_wheel_is_named(index: Path, tmp_path: Path) -> None:
    hashes = {
        "everywhere": wheel(index, "everywhere", "py3-none-any"),
        "linuxonly": wheel(index, "linuxonly", "cp311-cp311-manylinux_2_28_x86_64"),
        "toonew": wheel(index, "toonew", "cp314-cp314-manylinux_2_28_x86_64"),
    }
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "".join(f"{name}==1.0 \\\n    --hash=sha256:{digest}\n" for name, digest in hashes.items())
        + "onwindows==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:"
        + "0" * 64
        + "\n"
    )
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(PackError) as refused:
        install([LINUX, Target("macos-arm64", "311"), WINDOWS], lock, work, full=False)
    assert str(refused.value).splitlines() == [
        "no wheel exists for:",
        "  linux-x86_64-cp311: toonew==1.0",
        "  macos-arm64-cp311: linuxonly==1.0",
        "  macos-arm64-cp311: toonew==1.0",
        "  windows-x86_64-cp311: linuxonly==1.0",
        "  windows-x86_64-cp311: toonew==1.0",
        "  windows-x86_64-cp311: onwindows==1.0",
    ]


def test_an_index_that_cannot_be_reached_is_no_missing_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    _index.cache_clear()
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"everywhere==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    (tmp_path / "work").mkdir()
    with pytest.raises(PackError, match="the package index cannot be reached"):
        install([LINUX], lock, tmp_path / "work", full=False)
    _index.cache_clear()


def test_a_wheel_with_another_hash_is_refused(index: Path, tmp_path: Path) -> None:
    wheel(index, "everywhere", "py3-none-any")
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"everywhere==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    (tmp_path / "work").mkdir()
    with pytest.raises(PackError, match=r"everywhere==1\.0"):
        install([LINUX], lock, tmp_path / "work", full=False)


# -- contents


def test_names_of_modules_and_libraries() -> None:
    assert module_name("a/b/__init__.py") == ("a.b", True)
    assert module_name("a/b.py") == ("a.b", False)
    assert native_name("re2/_re2.cpython-311-x86_64-linux-gnu.so") == "re2._re2"
    assert native_name("cryptography/hazmat/bindings/_rust.abi3.so") == (
        "cryptography.hazmat.bindings._rust"
    )
    assert native_name("cryptography/hazmat/bindings/_rust.pyd") == (
        "cryptography.hazmat.bindings._rust"
    )
    assert native_name("_cffi_backend.cp311-win_amd64.pyd") == "_cffi_backend"
    assert native_name("regopy/librego_shared.so") is None
    assert native_name("google_re2.libs/msvcp140-a4c2.dll") is None
    assert owner_of("google_re2.libs/msvcp140-a4c2.dll") == "re2"
    assert owner_of("regopy/librego_shared.so") == "regopy"
    assert owner_of("duckdb/.dylibs/libz.dylib") == "duckdb"


def test_forms() -> None:
    assert form_of("tavo.scan.engine") == "hot"
    assert form_of("tavo.__main__") == "source"
    assert form_of("tavo.proxy.serve") == form_of("tavo.proxy") == "proxy"
    assert form_of("marketplace_db.website") == "hot"
    assert form_of("datasette.app") == "web"
    assert form_of("tuf.api.metadata") == "trust"


def tree(folder: Path, **files: bytes) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_code_that_a_system_has_otherwise_is_kept_for_it(tmp_path: Path) -> None:
    trees = {
        LINUX: tree(tmp_path / "l", a__x_dot_py=b"1\n", a__y_dot_py=b"2\n"),
        WINDOWS: tree(tmp_path / "w", a__x_dot_py=b"1\r\n", a__y_dot_py=b"3\n", c_dot_py=b"4\n"),
    }
    found = collect(trees, {}, tmp_path)
    assert sorted(found.sources) == ["a/x.py", "a/y.py", "c.py"]
    assert found.sources["a/y.py"].read_bytes() == b"2\n"
    assert list(found.variants) == [WINDOWS]
    assert list(found.variants[WINDOWS]) == ["a/y.py"]


def test_of_metadata_the_fields_are_kept(tmp_path: Path) -> None:
    trees = {LINUX: tmp_path / "linux"}
    file = trees[LINUX] / "dep-1.0.dist-info" / "METADATA"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"Name: dep\r\nVersion: 1.0\r\n\r\n# dep\r\nWhat it is for.\r\n")
    contents = collect(trees, {}, tmp_path)
    found = contents.data["dep-1.0.dist-info/METADATA"].read_bytes()
    assert found == b"Name: dep\nVersion: 1.0\n"


def test_data_that_differs_between_systems_fails_the_build(tmp_path: Path) -> None:
    trees = {
        LINUX: tree(tmp_path / "l", a__x_dot_txt=b"1"),
        WINDOWS: tree(tmp_path / "w", a__x_dot_txt=b"2"),
    }
    with pytest.raises(PackError, match=r"a/x\.txt of windows-x86_64-cp311 differs"):
        collect(trees, {}, tmp_path)


def test_an_import_that_is_replaced_must_be_as_expected(tmp_path: Path) -> None:
    path = tmp_path / "l" / "msgspec" / "_utils.py"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"from typing_extensions import A\nfrom typing_extensions import B\n")
    changed = collect({LINUX: tmp_path / "l"}, {}, tmp_path).sources["msgspec/_utils.py"]
    assert changed.read_bytes() == b"from typing import A\nfrom typing import B\n"
    path.write_bytes(b"from typing_extensions import A\n")
    with pytest.raises(PackError, match=r"msgspec/_utils\.py: expected 2 times"):
        collect({LINUX: tmp_path / "l"}, {}, tmp_path)


ELF = b"\x7fELF\x02" + b"\0" * 13
BINARIES = {
    "linux-x86_64": ELF + struct.pack("<H", 62),
    "linux-aarch64": ELF + struct.pack("<H", 183),
    "macos-arm64": b"\xcf\xfa\xed\xfe" + struct.pack("<I", 0x0100000C),
    "windows-x86_64": b"MZ" + b"\0" * 58 + struct.pack("<I", 64) + b"PE\0\0\x64\x86",
}  # fmt: skip


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_binary_of_another_system_fails_the_build(platform: str) -> None:
    target = Target(platform, "312")
    for other, content in BINARIES.items():
        if other == platform:
            check_native(target, "a/_x.abi3.so", content)
        else:
            with pytest.raises(PackError, match=f"of {target}: is .* not "):
                check_native(target, "a/_x.abi3.so", content)


def test_a_binary_of_another_interpreter_fails_the_build() -> None:
    for name in ("a.cpython-311-x86_64-linux-gnu.so", "a.cp311-win_amd64.pyd"):
        with pytest.raises(PackError, match="is for CPython 311"):
            check_native(Target("linux-x86_64", "312"), name, BINARIES["linux-x86_64"])


@pytest.mark.parametrize("content", [b"", b"MZ", b"\x7fELF\x02", b"\xca\xfe\xba\xbe", b"text"])
def test_what_is_no_binary_is_no_binary(content: bytes) -> None:
    assert machine_of(content) == []


def test_a_universal_binary_has_several_processors() -> None:
    both = b"\xca\xfe\xba\xbe" + struct.pack(">I", 2)
    both += struct.pack(">IIIII", 0x01000007, 0, 0, 0, 0)
    both += struct.pack(">IIIII", 0x0100000C, 0, 0, 0, 0)
    assert machine_of(both) == ["Mach-O x86_64", "Mach-O arm64"]
    check_native(Target("macos-arm64", "311"), "a.abi3.so", both)


def elf(*segments: tuple[int, int], sections: int = 7) -> bytes:
    """Return an ELF file with these segments (offset, length) and something behind them."""
    header = bytearray(b"\x7fELF\x02\x01\x01".ljust(64, b"\0"))
    struct.pack_into("<QQ", header, 32, 64, 4000)
    struct.pack_into("<HHHHH", header, 54, 56, len(segments), 64, sections, sections - 1)
    for offset, length in segments:
        header += struct.pack("<IIQQQQQQ", 1, 5, offset, 0, 0, length, length, 4096)
    end = max((offset + length for offset, length in segments), default=0)
    return bytes(header).ljust(min(end, 5000), b"s") + b"symbols" * 50


def test_of_an_elf_file_only_its_segments_are_kept() -> None:
    kept = needed_part(LINUX, "a.so", elf((0, 200), (200, 800)))
    assert len(kept) == 1000
    assert kept[:40] == elf((0, 200), (200, 800))[:40]
    assert struct.unpack_from("<Q", kept, 40) == (0,)
    assert struct.unpack_from("<HHHHH", kept, 54) == (56, 2, 64, 0, 0)
    assert needed_part(LINUX, "a.so", kept) == kept
    for other in BINARIES["macos-arm64"], BINARIES["windows-x86_64"], b"", b"\x7fELF":
        assert needed_part(LINUX, "a.so", other) == other


@pytest.mark.parametrize("broken", [elf((0, 9000)), elf((1 << 63, 1 << 63)), elf()[:60]])
def test_an_elf_file_whose_segments_make_no_sense_fails_the_build(broken: bytes) -> None:
    with pytest.raises(PackError, match=r"a\.so of linux-x86_64-cp311: .*segments"):
        needed_part(LINUX, "a.so", broken)


def test_of_a_universal_file_only_the_part_for_the_processor_is_kept() -> None:
    part = BINARIES["macos-arm64"] + b"code and its signature"
    both = b"\xca\xfe\xba\xbe" + struct.pack(">I", 2)
    both += struct.pack(">IIIII", 0x01000007, 0, 100, 8, 0)
    both += struct.pack(">IIIII", 0x0100000C, 0, 200, len(part), 0)
    whole = both.ljust(200, b"x") + part
    mac = Target("macos-arm64", "311")
    assert needed_part(mac, "a.so", whole) == part
    with pytest.raises(PackError, match=r"no whole part for Mach-O arm64"):
        needed_part(mac, "a.so", whole[:-1])


@pytest.mark.skipif(sys.platform != "linux", reason="loads an ELF file")
@pytest.mark.parametrize(("less", "code"), [(0, 0), (4097, 1)], ids=["whole", "control: too short"])
def test_a_native_module_works_without_its_symbols(tmp_path: Path, less: int, code: int) -> None:
    import tree_sitter._binding as binding

    original = Path(binding.__file__).read_bytes()
    kept = needed_part(LINUX, "a.so", original)
    assert len(kept) < len(original) // 2
    copy = tmp_path / Path(binding.__file__).name
    copy.write_bytes(kept[: len(kept) - less])
    load = (
        "from importlib.util import *\n"
        f"spec = spec_from_file_location('tree_sitter._binding', {str(copy)!r})\n"
        "assert module_from_spec(spec).Parser().language is None\n"
    )
    done = subprocess.run([sys.executable, "-c", load], capture_output=True, check=False)
    assert (done.returncode != 0) == bool(code), done.stderr


def test_code_of_one_system_for_an_interpreter_that_is_not_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The build serves it as text, beside the text that the other systems have."""
    import marshal

    from tavo.onefile import finder as finder_module

    trees = {
        LINUX: tree(tmp_path / "l", a__x_dot_py=b"where = 'l'"),
        WINDOWS: tree(tmp_path / "w", a__x_dot_py=b"where = 'w'\r\n"),
    }
    contents = collect(trees, {"tavo": ROOT / "tavo"}, tmp_path)
    facts = Facts(version="1", line="tavo 1", when=0, full=False, packages={})
    out = tmp_path / "tavo.pyz"
    with out.open("wb") as stream:
        write(stream, contents, {}, facts, tmp_path / "cache")
    with zipfile.ZipFile(out) as opened:
        _, index = marshal.loads(opened.read("cp311.index"))
        assert "cp311-windows-x86_64/a/x.py" in opened.namelist()
    for platform, expected in (("linux-x86_64", "l"), ("windows-x86_64", "w")):
        monkeypatch.setattr(finder_module, "platform", lambda here=platform: here)
        with out.open("rb") as stream:
            found = finder_module.Finder(
                str(out), stream.fileno(), {**index, "modules": dict(index["modules"])}
            )
            names: dict[str, object] = {}
            exec(found.get_code("a.x"), names)
            assert names["where"] == expected
            assert found.compiled_here == ["a.x"]


# -- the finished file


needs_file = pytest.mark.skipif(
    not PYZ.exists(), reason="run the tests with `python3 build.py test`, which builds the file"
)


@needs_file
def test_the_manifest_names_what_is_locked_and_every_member() -> None:
    found = manifest()
    assert dict(found["packages"]) == locked_packages(ROOT / "requirements.lock")
    with zipfile.ZipFile(PYZ) as opened:
        infos = opened.infolist()
    assert {i.filename for i in infos} == {*found["members"], "manifest.json"}
    packed = [i.filename for i in infos if i.compress_type != zipfile.ZIP_STORED]
    assert packed == ["manifest.json"]  # nothing finds it by its place
    assert {i.external_attr >> 16 for i in infos} == {0o100644}
    assert len({i.date_time for i in infos}) == 1
    assert all(
        sha and re.fullmatch(r"[0-9a-f]{64}", sha["sha256"]) for sha in found["files"].values()
    )


def test_no_name_is_shared_with_another_build_at_the_same_time(tmp_path: Path) -> None:
    """The tests themselves do that: several files of them build below `.build`."""
    source, cache = tmp_path / "m.py", tmp_path / "cache"
    source.write_text("NAME = 1\n")
    minor = f"3{sys.version_info[1]}"
    interpreter = find_interpreters([minor])[minor]
    compiled = compile_all(interpreter, {"m.py": source}, cache)
    packed = solid(b"data", cache)
    for kept in [path for path in cache.rglob("*") if path.is_file()]:
        kept.unlink()
        for name in (f"{kept.name}.new", f"{kept.stem}.new"):  # as if it were written there
            (kept.parent / name).mkdir(exist_ok=True)
    assert compile_all(interpreter, {"m.py": source}, cache) == compiled
    assert solid(b"data", cache) == packed


def test_a_file_that_another_build_reads_is_replaced_and_not_emptied(tmp_path: Path) -> None:
    file = tmp_path / "changed-METADATA"
    keep(file, b"one")
    with file.open("rb") as other:
        before = file.stat().st_ino
        keep(file, b"one")
        assert file.stat().st_ino == before, "the same bytes are not written again"
        keep(file, b"two")
        assert other.read() == b"one"
    assert file.read_bytes() == b"two"


@needs_file
def test_two_builds_are_the_same_byte_for_byte(tmp_path: Path) -> None:
    """One in the checkout with everything cached, one elsewhere from nothing, otherwise set up."""
    here = ROOT / ".build"
    wanted = target()
    other = tmp_path / "an anderer Stelle"
    for name in ("tavo", "signing", "marketplace_db", "examples", "keys"):
        shutil.copytree(ROOT / name, other / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, other)
    shutil.copytree(here / "wheels", other / ".build" / "wheels")
    for folder in (here / "targets").glob(f"{wanted}-*"):
        shutil.copytree(folder, other / ".build" / "targets" / folder.name, copy_function=os.link)
    common = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SOURCE_DATE_EPOCH": "1790000000"}
    first = build(ROOT, tmp_path / "first", wanted, 0o022, {**common, "TZ": "UTC"})
    second = build(
        other, tmp_path / "second", wanted, 0o077,
        {**common, "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert hashlib.sha256(first).hexdigest() == hashlib.sha256(second).hexdigest()


def build(root: Path, out: Path, target: str, mask: int, environment: dict[str, str]) -> bytes:
    work = root / ".build"
    embedded = out / "embedded"
    out.mkdir()
    before = os.umask(mask)
    try:
        for command in (
            ["tavo.operator.embed", "--plugins", root / "examples" / "plugins", "--wheels",
             work / "wheels", "--keys", root / "keys", "--repository", out / "repository",
             "--embedded", embedded],
            ["tavo.operator.pack", "--root", root, "--work", work, "--embedded", embedded, "--out",
             out / "tavo.pyz", "--lock", root / "requirements.lock", "--target", target],
        ):  # fmt: skip
            subprocess.run(
                [sys.executable, "-m", *map(str, command)], cwd=root, check=True,
                env={**environment, "PYTHONPATH": str(root)}, capture_output=True,
            )  # fmt: skip
    finally:
        os.umask(before)
    return (out / "tavo.pyz").read_bytes()


@pytest.mark.slow
def test_the_file_for_every_system_is_laid_out(tmp_path: Path) -> None:
    """Systems that cannot be run here: every module has its binary, of the right kind and name."""
    import marshal

    out = tmp_path / "tavo.pyz"
    subprocess.run(
        [sys.executable, "-m", "tavo.operator.pack", "--root", str(ROOT), "--work",
         str(ROOT / ".build"), "--embedded", str(ROOT / ".build" / "embedded"), "--out", str(out),
         "--lock", str(ROOT / "requirements.lock")],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    assert out.stat().st_size < 35_000_000
    found = manifest(out)
    assert found["targets"] == [str(target) for target in sorted(all_targets())]
    with zipfile.ZipFile(out) as opened:
        for minor in MINORS:
            _, index = marshal.loads(opened.read(f"cp{minor}.index"))
            names = {platform: set(index["natives"][platform]) for platform in PLATFORMS}
            assert set(map(frozenset, names.values())) == {frozenset(names["linux-x86_64"])}
            assert {"re2._re2", "tree_sitter._binding", "yaml._yaml"} <= names["windows-x86_64"]
            assert index["beside"]["windows-x86_64"]["re2._re2"]
            assert "re2" in index["variants"]["windows-x86_64"]
