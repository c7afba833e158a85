"""Every hostile package of the corpus is refused with its own sentence.

The controls show that each attack is one: Python's zipfile unpacks it without a word, or our own
reader takes it when the one guard is off.
"""

from __future__ import annotations

import stat
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from marketplace_db.archive import ArchiveLimits, read_archive
from marketplace_db.errors import ManifestError, MarketplaceError, PackageError
from marketplace_db.manifest import parse_manifest
from marketplace_db.package import PACKAGE_LIMITS, inspect_package, unpack_package

CORPUS = Path(__file__).parents[1] / "attacks" / "packages"
ZIPS = sorted((CORPUS / "zips").glob("*.refusal"))
MANIFESTS = sorted((CORPUS / "manifests").glob("*.refusal"))
HONEST = CORPUS / "zips" / "honest.zip"

# What Python's own zipfile unpacks silently, though the archive lies or attacks.
UNGUARDED = (
    "name-absolute", "name-parent", "name-parent-inside", "name-dot", "name-empty-part",
    "name-backslash", "name-stream", "name-nul", "name-escape", "name-bidi", "name-not-nfc",
    "name-device", "name-trailing-dot", "name-trailing-space", "name-wildcard", "name-code-page",
    "name-duplicate", "name-case-duplicate", "name-case-folder", "kind-symlink", "kind-device",
    "kind-fifo", "kind-setuid", "kind-setgid", "data-hidden-behind", "data-ratio",
    "zip-comment", "zip-entry-comment", "zip-prefix", "zip-two-ends",
    "zip-gap", "zip-gap-before-directory", "zip-local-size-differs",
    "holds-bytecode", "holds-pth", "form-order",
)  # fmt: skip
# What is refused only because it is not in the canonical form.
ONLY_FORM = sorted(path.stem for path in ZIPS if path.stem.startswith("form-"))


@pytest.mark.parametrize("refusal", ZIPS, ids=lambda path: path.stem)
def test_a_hostile_package_is_refused_with_its_sentence(refusal: Path) -> None:
    with pytest.raises((PackageError, ManifestError)) as caught:
        inspect_package(refusal.with_suffix(".zip"))
    assert refusal.read_text("utf-8").strip() in str(caught.value)


@pytest.mark.parametrize("refusal", MANIFESTS, ids=lambda path: path.stem)
def test_a_hostile_manifest_is_refused_with_its_sentence(refusal: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(refusal.with_suffix(".yaml").read_bytes())
    assert refusal.read_text("utf-8").strip() in str(caught.value)
    assert str(caught.value).startswith("plugin.yaml")
    assert "`" not in str(caught.value)


def test_the_honest_package_beside_them_is_taken(tmp_path: Path) -> None:
    inspected = inspect_package(HONEST)
    unpack_package(inspected, tmp_path / "out")
    assert (tmp_path / "out" / "main.py").read_bytes() == b"class Plugin:\n    pass\n"


@pytest.mark.parametrize("name", UNGUARDED)
def test_control_zipfile_unpacks_it_without_a_word(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zipfile.ZipFile(CORPUS / "zips" / f"{name}.zip").extractall(tmp_path)
    assert any(tmp_path.rglob("*"))


@pytest.mark.parametrize("name", ONLY_FORM)
def test_control_only_the_canonical_form_refuses_it(name: str) -> None:
    data = (CORPUS / "zips" / f"{name}.zip").read_bytes()
    archive = read_archive(data, label=name, limits=PACKAGE_LIMITS)
    for entry in archive.entries:
        archive.read(entry)


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("data-ratio", replace(PACKAGE_LIMITS, ratio=1100)),
        ("honest", PACKAGE_LIMITS),
    ],
)  # fmt: skip
def test_control_a_bomb_unpacks_when_the_limit_is_off(name: str, limits: ArchiveLimits) -> None:
    data = (CORPUS / "zips" / f"{name}.zip").read_bytes()
    archive = read_archive(data, label=name, limits=limits)
    assert sum(len(archive.read(entry)) for entry in archive.entries) > 200


def test_every_attack_has_its_file_and_every_file_its_attack() -> None:
    from tests.attacks.packages.make_zips import ATTACKS

    names = {name for name, _, _ in ATTACKS}
    assert names == {path.stem for path in ZIPS}
    assert names | {"honest"} == {path.stem for path in (CORPUS / "zips").glob("*.zip")}
    assert {path.stem for path in MANIFESTS} == {
        path.stem for path in (CORPUS / "manifests").glob("*.yaml")
    }


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_package_that_was_cut_off_anywhere_is_refused(cut: int, tmp_path: Path) -> None:
    data = HONEST.read_bytes()
    path = tmp_path / "cut.zip"
    path.write_bytes(data[: len(data) - 1 - cut])
    with pytest.raises(PackageError):
        inspect_package(path)


@pytest.mark.parametrize("position", range(0, 900, 3))
def test_a_flipped_byte_is_refused_or_changes_nothing_but_the_digest(
    position: int, tmp_path: Path
) -> None:
    """Whatever is flipped, the outcome is an error of ours or a package with another digest."""
    data = bytearray(HONEST.read_bytes())
    position %= len(data)
    data[position] ^= 0x41
    path = tmp_path / "flipped.zip"
    path.write_bytes(data)
    try:
        inspected = inspect_package(path)
    except MarketplaceError:
        return
    assert inspected.digest != inspect_package(HONEST).digest


def test_unpacking_again_checks_that_the_file_is_the_inspected_one(tmp_path: Path) -> None:
    path = tmp_path / "package.zip"
    path.write_bytes(HONEST.read_bytes())
    inspected = inspect_package(path)
    path.write_bytes((CORPUS / "zips" / "name-parent.zip").read_bytes())
    with pytest.raises(PackageError, match="no longer the file that was inspected"):
        unpack_package(inspected, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unpacking_does_not_follow_a_planted_link(tmp_path: Path) -> None:
    inspected = inspect_package(HONEST)
    out = tmp_path / "out"
    out.mkdir()
    (out / "main.py").symlink_to(tmp_path / "victim.py")
    with pytest.raises(PackageError, match="is not empty"):
        unpack_package(inspected, out)
    assert not (tmp_path / "victim.py").exists()


def test_unpacked_files_are_plain_and_not_executable(tmp_path: Path) -> None:
    unpack_package(inspect_package(HONEST), tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        assert stat.S_ISREG(path.lstat().st_mode)
        assert not path.stat().st_mode & 0o7111
