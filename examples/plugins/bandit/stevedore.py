"""Stands where bandit looks for stevedore, with which it finds its own tests.

stevedore keeps a cache below the user's home, which a plugin does not have. What bandit uses of it
is the list of the entry points of its own distribution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from types import SimpleNamespace
from typing import Any

__all__ = ["extension"]

_UNUSED = "bandit.formatters"


@dataclass(frozen=True)
class _Extension:
    name: str
    plugin: Any


class _ExtensionManager:
    """The entry points of bandit in one group, loaded."""

    def __init__(self, namespace: str, **_options: object) -> None:
        points = distribution("bandit").entry_points.select(group=namespace)
        named = sorted(points, key=lambda point: point.name) if namespace != _UNUSED else []
        self._extensions = [_Extension(point.name, point.load()) for point in named]

    def __iter__(self) -> Iterator[_Extension]:
        return iter(self._extensions)

    def names(self) -> list[str]:
        """Return the names of all."""
        return [one.name for one in self._extensions]


extension = SimpleNamespace(ExtensionManager=_ExtensionManager)
