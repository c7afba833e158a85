"""Grants and the hands that hold a namespace: kept in a rotation, taken back in a transfer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from marketplace_db.manifest import parse_manifest
from signing.keys import PrivateKey
from signing.publishers import Namespace
from tavo.host.state import State
from tavo.registry import trust as trust_module
from tavo.registry.trust import Trust
from tests.fakes.operator_market import MANIFEST
from tests.fakes.repository import NOW, RepositorySimulator, key_map, simple_publishers

ONE, TWO, THREE, OTHER = (PrivateKey.generate() for _ in range(4))


class Machine:
    """A user who accepted a plugin of `acme` and one of `other`, and a repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.operator = RepositorySimulator(folder / "repository")
        self.state = State(folder / "state.db")
        self.publish(acme=[ONE])
        self.repository = self.trust().state().repository
        for namespace in ("acme", "other"):
            text = MANIFEST.format(id="sample", publisher=namespace, version="1.0.0", name="One")
            manifest = parse_manifest(text.encode())
            self.state.grant(manifest, [], repository=self.repository)
            self.state.grant(manifest, [], repository="elsewhere")

    def trust(self) -> Trust:
        return Trust(
            self.state, self.folder / "cache", embedded=None, root=self.operator.root, now=NOW
        )

    def publish(
        self,
        *,
        acme: list[PrivateKey],
        revoked: Mapping[str, str] | None = None,
        gone: bool = False,
    ) -> list[str]:
        """Publish who holds the namespaces, and update; return what the user is told."""
        namespaces = {"other": Namespace(keys=key_map(OTHER))}
        if not gone:
            namespaces["acme"] = Namespace(keys=key_map(*acme))
        self.operator.publish(
            publishers=simple_publishers(namespaces=namespaces, revoked_keys=revoked or {})
        )
        trust = self.trust()
        opened = trust.open(self.operator.source)
        assert set(trust.news) <= set(opened.notes)
        return trust.news

    def kept(self, namespace: str = "acme", repository: str | None = None) -> bool:
        repository = self.repository if repository is None else repository
        return bool(self.state.accepted_sets(f"{namespace}/sample", repository=repository))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def reason(key: PrivateKey) -> dict[str, str]:
    return {key.public.key_id: "stolen"}


def test_grants_survive_a_rotation_inside_the_namespace(machine: Machine) -> None:
    for keys in ([ONE, TWO], [TWO], [TWO, THREE], [THREE]):
        assert machine.publish(acme=keys) == []
        assert machine.kept()


def test_grants_are_taken_back_when_a_namespace_changes_hands(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (news,) = machine.publish(acme=[TWO])
    assert news == (
        "the namespace acme has changed hands or lost a key: its plugins on this machine do not"
        " run until you accept them again (tavo registry grant acme/…)"
    )
    assert not machine.kept()
    assert machine.kept("other")
    assert machine.kept("acme", "elsewhere")
    assert machine.publish(acme=[TWO]) == []  # said once
    careless = Machine(tmp_path / "control")  # the control: the new owner inherits the user's trust
    monkeypatch.setattr(
        trust_module,
        "follow_keys",
        lambda known, namespace, *_: trust_module.Keys(
            now=frozenset(namespace.keys), ever=frozenset(namespace.keys)
        ),
    )
    assert careless.publish(acme=[TWO]) == []
    assert careless.kept()


def test_grants_are_taken_back_when_a_key_was_stolen(machine: Machine) -> None:
    machine.publish(acme=[ONE, TWO])
    assert machine.publish(acme=[ONE, TWO], revoked=reason(ONE))
    assert not machine.kept()
    assert machine.kept("other")


def test_also_when_the_stolen_key_had_been_replaced_before(machine: Machine) -> None:
    machine.publish(acme=[ONE, TWO])
    assert machine.publish(acme=[TWO]) == []
    assert machine.publish(acme=[TWO], revoked=reason(ONE))
    assert not machine.kept()


def test_a_recalled_key_of_somebody_else_takes_nothing_back(machine: Machine) -> None:
    assert machine.publish(acme=[ONE], revoked=reason(THREE)) == []
    assert machine.kept()


def test_a_namespace_that_is_gone_comes_back_without_grants(machine: Machine) -> None:
    assert machine.publish(acme=[], gone=True)
    assert machine.publish(acme=[ONE]) == []
    assert not machine.kept()


def test_what_is_accepted_after_a_transfer_stands(machine: Machine) -> None:
    machine.publish(acme=[TWO])
    text = MANIFEST.format(id="sample", publisher="acme", version="1.0.0", name="One")
    machine.state.grant(parse_manifest(text.encode()), [], repository=machine.repository)
    assert machine.publish(acme=[TWO, THREE]) == []
    assert machine.kept()
    assert machine.publish(acme=[ONE])  # the first owner again is another one than today's
    assert not machine.kept()


def without_keys(machine: Machine) -> None:
    """Leave the state as a tavo wrote it that kept no keys."""
    value = dict(machine.state.load_trust(machine.repository) or {})
    del value["namespaces"]
    machine.state.save_trust(machine.repository, value)


def test_a_state_without_keys_is_compared_with_the_document_that_it_accepted(
    machine: Machine,
) -> None:
    without_keys(machine)
    assert machine.publish(acme=[ONE, TWO]) == []
    assert machine.kept()
    without_keys(machine)
    assert machine.publish(acme=[THREE])
    assert not machine.kept()


def test_where_nothing_tells_who_held_it_before_grants_are_taken_back(machine: Machine) -> None:
    without_keys(machine)
    for path in (machine.folder / "cache").glob("*/artifacts/*"):
        path.unlink()
    assert len(machine.publish(acme=[ONE, TWO])) == 2
    assert not machine.kept()
