"""A small marketplace in a folder: one plugin, two reviewers, a repository, and its embedded copy.

It is made by the same code that the build uses, so tests attack what users get.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from signing.client import Refreshed
from tavo.operator.embed import embed
from tavo.registry.embedded import Embedded, find_embedded
from tavo.registry.trust import Trust

BUILT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

PLUGIN_YAML = """\
api: 1
id: {name}
publisher: tavo
name: A small plugin
version: {version}
plugin_type: static
entry_point: main:Small
description: Finds the word secret.
author: Tests
license: Apache-2.0
languages: [python]
"""

MAIN = """\
from tavo.plugins import Finding, Location, Region, Rule, Severity, StaticAnalysisPlugin

RULE = Rule(id="word", title="The word secret", severity=Severity.HIGH)


class Small(StaticAnalysisPlugin):
    rules = (RULE,)

    def analyze_file(self, file_path, content):
        for number, line in enumerate(content.splitlines(), start=1):
            if "secret" in line:
                yield Finding(
                    rule_id="word",
                    message="The word secret.",
                    severity=Severity.HIGH,
                    location=Location(
                        path=file_path,
                        region=Region(start_line=number, end_line=number, end_column=2),
                    ),
                )
"""


class MemoryStore(dict[str, Mapping[str, Any]]):
    """Keeps the trust state of a machine in memory."""

    def load_trust(self, repository: str) -> Mapping[str, Any] | None:
        return self.get(repository)

    def save_trust(
        self, repository: str, value: Mapping[str, Any], *, in_same_hands: Collection[str] | None
    ) -> tuple[str, ...]:
        self[repository] = value
        return ()


class Marketplace:
    """A market, its repository and the folder that a build would embed."""

    def __init__(self, folder: Path, *, now: datetime = BUILT, more: str = "") -> None:
        self.folder = folder
        self.plugins = folder / "plugins"
        self.write_plugin("small", "1.0.0", more=more)
        self.release(now)

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    def write_plugin(
        self, name: str, version: str, *, main: str = MAIN, more: str = "", folder: str = ""
    ) -> Path:
        """Write the sources of a plugin; `release` packs and signs them.

        `more` are further lines of its manifest. Another `folder` keeps an earlier version.
        """
        plugin = self.plugins / (folder or name)
        plugin.mkdir(parents=True, exist_ok=True)
        (plugin / "plugin.yaml").write_text(PLUGIN_YAML.format(name=name, version=version) + more)
        (plugin / "main.py").write_text(main)
        (plugin / "README.md").write_text("# Small\n")
        (plugin / "LICENSE").write_text("Apache-2.0\n")
        (plugin / "requirements.txt").write_text("")
        return plugin

    def release(self, now: datetime) -> Refreshed:
        """Release what is in the plugins' folder, as the build does."""
        return embed(
            plugins=self.plugins,
            wheels=self.folder / "wheels",
            keys=self.folder / "keys",
            repository=self.repository,
            embedded=self.folder / "embedded",
            now=now,
        )

    def embedded(self) -> Embedded:
        found = find_embedded(self.folder / "embedded")
        assert found is not None
        return found

    def copy(self, name: str) -> Path:
        """Copy the repository as it is now: a mirror."""
        return Path(shutil.copytree(self.repository, self.folder / name))

    def machine(self, store: MemoryStore, now: datetime = BUILT) -> Trust:
        """A user's machine with this build, at a moment."""
        return Trust(store, self.folder / "cache", embedded=self.embedded(), now=now)


def tree(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """All modes and bytes below a folder, and its own mode."""
    return {
        str(path.relative_to(folder)): (
            stat.S_IMODE(path.stat().st_mode),
            None if path.is_dir() else path.read_bytes(),
        )
        for path in (folder, *folder.rglob("*"))
    }
