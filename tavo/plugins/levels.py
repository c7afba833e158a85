"""How bad a finding is if it is true, and how sure it is. Standard library only."""

from __future__ import annotations

import enum

__all__ = ["Confidence", "Severity"]


class _Ordered(enum.Enum):
    """An enumeration whose members compare in the order of their definition."""

    @property
    def rank(self) -> int:
        return list(type(self)).index(self)

    def __lt__(self, other: object) -> bool:
        return self.rank < other.rank if isinstance(other, type(self)) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self.rank <= other.rank if isinstance(other, type(self)) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self.rank > other.rank if isinstance(other, type(self)) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self.rank >= other.rank if isinstance(other, type(self)) else NotImplemented


class Severity(_Ordered):
    """How bad it is if the claim is true; ordered from `INFO` to `CRITICAL`."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Confidence(_Ordered):
    """How sure the claim is; ordered from `LOW` to `HIGH`."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
