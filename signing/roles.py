"""Roles, thresholds, lifetimes and paths of a repository, decided in one place.

Rules this module keeps:
- offline roles need two of three keys; online roles (`catalog`, snapshot, timestamp) need one;
- no key serves an offline and an online role: theft of the online keys gives no offline power;
- each delegation is terminating and bound to its own folder of artifact names;
- all metadata carries its signed issue time, and may live at most as long as its role allows.

Units: lifetimes as timedelta, times UTC, paths relative to the repository with "/".
Source of the workflow and file names: TUF specification 1.0, sections 4 and 6.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from signing.digests import Digest

__all__ = [
    "ADVISORIES_NAME",
    "ARTIFACT_NAME",
    "CATALOG_NAME",
    "DEFAULT_LIFE",
    "DELEGATED_PATHS",
    "DEVELOPMENT_FIELD",
    "ENTITLEMENTS_NAME",
    "ISSUED_FIELD",
    "LIST_VERSION",
    "LOG_NAME",
    "LONGEST_LIFE",
    "OFFLINE_ROLES",
    "ONLINE_ROLES",
    "PUBLISHERS_NAME",
    "REPOSITORY_FIELD",
    "ROLES",
    "ROOT_VERSION_FIELD",
    "THRESHOLDS",
    "artifact_path",
    "blob_path",
    "format_time",
    "parse_time",
]

OFFLINE_ROLES: Final = ("root", "targets", "publishers", "releases")
ONLINE_ROLES: Final = ("catalog", "snapshot", "timestamp")
ROLES: Final = OFFLINE_ROLES + ONLINE_ROLES

ARTIFACT_NAME: Final = r"[0-9a-f]{64}\.[A-Za-z0-9_][A-Za-z0-9._+-]{0,150}"
"""What the file of an artifact is called, a regular expression: see `artifact_path`."""
LIST_VERSION: Final = r"[1-9][0-9]{0,14}"
"""What stands before the name of a role's list of metadata, a regular expression."""

THRESHOLDS: Final = {
    **dict.fromkeys(OFFLINE_ROLES, 2),
    **dict.fromkeys(ONLINE_ROLES, 1),
}

ADVISORIES_NAME: Final = "catalog/advisories.db"
CATALOG_NAME: Final = "catalog/catalog.db"
ENTITLEMENTS_NAME: Final = "catalog/entitlements.json"
LOG_NAME: Final = "catalog/releases.log"
PUBLISHERS_NAME: Final = "publishers/publishers.json"

DELEGATED_PATHS: Final = {
    "catalog": ("catalog/*", "catalog/deltas/*"),
    "publishers": ("publishers/*",),
    "releases": ("releases/*",),
}

# What the writing side uses when nothing else is asked for.
DEFAULT_LIFE: Final = {
    "root": timedelta(days=365),
    "targets": timedelta(days=180),
    "publishers": timedelta(days=90),
    "releases": timedelta(days=365),
    "catalog": timedelta(days=21),
    "snapshot": timedelta(days=10),
    "timestamp": timedelta(days=3),
}

# What the reading side tolerates: a stolen online key cannot sign for longer than this.
LONGEST_LIFE: Final = {
    "root": timedelta(days=366),
    "targets": timedelta(days=184),
    "publishers": timedelta(days=92),
    "releases": timedelta(days=366),
    "catalog": timedelta(days=30),
    "snapshot": timedelta(days=14),
    "timestamp": timedelta(days=7),
}

# Extra signed fields; TUF keeps fields it does not know.
ISSUED_FIELD: Final = "x-tavo-issued"  # all roles: when this was signed
REPOSITORY_FIELD: Final = "x-tavo-repository"  # root: an id that survives every key rotation
DEVELOPMENT_FIELD: Final = "x-tavo-development"  # root: made by a development build
ROOT_VERSION_FIELD: Final = "x-tavo-root-version"  # timestamp: the newest root, to find gaps

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")


def format_time(value: datetime) -> str:
    """Write a time as `2026-11-22T10:00:00Z`. Raises ValueError if it has no time zone."""
    if value.tzinfo is None:
        raise ValueError("a time without a time zone")
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: object) -> datetime:
    """Read a time as `format_time` writes it. Raises ValueError for any other form."""
    if not isinstance(text, str) or not _TIME.match(text):
        raise ValueError(f"{text!r} is not a time like 2026-11-22T10:00:00Z")
    parts = (text[:4], text[5:7], text[8:10], text[11:13], text[14:16], text[17:19])
    year, month, day, hour, minute, second = map(int, parts)
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def artifact_path(name: str, digest: Digest) -> str:
    """Return where the artifact `folder/file` lies: `targets/folder/<sha256>.file`."""
    folder, slash, file = name.rpartition("/")
    return f"targets/{folder}{slash}{digest.hex}.{file}"


def blob_path(digest: Digest) -> str:
    """Return where a blob lies: `blobs/sha256/ab/abcd…`."""
    return f"blobs/sha256/{digest.hex[:2]}/{digest.hex}"
