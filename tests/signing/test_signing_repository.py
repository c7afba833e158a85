"""The writing side: thresholds, separation of keys, and a tree that is never half written."""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from signing.ceremony import Change
from signing.client import DirectorySource
from signing.digests import Digest
from signing.errors import RepositoryError
from signing.keyring import Keyring
from signing.keys import PrivateKey
from signing.repository import Repository
from signing.roles import OFFLINE_ROLES, ROLES
from tests.fakes.repository import NOW, Machine, RepositorySimulator, simple_publishers


@pytest.fixture
def simulator(tmp_path: Path) -> RepositorySimulator:
    return RepositorySimulator(tmp_path / "repository")


def test_tree_has_the_documented_layout(simulator: RepositorySimulator) -> None:
    simulator.repository.add_blob(b"blob")
    digest = Digest.of(b"blob").hex
    catalog = Digest.of(b"catalog 1").hex
    found = {
        str(path.relative_to(simulator.directory))
        for path in simulator.directory.rglob("*")
        if path.is_file()
    }
    assert {
        "metadata/1.root.json",
        "metadata/timestamp.json",
        "metadata/2.snapshot.json",
        "metadata/1.targets.json",
        "metadata/2.catalog.json",
        "metadata/2.publishers.json",
        "metadata/1.releases.json",
        f"targets/catalog/{catalog}.catalog.db",
        f"blobs/sha256/{digest[:2]}/{digest}",
        "mirror.json",
    } <= found
    assert not [path for path in found if ".new-" in path]
    hint = json.loads((simulator.directory / "mirror.json").read_bytes())
    assert (hint["kind"], hint["timestamp"], hint["root"]) == ("full", 2, 1)


