"""What the workers of one proxy share: counters of budgets, numbers of keys, and pins of tools.

Made before the workers are forked. Units: none.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING

from tavo.errors import ConfigError
from tavo.proxy.budgets import MOST_KEYS, Budgets

if TYPE_CHECKING:
    from tavo.proxy.chain.pinned import Pinned

__all__ = ["Shared"]


class Shared:
    """Shared by all workers of one proxy; `port` is what they listen at if none was chosen.

    `key` is made anew at each start; what is derived from it is the same in all workers.
    """

    def __init__(self, workers: int = 1, port: int = 0) -> None:
        self.workers = workers
        self.port = port
        self.budgets = Budgets(workers)
        self.key = os.urandom(32)
        self._taken = mmap.mmap(-1, MOST_KEYS * 8)
        self._pinned: Pinned | None = None
        if workers > 1:
            self.pinned()

    def pinned(self) -> Pinned:
        """Return the table of tools that were seen."""
        from tavo.proxy.chain.pinned import Pinned  # only who filters needs it

        if self._pinned is None:
            self._pinned = Pinned()
        return self._pinned

    def numbers(self, names: Iterable[str]) -> dict[str, int]:
        """Return the number of each key: the same in all workers, as long as the proxy runs.

        A key's number is found by its name in a table that all workers see. Two workers that enter
        the same name write the same bytes to the same place, so no lock is needed; two that enter
        different ones at once do so in the same order, because a reload is the same for all.
        Raises ConfigError when there have been too many names.
        """
        found: dict[str, int] = {}
        for name in sorted(names):
            digest = blake2b(name.encode(), digest_size=8).digest()
            start = int.from_bytes(digest, "little") % MOST_KEYS
            for step in range(MOST_KEYS):
                number = (start + step) % MOST_KEYS
                held = self._taken[number * 8 : number * 8 + 8]
                if held == digest:
                    break
                if held == bytes(8):
                    self._taken[number * 8 : number * 8 + 8] = digest
                    break
            else:
                raise ConfigError(f"keys: there have been more than {MOST_KEYS} names")
            found[name] = number
        return found
