"""What users say about plugins: one review for each person and version, shown when it was read.

Rules this module keeps:
- a person has one review of a version; a later one replaces it, and is read again before it shows;
- what is shown is plain text without control characters, whoever wrote it;
- nobody rates what their own organisation publishes;
- a review is hidden with a reason, never deleted: its author can still see it.

Times are UTC and come in as arguments.
"""

from __future__ import annotations

import sqlite3
import unicodedata
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from marketplace_db.accounts import Account
from marketplace_db.errors import NotAcceptedError, NotInCatalogError, WorkingDatabaseError
from marketplace_db.schema import outer_id
from marketplace_db.transaction import step
from marketplace_db.usage import release_key
from signing.roles import format_time

__all__ = ["LONGEST_BODY", "LONGEST_TITLE", "Rating", "Ratings", "UserReview"]

LONGEST_TITLE = 120
LONGEST_BODY = 4000

_COLUMNS = """
    r.uuid, u.name || '/' || p.plugin_id AS plugin, v.version, r.author, r.organization, r.rating,
    r.title, r.body, r.state, r.reason, r.created_at, coalesce(r.updated_at, r.created_at) AS
    updated_at, r.id AS number FROM plugin_reviews r
    JOIN plugin_versions v ON v.id = r.plugin_version_id JOIN plugins p ON p.id = v.plugin_id
    JOIN publishers u ON u.id = p.publisher_id"""


class UserReview(NamedTuple):
    """One review. `state` is waiting, published or hidden; `number` orders them, and stays here."""

    uuid: str
    plugin: str
    version: str
    author: str
    organization: str
    rating: int
    title: str
    body: str
    state: str
    reason: str
    created_at: str
    updated_at: str
    number: int


class Rating(NamedTuple):
    """How many published reviews a plugin has, and the sum of their stars."""

    reviews: int
    total: int

    @property
    def average(self) -> float:
        """Return the mean, 0 where nobody has rated."""
        return round(self.total / self.reviews, 2) if self.reviews else 0.0


