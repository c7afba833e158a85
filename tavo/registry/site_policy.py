"""What a site allows on its machines: `site-policy.yaml`, of the machine or of the user.

    site_policy: 1
    stale:
      days: 30                     # how long after their expiry signed lists may be used
      reason: the courier comes once a month

Rules this module keeps:
- without a file nothing is allowed; nothing in a project, a mirror or a bundle can be this file;
- an unknown or missing key, another type or a number out of bounds is an error: a misread policy
  is none;
- nobody but the user and root may be able to write the file or exchange it;
- the file of the machine counts before one that the user names.

Units: days.
"""

from __future__ import annotations

import os
import stat
import sys
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from tavo.errors import ConfigError, RefusedError
from tavo.onefile.cache import is_ours

__all__ = ["MOST_DAYS", "SitePolicy", "machine_file", "read_site_policy"]

MOST_DAYS = 180
_LARGEST = 64 * 1024
_LONGEST_REASON = 500


class SitePolicy(NamedTuple):
    """What the site allows, why, and which file says so; none for an empty path."""

    stale_days: int = 0
    reason: str = ""
    path: str = ""

    @property
    def grace(self) -> timedelta:
        """Return how long after its expiry signed metadata may be used."""
        return timedelta(days=self.stale_days)


def machine_file() -> Path:
    """Return where the policy of the machine lies, if it has one."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "tavo" / "site-policy.yaml"
    return Path("/etc/tavo/site-policy.yaml")


def read_site_policy(named: str | None, *, machine: Path | None = None) -> SitePolicy:
    """Read the machine's policy, else the one that the user named, else allow nothing.

    Raises ConfigError naming the file and the key, RefusedError where others may write to it.
    """
    ours = machine_file() if machine is None else machine
    if ours.exists():
        if named is not None and Path(named) != ours:
            raise ConfigError(
                f"registry.site_policy names {named}, but this machine has the policy {ours}",
                hint="Take registry.site_policy out: the policy of the machine counts.",
            )
        return _read(ours)
    return SitePolicy() if named is None else _read(Path(named))


def _read(path: Path) -> SitePolicy:
    from marketplace_db.errors import ManifestError
    from marketplace_db.strict_yaml import load_yaml

    try:
        with path.open("rb") as stream:
            _check_owner(path, os.fstat(stream.fileno()))
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: the site's policy cannot be read: {error.strerror}",
            hint="Check registry.site_policy in the user configuration.",
        ) from error
    try:
        value = load_yaml(data, name=str(path), limit=_LARGEST)
    except ManifestError as error:
        raise ConfigError(str(error), hint="Expected YAML as in the user guide.") from error
    _keys(path, "", value, {"site_policy", "stale"})
    if value["site_policy"] != 1 or type(value["site_policy"]) is not int:
        raise ConfigError(f"{path}: site_policy is {value['site_policy']!r:.40}, expected 1")
    stale = value["stale"]
    _keys(path, "stale.", stale, {"days", "reason"})
    days, reason = stale["days"], stale["reason"]
    if type(days) is not int or not 0 <= days <= MOST_DAYS:
        raise ConfigError(
            f"{path}: stale.days is {days!r:.40}, expected a whole number from 0 to {MOST_DAYS}"
        )
    if not isinstance(reason, str) or not 0 < len(reason.strip()) <= _LONGEST_REASON:
        raise ConfigError(f"{path}: stale.reason is {reason!r:.40}, expected a text that says why")
    return SitePolicy(stale_days=days, reason=reason.strip(), path=str(path))


def _keys(path: Path, where: str, value: object, known: set[str]) -> None:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: {where or 'the file'} holds no keys, expected {sorted(known)}")
    if unknown := sorted(set(value) - known):
        raise ConfigError(
            f"{path}: unknown key {where}{unknown[0]:.60}",
            hint=f"Known: {', '.join(f'{where}{name}' for name in sorted(known))}.",
        )
    if missing := sorted(known - set(value)):
        raise ConfigError(f"{path}: {where}{missing[0]} is missing")


def _check_owner(path: Path, status: os.stat_result) -> None:
    open_to_others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    foreign = hasattr(os, "geteuid") and status.st_uid not in {os.geteuid(), 0}
    regular = stat.S_ISREG(status.st_mode)
    if (
        not regular
        or (os.name != "nt" and (open_to_others or foreign))
        or not is_ours(str(path.absolute().parent))
    ):
        raise RefusedError(
            f"{path}: is no file that only you or root may write to, so others could decide how"
            " old lists may be",
            hint=f"Make it root's or yours, and `chmod go-w {path}` and the folders above.",
        )
