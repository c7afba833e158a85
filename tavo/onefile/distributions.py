"""`importlib.metadata` for the distributions inside the single file, such as their versions.

Rules this module keeps:
- metadata comes out of checked data files only; an entry point cannot be planted in the cache.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tavo.onefile.finder import Finder

__all__ = ["distributions"]


class _Inside(Distribution):
    """One distribution of the file."""

    def __init__(self, finder: Finder, folder: str) -> None:
        self._finder = finder
        self._folder = folder

    def read_text(self, filename: str) -> str | None:
        """Return a metadata file, None if there is none."""
        try:
            return self._finder.get_data(
                str(self.locate_file(f"{self._folder}/{filename}"))
            ).decode()
        except FileNotFoundError:
            return None

    def locate_file(self, path: object) -> Path:
        """Return where a file of the distribution would lie."""
        return Path(self._finder.home) / str(path)


def distributions(finder: Finder, name: str | None) -> Iterator[Distribution]:
    """Yield the distribution of this name, or all of them."""
    for known, folder in finder.index["versions"].items():
        if name is None or _normal(known) == _normal(name):
            yield _Inside(finder, folder)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
