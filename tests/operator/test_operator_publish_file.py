"""A finished file becomes a release: signed by the offline role, named by its version."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from signing.client import DirectorySource, fetch_artifact
from signing.digests import Digest
from signing.errors import RepositoryError
from signing.keyring import Keyring
from tavo.errors import InputError, RefusedError, UsageError
from tavo.operator.publish_file import main, publish_file
from tests.fakes.marketplace import BUILT, Marketplace, tree
from tests.fakes.repository import Machine

CONTENT = b"#!/usr/bin/env python3\nPK the file"


class Build:
    """A build's repository, its keys and its file."""

    def __init__(self, folder: Path) -> None:
        self.market = Marketplace(folder)
        self.file = folder / "dist" / "tavo.pyz"
        self.file.parent.mkdir()
        self.file.write_bytes(CONTENT)
        self.folders = {"keys": folder / "keys", "repository": self.market.repository}

    def publish(self, version: str = "0.1.0", *, minutes: int = 1) -> Digest:
        now = BUILT + timedelta(minutes=minutes)
        return publish_file(**self.folders, file=self.file, version=version, now=now)

    def names(self) -> dict[str, str]:
        root = (self.market.folder / "embedded" / "root.json").read_bytes()
        machine = Machine(self.market.folder / "machine", root, now=BUILT + timedelta(hours=1))
        done = machine.refresh(DirectorySource(self.market.repository), with_releases=True)
        return {a.name: a.digest.hex for a in done.artifacts if a.role == "releases"}


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(tmp_path)


def test_a_client_finds_the_file_by_its_version(build: Build, tmp_path: Path) -> None:
    assert build.names() == {}
    digest = build.publish()
    assert digest == Digest.of(CONTENT)
    assert build.names() == {"releases/tavo-0.1.0.pyz": digest.hex}
    machine = Machine(tmp_path / "m", (tmp_path / "embedded/root.json").read_bytes(), now=BUILT)
    source = DirectorySource(build.market.repository)
    done = machine.refresh(source, with_releases=True)
    (artifact,) = [a for a in done.artifacts if a.role == "releases"]
    fetch_artifact(source, artifact, tmp_path / "got.pyz")
    assert (tmp_path / "got.pyz").read_bytes() == CONTENT


def test_sha256sum_understands_the_sums(build: Build) -> None:
    build.publish()
    sums = build.file.parent / "SHA256SUMS"
    assert sums.read_text() == f"{Digest.of(CONTENT).hex}  tavo.pyz\n"
    if shutil.which("sha256sum"):
        check = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
        assert subprocess.run(check, cwd=sums.parent, capture_output=True).returncode == 0
        build.file.write_bytes(b"other")
        assert subprocess.run(check, cwd=sums.parent, capture_output=True).returncode == 1


def test_the_sums_of_other_files_stay_while_they_are_true(build: Build) -> None:
    folder = build.file.parent
    (folder / "a.pyz").write_bytes(b"a")
    (folder / "b.pyz").write_bytes(b"b, changed since")
    (folder / "SHA256SUMS").write_text(
        f"{Digest.of(b'a').hex}  a.pyz\n{Digest.of(b'b').hex}  b.pyz\n"
        f"{Digest.of(b'c').hex}  gone.pyz\n{Digest.of(b'd').hex}  ../keys/x\nnot a line\n"
        f"{Digest.of(b'older').hex}  tavo.pyz\n"
    )
    build.publish()
    assert (folder / "SHA256SUMS").read_text() == (
        f"{Digest.of(b'a').hex}  a.pyz\n{Digest.of(CONTENT).hex}  tavo.pyz\n"
    )


def test_a_released_version_never_changes(build: Build) -> None:
    build.publish()
    build.publish(minutes=2)  # the same bytes again are fine
    before = tree(build.market.repository)
    build.file.write_bytes(b"other bytes")
    with pytest.raises(RefusedError, match=r"tavo-0\.1\.0\.pyz was released with sha256"):
        build.publish(minutes=3)
    assert tree(build.market.repository) == before
    build.publish("0.1.1", minutes=3)
    assert sorted(build.names()) == ["releases/tavo-0.1.0.pyz", "releases/tavo-0.1.1.pyz"]


@pytest.mark.parametrize("version", ["", "01.2", "v1.0", "1.0-rc1", "../1.0", "1!1.0", "x"])
def test_a_version_is_in_its_normal_form(build: Build, version: str) -> None:
    with pytest.raises(UsageError, match="normal form"):
        build.publish(version)


def test_two_of_the_offline_keys_must_sign(build: Build) -> None:
    for number in (2, 3):
        (build.folders["keys"] / f"releases-{number}.key").unlink()
    before = tree(build.market.repository)
    with pytest.raises(RepositoryError, match="releases: 2 keys must sign"):
        build.publish()
    assert tree(build.market.repository) == before
    assert not (build.file.parent / "SHA256SUMS").exists()


def test_a_missing_file_is_one_sentence(build: Build) -> None:
    build.file.unlink()
    with pytest.raises(InputError, match=r"tavo\.pyz: No such file"):
        build.publish()


def test_the_command_is_reproducible_and_prints_the_release_keys(
    build: Build, tmp_path: Path
) -> None:
    outcomes = []
    for number, umask in enumerate((0o022, 0o077)):
        repository = tmp_path / f"copy-{number}"
        shutil.copytree(build.market.repository, repository)
        options = {**build.folders, "repository": repository, "file": build.file}
        done = subprocess.run(
            [sys.executable, "-m", "tavo.operator.publish_file", "--version", "0.1.0"]
            + [part for name, path in options.items() for part in (f"--{name}", str(path))],
            check=True,
            capture_output=True,
            text=True,
            umask=umask,
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "SOURCE_DATE_EPOCH": str(int(BUILT.timestamp()) + 60),
            },
        )
        outcomes.append(tree(repository))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0]["targets/releases"] == (0o755, None)
    assert "DEVELOPMENT" in done.stderr
    for key in Keyring.load(build.folders["keys"]).of("releases"):
        assert key.public.hex in done.stderr
    releases = max((repository / "metadata").glob("*.releases.json"))
    assert json.loads(releases.read_bytes())["signed"]["x-tavo-issued"] == "2026-11-22T12:01:00Z"


def test_the_command_ends_with_one_sentence_and_a_code(
    build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [p for n, v in build.folders.items() for p in (f"--{n}", str(v))]
    code = main([*words, "--file", str(build.file), "--version", "one"])
    assert code == 2
    assert capsys.readouterr().err.startswith("publish_file: 'one' is not a version")
