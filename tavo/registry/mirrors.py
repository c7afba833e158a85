"""Mirrors and bundles of the repository that this machine trusts.

Rules this module keeps:
- whatever is copied, packed or imported is judged by the trust of this machine, and what a sync or
  an import accepted is remembered like any catalog: recalls take effect with the import;
- looking (status, verify) and packing remember nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from marketplace_db.errors import MirrorError
from marketplace_db.mirror import CONNECTIONS, MirrorReport, read_hint, sync
from marketplace_db.mirror_copy import Observer
from marketplace_db.selection import EVERYTHING, Selection
from marketplace_db.site import Site
from signing.client import DirectorySource, Source, TrustState
from signing.digests import VerifiedFile
from tavo.errors import ConfigError, InputError, RefusedError, UsageError
from tavo.registry.shelves import Market, market_of
from tavo.registry.trust import Trust

if TYPE_CHECKING:
    from marketplace_db.bundle import Bundle
    from marketplace_db.bundle_write import Exported
    from marketplace_db.mirror_check import Checked, Wanted
    from marketplace_db.mirror_prune import Pruned
    from tavo.registry.audit import Audit

__all__ = ["Mirrors", "market_at"]


class _Known(TypedDict):
    root: bytes
    cache: Path
    state: TrustState
    now: datetime
    build_time: datetime


class Mirrors:
    """What can be done with mirrors under one trust."""

    def __init__(self, trust: Trust, reporter: Observer | None = None) -> None:
        self.trust = trust
        self._reporter = reporter

    def sync(
        self,
        source: Source,
        destination: Path,
        selection: Selection = EVERYTHING,
        connections: int = CONNECTIONS,
    ) -> MirrorReport:
        """Make a folder a verified copy; see `marketplace_db.mirror.sync`."""
        with self.trust.keeping_evidence():
            report = sync(
                source, destination, selection=selection, connections=connections,
                reporter=self._reporter, **self._known(),
            )  # fmt: skip
        self.trust.remember(report.refreshed)
        return report

    def export(self, place: Path, out: Path, size: str, since: Path | None) -> Exported:
        """Pack a mirror, or cut a bundle again; see `marketplace_db.bundle_write`."""
        from marketplace_db import bundle_write

        try:
            limit = bundle_write.part_size(size)
        except MirrorError as error:
            raise UsageError(str(error), hint=error.hint) from error
        if not (place / "metadata").is_dir():
            if since is not None:
                raise InputError(
                    f"{place}: is no mirror, and --since needs one",
                    hint="Name the mirror's folder, or leave --since out to cut a bundle again.",
                )
            return bundle_write.recut([place], out, size=limit, reporter=self._reporter)
        have = None if since is None else bundle_write.read_have(since)
        return bundle_write.export(
            place, out, size=limit, since=have, reporter=self._reporter, **self._known()
        )

    def import_(self, places: Sequence[Path], destination: Path) -> tuple[MirrorReport, Bundle]:
        """Bring a bundle into a mirror; see `marketplace_db.bundle_import`."""
        from marketplace_db.bundle_import import import_bundle

        with self.trust.keeping_evidence():
            report, bundle = import_bundle(
                places, destination, reporter=self._reporter, **self._known()
            )
        self.trust.remember(report.refreshed)
        return report, bundle

    def verify(self, place: Path) -> Checked:
        """Verify a mirror, or a full bundle, and hash each of its files."""
        from marketplace_db.mirror_check import check

        source: Source
        if (place / "metadata").is_dir():
            source, selection = DirectorySource(place), _filters(place)
        else:
            from marketplace_db.bundle import Bundle, BundleSource

            bundle = Bundle.open([place])
            if bundle.summary.base is not None:
                raise InputError(
                    f"{place}: is incremental, and can be verified with its base only",
                    hint="Import it into its mirror: that verifies everything.",
                )
            source, selection = BundleSource(bundle), bundle.summary.filters
        return check(source, selection, **self._known())

    def audit(self, mirror: Path, *, catalog: str = "", since: str = "") -> Audit:
        """Prove what the log of a mirror holds; see `tavo.registry.audit`."""
        from tavo.registry.audit import audit

        with self.trust.keeping_evidence():
            return audit(DirectorySource(mirror), Site(**self._known()), catalog, since)

    def wanted(self, source: Source, mirror: Path) -> Wanted:
        """Return what a sync would fetch."""
        from marketplace_db.mirror_check import wanted

        return wanted(source, mirror, _filters(mirror), **self._known())

    def catalog(self, mirror: Path, cache: Path) -> VerifiedFile:
        """Verify a mirror's catalog into a cache of its own, and return it."""
        return Site(**self._known()).read(DirectorySource(mirror), cache=cache).catalog

    def prune(self, mirror: Path, days: float, *, delete: bool) -> Pruned:
        """Find, and delete if told so, what nothing in a mirror refers to."""
        from marketplace_db.mirror_prune import prune

        return prune(mirror, days=days, delete=delete, **self._known())

    def _known(self) -> _Known:
        return {
            "root": self.trust.root,
            "cache": self.trust.cache,
            "state": self.trust.state(),
            "now": self.trust.now,
            "build_time": self.trust.build_time,
        }


def _filters(mirror: Path) -> Selection:
    return Selection.from_dict((read_hint(mirror) or {}).get("filters", {}))


def market_at(markets: Sequence[Market], places: Sequence[Path]) -> Market:
    """Return the marketplace that a mirror or the parts of a bundle are of, as they say it.

    Raises ConfigError where no root is trusted, RefusedError where they are of none of several,
    MirrorError.
    """
    if not markets:
        raise ConfigError(
            "no root is trusted on this machine, so nothing can be verified",
            hint="Add a marketplace with `tavo trust add`, or set registry.root in the user"
            " configuration.",
        )
    if len(markets) == 1 or not places:
        return markets[0]
    if (places[0] / "metadata").is_dir():
        return market_of(markets, DirectorySource(places[0]))
    from marketplace_db.bundle import find_parts

    said = find_parts(places)[0].summary.repository
    for one in markets:
        if one.trust.repository == said:
            return one
    raise RefusedError(
        f"{places[0]}: is of no marketplace that this machine trusts ({said[:12]})",
        hint="`tavo trust show` lists them; `tavo trust add` adds one.",
    )
