"""What a mirror carries besides plugins, how it is used from there, and keeping it small."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from signing.keyring import Keyring
from signing.repository import Repository
from tavo.cli.render import progress_line, size_of
from tavo.errors import ExitCode
from tavo.registry.trust import utc_now
from tests.cli.conftest import Run
from tests.cli.test_cli_fallen import released
from tests.cli.test_cli_market import market

__all__ = ["market"]

ROOT = Path(__file__).parents[2]
ADVISORY = {
    "id": "GHSA-aaaa-bbbb-cccc", "modified": "2026-10-01T00:00:00Z",
    "published": "2026-09-01T00:00:00Z", "summary": "dep runs what it reads",
    "affected": [{"package": {"ecosystem": "PyPI", "name": "dep"},
                  "ranges": [{"type": "ECOSYSTEM",
                              "events": [{"introduced": "0"}, {"fixed": "2.0"}]}]}],
}  # fmt: skip
RULE = """rules:
  - id: team.no-eval
    languages: [python]
    severity: ERROR
    message: No eval here.
    pattern: eval(...)
"""


def test_rules_advisories_and_tavo_itself_cross_with_a_mirror(tavo: Run, market: Path) -> None:
    # outside: a pack of rules, a snapshot of advisories, and a file of tavo
    for name, text in (("rules/a.yaml", RULE), ("osv/a.json", json.dumps(ADVISORY))):
        Path(name).parent.mkdir()
        Path(name).write_text(text)
    publish = ("market", "rules", "rules", "--name", "team", "--keys", "keys", "--version")
    assert tavo(*publish, "1.0").code == 0
    again = tavo(*publish, "1.0")
    assert again.code == ExitCode.REFUSED
    assert "releases/rules-team-1.0.zip is published already" in again.err
    assert tavo(*publish, "1").code == 0
    assert tavo(*publish, "01.0").code == ExitCode.USAGE
    assert tavo("market", "advisories", "osv", "--keys", "keys").code == 0
    file = Path("tavo-9.0.0.pyz")
    file.write_bytes(b"a file of tavo")
    repository = Repository.open(market / "repository", Keyring.load(Path("keys")))
    repository.publish(releases=[file], now=utc_now())
    released(tavo, "0.1.0", "acme")

    # over: a mirror, a bundle that says what is in it, and a mirror inside
    assert tavo("mirror", "sync", "outside", "--from", market / "repository").code == 0
    carried = "advisories.db, rules-team-1.0.zip, rules-team-1.zip, tavo-9.0.0.pyz"
    assert f"also: {carried}\n" in tavo("mirror", "status", "outside").out
    exported = tavo("mirror", "export", "disk", "--from", "outside", "--part-size", "32K")
    assert len(exported.out.splitlines()) > 2
    assert f"also: {carried}\n" in tavo("mirror", "status", "disk").out
    listed = tavo("mirror", "status", "disk", "--files").out
    assert any(line.endswith(".tavo-9.0.0.pyz") and line.split()[0] == "14"
               for line in listed.splitlines())  # fmt: skip
    part = exported.out.splitlines()[1]
    assert "also" not in tavo("mirror", "status", part).out
    assert tavo("mirror", "import", "inside", "disk").code == 0

    # inside: the rules find, the advisories are asked, and tavo's releases are known
    packs = json.loads(tavo("--json", "rules", "packs", "--mirror", "inside").out)
    assert [(one["name"], one["version"]) for one in packs] == [("team", "1.0"), ("team", "1")]
    fetched = tavo("rules", "fetch", "team", "--version", "1.0", "--mirror", "inside")
    assert (fetched.code, fetched.out) == (0, "team-1.0\n")
    assert "It was there already" in tavo("rules", "fetch", "team", "--mirror", "inside").err
    Path("app").mkdir()
    Path("app/a.py").write_text("eval(input())\n")
    assert "team.no-eval" in tavo("scan", "app", "--rules", "team-1.0").out
    unknown = tavo("rules", "fetch", "teem", "--mirror", "inside")
    assert unknown.code == ExitCode.FAILED
    assert "There are: team 1.0, team 1." in unknown.err
    asked = tavo("registry", "advisories", "--mirror", "inside")
    assert asked.code == 0
    assert "0 known about 0 wheels of 0 plugins; the snapshot has 1 advisory, " in asked.err

    # a market inside takes the snapshot from the mirror
    snapshot = next(Path("inside/targets/catalog").glob("*.advisories.db"))
    taken = tavo("market", "advisories", snapshot, "--keys", "keys")
    assert "advisories: 1 that stand, the newest of 2026-10-01" in taken.out, taken.err

    # a changed pack is refused
    target = next(Path("inside/targets/releases").glob("*rules-team-1.0.zip"))
    target.write_bytes(target.read_bytes()[:-1] + b"!")
    refused = tavo("rules", "fetch", "team", "--mirror", "inside", "--to", "new")
    assert refused.code == ExitCode.REFUSED
    assert "sha256 is" in refused.err
    assert not list(Path("new").iterdir())


def test_rules_that_cannot_be_used_are_not_signed(tavo: Run, market: Path) -> None:
    Path("rules").mkdir()
    Path("rules/a.yaml").write_text(RULE.replace("pattern: eval(...)", "pattern: ((("))
    done = tavo("market", "rules", "rules", "--name", "team", "--version", "1.0", "--keys", "keys")
    assert done.code == ExitCode.FAILED
    assert "nothing was signed" in done.err
    assert "team.no-eval" in done.out
    assert tavo("rules", "packs", "--mirror", market / "repository").err.endswith(
        "has signed no packs of rules.\n"
    )


def test_pruning_lists_and_deletes_when_told(tavo: Run, market: Path) -> None:
    released(tavo, "0.1.0", "acme")
    sync = ("mirror", "sync", "m", "--from", market / "repository", "--python", "3.11",
            "--platform", "linux-x86_64", "--connections", "2")  # fmt: skip
    assert tavo(*sync).code == 0
    assert "filters pythons: 3.11\n" in tavo("mirror", "status", "m").out
    assert tavo("market", "release", "--keys", "keys").code == 0
    assert tavo(*sync).code == 0
    young = tavo("mirror", "prune", "m")
    assert young.out == ""
    assert "Nothing to prune.\n" in young.err
    assert "that nothing refers to stay until 7 days old.\n" in young.err
    listed = tavo("mirror", "prune", "m", "--keep-days", "0")
    assert "nothing was deleted: add --delete.\n" in listed.err
    assert all(Path("m", line).is_file() for line in listed.out.splitlines())
    done = tavo("--json", "mirror", "prune", "m", "--keep-days", "0", "--delete")
    assert json.loads(done.out)["paths"] == listed.out.splitlines()
    assert not any(Path("m", line).exists() for line in listed.out.splitlines())
    assert tavo("mirror", "verify", "m").code == 0
    refused = tavo("mirror", "prune", market / "repository", "--delete")
    assert refused.code == ExitCode.FAILED
    assert "A marketplace's own repository is never pruned." in refused.err


@pytest.mark.parametrize("words", [(), ("--files-only",)])
def test_one_command_serves_files_and_pages(
    tavo: Run, market: Path, home: Path, words: tuple[str, ...]
) -> None:
    released(tavo, "0.1.0", "acme")
    assert tavo("mirror", "sync", "m", "--from", market / "repository").code == 0
    server = subprocess.Popen(
        [sys.executable, "-m", "tavo", "mirror", "serve", "m", "--port", "0", *words],
        stdout=subprocess.PIPE, text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)},
        # whatever started these tests may have it ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        address = line.split(" at ")[1].split(";")[0].strip()
        assert ("its pages are there, too" in line) is not bool(words)
        assert json.loads(urlopen(f"{address}metadata/timestamp.json").read())["signed"]
        if not words:
            assert b"acme/finder" in urlopen(address).read()
        assert tavo("mirror", "sync", "again", "--from", address).code == 0
    finally:
        server.send_signal(signal.SIGINT)
        code = server.wait(30)
        server.stdout.close()  # type: ignore[union-attr]
    assert code == 0  # that is how one ends it


def test_without_a_trusted_root_the_files_are_served_alone(
    tavo: Run, market: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tavo.registry.mirror_server import MirrorServer

    released(tavo, "0.1.0", "acme")
    assert tavo("mirror", "sync", "m", "--from", market / "repository").code == 0
    (home / ".config" / "tavo" / "tavo.toml").unlink()

    def interrupted(self: MirrorServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(MirrorServer, "serve_forever", interrupted)
    done = tavo("mirror", "serve", "m", "--port", "0")
    assert done.code == 0
    assert "Files only, without pages: " in done.err
    assert done.out.startswith("Serving m at http://127.0.0.1:")


@pytest.mark.parametrize(("arguments", "line"), [
    (("copying", 5, 10, "", 3.0), "copying 5/10"),
    (("copying", 5, 0, "", 3.0), "copying 5"),
    (("copying", 1_000_000, 4_000_000, "bytes", 0.5), "copying 1.0 MB of 4.0 MB"),
    (("copying", 1_000_000, 4_000_000, "bytes", 10.0), "copying 1.0 MB of 4.0 MB, 30 s left"),
    (("copying", 1_000, 400_000, "bytes", 10.0), "copying 1.0 kB of 400.0 kB, 1 h 6 min left"),
    (("copying", 10, 200, "bytes", 10.0), "copying 10 B of 200 B, 3 min 10 s left"),
    (("copying", 0, 200, "bytes", 10.0), "copying 0 B of 200 B"),
    (("copying", 300, 200, "bytes", 10.0), "copying 300 B of 200 B, 0 s left"),
])  # fmt: skip
def test_progress_tells_sizes_and_the_time_that_is_left(
    arguments: tuple[str, int, int, str, float], line: str
) -> None:
    assert progress_line(*arguments) == line


@pytest.mark.parametrize(("count", "text"), [
    (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
    (4_294_967_295, "4.3 GB"), (7_000_000_000_000_000, "7000.0 TB"),
])  # fmt: skip
def test_sizes_are_for_people(count: int, text: str) -> None:
    assert size_of(count) == text
