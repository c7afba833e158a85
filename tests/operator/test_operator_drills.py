"""Drills: a key is stolen, a reviewer is bad or lazy, a mirror lies. What comes of it, end to end.

Each test is named in the table of docs/security.md; what the thief can do is tested beside what
they cannot. Users update, install and run by the real client, also behind an air gap.
"""

from __future__ import annotations

import dataclasses
import secrets
import shutil
from pathlib import Path

import pytest

from marketplace_db.catalog import Catalog
from marketplace_db.entitlements import covering
from marketplace_db.errors import NotAcceptedError, WorkingDatabaseError
from marketplace_db.package import inspect_package
from signing.client import DirectorySource
from signing.entitlements import (
    EntitlementClaim,
    sign_entitlement,
    unverified_entitlement,
    verify_entitlement,
    write_revoked,
)
from signing.envelopes import add_signature
from signing.errors import (
    AttestationError,
    ExpiredError,
    RepositoryError,
    RollbackError,
    SourceError,
    VerificationError,
)
from signing.keys import PrivateKey
from signing.roles import ONLINE_ROLES, blob_path
from tests.fakes.repository import key_map, resign_metadata
from tests.fakes.robbed_market import DAY, ROW, RobbedMarket, Thief, User

STOLEN_PLUGIN = {"files": {"main.py": "class Plugin:\n    steals = True\n"}}


@pytest.fixture
def robbed(tmp_path: Path) -> RobbedMarket:
    return RobbedMarket(tmp_path)


# -- the catalog's key alone


def test_the_catalog_key_alone_gives_nothing(robbed: RobbedMarket) -> None:
    thief = robbed.thief("catalog")
    with pytest.raises(RepositoryError, match="snapshot: 1 key must sign, 0 of them"):
        thief.edit_catalog("UPDATE plugins SET description = 'mine'")
    path = robbed.simulator.metadata_path("catalog")
    forged = thief.tree / "metadata" / path.name
    robbed.simulator.forge("catalog", lambda signed: signed["targets"].clear(), consistent=False)
    shutil.copyfile(path, forged)
    with pytest.raises(VerificationError, match=r"catalog.json.* is not the file that was signed"):
        robbed.user().update(thief.source)


# -- snapshot and timestamp


def test_snapshot_and_timestamp_keys_hold_news_back_until_the_catalog_expires(
    robbed: RobbedMarket,
) -> None:
    user, thief = robbed.user(), robbed.thief("snapshot", "timestamp")
    installed = user.install(source=thief.source)
    robbed.recall(robbed.digest("acme 1.1.0"))
    for _ in range(10):
        robbed.later(1.9)
        thief.renew()
        user.update(thief.source)  # on day 20 the thief still hides the recall
    assert user.forbids(installed) is None
    robbed.later(1.9)
    thief.renew()
    with pytest.raises(ExpiredError, match=r"catalog.json .* expired"):
        user.update(thief.source)
    robbed.rotate("snapshot", "timestamp")
    robbed.publish()
    user.update()  # one look at an honest mirror, and it is over
    assert user.forbids(installed) == "it steals"
    with pytest.raises(VerificationError, match="not enough valid signatures"):
        user.update(thief.source)


def test_snapshot_and_timestamp_keys_cannot_bring_old_roles_back(robbed: RobbedMarket) -> None:
    user, thief = robbed.user(), robbed.thief("snapshot", "timestamp")
    robbed.publish()
    user.update()
    for _ in range(3):
        thief.renew()  # old catalog and publishers under newer snapshots
    with pytest.raises(RollbackError, match="catalog"):
        user.update(thief.source)
    robbed.user("new").update(thief.source)  # control: a machine that has seen nothing newer


def test_snapshot_and_timestamp_keys_lock_out_until_they_are_replaced(
    robbed: RobbedMarket,
) -> None:
    user, thief = robbed.user(), robbed.thief("snapshot", "timestamp")
    thief.robbed.simulator.forge("timestamp", lambda signed: signed.update(version=2**31))
    user.update()
    robbed.simulator.repository.publish(now=robbed.now)
    with pytest.raises(RollbackError):
        user.update()
    robbed.rotate("snapshot", "timestamp")
    user.update()


# -- the whole online machine


