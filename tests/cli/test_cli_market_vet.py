"""`tavo market vet` as operators, reviewers and users meet it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from marketplace_db.intake import Market
from marketplace_db.origins import ORIGINS
from marketplace_db.release import release_catalog
from signing.attest import verify_vetting
from signing.errors import AttestationError
from signing.keyring import Keyring
from signing.keys import PrivateKey
from signing.roles import parse_time
from tavo.errors import ExitCode
from tavo.operator.marketplace import OperatedMarket
from tests.cli.conftest import Run
from tests.cli.test_cli_market import id_of, market, public_of
from tests.fakes.operator_market import plugin_folder, wheel_bytes

__all__ = ["market"]

ROOT = Path(__file__).parents[1]
THIRD_PARTY = ROOT / "fakes" / "third_party"
HOSTILE = ROOT / "attacks" / "plugins"
QUICK = ("package", "permissions", "licence", "advisories", "behaviour", "scan")
WORDS = wheel_bytes(
    "northwords",
    files={
        "northwords/__init__.py": b'WORDS = ("YOUR", "NAME", "HERE", "TODO")\n',
        "northwords-1.0.dist-info/METADATA": b"Metadata-Version: 2.4\nName: northwords\n"
        b"Version: 1.0\nLicense-Expression: MIT\n",
    },
)


def handed_in(tavo: Run, folder: Path, key: str, package: str) -> str:
    """Pack, sign and submit a plugin as its author does; return the submission's id."""
    for words in (
        ("plugin", "validate", folder),
        ("plugin", "pack", folder),
        ("plugin", "sign", package, "--key", key),
        ("plugin", "submit", package, "--wheels", folder / ".wheels")
        if (folder / ".wheels").is_dir()
        else ("plugin", "submit", package),
    ):
        done = tavo(*words)
        assert done.code == 0, (words, done.err, done.out)
    return id_of(tavo, Path(f"{package}.submission"))


def bad_plugin(tavo: Run, name: str = "steals-keys") -> str:
    """Hand in a hostile plugin that is well-formed; return the submission's id."""
    main = (HOSTILE / name / "main.py").read_text()
    main = "from tavo.plugins import StaticAnalysisPlugin\n\n" + main.replace(
        "class Plugin:", "class Plugin(StaticAnalysisPlugin):\n    rules = ()\n"
    )
    files = {"main.py": main, "LICENSE": "Apache License\n", "tests/test_x.py": "x = 1\n"}
    plugin_folder(Path("bad"), files=files)
    return handed_in(tavo, Path("bad"), "acme.key", "acme-sample-1.0.0.zip")


def vet(tavo: Run, *words: object, checks: tuple[str, ...] = QUICK) -> tuple[int, str, str]:
    names = [word for check in checks for word in ("--check", check)]
    done = tavo("market", "vet", *words, *names, "--keys", "keys")
    return done.code, done.out, done.err


