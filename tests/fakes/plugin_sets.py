"""A marketplace with plugins that need each other, in two namespaces, served from a folder.

Everything is signed, reviewed and released by the real code; `add` and `publish` again for more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from marketplace_db.intake import Market
from marketplace_db.lock import LockedWheel, write_lock
from signing.digests import Digest
from tests.fakes.operator_market import Marketplace, wheel_bytes
from tests.fakes.plugins import WORD
from tests.fakes.repository import RepositorySimulator

TERMS = "def terms():\n    return ['secret', 'hidden']\n"

USES_TERMS = """\
from tavo.plugins import Finding, Location, Region, Rule, Severity, StaticAnalysisPlugin
from tavo_plugins.acme.words import terms


class Plugin(StaticAnalysisPlugin):
    rules = (Rule(id="word", title="A word of a list", severity=Severity.HIGH),)

    def analyze_file(self, file_path, content):
        for number, line in enumerate(content.split("\\n"), start=1):
            for word in terms.terms():
                if word in line:
                    yield Finding(
                        rule_id="word", message=f"The word {word}.", severity=Severity.HIGH,
                        location=Location(path=file_path, region=Region(
                            start_line=number, end_line=number, end_column=2)),
                    )
"""


class PluginShop:
    """An operator; `repository` is what a machine that trusts `root` names as its mirror."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.operator = Marketplace(folder)
        self.simulator: RepositorySimulator | None = None
        self.now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)

    @property
    def market(self) -> Market:
        return self.operator.market

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @property
    def root(self) -> Path:
        return self.folder / "root.json"

    def add(
        self,
        plugin: str,
        version: str,
        *,
        needs: Sequence[str] = (),
        python: str = "",
        main: str = WORD,
        more: str = "",
        files: Mapping[str, str] | None = None,
        wheels: Sequence[Path] = (),
        publisher: str = "acme",
    ) -> Digest:
        """Have a release approved; return the digest of its package."""
        contents: dict[str, str | bytes] = {"main.py": main, **(files or {})}
        if needs:
            more += "requires_plugins:\n" + "".join(f"  - '{need}'\n" for need in needs)
        if python:
            more += f"python: '{python}'\n"
        if wheels:
            locked = [
                LockedWheel(*path.name.split("-")[:2], path.name, Digest.of(path.read_bytes()))
                for path in wheels
            ]
            contents["requirements.lock"] = write_lock(locked)
            names = sorted({f"{one.name}=={one.version}" for one in locked})
            more += f"dependencies: [{', '.join(names)}]\n"
        package = self.operator.package(
            id=plugin, version=version, publisher=publisher, more=more, files=contents
        )
        self.operator.approve(package, wheels={path.name: path for path in wheels})
        return Digest.of(package.read_bytes())

    def wheel(self, name: str, version: str, tag: str = "py3-none-any", value: int = 1) -> Path:
        """Write a wheel; its module says `VALUE`."""
        folder = self.folder / "wheels"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}-{version}-{tag}.whl"
        content = f"VALUE = {value}\n".encode()
        path.write_bytes(wheel_bytes(name, version, files={f"{name}/__init__.py": content}))
        return path

    def yank(self, plugin: str, version: str, reason: str = "it is broken") -> None:
        """Withdraw a release with the next `publish`."""
        self.market.yank(plugin, version, reason=reason, now=self.now)

    def recall(self, package: Digest, reason: str = "it steals") -> None:
        """Recall a package for good with the next `publish`."""
        recalled = {**self.operator.publishers.revoked_packages, package: reason}
        self.operator.publishers = dataclasses.replace(
            self.operator.publishers, revoked_packages=recalled
        )

    def publish(self) -> PluginShop:
        """Release what was approved."""
        released = self.operator.release()
        self.now += timedelta(seconds=1)
        if self.simulator is None:
            self.simulator = RepositorySimulator(
                self.repository, now=self.now, catalog=self.operator.catalog.read_bytes(),
                publishers=self.operator.publishers,
            )  # fmt: skip
            self.root.write_bytes(self.simulator.root)
        else:
            self.simulator.publish(
                catalog=self.operator.catalog, publishers=self.operator.publishers, now=self.now
            )
        for blob in released.blobs:
            self.simulator.repository.add_blob(blob)
        return self
