"""Paid plugins: from the shop that entitles to the machine that runs them, and what ends that."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from marketplace_db.catalog import Catalog
from signing.digests import hash_file
from signing.roles import ONLINE_ROLES
from tavo.cli.key import load_keyring
from tavo.errors import ExitCode
from tavo.operator.marketplace import OperatedMarket
from tavo.registry import trust
from tests.cli.conftest import Done, Run
from tests.cli.test_cli_market import id_of, market, public_of

__all__ = ["market"]

NEXT_YEAR = f"{datetime.now(UTC) + timedelta(days=365):%Y-%m-%d}"


def say_who(home: Path, organisation: str) -> None:
    """Write the organisation into the user's configuration."""
    path = home / ".config" / "tavo" / "tavo.toml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("organisation")]
    path.write_text("\n".join([*lines, f'organisation = "{organisation}"', ""]))


def released(tavo: Run, tier: str, version: str = "0.1.0") -> None:
    """Take acme/pro from its author into the catalog."""
    if not Path("pro").is_dir():
        assert tavo("plugin", "init", "pro", "--publisher", "acme").code == 0
    manifest = Path("pro/plugin.yaml")
    lines = [
        f"version: {version}" if line.startswith("version:") else line
        for line in manifest.read_text().splitlines()
        if not line.startswith("pricing_tier")
    ]
    manifest.write_text("\n".join([*lines, f"pricing_tier: {tier}", ""]))
    package = Path(f"acme-pro-{version}.zip")
    assert tavo("plugin", "pack", "pro").code == 0
    assert tavo("plugin", "sign", package, "--key", "acme.key").code == 0
    assert tavo("plugin", "submit", package).code == 0
    identifier = id_of(tavo, Path(f"{package}.submission"))
    assert tavo("market", "approve", identifier, "--key", "first.key").code == 0
    assert tavo("market", "release", "--keys", "keys").code == 0


def entitled(tavo: Run, file: str, *more: str, organisation: str = "example.com",
             key: str = "shop.key", expires: str = NEXT_YEAR) -> Done:  # fmt: skip
    return tavo("--json", "market", "entitle", organisation, "acme/pro", "--key", key,
                "--expires", expires, "-o", file, *more)  # fmt: skip


@pytest.fixture
def shop(tavo: Run, home: Path, market: Path) -> Path:
    """acme/pro 0.1.0 is an enterprise plugin, and shop.key entitles to plugins of acme."""
    key = public_of(tavo, "shop")
    bound = tavo("market", "publisher", "entitlement-key", "acme", "--key", key, "--keys", "keys")
    assert "gives the entitlements of acme the key" in bound.err
    assert "for entitlements" in tavo("market", "publisher", "list").out
    released(tavo, "enterprise")
    assert tavo("registry", "update").code == 0
    say_who(home, "example.com")
    return market


def install(tavo: Run, *more: str) -> Done:
    return tavo("registry", "install", "acme/pro", "--yes", *more)


def test_a_paid_plugin_from_the_shop_to_a_run_and_back(tavo: Run, shop: Path) -> None:
    bare = install(tavo)
    assert bare.code == ExitCode.REFUSED
    assert bare.err == (
        "tavo: refused: acme/pro 0.1.0: is an enterprise plugin and needs an entitlement: there is"
        " none for it on this machine\n"
        "  Ask acme for one, then: `tavo registry entitle FILE`.\n"
    )
    shown = tavo("registry", "show", "acme/pro").out
    assert "  is an enterprise plugin and needs an entitlement: there is none" in shown
    made = json.loads(entitled(tavo, "x.entitlement", "--seats", "20").out)
    put = tavo("registry", "entitle", "x.entitlement")
    assert put.out == (
        f"{made['id'][:8]}: acme/pro (paid, enterprise); entitled: example.com until {NEXT_YEAR},"
        " 20 seats.\n"
    )
    Path("x.entitlement").unlink()
    assert f"enterprise; entitled: example.com until {NEXT_YEAR}" in (
        tavo("registry", "show", "acme/pro").out
    )
    done = install(tavo)
    assert done.code == 0, done.err
    assert f"  entitled: example.com until {NEXT_YEAR}, 20 seats\n" in done.out
    Path("a.txt").write_text("nothing\n")
    scan = ("scan", "a.txt", "--static-plugins", "acme/pro")
    assert "acme/pro 0.1.0 on 1 file" in tavo(*scan).out
    for name in ("blobs", "targets"):  # nothing is asked of anybody to run it
        shutil.rmtree(shop / "repository" / name)
    (shop / "repository" / "metadata" / "timestamp.json").unlink()
    assert "acme/pro 0.1.0 on 1 file" in tavo(*scan).out
    listed = json.loads(tavo("--json", "registry", "entitlements").out)
    assert [(one["id"], one["good"], one["seats"]) for one in listed] == [(made["id"], True, 20)]
    removed = tavo("registry", "entitlements", "--remove", made["id"][:6])
    assert removed.out == f"Removed {made['id']}.\n"
    for words in (scan, ("registry", "verify")):
        refused = tavo(*words)
        assert refused.code == ExitCode.REFUSED
        assert "needs an entitlement: there is none" in refused.err + refused.out


