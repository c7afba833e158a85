"""The decision whether a package may be installed, attacked from every side.

Each test changes one thing in a situation that is accepted as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from marketplace_db.acceptance import AcceptedPackage, accept, check_not_recalled, publisher_claim
from marketplace_db.catalog import Catalog, ReleaseRow, WheelRow
from marketplace_db.errors import NotAcceptedError, PackageError
from marketplace_db.package import inspect_package
from signing.attest import sign_publisher
from signing.digests import Digest
from signing.errors import AttestationError, VerificationError
from signing.keys import PrivateKey
from signing.publishers import Namespace, Publishers
from signing.roles import blob_path
from tests.fakes.operator_market import Marketplace
from tests.fakes.repository import NOW, key_map
from tests.fakes.results import replace


@dataclass
class Case:
    """Everything `accept` takes; `decide` hands it over."""

    market: Marketplace
    release: ReleaseRow
    publishers: Publishers
    package: Path
    publisher_envelope: bytes
    reviewer_envelopes: list[bytes]

    def decide(self, **options: Any) -> AcceptedPackage:
        return accept(
            self.release,
            self.publishers,
            self.package,
            self.publisher_envelope,
            self.reviewer_envelopes,
            **options,
        )

    def restate(self, envelope: bytes) -> None:
        """Use another publisher's statement, and let the catalog name it: a stolen catalog key."""
        self.publisher_envelope = envelope
        self.release = replace(self.release, publisher_envelope=Digest.of(envelope))

    def rereview(self, *envelopes: bytes) -> None:
        """Use other reviewers' statements, and let the catalog name them."""
        self.reviewer_envelopes = list(envelopes)
        self.release = replace(
            self.release, reviewer_envelopes=tuple(Digest.of(item) for item in envelopes)
        )


def make_case(folder: Path, *, publisher: str = "acme", reviewers: int = 2) -> Case:
    market = Marketplace(folder)
    package = market.package(publisher=publisher)
    market.approve(package, reviewers=reviewers)
    simulator = market.publish()
    refreshed = market.machine(simulator).refresh(simulator.source)
    with Catalog.open(refreshed.catalog) as catalog:
        release = catalog.release(f"{publisher}/sample")

    def blob(digest: Digest) -> bytes:
        return (simulator.directory / blob_path(digest)).read_bytes()

    return Case(
        market=market,
        release=release,
        publishers=refreshed.publishers,
        package=simulator.directory / blob_path(release.package),
        publisher_envelope=blob(release.publisher_envelope),
        reviewer_envelopes=[blob(digest) for digest in release.reviewer_envelopes],
    )


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return make_case(tmp_path)


def test_an_honest_release_is_accepted(case: Case) -> None:
    accepted = case.decide()
    assert accepted.inspected.digest == case.release.package
    assert accepted.publisher_keys == (case.market.acme.public.key_id,)
    assert set(accepted.reviewer_keys) == {k.public.key_id for k in case.market.reviewers[:2]}


def test_nobody_else_makes_an_accepted_package(case: Case) -> None:
    accepted = case.decide()
    with pytest.raises(TypeError, match="only by marketplace_db"):
        AcceptedPackage(
            object(),
            release=accepted.release,
            inspected=accepted.inspected,
            published=accepted.published,
            reviews=accepted.reviews,
        )


# -- the package


def test_a_tampered_package_is_refused(case: Case, tmp_path: Path) -> None:
    other = case.market.package(files={"main.py": "class Plugin:\n    import os\n"})
    case.package = other
    with pytest.raises(NotAcceptedError, match="differ in the package digest"):
        case.decide()


def test_a_damaged_package_is_refused(case: Case, tmp_path: Path) -> None:
    data = bytearray(case.package.read_bytes())
    data[60] ^= 1
    case.package = tmp_path / "damaged.zip"
    case.package.write_bytes(data)
    with pytest.raises(PackageError):
        case.decide()


def other_version(case: Case) -> None:
    """The catalog key's thief releases another package under the old statements."""
    package = case.market.package(version="2.0.0")
    inspected = inspect_package(package)
    case.package = package
    case.release = replace(
        case.release,
        version="2.0.0",
        package=inspected.digest,
        length=inspected.length,
        manifest_digest=inspected.manifest_digest,
        manifest=case.release.manifest.replace("1.0.0", "2.0.0"),
    )


def test_the_statement_of_another_version_is_refused(case: Case) -> None:
    other_version(case)
    with pytest.raises(AttestationError, match="differs"):
        case.decide()


