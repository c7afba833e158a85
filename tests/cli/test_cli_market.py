"""A marketplace from its founding to a recall, as its operator and its users type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from signing.keys import PrivateKey
from signing.roles import ROLES
from tavo.errors import ExitCode
from tests.cli.conftest import Run


def public_of(tavo: Run, name: str) -> str:
    """Make a key and return its public half."""
    made = tavo("--json", "key", "new", f"{name}.key", "--unsafe-no-passphrase")
    assert made.code == 0, made.err
    return str(json.loads(made.out)["public"])


def submission_of(tavo: Run, name: str, publisher: str = "acme") -> Path:
    """Write, pack and sign a plugin with the publisher's key; return the file for the market."""
    assert tavo("plugin", "init", name, "--publisher", publisher).code == 0
    assert tavo("plugin", "pack", name).code == 0
    package = Path(f"{publisher}-{name}-0.1.0.zip")
    assert tavo("plugin", "sign", package, "--key", f"{publisher}.key").code == 0
    assert tavo("plugin", "submit", package).code == 0
    return Path(f"{package}.submission")


def id_of(tavo: Run, file: Path) -> str:
    done = tavo("--json", "market", "submit", file)
    assert done.code == 0, done.err
    return str(json.loads(done.out)["id"])


@pytest.fixture
def market(tavo: Run, home: Path) -> Path:
    """A marketplace with the namespace acme and two reviewers, which this user's tavo trusts."""
    assert tavo("market", "init", "--keys", "keys", "--unsafe-no-passphrase").code == 0
    acme, first, second = (public_of(tavo, name) for name in ("acme", "first", "second"))
    assert tavo("market", "publisher", "add", "acme", "--key", acme, "--keys", "keys").code == 0
    given = ("market", "reviewer", "add", "--key", first, "--key", second, "--keys", "keys")
    assert tavo(*given).code == 0
    # what vetting does is in test_cli_market_vet.py
    Path("market/market.toml").write_text("[vetting]\nrequired = []\n")
    folder = home / ".config" / "tavo"
    folder.mkdir(parents=True)
    tree = Path("market/repository").absolute()
    (folder / "tavo.toml").write_text(
        f'[registry]\nroot = "{tree}/metadata/1.root.json"\nsource = "{tree}"\n'
    )
    return Path("market")


def test_plugin_goes_from_its_author_to_a_user_and_back(tavo: Run, market: Path) -> None:
    identifier = id_of(tavo, submission_of(tavo, "finder"))
    assert "0.1.0: 1 more approval\n" in tavo("market", "status").out
    assert tavo("registry", "install", "acme/finder", "--yes").code != 0  # nobody approved it
    package = tavo("market", "submit", "acme-finder-0.1.0.zip")
    assert package.code == ExitCode.REFUSED
    assert "does not belong into a submission\n  Hand in the file that `tavo plugin" in package.err
    approved = tavo("market", "approve", identifier[:8], "--key", "first.key")
    assert approved.out == (
        "acme/finder 0.1.0: approved; `tavo market release` brings it into the catalog.\n"
    )
    assert tavo("market", "release", "--keys", "keys").code == 0
    assert tavo("registry", "update").code == 0
    installed = tavo("registry", "install", "acme/finder", "--yes")
    assert "signed by its publisher, 1 reviews" in installed.out
    recalled = tavo("market", "revoke", "acme/finder", "0.1.0", "--reason", "It steals cookies",
                    "--keys", "keys")  # fmt: skip
    assert "recalls the package" in recalled.err
    assert "opens the namespace" not in recalled.err  # only what changes is told
    assert tavo("registry", "update").code == 0
    verified = tavo("registry", "verify")
    assert verified.code == ExitCode.REFUSED
    assert "was recalled: It steals cookies" in verified.out