def test_what_the_online_side_takes_back_ends_at_the_next_update(tavo: Run, shop: Path) -> None:
    made = json.loads(entitled(tavo, "x").out)
    assert tavo("registry", "entitle", "x").code == 0
    assert install(tavo).code == 0
    taken = tavo("market", "revoke-entitlement", made["id"], "--reason", "Not paid",
                 "--keys", "keys")  # fmt: skip
    assert taken.code == 0, taken.err
    assert tavo("registry", "verify").code == 0  # nobody has heard of it
    assert tavo("mirror", "sync", "m", "--from", shop / "repository").code == 0
    verified = tavo("registry", "verify")
    assert verified.code == ExitCode.REFUSED
    assert f"the entitlement {made['id'][:8]} was taken back: Not paid" in verified.out
    assert "was taken back: Not paid" in install(tavo, "--mirror", "m").err
    assert "was taken back: Not paid" in tavo("registry", "entitle", "x").err
    again = tavo("market", "revoke-entitlement", made["id"], "--reason", "x", "--keys", "keys")
    assert "was taken back before: Not paid" in again.err
    entitled(tavo, "y")
    assert tavo("registry", "entitle", "y").code == 0  # a new one counts
    assert tavo("registry", "verify").code == 0


def test_a_thief_of_the_online_keys_takes_away_and_gives_nothing(tavo: Run, shop: Path) -> None:
    """He forgets what was taken back, and machines that heard of it do not."""
    made = json.loads(entitled(tavo, "x").out)
    assert tavo("registry", "entitle", "x").code == 0
    tavo("market", "revoke-entitlement", made["id"], "--reason", "Not paid", "--keys", "keys")
    assert tavo("registry", "update").code == 0
    with OperatedMarket.open(shop, load_keyring(Path("keys"), ONLINE_ROLES)) as place:
        for _ in range(2):
            place.repository.publish(
                without=["catalog/entitlements.json"], renew=["catalog"], now=trust.utc_now()
            )
        assert place.revoked_entitlements() == {}
    assert tavo("registry", "update").code == 0
    assert "was taken back: Not paid" in install(tavo).err
    for role in ONLINE_ROLES:  # no online key signs one
        key = next(Path("keys").glob(f"{role}-*.key"))
        refused = entitled(tavo, "forged", key=str(key))
        assert refused.code == ExitCode.REFUSED
        assert "no client would believe it" in refused.err


