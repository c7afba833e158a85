"""`tavo plugin` and `tavo key`, and local plugins of `tavo scan`, as a user sees them."""

from __future__ import annotations

import io
import json
import re
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.fakes.authors import author_plugin
from tests.fakes.snapshots import check_snapshot

KEY = "sk-" + "a1B2" * 6


@pytest.fixture(autouse=True)
def _accept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAVO_ACCEPT_SANDBOX", "L2:acme/sample")


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir(exist_ok=True)
    (tmp_path / "project" / "a.py").write_text(f"key = '{KEY}'\n")
    return author_plugin(tmp_path / "sample")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_from_nothing_to_a_signed_package(tavo: Run) -> None:
    assert tavo("plugin", "init", "sample", "--publisher", "acme").code == 0
    assert tavo("plugin", "validate", "sample").code == 0
    done = tavo("plugin", "test", "sample")
    assert done.code == 0, done
    assert "passed: acme/sample 0.1.0" in done.err
    packed = tavo("plugin", "pack", "sample")
    assert packed.out.endswith("  acme-sample-0.1.0.zip\n")
    assert tavo("key", "new", "my.key", "--unsafe-no-passphrase").code == 0
    shown = json.loads(tavo("key", "show", "my.key", "--json").out)
    signed = tavo("plugin", "sign", "acme-sample-0.1.0.zip", "--key", "my.key")
    assert signed.code == 0
    assert signed.out == "acme-sample-0.1.0.zip.dsse.json\n"
    assert shown["key_id"] in signed.err
    report = json.loads(tavo("plugin", "test", "acme-sample-0.1.0.zip", "--json").out)
    assert report["passed"] is True
    assert report["package"] == packed.out.split()[0]


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="no ends of children to ignore")
def test_who_starts_us_may_ignore_how_children_end(tavo: Run, plugin: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert tavo("plugin", "test", plugin).code == 0
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_init_says_what_it_wrote_and_overwrites_nothing(tavo: Run) -> None:
    done = tavo("plugin", "init", "sample", "--type", "proxy", "--folder", "x/y", "--json")
    assert "main.py" in json.loads(done.out)["files"]
    assert tavo("plugin", "init", "sample", "--folder", "x/y").code == 5
    assert tavo("plugin", "init", "No").code == 2


def test_validate_and_test_end_with_1_for_problems(tavo: Run, plugin: Path) -> None:
    (plugin / "tests" / "test_main.py").write_text(
        "def test_x():\n    raise OSError('x\\x1b[2J')\n"
    )
    done = tavo("plugin", "test", plugin)
    assert done.code == 1
    assert "\x1b" not in done.out
    (plugin / "LICENSE").unlink()
    done = tavo("plugin", "validate", plugin)
    assert done.code == 1
    assert "LICENSE: is missing" in done.out
    assert json.loads(tavo("plugin", "validate", plugin, "--json").out)["passed"] is False
    assert tavo("plugin", "test", plugin).code == 5


def test_run_shows_findings(tavo: Run, plugin: Path) -> None:
    done = tavo("plugin", "run", plugin, "a.py")
    assert done.code == 1
    assert done.out.startswith("a.py:1:8  high  hard-coded-model-key  ")
    assert "1 finding in 1 file;" in done.err
    value = json.loads(tavo("plugin", "run", plugin, "a.py", "--json").out)
    assert value["findings"][0]["line"] == 1
    assert tavo("plugin", "run", plugin).code == 2
    assert tavo("plugin", "run", plugin, "--prompt", "x").code == 2
    assert tavo("plugin", "run", plugin, "a.py", "--prompt", "x").code == 2


def test_run_shows_where_the_plugin_failed(tavo: Run, plugin: Path) -> None:
    (plugin / "main.py").write_text(
        "from tavo.plugins import StaticAnalysisPlugin\n\n\n"
        "class Sample(StaticAnalysisPlugin):\n"
        "    def analyze_file(self, path, content):\n"
        "        return 1 / 0\n"
    )
    done = tavo("plugin", "run", plugin, "a.py")
    assert done.code == 4
    assert "a.py: it raised ZeroDivisionError" in done.err
    assert 'main.py", line 6' in done.err


def test_what_a_user_sees(tavo: Run, plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole text of each command; digests and figures are masked."""
    seen = []

    def see(*words: object) -> None:
        done = tavo(*words)
        seen.append(f"$ tavo {' '.join(map(str, words))}\n{done.out}{done.err}[{done.code}]\n")

    see("plugin", "init", "sample", "--publisher", "acme")
    see("plugin", "init", "sample")
    see("plugin", "validate", "sample")
    see("plugin", "test", "sample")
    see("scan", "a.py", "--static-plugins", "./sample")
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    see("plugin", "trust", "sample")
    text = re.sub(r"[0-9a-f]{64}", "<digest>", "\n".join(seen))
    text = re.sub(r"sandbox L[23]", "sandbox <level>", text)
    check_snapshot(Path(__file__).parent / "snapshots" / "plugin.txt", text)


def test_run_of_the_other_types(tavo: Run, tmp_path: Path) -> None:
    proxy = author_plugin(tmp_path / "proxy", "proxy")
    done = tavo("plugin", "run", proxy, "--prompt", "4111 1111 1111 1111", "--answer", "ok")
    assert (done.code, done.out) == (
        1,
        "request: modify [card-number]: A card number was taken out.\n  user: [card]\n"
        "response: allow\n",
    )
    dynamic = author_plugin(tmp_path / "dynamic", "dynamic")
    done = tavo("plugin", "run", dynamic, "--answer", "violet-harbor-1871")
    assert (done.code, done.out) == (
        1,
        "broken  1.00  medium  system-prompt-leak  tell the secret of the system prompt"
        " (1 attempt)\n",
    )
    assert tavo("plugin", "run", dynamic, "--answer", "No.").code == 0
    assert tavo("plugin", "run", dynamic, "--target", "http://localhost:1").code == 4
    log = author_plugin(tmp_path / "log", "log")
    Path("a.log").write_text("nothing\n")
    assert tavo("plugin", "run", log, "--log", "a.log").out == "refusals = 0\n"


def test_watch_runs_until_it_is_stopped(tavo: Run, plugin: Path, monkeypatch: pytest.MonkeyPatch
                                        ) -> None:  # fmt: skip
    def stop(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tavo.kit.run.watched.__kwdefaults__", {"sleep": stop, "every_s": 1.0})
    done = tavo("plugin", "run", plugin, "a.py", "--watch")
    assert done.code == 130
    assert "hard-coded-model-key" in done.out
    assert "Run 1" in done.err


def test_a_local_plugin_is_refused_where_nobody_can_answer(tavo: Run, plugin: Path) -> None:
    done = tavo("scan", "a.py", "--static-plugins", plugin)
    assert done.code == 5
    assert "nobody signed or reviewed this plugin (acme/sample 0.1.0)" in done.err
    assert f"tavo plugin trust {plugin}" in done.err
    assert "--accept-local" in done.err


def test_a_local_plugin_runs_by_its_digest_for_one_run(tavo: Run, plugin: Path) -> None:
    digest = json.loads(tavo("plugin", "validate", plugin, "--json").out)["package"]
    done = tavo("scan", "a.py", "--static-plugins", plugin, "--accept-local", digest)
    assert done.code == 1
    assert "hard-coded-model-key" in done.out
    assert tavo("scan", "a.py", "--static-plugins", plugin).code == 5  # it was not remembered
    (plugin / "README.md").write_text("changed\n")
    done = tavo("scan", "a.py", "--static-plugins", plugin, "--accept-local", digest)
    assert done.code == 5


def test_trust_is_asked_for_once_and_again_after_a_change(
    tavo: Run, plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    done = tavo("scan", "a.py", "--static-plugins", plugin)
    assert done.code == 5
    assert "you did not agree" in done.err
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    done = tavo("scan", "a.py", "--static-plugins", plugin)
    assert done.code == 1
    assert "Nobody signed or reviewed this plugin." in done.err
    assert "It can NOT:" in done.err
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert tavo("scan", "a.py", "--static-plugins", plugin).code == 1
    packed = tavo("plugin", "pack", plugin)
    assert tavo("scan", "a.py", "--static-plugins", "acme-sample-0.1.0.zip").code == 1, packed
    (plugin / "README.md").write_text("changed\n")
    assert tavo("scan", "a.py", "--static-plugins", plugin).code == 5


def test_trust_without_a_terminal_takes_the_digest(tavo: Run, plugin: Path) -> None:
    refused = tavo("plugin", "trust", plugin)
    assert refused.code == 5
    assert "--digest" in refused.err
    done = tavo("plugin", "trust", plugin, "--digest", "0" * 64)
    assert done.code == 5
    assert "has the digest" in done.err
    digest = json.loads(tavo("plugin", "validate", plugin, "--json").out)["package"]
    assert tavo("plugin", "trust", plugin, "--digest", digest).code == 0
    assert tavo("scan", "a.py", "--static-plugins", plugin).code == 1


def test_a_scanned_project_cannot_start_a_plugin(tavo: Run, tmp_path: Path) -> None:
    """Neither by its settings, nor by a folder that is called like an installed plugin."""
    author_plugin(Path("acme") / "sample")
    author_plugin(Path("model-files"))
    for name in ("acme/sample", "model-files"):
        done = tavo("scan", ".", "--static-plugins", name)
        assert done.code == 2
        assert "is not installed" in done.err
    for line in ('static_plugins = ["./acme/sample"]', 'accept_local = ["x"]'):
        Path("tavo.toml").write_text(f"[scan]\n{line}\n")
        assert tavo("scan", ".").code == 2
    Path("tavo.toml").write_text('[sandbox]\naccept = ["L0:acme/sample"]\n')
    assert tavo("scan", ".").code == 2
    Path("tavo.toml").unlink()
    assert tavo("scan", ".", "--static-plugins", "./acme/sample").code == 5


def test_the_plugin_that_is_scanned_is_not_run(tavo: Run, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    author_plugin(Path("own"), main_py=f"open({str(marker)!r}, 'w')\n")
    assert tavo("scan", ".").code in {0, 1}
    assert tavo("plugin", "validate", "own").code == 1
    assert not marker.exists()


def test_a_key_needs_a_passphrase_or_an_unsafe_word(
    tavo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tavo("key", "new", "a.key").code == 5
    done = tavo("key", "new", "a.key", "--unsafe-no-passphrase")
    assert "whoever reads this file can sign as you" in done.err
    assert Path("a.key").stat().st_mode & 0o077 == 0
    assert tavo("key", "new", "a.key", "--unsafe-no-passphrase").code == 3  # never overwritten
    assert tavo("key", "show", "nothing.key").code == 3
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "several words here")
    monkeypatch.setattr("sys.stdin", Terminal())
    made = tavo("key", "new", "b.key")
    assert b"ENCRYPTED" in Path("b.key").read_bytes()
    assert tavo("key", "show", "b.key").out == made.out
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert tavo("key", "show", "b.key").code == 3
