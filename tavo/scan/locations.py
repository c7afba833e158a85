"""Where something is in a parsed file, as findings say it.

Rules this module keeps:
- what is shown of a place is bounded in lines and in their length.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from tavo.plugins import Location, Step
from tavo.scan.parsed import ParsedFile

__all__ = ["locate", "step_at"]

_MOST_LINES = 10
_LONGEST_LINE = 400


def step_at(file: ParsedFile, path: PurePosixPath, start: int, end: int, text: str) -> Step:
    """Return a step of a flow in a file."""
    return Step(location=locate(file, path, start, end), message=text)


def locate(file: ParsedFile, path: PurePosixPath, start: int, end: int) -> Location:
    """Return the location of a byte range, with its first lines."""
    region = file.source.region(start, end)
    last = min(region.end_line, region.start_line + _MOST_LINES - 1)
    lines = file.source.lines(region.start_line, last).split("\n")
    snippet = "\n".join(line[:_LONGEST_LINE] for line in lines)
    return Location(path=path, region=region, snippet=snippet)
