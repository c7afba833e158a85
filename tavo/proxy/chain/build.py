"""A chain out of its configuration.

Rules this module keeps:
- everything is compiled here, before a request comes: what is wrong is wrong at the start;
- an entry that is not known is an error with the nearest right name.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from tavo.errors import ConfigError
from tavo.llm.parts import Kind
from tavo.proxy.chain.chain import Chain
from tavo.proxy.chain.filter import Filter, Settings
from tavo.proxy.chain.filters import KINDS, filter_of
from tavo.proxy.chain.pinned import Pinned
from tavo.proxy.chain.values import Where

__all__ = ["build_chain"]


def build_chain(
    entries: Sequence[Mapping[str, Any]], *, key: bytes, observe: bool = False,
    where: str = "filters", pinned: Pinned | None = None,
) -> Chain:  # fmt: skip
    """Build a chain from the list `filters` of a configuration. Raises ConfigError.

    `key` keys everything that is hashed: placeholders, what is remembered, canary tokens.
    """
    filters: list[Filter] = []
    for number, entry in enumerate(entries, 1):
        place = f"{where}, number {number}"
        if not isinstance(entry, Mapping) or not isinstance(entry.get("filter"), str):
            raise ConfigError(
                f"{place}: expected a mapping with `filter`",
                hint=f"Filters are {', '.join(KINDS)}.",
            )
        kind = entry["filter"]
        found = filter_of(kind)
        if found is None:
            near = difflib.get_close_matches(kind, KINDS, n=1)
            raise ConfigError(
                f"{place}: there is no filter {kind!r}",
                hint=f"Did you mean {near[0]!r}?" if near else f"Filters are {', '.join(KINDS)}.",
            )
        filters.append(found(Settings(entry, f"{place} ({kind})", secret=key, pinned=pinned)))
    chain = Chain(filters, key=key, observe=observe)
    for phase in ("request", "response"):
        for role in ("user", "assistant", "tool", "system", "developer"):
            for restores in (False, True):
                chain.compiled(Where(phase, role, Kind.TEXT, restores))
    return chain
