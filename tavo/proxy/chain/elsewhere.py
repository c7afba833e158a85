"""Texts that are looked at outside of the event loop: long ones, which nobody remembers.

A process of its own looks at them where there is one. Else there is one thread for it: what is
looked at in Python takes turns with the event loop, as each further one would.

Units: sizes in bytes.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tavo.proxy.chain.chain import Compiled, Look

if TYPE_CHECKING:
    from tavo.proxy.chain.scanner import Scanner

__all__ = ["Texts", "next_turn"]

_THREAD = ThreadPoolExecutor(1, "tavo-look")


async def next_turn() -> None:
    """Let others go first."""
    await asyncio.sleep(0)


class Texts:
    """Texts to be looked at somewhere else."""

    def __init__(self, scanner: Scanner | None = None) -> None:
        self._scanner = scanner
        self._texts: list[tuple[bytes, Compiled, bytes]] = []
        self.size = 0
        self.looks: dict[bytes, Look] = {}

    def add(self, key: bytes, compiled: Compiled, data: bytes) -> None:
        """Add a text."""
        self._texts.append((key, compiled, data))
        self.size += len(data)

    async def look_elsewhere(self) -> None:
        """Look at all of them in the process for that, or in the one thread."""
        if self._scanner is not None:
            texts = {key: (compiled, data) for key, compiled, data in self._texts}
            looks = await self._scanner.look(list(texts.values()))
            if looks is not None:
                self.looks.update(zip(texts, looks, strict=True))
                return
        await asyncio.get_running_loop().run_in_executor(_THREAD, self.look)

    def look(self) -> None:
        """Look at all of them."""
        for key, compiled, data in self._texts:
            if key not in self.looks:
                self.looks[key] = compiled.look(data)
