"""Entitlements: whoever is not bound to a namespace's entitlements says nothing about them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from signing import amend
from signing.attest import PublisherClaim, sign_publisher
from signing.digests import Digest
from signing.entitlements import (
    EntitlementClaim,
    read_revoked,
    sign_entitlement,
    unverified_entitlement,
    verify_entitlement,
    write_revoked,
)
from signing.errors import AttestationError, VerificationError
from signing.keys import PrivateKey
from signing.publishers import Namespace, Publishers
from tests.fakes.repository import NOW, key_map

ACME, OTHER, REVIEWER, SHOP, OTHER_SHOP, ONLINE = (PrivateKey.generate() for _ in range(6))
DOCUMENT = Publishers(
    namespaces={
        "acme": Namespace(keys=key_map(ACME), entitlement_keys=key_map(SHOP)),
        "other": Namespace(keys=key_map(OTHER), entitlement_keys=key_map(OTHER_SHOP)),
    },
    reviewers=key_map(REVIEWER),
)


def claim(**changes: Any) -> EntitlementClaim:
    fields: dict[str, Any] = {
        "identifier": "ab" * 16,
        "repository": "cd" * 16,
        "organisation": "example.com",
        "namespace": "acme",
        "plugins": ("pro",),
        "tiers": ("paid", "enterprise"),
        "versions": "<2",
        "expires": NOW + timedelta(days=365),
        "seats": 20,
        "issued": NOW,
    }
    return EntitlementClaim(**{**fields, **changes})


def test_what_is_signed_is_what_is_read() -> None:
    for one in (claim(), claim(plugins=(), versions="", seats=None, tiers=("paid",))):
        envelope = sign_entitlement(one, SHOP)
        assert verify_entitlement(envelope, DOCUMENT) == one
        assert unverified_entitlement(envelope) == one


@pytest.mark.parametrize("key", [ACME, OTHER, OTHER_SHOP, REVIEWER, ONLINE])
def test_only_the_key_that_is_bound_to_it_counts(key: PrivateKey) -> None:
    envelope = sign_entitlement(claim(), key)
    with pytest.raises(AttestationError, match=r"not among the 2|may not sign") as told:
        verify_entitlement(envelope, DOCUMENT)
    assert "signed with the key of that namespace" in told.value.hint
    bound = amend.bind_entitlements(
        Publishers(namespaces={"acme": Namespace(keys=key_map(PrivateKey.generate()))}),
        "acme", [key.public],
    )  # fmt: skip
    assert verify_entitlement(envelope, bound) == claim()  # control: the binding alone decides


def test_a_revoked_key_entitles_nobody() -> None:
    envelope = sign_entitlement(claim(), SHOP)
    revoked = amend.revoke_key(DOCUMENT, SHOP.public.key_id, "stolen")
    with pytest.raises(AttestationError, match="was revoked: stolen"):
        verify_entitlement(envelope, revoked)
    taken = amend.unbind(DOCUMENT, "acme", SHOP.public.key_id)
    with pytest.raises(AttestationError, match="not among the 1 allowed keys"):
        verify_entitlement(envelope, taken)


def test_a_new_owner_inherits_no_shop() -> None:
    moved = amend.transfer(DOCUMENT, "acme", [PrivateKey.generate().public])
    assert moved.namespaces["acme"].entitlement_keys == {}
    lines = amend.differences(DOCUMENT, moved)
    assert f"takes from the entitlements of acme the key {SHOP.public.key_id}" in lines


Edit = Callable[[dict[str, Any]], object]
EDITS: dict[str, Edit] = {
    "another organisation": lambda s: s["predicate"].update(organisation="evil.example"),
    "a later end": lambda s: s["predicate"].update(expires="2099-01-01T00:00:00Z"),
    "another plugin": lambda s: s["predicate"].update(plugins=[]),
    "all versions": lambda s: s["predicate"].update(versions=""),
    "another marketplace": lambda s: s["predicate"].update(repository="ef" * 16),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_breaks_the_signature(edit: Edit) -> None:
    envelope = json.loads(sign_entitlement(claim(), SHOP))
    statement = json.loads(base64.b64decode(envelope["payload"]))
    edit(statement)
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    with pytest.raises(AttestationError, match="does not match"):
        verify_entitlement(json.dumps(envelope).encode(), DOCUMENT)


FORMS: dict[str, tuple[Edit, str]] = {
    "a field more": (lambda s: s["predicate"].update(discount=1), "unknown fields"),
    "a field less": (lambda s: s["predicate"].pop("seats"), "the predicate: 'seats'"),
    "no end": (lambda s: s["predicate"].update(expires=None), "is not a time like"),
    "seats as text": (lambda s: s["predicate"].update(seats="20"), "seats are a whole number"),
    "a tier that is none": (lambda s: s["predicate"].update(tiers=["free"]), "tiers are paid"),
    "a name with a path": (lambda s: s["predicate"].update(plugins=["../x"]), "is not the name"),
    "a subject of another": (lambda s: s["subject"][0].update(name="evil.example"), "subject"),
    "another digest": (lambda s: s["subject"][0]["digest"].update(sha256="0" * 64), "digest"),
    "another kind": (
        lambda s: s.update(predicateType="urn:tavo:attestation:publisher:v1"), "predicate type"),
    "an end before its beginning": (
        lambda s: s["predicate"].update(expires="2020-01-01T00:00:00Z"), "would have ended"),
    "no object": (lambda s: s.update(predicate=[]), "digest differs"),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "sentence"), FORMS.values(), ids=FORMS)
def test_what_is_properly_signed_and_says_something_else_is_refused(
    edit: Edit, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = json.dumps

    def dumps(value: Any, **options: Any) -> str:
        if isinstance(value, dict) and "predicate" in value:
            edit(value)
        return real(value, **options)

    with monkeypatch.context() as patched:
        patched.setattr(json, "dumps", dumps)
        envelope = sign_entitlement(claim(), SHOP)
    with pytest.raises(AttestationError, match=sentence):
        verify_entitlement(envelope, DOCUMENT)


def test_no_statement_of_another_kind_is_an_entitlement() -> None:
    digest = Digest.of(b"x")
    package = PublisherClaim(
        full_id="acme/pro", version="1.0", api=1, package=digest, manifest=digest, lock=None,
        permissions=digest, issued=NOW,
    )  # fmt: skip
    with pytest.raises(AttestationError, match="entitlement: "):
        verify_entitlement(sign_publisher(package, SHOP), DOCUMENT)
    for data in (b"", b"{}", b"[" * 100_000, b"x" * 70_000):
        with pytest.raises(AttestationError):
            unverified_entitlement(data)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"identifier": "AB" * 16}, "the id is not 32"),
        ({"organisation": "Example Corp"}, "named like example.com"),
        ({"organisation": "a" * 101}, "named like example.com"),
        ({"namespace": "a/b"}, "is not the name of a namespace"),
        ({"tiers": ()}, "tiers are paid, enterprise or both"),
        ({"seats": 0}, "seats are a whole number"),
        ({"seats": True}, "seats are a whole number"),
        ({"expires": NOW}, "would have ended when it was issued"),
        ({"plugins": ("x",) * 201}, "at most 200"),
        ({"versions": "<" + "9" * 200}, "at most 200"),
    ],
)
def test_what_cannot_be_said_is_not_signed(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        claim(**changes)


# -- the document of publishers


def test_the_document_of_a_marketplace_without_them_is_the_old_one() -> None:
    old = Publishers(namespaces={"acme": Namespace(keys=key_map(ACME))})
    assert b"entitlement" not in old.to_bytes()
    assert Publishers.parse(old.to_bytes()) == old
    assert Publishers.parse(DOCUMENT.to_bytes()) == DOCUMENT
    assert Publishers.parse(DOCUMENT.to_bytes()).to_bytes() == DOCUMENT.to_bytes()


@pytest.mark.parametrize(("key", "whose"), [(ACME, "namespace acme"), (REVIEWER, "the reviewers")])
def test_a_key_of_a_shop_does_nothing_else(key: PrivateKey, whose: str) -> None:
    with pytest.raises(VerificationError, match=f"belongs to {whose} and to the entitlements of"):
        amend.bind_entitlements(DOCUMENT, "other", [key.public])
    shared = amend.bind_entitlements(DOCUMENT, "other", [SHOP.public])  # one shop, two namespaces
    assert SHOP.public.key_id in shared.namespaces["other"].entitlement_keys


def test_what_is_signed_about_keys_is_told() -> None:
    key = PrivateKey.generate().public
    after = amend.bind_entitlements(DOCUMENT, "acme", [key])
    told = (f"gives the entitlements of acme the key {key.key_id}",)
    assert amend.differences(DOCUMENT, after) == told
    revoked = amend.revoke_key(after, key.key_id, "lost")
    with pytest.raises(VerificationError, match="was revoked: lost"):
        amend.bind_entitlements(revoked, "other", [key])


# -- what the online side takes back


def test_taken_back_is_read_as_it_was_written() -> None:
    assert read_revoked(write_revoked({"ab" * 16: "not paid"})) == {"ab" * 16: "not paid"}
    assert read_revoked(write_revoked({})) == {}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"[" * 100_000, b'{"format": 1}', b'{"format": 2, "revoked": {}}',
        b'{"format": 1, "revoked": []}', b'{"format": 1, "revoked": {"x": "y"}}',
        b'{"format": 1, "revoked": {"%s": ""}}' % (b"ab" * 16),
        b'{"format": 1, "revoked": {"%s": 7}}' % (b"ab" * 16),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_read_is_refused(data: bytes) -> None:
    with pytest.raises(VerificationError, match=r"entitlements\.json: cannot be read"):
        read_revoked(data)
