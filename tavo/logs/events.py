"""All events of a log, one after the other: for whoever wants each of them, not only the hits.

Rules this module keeps:
- an event knows its line and its bytes in the file, also where a container has wrapped the line;
- nothing is left out: a line that no parser understands is an event of its text.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from tavo.logs.event import LogEvent
from tavo.logs.lines import line_reader
from tavo.logs.sniff import Guess
from tavo.logs.sources import BLOCK, Source, blocks
from tavo.logs.wrapped import unwrapped

__all__ = ["events_of"]


def events_of(source: Source, found: Guess, *, size: int = BLOCK) -> Iterator[LogEvent]:
    """Yield the events of a log, whose lines count from 1, reading blocks of a size.

    Raises SourceProblem.
    """
    read = line_reader(found.mapping)
    number = 0
    for block in blocks(source, size=size):
        lines = block.data.split(b"\n")
        if block.data.endswith(b"\n"):
            lines.pop()
        starts = list(accumulate((len(line) + 1 for line in lines), initial=block.offset))
        inner = unwrapped(lines, found.wrapping) if found.wrapping else lines
        for at, (raw, line) in enumerate(zip(lines, inner, strict=True)):
            number += 1
            if not line.strip():
                continue
            for record in read(line)[0]:
                yield LogEvent(
                    record, found.mapping, source=source.name, line=number,
                    offset=starts[at], length=len(raw),
                )  # fmt: skip
