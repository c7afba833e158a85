"""Statements: what is signed is compared field by field, and only listed keys count."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from signing.attest import (
    BuildClaim,
    PublisherClaim,
    ReviewerClaim,
    VettingClaim,
    sign_build,
    sign_publisher,
    sign_reviewer,
    sign_vetting,
    unverified_build,
    unverified_overrides,
    unverified_vetting,
    verify_build,
    verify_publisher,
    verify_reviewer,
    verify_vetting,
)
from signing.digests import Digest
from signing.envelopes import add_signature
from signing.errors import AttestationError
from signing.keys import PrivateKey
from tests.fakes.repository import key_map, malleable

ISSUED = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CLAIM = PublisherClaim(
    full_id="tavo/model-files",
    version="1.2.3",
    api=1,
    package=Digest.of(b"package"),
    manifest=Digest.of(b"manifest"),
    lock=Digest.of(b"lock"),
    permissions=Digest.of(b"permissions"),
    issued=ISSUED,
)
REVIEW = ReviewerClaim(
    full_id="tavo/model-files",
    version="1.2.3",
    package=Digest.of(b"package"),
    reports=(Digest.of(b"report"),),
    issued=ISSUED,
)
KEY = PrivateKey.generate()
OTHER = PrivateKey.generate()


def resigned(envelope: bytes, change: Any, key: PrivateKey = KEY) -> bytes:
    """Change the statement inside and sign it properly again."""
    from signing.envelopes import _pre_authentication, _seal, open_envelope

    payload, _ = open_envelope(envelope)
    statement = json.loads(payload)
    change(statement)
    data = json.dumps(statement).encode()
    return _seal(data, [(key.public.key_id, key.sign(_pre_authentication(data)))])


def test_a_statement_verifies_and_says_who_and_when() -> None:
    found = verify_publisher(sign_publisher(CLAIM, KEY), key_map(KEY, OTHER), CLAIM)
    assert found.key_id == KEY.public.key_id
    assert found.issued == ISSUED


def test_the_envelope_is_one_that_other_dsse_tools_verify() -> None:
    envelope = Envelope.from_dict(json.loads(sign_publisher(CLAIM, KEY)))
    key = SSlibKey.from_dict(KEY.public.key_id, KEY.public.to_dict())
    assert list(envelope.verify([key], 1)) == [KEY.public.key_id]
    statement = json.loads(envelope.payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"][0]["digest"] == {"sha256": CLAIM.package.hex}


@pytest.mark.parametrize(
    "change",
    [
        {"full_id": "tavo/other"},
        {"version": "1.2.4"},
        {"api": 2},
        {"package": Digest.of(b"other")},
        {"manifest": Digest.of(b"other")},
        {"lock": None},
        {"lock": Digest.of(b"other")},
        {"permissions": Digest.of(b"other")},
    ],
)
def test_a_statement_about_anything_else_is_refused_by_field(change: dict[str, Any]) -> None:
    other = replace(CLAIM, **change)
    envelope = sign_publisher(other, KEY)
    with pytest.raises(AttestationError, match=r"differs: expected"):
        verify_publisher(envelope, key_map(KEY), CLAIM)
    verify_publisher(envelope, key_map(KEY), other)  # control: it is right for its own package


def test_foreign_key_is_refused() -> None:
    envelope = sign_publisher(CLAIM, OTHER)
    with pytest.raises(AttestationError, match="not among the 1 allowed keys"):
        verify_publisher(envelope, key_map(KEY), CLAIM)
    verify_publisher(envelope, key_map(KEY, OTHER), CLAIM)  # control


def test_foreign_key_under_a_listed_id_is_refused() -> None:
    value = json.loads(sign_publisher(CLAIM, OTHER))
    value["signatures"][0]["keyid"] = KEY.public.key_id
    with pytest.raises(AttestationError, match="does not match"):
        verify_publisher(json.dumps(value).encode(), key_map(KEY), CLAIM)


def test_revoked_key_never_counts() -> None:
    envelope = sign_publisher(CLAIM, KEY)
    with pytest.raises(AttestationError, match="was revoked: stolen laptop"):
        verify_publisher(
            envelope, key_map(KEY), CLAIM, revoked={KEY.public.key_id: "stolen laptop"}
        )
    verify_publisher(envelope, key_map(KEY), CLAIM, revoked={})  # control
    both = add_signature(envelope, OTHER)
    found = verify_publisher(
        both, key_map(KEY, OTHER), CLAIM, revoked={KEY.public.key_id: "stolen"}
    )
    assert found.key_ids == (OTHER.public.key_id,)


def test_threshold_counts_different_keys() -> None:
    one = sign_publisher(CLAIM, KEY)
    keys = key_map(KEY, OTHER)
    with pytest.raises(AttestationError, match=r"2 valid signature\(s\) expected, 1 found"):
        verify_publisher(one, keys, CLAIM, threshold=2)
    two = add_signature(one, OTHER)
    assert len(verify_publisher(two, keys, CLAIM, threshold=2).key_ids) == 2
    with pytest.raises(AttestationError, match="already signed"):
        add_signature(two, OTHER)


def test_the_same_key_twice_in_an_envelope_is_refused() -> None:
    value = json.loads(sign_publisher(CLAIM, KEY))
    value["signatures"] *= 2
    with pytest.raises(AttestationError, match="twice"):
        verify_publisher(json.dumps(value).encode(), key_map(KEY, OTHER), CLAIM, threshold=2)


def test_malleable_signature_is_refused() -> None:
    value = json.loads(sign_publisher(CLAIM, KEY))
    verify_publisher(json.dumps(value).encode(), key_map(KEY), CLAIM)  # control
    signature = base64.b64decode(value["signatures"][0]["sig"])
    value["signatures"][0]["sig"] = base64.b64encode(malleable(signature)).decode()
    with pytest.raises(AttestationError, match="does not match"):
        verify_publisher(json.dumps(value).encode(), key_map(KEY), CLAIM)


def test_payload_type_is_part_of_what_is_signed() -> None:
    value = json.loads(sign_publisher(CLAIM, KEY))
    value["payloadType"] = "text/plain"
    with pytest.raises(AttestationError, match="payload type"):
        verify_publisher(json.dumps(value).encode(), key_map(KEY), CLAIM)


def test_tampered_payload_is_refused_and_a_resigned_one_is_not() -> None:
    envelope = sign_publisher(CLAIM, KEY)
    newer = replace(CLAIM, version="9.9.9")

    def bump(statement: dict[str, Any]) -> None:
        statement["predicate"]["version"] = "9.9.9"
        statement["subject"][0]["name"] = "tavo/model-files@9.9.9"

    forged = json.loads(envelope)
    statement = json.loads(base64.b64decode(forged["payload"]))
    bump(statement)
    forged["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    with pytest.raises(AttestationError, match="does not match"):
        verify_publisher(json.dumps(forged).encode(), key_map(KEY), newer)
    verify_publisher(resigned(envelope, bump), key_map(KEY), newer)  # control


def test_a_second_subject_or_an_unknown_field_is_refused_though_properly_signed() -> None:
    envelope = sign_publisher(CLAIM, KEY)

    def second(statement: dict[str, Any]) -> None:
        statement["subject"].append({"name": "x", "digest": {"sha256": "0" * 64}})

    with pytest.raises(AttestationError, match="subject differs"):
        verify_publisher(resigned(envelope, second), key_map(KEY), CLAIM)
    with pytest.raises(AttestationError, match="unknown fields in the predicate: note"):
        verify_publisher(
            resigned(envelope, lambda value: value["predicate"].update(note=1)),
            key_map(KEY),
            CLAIM,
        )
    with pytest.raises(AttestationError, match="api differs"):
        verify_publisher(
            resigned(envelope, lambda value: value["predicate"].update(api=True)),
            key_map(KEY),
            CLAIM,
        )
    verify_publisher(resigned(envelope, lambda value: None), key_map(KEY), CLAIM)  # control


def test_a_reviewer_statement_is_no_publisher_statement_and_the_reverse() -> None:
    with pytest.raises(AttestationError, match="predicate type differs"):
        verify_publisher(sign_reviewer(REVIEW, KEY), key_map(KEY), CLAIM)
    with pytest.raises(AttestationError, match="predicate type differs"):
        verify_reviewer(sign_publisher(CLAIM, KEY), key_map(KEY), REVIEW)


def test_reviews_return_their_reports_and_a_rejection_is_no_approval() -> None:
    asked = replace(REVIEW, reports=(), issued=None)
    found = verify_reviewer(sign_reviewer(REVIEW, KEY), key_map(KEY), asked)
    assert found.reports == (Digest.of(b"report"),)
    rejection = sign_reviewer(replace(REVIEW, decision="reject"), KEY)
    with pytest.raises(AttestationError, match="decision differs"):
        verify_reviewer(rejection, key_map(KEY), asked)
    with pytest.raises(AttestationError, match="reports differs"):
        verify_reviewer(
            sign_reviewer(REVIEW, KEY), key_map(KEY), replace(REVIEW, reports=(Digest.of(b"x"),))
        )
    with pytest.raises(AttestationError, match="package digest differs"):
        verify_reviewer(
            sign_reviewer(REVIEW, KEY), key_map(KEY), replace(asked, package=Digest.of(b"x"))
        )


def test_signing_needs_a_time_and_verifying_a_threshold() -> None:
    with pytest.raises(ValueError, match="time of issue"):
        sign_publisher(replace(CLAIM, issued=None), KEY)
    with pytest.raises(ValueError, match="below 1"):
        verify_publisher(sign_publisher(CLAIM, KEY), key_map(KEY), CLAIM, threshold=0)
    with pytest.raises(ValueError, match="decision"):
        sign_reviewer(replace(REVIEW, decision="maybe"), KEY)  # type: ignore[arg-type]


def test_messages_cannot_steer_a_terminal() -> None:
    value = json.loads(sign_publisher(CLAIM, KEY))
    value["signatures"][0]["keyid"] = "\x1b[2J"
    with pytest.raises(AttestationError) as caught:
        verify_publisher(json.dumps(value).encode(), key_map(KEY), CLAIM)
    assert "\x1b" not in str(caught.value)


# -- builds

WHEEL = "tiny-1.0-py3-none-any.whl"
BUILD = BuildClaim(
    wheel=WHEEL,
    digest=Digest.of(b"wheel"),
    source="tiny-1.0.tar.gz",
    source_digest=Digest.of(b"source"),
    backend="setuptools.build_meta",
    tools=(("setuptools-84.2.1-py3-none-any.whl", Digest.of(b"tool")),),
    python="CPython 3.11.9",
    sandbox="L3",
    tavo="0.1.0",
    epoch=315_532_800,
    issued=ISSUED,
)


def test_a_build_statement_says_how_and_counts_for_one_wheel() -> None:
    envelope = sign_build(BUILD, KEY)
    assert verify_build(envelope, key_map(KEY), WHEEL, BUILD.digest) == BUILD
    assert unverified_build(envelope, WHEEL, BUILD.digest) == BUILD
    with pytest.raises(AttestationError, match="is not among the 1 allowed keys"):
        verify_build(envelope, key_map(OTHER), WHEEL, BUILD.digest)
    with pytest.raises(AttestationError, match="was revoked: stolen"):
        verify_build(
            envelope, key_map(KEY), WHEEL, BUILD.digest, revoked={KEY.public.key_id: "stolen"}
        )
    for wheel, digest in ((WHEEL, Digest.of(b"x")), ("x-1.0-py3-none-any.whl", BUILD.digest)):
        with pytest.raises(AttestationError, match="differs"):
            verify_build(envelope, key_map(KEY), wheel, digest)


def _set(**values: Any) -> Any:
    return lambda statement: statement["predicate"].update(values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set(reproduced=1), "expected two equal builds at L2 or L3"),
        (_set(sandbox="L1"), "expected two equal builds at L2 or L3"),
        (_set(form=2), "in form 2"),
        (_set(reproduced=2.0), "reproduced differs"),
        (_set(more=1), "unknown fields in the predicate: more"),
        (_set(source="x"), "the predicate"),
        (_set(source={"name": "x", "digest": "sha256:12"}), "the predicate"),
        (_set(source={"name": "x", "digest": BUILD.digest.hex, "more": 1}), "source differs"),
        (_set(tools=[{"name": "x"}]), "the predicate"),
        (_set(tools=3), "the predicate"),
        (_set(issued="yesterday"), "time of issue"),
        (lambda s: s["predicate"].pop("python"), "the predicate"),
        (lambda s: s.update(predicateType="urn:tavo:attestation:publisher:v1"), "predicate type"),
    ],
)
def test_a_build_statement_that_says_something_else_is_refused(change: Any, said: str) -> None:
    envelope = resigned(sign_build(BUILD, KEY), change)
    for verify in (
        lambda: verify_build(envelope, key_map(KEY), WHEEL, BUILD.digest),
        lambda: unverified_build(envelope, WHEEL, BUILD.digest),
    ):
        with pytest.raises(AttestationError, match=said):
            verify()


def test_the_kinds_of_statements_are_not_each_other() -> None:
    claim = replace(CLAIM, package=BUILD.digest)
    with pytest.raises(AttestationError, match="predicate type differs"):
        verify_publisher(sign_build(BUILD, KEY), key_map(KEY), claim)
    with pytest.raises(AttestationError, match="predicate type differs"):
        verify_build(sign_publisher(claim, KEY), key_map(KEY), WHEEL, BUILD.digest)


def test_overrides_are_signed_and_a_statement_without_any_is_the_old_one() -> None:
    asked = replace(REVIEW, reports=(), issued=None)
    old = json.loads(base64.b64decode(json.loads(sign_reviewer(REVIEW, KEY))["payload"]))
    assert "overrides" not in old["predicate"]  # byte for byte what every version reads
    assert verify_reviewer(sign_reviewer(REVIEW, KEY), key_map(KEY), asked).overrides == {}
    given = replace(REVIEW, overrides={"licence": "Our lawyers agreed"})
    envelope = sign_reviewer(given, KEY)
    found = verify_reviewer(envelope, key_map(KEY), asked)
    assert found.overrides == {"licence": "Our lawyers agreed"}
    assert unverified_overrides(envelope)
    assert not unverified_overrides(sign_reviewer(REVIEW, KEY))
    with pytest.raises(AttestationError, match="overrides differs"):
        verify_reviewer(envelope, key_map(KEY), replace(asked, overrides={"licence": "Other"}))

    def forge(value: Any) -> None:
        value["predicate"]["overrides"]["scan"] = "Never said"

    with pytest.raises(AttestationError, match="does not match"):  # and not signed again
        verify_reviewer(_changed(envelope, forge), key_map(KEY), asked)


def _changed(envelope: bytes, change: Any) -> bytes:
    outer = json.loads(envelope)
    statement = json.loads(base64.b64decode(outer["payload"]))
    change(statement)
    outer["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    return json.dumps(outer).encode()


@pytest.mark.parametrize(
    "overrides",
    [{}, [], {"scan": ""}, {"scan": " "}, {"": "x"}, {"scan": 1}, {"scan": "x" * 501},
     {f"c{number}": "x" for number in range(33)}],
)  # fmt: skip
def test_overrides_of_another_form_are_refused(overrides: Any) -> None:
    envelope = sign_reviewer(replace(REVIEW, overrides={"scan": "x"}), KEY)
    bad = resigned(envelope, lambda value: value["predicate"].update(overrides=overrides))
    with pytest.raises(AttestationError, match="the overrides: "):
        verify_reviewer(bad, key_map(KEY), replace(REVIEW, reports=(), issued=None))
    if overrides:
        with pytest.raises(ValueError, match=r"expected|a check|a reason"):
            sign_reviewer(replace(REVIEW, overrides=overrides), KEY)


def test_vetting_statements_hold_for_one_package_and_are_no_review() -> None:
    claim = VettingClaim(
        full_id=REVIEW.full_id, version=REVIEW.version, package=REVIEW.package,
        report={"check": "scan", "outcome": "failed"}, issued=ISSUED,
    )  # fmt: skip
    envelope = sign_vetting(claim, KEY)
    about = (claim.full_id, claim.version, claim.package)
    assert verify_vetting(envelope, key_map(KEY), *about) == claim
    assert unverified_vetting(envelope, *about) == claim
    with pytest.raises(AttestationError, match="not among the 1 allowed keys"):
        verify_vetting(envelope, key_map(OTHER), *about)
    assert unverified_vetting(envelope, *about).report["outcome"] == "failed"  # as its name says
    with pytest.raises(AttestationError, match="package digest differs"):
        verify_vetting(envelope, key_map(KEY), *about[:2], Digest.of(b"another"))
    with pytest.raises(AttestationError, match="predicate type differs"):
        verify_reviewer(envelope, key_map(KEY), replace(REVIEW, reports=()))
    with pytest.raises(AttestationError, match="predicate type differs"):
        verify_vetting(sign_reviewer(REVIEW, KEY), key_map(KEY), *about)
    with pytest.raises(AttestationError, match="was revoked: stolen"):
        verify_vetting(envelope, key_map(KEY), *about, revoked={KEY.public.key_id: "stolen"})