def test_online_keys_withdraw_and_hide_until_they_are_replaced(robbed: RobbedMarket) -> None:
    user, thief = robbed.user(), robbed.thief(*ONLINE_ROLES)
    thief.edit_catalog(
        f"UPDATE plugin_versions SET yanked_at = 'x', yanked_reason = 'denied' WHERE {ROW}"
    )
    with pytest.raises(NotAcceptedError, match="was withdrawn: denied"):
        user.install(version="1.1.0", source=thief.source)
    with pytest.raises(RollbackError):
        user.update()  # nor does the honest repository get through
    robbed.rotate(*ONLINE_ROLES)
    assert user.install(version="1.1.0").accepted.release.version == "1.1.0"


def test_online_keys_cannot_let_a_withdrawn_release_back(robbed: RobbedMarket) -> None:
    robbed.market.market.yank("acme/sample", "1.1.0", reason="it breaks", now=robbed.now)
    robbed.publish()
    user, thief = robbed.user(), robbed.thief(*ONLINE_ROLES)
    user.update()
    thief.edit_catalog(
        "UPDATE plugin_versions SET yanked_at = NULL, yanked_reason = NULL",
        f"UPDATE plugins SET latest_version_id = 2 WHERE latest_version_id = 1 OR {ROW}",
    )
    with pytest.raises(NotAcceptedError, match="was withdrawn: it breaks"):
        user.install(version="1.1.0", source=thief.source)
    new = robbed.user("new")  # control: a machine that never saw it withdrawn cannot know
    assert new.install(version="1.1.0", source=thief.source).accepted.release.version == "1.1.0"
    robbed.rotate(*ONLINE_ROLES)
    for machine in (user, new):
        with pytest.raises(NotAcceptedError, match="was withdrawn: it breaks"):
            machine.install(version="1.1.0")
    robbed.publish(unyanked=frozenset({robbed.digest("acme 1.1.0")}))
    assert user.install(version="1.1.0")  # the offline role lets it back


def test_a_state_of_an_earlier_tavo_learns_what_is_withdrawn(robbed: RobbedMarket) -> None:
    robbed.market.market.yank("acme/sample", "1.1.0", reason="it breaks", now=robbed.now)
    robbed.publish()
    user = robbed.user()
    user.update()
    for stored in user.store.values():
        assert isinstance(stored, dict)
        del stored["withdrawn"]
    assert user.trust().open().withdrawn == {}
    assert user.update().withdrawn == {robbed.digest("acme 1.1.0"): "it breaks"}


def test_online_keys_cannot_exchange_a_package(robbed: RobbedMarket) -> None:
    thief = robbed.thief(*ONLINE_ROLES)
    other = robbed.market.package(version="1.1.0", **STOLEN_PLUGIN)
    known = robbed.market.sign(robbed.packages["acme 1.1.0"])
    thief.release(other, known)
    with pytest.raises(AttestationError, match="package"):
        robbed.user().install(source=thief.source)


def test_online_keys_cannot_publish_with_a_key_of_their_own(robbed: RobbedMarket) -> None:
    thief = robbed.thief(*ONLINE_ROLES)
    other = robbed.market.package(version="6.6.6", **STOLEN_PLUGIN)
    thief.release(other, robbed.market.sign(other, PrivateKey.generate()))
    with pytest.raises(AttestationError, match="is not among the 1 allowed"):
        robbed.user().install(version="6.6.6", source=thief.source)


def test_online_keys_cannot_undo_a_recall_or_touch_an_offline_role(robbed: RobbedMarket) -> None:
    user, thief = robbed.user(), robbed.thief(*ONLINE_ROLES)
    installed = user.install()
    robbed.recall(robbed.digest("acme 1.1.0"))
    user.update()
    for _ in range(3):
        thief.edit_catalog("UPDATE plugins SET description = 'mine'")
    with pytest.raises(RollbackError, match="publishers"):
        user.update(thief.source)
    assert user.forbids(installed) == "it steals"
    for role in ("targets", "publishers", "releases"):
        with pytest.raises(RepositoryError, match=f"{role}: 2 keys must sign, 0 of them"):
            thief.repository.publish(renew=[role], now=robbed.now)


# -- a publisher's key


def test_a_publisher_key_needs_reviewers(robbed: RobbedMarket) -> None:
    with pytest.raises(NotAcceptedError, match="needs 1 reviewers' approvals, has 0"):
        robbed.submit_stolen()
    thief = robbed.thief(*ONLINE_ROLES)  # not even together with the online keys
    other = robbed.market.package(version="6.6.6", **STOLEN_PLUGIN)
    own = robbed.market.review(other, robbed.market.acme)
    thief.release(other, robbed.market.sign(other), own)
    with pytest.raises(NotAcceptedError, match="needs 1 reviewers' approvals, has 0"):
        robbed.user().install(version="6.6.6", source=thief.source)


