"""All plugins of one catalog in memory, for lists, searches and facets.

Rules this module keeps:
- it is made of a verified catalog, once for each, and never changes: ratings and downloads come in
  with each question;
- the words of a search mean what they mean in `Catalog.search`: each must be in the id, the name,
  the description or the labels, in any case;
- a list goes on after the last plugin of the page before, whatever came or went meanwhile.

A look over 10,000 plugins takes a few milliseconds; the same by LIKE takes ten times as long.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from marketplace_db.catalog import Catalog, PluginRow
from marketplace_db.ratings import Rating

__all__ = ["SORTS", "Item", "Page", "Question", "Shelf", "Standing", "cursor_of", "read_cursor"]

Sort = Literal["relevance", "name", "updated", "rating", "downloads"]
SORTS: tuple[Sort, ...] = ("relevance", "name", "updated", "rating", "downloads")
_NO_RATING = Rating(reviews=0, total=0)
_FACETS = ("type", "category", "tag", "pricing_tier", "license")
_MOST_VALUES = 50


class Standing(NamedTuple):
    """What people say about plugins and how often they fetch them, by full id."""

    ratings: Mapping[str, Rating]
    downloads: Mapping[str, int]


class Question(NamedTuple):
    """What a list shall hold; what is empty or None asks nothing."""

    text: str = ""
    type: str | None = None
    category: str | None = None
    tag: str | None = None
    pricing_tier: str | None = None
    permission: str | None = None
    without: str | None = None
    license: str | None = None
    publisher: str | None = None
    verified: bool | None = None
    min_rating: float | None = None
    sort: Sort = "relevance"


class Item(NamedTuple):
    """A plugin with what lists filter by; `permissions` are words such as network."""

    row: PluginRow
    words: str
    permissions: frozenset[str]
    languages: tuple[str, ...]


class Page(NamedTuple):
    """Part of a list: how long it is, what is in this part, and where the next one begins."""

    total: int
    items: list[Item]
    next: list[Any] | None


class _Asked(msgspec.Struct):
    files: str = "none"
    network: tuple[str, ...] = ()
    target: bool = False
    env: tuple[str, ...] = ()
    subprocess: tuple[str, ...] = ()
    native_code: bool = False


class _Manifest(msgspec.Struct):
    permissions: _Asked = msgspec.field(default_factory=_Asked)
    languages: tuple[str, ...] = ()


class Shelf:
    """The plugins of a catalog, in the order of relevance without a text."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.items = sorted(items, key=lambda item: (not item.row.official, item.row.full_id))
        self.by_id = {item.row.full_id: item for item in self.items}
        self._ordered: dict[str, tuple[Standing, list[Item]]] = {}
        self.full_id_of = {item.row.uuid: item.row.full_id for item in self.items}

    @classmethod
    def of(cls, catalog: Catalog) -> Shelf:
        """Read all plugins of an open catalog. Raises CatalogError."""
        manifests = catalog.newest_manifests()
        return cls(_item(row, manifests.get(row.full_id, "{}")) for row in catalog.all_plugins())

    def page(
        self, question: Question, standing: Standing, *, after: list[Any] | None, limit: int
    ) -> Page:
        """Return the part of a list behind a cursor's key. Raises ValueError for a wrong key."""
        key = _key_of(question, standing)
        found = self._matching(question, standing, self._in_order(question.sort, key, standing))
        if question.sort == "relevance" and question.text:
            found = sorted(found, key=key)
        start = 0
        if after is not None:
            if not found:
                return Page(total=0, items=[], next=None)
            start = _behind(found, key, after)
        items = found[start : start + limit]
        more = start + limit < len(found)
        return Page(total=len(found), items=items, next=list(key(items[-1])) if more else None)

    def matching(self, question: Question, standing: Standing) -> list[Item]:
        """Return all that a question asks for, in the shelf's order."""
        return self._matching(question, standing, self.items)

    @staticmethod
    def _matching(question: Question, standing: Standing, found: list[Item]) -> list[Item]:
        for word in question.text.lower().split():
            found = [item for item in found if word in item.words]
        for keep in _conditions(question, standing):
            found = [item for item in found if keep(item)]
        return found

    def _in_order(
        self, sort: Sort, key: Callable[[Item], tuple[Any, ...]], standing: Standing
    ) -> list[Item]:
        """Return all plugins in an order, which is kept until people say something else."""
        if sort == "relevance":
            return self.items
        kept = self._ordered.get(sort)
        if kept is None or kept[0] is not standing:
            kept = self._ordered[sort] = (standing, sorted(self.items, key=key))
        return kept[1]

    def facets(self, items: Iterable[Item]) -> dict[str, list[tuple[str, int]]]:
        """Count the types, labels, prices and licences of plugins, the most frequent first."""
        counts: dict[str, Counter[str]] = {name: Counter() for name in _FACETS}
        for item in items:
            row = item.row
            counts["type"][row.plugin_type] += 1
            counts["pricing_tier"][row.pricing_tier] += 1
            counts["license"][row.license] += 1
            counts["category"].update(row.categories)
            counts["tag"].update(row.tags)
        return {
            name: sorted(counter.items(), key=lambda one: (-one[1], one[0]))[:_MOST_VALUES]
            for name, counter in counts.items()
        }


