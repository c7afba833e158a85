"""What a plugin may do, as its user sees it: asked on install, on update, later, and without anyone.

The marketplace is signed and served as the build makes it, the terminal is a real one.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Done, Run
from tests.fakes.marketplace import MAIN, Marketplace

pty = pytest.importorskip("pty")

NET = "permissions: {network: [api.example.com]}\n"
KEYED = "permissions: {network: [api.example.com], env: [API_KEY, OTHER_KEY]}\n"
NATIVE = "permissions: {network: [api.example.com], native_code: true}\n"

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
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Put a terminal in front of the command, on which somebody has typed these answers."""
    with contextlib.ExitStack() as stack:

        def typed(text: str) -> None:
            master, slave = pty.openpty()
            stack.callback(os.close, master)
            os.write(master, text.encode())
            monkeypatch.setattr(sys, "stdin", stack.enter_context(os.fdopen(slave)))

        yield typed


LOG = open("/tmp/perm.log", "w", buffering=1)


def test_it(shop: Shop, answers) -> None:
    shop.release(("1.0.0", NET), ("2.0.0", NATIVE))
    d = shop("registry", "install", "tool@1.0.0", code=5)
    LOG.write(f"---- {d.code}\n{d.out}\n==err\n{d.err}\n")
    answers("y\n")
    d = shop("registry", "install", "tool@1.0.0")
    LOG.write(f"---- {d.code}\n{d.out}\n==err\n{d.err}\n")
    answers("n\n")
    d = shop("registry", "install", "tool@2.0.0", code=5)
    LOG.write(f"---- {d.code}\n{d.out}\n==err\n{d.err}\n")
    d = shop("registry", "install", "tool@2.0.0", "--yes", code=5)
    LOG.write(f"---- {d.code}\n{d.out}\n==err\n{d.err}\n")
    d = shop.local("registry", "list")
    LOG.write(f"---- {d.code}\n{d.out}\n==err\n{d.err}\n")
    d = shop("registry", "show", "tool")
    LOG.write(f"---- {d.code}\n{d.out}\n==err\n{d.err}\n")
    d = shop("registry", "diff", "tool@1.0.0", "tool@2.0.0")
    LOG.write(f"---- {d.code}\n{d.out}\n==err\n{d.err}\n")
    open("a.py", "w").write("secret\n")
    d = shop.local("scan", ".", "--static-plugins", "tool", code=5)
    LOG.write(f"---- {d.code}\n{d.out}\n==err\n{d.err}\n")
    answers("y\n")
    d = shop.local("registry", "grant", "tool")
    LOG.write(f"---- {d.code}\n{d.out}\n==err\n{d.err}\n")
    assert 0
