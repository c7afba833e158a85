"""What a plugin may do, as its user sees it: asked on install, on update, later, or not at all.

The marketplace is signed and served as the build makes it, the terminal is a real one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tavo.folders import user_paths
from tests.cli.conftest import Done, Run
from tests.fakes.marketplace import MAIN, Marketplace
from tests.fakes.snapshots import check_snapshot

Answers = Callable[[str], None]
pty = pytest.importorskip("pty")

NET = "permissions: {network: [api.example.com]}\n"
KEYED = "permissions: {network: [api.example.com], env: [API_KEY, OTHER_KEY]}\n"
NATIVE = "permissions: {network: [api.example.com], native_code: true}\n"

CHAIN = """\
pipeline: 1
name: chain
steps:
  - {id: sources, use: files, paths: ["."]}
  - {id: first, use: plugin, plugin: tavo/tool, files: sources}
"""

SAYS_VARIABLES = """\
import os

from tavo.plugins import Finding, Location, Region, Rule, Severity, StaticAnalysisPlugin


class Small(StaticAnalysisPlugin):
    rules = (Rule(id="word", title="What it sees", severity=Severity.HIGH),)

    def analyze_file(self, file_path, content):
        seen = sorted(name for name in os.environ if name.endswith("_KEY"))
        yield Finding(
            rule_id="word", message="It sees: " + (", ".join(seen) or "nothing"),
            severity=Severity.HIGH,
            location=Location(path=file_path,
                              region=Region(start_line=1, end_line=1, end_column=2)),
        )
