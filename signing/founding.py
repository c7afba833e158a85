"""How a repository begins: metadata of nothing, and the first ceremony, which makes it version 1.

Whoever founds a repository chooses its id, which survives all later changes of keys, and whether it
is one for development, which every client then says.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tuf.api.metadata import (  # type: ignore[attr-defined]
    Metadata,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from signing.ceremony import Ceremony, Change
from signing.layout import PublicKeys, check_keys
from signing.publishers import Publishers
from signing.roles import (
    DEFAULT_LIFE,
    DELEGATED_PATHS,
    DEVELOPMENT_FIELD,
    OFFLINE_ROLES,
    REPOSITORY_FIELD,
)

__all__ = ["blank", "first_ceremony"]


def first_ceremony(
    keys: PublicKeys,
    now: datetime,
    *,
    publishers: Publishers | None = None,
    identity: str | None = None,
    development: bool = False,
    first_version: int = 1,
    life: Mapping[str, timedelta] | None = None,
) -> Ceremony:
    """Prepare a new repository for those who hold its offline keys.

    `identity` is the repository's id, 32 lower-case hexadecimal digits, drawn at random if not
    given. `first_version` is where the versions of all metadata but the root begin. Raises
    RepositoryError if a threshold cannot be met, or an online key is also an offline key.
    """
    check_keys(keys)
    base = blank(first_version - 1)
    root = base["root"].signed
    root.unrecognized_fields[REPOSITORY_FIELD] = identity or secrets.token_hex(16)
    if development:
        root.unrecognized_fields[DEVELOPMENT_FIELD] = True
    change = Change(publishers=publishers, keys=keys, renew=OFFLINE_ROLES)
    offline = {role: base[role] for role in OFFLINE_ROLES}
    return Ceremony.prepare(offline, change, now, {**DEFAULT_LIFE, **(life or {})})


def blank(version: int) -> dict[str, Metadata[Any]]:
    """Return metadata of nothing, before its first version."""
    metadata: dict[str, Metadata[Any]] = {
        "root": Metadata(Root(consistent_snapshot=True)),
        "targets": Metadata(Targets()),
        **{role: Metadata(Targets()) for role in DELEGATED_PATHS},
        "snapshot": Metadata(Snapshot()),
        "timestamp": Metadata(Timestamp()),
    }
    for role, value in metadata.items():
        value.signed.version = 0 if role == "root" else version
    return metadata
