"""Drawing: styled lines, tables and progress for a terminal, plain text for a pipe.

Rules this module keeps:
- foreign text is made printable before it reaches a terminal: no escape sequence, no control
  character, no bidirectional override passes;
- colours and tables appear only on a terminal; rich is imported only for tables and progress.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import IO

from tavo.printable import printable
from tavo.progress import Reporter

__all__ = ["TerminalReporter", "columns", "printable", "styled", "table", "wants_color"]

_STYLES = {
    "critical": "1;97;41",
    "high": "1;31",
    "medium": "1;33",
    "low": "1;36",
    "info": "1;34",
    "path": "1",
    "bold": "1",
    "heading": "1",
    "dim": "2",
    "code": "",
    "gutter": "2",
    "good": "32",
    "warning": "33",
    "bad": "1;31",
    "marker": "31",
}


def wants_color(stream: IO[str], *, allowed: bool) -> bool:
    """Tell whether to colour: allowed, a terminal, not a dumb one, no NO_COLOR."""
    if not allowed or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def columns() -> int:
    """Return the width of the terminal, 100 where there is none."""
    import shutil

    return shutil.get_terminal_size((100, 24)).columns


def styled(spans: Iterable[tuple[str, str]], *, color: bool) -> str:
    """Join `(style, text)` spans into one line, with ANSI colours when asked for."""
    if not color:
        return "".join(text for _, text in spans)
    parts = []
    for style, text in spans:
        code = _STYLES.get(style, "")
        parts.append(f"\x1b[{code}m{text}\x1b[0m" if code and text else text)
    return "".join(parts)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, color: bool) -> None:
    """Print rows: a drawn table on a terminal, tab-separated lines into a pipe."""
    safe = [[printable(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in safe:
            print("\t".join(cell.replace("\t", " ") for cell in row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        drawn.add_column(heading, no_wrap=number == 0, overflow="fold")
    for row in safe:
        drawn.add_row(*(Text(cell) for cell in row))
    Console(no_color=not color, highlight=False).print(drawn)


class TerminalReporter(Reporter):
    """Draws one line of progress on a terminal's stderr; prints notes on any stderr."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._live = sys.stderr.isatty() and not quiet
        self._quiet = quiet
        self._what, self._total, self._done, self._drawn = "", 0, 0, 0.0

    def begin(self, what: str, total: int | None) -> None:
        self._what, self._total, self._done = what, total or 0, 0

    def advance(self, steps: int = 1) -> None:
        self._done += steps
        now = time.monotonic()
        if self._live and now - self._drawn > 0.1:
            self._drawn = now
            total = f"/{self._total}" if self._total else ""
            sys.stderr.write(f"\r\x1b[K{self._what} {self._done}{total}"[: columns() + 4])
            sys.stderr.flush()

    def end(self) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def note(self, message: str) -> None:
        if not self._quiet:
            self.end()
            print(f"tavo: {printable(message)}", file=sys.stderr)