def test_two_plugins_of_another_publisher_reach_a_user(
    tavo: Run, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written from the guide; official namespace: submit, vet, two approvals, release, install."""
    accept = "L2:northwind/left-placeholders,L2:northwind/token-meter"
    monkeypatch.setenv("TAVO_ACCEPT_SANDBOX", accept)
    (market / "market.toml").unlink()  # everything is required
    key = public_of(tavo, "northwind")
    given = ("market", "publisher", "add", "northwind", "--key", key, "--official")
    assert tavo(*given, "--keys", "keys").code == 0
    for name in ("left-placeholders", "token-meter"):
        shutil.copytree(THIRD_PARTY / name, name, ignore=shutil.ignore_patterns("__pycache__"))
    wheels = Path("left-placeholders/.wheels")
    wheels.mkdir()
    (wheels / "northwords-1.0-py3-none-any.whl").write_bytes(WORDS)
    assert tavo("plugin", "lock", "left-placeholders").code == 0
    first = handed_in(tavo, Path("left-placeholders"), "northwind.key",
                      "northwind-left-placeholders-1.2.0.zip")  # fmt: skip
    second = handed_in(tavo, Path("token-meter"), "northwind.key",
                       "northwind-token-meter-0.3.1.zip")  # fmt: skip

    unvetted = tavo("market", "approve", first, "--key", "first.key")
    assert unvetted.code == ExitCode.REFUSED
    assert "the check advisories was not done" in unvetted.err
    assert "tavo market vet" in unvetted.err

    without = tavo("market", "vet", "--keys", "keys")  # the whole queue
    assert without.code == ExitCode.INCOMPLETE
    assert "the market has no snapshot of advisories" in without.out
    assert without.out.count("contract     passed") == 2, without.out
    Path("records").mkdir()
    Path("records/a.json").write_text(json.dumps(
        {"id": "PYSEC-1", "summary": "It leaks", "modified": "2026-01-01T00:00:00Z",
         "affected": [{"package": {"ecosystem": "PyPI", "name": "northwords"},
                       "ranges": [{"type": "ECOSYSTEM",
                                   "events": [{"introduced": "0"}, {"fixed": "1.0"}]}]}]}
    ))  # fmt: skip
    taken = tavo("market", "advisories", "records", "--keys", "keys")
    assert taken.out.startswith("advisories: 1 that stand, the newest of 2026-01-01T00:00:00Z, ")
    assert vet(tavo, first, "--source", "left-placeholders",
               checks=("advisories", "source"))[0] == 0  # fmt: skip

    for identifier in (first, second):
        alone = tavo("market", "approve", identifier, "--key", "first.key")
        assert "1 of 2 approvals" in alone.out, alone.err
        assert ": approved" in tavo("market", "approve", identifier, "--key", "second.key").out
    assert tavo("market", "release", "--keys", "keys").code == 0
    assert tavo("registry", "update").code == 0
    installed = tavo("registry", "install", "northwind/left-placeholders",
                     "northwind/token-meter", "--yes")  # fmt: skip
    assert installed.code == 0, installed.err
    assert installed.out.count("signed by its publisher, 2 reviews") == 2
    assert "ATTENTION" not in installed.out
    Path("prompt.md").write_text("You are <YOUR NAME HERE>.\n")
    scanned = tavo("scan", "prompt.md", "--static-plugins", "northwind/left-placeholders")
    assert "left-placeholder" in scanned.out
    # the reports are released with the package, and the repository's metadata tells their key
    catalog = PrivateKey.load(next(Path("keys").glob("catalog-*.key")), None).public
    with Market.open(market) as opened:
        one = opened.submission(first)
        checks = [check for check in opened.checks(first) if check.name != ORIGINS]
        assert len(checks) == 10
        for check in checks:
            blob = market / "repository" / opened.blob(check.report).relative_to(market)
            claim = verify_vetting(
                blob.read_bytes(), {catalog.key_id: catalog}, one.full_id, one.version, one.package
            )
            assert claim.report["check"] == check.name
            assert str(Path.cwd()) not in json.dumps(claim.report)


def test_failed_check_blocks_and_users_read_who_let_it_pass(tavo: Run, market: Path) -> None:
    identifier = bad_plugin(tavo)
    code, out, _ = vet(tavo, identifier)
    assert code == ExitCode.FINDINGS
    assert "behaviour    FAILED" in out
    shown = tavo("market", "submissions", identifier)
    assert "check      behaviour: failed, report " in shown.out
    assert "A file that holds keys, passwords or cookies of the user is opened" in shown.out
    assert "blocked    failed: behaviour" in shown.out
    value = json.loads(tavo("--json", "market", "submissions", identifier).out)
    assert value["blocked_by"] == {"behaviour": "failed"}
    assert "failed: behaviour" in tavo("market", "status").out

    refused = tavo("market", "approve", identifier, "--key", "first.key")
    assert refused.code == ExitCode.REFUSED
    assert "acme/sample 1.0.0: the check behaviour failed, and the reviewer with key" in refused.err
    assert "--although behaviour=REASON" in refused.err
    assert tavo("market", "release", "--keys", "keys").out.count("0 releases") == 1

    reason = "It reads the key only to warn about its mode"
    although = ("--although", f"behaviour={reason}")
    passed = tavo("market", "approve", identifier, "--key", "first.key", *although)
    assert ": approved" in passed.out
    assert tavo("market", "release", "--keys", "keys").code == 0
    tavo("registry", "update")
    key_id = json.loads(tavo("--json", "key", "show", "first.key").out)["key_id"]
    sentence = (
        f"ATTENTION: the reviewer with key {key_id[:12]} let it pass although the check behaviour"
        f" did not: {reason}\n"
    )
    assert sentence in tavo("registry", "show", "acme/sample").out
    told = json.loads(tavo("--json", "registry", "show", "acme/sample").out)["overrides"]
    assert [(one["check"], one["reason"]) for one in told] == [("behaviour", reason)]
    installed = tavo("registry", "install", "acme/sample", "--yes")
    assert sentence in installed.out
    shutil.rmtree(market / "repository" / "blobs")  # then nobody knows, and that is said
    blind = tavo("registry", "show", "acme/sample")
    assert "Whether reviewers let a failed check pass is not known here: acme/sample" in blind.err
    assert json.loads(tavo("--json", "registry", "show", "acme/sample").out)["overrides"] is None
    assert installed.out.index("ATTENTION") < installed.out.index("It can:")


def test_control_without_the_block_the_bad_plugin_is_released(tavo: Run, market: Path) -> None:
    identifier = bad_plugin(tavo)
    vet(tavo, identifier)
    key = PrivateKey.load(Path("first.key"), None)
    now = parse_time("2026-11-28T12:00:00Z")
    with OperatedMarket.open(market, Keyring({})) as place:
        document = place.publishers()
        one = place.intake.submission(identifier)
        envelope = place.statement(one, key, "approve", now)
        Market._check_vetted, guard = (lambda *_: None), Market._check_vetted  # type: ignore
        try:
            place.intake.record_review(one.uuid, envelope, publishers=document, now=now)
            place.intake.approve(one.uuid, publishers=document, now=now)
        finally:
            Market._check_vetted = guard  # type: ignore[method-assign]
        released = release_catalog(place.intake, Path("catalog.db"))
    assert released.added  # so the guard alone has kept it out


def test_an_override_holds_for_the_report_that_was_read(tavo: Run, market: Path) -> None:
    given = ("market", "publisher", "add", "acme", "--key", public_of(tavo, "more"), "--official")
    assert tavo(*given, "--keys", "keys").code == 0
    identifier = bad_plugin(tavo)
    vet(tavo, identifier, checks=("behaviour",))
    although = ("--although", "behaviour=I read the report")
    assert "1 of 2" in tavo("market", "approve", identifier, "--key", "first.key", *although).out
    # a later report, which the first has not read
    again = ("market", "vet", identifier, "--check", "behaviour", "--key", "second.key")
    assert tavo(*again).code == ExitCode.FINDINGS
    second = tavo("market", "approve", identifier, "--key", "second.key", *although)
    assert second.code == ExitCode.REFUSED
    assert "does not let that pass as it is now" in second.err
    assert tavo("market", "submissions", identifier).out.startswith("acme/sample 1.0.0: submitted")
    once_more = tavo("market", "approve", identifier, "--key", "first.key", *although)
    assert ": approved" in once_more.out, once_more.err


def test_every_reviewer_says_it_alone(tavo: Run, market: Path) -> None:
    given = ("market", "publisher", "add", "acme", "--key", public_of(tavo, "more"), "--official")
    assert tavo(*given, "--keys", "keys").code == 0
    identifier = bad_plugin(tavo)
    vet(tavo, identifier, checks=("behaviour",))
    although = ("--although", "behaviour=I read the report")
    assert "1 of 2" in tavo("market", "approve", identifier, "--key", "first.key", *although).out
    lazy = tavo("market", "approve", identifier, "--key", "second.key")
    assert lazy.code == ExitCode.REFUSED
    assert "does not let that pass" in lazy.err


def test_a_later_good_run_takes_the_block_away(tavo: Run, market: Path) -> None:
    identifier = bad_plugin(tavo)
    (market / "market.toml").write_text('[vetting]\nrequired = []\nlicences = ["MIT"]\n')
    assert vet(tavo, identifier, checks=("licence",))[0] == ExitCode.FINDINGS
    assert tavo("market", "approve", identifier, "--key", "first.key").code == ExitCode.REFUSED
    (market / "market.toml").write_text('[vetting]\nrequired = []\nlicences = ["Apache-2.0"]\n')
    assert vet(tavo, identifier, checks=("licence",))[0] == 0
    assert tavo("market", "approve", identifier, "--key", "first.key").code == 0


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ("[vetting]\nrequird = []\n", "unknown key 'requird'"),
        ("[veting]\n", "unknown key 'veting'"),
        ("vetting = 1\n", "vetting is a section"),
        ('[vetting]\nrequired = ["scam"]\n', "there is no check 'scam'"),
        ("[vetting]\nrequired = 1\n", "Expected `array`"),
        ('[vetting]\nlicences = ["do what you want"]\n', "licences: "),
        ("[vetting\n", "is not TOML"),
    ],
)
def test_wrong_policy_is_an_error_and_never_a_weaker_one(
    tavo: Run, market: Path, policy: str, sentence: str
) -> None:
    (market / "market.toml").write_text(policy)
    done = tavo("market", "status")
    assert done.code == ExitCode.USAGE
    assert sentence in done.err


def test_wrong_usage_of_vetting_gets_a_sentence(tavo: Run, market: Path) -> None:
    identifier = bad_plugin(tavo)
    cases: dict[tuple[str, ...], str] = {
        ("vet",): "no key to sign the reports with",
        ("vet", "--keys", "keys", "--check", "scam"): "there is no check 'scam'",
        ("vet", "--keys", "keys", "--source", "bad"): "--source belongs to one submission",
        ("vet", identifier, "--keys", "keys", "--source", "nowhere"): "nowhere: there is no such",
        ("vet", "0000", "--keys", "keys"): "no submission with the id '0000'",
        ("advisories", "nowhere", "--keys", "keys"): "nowhere: there is no such file or folder",
        ("advisories", "first.key", "--keys", "keys"): "first.key: is not JSON",
        ("submit", "nowhere.submission"): "nowhere.submission: there is no such file",
        ("approve", identifier, "--statement", "nowhere"): "nowhere: there is no such file",
        ("approve", identifier, "--key", "first.key", "--although", "x"): "is not CHECK=REASON",
        ("approve", identifier, "--key", "first.key", "--although", "x=y"): "does not block",
    }
    for words, sentence in cases.items():
        done = tavo("market", *words)
        assert done.code in {ExitCode.USAGE, ExitCode.FAILED}, (words, done)
        assert sentence in done.err, (words, done.err)
        assert "Traceback" not in done.err


def test_own_key_signs_the_reports(tavo: Run, market: Path) -> None:
    identifier = bad_plugin(tavo)
    done = tavo("market", "vet", identifier, "--key", "second.key", "--check", "permissions")
    assert done.code == 0, done.err
    second = PrivateKey.load(Path("second.key"), None).public
    first = PrivateKey.load(Path("first.key"), None).public
    with Market.open(market) as opened:
        one = opened.submission(identifier)
        data = opened.blob(opened.checks(identifier)[-1].report).read_bytes()
    about = (one.full_id, one.version, one.package)
    assert verify_vetting(data, {second.key_id: second}, *about).report["outcome"] == "passed"
    with pytest.raises(AttestationError):
        verify_vetting(data, {first.key_id: first}, *about)
