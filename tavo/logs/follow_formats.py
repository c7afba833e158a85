"""The format of each log that is followed: chosen by its first lines, when there are enough.

Rules this module keeps:
- a log whose format is not known yet waits for a few lines, or two seconds;
- one that no reader knows is said, and looked at again when more of it comes;
- the successor of a rotated log that cannot be told by itself has the format of the log before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tavo.logs.encoded import encoding_of
from tavo.logs.follow_parts import Part, Position
from tavo.logs.mapping import Mapping as Table
from tavo.logs.reports import LogProblem
from tavo.logs.sigma.rules import LogRule
from tavo.logs.sniff import Guess, guess
from tavo.logs.sources import Source
from tavo.logs.understood import why_not
from tavo.logs.wrapped import unwrapped, wrapping_of

__all__ = ["Formats"]

_ENOUGH = 20
_MOST = 200
_WAIT_S = 2.0
_UNKNOWN = "-"
_NOT_KNOWN = (
    "its format is not known, so what was written to it was not looked at;"
    " `tavo logs formats` lists those that are, --reader or --mapping names one"
)
_NOT_FOLLOWED = (
    "it is UTF-16, which is not followed, so what was written to it was not looked at;"
    " `tavo logs analyze` reads it"
)


class Formats:
    """Chooses formats. `forced` is the format of all logs, instead of a guess."""

    def __init__(
        self,
        tables: Sequence[Table],
        forced: Table | None,
        rules: Sequence[LogRule],
        clock: Callable[[], float],
    ) -> None:
        self.problems: list[LogProblem] = []
        self.notes: list[str] = []
        self._tables = {one.name: one for one in tables}
        self._forced = forced
        self._rules = rules
        self._clock = clock
        self._since: dict[tuple[str, int], float] = {}
        self._sure: set[str] = set()
        self._before: dict[str, tuple[str, str]] = {}
        self._asked: set[str] = set()

    def table(self, position: Position) -> Table | None:
        """Return the format of a log, None where it is not known."""
        if self._forced is not None:
            return self._forced
        return self._tables.get(position.reader)

    def ready(self, part: Part, data: bytes, more: bool) -> bool:
        """Choose the format by what is there, if that is enough or `more` does not come."""
        position = part.position
        name = position.name
        if name in self._sure and position.reader not in {"", _UNKNOWN}:
            return True
        new = data.split(b"\n", _MOST)[:_MOST]
        lines = [one for one in (*part.first_lines()[:_MOST], *new) if one.strip()]
        if len(lines) < _ENOUGH and more and position.reader in {"", _UNKNOWN}:
            now = self._clock()
            if now - self._since.setdefault((position.path, position.inode), now) < _WAIT_S:
                return False
        self._since.pop((position.path, position.inode), None)
        self._choose(position, lines)
        return True

    def _choose(self, position: Position, lines: list[bytes]) -> None:
        name, known = position.name, position.reader
        wrapping, outer = wrapping_of(lines), lines
        if wrapping:
            lines = [one for one in unwrapped(lines, wrapping) if one.strip()]
        if self._forced is not None:
            found: Guess | None = Guess(mapping=self._forced, share=1.0, lines=0, forced=True)
        else:
            found = guess(lines, self._tables.values())
            if found is None and wrapping:  # texts that nobody knows stay in their wrapping
                lines, wrapping = outer, ""
                found = guess(lines, self._tables.values())
        if found is None or (found.mapping.name == "jsonl" and not found.forced):
            before = self._before.get(name)
            if before is not None and before[0] in self._tables:
                position.reader, position.wrapping = before
                return
        if found is None:
            if known in {"", _UNKNOWN} and position.reader != _UNKNOWN and lines:
                position.reader = _UNKNOWN
                reason = _NOT_FOLLOWED if encoding_of(lines[0]) else _NOT_KNOWN
                self.problems.append(LogProblem(subject=name, reason=reason))
            return
        position.reader, position.wrapping = found.mapping.name, wrapping
        if position.reader != known:
            shown = Guess(
                **{one: getattr(found, one) for one in ("mapping", "share", "lines", "forced")},
                wrapping=wrapping,
            )
            self.notes.append(f"{name}: {position.reader} ({shown.how_sure})")
        if found.mapping.name != "jsonl" or found.forced or len(lines) >= _ENOUGH:
            self._before[name] = position.reader, wrapping
            self._sure.add(name)
        if len(lines) >= _ENOUGH and name not in self._asked:
            self._asked.add(name)
            source = Source(name=name, path=None)
            if reason := why_not(source, found, lines, self._rules):
                self.problems.append(LogProblem(subject=name, reason=reason))
