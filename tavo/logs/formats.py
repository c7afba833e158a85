"""The formats of logs by their first lines, for whoever reads them without looking for anything."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tavo.logs.mapping import Mapping
from tavo.logs.sniff import Guess, guess, of_columns
from tavo.logs.sources import Source, SourceProblem, head
from tavo.logs.wrapped import unwrapped, wrapping_of

__all__ = ["format_of", "formats_of"]

_MOST_LINES = 200


def format_of(
    source: Source, tables: Sequence[Mapping], forced: Mapping | None
) -> tuple[Guess | None, list[bytes]]:
    """Return the format of a log, None where it is not known, and the lines that say so.

    Raises SourceProblem.
    """
    data = head(source)
    lines = data.split(b"\n")[:_MOST_LINES]
    wrapping = wrapping_of(lines[:-1] or lines) if source.folding != "csv" else ""
    inner = unwrapped(lines, wrapping) if wrapping else lines
    if forced is not None:
        table = of_columns(forced, source.folding, inner, source.name)
        found: Guess | None = Guess(mapping=table, share=1.0, lines=0, forced=True)
    else:
        found = guess(inner, tables, folding=source.folding, name=source.name)
        if found is None and wrapping:  # its texts are none that we know: then it is a log of texts
            inner, wrapping = lines, ""
            found = guess(lines, tables, folding=source.folding, name=source.name)
    if found is not None:
        found = msgspec.structs.replace(found, wrapping=wrapping)
    return found, inner


def formats_of(
    sources: Sequence[Source], tables: Sequence[Mapping], forced: Mapping | None
) -> list[Guess | None]:
    """Return the formats of logs, None for one that is not known or cannot be read."""
    out: list[Guess | None] = []
    for source in sources:
        try:
            out.append(format_of(source, tables, forced)[0])
        except SourceProblem:
            out.append(None)
    return out
