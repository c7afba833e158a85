"""What is fetched and installed: downloads by day without names, installations by opt-in.

Rules this module keeps:
- a download counts for a version and a day, and nothing says who fetched it;
- an installation is written only where its organisation tells it, and only that organisation lists
  it; telling it twice counts once;
- "installed together" is told only of plugins that several organisations have.

Times are UTC and come in as arguments.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from marketplace_db.errors import NotInCatalogError
from marketplace_db.schema import outer_id
from marketplace_db.transaction import step
from signing.roles import format_time

__all__ = ["InstallationRow", "Usage", "release_key"]

_FEWEST_ORGANIZATIONS = 3


class InstallationRow(NamedTuple):
    """One installation that an organisation has told; `number` orders them, and stays here."""

    uuid: str
    plugin: str
    version: str
    client_version: str
    installed_at: str
    number: int


def release_key(connection: sqlite3.Connection, plugin: str, version: str) -> int:
    """Return the key of a release. Raises NotInCatalogError for one that there is not."""
    row = connection.execute(
        "SELECT id FROM plugin_versions WHERE uuid = ?",
        (outer_id("version", f"{plugin}@{version}"),),
    ).fetchone()
    if row is None:
        raise NotInCatalogError(f"there is no release {version!r:.60} of {plugin!r:.140}")
    return int(row["id"])


class Usage:
    """Counts in a market's database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def add_downloads(self, counts: Mapping[str, int], *, now: datetime) -> None:
        """Add downloads of versions, by the versions' outer ids, to this day."""
        day = format_time(now)[:10]
        with step(self.connection):
            self.connection.executemany(
                "INSERT INTO plugin_downloads (plugin_version_id, day, downloads)"
                " SELECT id, ?, ? FROM plugin_versions WHERE uuid = ?"
                " ON CONFLICT (plugin_version_id, day) DO UPDATE SET"
                " downloads = downloads + excluded.downloads",
                [(day, count, version) for version, count in sorted(counts.items())],
            )

    def downloads(self) -> Mapping[str, int]:
        """Return the downloads of all plugins that have any, by full id."""
        rows = self.connection.execute(
            "SELECT u.name || '/' || p.plugin_id AS plugin, sum(d.downloads) AS downloads"
            " FROM plugin_downloads d JOIN plugin_versions v ON v.id = d.plugin_version_id"
            " JOIN plugins p ON p.id = v.plugin_id JOIN publishers u ON u.id = p.publisher_id"
            " GROUP BY p.id"
        )
        return {row["plugin"]: int(row["downloads"]) for row in rows}

    def by_day(self, plugin: str, *, since: str) -> list[tuple[str, int]]:
        """Return the days on which a plugin was fetched from a day on, with how often."""
        rows = self.connection.execute(
            "SELECT d.day, sum(d.downloads) AS downloads FROM plugin_downloads d"
            " JOIN plugin_versions v ON v.id = d.plugin_version_id"
            " JOIN plugins p ON p.id = v.plugin_id"
            " WHERE p.uuid = ? AND d.day >= ? GROUP BY d.day ORDER BY d.day",
            (outer_id("plugin", plugin), since),
        )
        return [(row["day"], int(row["downloads"])) for row in rows]

    def add_installation(
        self,
        organization: str,
        plugin: str,
        version: str,
        *,
        key: str,
        client_version: str,
        now: datetime,
    ) -> tuple[InstallationRow, bool]:
        """Write an installation; return it, and whether it is new.

        `key` is the client's own name for it: the same one again is the same installation. Raises
        NotInCatalogError for an unknown release.
        """
        identifier = str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:tavo:install:{organization}:{key}"))
        with step(self.connection):
            key_of_release = release_key(self.connection, plugin, version)
            cursor = self.connection.execute(
                "INSERT INTO plugin_installations (uuid, plugin_version_id, organization,"
                " client_version, installed_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (uuid) DO NOTHING",
                (identifier, key_of_release, organization, client_version, format_time(now)),
            )
            new = cursor.rowcount == 1
        (found,) = self._installations("AND i.uuid = ?", (organization, identifier))
        return found, new

    def installations(self, organization: str, *, after: int, limit: int) -> list[InstallationRow]:
        """Return what an organisation has told, the oldest first, from above a number on."""
        return self._installations(
            "AND i.id > ? ORDER BY i.id LIMIT ?", (organization, after, limit)
        )

    def installed_together(self, plugin: str, *, limit: int = 5) -> list[tuple[str, int]]:
        """Return the plugins that organisations with this one have too, and how many have both.

        Where fewer than three organisations have both, nothing is told.
        """
        rows = self.connection.execute(
            "WITH has AS (SELECT DISTINCT i.organization, v.plugin_id FROM plugin_installations i"
            " JOIN plugin_versions v ON v.id = i.plugin_version_id WHERE i.organization != '')"
            " SELECT u.name || '/' || p.plugin_id AS plugin, count(*) AS both FROM has a"
            " JOIN has b ON b.organization = a.organization AND b.plugin_id != a.plugin_id"
            " JOIN plugins p ON p.id = b.plugin_id JOIN publishers u ON u.id = p.publisher_id"
            " WHERE a.plugin_id = (SELECT id FROM plugins WHERE uuid = ?)"
            " GROUP BY p.id HAVING count(*) >= ? ORDER BY both DESC, plugin LIMIT ?",
            (outer_id("plugin", plugin), _FEWEST_ORGANIZATIONS, limit),
        )
        return [(row["plugin"], int(row["both"])) for row in rows]

    def _installations(self, more: str, values: tuple[object, ...]) -> list[InstallationRow]:
        rows = self.connection.execute(
            "SELECT i.uuid, u.name || '/' || p.plugin_id AS plugin, v.version, i.client_version,"  # noqa: S608
            " i.installed_at, i.id AS number FROM plugin_installations i"
            " JOIN plugin_versions v ON v.id = i.plugin_version_id"
            " JOIN plugins p ON p.id = v.plugin_id JOIN publishers u ON u.id = p.publisher_id"
            f" WHERE i.organization = ? {more}",
            values,
        )
        return [InstallationRow(**dict(row)) for row in rows]
