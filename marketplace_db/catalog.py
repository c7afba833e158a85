"""The read side of a catalog: opens a verified file, answers questions.

Rules this module keeps:
- a catalog opens from a `VerifiedFile` and from nothing else;
- before the first query the file is checked (`marketplace_db.catalog_file`);
- what it answers are values (`marketplace_db.catalog_rows`); integer keys never leave it.

A bare plugin name means `tavo/name`.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from marketplace_db.catalog_file import open_checked
from marketplace_db.catalog_rows import (
    ApprovalRow,
    PluginRow,
    ReleaseRow,
    ReviewRow,
    WheelRow,
    digest_of,
    full_id_of,
    plugin_of,
    release_of,
    unreadable,
)
from marketplace_db.errors import NotInCatalogError
from signing.digests import Digest, VerifiedFile

if TYPE_CHECKING:
    from marketplace_db.words import WordIndex

__all__ = [
    "ApprovalRow",
    "Catalog",
    "PluginRow",
    "ReleaseRow",
    "ReviewRow",
    "WheelRow",
    "full_id_of",
]

_PLUGIN_COLUMNS = """
    p.full_id, p.uuid, u.name AS publisher, u.display_name AS publisher_name, u.official,
    p.plugin_id AS id, p.name, p.description, p.plugin_type, p.author, p.license,
    p.pricing_tier, p.categories, p.tags, p.updated_at,
    (SELECT version FROM plugin_versions WHERE id = p.latest_version_id) AS latest
    FROM plugins p JOIN publishers u ON u.id = p.publisher_id"""
_SEARCHED = ("p.full_id", "p.name", "p.description", "p.tags", "p.categories")
_LONGEST_TEXT = 1000
_FEWEST_LOOKED_AT, _MOST_LOOKED_AT = 20, 500  # plugins in one question to SQLite


class Catalog:
    """An open catalog. Use it as a context manager, or call `close`."""

    def __init__(self, verified: VerifiedFile, connection: sqlite3.Connection) -> None:
        self.verified = verified
        self._connection = connection

    @classmethod
    def open(cls, verified: VerifiedFile, *, thorough: bool = False) -> Catalog:
        """Open a verified catalog; `thorough` also checks every page of it.

        Raises CatalogError when it has another schema than this version reads.
        """
        if not isinstance(verified, VerifiedFile):
            raise TypeError("a catalog opens only from a signing.VerifiedFile")
        return cls(verified, open_checked(verified, thorough=thorough))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def search(
        self,
        text: str = "",
        plugin_type: str | None = None,
        category: str | None = None,
        *,
        limit: int = 1000,
        index: WordIndex | None = None,
    ) -> list[PluginRow]:
        """Find plugins whose id, name, description or labels hold every word of `text`.

        The plugin with this very id comes first, then official ones, each in the order of their
        full ids. An `index` of this catalog changes how long that takes, and no more: what it
        names is read here and compared like everything else. A text of more than 1,000 characters
        finds nothing.
        """
        if len(text) > _LONGEST_TEXT or not _is_unicode(text):
            return []
        conditions: list[str] = []
        values: list[Any] = []
        words = list(dict.fromkeys(text.split()))
        for word in words:
            escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            conditions.append(
                "(" + " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in _SEARCHED) + ")"
            )
            values += [f"%{escaped}%"] * len(_SEARCHED)
        if plugin_type:
            conditions.append("p.plugin_type = ?")
            values.append(plugin_type)
        if category:
            conditions.append("EXISTS (SELECT 1 FROM json_each(p.categories) WHERE value = ?)")
            values.append(category)
        plugin_id = text.strip().lower()
        if index is not None and words:
            try:
                found = self._search_by(index, words, plugin_id, conditions, values, limit)
            except (sqlite3.Error, UnicodeDecodeError, MemoryError):
                index.drop()  # what SQLite says of a damaged file can be no text, or too long
            else:
                if found is not None:
                    return found
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        order = " ORDER BY p.plugin_id = ? DESC, u.official DESC, p.full_id LIMIT ?"
        rows = self._rows(f"SELECT {_PLUGIN_COLUMNS}{where}{order}", [*values, plugin_id, limit])
        return [plugin_of(row) for row in rows]

    def all_plugins(self) -> list[PluginRow]:
        """Return every plugin, in the order of full ids."""
        return list(self.each_plugin())

    def each_plugin(self) -> Iterator[PluginRow]:
        """Yield every plugin, in the order of full ids."""
        for row in self._rows(f"SELECT {_PLUGIN_COLUMNS} ORDER BY p.full_id"):
            yield plugin_of(row)

    def newest_manifests(self) -> dict[str, str]:
        """Return the manifest of each plugin's newest version as JSON, by full id."""
        rows = self._rows(
            "SELECT p.full_id, v.manifest FROM plugins p"
            " JOIN plugin_versions v ON v.id = p.latest_version_id"
        )
        return {row["full_id"]: row["manifest"] for row in rows}

    def taken_back(self, recalled: Collection[Digest]) -> list[tuple[str, str, Digest, str, str]]:
        """Return full id, version, package, reason and time of what is withdrawn or recalled.

        The time of what is recalled only is that of its release.
        """
        rows = self._rows(
            "SELECT p.full_id, v.version, v.package, coalesce(v.yanked_reason, '') AS reason,"
            " coalesce(v.yanked_at, v.published_at) AS since FROM plugin_versions v"
            " JOIN plugins p ON p.id = v.plugin_id WHERE v.yanked_at IS NOT NULL"
            " OR lower(hex(v.package)) IN (SELECT value FROM json_each(?))",
            [json.dumps([digest.hex for digest in recalled])],
        )
        return [
            (row["full_id"], row["version"], digest_of(row["package"]), row["reason"], row["since"])
            for row in rows
        ]

    def versions_by_package(self) -> dict[Digest, str]:
        """Return the UUID of each release, by the digest of its package."""
        rows = self._rows("SELECT package, uuid FROM plugin_versions")
        return {digest_of(row["package"]): str(row["uuid"]) for row in rows}

    def _search_by(
        self,
        index: WordIndex,
        words: Sequence[str],
        plugin_id: str,
        conditions: Sequence[str],
        values: Sequence[Any],
        limit: int,
    ) -> list[PluginRow] | None:
        """Search among what an index names; None if it names nothing in particular.

        Raises sqlite3.Error for an index that is not right.
        """
        named = index.candidates(words, plugin_id)
        if named is None:
            return None
        where = " AND ".join(("p.full_id IN ({})", *conditions))
        found: list[PluginRow] = []
        left = self.plugins_at_most()
        size = min(max(limit, _FEWEST_LOOKED_AT), _MOST_LOOKED_AT)
        while len(found) < limit and (some := list(itertools.islice(named, size))):
            left -= len(some)
            if left < 0:
                raise sqlite3.DatabaseError("the index names more plugins than there are")
            marks = ",".join("?" * len(some))
            rows = self._rows(
                f"SELECT {_PLUGIN_COLUMNS} WHERE {where.format(marks)}", [*some, *values]
            )
            found += [plugin_of(row) for row in rows]
        found.sort(key=lambda one: (one.id != plugin_id, not one.official, one.full_id))
        return found[:limit]

    def plugins_at_most(self) -> int:
        """Return a number that the plugins do not exceed: keys are given in order, from 1."""
        (row,) = self._rows("SELECT coalesce(max(id), 0) AS last FROM plugins")
        return int(row["last"])

    def texts(self) -> Iterator[tuple[str, ...]]:
        """Yield full id, id and all that `search` looks at of each plugin, in its order."""
        columns = ", ".join(("p.full_id AS f", "p.plugin_id", *_SEARCHED))
        for row in self._rows(
            f"SELECT {columns} FROM plugins p"  # noqa: S608
            " JOIN publishers u ON u.id = p.publisher_id"
            " ORDER BY u.official DESC, p.full_id"
        ):
            yield tuple(row)

    def categories(self) -> list[tuple[str, int]]:
        """Return each category with its number of plugins, in alphabetical order."""
        rows = self._rows(
            "SELECT c.value AS name, count(*) AS plugins FROM plugins p, json_each(p.categories) c"
            " GROUP BY c.value ORDER BY c.value"
        )
        return [(str(row["name"]), int(row["plugins"])) for row in rows]

    def plugin(self, name: str) -> PluginRow:
        """Return one plugin by full id, bare name or UUID. Raises NotInCatalogError."""
        where, values = "p.full_id = ?", [full_id_of(name)]
        if "/" not in name:  # a UUID has no index, and what is looked at then is every plugin
            where, values = f"{where} OR p.uuid = ?", [*values, name]
        rows = list(self._rows(f"SELECT {_PLUGIN_COLUMNS} WHERE {where}", values))
        if not rows:
            known = [str(row["full_id"]) for row in self._rows("SELECT full_id FROM plugins")]
            near = _nearest(full_id_of(name), known)
            raise NotInCatalogError(
                f"no plugin {full_id_of(name)!r} in the catalog"
                + (f"; did you mean {near!r}?" if near else ""),
                hint="See what is there with `tavo registry browse`.",
            )
        return plugin_of(rows[0])

    def versions(self, name: str) -> list[ReleaseRow]:
        """Return all releases of a plugin, the newest version first. Raises NotInCatalogError."""
        releases = self._releases(self.plugin(name).full_id, None)
        if len(releases) < 2:
            return releases
        from packaging.version import Version

        return sorted(releases, key=lambda release: Version(release.version), reverse=True)

    def version_names(self, full_id: str) -> list[str]:
        """Return the versions of a plugin in no order; none where it is not in the catalog."""
        rows = self._rows(
            "SELECT version FROM plugin_versions WHERE plugin_id ="
            " (SELECT id FROM plugins WHERE full_id = ?)",
            [full_id],
        )
        return [str(row["version"]) for row in rows]

    def release(self, name: str, version: str | None = None) -> ReleaseRow:
        """Return one release; without a version the newest one that is not yanked.

        Raises NotInCatalogError.
        """
        plugin = self.plugin(name)
        wanted = version or plugin.latest
        if wanted is None:
            raise NotInCatalogError(
                f"every version of {plugin.full_id} was withdrawn",
                hint=f"`tavo registry show {plugin.full_id}` says why.",
            )
        found = self._releases(plugin.full_id, wanted)
        if not found:
            known = ", ".join(release.version for release in self.versions(plugin.full_id)[:5])
            raise NotInCatalogError(
                f"no version {wanted!r} of {plugin.full_id} in the catalog; there are {known}"
            )
        return found[0]

    def withdrawn(self) -> dict[Digest, str]:
        """Return the packages of all withdrawn releases, each with its reason."""
        rows = self._rows(
            "SELECT package, yanked_reason FROM plugin_versions WHERE yanked_at IS NOT NULL"
        )
        return {digest_of(row["package"]): row["yanked_reason"] or "" for row in rows}

    def plugins_of(self, packages: Collection[Digest]) -> frozenset[str]:
        """Return the plugins that have one of these packages as a release."""
        wanted = {digest.hex for digest in packages}
        rows = self._rows(
            "SELECT DISTINCT p.full_id FROM plugin_versions v JOIN plugins p ON p.id = v.plugin_id"
            " WHERE lower(hex(v.package)) IN (SELECT value FROM json_each(?))",
            [json.dumps(sorted(wanted))],
        )
        return frozenset(str(row["full_id"]) for row in rows)

    def releases(self) -> Iterator[ReleaseRow]:
        """Yield every release of every plugin in the order of `seq`."""
        names = {
            int(row["id"]): str(row["full_id"])
            for row in self._rows("SELECT id, full_id FROM plugins")
        }
        for row in list(self._rows("SELECT * FROM plugin_versions ORDER BY seq")):
            found = (
                list(self._rows(f"SELECT * FROM {table} WHERE plugin_version_id = ?", [row["id"]]))  # noqa: S608
                for table in ("wheels", "approvals")
            )
            yield release_of(names[row["plugin_id"]], row, *found)

    def blobs(
        self, plugins: Collection[str] | None, wants_wheel: Callable[[str], bool]
    ) -> Iterator[tuple[Digest, int | None]]:
        """Yield each blob that releases consist of, once, in the order of digests.

        `plugins` are full ids, None for all. A length is None where the catalog tells none, as for
        statements. SQLite sorts, in a file of its own if there are many: memory stays small.
        """
        where, values = self._of(plugins)
        self._connection.create_function("wants_wheel", 1, wants_wheel, deterministic=True)
        last: Digest | None = None
        length: int | None = None
        for row in self._rows(
            f"SELECT package AS digest, package_length AS length FROM plugin_versions v {where}"  # noqa: S608
            f" UNION SELECT publisher_envelope, NULL FROM plugin_versions v {where}"
            " UNION SELECT a.envelope, NULL FROM approvals a"
            f" JOIN plugin_versions v ON v.id = a.plugin_version_id {where}"
            " UNION SELECT w.digest, w.length FROM wheels w"
            f" JOIN plugin_versions v ON v.id = w.plugin_version_id {where}"
            f" {'AND' if where else 'WHERE'} wants_wheel(w.filename)"
            " ORDER BY digest, length",
            values * 4,
        ):
            digest = digest_of(row["digest"])
            if last is not None and digest != last:
                yield last, length
            last, length = digest, row["length"]
        if last is not None:
            yield last, length

    def statements(self, plugins: Collection[str] | None) -> Iterator[Digest]:
        """Yield the reviewers' statements of these plugins, each once, in order; None for all."""
        where, values = self._of(plugins)
        for row in self._rows(
            "SELECT DISTINCT a.envelope FROM approvals a"  # noqa: S608
            f" JOIN plugin_versions v ON v.id = a.plugin_version_id {where} ORDER BY a.envelope",
            values,
        ):
            yield digest_of(row["envelope"])

    def count_releases(self, plugins: Collection[str] | None) -> int:
        """Return how many releases these plugins have; None for all."""
        where, values = self._of(plugins)
        (row,) = self._rows(f"SELECT count(*) AS n FROM plugin_versions v {where}", values)  # noqa: S608
        return int(row["n"])

    def manifests(self, plugins: Collection[str]) -> Iterator[str]:
        """Yield the manifest of each release of these plugins, as JSON."""
        where, values = self._of(plugins)
        for row in self._rows(f"SELECT v.manifest FROM plugin_versions v {where}", values):  # noqa: S608
            yield str(row["manifest"])

    @staticmethod
    def _of(plugins: Collection[str] | None) -> tuple[str, list[str]]:
        """Return what restricts versions `v` to these plugins, with its values."""
        if plugins is None:
            return "", []
        return (
            "WHERE v.plugin_id IN (SELECT id FROM plugins WHERE full_id IN"
            " (SELECT value FROM json_each(?)))",
            [json.dumps(sorted(plugins))],
        )

    def approvals(self, name: str, version: str) -> list[ApprovalRow]:
        """Return the reviewers' approvals of one release, in the order they were recorded."""
        rows = self._rows(
            "SELECT a.key_id, a.envelope, a.issued FROM approvals a"
            " JOIN plugin_versions v ON v.id = a.plugin_version_id"
            " JOIN plugins p ON p.id = v.plugin_id"
            " WHERE p.full_id = ? AND v.version = ? ORDER BY a.id",
            [full_id_of(name), version],
        )
        return [
            ApprovalRow(
                key_id=row["key_id"], envelope=digest_of(row["envelope"]), issued=row["issued"]
            )
            for row in rows
        ]

    def reviews(self, name: str) -> list[ReviewRow]:
        """Return the published reviews of a plugin, the newest first. Raises NotInCatalogError."""
        rows = self._rows(
            "SELECT v.version, r.author, r.rating, r.title, r.body, r.created_at"
            " FROM plugin_reviews r JOIN plugin_versions v ON v.id = r.plugin_version_id"
            " JOIN plugins p ON p.id = v.plugin_id WHERE p.full_id = ?"
            " ORDER BY r.created_at DESC, r.id DESC",
            [self.plugin(name).full_id],
        )
        return [ReviewRow(**dict(row)) for row in rows]

    def _releases(self, full_id: str, version: str | None) -> list[ReleaseRow]:
        chosen = (
            "FROM plugin_versions v JOIN plugins p ON p.id = v.plugin_id"
            " WHERE p.full_id = ? AND (? IS NULL OR v.version = ?)"
        )
        values = [full_id, version, version]
        rows = list(self._rows(f"SELECT v.* {chosen}", values))
        wheels: dict[int, list[sqlite3.Row]] = {}
        approvals: dict[int, list[sqlite3.Row]] = {}
        for table, found in (("wheels", wheels), ("approvals", approvals)):
            query = f"SELECT * FROM {table} WHERE plugin_version_id IN (SELECT v.id {chosen})"  # noqa: S608
            for row in self._rows(query, values):
                found.setdefault(row["plugin_version_id"], []).append(row)
        return [
            release_of(full_id, row, wheels.get(row["id"], []), approvals.get(row["id"], []))
            for row in rows
        ]

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[sqlite3.Row]:
        try:
            yield from self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise unreadable(self.verified.path, error) from error


def _nearest(name: str, known: Sequence[str]) -> str:
    """Return the plugin that may be meant, or nothing. A namespace that many share says little."""
    import difflib

    bare: dict[str, str] = {}
    for one in known:
        bare.setdefault(one.partition("/")[2], one)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
    short = difflib.get_close_matches(name.partition("/")[2], bare, n=1, cutoff=0.6)
    return near[0] if near else bare[short[0]] if short else ""


def _is_unicode(text: str) -> bool:
    """Tell whether the text is what people write: bytes of other encodings come as surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