def test_a_publisher_key_counts_in_its_own_namespace_alone(robbed: RobbedMarket) -> None:
    other = robbed.market.package(publisher="tavo", version="6.6.6")
    with pytest.raises(AttestationError):
        robbed.market.market.submit(
            other, robbed.market.sign(other, robbed.market.acme),
            publishers=robbed.market.publishers, now=robbed.now,
        )  # fmt: skip


def test_a_revoked_publisher_key_ends_everywhere(robbed: RobbedMarket) -> None:
    user, away, site = robbed.user(), robbed.user("away"), robbed.site()
    robbed.submit_stolen(reviewers=robbed.market.reviewers[:1])  # and a reviewer was fooled
    robbed.publish()
    site.bring()
    machines = {user: robbed.tree, away: robbed.tree, site.user: site.mirror}
    installed = {one: one.install(version="6.6.6", source=tree) for one, tree in machines.items()}
    fresh = PrivateKey.generate()
    robbed.revoke("acme", robbed.market.acme, fresh)
    user.update()
    site.bring()  # the next import
    site.user.update(site.mirror)
    for one in (user, site.user):
        assert "that signed it was revoked: stolen" in str(one.forbids(installed[one]))
        with pytest.raises(AttestationError):
            one.install(version="6.6.6", source=machines[one])
    assert away.forbids(installed[away]) is None  # nobody has told it yet
    robbed.market.acme = fresh
    package = robbed.market.package(version="7.0.0")
    robbed.market.approve(package)
    robbed.publish()
    assert away.install().accepted.release.version == "7.0.0"
    assert "was revoked: stolen" in str(away.forbids(installed[away]))


def test_where_a_namespace_asks_for_two_keys_one_is_not_enough(robbed: RobbedMarket) -> None:
    second = PrivateKey.generate()
    known = robbed.market.publishers.namespaces
    keys = {**known["acme"].keys, second.public.key_id: second.public}
    robbed.publish(namespaces={**known, "acme": type(known["acme"])(keys=keys, threshold=2)})
    with pytest.raises(AttestationError):
        robbed.submit_stolen(reviewers=robbed.market.reviewers)
    package = robbed.market.package(version="2.0.0")
    both = add_signature(robbed.market.sign(package), second)
    robbed.market.market.submit(
        package, both, publishers=robbed.market.publishers, now=robbed.now
    )  # control


# -- reviewers


def test_a_bad_reviewer_publishes_nothing(robbed: RobbedMarket) -> None:
    thief = robbed.thief(*ONLINE_ROLES)  # with the online keys as well
    bad = robbed.market.reviewers[0]
    other = robbed.market.package(version="6.6.6", **STOLEN_PLUGIN)
    thief.release(other, robbed.market.sign(other, bad), robbed.market.review(other, bad))
    with pytest.raises(AttestationError):
        robbed.user().install(version="6.6.6", source=thief.source)


def test_a_bad_reviewer_is_one_of_two_for_official_plugins(robbed: RobbedMarket) -> None:
    bad = robbed.market.reviewers[0]
    with pytest.raises(NotAcceptedError, match="needs 2 reviewers' approvals, has 1"):
        robbed.submit_stolen(publisher="tavo", reviewers=[bad])


def test_a_bad_reviewer_and_a_publisher_key_release_in_that_namespace_until_recalled(
    robbed: RobbedMarket,
) -> None:
    user, site, bad = robbed.user(), robbed.site(), robbed.market.reviewers[0]
    robbed.submit_stolen(reviewers=[bad])
    robbed.publish()
    site.bring()
    here = user.install(version="6.6.6")  # this is what two stolen keys can do
    there = site.user.install(version="6.6.6", source=site.mirror)
    robbed.recall(robbed.digest("acme 6.6.6"))
    site.bring()
    for one, installed, tree in ((user, here, robbed.tree), (site.user, there, site.mirror)):
        with pytest.raises(NotAcceptedError, match="was recalled: it steals"):
            one.install(version="6.6.6", source=tree)
        assert one.forbids(installed) == "it steals"


def test_a_dismissed_reviewer_counts_no_longer(robbed: RobbedMarket) -> None:
    bad = robbed.market.reviewers[0]
    robbed.submit_stolen(reviewers=[bad])
    robbed.publish()
    user = robbed.user()
    user.install(version="6.6.6")
    kept = {k: v for k, v in robbed.market.publishers.reviewers.items() if k != bad.public.key_id}
    robbed.publish(reviewers=kept)
    with pytest.raises(NotAcceptedError, match="needs 1 reviewers' approvals, has 0"):
        user.install(version="6.6.6")
    assert user.install(version="1.1.0")  # control: another reviewer approved it too


