"""The evidence behind a release, as its users read it: online, from a mirror, out of the file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from marketplace_db.intake import Market
from signing.digests import Digest
from tavo.errors import ExitCode
from tests.cli.conftest import Run
from tests.cli.test_cli_market import id_of, market, submission_of
from tests.cli.test_cli_market_vet import bad_plugin, vet
from tests.fakes.marketplace import BUILT, Marketplace
from tests.fakes.repository import NOW

__all__ = ["market"]

REASON = "It reads the key only to warn about its mode"


@pytest.fixture
def overridden(tavo: Run, market: Path) -> Path:
    """acme/sample 1.0.0 is released although its behaviour failed."""
    identifier = bad_plugin(tavo)
    assert vet(tavo, identifier, checks=("package", "licence", "behaviour"))[0] == 1
    given = ("market", "approve", identifier, "--key", "first.key")
    assert tavo(*given, "--although", f"behaviour={REASON}").code == 0
    assert tavo("market", "release", "--keys", "keys").code == 0
    assert tavo("registry", "update").code == 0
    return market


def test_each_check_its_outcome_and_who_let_it_pass(tavo: Run, overridden: Path) -> None:
    key_id = json.loads(tavo("--json", "key", "show", "first.key").out)["key_id"]
    done = tavo("registry", "reports", "acme/sample")
    assert done.code == ExitCode.FINDINGS
    lines = done.out.splitlines()
    assert lines[0] == "acme/sample 1.0.0"
    assert lines[1].startswith("  package    sha256 ")
    assert f"  reviewer   key {key_id[:12]} approved it " in done.out
    assert "and read 3 reports" in done.out
    for check, outcome in (("package", "passed"), ("licence", "passed"), ("behaviour", "failed")):
        assert any(line.split()[:3] == [check, outcome, "sha256"] for line in lines), done.out
    assert "A file that holds keys, passwords or cookies of the user is opened" in done.out
    assert f"    LET PASS   by the reviewer with key {key_id[:12]}: {REASON}\n" in done.out

    told = json.loads(tavo("--json", "registry", "reports", "acme/sample==1.0.0").out)
    assert [one["check"] for one in told["reports"]] == ["package", "licence", "behaviour"]
    assert told["reviews"][0]["overrides"] == [{"check": "behaviour", "reason": REASON}]
    for one in told["reports"]:
        blob = overridden / "repository/blobs/sha256" / one["sha256"][:2] / one["sha256"]
        assert Digest.of(blob.read_bytes()).hex == one["sha256"]
        assert one["report"]["schema"] == "tavo-vetting/1"


def test_behind_an_air_gap_the_reports_are_there_too(tavo: Run, overridden: Path) -> None:
    online = tavo("registry", "reports", "acme/sample")
    assert tavo("mirror", "sync", "m", "--from", overridden / "repository").code == 0
    shutil.rmtree(overridden / "repository" / "blobs")
    mirrored = tavo("registry", "reports", "acme/sample", "--mirror", "m")
    assert (mirrored.code, mirrored.out) == (online.code, online.out)
    mirrored_json = tavo("--json", "registry", "reports", "acme/sample", "--mirror", "m")
    # bytes that are not what its reviewer read are not shown, and not passed on
    listed = json.loads(mirrored_json.out)
    (digest,) = (r["sha256"] for r in listed["reports"] if r["check"] == "behaviour")
    path = Path("m/blobs/sha256") / digest[:2] / digest
    path.write_bytes(b"{}" + b" " * (path.stat().st_size - 2))
    changed = tavo("registry", "reports", "acme/sample", "--mirror", "m")
    assert changed.code == ExitCode.REFUSED
    assert "sha256 is" in changed.err
    assert tavo("mirror", "sync", "n", "--from", "m").code == ExitCode.REFUSED


def test_a_report_that_is_missing_is_said(tavo: Run, overridden: Path) -> None:
    listed = json.loads(tavo("--json", "registry", "reports", "acme/sample").out)
    (digest,) = (r["sha256"] for r in listed["reports"] if r["check"] == "behaviour")
    (overridden / "repository/blobs/sha256" / digest[:2] / digest).unlink()
    done = tavo("registry", "reports", "acme/sample")
    assert done.code == ExitCode.INCOMPLETE
    assert f"missing   sha256 {digest}" in done.out
    assert "a report about acme/sample cannot be had" in done.out
    synced = tavo("mirror", "sync", "m", "--from", overridden / "repository")
    assert synced.code == 0
    assert "1 vetting report that reviewers name is not at the source" in synced.err
    assert tavo("registry", "install", "acme/sample", "--yes", "--mirror", "m").code == 0


def test_a_release_that_nobody_vetted_says_so(tavo: Run, market: Path) -> None:
    identifier = id_of(tavo, submission_of(tavo, "finder"))
    assert tavo("market", "approve", identifier, "--key", "first.key").code == 0
    assert tavo("market", "release", "--keys", "keys").code == 0
    assert tavo("registry", "update").code == 0
    done = tavo("registry", "reports", "acme/finder")
    assert done.code == ExitCode.INCOMPLETE
    assert "No report was read by its reviewers." in done.out


def test_a_dismissed_reviewer_is_no_evidence(tavo: Run, overridden: Path) -> None:
    first = json.loads(tavo("--json", "key", "show", "first.key").out)["key_id"]
    assert tavo("market", "reviewer", "remove", first, "--keys", "keys").code == 0
    assert tavo("registry", "update").code == 0
    done = tavo("registry", "reports", "acme/sample")
    assert done.code == ExitCode.REFUSED
    assert "  REFUSED    needs 1 reviewers' approvals, has 0" in done.out
    assert "  reviewer   does not count: " in done.out
    assert REASON not in done.out


def test_a_report_cannot_steer_the_terminal(tavo: Run, market: Path) -> None:
    identifier = id_of(tavo, submission_of(tavo, "finder"))
    with Market.open(market) as opened:
        report = json.dumps({"check": "pack\x1b[2Jage", "outcome": "passed"}).encode()
        opened.record_check(identifier, name="package", outcome="passed", report=report, now=NOW)
    assert tavo("market", "approve", identifier, "--key", "first.key").code == 0
    assert tavo("market", "release", "--keys", "keys").code == 0
    assert tavo("registry", "update").code == 0
    done = tavo("registry", "reports", "acme/finder")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert "recorded" in done.out  # nobody signed it: its word is not taken


def test_wrong_names_get_a_sentence(tavo: Run, overridden: Path) -> None:
    for name, sentence in (
        ("acme/nothing", "no plugin 'acme/nothing' in the catalog"),
        ("acme/sample==9.0", "no version '9.0' of acme/sample in the catalog"),
    ):
        done = tavo("registry", "reports", name)
        assert done.code == ExitCode.REFUSED
        assert sentence in done.err


def test_what_is_inside_the_file_has_reports_too(
    tavo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Marketplace(tmp_path / "made", now=BUILT)
    monkeypatch.setattr("tavo.registry.embedded.embedded_folder", lambda: made.folder / "embedded")
    done = tavo("registry", "reports", "small")
    assert done.code == 0, done.err
    assert "  package      recorded  sha256 " in done.out
    assert done.out.count("and read 1 report\n") == 2
