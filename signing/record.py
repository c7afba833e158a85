"""What was accepted at a refresh, in a form that is kept in the state database.

Rules this module keeps:
- a record carries everything that reopening needs: files, digests, periods, versions;
- a record is only as trustworthy as the database it is kept in; the files are hashed again.

Units: lengths in bytes, times UTC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from signing.digests import Digest
from signing.errors import VerificationError
from signing.roles import DEVELOPMENT_FIELD, REPOSITORY_FIELD, format_time, parse_time
from signing.trust import Floor, Period

__all__ = ["AcceptedFile", "AcceptedRecord", "RootFacts", "root_facts", "root_fingerprint"]

_OLD_EMBEDDED = timedelta(days=30)
_MOST_KEYS = 100


class AcceptedFile(NamedTuple):
    """One artifact as it was accepted: where it lies now and what was signed about it."""

    path: Path
    name: str
    digest: Digest
    length: int
    role: str
    version: int
    period: Period


class AcceptedRecord(NamedTuple):
    """The accepted state of one repository; `expires` is the earliest expiry in the chain.

    `firm_expires` is that of the roles which no policy of a site prolongs; None in the record of
    an earlier tavo, which nothing prolongs then.
    """

    repository: str
    source: str
    root_version: int
    floors: Mapping[str, Floor]
    catalog: AcceptedFile
    publishers: AcceptedFile
    issued: datetime
    expires: datetime
    expires_role: str
    accepted_at: datetime
    build_time: datetime
    embedded: bool
    development: bool
    firm_expires: datetime | None = None

    def age_sentence(self, now: datetime) -> str:
        """Return the line that each use of an old embedded repository prints, else nothing."""
        age = now - self.build_time
        if not self.embedded or age < _OLD_EMBEDDED:
            return ""
        return (
            f"The catalog in this file of tavo is {age.days} days old "
            f"(built {self.build_time:%Y-%m-%d}); recalls since then are not known here. "
            "Update from a mirror or get a newer file."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        return {
            "repository": self.repository,
            "source": self.source,
            "root_version": self.root_version,
            "floors": {role: [floor.version, floor.keys] for role, floor in self.floors.items()},
            "catalog": _file_to_dict(self.catalog),
            "publishers": _file_to_dict(self.publishers),
            "issued": format_time(self.issued),
            "expires": format_time(self.expires),
            "expires_role": self.expires_role,
            "accepted_at": format_time(self.accepted_at),
            "build_time": format_time(self.build_time),
            "embedded": self.embedded,
            "development": self.development,
            "firm_expires": self.firm_expires and format_time(self.firm_expires),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> AcceptedRecord:
        """Read `to_dict`'s form. Raises VerificationError for any other."""
        try:
            return cls(
                repository=str(value["repository"]),
                source=str(value["source"]),
                root_version=int(value["root_version"]),
                floors={
                    str(role): Floor(int(version), str(keys))
                    for role, (version, keys) in value["floors"].items()
                },
                catalog=_file_from_dict(value["catalog"]),
                publishers=_file_from_dict(value["publishers"]),
                issued=parse_time(value["issued"]),
                expires=parse_time(value["expires"]),
                expires_role=str(value["expires_role"]),
                accepted_at=parse_time(value["accepted_at"]),
                build_time=parse_time(value["build_time"]),
                embedded=value["embedded"] is True,
                development=value["development"] is not False,
                firm_expires=None
                if value.get("firm_expires") is None
                else parse_time(value["firm_expires"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise VerificationError(
                f"the record of the accepted catalog cannot be read: {error!s:.120}",
                hint="Refresh from the mirror again.",
            ) from None


def _file_to_dict(file: AcceptedFile) -> dict[str, Any]:
    return {
        "path": str(file.path),
        "name": file.name,
        "sha256": file.digest.hex,
        "length": file.length,
        "role": file.role,
        "version": file.version,
        "issued": format_time(file.period.issued),
        "expires": format_time(file.period.expires),
    }


def _file_from_dict(value: Mapping[str, Any]) -> AcceptedFile:
    return AcceptedFile(
        path=Path(value["path"]),
        name=str(value["name"]),
        digest=Digest(value["sha256"]),
        length=int(value["length"]),
        role=str(value["role"]),
        version=int(value["version"]),
        period=Period(parse_time(value["issued"]), parse_time(value["expires"])),
    )


class RootFacts(NamedTuple):
    """What a root says about itself; `digest` is its fingerprint for people to compare."""

    repository: str
    version: int
    digest: Digest
    development: bool


def root_facts(root: bytes) -> RootFacts:
    """Read what a trusted root says, without checking its signatures.

    `root` must be one that the user or the program already trusts. Raises VerificationError if
    it is not root metadata of a tavo repository.
    """
    try:
        signed = json.loads(root)["signed"]
        identity, version = signed[REPOSITORY_FIELD], signed["version"]
        if signed["_type"] != "root" or type(version) is not int:
            raise ValueError("not root metadata")
        if not isinstance(identity, str) or len(identity) != 32 or not identity.isalnum():
            raise ValueError("no repository id")
        development = signed.get(DEVELOPMENT_FIELD, False) is not False
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise VerificationError(
            f"root.json: not the root of a tavo repository ({error!s:.80})",
            hint="Check which file is given as the trusted root.",
        ) from None
    return RootFacts(
        repository=identity, version=version, digest=Digest.of(root), development=development
    )


def root_fingerprint(root: bytes) -> Digest:
    """Return what people compare before they trust a root: its repository, keys and threshold.

    It stays the same when the root is only renewed. The signatures are not checked: a refresh from
    this root does so. Raises VerificationError for what is no root of a tavo repository.
    """
    from signing.keys import PublicKey

    facts = root_facts(root)
    try:
        signed = json.loads(root)["signed"]
        role = signed["roles"]["root"]
        keys = {one: PublicKey.from_dict(one, signed["keys"][one]).key_id for one in role["keyids"]}
        threshold = role["threshold"]
        if type(threshold) is not int or not 1 <= threshold <= len(keys) <= _MOST_KEYS:
            raise ValueError("a threshold that the keys cannot meet")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise VerificationError(
            f"root.json: the keys of the root cannot be read ({error!s:.80})",
            hint="Do not trust this repository.",
        ) from None
    form = {"keys": sorted(keys.values()), "repository": facts.repository, "threshold": threshold}
    return Digest.of(json.dumps(form, sort_keys=True, separators=(",", ":")).encode())