def test_publisher_does_not_approve_its_own_work(tavo: Run, market: Path) -> None:
    identifier = id_of(tavo, submission_of(tavo, "finder"))
    own = tavo("market", "approve", identifier, "--key", "acme.key")
    assert own.code == ExitCode.REFUSED
    assert "is not among the 2 allowed keys" in own.err
    assert "The key is not one of the reviewers': `tavo market publisher list`" in own.err
    assert "Do not use this package" not in own.err
    assert tavo("market", "approve", identifier, "--key", "first.key").code == 0  # control


def test_official_plugin_needs_two_people(tavo: Run, market: Path) -> None:
    done = tavo("market", "publisher", "add", "acme", "--key", public_of(tavo, "more"),
                "--official", "--keys", "keys")  # fmt: skip
    assert "makes acme an official namespace" in done.err
    identifier = id_of(tavo, submission_of(tavo, "finder"))
    first = tavo("market", "approve", identifier, "--key", "first.key")
    assert "1 of 2 approvals" in first.out
    again = tavo("market", "approve", identifier, "--key", "first.key")
    assert "1 of 2 approvals" in again.out  # the same person does not count twice
    assert "releases    0" in tavo("market", "status").out
    assert ": approved" in tavo("market", "approve", identifier, "--key", "second.key").out


def test_rejection_is_signed_and_has_a_reason(tavo: Run, market: Path) -> None:
    identifier = id_of(tavo, submission_of(tavo, "finder"))
    assert tavo("market", "reject", identifier, "--key", "first.key", "--reason", " ").code == 2
    done = tavo("market", "reject", identifier, "--key", "first.key", "--reason", "No tests")
    assert done.out == "acme/finder 0.1.0: rejected.\n"
    shown = tavo("market", "submissions", identifier)
    assert "because No tests" in shown.out
    assert "reject by" in shown.out
    late = tavo("market", "approve", identifier, "--key", "second.key")
    assert late.code == ExitCode.FAILED
    assert "the submission is already rejected" in late.err


def test_withdrawn_release_comes_back_by_the_offline_role_alone(tavo: Run, market: Path) -> None:
    identifier = id_of(tavo, submission_of(tavo, "finder"))
    assert tavo("market", "approve", identifier, "--key", "first.key").code == 0
    assert tavo("market", "release", "--keys", "keys").code == 0
    lift = ("market", "lift", "acme/finder", "0.1.0", "--keys", "keys")
    early = tavo(*lift)
    assert early.code == ExitCode.FAILED
    assert "acme/finder 0.1.0: is not withdrawn, so there is nothing to lift" in early.err
    yank = ("market", "yank", "acme/finder", "0.1.0", "--reason", "It is slow")
    assert tavo(*yank).code == 0
    assert tavo("market", "release", "--keys", "keys").code == 0
    assert "releases    1 (1 withdrawn)" in tavo("market", "status").out
    tavo("registry", "update")
    assert "  withdrawn: It is slow\n" in tavo("registry", "show", "acme/finder").out
    refused = tavo("registry", "install", "acme/finder==0.1.0", "--yes")
    assert refused.code == ExitCode.REFUSED
    assert "It is slow" in refused.err
    assert "lets the withdrawn package" in tavo(*lift).err
    assert "releases    1 (0 withdrawn)" in tavo("market", "status").out
    tavo("registry", "update")
    assert "  lifted; was withdrawn: It is slow\n" in tavo("registry", "show", "acme/finder").out
    assert tavo("registry", "install", "acme/finder==0.1.0", "--yes").code == 0
    again = tavo(*lift)
    assert (again.code, "was lifted before" in again.err) == (ExitCode.REFUSED, True)
    late = tavo(*yank)
    assert late.code == ExitCode.FAILED
    assert "was withdrawn and lifted, so it cannot be withdrawn again" in late.err
    recalled = tavo("market", "revoke", "acme/finder", "0.1.0", "--reason", "It steals",
                    "--keys", "keys")  # fmt: skip
    assert "acme/finder 0.1.0: it was recalled: It steals" in recalled.err
    assert "withdrawn with it: acme/finder 0.1.0" in tavo("market", "release", "--keys", "keys").err
    tavo("registry", "update")
    shown = tavo("registry", "show", "acme/finder").out
    assert "  refused: was recalled: It steals\n" in shown
    (version,) = json.loads(tavo("--json", "registry", "show", "acme/finder").out)["versions"]
    assert (version["yanked"], version["refused"]) == (True, "was recalled: It steals")
    final = tavo(*lift)
    assert (final.code, "was recalled, which is for good" in final.err) == (5, True)


