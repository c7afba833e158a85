"""Texts that are looked at outside of the event loop: long ones, which nobody remembers.

There is one thread for it: what is looked at in Python takes turns with the event loop, as each
further one would.

Units: sizes in bytes.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from tavo.proxy.chain.chain import Compiled, Look

__all__ = ["Texts"]

_THREAD = ThreadPoolExecutor(1, "tavo-look")


class Texts:
    """Texts to be looked at in another thread."""

    def __init__(self) -> None:
        self._texts: list[tuple[bytes, Compiled, bytes]] = []
        self.size = 0
        self.looks: dict[bytes, Look] = {}

    def add(self, key: bytes, compiled: Compiled, data: bytes) -> None:
        """Add a text."""
        self._texts.append((key, compiled, data))
        self.size += len(data)

    async def look_elsewhere(self) -> None:
        """Look at all of them in the one thread for that."""
        await asyncio.get_running_loop().run_in_executor(_THREAD, self.look)

    def look(self) -> None:
        """Look at all of them."""
        for key, compiled, data in self._texts:
            if key not in self.looks:
                self.looks[key] = compiled.look(data)