def test_online_machine_releases_a_catalog_and_nothing_else(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    online = simulator.keyring.without(*OFFLINE_ROLES)
    repository = Repository.open(simulator.directory, online)
    path = tmp_path / "catalog.db"
    path.write_bytes(b"catalog 2")
    repository.publish(catalog=path, now=NOW)
    machine = Machine(tmp_path / "cache", simulator.root)
    assert machine.refresh(simulator.source).catalog.path.read_bytes() == b"catalog 2"
    before = {item: item.read_bytes() for item in simulator.directory.rglob("*.json")}
    with pytest.raises(RepositoryError, match=r"publishers: 2 keys must sign, 0 of them"):
        repository.publish(publishers=simple_publishers().to_bytes(), now=NOW)
    with pytest.raises(RepositoryError, match="releases: 2 keys must sign"):
        repository.publish(releases=[path], now=NOW)
    with pytest.raises(RepositoryError, match="targets: 2 keys must sign"):
        repository.publish(renew=["targets"], now=NOW)
    fresh = simulator.keyring.with_role("root", [PrivateKey.generate() for _ in range(3)])
    with pytest.raises(RepositoryError, match="root: 2 keys must sign"):
        repository.rotate_root(fresh, NOW)
    assert {item: item.read_bytes() for item in simulator.directory.rglob("*.json")} == before
    Repository.open(simulator.directory, simulator.keyring).publish(
        publishers=simple_publishers().to_bytes(), now=NOW
    )  # control: with the offline keys


@pytest.mark.parametrize(
    ("role", "sentence"),
    [
        ("root", "root: cannot be renewed by publishing"),
        ("publisher", "publisher: cannot be renewed by publishing, it is no role"),
    ],
)
def test_what_publishing_cannot_renew_is_refused_not_ignored(
    simulator: RepositorySimulator, role: str, sentence: str
) -> None:
    repository = Repository.open(simulator.directory, simulator.keyring)
    before = {item: item.read_bytes() for item in simulator.directory.rglob("*.json")}
    with pytest.raises(RepositoryError, match=sentence) as told:
        repository.publish(renew=["targets", role], now=NOW)
    assert {item: item.read_bytes() for item in simulator.directory.rglob("*.json")} == before
    if role == "root":  # the hint is what does it
        assert "tavo market renew root" in told.value.hint
        ceremony = repository.prepare(Change(renew=("root",)), NOW)
        ceremony.sign_all(simulator.keyring.of("root"))
        repository.adopt(ceremony, NOW)
        assert repository.version("root") == 2
    repository.publish(renew=["targets", "snapshot", "timestamp"], now=NOW)  # control


def test_two_of_three_offline_keys_are_enough(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    keys = simulator.keyring.of("publishers")
    two = simulator.keyring.with_role("publishers", keys[1:])
    repository = Repository.open(simulator.directory, two)
    repository.publish(publishers=simple_publishers().to_bytes(), now=NOW)
    Machine(tmp_path / "cache", simulator.root).refresh(simulator.source)
    one = Repository.open(simulator.directory, two.with_role("publishers", keys[:1]))
    with pytest.raises(RepositoryError, match="2 keys must sign, 1 of them are in this keyring"):
        one.publish(publishers=simple_publishers().to_bytes(), now=NOW)


@pytest.mark.parametrize("role", ROLES)
def test_a_repository_needs_enough_different_keys(tmp_path: Path, role: str) -> None:
    keyring = Keyring.generate()
    key = keyring.of(role)[0]
    lacking = [key, key, key] if role in OFFLINE_ROLES else []
    with pytest.raises(RepositoryError, match=f"{role}: . different keys are needed"):
        Repository.create(tmp_path / "r", keyring.with_role(role, lacking), NOW)
    assert not (tmp_path / "r").exists()


def test_an_online_key_is_never_an_offline_key(tmp_path: Path) -> None:
    keyring = Keyring.generate()
    shared = keyring.with_role("catalog", keyring.of("targets")[:1])
    with pytest.raises(RepositoryError, match="same key serves an offline and an online role"):
        Repository.create(tmp_path / "r", shared, NOW)
    repository = Repository.create(tmp_path / "r", keyring, NOW)
    with pytest.raises(RepositoryError, match="same key serves"):
        repository.rotate_root(shared, NOW)


def test_a_second_repository_in_the_same_folder_is_refused(
    simulator: RepositorySimulator,
) -> None:
    with pytest.raises(RepositoryError, match="already here"):
        Repository.create(simulator.directory, simulator.keyring, NOW)


def test_a_folder_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="not a complete repository"):
        Repository.open(tmp_path, Keyring.generate())


def test_foreign_keys_do_not_sign(simulator: RepositorySimulator) -> None:
    repository = Repository.open(simulator.directory, Keyring.generate())
    with pytest.raises(RepositoryError, match="0 of them are in this keyring"):
        repository.publish(now=NOW)


def test_lives_are_bounded(tmp_path: Path) -> None:
    for days in (0, 8):
        with pytest.raises(ValueError, match="timestamp metadata lives at most"):
            Repository.create(
                tmp_path / "r", Keyring.generate(), NOW, life={"timestamp": timedelta(days=days)}
            )


def test_reopened_repository_goes_on_where_it_was(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    machine = Machine(tmp_path / "cache", simulator.root)
    machine.refresh(simulator.source)
    simulator.rotate("root", "targets", "timestamp")
    again = Repository.open(simulator.directory, simulator.keyring)
    assert again.identity == simulator.repository.identity
    assert again.root_bytes == simulator.repository.root_bytes
    again.publish(now=NOW)
    done = machine.refresh(simulator.source)
    assert done.record.root_version == 2
    assert done.catalog.path.read_bytes() == b"catalog 1"


def test_rotation_needs_old_and_new_root_keys(simulator: RepositorySimulator) -> None:
    fresh = [PrivateKey.generate() for _ in range(3)]
    lost = Repository.open(simulator.directory, simulator.keyring.without("root"))
    with pytest.raises(RepositoryError, match="root: 2 keys must sign"):
        lost.rotate_root(simulator.keyring.with_role("root", fresh), NOW)
    assert lost.version("root") == 1


def test_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    """Metadata but for the repository's random id: signatures are deterministic."""
    keyring = Keyring.generate()
    trees = []
    for name in ("one", "two"):
        Repository.create(tmp_path / name, keyring, NOW)
        trees.append(
            {
                path.name: path.read_bytes()
                for path in (tmp_path / name / "metadata").iterdir()
                if "root" not in path.name
            }
        )
    assert trees[0] == trees[1]


def test_killed_at_any_write_the_old_release_stays_whole(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    """Every prefix of the writes of a release, in their order, is a tree that verifies."""
    old = simulator.copy(tmp_path / "old")
    simulator.publish(catalog=b"catalog 2", publishers=simulator.publishers)
    changed = [
        path
        for path in simulator.directory.rglob("*")
        if path.is_file()
        and (
            not (old / path.relative_to(simulator.directory)).exists()
            or (old / path.relative_to(simulator.directory)).read_bytes() != path.read_bytes()
        )
    ]
    changed.sort(key=lambda path: (path.stat().st_mtime_ns, path.name == "timestamp.json"))
    assert changed[-1].name == "timestamp.json"
    for step, path in enumerate(changed):
        done = Machine(tmp_path / f"cache-{step}", simulator.root).refresh(DirectorySource(old))
        assert done.catalog.path.read_bytes() == b"catalog 1"
        target = old / path.relative_to(simulator.directory)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    done = Machine(tmp_path / "cache-last", simulator.root).refresh(DirectorySource(old))
    assert done.catalog.path.read_bytes() == b"catalog 2"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_tree_is_a_repository_error(simulator: RepositorySimulator) -> None:
    (simulator.directory / "metadata").chmod(0o500)
    with pytest.raises(RepositoryError, match="cannot write"):
        simulator.publish(now=NOW)


def test_what_is_published_has_a_digest(tmp_path: Path) -> None:
    simulator = RepositorySimulator(tmp_path / "r")
    file = tmp_path / "tavo-1.0.pyz"
    file.write_bytes(b"file")
    simulator.publish(releases=[file])
    published = simulator.repository.published
    assert published("releases/tavo-1.0.pyz") == Digest.of(b"file")
    assert published("catalog/catalog.db") == Digest.of(b"catalog 1")
    for name in ("releases/other", "root/x", "timestamp", "", "snapshot/catalog.json"):
        assert published(name) is None
