"""The open catalogs of all marketplaces of this machine, and which of them a plugin comes from.

Rules this module keeps:
- a plugin is looked up in the one catalog that its namespace comes from (`tavo.registry.routes`),
  and what it needs in the one that its own namespace comes from: no version number chooses;
- a catalog that cannot be opened is told, and nothing of its namespaces comes from elsewhere;
- with one marketplace there is nothing to choose, and nothing is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from marketplace_db.catalog import Catalog
from marketplace_db.errors import MarketplaceError, NotInCatalogError
from signing.client import Source
from signing.errors import SigningError
from tavo.errors import RefusedError, TavoError
from tavo.registry.routes import Place, Routes
from tavo.registry.trust import OpenCatalog, Trust

__all__ = ["Market", "Shelf", "Shelves", "market_of", "open_shelves", "routes_of"]


class Market(NamedTuple):
    """A marketplace that this machine trusts: its name, its trust, where its news comes from, and
    the namespaces that are bound to it."""

    name: str
    trust: Trust
    source: str | None = None
    bound: frozenset[str] = frozenset()


class Shelf(NamedTuple):
    """An open catalog of a marketplace."""

    name: str
    opened: OpenCatalog
    catalog: Catalog

    @property
    def repository(self) -> str:
        """Return the id of its repository."""
        return self.opened.record.repository


class Shelves:
    """Open catalogs. `routes` is None where the machine has one marketplace."""

    def __init__(
        self,
        shelves: Sequence[Shelf],
        routes: Routes | None = None,
        broken: Mapping[str, str] | None = None,
    ) -> None:
        self._shelves = tuple(shelves)
        self._routes = routes
        self.broken = dict(broken or {})

    def __iter__(self) -> Iterator[Shelf]:
        return iter(self._shelves)

    @property
    def several(self) -> bool:
        """Tell whether the machine has several marketplaces, so that rows say which."""
        return self._routes is not None

    def of(self, full_id: str) -> Shelf:
        """Return the catalog that a plugin comes from.

        Raises RefusedError where its namespace comes from one that is not open, or it is not said
        from which; NotInCatalogError where no marketplace has the namespace.
        """
        if self._routes is None:
            return self._shelves[0]
        namespace = full_id.partition("/")[0]
        place = self._routes.of(namespace)
        if place is None:
            if len(self._shelves) == 1 and not self.broken:
                return self._shelves[0]
            names = ", ".join(one.name for one in self._routes.places)
            raise NotInCatalogError(
                f"{full_id}: no marketplace of this machine has the namespace {namespace}"
                f" ({names})",
                hint="`tavo registry browse` lists what there is.",
            )
        for shelf in self._shelves:
            if shelf.repository == place.repository:
                return shelf
        why = self.broken.get(place.name)
        raise RefusedError(
            f"{full_id}: the namespace {namespace} comes from {place.name}"
            + (f", whose catalog cannot be used now: {why}" if why else
               " here, and from nowhere else"),
            hint=f"Name a mirror of {place.name} with --mirror, or `tavo registry update`.",
        )  # fmt: skip

    def find(self, repository: str) -> Shelf | None:
        """Return the open catalog of a repository."""
        return next((one for one in self._shelves if one.repository == repository), None)

    def hidden(self, shelf: Shelf, full_ids: Collection[str]) -> dict[str, str]:
        """Return which plugins of a catalog are not offered, as their namespace comes from
        elsewhere or nobody said from where; each with the reason."""
        if self._routes is None:
            return {}
        problems = {
            namespace: self._routes.problem(namespace, shelf.repository)
            for namespace in {name.partition("/")[0] for name in full_ids}
        }
        named = ((name, problems[name.partition("/")[0]]) for name in full_ids)
        return {name: problem for name, problem in named if problem}


def routes_of(markets: Sequence[Market]) -> Routes | None:
    """Return the routes between marketplaces, None for a single one without bound namespaces."""
    if len(markets) == 1 and not markets[0].bound:
        return None
    return Routes([
        Place(one.name, one.trust.repository, one.bound, one.trust.namespaces()) for one in markets
    ])  # fmt: skip


def market_of(markets: Sequence[Market], source: Source) -> Market:
    """Return whose mirror a source is, by what it says of itself; all of it is verified later.

    Raises RefusedError where it is of none of several marketplaces.
    """
    if len(markets) == 1:
        return markets[0]
    from tavo.registry.marketplaces import repository_of  # a single marketplace needs none of it

    said = repository_of(source)
    for one in markets:
        if one.trust.repository == said:
            return one
    raise RefusedError(
        f"{source.name}: is of no marketplace that this machine trusts"
        f" ({said[:12] or 'no root can be read'})",
        hint="`tavo trust show` lists them; `tavo trust add` adds one.",
    )


@contextmanager
def open_shelves(markets: Sequence[Market], source: Source | None = None) -> Iterator[Shelves]:
    """Open the catalogs of all marketplaces, or that of the one whose mirror `source` is.

    What one of several cannot be opened for is kept in `broken`; a single one raises it.
    """
    chosen = list(markets) if source is None else [market_of(markets, source)]
    shelves: list[Shelf] = []
    broken: dict[str, str] = {}
    with ExitStack() as stack:
        for one in chosen:
            try:
                opened = one.trust.open(source)
                catalog = stack.enter_context(Catalog.open(opened.file))
            except (SigningError, MarketplaceError, TavoError) as error:
                if len(chosen) == 1:
                    raise
                broken[one.name] = str(error)
            else:
                shelves.append(Shelf(one.name, opened, catalog))
        yield Shelves(shelves, routes_of(markets), broken)