def test_control_the_publisher_itself_could_release_it(case: Case) -> None:
    other_version(case)
    case.restate(case.market.sign(case.package))
    case.rereview(*(case.market.review(case.package, key) for key in case.market.reviewers))
    assert case.decide().release.version == "2.0.0"


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("id", lambda r: replace(r, full_id="acme/other")),
        ("version", lambda r: replace(r, version="9.9.9")),
        ("api", lambda r: replace(r, api=2)),
        ("package length", lambda r: replace(r, length=r.length + 1)),
        ("package digest", lambda r: replace(r, package=Digest.of(b"other"))),
        ("digest of plugin.yaml", lambda r: replace(r, manifest_digest=Digest.of(b"other"))),
        ("digest of requirements.lock", lambda r: replace(r, lock_digest=Digest.of(b"other"))),
        ("permission digest", lambda r: replace(r, permission_digest=Digest.of(b"other"))),
        (
            "copy of plugin.yaml",
            lambda r: replace(r, manifest=r.manifest.replace('"none"', '"project"')),
        ),
        (
            "list of wheels",
            lambda r: replace(
                r,
                wheels=(WheelRow(filename="e-1-py3-none-any.whl", digest=r.package, length=1),),
            ),
        ),
    ],
)  # fmt: skip
def test_a_catalog_row_that_differs_from_the_package_is_refused(
    case: Case, field: str, change: Callable[[ReleaseRow], ReleaseRow]
) -> None:
    case.release = change(case.release)
    with pytest.raises(NotAcceptedError) as caught:
        case.decide()
    assert f"differ in the {field}" in str(caught.value)


# -- the publisher


def test_a_missing_statement_is_refused(case: Case) -> None:
    case.publisher_envelope = b""
    with pytest.raises(NotAcceptedError, match="not the one the catalog names"):
        case.decide()
    case.restate(b"")
    with pytest.raises(AttestationError, match="not a DSSE envelope"):
        case.decide()


def test_another_publisher_cannot_sign_in_this_namespace(case: Case) -> None:
    case.restate(case.market.sign(case.package, case.market.tavo))
    with pytest.raises(AttestationError, match="is not among the 1 allowed keys"):
        case.decide()


def test_a_stranger_cannot_sign(case: Case) -> None:
    case.restate(case.market.sign(case.package, PrivateKey.generate()))
    with pytest.raises(AttestationError, match="is not among the 1 allowed keys"):
        case.decide()


def test_a_revoked_key_does_not_count(case: Case) -> None:
    key = case.market.acme.public.key_id
    case.publishers = replace(case.publishers, revoked_keys={key: "laptop stolen"})
    with pytest.raises(AttestationError, match="laptop stolen"):
        case.decide()


def test_a_namespace_may_need_two_signatures(case: Case) -> None:
    second = PrivateKey.generate()
    strict = Namespace(keys=key_map(case.market.acme, second), threshold=2)
    case.publishers = replace(
        case.publishers, namespaces={**case.publishers.namespaces, "acme": strict}
    )
    with pytest.raises(AttestationError, match=r"2 valid signature\(s\) expected, 1 found"):
        case.decide()
    case.restate(case.market.sign(case.package, case.market.acme, second))
    assert len(case.decide().publisher_keys) == 2


def test_a_namespace_that_nobody_owns_is_refused(case: Case) -> None:
    others = {"tavo": case.publishers.namespaces["tavo"]}
    case.publishers = replace(case.publishers, namespaces=others)
    with pytest.raises(VerificationError, match="nobody may publish in the namespace 'acme'"):
        case.decide()


@pytest.mark.parametrize("field", ["full_id", "version", "api", "manifest", "lock", "permissions"])
def test_every_field_of_the_publishers_statement_counts(case: Case, field: str) -> None:
    values: dict[str, Any] = {
        "full_id": "acme/other",
        "version": "1.0.1",
        "api": 3,
        "manifest": Digest.of(b"other"),
        "lock": Digest.of(b"other"),
        "permissions": Digest.of(b"other"),
    }
    claim = publisher_claim(inspect_package(case.package), issued=NOW)
    case.restate(sign_publisher(replace(claim, **{field: values[field]}), case.market.acme))
    with pytest.raises(AttestationError, match="differs"):
        case.decide()


# -- the reviewers


def test_without_a_review_nothing_is_accepted(case: Case) -> None:
    case.rereview()
    with pytest.raises(NotAcceptedError, match="needs 1 reviewers' approvals, has 0"):
        case.decide()