class Ratings:
    """The users' reviews in a market's database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def write(
        self,
        account: Account,
        plugin: str,
        version: str,
        *,
        rating: int,
        title: str = "",
        body: str = "",
        now: datetime,
    ) -> UserReview:
        """Write or replace a person's review of a released version; it waits to be read.

        Raises NotInCatalogError for an unknown release, NotAcceptedError for a plugin of the
        person's own organisation, WorkingDatabaseError for text that cannot be shown.
        """
        if plugin.partition("/")[0] in account.namespaces:
            raise NotAcceptedError(
                f"{plugin}: your organisation publishes it, and nobody rates their own work"
            )
        if not 1 <= rating <= 5:
            raise WorkingDatabaseError(f"a rating is 1 to 5, found {rating}")
        texts = (_shown(title, "title", LONGEST_TITLE), _shown(body, "body", LONGEST_BODY))
        with step(self.connection):
            key = release_key(self.connection, plugin, version)
            moment = format_time(now)
            self.connection.execute(
                "INSERT INTO plugin_reviews (uuid, plugin_version_id, author, organization, rating,"
                " title, body, state, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting', ?, ?)"
                " ON CONFLICT (plugin_version_id, author) DO UPDATE SET rating = excluded.rating,"
                " title = excluded.title, body = excluded.body, state = 'waiting', reason = '',"
                " decided_by = '', updated_at = excluded.updated_at"
                " WHERE rating != excluded.rating OR title != excluded.title"
                " OR body != excluded.body",
                (
                    str(uuid.uuid4()), key, account.user, account.organization, rating,
                    *texts, moment, moment,
                ),
            )  # fmt: skip
            found = self.connection.execute(
                f"SELECT {_COLUMNS} WHERE r.plugin_version_id = ? AND r.author = ?",
                (key, account.user),
            ).fetchone()
        return UserReview(**dict(found))

    def decide(
        self, identifier: str, *, shown: bool, reason: str, by: str, now: datetime
    ) -> UserReview:
        """Show a review or hide it. Raises NotInCatalogError, WorkingDatabaseError."""
        reason = _shown(reason, "reason", LONGEST_TITLE * 4)
        if not shown and not reason:
            raise WorkingDatabaseError("a review is hidden with a reason, which its author reads")
        with step(self.connection):
            self.connection.execute(
                "UPDATE plugin_reviews SET state = ?, reason = ?, decided_by = ? WHERE uuid = ?",
                ("published" if shown else "hidden", reason, by, identifier),
            )
            row = self.connection.execute(
                f"SELECT {_COLUMNS} WHERE r.uuid = ?",
                (identifier,),
            ).fetchone()
        if row is None:
            raise NotInCatalogError(f"there is no review {identifier!r:.60}")
        return UserReview(**dict(row))

    def published(self, plugin: str, *, before: int | None, limit: int) -> list[UserReview]:
        """Return the shown reviews of a plugin, the newest first, from below a number on."""
        return self._select(
            "WHERE p.uuid = ? AND r.state = 'published' AND (? IS NULL OR r.id < ?)"
            " ORDER BY r.id DESC LIMIT ?",
            (outer_id("plugin", plugin), before, before, limit),
        )

    def waiting(self, *, after: int, limit: int) -> list[UserReview]:
        """Return the reviews that wait to be read, the oldest first, from above a number on."""
        return self._select(
            "WHERE r.state = 'waiting' AND r.id > ? ORDER BY r.id LIMIT ?", (after, limit)
        )

    def of(self, user: str, plugin: str) -> list[UserReview]:
        """Return what a person wrote about a plugin, in any state, the newest first."""
        return self._select(
            "WHERE r.author = ? AND p.uuid = ? ORDER BY r.id DESC",
            (user, outer_id("plugin", plugin)),
        )

    def summary_of(self, plugin: str) -> Rating:
        """Return the rating of one plugin as it is now."""
        row = self.connection.execute(
            "SELECT count(*) AS reviews, coalesce(sum(r.rating), 0) AS total FROM plugin_reviews r"
            " JOIN plugin_versions v ON v.id = r.plugin_version_id"
            " JOIN plugins p ON p.id = v.plugin_id WHERE r.state = 'published' AND p.uuid = ?",
            (outer_id("plugin", plugin),),
        ).fetchone()
        return Rating(reviews=row["reviews"], total=row["total"])

    def summary(self) -> Mapping[str, Rating]:
        """Return the ratings of all plugins that have any, by full id."""
        rows = self.connection.execute(
            "SELECT u.name || '/' || p.plugin_id AS plugin, count(*) AS reviews,"
            " sum(r.rating) AS total FROM plugin_reviews r"
            " JOIN plugin_versions v ON v.id = r.plugin_version_id"
            " JOIN plugins p ON p.id = v.plugin_id JOIN publishers u ON u.id = p.publisher_id"
            " WHERE r.state = 'published' GROUP BY p.id"
        )
        return {row["plugin"]: Rating(reviews=row["reviews"], total=row["total"]) for row in rows}

    def _select(self, where: str, values: tuple[object, ...]) -> list[UserReview]:
        rows = self.connection.execute(f"SELECT {_COLUMNS} {where}", values)
        return [UserReview(**dict(row)) for row in rows]


def _shown(text: str, field: str, longest: int) -> str:
    """Return a text in the form in which it is shown. Raises WorkingDatabaseError."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()
    if len(text) > longest:
        raise WorkingDatabaseError(f"{field}: at most {longest} characters, found {len(text)}")
    for char in text:
        hidden = unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        if hidden and not (char == "\n" and field == "body") and char != "\u200d":
            raise WorkingDatabaseError(
                f"{field}: holds the invisible or control character U+{ord(char):04X}"
            )
    return text
