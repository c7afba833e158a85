"""The whole way across an air gap, as its people type it: out, over, in, and the recall after."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tavo.errors import ExitCode
from tests.cli.conftest import Done, Run
from tests.cli.test_cli_fallen import released
from tests.cli.test_cli_market import market

__all__ = ["market"]

ROOT = Path(__file__).parents[2]
NO_ROUTE = ["unshare", "--map-root-user", "--net"]

Isolated = Callable[..., Done]


@pytest.fixture
def isolated(tavo: Run, market: Path, tmp_path: Path) -> Isolated:
    """Run commands as another user's machine, in a network without a route where there can be."""
    home = tmp_path / "isolated"
    (home / ".config" / "tavo").mkdir(parents=True)
    (home / "project").mkdir()
    (home / "project" / "app.py").write_text("print('a secret')\n")
    root = shutil.copy(market / "repository" / "metadata" / "1.root.json", home / "root.json")
    (home / ".config" / "tavo" / "tavo.toml").write_text(f'[registry]\nroot = "{root}"\n')
    alone = shutil.which("unshare") and not subprocess.run(
        [*NO_ROUTE, "true"], check=False, capture_output=True
    ).returncode  # fmt: skip

    def run(*words: object) -> Done:
        done = subprocess.run(
            [*(NO_ROUTE if alone else []), sys.executable, "-m", "tavo", *map(str, words)],
            cwd=home, capture_output=True, text=True, check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT),
                 "COLUMNS": "100"},
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that is written outside, and read only inside."""
    folder = tmp_path / "disk"
    folder.mkdir()
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | stat.S_IWUSR)


def write_protect(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)


def test_the_whole_way_across_an_air_gap(
    tavo: Run, market: Path, isolated: Isolated, disk: Path
) -> None:
    # outside: a marketplace, a mirror of it, and a bundle in three parts
    released(tavo, "0.1.0", "acme")
    synced = tavo("mirror", "sync", "outside", "--from", market / "repository")
    assert synced.code == 0, synced.err
    assert "outside: 1 release, " in synced.out
    assert " bytes read in " in synced.out
    whole = tavo("mirror", "export", "whole", "--from", "outside")
    (one,) = map(Path, whole.out.split())
    size = max(16 << 10, one.stat().st_size // 3 + 8192)
    exported = tavo("mirror", "export", disk / "monday", "--from", one, "--part-size", size)
    assert exported.code == 0, exported.err
    parts = [Path(line) for line in exported.out.splitlines()]
    assert len(parts) == 3
    write_protect(disk)

    # inside: what it is can be read, a lost part is named, and the order does not matter
    shown = isolated("mirror", "status", parts[1])
    assert "kind: full\n" in shown.out
    assert "parts missing: 1, 3\n" in shown.out
    assert isolated("mirror", "import", "m", *parts[:2]).code == ExitCode.FAILED
    lost = isolated("mirror", "import", "m", parts[2], parts[0])
    assert (lost.code, "missing: part 2" in lost.err) == (ExitCode.FAILED, True)
    imported = isolated("mirror", "import", "m", parts[2], parts[0], parts[1])
    assert imported.code == 0, imported.err
    assert "m: 1 release, " in imported.out
    assert isolated("mirror", "import", "m", disk / "monday").code == 0  # once more
    assert "files" in isolated("mirror", "verify", "m").out
    status = json.loads(isolated("--json", "mirror", "status", "m").out)
    assert (status["kind"], status["expired"]) == ("full", False)

    # inside: install, and scan with it
    done = isolated("registry", "install", "acme/finder", "--yes", "--mirror", "m")
    assert "Installed acme/finder 0.1.0." in done.out, done.err
    scanned = isolated("scan", "project", "--static-plugins", "acme/finder", "--format", "json")
    assert scanned.code in {ExitCode.OK, ExitCode.FINDINGS}, scanned.err
    assert isolated("registry", "verify").code == 0

    # outside, later: the package is recalled, and an incremental bundle goes over
    recalled = (
        "market",
        "revoke",
        "acme/finder",
        "0.1.0",
        "--reason",
        "It steals",
        "--keys",
        "keys",
    )
    assert tavo(*recalled).code == 0
    assert tavo("market", "release", "--keys", "keys").code == 0
    wanted = tavo("--json", "mirror", "status", "outside", "--from", market / "repository")
    assert json.loads(wanted.out)["would_fetch"]["files"] > 0
    assert tavo("mirror", "sync", "outside", "--from", market / "repository").code == 0
    have = next(Path("whole").glob("*.have"))
    step = tavo("mirror", "export", "step", "--from", "outside", "--since", have)
    assert step.code == 0, step.err
    assert "incremental, builds on version" in step.err
    (file,) = map(Path, step.out.split())
    assert file.stat().st_size < one.stat().st_size
    assert isolated("mirror", "import", "new", file.absolute()).code == ExitCode.FAILED

    # inside: the recall takes effect with the import
    assert isolated("registry", "verify").code == 0
    stepped = isolated("mirror", "import", "m", file.absolute())
    assert stepped.code == 0, stepped.err
    refused = isolated("registry", "verify")
    assert refused.code == ExitCode.REFUSED
    assert "acme/finder 0.1.0: was recalled: It steals" in refused.out
    assert isolated("scan", "project", "--static-plugins", "acme/finder").code == ExitCode.REFUSED


PAGE = (ROOT / "docs" / "air-gap.md").read_text("utf-8")


def test_the_page_runs(tavo: Run, market: Path, isolated: Isolated, disk: Path) -> None:
    """Each block of docs/air-gap.md, in order, on the side that its first line names."""
    Path("osv").mkdir()
    Path("osv/one.json").write_text(json.dumps({
        "id": "PYSEC-1", "modified": "2026-07-01T00:00:00Z", "affected": [
            {"package": {"ecosystem": "PyPI", "name": "nobody-has-this"}, "versions": ["1.0"]}
        ],
    }))  # fmt: skip
    assert tavo("market", "advisories", "osv", "--keys", "keys").code == 0
    released(tavo, "0.1.0", "acme")
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)
    assert len(blocks) == 9
    for block in blocks:
        side, *lines = block.splitlines()
        if "later" in side:
            released(tavo, "0.2.0", "acme")
        run = isolated if "inside" in side else tavo
        for line in lines:
            words = line.replace("https://market.example/repository", "market/repository")
            first, *rest = shlex.split(words.replace("/media/disk", str(disk)))
            assert first == "tavo"
            done = run(*rest)
            assert done.code in {0, 1 if rest[0] == "scan" else 0}, (line, done.err)
    assert len(list((disk / "cds").iterdir())) == 1


def test_a_damaged_mirror_is_told_by_name(tavo: Run, market: Path) -> None:
    released(tavo, "0.1.0", "acme")
    assert tavo("mirror", "sync", "m", "--from", market / "repository").code == 0
    one, two, *_ = sorted(path for path in Path("m/blobs").rglob("*") if path.is_file())
    whole = one.read_bytes()
    one.write_bytes(b"damaged")
    found = tavo("mirror", "verify", "m")
    assert found.code == ExitCode.REFUSED
    assert found.out == f"DAMAGED: {one.relative_to('m')}\n"
    one.write_bytes(whole)
    two.unlink()
    found = tavo("mirror", "verify", "m")
    assert found.code == ExitCode.FAILED
    assert found.out == f"MISSING: {two.relative_to('m')}\n"
    assert tavo("mirror", "sync", "m", "--from", market / "repository").code == 0
    assert tavo("mirror", "verify", "m").code == 0


@pytest.mark.parametrize(("words", "code", "sentence"), [
    (("export", "o", "--from", "nowhere"), 3, "nowhere: cannot be read"),
    (("export", "o", "--from", ".", "--part-size", "4.7G"), 2, "not a size of parts"),
    (("sync", "m", "--from", "repository", "--platform", "beos"), 2, "beos: not a platform"),
    (("sync", "m", "--from", "repository", "--python", "3.x"), 2, "not a version of Python"),
    (("import", "m", "."), 3, "no bundle here"),
    (("import", "m", "a.txt"), 3, "is no part of a bundle"),
    (("import", "m", "a.have"), 3, "It is for the next export, as --since"),
    (("status", "."), 3, "no bundle here"),
    (("serve", "."), 3, "not a repository, it has no folder metadata"),
    (("sync", "m", "--from", "."), 2, "not a repository"),
])  # fmt: skip
def test_what_is_typed_wrong_is_told(
    tavo: Run, market: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    Path("a.txt").write_text("hello")
    Path("a.have").write_text("hello")
    done = tavo("mirror", *words)
    assert done.code == code, done.err
    assert sentence in done.err