@pytest.mark.parametrize(
    ("there", "sentence"),
    [
        ("market/repository/metadata/x", "market/repository: a repository is already here"),
        ("market", "market/repository: cannot write: Not a directory"),
        ("newkeys", "newkeys: cannot write: File exists"),
    ],
)
def test_a_market_that_cannot_be_founded_leaves_no_keys(
    tavo: Run, there: str, sentence: str
) -> None:
    Path(there).parent.mkdir(parents=True, exist_ok=True)
    Path(there).write_text("")
    done = tavo("market", "init", "market", "--keys", "newkeys", "--unsafe-no-passphrase")
    assert (done.code, sentence in done.err) == (ExitCode.FAILED, True), done.err
    assert not list(Path().glob("newkeys/*"))


@pytest.mark.parametrize("name", ["nothing", "notes/readme.txt"])
def test_a_snapshot_of_no_advisories_replaces_none(tavo: Run, market: Path, name: str) -> None:
    folder = Path(name.partition("/")[0])
    folder.mkdir()
    if "/" in name:
        Path(name).write_text("CVE-2026-1")
    done = tavo("market", "advisories", folder, "--keys", "keys")
    assert done.code == ExitCode.FAILED
    assert f"{folder}: no advisory in it stands, so nothing was published" in done.err


def test_names_that_look_alike_are_refused(tavo: Run, market: Path) -> None:
    key = public_of(tavo, "other")
    taken = tavo("market", "publisher", "add", "acrne", "--key", key, "--keys", "keys")
    assert taken.code == ExitCode.FAILED
    assert "acrne: the name can be taken for acme" in taken.err
    given = ("market", "publisher", "add", "other", "--key", key, "--keys", "keys")
    assert tavo(*given).code == 0  # control
    id_of(tavo, submission_of(tavo, "prompt-guard"))
    double = tavo("market", "submit", submission_of(tavo, "prornpt-guard", "other"))
    assert double.code == ExitCode.FAILED
    assert "other/prornpt-guard: the name can be taken for acme/prompt-guard" in double.err
    allowed = tavo("market", "submit", "other-prornpt-guard-0.1.0.zip.submission",
                   "--allow-look-alike", "They are one company")  # fmt: skip
    assert allowed.code == 0