"""


@dataclass
class Shop:
    """A marketplace that this machine uses, and its commands."""

    market: Marketplace
    run: Run
    began: datetime
    releases: int = 0

    def release(self, *versions: tuple[str, str], name: str = "tool", main: str = MAIN) -> None:
        """Release versions of a plugin, each with further lines of its manifest."""
        for version, more in versions:
            folder = f"{name}-{version}"
            self.market.write_plugin(name, version, main=main, more=more, folder=folder)
        self.releases += 1
        self.market.release(self.began + timedelta(seconds=self.releases))

    def __call__(self, *words: str, code: int = 0) -> Done:
        done = self.run(*words, "--mirror", str(self.market.repository))
        assert done.code == code, done
        return done

    def local(self, *words: str, code: int = 0) -> Done:
        """Run a command that uses no catalog."""
        done = self.run(*words)
        assert done.code == code, done
        return done

    def installed(self) -> dict[str, object]:
        (one,) = json.loads(self.local("registry", "list", "--json").out)
        return one


@pytest.fixture
def shop(home: Path, tavo: Run, tmp_path: Path) -> Shop:
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    market = Marketplace(tmp_path / "market", now=began)
    config = home / ".config" / "tavo"
    config.mkdir(parents=True)
    (root,) = (market.repository / "metadata").glob("*.root.json")
    (config / "root.json").write_bytes(root.read_bytes())
    (config / "tavo.toml").write_text(f'[registry]\nroot = "{config / "root.json"}"\n')
    return Shop(market, tavo, began)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """Put a terminal in front of the command, on which somebody has typed these answers."""
    with contextlib.ExitStack() as stack:

        def typed(text: str) -> None:
            master, slave = pty.openpty()
            stack.callback(os.close, master)
            os.write(master, text.encode())
            monkeypatch.setattr(sys, "stdin", stack.enter_context(os.fdopen(slave)))

        yield typed


SNAPSHOTS = Path(__file__).parent / "snapshots"


def check(name: str, done: Done) -> None:
    """Compare what was printed with the snapshot; digests, keys and days are not compared."""
    text = re.sub(r"\b[0-9a-f]{64}\b", "DIGEST", f"{done.out}{done.err}")
    text = re.sub(r"\b[0-9a-f]{12}\b", "SHORT", text)
    check_snapshot(SNAPSHOTS / f"{name}.txt", re.sub(r"20\d\d-\d\d-\d\d", "DAY", text))


# -- the first installation


def test_a_first_installation_is_asked_in_words(shop: Shop, answers: Answers) -> None:
    shop.release(("1.0.0", KEYED))
    answers("y\nn\ny\n")
    check("registry-install", shop("registry", "install", "tool"))
    assert shop.installed()["granted"] == ["env:OTHER_KEY", "network:api.example.com"]


def test_no_changes_nothing(shop: Shop, answers: Answers) -> None:
    shop.release(("1.0.0", NET))
    answers("n\n")
    done = shop("registry", "install", "tool", code=5)
    assert "its permissions were not accepted, so nothing was changed" in done.err
    assert shop.local("registry", "list", "--json").out == "[]\n"


def test_without_a_terminal_the_missing_words_are_named_and_then_they_are_enough(
    shop: Shop,
) -> None:
    shop.release(("1.0.0", NATIVE))
    for words in ([], ["--yes"]):
        done = shop("registry", "install", "tool", *words, code=5)
        missing = "--grant native_code --grant network:api.example.com"
        assert f"nobody is here to accept its permissions; still missing: {missing}\n" in done.err
        assert "DANGER:\n  ! compiled code" in done.out
    assert shop.local("registry", "list", "--json").out == "[]\n"
    shop("registry", "install", "tool", *missing.split())
    assert shop.installed()["accepted"] is True


def test_yes_accepts_what_is_ordinary_and_no_variable(shop: Shop) -> None:
    shop.release(("1.0.0", KEYED))
    done = shop("registry", "install", "tool", "--yes", "--grant", "files")
    assert (
        "Not granted, and not needed to run: API_KEY, OTHER_KEY. Later: tavo registry grant tool"
        " --grant env:API_KEY --grant env:OTHER_KEY\n" in done.err
    )
    assert "--grant files: no plugin here asks for that, so nothing was granted by it" in done.err
    assert shop.installed()["granted"] == ["network:api.example.com"]


def test_a_plugin_that_asks_for_nothing_still_needs_a_word(shop: Shop) -> None:
    shop.release(("1.0.0", ""))
    done = shop("registry", "install", "tool", "--grant", "files", code=5)
    assert "nobody is here to accept its permissions\n" in done.err
    assert "add --yes" in done.err
    shop("registry", "install", "tool", "--yes")
    assert shop.installed()["accepted"] is True


def test_a_word_that_is_no_permission_is_refused_before_anything(shop: Shop) -> None:
    done = shop("registry", "install", "tool", "--grant", "network", code=2)
    assert "--grant 'network': is not a permission" in done.err


# -- updates


def test_a_wider_update_shows_first_what_is_new(shop: Shop, answers: Answers) -> None:
    shop.release(("1.0.0", NET), ("2.0.0", NATIVE))
    shop("registry", "install", "tool@1.0.0", "--yes")
    answers("n\n")
    check("registry-update-refused", shop("registry", "install", "tool", code=5))
    assert shop.installed()["version"] == "1.0.0"
    answers("y\n")
    shop("registry", "install", "tool")
    assert shop.installed()["granted"] == ["native_code", "network:api.example.com"]


def test_a_wider_update_without_a_terminal_waits(shop: Shop, answers: Answers) -> None:
    shop.release(("1.0.0", NET), ("2.0.0", NATIVE), main=SAYS_VARIABLES)
    shop("registry", "install", "tool@1.0.0", "--yes")
    done = shop("-q", "registry", "install", "tool", "--yes", code=5)
    assert (
        "tavo/tool 2.0.0: asks for more than you accepted. It is installed, and does not run until"
        " you accept that\n  Read it above, then: tavo registry grant tool --grant native_code\n"
        in done.err
    )
    assert shop.installed()["accepted"] is False
    assert shop.local("registry", "list").out.endswith("\twaiting for your acceptance\n")
    shown = shop("registry", "show", "tool")
    assert "Installed: 2.0.0, waiting for your acceptance\n" in shown.out
    assert "Accept it: tavo registry grant tool\n" in shown.out
    Path("a.py").write_text("x = 1\n")
    refused = shop.local("scan", ".", "--static-plugins", "tool", code=5)
    assert "waits for your acceptance of what it may do, so it was not run" in refused.err
    assert "Read it and answer: `tavo registry grant tool`" in refused.err
    shop("registry", "install", "small", "--yes")
    refused = shop.local("scan", ".", "--static-plugins", "small,tool", code=5)
    assert refused.out == ""  # nothing was started
    Path("chain.yaml").write_text(CHAIN)
    refused = shop.local("pipeline", "run", "chain.yaml", code=5)
    assert "tavo/tool 2.0.0: waits for your acceptance" in refused.err
    shop.local("registry", "uninstall", "small")
    done = shop.local("registry", "grant", "tool", code=5)
    assert "still missing: --grant native_code\n" in done.err
    answers("y\n")
    done = shop.local("registry", "grant", "tool")
    assert done.out.startswith(
        "It asks for more than before:\n  + load compiled libraries into its own process\n"
    )
    assert "accepted, with native_code, network:api.example.com" in done.out


def test_a_narrower_update_and_the_way_back_ask_nothing(shop: Shop) -> None:
    shop.release(("1.0.0", KEYED), ("2.0.0", NET), ("3.0.0", ""))
    shop("registry", "install", "tool@1.0.0", "--yes", "--grant", "env:API_KEY",
         "--grant", "network:api.example.com")  # fmt: skip
    for version in ("2.0.0", "3.0.0", "1.0.0"):
        done = shop("registry", "install", f"tool@{version}")
        assert "It asks for nothing that you have not accepted before.\n" in done.out
        assert shop.installed()["version"] == version
        assert shop.installed()["accepted"] is True
    assert shop.installed()["granted"] == ["env:API_KEY", "network:api.example.com"]


def test_a_new_variable_makes_no_update_wait(shop: Shop, answers: Answers) -> None:
    shop.release(("1.0.0", NET), ("2.0.0", KEYED))
    shop("registry", "install", "tool@1.0.0", "--yes")
    done = shop("registry", "install", "tool@2.0.0")
    assert "It asks for more than before:\n  + read the environment variable API_KEY" in done.out
    assert shop.installed()["granted"] == ["network:api.example.com"]
    answers("y\nn\n")
    shop.local("registry", "grant", "tool")
    assert shop.installed()["granted"] == ["env:API_KEY", "network:api.example.com"]


def test_a_grant_for_another_plugin_of_the_namespace_does_not_count(shop: Shop) -> None:
    shop.release(("1.0.0", NET))
    shop.release(("1.0.0", NET), name="twin")
    shop("registry", "install", "tool", "--yes")
    done = shop("registry", "install", "twin", "--grant", "tool=network:api.example.com", code=5)
    assert "still missing: --grant network:api.example.com" in done.err
    shop("registry", "install", "twin", "--grant", "tavo/twin=network:api.example.com")


def test_what_was_removed_is_asked_about_again(shop: Shop) -> None:
    shop.release(("1.0.0", NET))
    shop("registry", "install", "tool", "--yes")
    shop.local("registry", "uninstall", "tool")
    assert "still missing" in shop("registry", "install", "tool", code=5).err


# -- variables


def seen(shop: Shop) -> str:
    """What the plugin says that it sees of the environment."""
    Path("a.py").write_text("x = 1\n")
    done = shop.run("scan", "a.py", "--static-plugins", "tool", "--format", "json")
    assert done.code == 1, done
    (found,) = (f for f in json.loads(done.out)["findings"] if "It sees" in f["message"])
    return str(found["message"])


def test_a_variable_that_is_not_granted_is_not_passed_and_the_plugin_runs(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_KEY", "OTHER_KEY", "THIRD_KEY"):
        monkeypatch.setenv(name, "secret")
    shop.release(("1.0.0", "permissions: {env: [API_KEY, OTHER_KEY]}\n"), main=SAYS_VARIABLES)
    shop("registry", "install", "tool", "--yes")
    assert seen(shop) == "It sees: nothing"
    shop.local("registry", "grant", "tool", "--grant", "env:OTHER_KEY")
    assert seen(shop) == "It sees: OTHER_KEY"
    shop.local("registry", "grant", "tool", "--grant", "env:API_KEY")
    assert seen(shop) == "It sees: API_KEY, OTHER_KEY"
    done = shop.local("registry", "grant", "tool", "--revoke", "env:OTHER_KEY")
    assert done.out == "tavo/tool 1.0.0: accepted, with env:API_KEY\n"
    assert seen(shop) == "It sees: API_KEY"
    done = shop.local("registry", "grant", "tool", "--revoke", "env:OTHER_KEY", code=2)
    assert "env:OTHER_KEY was not granted to tavo/tool" in done.err
    shop.local("registry", "grant", "tool", "--revoke", "env:A", "--yes", code=2)


def test_what_is_needed_and_taken_back_makes_the_plugin_wait(shop: Shop) -> None:
    shop.release(("1.0.0", NET))
    shop("registry", "install", "tool", "--yes")
    done = shop.local("registry", "grant", "tool", "--revoke", "network:api.example.com")
    assert done.out == "tavo/tool 1.0.0: waiting for your acceptance\n"
    shop.local("registry", "grant", "tool", "--yes")
    assert shop.installed()["accepted"] is True


def test_a_local_plugin_is_asked_about_each_variable(
    shop: Shop, answers: Answers, tmp_path: Path
) -> None:
    keyed = "permissions: {env: [API_KEY, OTHER_KEY]}\n"
    folder = str(shop.market.write_plugin("mine", "1.0.0", more=keyed))
    answers("y\ny\nn\n")
    done = shop.local("plugin", "trust", folder)
    assert "May it read the variable API_KEY? [y/N]" in done.err
    assert "Nobody signed or reviewed this plugin." in done.err
    with sqlite3.connect(user_paths().state / "state.db") as state:
        assert state.execute("SELECT variables FROM local_plugins").fetchall() == [('["API_KEY"]',)]
        ((digest,),) = state.execute("SELECT digest FROM local_plugins").fetchall()
    done = shop.local("plugin", "trust", folder, "--digest", digest, "--grant", "env:NO", code=2)
    assert "does not ask for that" in done.err
    assert "It asks for env:API_KEY, env:OTHER_KEY." in done.err
    shop.local("plugin", "trust", folder, "--grant", "env:API_KEY", code=2)
    shop.local("plugin", "trust", folder, "--digest", digest, "--grant", "env:OTHER_KEY")
    with sqlite3.connect(user_paths().state / "state.db") as state:
        assert state.execute("SELECT variables FROM local_plugins").fetchall() == [
            ('["OTHER_KEY"]',)
        ]


# -- show and diff


def test_show_says_red_combinations_plainly(shop: Shop) -> None:
    shop.release(("1.0.0", "permissions: {network: [api.example.com], env: [API_KEY]}\n"))
    done = shop("registry", "show", "tool")
    assert (
        "DANGER:\n  ! if you let it read API_KEY, it can send that to api.example.com\n" in done.out
    )
    shown = json.loads(shop("registry", "show", "tool", "--json").out)
    assert shown["danger"] == ["if you let it read API_KEY, it can send that to api.example.com"]
    assert shown["installed"] is None
    shop("registry", "install", "tool", "--yes")
    shown = json.loads(shop("registry", "show", "tool", "--json").out)
    assert shown["installed"] == {
        "version": "1.0.0", "accepted": True, "granted": ["network:api.example.com"],
    }  # fmt: skip


EVIL = MAIN.replace('"secret" in line', '"secret" in line:\u202e  # \x1b[2J')


def test_diff_shows_permissions_code_and_evidence(shop: Shop) -> None:
    shop.release(("1.0.0", NET))
    shop.release(("2.0.0", NATIVE + "limits: {memory_mb: 1024}\n"), main=EVIL)
    done = shop("registry", "diff", "tool@1.0.0", "tool@2.0.0")
    check("registry-diff", done)
    assert all(line.isprintable() for line in done.out.splitlines())
    few = shop("registry", "diff", "tool@1.0.0", "tool@2.0.0", "--lines", "3").out
    assert "more lines; --lines 0 shows all of them" in few
    every = shop("registry", "diff", "tool@1.0.0", "tool@2.0.0", "--lines", "0").out
    assert every == done.out


def test_diff_as_json(shop: Shop) -> None:
    shop.release(("1.0.0", NET))
    shop.release(("2.0.0", NATIVE), main=EVIL)
    found = json.loads(shop("registry", "diff", "tool@1.0.0", "tool@2.0.0", "--json").out)
    assert found["plugin"] == "tavo/tool"
    assert found["permissions"]["added"] == [
        {"word": "native_code", "allows": "load compiled libraries into its own process"}
    ]
    assert [file["path"] for file in found["files"]] == ["main.py", "plugin.yaml"]
    assert [one["decision"] for one in found["new"]["statements"]] == [
        "published", "approved", "approved",
    ]  # fmt: skip
    assert any("<U+202E>" in line for line in found["files"][0]["lines"])


def test_diff_of_one_name_compares_with_what_is_installed(shop: Shop) -> None:
    shop.release(("1.0.0", NET), ("2.0.0", NATIVE))
    done = shop("registry", "diff", "tool", code=2)
    assert "tavo/tool is not installed, so there is nothing to compare it with" in done.err
    shop("registry", "install", "tool@1.0.0", "--yes")
    assert shop("registry", "diff", "tool").out.startswith("tavo/tool 1.0.0 -> 2.0.0\n")
    same = shop("registry", "diff", "tool@1.0.0").out
    assert same == "tavo/tool 1.0.0 -> 1.0.0\nBoth are the same package.\n"
    assert "two plugins" in shop("registry", "diff", "tool@1.0.0", "small@1.0.0", code=2).err
    assert "9.9" in shop("registry", "diff", "tool@1.0.0", "tool@9.9", code=5).err


def test_diff_shows_nothing_of_a_package_that_is_not_accepted(shop: Shop) -> None:
    shop.release(("1.0.0", NET), ("2.0.0", NATIVE))
    shown = json.loads(shop("registry", "show", "tool", "--json").out)
    digest = shown["versions"][0]["package"]
    (blob,) = shop.market.repository.rglob(digest)
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    done = shop("registry", "diff", "tool@1.0.0", "tool@2.0.0", code=5)
    assert done.out == ""
    assert "sha256" in done.err
