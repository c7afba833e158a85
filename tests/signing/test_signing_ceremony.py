"""Ceremonies: changes of the offline roles that several people sign on machines of their own."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import Signature

from signing.ceremony import Ceremony, Change
from signing.client import DirectorySource
from signing.errors import RepositoryError
from signing.founding import first_ceremony
from signing.keyring import Keyring
from signing.keys import PrivateKey
from signing.repository import Repository
from signing.roles import OFFLINE_ROLES, ROLES
from tests.fakes.repository import NOW, Machine, simple_publishers

DAY = timedelta(days=1)


class Holders:
    """Two people with a key of each offline role, a third key in a safe, and the online machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = Keyring.generate()
        self.online = self.keys.without(*OFFLINE_ROLES)
        self.directory = folder / "repository"

    def public(self) -> dict[str, list[object]]:
        return {role: [key.public for key in self.keys.of(role)] for role in ROLES}

    def travel(self, ceremony: Ceremony, *people: int, keys: Keyring | None = None) -> Ceremony:
        """Carry the folder from one person to the next; each reads it, signs, and writes it."""
        place = self.folder / "stick"
        shutil.rmtree(place, ignore_errors=True)
        ceremony.write(place)
        for person in people:
            read = Ceremony.read(place)
            held = keys or self.keys
            read.sign_all(held.of(role)[person] for role in OFFLINE_ROLES)
            read.write(place)
        return Ceremony.read(place)

    def open(self) -> Repository:
        return Repository.open(self.directory, self.online)


@pytest.fixture
def holders(tmp_path: Path) -> Holders:
    made = Holders(tmp_path)
    first = made.travel(first_ceremony(made.public(), NOW, publishers=simple_publishers()), 0, 1)
    repository = Repository.found(made.directory, first, made.online, NOW)
    catalog = tmp_path / "catalog.db"
    catalog.write_bytes(b"catalog 1")
    repository.publish(catalog=catalog, now=NOW)
    return made


def client(holders: Holders, name: str = "client") -> Machine:
    root = (holders.directory / "metadata" / "1.root.json").read_bytes()
    return Machine(holders.folder / name, root)


def test_repository_is_founded_by_people_who_never_meet(holders: Holders) -> None:
    refreshed = client(holders).refresh(DirectorySource(holders.directory))
    assert refreshed.catalog.path.read_bytes() == b"catalog 1"
    assert refreshed.record.root_version == 1


def test_one_person_is_not_enough(holders: Holders) -> None:
    prepared = holders.open().prepare(Change(publishers=simple_publishers()), NOW)
    alone = holders.travel(prepared, 0)
    (wanting,) = alone.wanting()
    assert (wanting.role, wanting.needed, wanting.have) == ("publishers", 2, 1)
    before = {path: path.read_bytes() for path in holders.directory.rglob("*.json")}
    with pytest.raises(RepositoryError, match="publishers: 2 keys must sign, 1 did") as refused:
        holders.open().adopt(alone, NOW)
    assert holders.keys.of("publishers")[2].public.key_id[:12] in refused.value.hint
    assert {path: path.read_bytes() for path in holders.directory.rglob("*.json")} == before
    holders.open().adopt(holders.travel(prepared, 0, 2), NOW)  # control: with a second one


def test_signature_that_is_forged_or_foreign_does_not_count(holders: Holders) -> None:
    prepared = holders.open().prepare(Change(renew=("publishers",)), NOW)
    alone = holders.travel(prepared, 0)
    second = holders.keys.of("publishers")[1].public.key_id
    foreign = PrivateKey.generate()
    value = alone.metadata["publishers"]
    for key_id in (second, foreign.public.key_id):
        signature = foreign.sign(value.signed_bytes).hex()
        value.signatures[key_id] = Signature(key_id, signature)
    with pytest.raises(RepositoryError, match="2 keys must sign, 1 did"):
        holders.open().adopt(alone, NOW)
    with pytest.raises(RepositoryError, match="none of those that sign publishers"):
        alone.sign(foreign)


def test_lost_root_key_is_replaced_and_clients_that_were_away_follow(holders: Holders) -> None:
    source = DirectorySource(holders.directory)
    away = client(holders, "away")
    away.refresh(source)
    now = NOW
    for number in range(4):  # four rotations, each of the key that the third person has lost
        now += DAY
        fresh = PrivateKey.generate()
        old = holders.keys
        holders.keys = old.with_role("root", [fresh, *old.of("root")[:2]])
        keys = {"root": [key.public for key in holders.keys.of("root")]}
        prepared = holders.open().prepare(Change(keys=keys), now)
        assert set(prepared.metadata) == {"root"}
        assert prepared.new_keys()["root"][1][0] == fresh.public
        signed = holders.travel(prepared, 0, 1)  # the new key and a known one
        signed = holders.travel(signed, 1, keys=old)
        holders.open().adopt(signed, now)
        assert holders.open().version("root") == number + 2
    away.now = now
    assert away.refresh(source).record.root_version == 5
    assert client(holders, "fresh").refresh(source).record.root_version == 5


