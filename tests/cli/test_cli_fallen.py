"""After a key or a package was revoked, the newest release that still stands is the latest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from marketplace_db.intake import Market
from signing.digests import Digest
from tavo.errors import ExitCode
from tests.cli.conftest import Run
from tests.cli.test_cli_market import id_of, market, public_of

__all__ = ["market"]

UPDATE = ("registry", "update")


def key_id(tavo: Run, name: str) -> str:
    return str(json.loads(tavo("--json", "key", "show", f"{name}.key").out)["key_id"])


def released(tavo: Run, version: str, key: str, *reviewers: str) -> None:
    """Take acme/finder of a version from its author into the catalog, signed with a key."""
    if not Path("finder").is_dir():
        assert tavo("plugin", "init", "finder", "--publisher", "acme").code == 0
    manifest = Path("finder/plugin.yaml")
    lines = [f"version: {version}" if line.startswith("version:") else line
             for line in manifest.read_text().splitlines()]  # fmt: skip
    manifest.write_text("\n".join([*lines, ""]))
    package = f"acme-finder-{version}.zip"
    for words in (("pack", "finder"), ("sign", package, "--key", f"{key}.key"),
                  ("submit", package)):  # fmt: skip
        assert tavo("plugin", *words).code == 0
    identifier = id_of(tavo, Path(f"{package}.submission"))
    for reviewer in reviewers or ("first",):
        assert tavo("market", "approve", identifier, "--key", f"{reviewer}.key").code == 0
    assert tavo("market", "release", "--keys", "keys").code == 0


def latest(tavo: Run) -> tuple[str, str]:
    """What a list and the page of the plugin call the latest."""
    (row,) = json.loads(tavo("--json", "registry", "search", "finder").out)
    shown = json.loads(tavo("--json", "registry", "show", "acme/finder").out)
    return row["latest"], shown["latest"]


@pytest.fixture
def two(tavo: Run, market: Path) -> Path:
    """0.1.0 is signed with acme.key, 0.2.0, which is installed, with more.key."""
    more = public_of(tavo, "more")
    given = ("market", "publisher", "add", "acme", "--key", more, "--keys", "keys")
    assert tavo(*given).code == 0
    released(tavo, "0.1.0", "acme")
    released(tavo, "0.2.0", "more")
    assert tavo(*UPDATE).code == 0
    assert latest(tavo) == ("0.2.0", "0.2.0")
    assert "Installed acme/finder 0.2.0" in tavo("registry", "install", "acme/finder", "--yes").out
    return market


def test_a_revoked_key_leaves_the_release_before(tavo: Run, two: Path) -> None:
    stolen = key_id(tavo, "more")
    done = tavo("market", "revoke-key", stolen, "--reason", "Stolen", "--keys", "keys")
    why = f"the key {stolen[:12]} that signed it was revoked: Stolen"
    assert f"1 release will be refused by clients, such as acme/finder 0.2.0: {why}." in done.err
    assert tavo(*UPDATE).code == 0

    # the operator has released nothing since: users look for themselves
    shown = tavo("registry", "show", "acme/finder")
    assert shown.out.startswith("acme/finder 0.1.0: ")
    assert f"key {stolen[:12]}… was revoked: Stolen" in shown.out
    verified = tavo("registry", "verify")
    assert verified.code == ExitCode.REFUSED
    assert f"acme/finder 0.2.0: was recalled: {why}" in verified.out
    assert "tavo registry uninstall acme/finder" in verified.err
    again = tavo("registry", "install", "acme/finder", "--yes")
    assert "Passed over acme/finder 0.2.0: " in again.err
    assert "Installed acme/finder 0.1.0." in again.out
    assert tavo("registry", "verify").code == 0
    named = tavo("registry", "install", "acme/finder==0.2.0", "--yes")
    assert named.code == ExitCode.REFUSED
    assert "was revoked: Stolen" in named.err

    # and the next catalog says so to everybody, lists included
    made = tavo("market", "release", "--keys", "keys")
    assert f"withdrawn with it: acme/finder 0.2.0: {why}" in made.err
    assert tavo(*UPDATE).code == 0
    assert latest(tavo) == ("0.1.0", "0.1.0")
    assert f"withdrawn: {why}" in tavo("registry", "show", "acme/finder").out
    assert "withdrawn" not in tavo("market", "release", "--keys", "keys").err  # once is enough


def test_a_recalled_package_leaves_the_release_before_in_lists_too(tavo: Run, two: Path) -> None:
    given = ("market", "revoke", "acme/finder", "0.2.0", "--reason", "It steals", "--keys", "keys")
    assert "such as acme/finder 0.2.0: it was recalled: It steals" in tavo(*given).err
    assert tavo(*UPDATE).code == 0
    assert latest(tavo) == ("0.1.0", "0.1.0")
    assert "refused: was recalled: It steals" in tavo("registry", "show", "acme/finder").out
    installed = tavo("registry", "install", "acme/finder", "--yes")
    assert "Installed acme/finder 0.1.0." in installed.out


def test_behind_an_air_gap_it_is_known_with_the_next_copy(tavo: Run, two: Path) -> None:
    stolen = key_id(tavo, "more")
    assert tavo("mirror", "sync", "m", "--from", two / "repository").code == 0
    tavo("market", "revoke-key", stolen, "--reason", "Stolen", "--keys", "keys")
    tavo("market", "revoke", "acme/finder", "0.1.0", "--reason", "It steals", "--keys", "keys")
    assert tavo("registry", "update", "--mirror", "m").code == 0
    assert tavo("registry", "verify").code == 0  # the old copy knows nothing
    assert tavo("mirror", "sync", "m", "--from", two / "repository").code == 0
    shutil.move(two, "away")  # nobody but the mirror is there from now on
    root = Path("market/repository/metadata")
    root.mkdir(parents=True)
    shutil.copyfile("m/metadata/1.root.json", root / "1.root.json")
    assert tavo("registry", "update", "--mirror", "m").code == 0
    by_key = tavo("registry", "verify")
    assert by_key.code == ExitCode.REFUSED
    assert "that signed it was revoked: Stolen" in by_key.out
    nothing = tavo("registry", "install", "acme/finder", "--yes", "--mirror", "m")
    assert nothing.code == ExitCode.REFUSED
    assert "acme/finder 0.1.0 was recalled: It steals" in nothing.err


def test_a_mirror_without_a_statement_makes_nobody_go_back(tavo: Run, two: Path) -> None:
    """Only what a statement says passes a release over, never that it is missing or damaged."""
    assert tavo("mirror", "sync", "m", "--from", two / "repository").code == 0
    with Market.open(two) as opened:
        ((held,),) = opened.connection.execute(
            "SELECT publisher_envelope FROM plugin_versions WHERE version = '0.2.0'"
        )
    path = Path("m/blobs/sha256") / held[:2] / held
    assert tavo("registry", "uninstall", "acme/finder").code == 0
    install = ("registry", "install", "acme/finder", "--yes", "--mirror", "m")
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"keyid":"', b'"keyid":"0', 1)[: len(data)])
    damaged = tavo(*install)
    assert damaged.code == ExitCode.REFUSED
    assert f"sha256 is {Digest.of(path.read_bytes()).hex}, signed is {held}" in damaged.err
    path.unlink()
    refused = tavo(*install)
    assert refused.code == ExitCode.REFUSED
    assert "acme/finder 0.2.0: a statement that the catalog names is missing" in refused.err
    path.write_bytes(data)
    assert "Installed acme/finder 0.2.0" in tavo(*install).out  # control


def test_what_else_makes_a_release_fall(tavo: Run, market: Path) -> None:
    """A key that was taken away, a reviewer who was dismissed, a namespace made official."""
    assert tavo("market", "publisher", "add", "acme", "--key", public_of(tavo, "more"),
                "--keys", "keys").code == 0  # fmt: skip
    released(tavo, "0.1.0", "more")
    released(tavo, "0.2.0", "acme", "second")
    taken = tavo("market", "publisher", "remove-key", "acme", key_id(tavo, "more"),
                 "--keys", "keys")  # fmt: skip
    assert "acme/finder 0.1.0: the key" in taken.err
    assert "that signed it is no key of acme any more" in taken.err
    dismissed = tavo("market", "reviewer", "remove", key_id(tavo, "second"), "--keys", "keys")
    assert "2 releases will be refused by clients" in dismissed.err
    made = json.loads(tavo("--json", "market", "release", "--keys", "keys").out)
    assert made["withdrawn"][1] == "acme/finder 0.2.0: it has 0 of 1 approvals that count"
    assert tavo(*UPDATE).code == 0
    assert latest(tavo) == (None, None)
    kept = tavo("market", "publisher", "add", "acme", "--key", public_of(tavo, "third"),
                "--official", "--keys", "keys")  # fmt: skip
    assert "will be refused" not in kept.err  # they have fallen before


def test_what_fell_by_mistake_comes_back_by_the_offline_role(tavo: Run, two: Path) -> None:
    key = json.loads(tavo("--json", "key", "show", "more.key").out)
    for words in (
        ("publisher", "remove-key", "acme", key["key_id"]), ("release",),
        ("publisher", "add", "acme", "--key", key["public"]), ("release",),
    ):  # fmt: skip
        assert tavo("market", *words, "--keys", "keys").code == 0
    assert tavo(*UPDATE).code == 0
    assert latest(tavo) == ("0.1.0", "0.1.0")
    assert tavo("market", "lift", "acme/finder", "0.2.0", "--keys", "keys").code == 0
    assert tavo(*UPDATE).code == 0
    assert json.loads(tavo("--json", "registry", "show", "acme/finder").out)["latest"] == "0.2.0"
    done = tavo("registry", "install", "acme/finder", "--yes")
    assert "Installed acme/finder 0.2.0." in done.out, done.err
    falls = "acme/finder 0.2.0: the key"
    revoked = tavo("market", "revoke-key", key["key_id"], "--reason", "Stolen", "--keys", "keys")
    assert falls in revoked.err  # it stood again
    assert f"withdrawn with it: {falls}" in tavo("market", "release", "--keys", "keys").err


def test_a_release_that_was_killed_between_is_ended_by_the_next(
    tavo: Run, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stolen = key_id(tavo, "more")
    assert tavo("market", "revoke-key", stolen, "--reason", "Stolen", "--keys", "keys").code == 0
    before = (two / "publishers.applied").read_text()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("tavo.operator.marketplace.write_atomically", killed)
        assert tavo("market", "release", "--keys", "keys").code == ExitCode.INTERRUPTED
    assert (two / "publishers.applied").read_text() == before
    (two / "publishers.applied").unlink()  # nor does it need to know what was there before
    assert tavo("market", "release", "--keys", "keys").code == 0
    assert tavo(*UPDATE).code == 0
    assert latest(tavo) == ("0.1.0", "0.1.0")