def test_a_lazy_reviewer_is_stopped_by_a_second_one(robbed: RobbedMarket) -> None:
    robbed.publish(required_reviews=2)
    lazy = robbed.market.reviewers[0]
    with pytest.raises(NotAcceptedError, match="needs 2 reviewers' approvals, has 1"):
        robbed.submit_stolen(reviewers=[lazy])


def test_a_rejection_outweighs_a_lazy_approval(robbed: RobbedMarket) -> None:
    lazy, careful = robbed.market.reviewers[:2]
    market, publishers = robbed.market.market, robbed.market.publishers
    package = robbed.market.package(version="6.6.6", **STOLEN_PLUGIN)
    submission = market.submit(
        package, robbed.market.sign(package), publishers=publishers, now=robbed.now
    )
    for key, decision in ((lazy, "approve"), (careful, "reject")):
        statement = robbed.market.review(package, key, decision=decision)
        market.record_review(submission, statement, publishers=publishers, now=robbed.now)
    with pytest.raises(WorkingDatabaseError, match="rejected it"):
        market.approve(submission, publishers=publishers, now=robbed.now)


# -- who may use paid plugins


class Shop:
    """`acme/pro` is paid, and a key of its own entitles to it; one organisation bought it."""

    def __init__(self, robbed: RobbedMarket) -> None:
        self.robbed = robbed
        self.key = PrivateKey.generate()
        package = robbed.market.package(id="pro", more="pricing_tier: paid\n")
        self.manifest = inspect_package(package).manifest
        robbed.market.approve(package)
        self.bind(self.key)
        self.bought = self.entitle(self.key)

    def bind(self, *keys: PrivateKey) -> None:
        known = self.robbed.market.publishers.namespaces
        acme = dataclasses.replace(known["acme"], entitlement_keys=key_map(*keys))
        self.robbed.publish(namespaces={**known, "acme": acme})

    def entitle(self, key: PrivateKey, namespace: str = "acme") -> bytes:
        claim = EntitlementClaim(
            identifier=secrets.token_hex(16), repository=self.robbed.simulator.repository.identity,
            organisation="example.com", namespace=namespace, tiers=("paid",),
            issued=self.robbed.now, expires=self.robbed.now + 365 * DAY,
        )  # fmt: skip
        return sign_entitlement(claim, key)

    def check(self, user: User, envelope: bytes, source: DirectorySource | None = None) -> None:
        """Ask as an installation does, after an update."""
        opened = user.update(source)
        basis = user.trust().basis("example.com", opened.publishers)
        assert basis is not None
        covering([verify_entitlement(envelope, opened.publishers)], self.manifest, basis)


@pytest.fixture
def shop(robbed: RobbedMarket) -> Shop:
    return Shop(robbed)


def test_online_keys_entitle_nobody_and_take_back_until_they_are_replaced(shop: Shop) -> None:
    robbed = shop.robbed
    user, thief = robbed.user(), robbed.thief(*ONLINE_ROLES)
    shop.check(user, shop.bought)
    for role in ONLINE_ROLES:
        with pytest.raises(AttestationError, match="is not among the 1 allowed keys"):
            shop.check(user, shop.entitle(thief.keys.of(role)[0]))
    identifier = unverified_entitlement(shop.bought).identifier
    thief.repository.publish(entitlements=write_revoked({identifier: "mine"}), now=robbed.now)
    with pytest.raises(NotAcceptedError, match="was taken back: mine"):
        shop.check(user, shop.bought, thief.source)
    robbed.publish()
    with pytest.raises(NotAcceptedError, match="was taken back: mine"):
        shop.check(user, shop.bought)  # nor does an honest look alone bring it back
    robbed.rotate(*ONLINE_ROLES)
    shop.check(user, shop.bought)


def test_a_publisher_key_entitles_nobody(shop: Shop) -> None:
    for key in (shop.robbed.market.acme, shop.robbed.market.tavo, shop.robbed.market.reviewers[0]):
        with pytest.raises(AttestationError, match="is not among the 1 allowed keys"):
            shop.check(shop.robbed.user(), shop.entitle(key))


