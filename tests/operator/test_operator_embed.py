"""The same sources, keys and time give the same bytes; a later build replaces an earlier one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from marketplace_db.catalog import Catalog
from signing.client import DirectorySource, TrustState
from signing.errors import RollbackError
from signing.keyring import Keyring
from signing.repository import Repository
from tests.fakes.marketplace import BUILT, Marketplace, tree
from tests.fakes.operator_market import wheel_bytes
from tests.fakes.repository import Machine

ROOT = Path(__file__).parents[2]
EPOCH = int(BUILT.timestamp())


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plugins, one with a dependency, its wheel, and development keys."""
    folder = tmp_path_factory.mktemp("sources")
    market = Marketplace.__new__(Marketplace)
    market.plugins = folder / "plugins"
    market.write_plugin("small", "1.0.0")
    locked = market.write_plugin("locked", "2.0.0")
    with (locked / "plugin.yaml").open("a") as stream:
        stream.write("dependencies: [dep==1.0]\n")
    (locked / "requirements.txt").write_text("dep==1.0\n")
    data = wheel_bytes()
    (folder / "wheels").mkdir()
    (folder / "wheels" / "dep-1.0-py3-none-any.whl").write_bytes(data)
    (locked / "requirements.lock").write_text(
        f"dep==1.0 --hash=sha256:{hashlib.sha256(data).hexdigest()}\n"
    )
    Keyring.generate_development(folder / "keys")
    return folder


def build(
    sources: Path, out: Path, *, umask: int = 0o022, epoch: int = EPOCH, **environment: str
) -> None:
    """Run the build's command in `out`, as build.py does."""
    out.mkdir(parents=True, exist_ok=True)
    options = {name: sources / name for name in ("plugins", "wheels", "keys")}
    options |= {name: out / name for name in ("repository", "embedded")}
    subprocess.run(
        [sys.executable, "-m", "tavo.operator.embed"]
        + [part for name, path in options.items() for part in (f"--{name}", str(path))],
        cwd=out,
        check=True,
        umask=umask,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SOURCE_DATE_EPOCH": str(epoch),
            **environment,
        },
    )


def outcome(out: Path) -> dict[str, dict[str, tuple[int, bytes | None]]]:
    return {name: tree(out / name) for name in ("repository", "embedded")}


@pytest.fixture(scope="module")
def reference(
    sources: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, tuple[int, bytes | None]]]:
    out = tmp_path_factory.mktemp("reference")
    build(sources, out, PYTHONHASHSEED="1", TZ="UTC", LC_ALL="C")
    found = outcome(out)
    assert {"metadata/1.root.json", f"metadata/{EPOCH + 1}.catalog.json", "mirror.json"} <= set(
        found["repository"]
    )
    return found


@pytest.mark.parametrize(
    ("umask", "environment"),
    [
        (0o077, {"TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2"}),
        (0o000, {"TZ": "America/St_Johns", "LC_ALL": "de_DE.UTF-8", "PYTHONHASHSEED": "3"}),
        (0o022, {"PYTHONUTF8": "0", "LANG": "tr_TR.ISO-8859-9", "PYTHONHASHSEED": "random"}),
    ],
)
def test_the_same_sources_keys_and_time_give_the_same_bytes(
    sources: Path,
    reference: object,
    tmp_path: Path,
    umask: int,
    environment: dict[str, str],
) -> None:
    out = tmp_path / "some ünusual folder" / "dist"
    build(sources, out, umask=umask, **environment)
    assert outcome(out) == reference


def test_a_copy_of_the_sources_elsewhere_gives_the_same_bytes(
    sources: Path, reference: object, tmp_path: Path
) -> None:
    copied = tmp_path / "elsewhere"
    shutil.copytree(sources, copied)
    for path in copied.rglob("*"):
        os.utime(path, (0, 0))
    build(copied, tmp_path / "out")
    assert outcome(tmp_path / "out") == reference


def test_an_older_build_that_lies_around_changes_nothing(
    sources: Path, reference: object, tmp_path: Path
) -> None:
    build(sources, tmp_path, epoch=EPOCH - 5000)
    assert outcome(tmp_path) != reference  # so the time is what the bytes depend on
    (tmp_path / "repository" / "blobs" / "stray").write_text("left here by hand")
    (tmp_path / ".repository.new" / "metadata").mkdir(parents=True)  # a killed build's
    (tmp_path / ".embedded.old").mkdir()
    build(sources, tmp_path)
    assert outcome(tmp_path) == reference
    assert {path.name for path in tmp_path.iterdir()} == {"repository", "embedded"}