def test_holders_of_keys_never_meet(tavo: Run) -> None:
    public = {
        role: [public_of(tavo, f"h/{role}-{number}") for number in (1, 2, 3)[: _count(role)]]
        for role in ROLES
    }
    Path("public.json").write_text(json.dumps(public))
    begun = tavo("market", "init", "there", "--public", "public.json", "--ceremony", "stick")
    assert begun.code == 0, begun.err
    keys = [word for role in ROLES[:4] for word in ("--key", f"h/{role}-1.key")]
    unread = tavo("key", "sign", "stick", *keys)
    assert unread.code == ExitCode.REFUSED
    assert "nobody is here to read what is signed" in unread.err
    other = tavo("key", "sign", "stick", *keys, "--yes", "--root-sha256", "0" * 64)
    assert other.code == ExitCode.REFUSED
    assert "stick: founds a repository and starts from no root, you know 0000" in other.err
    assert "4 more" not in tavo("key", "sign", "stick", *keys, "--yes").out
    early = tavo("market", "adopt", "stick", "--market", "there", "--keys", "h")
    assert early.code == ExitCode.FAILED
    assert "2 keys must sign, 1 did" in early.err
    assert not Path("there/market.db").exists()
    second = [word for role in ROLES[:4] for word in ("--key", f"h/{role}-2.key")]
    assert tavo("key", "sign", "stick", *second, "--yes").code == 0
    founded = tavo("market", "adopt", "stick", "--market", "there", "--keys", "h")
    assert founded.out.startswith("there: founded; its root has sha256 ")
    fingerprint = founded.out.split()[-1]
    change = ("market", "publisher", "add", "acme", "--key", public_of(tavo, "acme"))
    assert tavo(*change, "--market", "there", "--ceremony", "next").code == 0
    foreign = tavo("key", "sign", "next", "--key", "h/publishers-1.key", "--yes",
                   "--root-sha256", "0" * 64)  # fmt: skip
    assert foreign.code == ExitCode.REFUSED
    assert "you know 0000" in foreign.err
    holders = ("--key", "h/publishers-1.key", "--key", "h/publishers-3.key")
    assert tavo("key", "sign", "next", *holders, "--yes", "--root-sha256", fingerprint).code == 0
    assert tavo("market", "adopt", "next", "--market", "there", "--keys", "h").code == 0
    assert tavo("market", "publisher", "list", "--market", "there").out.startswith("acme: 1 of 1")


def _count(role: str) -> int:
    return 1 if role in ("catalog", "snapshot", "timestamp") else 3


def test_wrong_usage_gets_a_sentence(tavo: Run, market: Path) -> None:
    Path("public.json").write_text('{"root": ["xx"]}')
    cases: dict[tuple[str, ...], str] = {
        ("market", "status", "--market", "nowhere"): "nowhere: there is no marketplace here",
        ("market", "init", "new"): "name a folder for the new keys with --keys",
        ("market", "init", "new", "--public", "x"): "--public and --ceremony belong together",
        ("market", "init", "new", "--keys", "keys", "--unsafe-no-passphrase"): "keys are here",
        ("market", "init", "new", "--public", "public.json", "--ceremony", "stick"): (
            "tavo: public.json: root: 'xx' is not hexadecimal"
        ),
        ("market", "release"): "catalog: 1 key must sign, 0 of them are in this keyring",
        ("market", "approve", "0000", "--key", "first.key"): "no submission with the id '0000'",
        ("market", "publisher", "add", "x", "--key", "zz"): "'zz' is not hexadecimal",
        ("market", "revoke", "acme/x", "1", "--reason", "y"): "acme/x 1: was never released",
        ("market", "revoke-key", "ab" * 32, "--reason", "y"): "nobody has the key",
        ("market", "submit", "first.key"): "first.key: ",
        ("market", "adopt", "nowhere"): "nowhere: is not a complete ceremony",
        ("market", "backup", "keys"): "keys: is not empty",
        ("key", "sign", "x", "--key", "first.key", "--root-sha256", "abc"): (
            "--root-sha256 'abc' is not 64 hexadecimal digits"
        ),
        ("key", "show", "env:NOTHING"): "the variable NOTHING is not set",
        ("plugin", "submit", "nothing.zip"): "nothing.zip",
    }
    for words, sentence in cases.items():
        done = tavo(*words)
        assert done.code in {ExitCode.USAGE, ExitCode.FAILED, ExitCode.REFUSED}, (words, done)
        assert sentence in done.err, (words, done.err)
        assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("moderate abc", "there is no review 'abc'"),
        ("publisher remove-key acme abc", "namespace acme: has no key 'abc'"),
        ("publisher remove-key acm abc", "there is no namespace 'acm'"),
        ("publisher transfer nobody --key {key}", "there is no namespace 'nobody'"),
        ("publisher entitlement-key nobody --key {key}", "there is no namespace 'nobody'"),
        ("reviewer remove nix", "the reviewers have no key 'nix'"),
        ("revoke-key abc --reason x", "nobody has the key 'abc'"),
    ],
)
def test_what_there_is_not_is_no_refusal(
    tavo: Run, market: Path, words: str, sentence: str
) -> None:
    given = words.format(key=public_of(tavo, "new")).split()
    done = tavo("market", *given)
    assert (done.code, f"{sentence}\n  `tavo market" in done.err) == (ExitCode.FAILED, True), done
    assert "refused" not in done.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("token new al --org x --scope sbmit", "there is no scope 'sbmit'"),
        ("token new Al --org x --scope submit", "'Al' cannot be the name of a person"),
        ("statement acme-corp 2026-13", "'2026-13' is no month"),
        ("target add x a https://example.com --network 10.1.2.0/33", "is no network"),
        ("target add x A https://example.com", "'A' cannot be the name of a target"),
        ("org add Acme", "'Acme' cannot be the name of an organisation"),
        ("renew foo", "foo: is not an offline role\n  Those are root,"),
    ],
)
def test_words_that_no_market_could_take_are_wrong_usage(
    tavo: Run, words: str, sentence: str
) -> None:
    done = tavo("market", *words.split())
    assert (done.code, sentence in done.err) == (ExitCode.USAGE, True), done
    assert not Path("market").exists()


