"""How strongly a plugin is locked up, how strongly it must be, and who may accept less.

Rules this module keeps:
- official and reviewed plugins need L2; everything else needs L3, which this version has not got;
- nothing runs below what it needs unless the user named that plugin and that level;
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
        accept = f"{ACCEPT_VARIABLE}=L1:{full_id}"
        super().__init__(
            f"{full_id}: needs sandbox level {needed.label}, but the layer {layer} cannot be had"
            f" here: {reason}",
            hint=(
                "Run tavo on Linux 5.13 or newer with Landlock and seccomp (a container's profile"
                " must allow landlock_create_ruleset, landlock_add_rule and"
                " landlock_restrict_self); or leave this plugin out; or, if you trust it with your"
                f" files and network, accept less for it: {accept}."
            ),
        )
        self.full_id = full_id
        self.needed = needed
        self.layer = layer


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
        return SandboxLevel.STANDARD
    if platform == "win32":
        return SandboxLevel.NONE
    return SandboxLevel.LIMITS