def test_other_keys_give_another_repository(sources: Path, tmp_path: Path) -> None:
    shutil.copytree(sources, tmp_path / "s", ignore=shutil.ignore_patterns("keys"))
    build(sources, tmp_path / "a")
    build(tmp_path / "s", tmp_path / "b")
    names = [
        json.loads((tmp_path / out / "repository/mirror.json").read_bytes())["repository"]
        for out in ("a", "b")
    ]
    assert names[0] != names[1]
    keyring = Keyring.load(sources / "keys")
    ids = sorted(key.public.key_id for key in keyring.of("root"))
    assert names[0] == hashlib.sha256("\n".join(ids).encode()).hexdigest()[:32]


def test_the_catalog_does_not_say_which_sqlite_wrote_it(reference: dict[str, dict]) -> None:
    catalogs = [
        content
        for name, (_, content) in reference["embedded"].items()
        if name.endswith(".catalog.db")
    ]
    assert len(catalogs) == 1
    assert catalogs[0][96:100] == bytes(4)


def test_the_embedded_folder_is_a_package(sources: Path, tmp_path: Path) -> None:
    build(sources, tmp_path)
    assert (tmp_path / "embedded/__init__.py").read_text() == (
        '"""The repository that the build puts into the file."""\n'
    )


def test_a_failing_build_leaves_the_last_one(sources: Path, tmp_path: Path) -> None:
    build(sources, tmp_path)
    before = outcome(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(sources, broken)
    next((broken / "wheels").iterdir()).write_bytes(b"not that wheel")
    with pytest.raises(subprocess.CalledProcessError):
        build(broken, tmp_path, epoch=EPOCH + 60)
    assert outcome(tmp_path) == before


class Builds:
    """Two builds of one keys folder, an hour apart, and the newer one's sources changed."""

    def __init__(self, folder: Path) -> None:
        self.market = Marketplace(folder)
        self.early = self.market.copy("early")
        self.market.write_plugin("small", "1.0.0", main="# changed, same version\n")
        self.later = BUILT + timedelta(hours=1)
        self.market.release(self.later)
        self.late = self.market.repository
        self.root = (self.market.folder / "embedded" / "root.json").read_bytes()
        self.early_root = (self.early / "metadata" / "1.root.json").read_bytes()
        assert self.root != self.early_root

    def machine(self, name: str, *, root: bytes | None = None) -> Machine:
        return Machine(self.market.folder / name, root or self.early_root, now=self.later)


@pytest.fixture
def builds(tmp_path: Path) -> Builds:
    return Builds(tmp_path)


def test_a_later_build_is_no_rollback_and_the_earlier_one_then_is(builds: Builds) -> None:
    machine = builds.machine("m")
    first = machine.refresh(DirectorySource(builds.early), with_releases=True)
    machine.root = builds.root  # the newer file is started on the same machine
    second = machine.refresh(DirectorySource(builds.late), with_releases=True)
    assert second.record.repository == first.record.repository
    assert all(
        second.state.floors[role].version > floor.version
        for role, floor in first.state.floors.items()
        if role != "root"
    )
    for root in (builds.root, builds.early_root):
        machine.root = root
        with pytest.raises(RollbackError):
            machine.refresh(DirectorySource(builds.early))


def test_the_floors_alone_refuse_it_where_the_cache_is_gone(builds: Builds) -> None:
    machine = builds.machine("m")
    machine.refresh(DirectorySource(builds.late))
    shutil.rmtree(machine.cache)
    with pytest.raises(RollbackError, match="was accepted before"):
        machine.refresh(DirectorySource(builds.early))


def test_without_floors_and_cache_the_earlier_build_would_have_been_accepted(
    builds: Builds,
) -> None:
    machine = builds.machine("m")
    machine.refresh(DirectorySource(builds.late))
    shutil.rmtree(machine.cache)
    machine.state = TrustState()
    with Catalog.open(machine.refresh(DirectorySource(builds.early)).catalog) as catalog:
        assert [row.full_id for row in catalog.search()] == ["tavo/small"]


@pytest.mark.parametrize("identity", ["", "x" * 32, "A" * 32, "a" * 31, "a" * 33])
def test_an_id_of_another_form_is_refused(tmp_path: Path, identity: str) -> None:
    with pytest.raises(ValueError, match="not an id"):
        Repository.create(tmp_path / "r", Keyring.generate(), BUILT, identity=identity)


def test_versions_begin_at_one(tmp_path: Path) -> None:
    keyring = Keyring.generate()
    with pytest.raises(ValueError, match="begin at 1"):
        Repository.create(tmp_path / "r", keyring, BUILT, first_version=0)
    repository = Repository.create(tmp_path / "r", keyring, BUILT)
    assert [repository.version(role) for role in ("root", "catalog", "timestamp")] == [1, 1, 1]
    assert repository.identity != Repository.create(tmp_path / "s", keyring, BUILT).identity
