"""A refresh, from a folder and from a real web server, and every attack on it.

Each attack is refused by name; beside it stands the control in which the same bytes pass once the
attacker has what the guard asks for (the right keys), or the guard's knowledge is missing.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from signing.client import DirectorySource, HttpSource, Source, TrustState, fetch_blob
from signing.digests import Digest
from signing.errors import (
    ExpiredError,
    MissingError,
    RollbackError,
    SourceError,
    VerificationError,
)
from signing.keyring import Keyring
from signing.keys import PrivateKey
from signing.repository import Repository
from signing.sources import Deadline
from signing.tuf_source import SourceFetcher
from tests.fakes.repository import (
    NOW,
    Machine,
    RepositorySimulator,
    malleable,
    resign_metadata,
    serve,
)

Opener = Callable[[Path], AbstractContextManager[Source]]


@contextmanager
def over_http(directory: Path) -> Iterator[Source]:
    with serve(directory) as address, HttpSource(address) as source:
        yield source


@pytest.fixture(params=["directory", "http"])
def opened(request: pytest.FixtureRequest) -> Opener:
    if request.param == "http":
        return over_http
    return lambda directory: nullcontext(DirectorySource(directory))


@pytest.fixture
def simulator(tmp_path: Path) -> RepositorySimulator:
    return RepositorySimulator(tmp_path / "repository")


@pytest.fixture
def machine(tmp_path: Path, simulator: RepositorySimulator) -> Machine:
    return Machine(tmp_path / "cache", simulator.root)


def fresh(machine: Machine, name: str = "other") -> Machine:
    """A new machine: no cache, no state."""
    return Machine(machine.cache.parent / name, machine.root, now=machine.now)


def test_refresh_gives_the_catalog_and_the_publishers(
    simulator: RepositorySimulator, machine: Machine, opened: Opener
) -> None:
    with opened(simulator.directory) as source:
        done = machine.refresh(source)
    assert done.catalog.path.read_bytes() == b"catalog 1"
    assert (done.catalog.name, done.catalog.role) == ("catalog/catalog.db", "catalog")
    assert done.catalog.digest == Digest.of(b"catalog 1")
    assert done.publishers == simulator.publishers
    assert not done.catalog.development
    assert done.notices == ()
    assert done.state.newest_issued == NOW


def test_second_refresh_sees_the_next_release(
    simulator: RepositorySimulator, machine: Machine, opened: Opener
) -> None:
    with opened(simulator.directory) as source:
        machine.refresh(source)
        simulator.publish(catalog=b"catalog 2")
        done = machine.refresh(source)
        assert done.catalog.path.read_bytes() == b"catalog 2"
        again = machine.refresh(source)
    assert again.record.floors == done.record.floors


def test_development_keys_are_visible_on_what_they_signed(tmp_path: Path) -> None:
    simulator = RepositorySimulator(tmp_path / "repository", development=True)
    done = Machine(tmp_path / "cache", simulator.root).refresh(simulator.source)
    assert done.catalog.development
    assert done.record.development


def test_a_full_copy_knows_all_its_files(
    simulator: RepositorySimulator, machine: Machine, tmp_path: Path
) -> None:
    program = tmp_path / "tavo-1.0.0.pyz"
    program.write_bytes(b"program")
    simulator.publish(releases=[program])
    simulator.rotate("root", "timestamp")
    done = machine.refresh(simulator.source, with_releases=True)
    assert {item.name for item in done.artifacts} == {
        "catalog/catalog.db",
        "publishers/publishers.json",
        "releases/tavo-1.0.0.pyz",
    }
    copy = tmp_path / "copy"
    for name, data in done.metadata.items():
        (copy / "metadata").mkdir(parents=True, exist_ok=True)
        (copy / "metadata" / name).write_bytes(data)
    for item in done.artifacts:
        (copy / item.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(simulator.directory / item.path, copy / item.path)
    again = fresh(machine).refresh(DirectorySource(copy), with_releases=True)
    assert again.metadata == done.metadata


# -- signatures


def test_unsigned_metadata_is_refused(
    simulator: RepositorySimulator, machine: Machine, opened: Opener
) -> None:
    simulator.forge("timestamp", lambda signed: None, keys=[])
    with (
        opened(simulator.directory) as source,
        pytest.raises(VerificationError, match=r"timestamp.json from .*0/1 keys"),
    ):
        machine.refresh(source)
    simulator.forge("timestamp", lambda signed: None)
    machine.refresh(simulator.source)  # control: the same bytes, signed


def test_metadata_of_a_foreign_key_is_refused(
    simulator: RepositorySimulator, machine: Machine, opened: Opener
) -> None:
    simulator.forge("timestamp", lambda signed: None, keys=[PrivateKey.generate()])
    with (
        opened(simulator.directory) as source,
        pytest.raises(VerificationError, match="not enough valid signatures"),
    ):
        machine.refresh(source)


def test_another_repository_is_refused_though_properly_signed(
    simulator: RepositorySimulator, machine: Machine, tmp_path: Path
) -> None:
    other = RepositorySimulator(tmp_path / "other-repository")
    with pytest.raises(VerificationError, match="not enough valid signatures"):
        machine.refresh(other.source)
    Machine(tmp_path / "c2", other.root).refresh(other.source)  # control: trusted explicitly


def test_one_signature_does_not_meet_a_threshold_of_two(
    simulator: RepositorySimulator, machine: Machine
) -> None:
    keys = simulator.keyring.of("publishers")
    simulator.forge("publishers", lambda signed: None, keys=keys[:1])
    with pytest.raises(VerificationError, match="publishers was signed by 1/2 keys"):
        machine.refresh(simulator.source)
    simulator.forge("publishers", lambda signed: None, keys=keys[:2])
    machine.refresh(simulator.source)  # control


def test_one_key_listed_twice_in_the_signatures_is_refused(
    simulator: RepositorySimulator, machine: Machine
) -> None:
    key = simulator.keyring.of("publishers")[0]
    simulator.forge("publishers", lambda signed: None, keys=[key, key])
    with pytest.raises(VerificationError, match=r"publishers.json from .* not valid metadata"):
        machine.refresh(simulator.source)


def test_one_key_under_two_ids_is_refused_though_the_offline_role_signed_it(
    simulator: RepositorySimulator, machine: Machine
) -> None:
    first, second, _ = (key.public for key in simulator.keyring.of("publishers"))

    def alias(signed: dict[str, Any]) -> None:
        signed["delegations"]["keys"][second.key_id] = first.to_dict()

    machine_control = fresh(machine)
    machine_control.refresh(simulator.source)  # control: without the alias
    simulator.forge("targets", alias)
    with pytest.raises(VerificationError, match="does not belong"):
        machine.refresh(simulator.source)


def test_malleable_signature_of_metadata_is_refused(
    simulator: RepositorySimulator, machine: Machine
) -> None:
    path = simulator.metadata_path("timestamp")
    value = json.loads(path.read_bytes())
    signature = value["signatures"][0]
    signature["sig"] = malleable(bytes.fromhex(signature["sig"])).hex()
    before = path.read_bytes()
    path.write_bytes(json.dumps(value).encode())
    with pytest.raises(VerificationError, match="0/1 keys"):
        machine.refresh(simulator.source)
    path.write_bytes(before)
    machine.refresh(simulator.source)  # control


def test_changed_metadata_is_refused(simulator: RepositorySimulator, machine: Machine) -> None:
    simulator.forge("timestamp", lambda signed: signed.update(version=99), resign=False)
    with pytest.raises(VerificationError, match="0/1 keys"):
        machine.refresh(simulator.source)


def test_offline_role_cannot_be_moved_to_an_online_key(
    simulator: RepositorySimulator, machine: Machine
) -> None:
    online = simulator.keyring.of("catalog")[0].public

    def share(signed: dict[str, Any]) -> None:
        delegations = signed["delegations"]
        role = next(role for role in delegations["roles"] if role["name"] == "publishers")
        role["keyids"].append(online.key_id)

    simulator.forge("targets", share)
    with pytest.raises(VerificationError, match="expected separate keys"):
        machine.refresh(simulator.source)


# -- versions


def test_rolled_back_repository_is_refused(
    simulator: RepositorySimulator, machine: Machine, tmp_path: Path, opened: Opener
) -> None:
    old = simulator.copy(tmp_path / "old")
    simulator.publish(catalog=b"catalog 2")
    machine.refresh(simulator.source)
    with opened(old) as source:
        with pytest.raises(RollbackError, match="timestamp"):
            machine.refresh(source)
        fresh(machine).refresh(source)  # control: a machine that has seen nothing newer


def test_rollback_is_refused_after_the_cache_was_lost(
    simulator: RepositorySimulator, machine: Machine, tmp_path: Path
) -> None:
    old = simulator.copy(tmp_path / "old")
    simulator.publish(catalog=b"catalog 2")
    machine.refresh(simulator.source)
    shutil.rmtree(machine.cache)
    with pytest.raises(RollbackError, match="version 3 was accepted before") as caught:
        machine.refresh(DirectorySource(old))
    assert "update the mirror" in caught.value.hint
    machine.state = TrustState()
    machine.refresh(DirectorySource(old))  # control: without the floors


def test_rollback_is_refused_on_a_new_machine_by_floors_of_the_program(
    simulator: RepositorySimulator, machine: Machine, tmp_path: Path
) -> None:
    old = simulator.copy(tmp_path / "old")
    simulator.publish(catalog=b"catalog 2")
    embedded = machine.refresh(simulator.source).state
    new = fresh(machine)
    new.state = TrustState().union(embedded)
    with pytest.raises(RollbackError):
        new.refresh(DirectorySource(old))
    new.state = TrustState()
    new.refresh(DirectorySource(old))  # control


@pytest.mark.parametrize("role", ["snapshot", "catalog", "publishers", "targets"])
def test_online_keys_alone_cannot_roll_one_role_back(
    simulator: RepositorySimulator, machine: Machine, role: str
) -> None:
    """A thief with timestamp and snapshot keys serves an old, properly signed role."""
    simulator.publish(catalog=b"catalog 2", publishers=simulator.publishers, renew=["targets"])
    machine.refresh(simulator.source)
    shutil.rmtree(machine.cache)
    path = simulator.metadata_path(role)
    version = int(path.name.split(".")[0])

    def point_back(signed: dict[str, Any]) -> None:
        old = path.with_name(f"{version - 1}.{role}.json").read_bytes()
        signed["version"] += 1
        signed["meta"][f"{role}.json"] = {
            "version": version - 1,
            "length": len(old),
            "hashes": {"sha256": Digest.of(old).hex},
        }

    if role == "snapshot":
        simulator.forge("timestamp", point_back)
    else:
        newest = simulator.metadata_path("snapshot")
        number = int(newest.name.split(".")[0])
        value = json.loads(newest.read_bytes())
        newest.with_name(f"{number + 1}.snapshot.json").write_bytes(json.dumps(value).encode())
        simulator.forge("snapshot", point_back)
        simulator.forge(
            "timestamp",
            lambda signed: (
                signed.update(version=signed["version"] + 1),
                signed["meta"]["snapshot.json"].update(version=number + 1),
            ),
        )
    with pytest.raises(RollbackError, match=f"{role} metadata is version"):
        machine.refresh(simulator.source)
    fresh(machine).refresh(simulator.source)  # control: no floors


def test_mixed_metadata_is_refused(
    simulator: RepositorySimulator, machine: Machine, tmp_path: Path
) -> None:
    """Each file is properly signed, but they are of different releases."""
    old = simulator.copy(tmp_path / "old")
    simulator.publish(catalog=b"catalog 2")
    newer = simulator.metadata_path("catalog")
    shutil.copy(old / "metadata" / "2.catalog.json", newer)
    with pytest.raises(
        VerificationError, match=r"catalog.json from .*not the file that was signed"
    ):
        machine.refresh(simulator.source)


def test_frozen_repository_is_refused_once_it_has_expired(
    simulator: RepositorySimulator, machine: Machine, opened: Opener
) -> None:
    machine.refresh(simulator.source)
    machine.now = NOW + timedelta(days=4)
    with (
        opened(simulator.directory) as source,
        pytest.raises(ExpiredError, match=r"timestamp.json from .* expired 2026-11-25T12:00:00Z"),
    ):
        machine.refresh(source)
    simulator.publish(now=machine.now)
    machine.refresh(simulator.source)  # control: renewed


@pytest.mark.parametrize(
    ("role", "days"),
    [("root", 366), ("targets", 181), ("publishers", 91), ("catalog", 22), ("snapshot", 11)],
)
def test_each_role_expires_on_its_own(
    simulator: RepositorySimulator, machine: Machine, role: str, days: int
) -> None:
    later = NOW + timedelta(days=days)
    machine.now = later
    others = [name for name in ("targets", "publishers", "catalog") if name != role]
    simulator.publish(renew=others, now=later)
    if role == "snapshot":  # only the timestamp is renewed
        simulator.forge("snapshot", lambda signed: signed.update(expires="2026-12-02T12:00:00Z"))
    elif role != "root":
        simulator.repository.rotate_root(simulator.keyring, later)
    with pytest.raises(ExpiredError, match=f"{role}.json from .* expired 202"):
        machine.refresh(simulator.source)
    simulator.repository.rotate_root(simulator.keyring, later)
    simulator.publish(renew=["targets", "publishers", "catalog"], now=later)
    machine.refresh(simulator.source)  # control


# -- roots


def test_rotated_keys_are_followed_and_old_ones_end(
    simulator: RepositorySimulator, machine: Machine, opened: Opener
) -> None:
    machine.refresh(simulator.source)
    stolen = simulator.keyring.of("timestamp")
    for _ in range(3):
        simulator.rotate("root", "targets", "timestamp", "snapshot", "catalog", "publishers")
    with opened(simulator.directory) as source:
        done = machine.refresh(source)
        assert done.record.root_version == 4
        assert fresh(machine).refresh(source).record.root_version == 4
    simulator.forge("timestamp", lambda signed: signed.update(version=99), keys=stolen)
    with pytest.raises(VerificationError, match="0/1 keys"):
        machine.refresh(simulator.source)


def test_gap_in_the_chain_of_roots_is_refused(
    simulator: RepositorySimulator, machine: Machine, opened: Opener
) -> None:
    for _ in range(3):
        simulator.rotate("root")
    missing = simulator.directory / "metadata" / "3.root.json"
    kept = missing.read_bytes()
    missing.unlink()
    with opened(simulator.directory) as source:
        with pytest.raises(VerificationError, match=r"3.root.json is missing from .* gap"):
            machine.refresh(source)
        missing.write_bytes(kept)
        machine.refresh(source)  # control


def test_gap_that_a_stolen_timestamp_key_hides_is_seen_where_files_can_be_listed(
    simulator: RepositorySimulator, machine: Machine
) -> None:
    simulator.rotate("root")
    simulator.rotate("root")
    (simulator.directory / "metadata" / "2.root.json").unlink()
    simulator.forge("timestamp", lambda signed: signed.update({"x-tavo-root-version": 1}))
    with pytest.raises(VerificationError, match=r"2\.root\.json is missing"):
        machine.refresh(simulator.source)
    (simulator.directory / "metadata" / "3.root.json").unlink()
    machine.refresh(simulator.source)  # control: nothing to be seen


def test_python_tuf_alone_stops_silently_at_a_gap(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    """The control for the guard: the library accepts what we refuse."""
    from tuf.ngclient import Updater

    for _ in range(3):
        simulator.rotate("root")
    (simulator.directory / "metadata" / "3.root.json").unlink()
    updater = Updater(
        str(tmp_path),
        "tavo:/metadata/",
        fetcher=SourceFetcher(simulator.source, Deadline(60)),
        bootstrap=simulator.root,
    )
    updater._trusted_set.reference_time = NOW
    updater.refresh()
    assert updater._trusted_set.root.version == 2


def test_withheld_newest_root_is_refused(
    simulator: RepositorySimulator, machine: Machine, opened: Opener
) -> None:
    simulator.rotate("root")
    (simulator.directory / "metadata" / "2.root.json").unlink()
    with (
        opened(simulator.directory) as source,
        pytest.raises(VerificationError, match=r"2\.root\.json is missing"),
    ):
        machine.refresh(source)


def test_online_keys_alone_cannot_bring_an_old_root_back(
    simulator: RepositorySimulator, machine: Machine, tmp_path: Path
) -> None:
    """The root keys were rotated; a thief signs new timestamps on top of the old root."""
    old = simulator.copy(tmp_path / "old")
    thief = Repository.open(old, simulator.keyring)
    simulator.rotate("root")
    machine.refresh(simulator.source)
    shutil.rmtree(machine.cache)
    for _ in range(3):
        thief.publish(now=NOW)
    with pytest.raises(RollbackError, match="root metadata is version 1"):
        machine.refresh(DirectorySource(old))
    fresh(machine).refresh(DirectorySource(old))  # control: a machine that never saw the new root


def test_root_of_a_thief_is_refused(simulator: RepositorySimulator, machine: Machine) -> None:
    thief = RepositorySimulator(machine.cache.parent / "thief", keyring=Keyring.generate())
    value = json.loads(thief.root)
    value["signed"]["version"] = 2
    resign_metadata(value, thief.keyring.of("root"))
    path = simulator.directory / "metadata" / "2.root.json"
    path.write_bytes(json.dumps(value).encode())
    with pytest.raises(VerificationError, match=r"2.root.json from .*not enough valid signatures"):
        machine.refresh(simulator.source)


def test_development_mark_cannot_be_rotated_away(tmp_path: Path) -> None:
    simulator = RepositorySimulator(tmp_path / "repository", development=True)
    machine = Machine(tmp_path / "cache", simulator.root)
    simulator.rotate("root")
    machine.refresh(simulator.source)  # control: an honest rotation
    before = simulator.keyring.of("root")
    simulator.rotate("root")
    both = (*before, *simulator.keyring.of("root"))
    simulator.forge("root", lambda signed: signed.pop("x-tavo-development"), keys=both)
    with pytest.raises(VerificationError, match="development mark changed"):
        machine.refresh(simulator.source)


def test_stolen_timestamp_key_cannot_lock_out_for_good(
    simulator: RepositorySimulator, machine: Machine
) -> None:
    """A thief pushes the version to a huge number; rotating the key is the way back."""
    simulator.forge("timestamp", lambda signed: signed.update(version=2**31))
    machine.refresh(simulator.source)
    clean = simulator.repository
    clean.publish(now=NOW)
    with pytest.raises(RollbackError):
        machine.refresh(simulator.source)
    simulator.rotate("timestamp", "snapshot")
    machine.refresh(simulator.source)


# -- artifacts


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"catalog X", "sha256 is"),
        (b"catalog 1 and more", "longer than the signed 9 bytes"),
        (b"catal", "5 bytes, signed are 9"),
        (b"", "0 bytes, signed are 9"),
    ],
)
def test_substituted_catalog_is_refused_and_leaves_nothing(
    simulator: RepositorySimulator, machine: Machine, opened: Opener, data: bytes, message: str
) -> None:
    (path,) = (simulator.directory / "targets" / "catalog").iterdir()
    path.write_bytes(data)
    with opened(simulator.directory) as source:
        with pytest.raises(VerificationError, match=message):
            machine.refresh(source)
        assert not [item for item in machine.cache.rglob("*catalog.db*") if item.is_file()]
        assert not list(machine.cache.rglob(".new-*"))
        path.unlink()  # a new file: the server may still be sending the old one
        path.write_bytes(b"catalog 1")
        machine.refresh(source)  # control


def test_missing_catalog_is_a_failed_source(
    simulator: RepositorySimulator, machine: Machine, opened: Opener
) -> None:
    (path,) = (simulator.directory / "targets" / "catalog").iterdir()
    path.unlink()
    with opened(simulator.directory) as source, pytest.raises(MissingError, match="not there"):
        machine.refresh(source)


def test_endless_metadata_is_cut_off(
    simulator: RepositorySimulator, machine: Machine, opened: Opener
) -> None:
    path = simulator.metadata_path("timestamp")
    data = path.read_bytes()
    path.write_bytes(data + b" " * 20_000)
    with (
        opened(simulator.directory) as source,
        pytest.raises(VerificationError, match=r"timestamp.json from .* longer than allowed"),
    ):
        machine.refresh(source)
    path.write_bytes(data + b" " * 100)
    machine.refresh(simulator.source)  # control: the same within the limit


def test_endless_catalog_is_cut_off(machine: Machine, simulator: RepositorySimulator) -> None:
    class Endless(DirectorySource):
        served = 0

        def read(self, path: str, deadline: Deadline) -> Iterator[bytes]:
            if not path.startswith("targets/catalog/"):
                yield from super().read(path, deadline)
                return
            while True:
                Endless.served += 1
                yield b"catalog 1"

    with pytest.raises(VerificationError, match="longer than the signed 9 bytes"):
        machine.refresh(Endless(simulator.directory))
    assert Endless.served == 2


def test_dripping_source_ends_at_the_deadline(
    machine: Machine, simulator: RepositorySimulator
) -> None:
    clock = iter(range(10_000))

    class Dripping(DirectorySource):
        def read(self, path: str, deadline: Deadline) -> Iterator[bytes]:
            slow = Deadline(10, monotonic=lambda: next(clock))
            for byte in b"".join(super().read(path, deadline)):
                slow.check(path)
                yield bytes([byte])

    with pytest.raises(SourceError, match="not finished within 10 s"):
        machine.refresh(Dripping(simulator.directory))


def test_catalog_key_cannot_sign_outside_its_folder(
    simulator: RepositorySimulator, machine: Machine
) -> None:
    """A thief of the catalog key adds an own publishers document: it never counts."""
    evil = simulator.publishers.to_bytes().replace(b'"official": false', b'"official": true')
    digest = Digest.of(evil)
    folder = simulator.directory / "targets" / "publishers"
    (folder / f"{digest.hex}.publishers.json").write_bytes(evil)
    entry = {"length": len(evil), "hashes": {"sha256": digest.hex}}
    simulator.forge(
        "catalog", lambda signed: signed["targets"].update({"publishers/publishers.json": entry})
    )
    with pytest.raises(VerificationError, match="not an artifact of this role"):
        machine.refresh(simulator.source)
    simulator.forge("catalog", lambda signed: signed["targets"].pop("publishers/publishers.json"))
    simulator.forge(
        "publishers", lambda signed: signed["targets"].update({"publishers/publishers.json": entry})
    )
    done = machine.refresh(simulator.source)  # control: by the role's own keys
    assert done.publishers.namespaces["tavo"].official


def test_targets_role_names_no_artifacts(simulator: RepositorySimulator, machine: Machine) -> None:
    entry = {"length": 1, "hashes": {"sha256": "0" * 64}}
    simulator.forge(
        "targets", lambda signed: signed["targets"].update({"catalog/catalog.db": entry})
    )
    with pytest.raises(VerificationError, match="expected delegations only"):
        machine.refresh(simulator.source)


@pytest.mark.parametrize(
    "name", ["catalog/../x", "catalog//x", "catalog/.x", "catalog/a b", "catalog/\x1b[2J", "x"]
)
def test_artifact_names_are_plain(
    simulator: RepositorySimulator, machine: Machine, name: str
) -> None:
    entry = {"length": 1, "hashes": {"sha256": "0" * 64}}
    simulator.forge("catalog", lambda signed: signed["targets"].update({name: entry}))
    with pytest.raises(VerificationError, match="not an artifact of this role") as caught:
        machine.refresh(simulator.source)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda role: role.update(terminating=False),
        lambda role: role.update(paths=["*"]),
        lambda role: role.update(paths=["catalog/*", "publishers/*"]),
        lambda role: role.update(paths=[]),
    ],
)
def test_delegation_that_is_not_bound_to_its_folder_is_refused(
    simulator: RepositorySimulator, machine: Machine, change: Callable[[dict[str, Any]], None]
) -> None:
    def widen(signed: dict[str, Any]) -> None:
        role = next(role for role in signed["delegations"]["roles"] if role["name"] == "catalog")
        change(role)

    simulator.forge("targets", widen)
    with pytest.raises(VerificationError, match="not bound to catalog/"):
        machine.refresh(simulator.source)


def test_repository_without_a_release_says_so(tmp_path: Path) -> None:
    repository = Repository.create(tmp_path / "r", Keyring.generate(), NOW)
    machine = Machine(tmp_path / "cache", repository.root_bytes)
    with pytest.raises(VerificationError, match=r"names no catalog/catalog\.db"):
        machine.refresh(DirectorySource(tmp_path / "r"))


def test_state_of_another_repository_is_refused(
    simulator: RepositorySimulator, machine: Machine, tmp_path: Path
) -> None:
    other = RepositorySimulator(tmp_path / "other")
    machine.state = Machine(tmp_path / "c", other.root).refresh(other.source).state
    with pytest.raises(VerificationError, match="trust state is of repository"):
        machine.refresh(simulator.source)


@pytest.mark.parametrize("root", [b"", b"{}", b"[]", b"null", b'{"signed": {"_type": "root"}}'])
def test_a_file_that_is_no_root_is_refused(
    simulator: RepositorySimulator, machine: Machine, root: bytes
) -> None:
    machine.root = root
    with pytest.raises(VerificationError, match="not the root of a tavo repository"):
        machine.refresh(simulator.source)


def test_a_trusted_root_must_be_signed_by_itself(
    simulator: RepositorySimulator, machine: Machine
) -> None:
    value = json.loads(simulator.root)
    value["signatures"] = value["signatures"][:1]
    machine.root = json.dumps(value).encode()
    with pytest.raises(VerificationError, match="the trusted root itself"):
        machine.refresh(simulator.source)


def test_refused_refresh_changes_nothing(simulator: RepositorySimulator, machine: Machine) -> None:
    machine.refresh(simulator.source)

    def contents() -> dict[str, bytes]:
        return {
            str(path.relative_to(machine.cache)): path.read_bytes()
            for path in machine.cache.rglob("*")
            if path.is_file()
        }

    before, state = contents(), machine.state
    simulator.publish(catalog=b"catalog 2")
    (path,) = (simulator.directory / "targets" / "catalog").glob(f"{Digest.of(b'catalog 2').hex}*")
    path.write_bytes(b"catalog X")
    with pytest.raises(VerificationError):
        machine.refresh(simulator.source)
    assert contents() == before
    assert machine.state == state


def test_damaged_cache_is_brought_again(simulator: RepositorySimulator, machine: Machine) -> None:
    done = machine.refresh(simulator.source)
    done.catalog.path.write_bytes(b"catalog X")
    for path in machine.cache.rglob("*.json"):
        path.write_bytes(b"{")
    again = machine.refresh(simulator.source)
    assert again.catalog.path.read_bytes() == b"catalog 1"


# -- blobs


def test_blob_is_fetched_by_digest(
    simulator: RepositorySimulator, tmp_path: Path, opened: Opener
) -> None:
    digest = simulator.repository.add_blob(b"wheel")
    path = tmp_path / "wheel"
    with opened(simulator.directory) as source:
        fetch_blob(source, digest, 5, path)
        assert path.read_bytes() == b"wheel"
        fetch_blob(source, digest, None, tmp_path / "statement")
        with pytest.raises(VerificationError, match="longer than 4 bytes"):
            fetch_blob(source, digest, None, tmp_path / "bad", limit=4)
        stored = simulator.directory / "blobs" / "sha256" / digest.hex[:2] / digest.hex
        for data, message in ((b"WHEEL", "sha256 is"), (b"wheels", "longer"), (b"w", "1 bytes")):
            stored.write_bytes(data)
            with pytest.raises(VerificationError, match=message):
                fetch_blob(source, digest, 5, tmp_path / "bad")
            assert not (tmp_path / "bad").exists()
        assert path.read_bytes() == b"wheel"
        stored.unlink()
        with pytest.raises(MissingError):
            fetch_blob(source, digest, 5, tmp_path / "bad")
    assert not list(tmp_path.glob(".new-*"))


def test_failed_fetch_keeps_what_was_there(simulator: RepositorySimulator, tmp_path: Path) -> None:
    path = tmp_path / "wheel"
    path.write_bytes(b"older")
    with pytest.raises(SourceError):
        fetch_blob(simulator.source, Digest.of(b"nothing"), 7, path)
    assert path.read_bytes() == b"older"