def test_an_entitlement_key_entitles_in_its_namespace_until_revoked(shop: Shop) -> None:
    robbed, user = shop.robbed, shop.robbed.user()
    stolen = shop.entitle(shop.key)
    shop.check(user, stolen)
    with pytest.raises(AttestationError, match="may not sign entitlements of the namespace tavo"):
        shop.check(user, shop.entitle(shop.key, namespace="tavo"))
    with pytest.raises(AttestationError, match="is not among the 1 allowed keys"):
        robbed.market.market.submit(  # it publishes nothing
            package := robbed.market.package(version="6.6.6"),
            robbed.market.sign(package, shop.key),
            publishers=robbed.market.publishers, now=robbed.now,
        )  # fmt: skip
    fresh = PrivateKey.generate()
    shop.bind(shop.key, fresh)
    robbed.publish(revoked_keys={shop.key.public.key_id: "stolen"})
    with pytest.raises(AttestationError, match="was revoked: stolen"):
        shop.check(user, stolen)
    shop.check(user, shop.entitle(fresh))


# -- one offline key of three


@pytest.mark.parametrize("role", ["root", "targets", "publishers", "releases"])
def test_one_offline_key_of_three_signs_nothing(robbed: RobbedMarket, role: str) -> None:
    user, thief = robbed.user(), robbed.thief(*ONLINE_ROLES)
    user.update()
    thief.keys = robbed.simulator.keyring.with_role(role, robbed.simulator.keyring.of(role)[:1])
    stolen = robbed.simulator.keyring.of(role)
    forge_offline(thief, role, stolen[:1])
    with pytest.raises(VerificationError, match=rf"{role}.json from .*not enough valid signatures"):
        user.trust().artifacts(thief.source)
    forge_offline(thief, role, stolen[:2])
    user.trust().artifacts(thief.source)  # control: two keys are the role


def forge_offline(thief: Thief, role: str, keys: list[PrivateKey] | tuple[PrivateKey, ...]) -> None:
    """Sign the next version of an offline role with these keys, and the online roles on top."""
    shutil.rmtree(thief.tree)
    thief.robbed.simulator.copy(thief.tree)
    repository = thief.repository
    value = repository._metadata[role]
    value.signed.version += 1
    form = value.to_dict()
    resign_metadata(form, keys)
    forged = type(value).from_dict(form)
    repository._metadata[role] = forged
    repository._write([], thief.robbed.now, signed=[role])


@pytest.mark.parametrize("role", ["root", "targets", "publishers"])
def test_keys_stolen_before_and_after_a_rotation_do_not_add_up(
    robbed: RobbedMarket, role: str
) -> None:
    user = robbed.user()
    before = robbed.simulator.keyring.of(role)[0]
    robbed.rotate(role)
    after = robbed.simulator.keyring.of(role)
    thief = robbed.thief(*ONLINE_ROLES)
    forge_offline(thief, role, [before, after[0]])
    with pytest.raises(VerificationError, match="not enough valid signatures"):
        user.update(thief.source)
    forge_offline(thief, role, [*robbed.simulator.keyring.of(role)[:2], before])
    if role != "root":
        user.update(thief.source)  # control


# -- a mirror that lies


def older(robbed: RobbedMarket, mirror: Path) -> None:
    """It serves what it had on the first day."""


def exchanges_a_package(robbed: RobbedMarket, mirror: Path) -> None:
    follow(robbed, mirror)
    path = mirror / blob_path(robbed.digest("acme 1.1.0"))
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def longer_package(robbed: RobbedMarket, mirror: Path) -> None:
    follow(robbed, mirror)
    with (mirror / blob_path(robbed.digest("acme 1.1.0"))).open("ab") as stream:
        stream.write(bytes(1 << 20))


def withholds_a_package(robbed: RobbedMarket, mirror: Path) -> None:
    follow(robbed, mirror)
    (mirror / blob_path(robbed.digest("acme 1.1.0"))).unlink()


def exchanges_the_catalog(robbed: RobbedMarket, mirror: Path) -> None:
    robbed.market.approve(robbed.market.package(version="1.2.0"))
    robbed.publish()
    follow(robbed, mirror)
    for path in (mirror / "targets" / "catalog").glob("*.catalog.db"):
        path.write_bytes(path.read_bytes().replace(b"sample", b"simple"))


def mixes_days(robbed: RobbedMarket, mirror: Path) -> None:
    old = (mirror / "metadata" / "timestamp.json").read_bytes()
    follow(robbed, mirror)
    for path in (mirror / "metadata").glob("*.snapshot.json"):
        path.write_bytes(robbed.simulator.metadata_path("snapshot").read_bytes())
    (mirror / "metadata" / "timestamp.json").write_bytes(old)