def edited(shop: Path, statement: str) -> None:
    """Release a catalog with other rows, with the online keys."""
    with OperatedMarket.open(shop, load_keyring(Path("keys"), ONLINE_ROLES)) as place:
        known = place.repository.artifact("catalog/catalog.db")
        assert known is not None
        shutil.copyfile(known, "edited.db")
        with closing(sqlite3.connect("edited.db")) as connection:
            connection.execute(statement)
            connection.commit()
        made, now = Path("edited.db"), trust.utc_now()
        digest, length = hash_file(made)
        log = place.repository.with_release(digest, length, releases=1, now=now)
        place.repository.publish(catalog=made, log=log, now=now)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE plugins SET pricing_tier = 'free'",
         "the catalog says free, its publisher signed enterprise"),
        ("UPDATE plugins SET pricing_tier = 'paid'",
         "the catalog says paid, its publisher signed enterprise"),
        ("UPDATE plugin_versions SET manifest = replace(manifest, '\"enterprise\"', '\"free\"')",
         "the catalog and the package differ in the copy of plugin.yaml"),
    ],
)  # fmt: skip
def test_the_catalog_cannot_make_a_plugin_free(
    tavo: Run, shop: Path, statement: str, sentence: str
) -> None:
    edited(shop, statement)
    assert tavo("registry", "update").code == 0
    refused = install(tavo)
    assert refused.code == ExitCode.REFUSED
    assert sentence in refused.err
    entitled(tavo, "x")
    assert tavo("registry", "entitle", "x").code == 0
    assert sentence in install(tavo).err  # a mismatch is refused, entitled or not