def cursor_of(sort: str, key: list[Any]) -> str:
    """Write where a list goes on, as text for an address."""
    return base64.urlsafe_b64encode(msgspec.json.encode([sort, *key])).rstrip(b"=").decode()


def read_cursor(sort: str, text: str) -> list[Any]:
    """Read what `cursor_of` wrote for the same order. Raises ValueError."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        value = msgspec.json.decode(data, type=list[str | bool | int])
    except (binascii.Error, msgspec.DecodeError, UnicodeError) as error:
        raise ValueError("it was not made by this list") from error
    if not value or value[0] != sort:
        raise ValueError("it belongs to a list in another order")
    return value[1:]


def _item(row: PluginRow, manifest: str) -> Item:
    try:
        own = msgspec.json.decode(manifest, type=_Manifest)
    except msgspec.DecodeError:
        own = _Manifest()
    asked = own.permissions
    permissions = {
        "files": asked.files != "none", "network": bool(asked.network), "target": asked.target,
        "env": bool(asked.env), "subprocess": bool(asked.subprocess),
        "native_code": asked.native_code,
    }  # fmt: skip
    words = "\n".join((row.full_id, row.name, row.description, *row.tags, *row.categories))
    return Item(
        row=row,
        words=words.lower(),
        permissions=frozenset(name for name, wanted in permissions.items() if wanted),
        languages=own.languages,
    )


def _conditions(question: Question, standing: Standing) -> list[Callable[[Item], bool]]:
    q = question
    found: list[Callable[[Item], bool]] = []
    if q.type is not None:
        found.append(lambda item: item.row.plugin_type == q.type)
    if q.category is not None:
        found.append(lambda item: q.category in item.row.categories)
    if q.tag is not None:
        found.append(lambda item: q.tag in item.row.tags)
    if q.pricing_tier is not None:
        found.append(lambda item: item.row.pricing_tier == q.pricing_tier)
    if q.license is not None:
        found.append(lambda item: item.row.license == q.license)
    if q.publisher is not None:
        found.append(lambda item: item.row.publisher == q.publisher)
    if q.verified is not None:
        found.append(lambda item: item.row.official == q.verified)
    if q.permission is not None:
        found.append(lambda item: q.permission in item.permissions)
    if q.without is not None:
        found.append(lambda item: q.without not in item.permissions)
    if q.min_rating is not None:
        lowest, ratings = q.min_rating, standing.ratings
        found.append(lambda item: ratings.get(item.row.full_id, _NO_RATING).average >= lowest)
    return found


def _key_of(question: Question, standing: Standing) -> Callable[[Item], tuple[Any, ...]]:
    """Return what a list is ordered by; the full id comes last, so no two plugins are equal."""
    exact = question.text.strip().lower()
    match question.sort:
        case "name":
            return lambda item: (item.row.name.casefold(), item.row.full_id)
        case "updated":
            return lambda item: (_later_first(item.row.updated_at), item.row.full_id)
        case "rating":

            def by_rating(item: Item) -> tuple[Any, ...]:
                one = standing.ratings.get(item.row.full_id, _NO_RATING)
                return (-round(one.average * 100), -one.reviews, item.row.full_id)

            return by_rating
        case "downloads":
            return lambda item: (
                -standing.downloads.get(item.row.full_id, 0), item.row.full_id,
            )  # fmt: skip
        case _:
            return lambda item: (
                item.row.id != exact, not item.row.official, item.row.full_id,
            )  # fmt: skip


def _later_first(time: str) -> int:
    digits = "".join(char for char in time if char.isdecimal())
    return -int(digits or "0")


def _behind(found: list[Item], key: Callable[[Item], tuple[Any, ...]], after: list[Any]) -> int:
    """Return where the items begin whose key is larger. Raises ValueError for another form."""
    from bisect import bisect_right

    own = key(found[0])
    if [type(part) for part in own] != [type(part) for part in after]:
        raise ValueError("it belongs to a list in another order")
    return bisect_right(found, tuple(after), key=key)
