"""Who may ask the marketplace for what: organisations, people, and their tokens.

Rules this module keeps:
- a token is shown once, when it is made; what is stored is its SHA-256, which is enough, because a
  token has 256 random bits and cannot be guessed from it;
- a token ends: at its time, or when it is revoked, from the next request on;
- a person belongs to one organisation, and neither changes its name: what is kept by name stays
  with them;
- what a token may do is a set of words, and an organisation hands in for its namespaces only.

Times are UTC and come in as arguments.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sqlite3
import uuid
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from marketplace_db.errors import WorkingDatabaseError
from marketplace_db.transaction import step
from signing.roles import format_time

__all__ = [
    "SCOPES",
    "TOKEN_FORM",
    "Account",
    "Accounts",
    "OrganizationRow",
    "TokenRow",
    "check_name",
    "check_token",
]

SCOPES = {
    "submit": "hand in packages, and withdraw releases, of the organisation's namespaces",
    "review": "rate and review plugins",
    "install": "tell what the organisation has installed, and list it",
    "execute": "run plugins on the operator's machines",
    "operate": "see the whole queue, and decide which reviews are shown",
}
"""What a token may be for, each with the sentence that says it."""

TOKEN_FORM = r"^tavo_[A-Za-z0-9_-]{43}$"  # noqa: S105  # what one looks like
_TOKEN = re.compile(r"tavo_[A-Za-z0-9_-]{43}")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){0,62}")
_LONGEST_LABEL = 80


class Account(NamedTuple):
    """Who a valid token speaks for, and what it may ask; `token` is its outer id."""

    token: str
    user: str
    organization: str
    scopes: frozenset[str]
    namespaces: frozenset[str]
    expires_at: str


class TokenRow(NamedTuple):
    """A token as its operator sees it. `state` is valid, expired or revoked."""

    uuid: str
    name: str
    user: str
    organization: str
    scopes: tuple[str, ...]
    created_at: str
    expires_at: str
    state: str


class OrganizationRow(NamedTuple):
    """An organisation with its people and the namespaces it hands in for."""

    name: str
    display_name: str
    users: tuple[str, ...]
    namespaces: tuple[str, ...]
    created_at: str


class Accounts:
    """The accounts in a market's database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def add_organization(self, name: str, *, display_name: str = "", now: datetime) -> None:
        """Add an organisation. Raises WorkingDatabaseError for a name that is taken or no name."""
        check_name(name, "an organisation")
        if self._organization(name) is not None:
            raise WorkingDatabaseError(f"there is an organisation {name!r} already")
        with step(self.connection):
            self.connection.execute(
                "INSERT INTO organizations (uuid, name, display_name, created_at)"
                " VALUES (?, ?, ?, ?)",
                (str(uuid.uuid4()), name, display_name or name, format_time(now)),
            )

    def organizations(self) -> list[OrganizationRow]:
        """Return all organisations by name."""
        rows = self.connection.execute("SELECT * FROM organizations ORDER BY name").fetchall()
        return [
            OrganizationRow(
                name=row["name"],
                display_name=row["display_name"],
                users=self._names(
                    "SELECT name FROM users WHERE organization_id = ? ORDER BY name", row["id"]
                ),
                namespaces=self._namespaces(row["id"]),
                created_at=row["created_at"],
            )
            for row in rows
        ]

    def give_namespace(self, organization: str, publisher: str, *, now: datetime) -> None:
        """Let an organisation hand in for a namespace; it still needs that namespace's keys.

        Raises WorkingDatabaseError for an unknown organisation or namespace.
        """
        organization_id, publisher_id = self._pair(organization, publisher)
        with step(self.connection):
            self.connection.execute(
                "INSERT INTO organization_publishers (organization_id, publisher_id, created_at)"
                " VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (organization_id, publisher_id, format_time(now)),
            )

    def take_namespace(self, organization: str, publisher: str) -> None:
        """Take that back. Raises WorkingDatabaseError for an unknown organisation or namespace."""
        pair = self._pair(organization, publisher)
        with step(self.connection):
            self.connection.execute(
                "DELETE FROM organization_publishers"
                " WHERE organization_id = ? AND publisher_id = ?",
                pair,
            )

    def new_token(
        self,
        user: str,
        organization: str,
        *,
        name: str,
        scopes: Collection[str],
        expires: datetime,
        now: datetime,
    ) -> tuple[str, str]:
        """Make a token for a person, whom this adds; return its outer id and the token itself.

        Nobody can read the token again. Raises WorkingDatabaseError for an unknown organisation or
        scope, a person of another organisation, and a time that is over.
        """
        check_token(user, name, scopes)
        if expires <= now:
            raise WorkingDatabaseError(f"{format_time(expires)} is over: no token is made")
        organization_id = self._organization(organization)
        if organization_id is None:
            raise _unknown_organization(organization)
        secret = f"tavo_{secrets.token_urlsafe(32)}"
        identifier = str(uuid.uuid4())
        with step(self.connection):
            self.connection.execute(
                "INSERT INTO users (uuid, organization_id, name, created_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (name) DO NOTHING",
                (str(uuid.uuid4()), organization_id, user, format_time(now)),
            )
            row = self.connection.execute(
                "SELECT id, organization_id FROM users WHERE name = ?", (user,)
            ).fetchone()
            if row["organization_id"] != organization_id:
                raise WorkingDatabaseError(
                    f"{user!r} belongs to another organisation than {organization!r}",
                    hint="People have one organisation: choose another name.",
                )
            self.connection.execute(
                "INSERT INTO tokens (uuid, name, organization, hash, scopes, created_at,"
                " expires_at, user_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    identifier, name.strip(), organization, _hash(secret),
                    " ".join(sorted(set(scopes))), format_time(now), format_time(expires),
                    row["id"],
                ),
            )  # fmt: skip
        return identifier, secret

    def tokens(self, *, now: datetime) -> list[TokenRow]:
        """Return all tokens that people have, the oldest first."""
        moment = format_time(now)
        rows = self.connection.execute(
            "SELECT t.*, u.name AS user FROM tokens t JOIN users u ON u.id = t.user_id"
            " ORDER BY t.id"
        )
        return [
            TokenRow(
                uuid=row["uuid"],
                name=row["name"],
                user=row["user"],
                organization=row["organization"],
                scopes=tuple(row["scopes"].split()),
                created_at=row["created_at"],
                expires_at=row["expires_at"],
                state="revoked"
                if row["revoked_at"]
                else "expired"
                if row["expires_at"] <= moment
                else "valid",
            )
            for row in rows
        ]

    def revoke(self, identifier: str, *, now: datetime) -> TokenRow:
        """End a token, named by its outer id or the beginning of it; return what it was.

        Raises WorkingDatabaseError where that names none or several.
        """
        found = [one for one in self.tokens(now=now) if one.uuid.startswith(identifier)]
        if not identifier or len(found) != 1:
            many = "several tokens" if found and identifier else "no token"
            raise WorkingDatabaseError(
                f"{many} with the id {identifier!r:.60}", hint="`tavo market token list` has them."
            )
        with step(self.connection):
            self.connection.execute(
                "UPDATE tokens SET revoked_at = coalesce(revoked_at, ?) WHERE uuid = ?",
                (format_time(now), found[0].uuid),
            )
        return found[0]

    def authenticate(self, secret: str, *, now: datetime) -> Account | None:
        """Return who a token speaks for; None for one that is unknown, over or revoked."""
        if not _TOKEN.fullmatch(secret):
            return None
        row = self.connection.execute(
            "SELECT t.uuid, t.organization, t.scopes, t.expires_at, u.name, u.organization_id"
            " FROM tokens t JOIN users u ON u.id = t.user_id"
            " WHERE t.hash = ? AND t.revoked_at IS NULL AND t.expires_at > ?",
            (_hash(secret), format_time(now)),
        ).fetchone()
        if row is None:
            return None
        return Account(
            token=row["uuid"],
            user=row["name"],
            organization=row["organization"],
            scopes=frozenset(row["scopes"].split()),
            namespaces=frozenset(self._namespaces(row["organization_id"])),
            expires_at=row["expires_at"],
        )

    # -- inside

    def _organization(self, name: str) -> int | None:
        row = self.connection.execute(
            "SELECT id FROM organizations WHERE name = ?", (name,)
        ).fetchone()
        return None if row is None else int(row["id"])

    def _pair(self, organization: str, publisher: str) -> tuple[int, int]:
        organization_id = self._organization(organization)
        if organization_id is None:
            raise _unknown_organization(organization)
        row = self.connection.execute(
            "SELECT id FROM publishers WHERE name = ?", (publisher,)
        ).fetchone()
        if row is None:
            raise WorkingDatabaseError(
                f"there is no namespace {publisher!r:.80}",
                hint="`tavo market publisher list` has them.",
            )
        return organization_id, int(row["id"])

    def _namespaces(self, organization_id: int) -> tuple[str, ...]:
        return self._names(
            "SELECT p.name FROM organization_publishers o JOIN publishers p"
            " ON p.id = o.publisher_id WHERE o.organization_id = ? ORDER BY p.name",
            organization_id,
        )

    def _names(self, query: str, value: int) -> tuple[str, ...]:
        return tuple(row["name"] for row in self.connection.execute(query, (value,)))


def check_name(name: str, what: str) -> None:
    """Raise WorkingDatabaseError for what cannot be the name of an organisation or a person."""
    if not _NAME.fullmatch(name):
        raise WorkingDatabaseError(
            f"{name!r:.80} cannot be the name of {what}",
            hint="Use a-z, 0-9 and single '-' between them, at most 63 characters.",
        )


def check_token(user: str, name: str, scopes: Collection[str]) -> None:
    """Raise WorkingDatabaseError for words of which no token can be made, in any market."""
    check_name(user, "a person")
    if not name.strip() or len(name) > _LONGEST_LABEL or not name.isprintable():
        raise WorkingDatabaseError(f"a token's name has 1 to {_LONGEST_LABEL} printable characters")
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise WorkingDatabaseError(
            f"there is no scope {unknown[0]!r:.40}", hint=f"Known: {', '.join(SCOPES)}."
        )
    if not scopes:
        raise WorkingDatabaseError("a token needs a scope", hint=f"Known: {', '.join(SCOPES)}.")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _unknown_organization(name: str) -> WorkingDatabaseError:
    return WorkingDatabaseError(
        f"there is no organisation {name!r:.80}", hint="Add it: `tavo market org add NAME`."
    )