def test_a_misspelt_policy_is_told_before_anything_waits(tavo: Run, market: Path) -> None:
    for text, sentence in {
        "requird = []": "market/market.toml: [vetting]: unknown key 'requird'\n  Did you mean",
        'required = ["packag"]': "there is no check 'packag'\n  Did you mean 'package'?",
    }.items():
        (market / "market.toml").write_text(f"[vetting]\n{text}\n")
        done = tavo("market", "vet", "--keys", "keys")
        assert (done.code, sentence in done.err) == (ExitCode.USAGE, True), done


def test_limits_of_an_organisation_that_is_not_here_are_told(tavo: Run, market: Path) -> None:
    assert tavo("market", "org", "add", "acme-corp").code == 0
    for name, told in {"acmecorp": True, "acme-corp": False}.items():
        (market / "market.toml").write_text(f"[execution.organizations.{name}]\nrunning = 2\n")
        done = tavo("market", "target", "list")
        sentence = f".{name}]: there is no such organisation. Did you mean 'acme-corp'?\n"
        assert (done.code, sentence in done.err) == (0, told), done


def test_key_from_the_environment_and_with_a_new_passphrase(
    tavo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = PrivateKey.generate()
    key.save(Path("plain.key"), None)
    monkeypatch.setenv("CI_KEY", Path("plain.key").read_text())
    assert key.public.hex in tavo("key", "show", "env:CI_KEY").out
    monkeypatch.setenv("TAVO_KEY_PASSPHRASE", "correct horse battery")
    assert tavo("key", "passwd", "plain.key", "--output", "locked.key").code == 0
    assert key.public.hex in tavo("key", "show", "locked.key").out
    monkeypatch.setenv("TAVO_KEY_PASSPHRASE", "something else")
    wrong = tavo("key", "show", "locked.key")
    assert "the passphrase is wrong" in wrong.err
    monkeypatch.delenv("TAVO_KEY_PASSPHRASE")
    silent = tavo("key", "show", "locked.key")
    assert "set TAVO_KEY_PASSPHRASE" in silent.err


def test_backup_is_a_marketplace(tavo: Run, market: Path) -> None:
    identifier = id_of(tavo, submission_of(tavo, "finder"))
    assert tavo("market", "backup", "copy").code == 0
    assert not list(Path("copy").rglob("*.key"))
    assert Path("copy/market.toml").is_file()
    given = ("--key", "first.key", "--market", "copy")
    assert tavo("market", "approve", identifier, *given).code == 0
    assert tavo("market", "release", "--keys", "keys", "--market", "copy").code == 0
