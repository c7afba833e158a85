"""What runs on the operator's machines may attack: systems that the operator registered.

Rules this module keeps:
- a target belongs to one organisation, under a name that is its own there; no other one sees it;
- it is entered by the operator, who has seen that the organisation may have it attacked; nothing
  that is asked over the API makes or changes one;
- a target that was removed is no longer attacked, and stays in the record of what was.

Times are UTC and come in as arguments.
"""

from __future__ import annotations

import ipaddress
import json
import re
import sqlite3
import uuid
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from marketplace_db.errors import WorkingDatabaseError
from marketplace_db.transaction import step
from signing.roles import format_time

__all__ = ["TARGET_NAME", "TargetRow", "Targets", "check_target"]

TARGET_NAME = r"^[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){0,62}$"
_NAME = re.compile(TARGET_NAME.removeprefix("^").removesuffix("$"))
_MOST_NETWORKS = 16


class TargetRow(NamedTuple):
    """A registered target. `description` is what `tavo.attack.targets` reads, as JSON.

    `networks` are those that it may lead into although they are not public; `number` stays here.
    """

    uuid: str
    organization: str
    name: str
    url: str
    description: str
    networks: tuple[str, ...]
    created_at: str
    number: int


class Targets:
    """The targets in a market's database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def add(
        self,
        organization: str,
        name: str,
        *,
        url: str,
        description: str,
        networks: Collection[str] = (),
        now: datetime,
    ) -> TargetRow:
        """Register a target for an organisation.

        Raises WorkingDatabaseError for an unknown organisation, a name that is taken or none, and a
        network that is none.
        """
        listed = check_target(name, networks)
        known = self.connection.execute(
            "SELECT 1 FROM organizations WHERE name = ?", (organization,)
        ).fetchone()
        if known is None:
            raise WorkingDatabaseError(
                f"there is no organisation {organization!r:.80}",
                hint="Add it: `tavo market org add NAME`.",
            )
        with step(self.connection):
            if self._named(organization, name) is not None:
                raise WorkingDatabaseError(
                    f"{organization} has a target {name!r} already",
                    hint="Remove it first: a target is never changed.",
                )
            self.connection.execute(
                "INSERT INTO targets (uuid, organization, name, url, description, networks,"
                " created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    str(uuid.uuid4()), organization, name, url, description, json.dumps(listed),
                    format_time(now),
                ),
            )  # fmt: skip
        return self.target(organization, name)

    def target(self, organization: str, name: str) -> TargetRow:
        """Return a target of an organisation. Raises WorkingDatabaseError if it has none such."""
        found = self._named(organization, name)
        if found is None:
            raise WorkingDatabaseError(
                f"{organization} has no target {name!r:.80}",
                hint="`tavo market target list` has them.",
            )
        return found

    def targets(self, organization: str | None = None) -> list[TargetRow]:
        """Return the targets of one organisation, or of all, by organisation and name."""
        rows = self.connection.execute(
            "SELECT *, id AS number FROM targets WHERE removed_at IS NULL"
            " AND (? IS NULL OR organization = ?) ORDER BY organization, name",
            (organization, organization),
        )
        return [_target(row) for row in rows]

    def remove(self, organization: str, name: str, *, now: datetime) -> TargetRow:
        """Take a target out; what waits for it is not begun any more.

        Raises WorkingDatabaseError for one that there is not.
        """
        found = self.target(organization, name)
        with step(self.connection):
            self.connection.execute(
                "UPDATE targets SET removed_at = ? WHERE id = ?", (format_time(now), found.number)
            )
        return found

    def _named(self, organization: str, name: str) -> TargetRow | None:
        row = self.connection.execute(
            "SELECT *, id AS number FROM targets WHERE organization = ? AND name = ?"
            " AND removed_at IS NULL",
            (organization, name),
        ).fetchone()
        return None if row is None else _target(row)


def check_target(name: str, networks: Collection[str]) -> list[str]:
    """Return the networks in normal form. Raises WorkingDatabaseError for no name or network."""
    if not _NAME.fullmatch(name):
        raise WorkingDatabaseError(
            f"{name!r:.80} cannot be the name of a target",
            hint="Use a-z, 0-9 and single '-' between them, at most 63 characters.",
        )
    return _networks(networks)


def _target(row: sqlite3.Row) -> TargetRow:
    values = {name: row[name] for name in TargetRow._fields}
    return TargetRow(**{**values, "networks": tuple(json.loads(row["networks"]))})


def _networks(names: Collection[str]) -> list[str]:
    if len(names) > _MOST_NETWORKS:
        raise WorkingDatabaseError(f"a target has at most {_MOST_NETWORKS} networks")
    found = []
    for name in names:
        try:
            found.append(str(ipaddress.ip_network(name)))
        except ValueError as error:
            raise WorkingDatabaseError(
                f"{name!r:.60} is no network: {error}",
                hint="Write an address or a network like 10.1.2.0/24.",
            ) from None
    return found