def test_new_root_needs_enough_of_the_old_keys(holders: Holders) -> None:
    taken = holders.keys.with_role("root", [PrivateKey.generate() for _ in range(3)])
    keys = {"root": [key.public for key in taken.of("root")]}
    prepared = holders.open().prepare(Change(keys=keys), NOW)
    usurped = holders.travel(prepared, 0, 1, 2, keys=taken)
    with pytest.raises(RepositoryError, match="root: 2 keys must sign, 0 did"):
        holders.open().adopt(usurped, NOW)
    honest = holders.travel(usurped, 0, 1)
    holders.open().adopt(honest, NOW)  # control: the old holders agree


def test_stolen_online_key_is_replaced(holders: Holders) -> None:
    stolen = holders.online
    fresh = {role: [PrivateKey.generate()] for role in ("catalog", "snapshot", "timestamp")}
    keys = {role: [key.public for key in held] for role, held in fresh.items()}
    prepared = holders.open().prepare(Change(keys=keys), NOW)
    assert set(prepared.metadata) == {"root", "targets"}
    signed = holders.travel(prepared, 0, 1)
    with pytest.raises(RepositoryError, match=r"catalog: 1 key must sign, 0 of them"):
        holders.open().adopt(signed, NOW)
    for role, held in fresh.items():
        holders.online = holders.online.with_role(role, held)
    holders.open().adopt(signed, NOW)
    assert client(holders).refresh(DirectorySource(holders.directory)).record.root_version == 2
    catalog = holders.folder / "evil.db"
    catalog.write_bytes(b"evil")
    with pytest.raises(RepositoryError, match="catalog: 1 key must sign"):
        Repository.open(holders.directory, stolen).publish(catalog=catalog, now=NOW)


def test_ceremony_of_an_earlier_day_is_refused(holders: Holders) -> None:
    old = holders.travel(holders.open().prepare(Change(renew=("publishers",)), NOW), 0, 1)
    holders.open().adopt(old, NOW)
    with pytest.raises(RepositoryError, match="makes version 2, expected 3"):
        holders.open().adopt(old, NOW)


def test_ceremony_of_another_repository_is_refused(holders: Holders, tmp_path: Path) -> None:
    other = Repository.create(tmp_path / "other", holders.keys, NOW)
    signed = holders.travel(other.prepare(Change(renew=("releases",)), NOW), 0, 1)
    with pytest.raises(RepositoryError, match="is for the repository"):
        holders.open().adopt(signed, NOW)


def test_artifact_that_was_swapped_on_the_way_is_refused(holders: Holders, tmp_path: Path) -> None:
    release = tmp_path / "tavo-1.0.0.pyz"
    release.write_bytes(b"good")
    prepared = holders.open().prepare(Change(releases=(release,)), NOW)
    holders.travel(prepared, 0, 1)
    (holders.folder / "stick" / "artifacts" / release.name).write_bytes(b"evil")
    with pytest.raises(RepositoryError, match="is another file than the metadata names"):
        Ceremony.read(holders.folder / "stick")
    release.write_bytes(b"evil")  # the file of who prepared it, changed while it was away
    prepared.sign_all(key for role in OFFLINE_ROLES for key in holders.keys.of(role))
    with pytest.raises(RepositoryError, match="is another file than was signed"):
        holders.open().adopt(prepared, NOW)
    release.write_bytes(b"good")
    holders.open().adopt(prepared, NOW)  # control


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ceremony.json", "{"),
        ("ceremony.json", "[]"),
        ("ceremony.json", '{"format": 2, "artifacts": []}'),
        ("ceremony.json", '{"format": 1, "artifacts": ["publishers/../../../etc/passwd"]}'),
        ("ceremony.json", '{"format": 1, "artifacts": ["blobs/x"]}'),
        ("ceremony.json", json.dumps({"format": 1, "artifacts": ["releases/x"] * 100})),
        ("sign/publishers.json", "{}"),
        ("sign/publishers.json", " " * 5_000_001),
        ("base/root.json", "[" * 100_000),
    ],
)
def test_folder_that_is_no_ceremony_is_refused(holders: Holders, name: str, content: str) -> None:
    place = holders.folder / "stick"
    holders.travel(holders.open().prepare(Change(renew=("publishers",)), NOW), 0)
    (place / name).write_text(content)
    with pytest.raises(RepositoryError, match="is not a complete ceremony"):
        Ceremony.read(place)


def test_role_in_the_wrong_file_is_refused(holders: Holders) -> None:
    place = holders.folder / "stick"
    holders.travel(holders.open().prepare(Change(renew=("publishers",)), NOW), 0)
    shutil.copy(place / "sign" / "publishers.json", place / "base" / "root.json")
    with pytest.raises(RepositoryError, match="holds targets metadata"):
        Ceremony.read(place)


def test_what_is_shown_is_what_is_signed(holders: Holders) -> None:
    document = simple_publishers(required_reviews=3)
    prepared = holders.open().prepare(Change(publishers=document), NOW)
    shown = holders.travel(prepared, 0).publishers()
    assert shown == document
    prepared.artifacts["publishers/publishers.json"] = simple_publishers().to_bytes()
    with pytest.raises(RepositoryError, match="is another file than is signed"):
        prepared.publishers()


def test_change_of_nothing_is_refused(holders: Holders) -> None:
    with pytest.raises(RepositoryError, match="nothing is to be changed"):
        holders.open().prepare(Change(), NOW)
    with pytest.raises(RepositoryError, match="catalog: is not an offline role"):
        holders.open().prepare(Change(renew=("catalog",)), NOW)
