"""How strongly a plugin is locked up, how strongly it must be, and who may accept less.

Rules this module keeps:
- official and reviewed plugins need L2; everything else needs L3;
- a plugin runs at the level that it needs, so that it does the same on every machine; nothing runs
  below that unless the user named that plugin and that level;
- an acceptance is data (a setting, a variable), never something a scanned project can say.
"""

from __future__ import annotations

import enum
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tavo.errors import ConfigError, RefusedError

__all__ = [
    "ACCEPT_VARIABLE",
    "LevelPolicy",
    "SandboxLevel",
    "SandboxUnavailableError",
    "parse_acceptances",
    "strongest_here",
]

ACCEPT_VARIABLE = "TAVO_ACCEPT_SANDBOX"
_ONLY_STRONG = frozenset({"namespaces", "proxy", "view"})
_ENTRY = re.compile(r"(L[0-3]):((?:[a-z0-9-]{1,63}/)?[a-z0-9-]{1,63})\Z")


class SandboxLevel(enum.IntEnum):
    """The levels; a higher one includes the lower ones."""

    NONE = 0
    LIMITS = 1
    STANDARD = 2
    STRONG = 3

    @property
    def label(self) -> str:
        """Return the short name, such as `L2`."""
        return f"L{int(self)}"


class SandboxUnavailableError(RefusedError):
    """This system cannot lock a plugin up as strongly as it needs."""

    def __init__(self, full_id: str, needed: SandboxLevel, layer: str, reason: str) -> None:
        super().__init__(
            f"{full_id}: needs sandbox level {needed.label}, but the layer {layer} cannot be had"
            f" here: {reason}",
            hint=_ways_out(full_id, layer),
        )
        self.full_id = full_id
        self.needed = needed
        self.layer = layer
        self.reason = reason


def _ways_out(full_id: str, layer: str) -> str:
    if layer in _ONLY_STRONG:
        return (
            "Let this system's users have namespaces of their own (Ubuntu: sysctl"
            " kernel.apparmor_restrict_unprivileged_userns=0; Debian: sysctl"
            " kernel.unprivileged_userns_clone=1; in a container: --security-opt with a profile"
            " that allows unshare, mount and pivot_root); or leave this plugin out; or, if L2 is"
            " enough for it (it can then learn which files exist), accept that:"
            f" {ACCEPT_VARIABLE}=L2:{full_id}."
        )
    return (
        "Run tavo on Linux 5.13 or newer with Landlock and seccomp (a container's profile"
        " must allow landlock_create_ruleset, landlock_add_rule and"
        " landlock_restrict_self); or leave this plugin out; or, if you trust it with your"
        f" files and network, accept less for it: {ACCEPT_VARIABLE}=L1:{full_id}."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelPolicy:
    """What a plugin needs, and for which plugins the user accepts less."""

    required: SandboxLevel = SandboxLevel.STANDARD
    accepted: Mapping[str, SandboxLevel] = field(default_factory=dict)

    def lowest(self, full_id: str) -> SandboxLevel:
        """Return the weakest level at which this plugin may run."""
        return min(self.required, self.accepted.get(full_id, self.required))


def parse_acceptances(text: str | Iterable[str]) -> dict[str, SandboxLevel]:
    """Read `L1:tavo/model-files,L0:acme/x` into plugin -> level; a bare name means `tavo/name`.

    The entries may also come one by one. Raises ConfigError.
    """
    accepted: dict[str, SandboxLevel] = {}
    entries = text.split(",") if isinstance(text, str) else text
    for entry in filter(None, (part.strip() for part in entries)):
        found = _ENTRY.match(entry)
        if found is None:
            raise ConfigError(
                f"{ACCEPT_VARIABLE}: {entry[:80]!r} is not a level and a plugin",
                hint="Write for example L1:tavo/model-files; separate several with commas.",
            )
        name = found[2] if "/" in found[2] else f"tavo/{found[2]}"
        accepted[name] = SandboxLevel(int(found[1][1]))
    return accepted


def strongest_here(platform: str = sys.platform) -> SandboxLevel:
    """Return the strongest level that this version builds for a system; trying it is separate."""
    if platform.startswith("linux"):
        return SandboxLevel.STRONG
    if platform == "win32":
        return SandboxLevel.NONE
    return SandboxLevel.LIMITS