def withholds_a_root(robbed: RobbedMarket, mirror: Path) -> None:
    robbed.rotate("root")
    follow(robbed, mirror)
    (mirror / "metadata" / "2.root.json").unlink()


def follow(robbed: RobbedMarket, mirror: Path) -> None:
    shutil.copytree(robbed.tree, mirror, dirs_exist_ok=True)


LIES = {
    "older": (older, RollbackError, "must be >=|accepted before"),
    "another package": (exchanges_a_package, VerificationError, "sha256 is"),
    "a longer package": (
        longer_package,
        VerificationError,
        r"longer(, signed are| than the signed)",
    ),
    "no package": (withholds_a_package, SourceError, "missing|cannot be had|not there|no such"),
    "another catalog": (exchanges_the_catalog, VerificationError, "sha256 is"),
    "mixed days": (mixes_days, VerificationError, "not the file that was signed|must be >="),
    "no new root": (withholds_a_root, VerificationError, r"2.root.json is missing"),
}


@pytest.mark.parametrize("name", list(LIES))
def test_a_lying_mirror_is_refused(robbed: RobbedMarket, name: str) -> None:
    change, error, sentence = LIES[name]
    mirror = robbed.simulator.copy(robbed.folder / "lying")
    robbed.publish()
    user, site = robbed.user(), robbed.site()
    user.update()
    site.bring()
    change(robbed, mirror)
    with pytest.raises(error, match=sentence):
        user.install(version="1.1.0", source=mirror)
    shutil.rmtree(site.mirror / "blobs")  # so that the import wants every file of the liar
    shutil.rmtree(site.mirror / "targets")
    shutil.rmtree(site.cache)
    with pytest.raises(error, match=sentence):
        site.bring(mirror)
    assert user.install(version="1.1.0")  # control: the honest repository
    site.bring()


def test_a_mirror_that_stands_still_is_believed_until_its_timestamp_expires(
    robbed: RobbedMarket,
) -> None:
    mirror, user = robbed.simulator.copy(robbed.folder / "still"), robbed.user()
    installed = user.install(source=mirror)
    robbed.recall(robbed.digest("acme 1.1.0"))
    robbed.later(1.5)
    user.update(mirror)  # it may hide the news for the three days of a timestamp
    assert user.forbids(installed) is None
    robbed.later(1)
    with pytest.raises(ExpiredError, match=r"timestamp\.json"):
        user.update(mirror)


# -- who was away


def test_who_was_away_over_several_rotations_follows_and_hears_of_every_theft(
    robbed: RobbedMarket,
) -> None:
    away, site = robbed.user("away"), robbed.site()
    installed = away.install()
    site.bring()
    there = site.user.install(source=site.mirror)
    thieves: list[Thief] = []
    for _ in range(3):
        thieves.append(robbed.thief(*ONLINE_ROLES, name=f"thief-{len(thieves)}"))
        robbed.rotate("root", "targets", "publishers", "releases", *ONLINE_ROLES)
    robbed.recall(robbed.digest("acme 1.1.0"))
    new = robbed.user("new")
    for tree, one in ((robbed.tree, away), (robbed.tree, new)):
        assert one.update(tree).record.root_version == 4
    site.bring()
    assert site.user.update(site.mirror).record.root_version == 4
    assert away.forbids(installed) == site.user.forbids(there) == "it steals"
    for thief in thieves:
        thief.edit_catalog("UPDATE plugins SET description = 'mine'")
        for one in (away, new, site.user):
            with pytest.raises(VerificationError, match="not enough valid signatures"):
                one.update(thief.source)
        with pytest.raises(VerificationError, match="not enough valid signatures"):
            site.bring(thief.tree)


def test_a_thief_reaches_those_who_are_away_until_they_hear_of_the_rotation(
    robbed: RobbedMarket,
) -> None:
    """The control: on a machine that heard of nothing, the stolen online keys still count."""
    thief, away = robbed.thief(*ONLINE_ROLES), robbed.user("away")
    away.update()
    robbed.rotate("root", *ONLINE_ROLES)
    thief.edit_catalog("UPDATE plugins SET description = 'mine'")
    with Catalog.open(away.update(thief.source).file) as catalog:
        assert catalog.plugin("acme/sample").description == "mine"
    away.update()
    with pytest.raises(VerificationError, match="not enough valid signatures"):
        away.update(thief.source)
