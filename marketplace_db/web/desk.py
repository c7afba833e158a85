"""What answers are made of: the catalog that is shown, the market's database, and who counts what.

Rules this module keeps:
- what is shown is a verified catalog; a new release takes its place as a whole, and one that does
  not verify leaves the last good one in place, and says so;
- each thread has its own connections, which it opens itself;
- numbers of people (ratings, downloads) are summed up now and then, not with each question;
- packages are taken in by what the operator hands over: no rule about them is made here.

Units: seconds, times UTC.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from marketplace_db.accounts import Account, Accounts
from marketplace_db.catalog import Catalog
from marketplace_db.catalog_file import connect
from marketplace_db.errors import MarketplaceError
from marketplace_db.execution_limits import ExecutionLimits
from marketplace_db.executions import Executions
from marketplace_db.intake import Market
from marketplace_db.ratings import Ratings
from marketplace_db.targets import Targets
from marketplace_db.usage import Usage
from marketplace_db.web.shelf import Shelf, Standing
from signing.client import AcceptedRecord, DirectorySource, TrustState, prune, refresh
from signing.digests import Digest, VerifiedFile
from signing.errors import SigningError
from signing.publishers import Publishers

__all__ = ["Desk", "Edition", "TakeIn"]

TakeIn = Callable[[Path, Account, str | None, datetime], str]
"""Take in a submission's file from an account, of one plugin only where it is named; its id."""

_NO_BUILD_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_STANDING_S = 5.0
_log = logging.getLogger(__name__)


class Edition(NamedTuple):
    """One released catalog: the file, its publishers, and its plugins in memory."""

    verified: VerifiedFile
    publishers: Publishers
    shelf: Shelf
    versions: dict[str, str]


class _Own(threading.local):
    market: Market | None = None
    catalog: Catalog | None = None


class Desk:
    """The marketplace in a folder, as the server sees it. `load` it before use; `close` it."""

    def __init__(
        self,
        directory: Path,
        *,
        take_in: TakeIn,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        execution: ExecutionLimits | None = None,
    ) -> None:
        """`execution` is what the operator lets others run; nothing without it."""
        self.execution = execution or ExecutionLimits()
        self.directory = directory
        self.take_in = take_in
        self.clock = clock
        self.problem = ""
        self.standing = Standing(ratings={}, downloads={})
        self.generation = 0
        self.repository = directory / "repository"
        self._edition: Edition | None = None
        self._state = TrustState()
        self._record: AcceptedRecord | None = None
        self._seen: tuple[int, int] | None = None
        self._own = _Own()
        self._opened: list[Market | Catalog] = []
        self._lock = threading.Lock()
        self._downloads: Counter[str] = Counter()
        self._data_version = (-1, -1)
        self._summed = 0.0

    @property
    def edition(self) -> Edition:
        """Return what is shown at the moment. Raises MarketplaceError before the first `load`."""
        if self._edition is None:
            raise MarketplaceError("no catalog is loaded yet")
        return self._edition

    def market(self) -> Market:
        """Return this thread's connection to the market."""
        if self._own.market is None:
            self._own.market = Market.open(self.directory, any_thread=True)
            with self._lock:
                self._opened.append(self._own.market)
        return self._own.market

    def accounts(self) -> Accounts:
        """Return the accounts, over this thread's connection."""
        return Accounts(self.market().connection)

    def ratings(self) -> Ratings:
        """Return the users' reviews, over this thread's connection."""
        return Ratings(self.market().connection)

    def executions(self) -> Executions:
        """Return the runs for organisations, over this thread's connection."""
        return Executions(self.market().connection)

    def targets(self) -> Targets:
        """Return the registered targets, over this thread's connection."""
        return Targets(self.market().connection)

    def usage(self) -> Usage:
        """Return the counts, over this thread's connection."""
        return Usage(self.market().connection)

    def catalog(self) -> Catalog:
        """Return this thread's connection to the catalog that is shown."""
        verified = self.edition.verified
        own = self._own.catalog
        if own is None or own.verified is not verified:
            if own is not None:
                own.close()
            own = self._own.catalog = Catalog(verified, connect(verified, any_thread=True))
            with self._lock:
                self._opened.append(own)
        return own

    def load(self) -> bool:
        """Verify the repository and show its catalog, if it is another; return whether it is.

        Raises SigningError and MarketplaceError for one that does not verify.
        """
        seen = self._stamp()
        if seen == self._seen and self._edition is not None:
            return False
        root = (self.repository / "metadata" / "1.root.json").read_bytes()
        cache = self.directory / "served"
        done = refresh(
            DirectorySource(self.repository.resolve()),
            root=root,
            cache=cache,
            state=self._state,
            now=self.clock(),
            build_time=_NO_BUILD_TIME,
        )
        self._seen, self._state = seen, done.state
        if self._edition is not None and done.catalog.digest == self._edition.verified.digest:
            self._edition = self._edition._replace(
                verified=done.catalog, publishers=done.publishers
            )
        else:
            with Catalog.open(done.catalog, thorough=True) as catalog:
                shelf = Shelf.of(catalog)
                versions = catalog.versions_by_package()
            self._edition = Edition(
                verified=done.catalog,
                publishers=done.publishers,
                shelf=shelf,
                versions={digest.hex: uuid for digest, uuid in versions.items()},
            )
        self.generation += 1
        keep = [record for record in (self._record, done.record) if record is not None]
        prune(cache, keep)
        self._record = done.record
        self.problem = ""
        return True

    def look_after(self, monotonic: float) -> bool:
        """Do what is due now and then; return whether another catalog is shown.

        One thread calls it, every second. A release that does not verify is told in `problem`.
        """
        self.flush()
        changed = False
        try:
            changed = self.load()
        except (SigningError, MarketplaceError, OSError) as error:
            if str(error) != self.problem:
                _log.error("the repository is not shown: %s", error)
            self.problem = str(error)
        if monotonic - self._summed >= _STANDING_S or self._summed == 0.0:
            self._summed = monotonic
            self.sum_up()
        return changed

    def sum_up(self) -> None:
        """Sum up ratings and downloads, if anything was written since the last time."""
        connection = self.market().connection
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        own = connection.total_changes
        if (version, own) == self._data_version:
            return
        self._data_version = (version, own)
        standing = Standing(ratings=self.ratings().summary(), downloads=self.usage().downloads())
        if standing != self.standing:
            self.standing = standing
            self.generation += 1

    def count_download(self, package: Digest) -> None:
        """Count that a package was fetched; it is written with the next `flush`."""
        version = self.edition.versions.get(package.hex)
        if version is not None:
            with self._lock:
                self._downloads[version] += 1

    def flush(self) -> None:
        """Write the downloads that were counted; what cannot be written now is kept."""
        with self._lock:
            counts, self._downloads = self._downloads, Counter()
        if not counts:
            return
        try:
            self.usage().add_downloads(counts, now=self.clock())
        except MarketplaceError as error:
            _log.warning("downloads are not written yet: %s", error)
            with self._lock:
                self._downloads.update(counts)

    def close(self) -> None:
        """Close all connections; nobody may be using them."""
        with self._lock:
            for one in self._opened:
                one.close()
            self._opened.clear()

    def _stamp(self) -> tuple[int, int]:
        status = (self.repository / "metadata" / "timestamp.json").stat()
        return status.st_mtime_ns, status.st_ino
