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

__all__ = [
    "TerminalReporter", "columns", "printable", "progress_line", "size_of", "styled", "table",
    "wants_color",
]  # fmt: skip

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


_FIRST_GUESS_S = 1.0


class TerminalReporter(Reporter):
    """Draws one line of progress on a terminal's stderr; prints notes on any stderr."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._live = sys.stderr.isatty() and not quiet
        self._quiet = quiet
        self._what, self._total, self._done, self._drawn = "", 0, 0, 0.0
        self._unit, self._began = "", 0.0

    def begin(self, what: str, total: int | None, unit: str = "") -> None:
        self._what, self._total, self._done, self._unit = what, total or 0, 0, unit
        self._began = time.monotonic()

    def advance(self, steps: int = 1) -> None:
        self._done += steps
        now = time.monotonic()
        if self._live and now - self._drawn > 0.1:
            self._drawn = now
            line = progress_line(self._what, self._done, self._total, self._unit, now - self._began)
            sys.stderr.write(f"\r\x1b[K{line}"[: columns() + 4])
            sys.stderr.flush()

    def end(self) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def note(self, message: str) -> None:
        if not self._quiet:
            self.end()
            print(f"tavo: {printable(message)}", file=sys.stderr)


def progress_line(what: str, done: int, total: int, unit: str, seconds: float) -> str:
    """Return how far a stage is: steps, or for bytes their sizes and the time that is left."""
    if unit != "bytes":
        return f"{what} {done}/{total}" if total else f"{what} {done}"
    line = f"{what} {size_of(done)}"
    if not total:
        return line
    line += f" of {size_of(total)}"
    if done and seconds >= _FIRST_GUESS_S:
        line += f", {_duration(seconds * max(0, total - done) / done)} left"
    return line


def size_of(count: int) -> str:
    """Return a number of bytes for people, such as `1.4 GB`; units are powers of 1000."""
    if count < 1000:
        return f"{count} B"
    size, unit = float(count), ""
    for unit in ("kB", "MB", "GB", "TB"):  # noqa: B007
        size /= 1000
        if size < 999.95:
            break
    return f"{size:.1f} {unit}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
