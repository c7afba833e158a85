"""The publishers document: read back exactly, refused when it contradicts itself."""

import json
from typing import Any

import pytest

from signing.digests import Digest
from signing.errors import VerificationError
from signing.keys import PrivateKey
from signing.publishers import Namespace, Publishers, Recalls
from tests.fakes.repository import key_map

A, B, C = (PrivateKey.generate() for _ in range(3))


def document(**changes: Any) -> Publishers:
    fields: dict[str, Any] = {
        "namespaces": {
            "tavo": Namespace(keys=key_map(A), official=True),
            "acme-labs": Namespace(keys=key_map(B)),
        },
        "reviewers": key_map(C),
        "revoked_keys": {"0" * 64: "lost"},
        "revoked_packages": {Digest.of(b"bad"): "malware"},
        "unyanked": frozenset({Digest.of(b"fine again")}),
    }
    return Publishers(**{**fields, **changes})


def test_round_trip_is_exact_and_canonical() -> None:
    data = document().to_bytes()
    assert Publishers.parse(data) == document()
    assert Publishers.parse(data).to_bytes() == data


def test_official_namespaces_need_more_reviews() -> None:
    assert document().reviews_needed("tavo/model-files") == 2
    assert document().reviews_needed("acme-labs/x") == 1
    assert document(required_reviews=3).reviews_needed("tavo/x") == 3


def test_unlisted_namespace_is_refused() -> None:
    with pytest.raises(VerificationError, match="nobody may publish in the namespace 'nobody'"):
        document().namespace("nobody/x")


def test_recalls_from_elsewhere_are_added_and_never_lost() -> None:
    more = Recalls(keys={A.public.key_id: "stolen"}, packages={Digest.of(b"worse"): "worm"})
    both = document().with_recalls(more)
    assert set(both.revoked_packages) == {Digest.of(b"bad"), Digest.of(b"worse")}
    assert set(both.revoked_keys) == {"0" * 64, A.public.key_id}
    assert both.with_recalls(Recalls()) == both


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reviewers": key_map(A)}, "belongs to namespace tavo and to the reviewers"),
        (
            {"namespaces": {"a1": Namespace(keys=key_map(A)), "b1": Namespace(keys=key_map(A))}},
            "belongs to namespace a1 and to namespace b1",
        ),
        (
            {"namespaces": {"a1": Namespace(keys=key_map(A), threshold=2)}},
            "2 signatures are needed, of 1 keys",
        ),
        ({"namespaces": {"a1": Namespace(keys=key_map(A), threshold=0)}}, "0 signatures"),
        ({"namespaces": {"a1": Namespace(keys={})}}, "of 0 keys"),
        ({"namespaces": {"A/b": Namespace(keys=key_map(A))}}, "not a namespace name"),
        ({"required_reviews": 0}, "0 reviews"),
        ({"reviewers": {"f" * 64: C.public}}, "under another id"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(VerificationError, match=message):
        document(**changes)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(extra=1),
        lambda value: value.pop("reviewers"),
        lambda value: value.update(format=2),
        lambda value: value["namespaces"]["tavo"].update(quota=1),
        lambda value: value["namespaces"]["tavo"].update(official="yes"),
        lambda value: value["namespaces"]["tavo"].update(threshold=True),
        lambda value: value["namespaces"]["tavo"].update(keys=["f" * 64]),
        lambda value: value["namespaces"]["tavo"]["keys"].append(A.public.key_id),
        lambda value: value["keys"][A.public.key_id].update(scheme="rsa"),
        lambda value: value.update(revoked_packages={"short": "x"}),
        lambda value: value.update(revoked_keys=["x"]),
        lambda value: value.update(unyanked=[1]),
        lambda value: value.update(required_reviews={"default": 1}),
    ],
)
def test_what_is_not_understood_is_refused(change: Any) -> None:
    value = json.loads(document().to_bytes())
    Publishers.parse(json.dumps(value).encode())  # control
    change(value)
    with pytest.raises(VerificationError, match=r"publishers\.json: "):
        Publishers.parse(json.dumps(value).encode())


def test_a_package_goes_with_the_last_key_behind_it() -> None:
    package, other = Digest("1" * 64), Digest("2" * 64)
    recalls = Recalls(keys={"a": "stolen", "b": "lost"}, packages={package: "steals tokens"})
    assert recalls.reason(package, ["c"]) == "steals tokens"
    assert recalls.reason(other, ["c"], ["d"]) is None
    assert recalls.reason(other, ["a", "c"], ["d"]) is None  # another key still stands for it
    assert recalls.reason(other, [], []) is None  # nothing is known of who signed it
    assert recalls.reason(other, ["a"], ["d"]) == "the key a that signed it was revoked: stolen"
    assert recalls.reason(other, ["c"], ["b", "a"]) is not None
