"""What every command shares for one invocation: global options, and lazily what they lead to."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tavo.cli.render import TerminalReporter
from tavo.errors import ConfigError, ExitCode, InputError, UsageError
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
    from tavo.registry.embedded import Embedded
    from tavo.registry.entitlements import Entitlements
    from tavo.registry.marketplaces import Marketplaces
    from tavo.registry.mirrors import Mirrors
    from tavo.registry.releases import Release
    from tavo.registry.shelves import Market, Shelves
    from tavo.registry.trust import OpenCatalog, Trust

__all__ = ["Session", "session_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The global options of one invocation. Commands get it from their typer context.

    `outcome` takes what the exit code has to say besides the command's own.
    """

    config: Path | None = None
    offline: bool = False
    quiet: bool = False
    verbose: bool = False
    color: bool = True
    json: bool = False
    outcome: list[ExitCode] = field(default_factory=list)

    def settings(self, **flags: Any) -> Settings:
        """Merge flags, environment, project file and user file; raises ConfigError."""
        from tavo.config import load_settings

        given = {name.replace("__", "."): value for name, value in flags.items()}
        if self.offline:
            given["offline"] = True
        return load_settings(project_file=self.config, flags=given)

    def state(self) -> State:
        """Open the state database of this user."""
        from tavo.folders import user_paths
        from tavo.host.state import State

        return State(user_paths().state / "state.db")

    def installations(self) -> Installations:
        """Open the store of installed plugins of this user."""
        from tavo.folders import user_paths
        from tavo.host.installations import Installations

        return Installations(self.state(), user_paths().data / "plugins")

    def answers(self) -> Path:
        """Return the folder of what static plugins said before."""
        from tavo.folders import user_paths

        return user_paths().state / "answers"

    def results(self) -> Path | None:
        """Return the folder of what scans said before; None where there is no home folder."""
        from tavo.folders import user_paths

        try:
            return user_paths().state / "scans"
        except ConfigError:
            return None

    def catalog(self, mirror: str | None) -> OpenCatalog:
        """Open the verified catalog of a mirror, else the newest accepted one of the marketplace
        that is in this file or is configured."""
        from tavo.registry.shelves import market_of

        markets = self._markets()
        if mirror is None:
            return self.used(self._first(markets).trust.open())
        source = self.source(mirror)
        return self.used(market_of(markets, source).trust.open(source))

    @contextmanager
    def shelves(self, mirror: str | None) -> Iterator[Shelves]:
        """Open the verified catalogs of all marketplaces, or that of a mirror; tell their notes."""
        from tavo.registry.shelves import open_shelves

        markets = self._markets()
        self._first(markets)
        source = None if mirror is None else self.source(mirror)
        with open_shelves(markets, source) as opened:
            for shelf in opened:
                self.used(shelf.opened)
                which = f"{shelf.name}: " if opened.several else ""
                self.tell(f"{which}{note}" for note in shelf.opened.notes)
            for name, why in opened.broken.items():
                self.say(f"tavo: {name}: its catalog cannot be used now: {why}")
                self.outcome.append(ExitCode.INCOMPLETE)
            yield opened

    def used(self, opened: OpenCatalog) -> OpenCatalog:
        """Let the exit code say that lists were used which only the site's policy still allows."""
        if opened.stale is not None:
            self.outcome.append(ExitCode.INCOMPLETE)
        return opened

    def markets(self) -> list[Market]:
        """Return the marketplaces that this machine trusts, in the user's order."""
        return self._markets()

    @property
    def several(self) -> bool:
        """Tell whether marketplaces were added, at the cost of looking for their file."""
        from tavo.config import MARKETPLACES_NAME
        from tavo.folders import user_paths

        try:
            (user_paths().config / MARKETPLACES_NAME).lstat()
        except FileNotFoundError:
            return False
        except OSError:
            return True  # reading it says what is wrong
        return True

    def marketplaces(self) -> Marketplaces:
        """Return the marketplaces that were added, for changing them."""
        from tavo.folders import user_paths
        from tavo.registry.marketplaces import Marketplaces

        return Marketplaces.load(user_paths().config)

    def words(self, catalog: Catalog) -> WordIndex | None:
        """Open the index of a catalog's words, made at the first search; None without one."""
        from marketplace_db.words import WordIndex
        from tavo.folders import user_paths

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
        from tavo.registry.shelves import market_of

        name = mirror or self.settings().registry.source
        if name is None:
            raise UsageError(
                f"no source of {of} is configured",
                hint="Name one with --mirror, or set registry.source in the user configuration.",
            )
        source = self.source(name)
        markets = self._markets()
        first = self._first(markets)
        return (market_of(markets, source) if mirror else first).trust, source

    def recalls(self) -> Recalls:
        """Return every recall that this machine knows of, from all its marketplaces."""
        from signing.publishers import Recalls

        known = Recalls()
        for market in self._markets():
            known = known.union(market.trust.recalls())
        return known

    def entitlements(
        self, opened: OpenCatalog | None = None, *, repository: str | None = None
    ) -> Entitlements | None:
        """Return this user's entitlements, judged by an open catalog or by what is known here.

        Without either, by the marketplace that is in this file or is configured. None where no
        catalog of it was accepted yet.
        """
        from tavo.folders import user_paths
        from tavo.registry.entitlements import Entitlements

        wanted = repository if opened is None else opened.record.repository
        for market in self._markets():
            if wanted in (None, market.trust.repository):
                basis = market.trust.basis(
                    self.settings().registry.organisation,
                    None if opened is None else opened.publishers,
                )
                break
        else:
            return None
        return None if basis is None else Entitlements(user_paths().data / "entitlements", basis)

    def sync_mirror(
        self, source: str, destination: Path, selection: Selection, connections: int
    ) -> MirrorReport:
        """Copy a repository with full verification, and remember what was accepted."""
        from tavo.registry.mirrors import Mirrors
        from tavo.registry.shelves import market_of

        place = self.source(source)
        trust = market_of(self._markets(), place).trust
        mirrors = Mirrors(trust, self.reporter())
        report = mirrors.sync(place, destination, selection, connections)
        self._tell_accepted(trust, report)
        return report

    def import_bundle(self, places: list[Path], destination: Path) -> tuple[MirrorReport, Bundle]:
        """Bring a bundle into a mirror with full verification, and remember what was accepted."""
        mirrors = self.mirrors(*places)
        done = mirrors.import_(places, destination)
        self._tell_accepted(mirrors.trust, done[0])
        return done

    def _tell_accepted(self, trust: Trust, report: MirrorReport) -> None:
        self.tell(trust.news)
        if (stale := report.refreshed.stale) is not None:
            self.tell([stale.sentence])
            self.outcome.append(ExitCode.INCOMPLETE)

    def mirrors(self, *places: Path) -> Mirrors:
        """Return what packs and verifies mirrors of the marketplace that these places are of."""
        from tavo.registry.mirrors import Mirrors, market_at

        return Mirrors(market_at(self._markets(), places).trust, self.reporter())

    def would_fetch(self, source: str, mirror: Path) -> dict[str, int]:
        """Return how many files and bytes a sync of a mirror would fetch, and up to what."""
        wanted = self.mirrors(mirror).wanted(self.source(source), mirror)
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

    def source(self, name: str, *, plain_http: bool = False) -> Source:
        """Make a source of a folder or an address; `plain_http` allows it to be without https."""
        from urllib.parse import urlsplit

        from tavo.registry.sources import source_of

        hosts = self._plain_hosts()
        if plain_http:
            hosts = (*hosts, urlsplit(name).hostname or "")
        return source_of(name, offline=self.settings().offline, plain_http=hosts)

    def _plain_hosts(self) -> tuple[str, ...]:
        added = self.marketplaces().plain_hosts if self.several else ()
        return (*self.settings().registry.plain_http, *added)

    def trust_of(self, root: bytes) -> Trust:
        """Return the trust of a root, as this machine has it."""
        return self._trust_of(self.settings(), root, None)

    def _first(self, markets: Sequence[Market]) -> Market:
        """Return the marketplace of this file or of the settings, else the first that was added.

        Raises ConfigError where there is none at all.
        """
        from tavo.registry.routes import DEFAULT

        for market in markets:
            if market.name == DEFAULT:
                return market
        if not markets:
            raise ConfigError(
                "this tavo carries no repository and no trusted root is configured",
                hint="Add a marketplace with `tavo trust add`, or set registry.root and"
                " registry.source in the user configuration, or use a tavo.pyz that was built with"
                " `python3 build.py pyz`.",
            )
        return markets[0]

    def _markets(self) -> list[Market]:
        from tavo.registry.embedded import find_embedded
        from tavo.registry.routes import DEFAULT
        from tavo.registry.shelves import Market

        settings = self.settings()
        root = settings.registry.root
        markets: dict[str, Market] = {}
        embedded = find_embedded()
        if embedded is not None or root is not None:
            try:
                trusted = None if root is None else Path(root).expanduser().read_bytes()
            except OSError as error:
                raise InputError(
                    f"{root}: the trusted root cannot be read: {error.strerror}",
                    hint="Check registry.root in the user configuration.",
                ) from error
            trust = self._trust_of(settings, trusted, embedded)
            markets[DEFAULT] = Market(DEFAULT, trust, settings.registry.source)
        if not self.several:
            return list(markets.values())
        added = self.marketplaces()
        for one in added.known:
            trust = self._trust_of(settings, one.root_bytes, None)
            markets[one.name] = Market(one.name, trust, one.source, frozenset(one.namespaces))
        return [markets[name] for name in added.order if name in markets]

    def _trust_of(self, settings: Settings, root: bytes | None, embedded: Embedded | None) -> Trust:
        from tavo.folders import user_paths
        from tavo.registry.site_policy import read_site_policy
        from tavo.registry.trust import Trust, utc_now

        state = self.state()
        now = utc_now()
        if confirmed := state.confirmed_times():
            from tavo.registry.clock import confirmed_now

            now = confirmed_now(now, confirmed[-1])
        return Trust(
            state,
            user_paths().cache / "catalogs",
            embedded=embedded,
            root=root,
            offline=settings.offline,
            now=now,
            grace=read_site_policy(settings.registry.site_policy).grace,
            plain_http=self._plain_hosts(),
            evidence=user_paths().state / "evidence",
        )


def session_of(context: typer.Context) -> Session:
    """Return the session that the root command made."""
    session = context.find_object(Session)
    if session is None:
        raise UsageError("the command was started without the root command")
    return session
