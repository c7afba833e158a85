"""What every command shares for one invocation: global options, and lazily what they lead to."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tavo.cli.render import TerminalReporter
from tavo.errors import ConfigError, InputError, UsageError
from tavo.printable import printable

if TYPE_CHECKING:
    from marketplace_db.bundle import Bundle
    from marketplace_db.catalog import Catalog
    from marketplace_db.mirror import MirrorReport
    from marketplace_db.selection import Selection
    from marketplace_db.words import WordIndex
    from signing.client import Artifact, Source
    from signing.publishers import Recalls
    from tavo.config import Settings
    from tavo.host.installations import Installations
    from tavo.host.state import State
    from tavo.registry.entitlements import Entitlements
    from tavo.registry.mirrors import Mirrors
    from tavo.registry.releases import Release
    from tavo.registry.trust import OpenCatalog, Trust

__all__ = ["Session", "session_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The global options of one invocation. Commands get it from their typer context."""

    config: Path | None = None
    offline: bool = False
    quiet: bool = False
    verbose: bool = False
    color: bool = True
    json: bool = False

    def settings(self, **flags: Any) -> Settings:
        """Merge flags, environment, project file and user file; raises ConfigError."""
        from tavo.config import load_settings

        given = {name.replace("__", "."): value for name, value in flags.items()}
        if self.offline:
            given["offline"] = True
        return load_settings(project_file=self.config, flags=given)

    def state(self) -> State:
        """Open the state database of this user."""
        from tavo.config import user_paths
        from tavo.host.state import State

        return State(user_paths().state / "state.db")

    def installations(self) -> Installations:
        """Open the store of installed plugins of this user."""
        from tavo.config import user_paths
        from tavo.host.installations import Installations

        return Installations(self.state(), user_paths().data / "plugins")

    def answers(self) -> Path:
        """Return the folder of what static plugins said before."""
        from tavo.config import user_paths

        return user_paths().state / "answers"

    def results(self) -> Path | None:
        """Return the folder of what scans said before; None where there is no home folder."""
        from tavo.config import user_paths

        try:
            return user_paths().state / "scans"
        except ConfigError:
            return None

    def catalog(self, mirror: str | None) -> OpenCatalog:
        """Open the verified catalog of a mirror, else the newest accepted one."""
        from tavo.registry.trust import source_of

        settings = self.settings()
        source = source_of(mirror, offline=settings.offline) if mirror else None
        return self._trust(settings).open(source)

    def words(self, catalog: Catalog) -> WordIndex | None:
        """Open the index of a catalog's words, made at the first search; None without one."""
        from marketplace_db.words import WordIndex
        from tavo.config import user_paths

        return WordIndex.of(catalog, user_paths().cache / "words", say=self.say)

    def releases(self, mirror: str | None) -> tuple[tuple[Release, ...], Source]:
        """Return the signed releases of this program at a mirror or the configured source."""
        from tavo.onefile import running
        from tavo.registry.releases import known_releases

        trust, source = self._trust_and_source(mirror, "releases")
        finder = running()
        full = finder is not None and bool(finder.index["full"])
        found = known_releases(trust, source, full=full)
        self.tell(trust.news)
        return found, source

    def artifacts(self, mirror: str | None) -> tuple[tuple[Artifact, ...], Source]:
        """Return all files that are signed at a mirror or the configured source, besides blobs."""
        trust, source = self._trust_and_source(mirror, "signed files")
        found = trust.artifacts(source)
        self.tell(trust.news)
        return found, source

    def _trust_and_source(self, mirror: str | None, of: str) -> tuple[Trust, Source]:
        from tavo.registry.trust import source_of

        settings = self.settings()
        name = mirror or settings.registry.source
        if name is None:
            raise UsageError(
                f"no source of {of} is configured",
                hint="Name one with --mirror, or set registry.source in the user configuration.",
            )
        return self._trust(settings), source_of(name, offline=settings.offline)

    def recalls(self) -> Recalls:
        """Return every recall that this machine knows of."""
        from signing.publishers import Recalls
        from tavo.registry.embedded import find_embedded

        settings = self.settings()
        if find_embedded() is None and settings.registry.root is None:
            return Recalls()
        return self._trust(settings).recalls()

    def entitlements(self, opened: OpenCatalog | None = None) -> Entitlements | None:
        """Return this user's entitlements, judged by an open catalog or by what is known here.

        None where no catalog was accepted yet.
        """
        from tavo.config import user_paths
        from tavo.registry.embedded import find_embedded
        from tavo.registry.entitlements import Entitlements

        settings = self.settings()
        if find_embedded() is None and settings.registry.root is None:
            return None
        basis = self._trust(settings).basis(
            settings.registry.organisation, None if opened is None else opened.publishers
        )
        return None if basis is None else Entitlements(user_paths().data / "entitlements", basis)

    def sync_mirror(
        self, source: str, destination: Path, selection: Selection, connections: int
    ) -> MirrorReport:
        """Copy a repository with full verification, and remember what was accepted."""
        from tavo.registry.mirrors import Mirrors
        from tavo.registry.trust import source_of

        settings = self.settings()
        trust = self._trust(settings)
        place = source_of(source, offline=settings.offline)
        mirrors = Mirrors(trust, self.reporter())
        report = mirrors.sync(place, destination, selection, connections)
        self.tell(trust.news)
        return report

    def import_bundle(self, places: list[Path], destination: Path) -> tuple[MirrorReport, Bundle]:
        """Bring a bundle into a mirror with full verification, and remember what was accepted."""
        from tavo.registry.mirrors import Mirrors

        trust = self._trust(self.settings())
        done = Mirrors(trust, self.reporter()).import_(places, destination)
        self.tell(trust.news)
        return done

    def mirrors(self) -> Mirrors:
        """Return what packs and verifies mirrors."""
        from tavo.registry.mirrors import Mirrors

        return Mirrors(self._trust(self.settings()), self.reporter())

    def would_fetch(self, source: str, mirror: Path) -> dict[str, int]:
        """Return how many files and bytes a sync of a mirror would fetch, and up to what."""
        from tavo.registry.trust import source_of

        place = source_of(source, offline=self.settings().offline)
        wanted = self.mirrors().wanted(place, mirror)
        return {
            "files": wanted.files,
            "bytes": wanted.bytes,
            "timestamp": wanted.refreshed.record.floors["timestamp"].version,
            "catalog": wanted.refreshed.catalog.version,
        }

    def reporter(self) -> TerminalReporter:
        """Return what draws progress on this terminal."""
        return TerminalReporter(quiet=self.quiet)

    def say(self, message: str) -> None:
        """Tell people something, on stderr, unless they asked for quiet."""
        if not self.quiet:
            print("\n".join(printable(line) for line in message.split("\n")), file=sys.stderr)

    def complain(self, message: str) -> None:
        """Say what failed, on stderr, also to people who asked for quiet."""
        print(f"tavo: {printable(message)}", file=sys.stderr)

    def tell(self, notes: Iterable[str]) -> None:
        """Say each note."""
        for note in notes:
            self.say(f"tavo: {note}")

    def print_json(self, value: Any) -> None:
        """Print a result as JSON."""
        print(json.dumps(value, indent=2, ensure_ascii=False))

    def _trust(self, settings: Settings) -> Trust:
        from tavo.config import user_paths
        from tavo.registry.embedded import find_embedded
        from tavo.registry.trust import Trust

        root = settings.registry.root
        try:
            trusted = None if root is None else Path(root).expanduser().read_bytes()
        except OSError as error:
            raise InputError(
                f"{root}: the trusted root cannot be read: {error.strerror}",
                hint="Check registry.root in the user configuration.",
            ) from error
        return Trust(
            self.state(),
            user_paths().cache / "catalogs",
            embedded=find_embedded(),
            root=trusted,
            offline=settings.offline,
        )


def session_of(context: typer.Context) -> Session:
    """Return the session that the root command made."""
    session = context.find_object(Session)
    if session is None:
        raise UsageError("the command was started without the root command")
    return session