def test_control_the_package_alone_is_asked(
    tavo: Run, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the row believed, the edit would let it in."""
    from tavo.registry import install as module

    edited(shop, "UPDATE plugins SET pricing_tier = 'free'")
    assert tavo("registry", "update").code == 0

    def believed(catalog: Catalog, accepted: object, held: object) -> None:
        assert catalog.plugin("acme/pro").pricing_tier == "free"

    monkeypatch.setattr(module, "_entitlement", believed)
    assert install(tavo).code == 0


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("acme.key", "is not among the 2 allowed keys"),  # who signs packages sells nothing
        ("first.key", "is not among the 2 allowed keys"),
        ("other-shop.key", "may not sign entitlements of the namespace acme"),
    ],
)
def test_who_may_not_entitle_is_refused_on_both_sides(
    tavo: Run, shop: Path, key: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, other_shop = public_of(tavo, "other"), public_of(tavo, "other-shop")
    for words in (("add", "other", "--key", other), ("entitlement-key", "other", "--key",
                                                     other_shop)):  # fmt: skip
        assert tavo("market", "publisher", *words, "--keys", "keys").code == 0
    assert tavo("registry", "update").code == 0
    refused = entitled(tavo, "x", key=key)
    assert refused.code == ExitCode.REFUSED
    assert sentence in refused.err
    assert not Path("x").exists()
    with monkeypatch.context() as patched:  # they have another program
        patched.setattr("signing.entitlements.verify_entitlement", lambda *_: None)
        assert entitled(tavo, "x", key=key).code == 0
    put = tavo("registry", "entitle", "x")
    assert put.code == ExitCode.REFUSED
    assert sentence in put.err
    folder = Path.home() / ".local/share/tavo/entitlements"
    folder.mkdir(parents=True, mode=0o700)
    shutil.copyfile("x", folder / f"{'0' * 32}.entitlement")  # nor does copying it there help
    refused = install(tavo)
    assert refused.code == ExitCode.REFUSED
    assert "00000000 counts for nothing: entitlement" in refused.err
    assert sentence in refused.err
    assert entitled(tavo, "good").code == 0  # control: the right key, the same words
    assert tavo("registry", "entitle", "good").code == 0
    assert install(tavo).code == 0


def test_another_organisation_s_is_refused(tavo: Run, home: Path, shop: Path) -> None:
    entitled(tavo, "x", organisation="rival.example")
    refused = tavo("registry", "entitle", "x")
    assert refused.code == ExitCode.REFUSED
    assert "x: is for rival.example, this machine belongs to example.com" in refused.err
    say_who(home, "rival.example")
    assert tavo("registry", "entitle", "x").code == 0  # control
    assert install(tavo).code == 0
    say_who(home, "example.com")
    assert "is for rival.example, this machine belongs to" in tavo("registry", "verify").out


def test_the_organisation_is_the_user_s_to_say(tavo: Run, home: Path, shop: Path) -> None:
    entitled(tavo, "x")
    say_who(home, "rival.example")
    Path("tavo.toml").write_text('[registry]\norganisation = "example.com"\n')
    refused = tavo("registry", "entitle", "x")
    assert refused.code == ExitCode.USAGE
    assert "registry.organisation" in refused.err
    Path("tavo.toml").unlink()
    path = home / ".config" / "tavo" / "tavo.toml"
    path.write_text(path.read_text().replace("rival.example", "Rival & Sons"))
    assert "the name of an organisation, such as example.com" in tavo("registry", "verify").err


def test_an_end_is_an_end_also_with_the_clock_set_back(
    tavo: Run, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = trust.utc_now()
    entitled(tavo, "x", expires=f"{today + timedelta(days=1):%Y-%m-%d}")
    assert tavo("registry", "entitle", "x").code == 0
    assert install(tavo).code == 0
    later = today + timedelta(days=3)
    monkeypatch.setattr(trust, "utc_now", lambda: later)
    expired = tavo("registry", "verify")
    assert expired.code == ExitCode.REFUSED
    assert " expired " in expired.out
    with OperatedMarket.open(shop, load_keyring(Path("keys"), ONLINE_ROLES)) as place:
        place.release(later)
    assert tavo("registry", "update").code == 0  # this machine heard that it is later by now
    monkeypatch.setattr(trust, "utc_now", lambda: today)
    back = tavo("registry", "verify")
    assert back.code == ExitCode.REFUSED
    assert f"(now {later:%Y-%m-%dT%H:%M}" in back.out
    # control: judged by the clock alone, it would be good again
    monkeypatch.setattr("signing.trust.reference_time", lambda *, now, **_: now)
    assert tavo("registry", "verify").code == 0


def test_an_upgrade_stays_where_it_is_covered(tavo: Run, shop: Path) -> None:
    entitled(tavo, "x", "--versions", "<0.3")
    assert tavo("registry", "entitle", "x").code == 0
    assert install(tavo).code == 0
    released(tavo, "enterprise", "0.2.0")
    released(tavo, "enterprise", "0.3.0")
    assert tavo("registry", "update").code == 0
    done = tavo("registry", "upgrade", "--yes")
    assert done.code == 0, done.err
    assert "Installed acme/pro 0.2.0." in done.out
    assert "Passed over acme/pro 0.3.0: is an enterprise plugin and needs an" in done.err
    named = install(tavo)
    assert named.code == ExitCode.REFUSED
    assert "covers the versions <0.3" in named.err
    back = tavo("registry", "rollback", "acme/pro")
    assert back.code == 0, back.err
    tavo("registry", "entitlements", "--remove",
         json.loads(tavo("--json", "registry", "entitlements").out)[0]["id"])  # fmt: skip
    refused = tavo("registry", "rollback", "acme/pro")
    assert refused.code == ExitCode.REFUSED
    assert "needs an entitlement" in refused.err


def test_a_free_release_needs_none_and_a_paid_one_after_it_does(tavo: Run, shop: Path) -> None:
    released(tavo, "free", "0.2.0")
    assert tavo("registry", "update").code == 0
    assert install(tavo).code == 0
    released(tavo, "paid", "0.3.0")
    assert tavo("registry", "update").code == 0
    done = tavo("registry", "upgrade", "--yes")
    assert "Passed over acme/pro 0.3.0: is a paid plugin and needs an entitlement" in done.err
    assert tavo("registry", "verify").out == "acme/pro 0.2.0: good\n"


def test_wrong_usage_gets_a_sentence(tavo: Run, shop: Path) -> None:
    Path("big").write_bytes(b"x" * 70_000)
    Path("text").write_text("hello\n")
    entitle = ("market", "entitle", "example.com")
    given = ("--key", "shop.key", "-o", "out", "--expires", NEXT_YEAR)
    cases: dict[tuple[str, ...], str] = {
        ("registry", "entitle", "nowhere"): "nowhere: cannot be read: No such file",
        ("registry", "entitle", "big"): "big: is longer than 65536 bytes, so it is no entitlement",
        ("registry", "entitle", "text"): "text: envelope: not a DSSE envelope",
        ("registry", "entitlements", "--remove", "ab"): "'ab': no entitlement has such an id",
        (*entitle, "acme/pro", *given[:-1], "tomorrow"): "'tomorrow' is not a day like 2027-12-31",
        (*entitle, "acme/pro", *given[:-1], "2020-01-01"): "it would have ended when it was iss",
        (*entitle, "acme/pro", "other/x", *given): "are not plugins of one publisher",
        (*entitle, "pro", *given): "are not plugins of one publisher",
        (*entitle, "acme/../x", *given): "is not the name of a plugin",
        (*entitle, "acme/pro", *given, "--tier", "free"): "tiers are paid, enterprise or both",
        (*entitle, "acme/pro", *given, "--versions", "new"):
            "market entitle: --versions 'new' is not a range of versions like >=1,<2",
        (*entitle, "acme/pro", *given, "--seats", "0"): "seats are a whole number from 1",
        ("market", "entitle", "Example Corp", "acme/pro", *given): "is named like example.com",
        (*entitle, "acme/pro", *given[:2], "-o", "text", *given[4:]): "text: is there already",
        (*entitle, "nobody/x", *given): "may not sign entitlements of the namespace nobody",
        ("market", "revoke-entitlement", "ab12", "--reason", "x", "--keys", "keys"):
            "tavo: market revoke-entitlement: 'ab12' is no id of 32 hexadecimal digits",
        ("market", "revoke-entitlement", "ab" * 16, "--reason", " "): "--reason is empty",
        ("market", "revoke-entitlement", "ab" * 16, "--reason", "x"): "catalog: 1 key must sign",
    }  # fmt: skip
    for words, sentence in cases.items():
        done = tavo(*words)
        assert done.code in {ExitCode.USAGE, ExitCode.FAILED, ExitCode.REFUSED}, (words, done)
        assert sentence in done.err, (words, done.err)
        assert "Traceback" not in done.err
    assert not Path("out").exists()


def test_a_shop_needs_the_marketplace_s_folder_or_a_catalog_it_trusts(
    tavo: Run, home: Path, shop: Path
) -> None:
    assert entitled(tavo, "x", "--market", str(shop)).code == 0
    assert json.loads(entitled(tavo, "y").out)["plugins"] == ["pro"]
    both = tavo("market", "entitle", "example.com", "acme/*", "--key", "shop.key", "--expires",
                NEXT_YEAR, "-o", "z", "--tier", "paid")  # fmt: skip
    assert both.out.startswith("z: entitlement ")
    assert tavo("registry", "entitle", "z").out.split("; ")[0].endswith("acme/* (paid)")
    assert "covers the tier paid, not enterprise" in install(tavo).err
    (home / ".config" / "tavo" / "tavo.toml").unlink()
    nowhere = entitled(tavo, "w")
    assert nowhere.code == ExitCode.USAGE
    assert "which marketplace is it for?" in nowhere.err


def test_what_a_free_plugin_needs_is_asked_for_too(tavo: Run, shop: Path) -> None:
    assert tavo("plugin", "init", "top", "--publisher", "acme").code == 0
    with Path("top/plugin.yaml").open("a") as stream:
        stream.write('requires_plugins: ["acme/pro"]\n')
    package = "acme-top-0.1.0.zip"
    for words in (("pack", "top"), ("sign", package, "--key", "acme.key"), ("submit", package)):
        done = tavo("plugin", *words)
        assert done.code == 0, done.err
    identifier = id_of(tavo, Path(f"{package}.submission"))
    assert tavo("market", "approve", identifier, "--key", "first.key").code == 0
    assert tavo("market", "release", "--keys", "keys").code == 0
    assert tavo("registry", "update").code == 0
    refused = tavo("registry", "install", "acme/top", "--yes")
    assert refused.code == ExitCode.REFUSED
    assert "acme/pro 0.1.0: is an enterprise plugin and needs an entitlement" in refused.err
    assert json.loads(tavo("--json", "registry", "list").out) == []
    made = json.loads(entitled(tavo, "x").out)
    assert tavo("registry", "entitle", "x").code == 0
    granted = tavo("registry", "install", "acme/top", "--yes", "--grant", "plugin:acme/pro")
    assert granted.code == 0, granted.err
    Path("a.txt").write_text("nothing\n")
    scan = ("scan", "a.txt", "--static-plugins", "acme/top")
    assert "acme/top 0.1.0 on 1 file" in tavo(*scan).out
    assert tavo("registry", "entitlements", "--remove", made["id"]).code == 0
    ended = tavo(*scan)
    assert ended.code == ExitCode.REFUSED
    assert "acme/pro 0.1.0: is an enterprise plugin and needs an entitlement" in ended.err
