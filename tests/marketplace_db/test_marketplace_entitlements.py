"""Whether an entitlement covers a release: each thing that keeps it from doing so is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from marketplace_db.entitlements import Basis, covering
from marketplace_db.errors import NotAcceptedError
from marketplace_db.manifest import Manifest, parse_manifest
from tests.fakes.operator_market import MANIFEST
from tests.fakes.repository import NOW
from tests.signing.test_signing_entitlements import DOCUMENT, claim

BASIS = Basis(repository="cd" * 16, publishers=DOCUMENT, reference=NOW, organisation="example.com")
DAY = timedelta(days=1)


def manifest(tier: str = "enterprise", version: str = "1.5.0", name: str = "pro") -> Manifest:
    text = MANIFEST.format(id=name, publisher="acme", name="Pro", version=version)
    return parse_manifest(f"{text}pricing_tier: {tier}\n".encode())


def test_free_plugins_need_nothing() -> None:
    assert covering([], manifest("free"), replace(BASIS, organisation="")) is None


@pytest.mark.parametrize("tier", ["paid", "enterprise"])
def test_what_covers_it_is_returned_and_of_several_the_longest(tier: str) -> None:
    longer = claim(identifier="ff" * 16, expires=NOW + 700 * DAY, plugins=())
    assert covering([claim()], manifest(tier), BASIS) == claim()
    assert covering([longer, claim()], manifest(tier), BASIS) == longer


@pytest.mark.parametrize(
    ("said", "at", "sentence"),
    [
        ({"organisation": "rival.example"}, {}, "is for rival.example, this machine belongs to e"),
        ({}, {"organisation": ""}, "is for example.com, and this machine's organisation is not"),
        ({"repository": "00" * 16}, {}, "is for the marketplace 000000000000, this is cdcd"),
        ({}, {"reference": NOW + 365 * DAY}, r"expired 2027-11-22T12:00:00Z \(now 2027-11-22T12:0"),
        ({}, {"reference": NOW - 2 * DAY}, "which is later than now .*: check the clock"),
        ({}, {"revoked": {"ab" * 16: "not paid"}}, "was taken back: not paid"),
        ({"tiers": ("paid",)}, {}, "covers the tier paid, not enterprise"),
        ({"versions": "<1.5"}, {}, "covers the versions <1.5"),
        ({"versions": "cheap"}, {}, "names 'cheap' as versions, which is no range"),
        ({"plugins": ("other",)}, {}, "there is none for it on this machine"),
        ({"namespace": "other"}, {}, "there is none for it on this machine"),
    ],
)  # fmt: skip
def test_what_keeps_it_from_covering_is_named(
    said: dict[str, Any], at: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(NotAcceptedError, match=sentence) as told:
        covering([claim(**said)], manifest(), replace(BASIS, **at))
    assert str(told.value).startswith(
        "acme/pro 1.5.0: is an enterprise plugin and needs an entitlement: "
    )
    assert told.value.hint == "Ask acme for one, then: `tavo registry entitle FILE`."
    assert covering([claim(**said), claim(identifier="11" * 16)], manifest(), BASIS)  # control


def test_prereleases_are_versions_too() -> None:
    assert covering([claim()], manifest(version="1.9.0rc1"), BASIS)
    with pytest.raises(NotAcceptedError, match="covers the versions <2"):
        covering([claim()], manifest(version="2.0.0.dev1"), BASIS)