def test_a_review_that_the_catalog_does_not_name_does_not_count(case: Case) -> None:
    case.rereview()
    case.reviewer_envelopes = [case.market.review(case.package, case.market.reviewers[2])]
    with pytest.raises(NotAcceptedError, match="is not named in the catalog"):
        case.decide()


def test_one_review_is_enough_for_others_and_too_few_for_official_plugins(tmp_path: Path) -> None:
    other = make_case(tmp_path / "a")
    other.rereview(other.reviewer_envelopes[0])
    assert len(other.decide().reviewer_keys) == 1
    official = make_case(tmp_path / "b", publisher="tavo")
    assert len(official.decide().reviewer_keys) == 2
    official.rereview(official.reviewer_envelopes[0])
    with pytest.raises(NotAcceptedError, match="needs 2 reviewers' approvals, has 1"):
        official.decide()


def test_one_reviewer_twice_is_one_reviewer(tmp_path: Path) -> None:
    case = make_case(tmp_path, publisher="tavo")
    reviewer = case.market.reviewers[0]
    first = case.market.review(case.package, reviewer)
    second = case.market.review(case.package, reviewer, reports=(Digest.of(b"report"),))
    case.rereview(first, second, first)
    with pytest.raises(NotAcceptedError, match="has 1"):
        case.decide()


def test_a_publisher_cannot_review_its_own_plugin(case: Case) -> None:
    case.rereview(case.market.review(case.package, case.market.acme))
    with pytest.raises(NotAcceptedError, match="is not among the 3 allowed keys"):
        case.decide()


def test_control_the_same_statement_counts_from_a_reviewers_key(case: Case) -> None:
    case.rereview(case.market.review(case.package, case.market.reviewers[0]))
    case.decide()


def test_a_rejection_is_no_approval(case: Case) -> None:
    case.rereview(case.market.review(case.package, case.market.reviewers[0], decision="reject"))
    with pytest.raises(NotAcceptedError, match="decision differs"):
        case.decide()


def test_the_review_of_another_package_does_not_count(case: Case) -> None:
    other = case.market.package(version="1.1.0")
    case.rereview(case.market.review(other, case.market.reviewers[0]))
    with pytest.raises(NotAcceptedError, match="package digest differs"):
        case.decide()


def test_a_publishers_statement_is_never_read_as_a_review(case: Case) -> None:
    keys = key_map(case.market.acme)
    case.publishers = Publishers(
        namespaces={"acme": Namespace(keys=key_map(PrivateKey.generate()))}, reviewers=keys
    )
    statement = case.publisher_envelope
    case.publishers = replace(
        case.publishers,
        namespaces={"acme": Namespace(keys=key_map(other := PrivateKey.generate()))},
    )
    case.restate(case.market.sign(case.package, other))
    case.rereview(statement)
    with pytest.raises(NotAcceptedError, match="predicate type differs"):
        case.decide()


def test_a_revoked_reviewer_does_not_count(case: Case) -> None:
    revoked = {key.public.key_id: "left" for key in case.market.reviewers}
    case.publishers = replace(case.publishers, revoked_keys=revoked)
    with pytest.raises(NotAcceptedError, match="was revoked: left"):
        case.decide()


# -- recalls


def test_a_revoked_package_is_refused_with_its_reason(case: Case) -> None:
    case.publishers = replace(
        case.publishers, revoked_packages={case.release.package: "steals tokens"}
    )
    with pytest.raises(NotAcceptedError, match="was recalled: steals tokens"):
        case.decide()


def test_a_yank_takes_away_at_once_and_only_the_offline_role_lifts_it(case: Case) -> None:
    case.release = replace(case.release, yanked=True, yanked_reason="breaks")
    with pytest.raises(NotAcceptedError, match="was withdrawn: breaks"):
        case.decide()
    case.publishers = replace(case.publishers, unyanked=frozenset({case.release.package}))
    case.decide()


def test_a_yank_that_was_seen_once_stays_although_the_catalog_forgets_it(case: Case) -> None:
    known = {case.release.package: "breaks"}
    with pytest.raises(NotAcceptedError, match="was withdrawn: breaks"):
        case.decide(known_yanks=known)
    lifted = replace(case.publishers, unyanked=frozenset({case.release.package}))
    check_not_recalled(case.release, lifted, known_yanks=known)


def test_a_lifted_yank_does_not_lift_a_recall(case: Case) -> None:
    case.publishers = replace(
        case.publishers,
        unyanked=frozenset({case.release.package}),
        revoked_packages={case.release.package: "steals tokens"},
    )
    with pytest.raises(NotAcceptedError, match="was recalled"):
        case.decide()
