"""The logs that are followed: what is new in them, through rotation and truncation.

Rules this module keeps:
- a log that was renamed is read to its end before its successor, and as long as something is still
  written to it; parts that came and went between two looks are read, the oldest first;
- a log that became shorter, or whose bytes before the place are others, begins again, after the
  rest of its copy;
- what cannot be found any more is said: it may have held something;
- compressed files and rotated parts that were there before are not followed; `tavo logs analyze`
  reads them.

The clock comes in as an argument. Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import glob
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from tavo.errors import InputError
from tavo.logs.follow_parts import Part, Piece, Position, is_part_of, parts_beside
from tavo.logs.reports import LogProblem
from tavo.logs.sources import SourceProblem, is_log, is_packed, written_name

__all__ = ["Files"]

_LINGER_S = 30.0
_ROUND = 16 << 20
_MOST = 500
_MOST_FINISHED = 200
_LOOK_S = 2.0
_COARSE_S = 2.0  # file systems and clocks do not tell time alike

Ready = Callable[[Part, bytes, bool], bool]
"""Asked before a piece is given out: its part, data, whether more may come; False: not yet."""


class _Log:
    """A path that is followed: the generation that stands there, and those that left it."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.current: Part | None = None
        self.leaving: list[Part] = []
        self.gone_since = 0.0
        self.since_ns = 0  # not 0: parts that were written since then may be unknown


class Files:
    """Follows files, folders and globs."""

    def __init__(
        self,
        paths: Sequence[str],
        root: Path,
        *,
        from_start: bool,
        clock: Callable[[], float],
        known: Iterable[Position] = (),
        since: float = 0.0,
    ) -> None:
        """Take up what `known` positions say, as they were at the time `since`.

        Raises InputError for a path that leads to nothing.
        """
        self.problems: list[LogProblem] = []
        self.notes: list[str] = []
        self._paths = list(paths)
        self._root = root
        self._clock = clock
        self._logs: dict[str, _Log] = {}
        self._looked = 0.0
        self._said: set[str] = set()
        self._finished: deque[Position] = deque(maxlen=_MOST_FINISHED)
        by_path: dict[str, list[Position]] = {}
        for position in known:
            if position.done:
                self._finished.append(position)
                continue
            by_path.setdefault(position.path, []).append(position)
        for path, positions in by_path.items():
            self._resume(_Log(Path(path), positions[0].name), positions, since)
        for given in paths:
            if given == "-":
                raise InputError(
                    "logs follow: standard input cannot be taken up again",
                    hint="Use `tavo logs analyze -`, or name the file that is written to.",
                )
            if not glob.has_magic(given) and not Path(given).exists():
                if os.path.abspath(given) not in self._logs:  # noqa: PTH100
                    raise InputError(
                        f"{given}: no such file or folder",
                        hint="Name a log, a folder, or a glob in quotes such as 'logs/*.jsonl'.",
                    )
            elif Path(given).is_file() and is_packed(given):
                raise InputError(
                    f"{given}: is compressed, and nothing is written to it any more",
                    hint="`tavo logs analyze` reads it.",
                )
        self._look(from_start=from_start or bool(by_path))

    def close(self) -> None:
        """Give all files back."""
        for part in self._parts():
            part.close()

    def __len__(self) -> int:
        return len(self._logs)

    def positions(self) -> list[Position]:
        """Return how far each generation was read."""
        out = list(self._finished)
        for part in self._parts():
            position = part.position
            if position.leaving:
                position.unread = 1 if part.packed else max(0, part.size - position.offset)
            out.append(position)
        return out

    def poll(self, ready: Ready, *, last: bool = False) -> Iterator[tuple[Part, Piece]]:
        """Yield what is new, once around all logs; each piece must be given to its part's `took`.

        `last`: this is the last round, so that a format must be chosen by what is there.
        """
        now = self._clock()
        if now - self._looked >= _LOOK_S or last:
            self._look(from_start=True)
        for log in list(self._logs.values()):
            yield from self._of_log(log, ready, now, last=last)

    # -- one log

    def _of_log(
        self, log: _Log, ready: Ready, now: float, *, last: bool
    ) -> Iterator[tuple[Part, Piece]]:
        self._see(log, now)
        for part in list(log.leaving):
            ends = last or part.packed or now - part.quiet_since >= _LINGER_S
            size = 0
            for piece in self._pieces(part, ready, ends=ends, last=last):
                size += len(piece.data)
                yield part, piece
            if size:
                part.quiet_since = now
            if size >= _ROUND:
                return  # its successors wait for the rest
            if ends and not size:
                self._finish(part)
                log.leaving.remove(part)
        if log.current is not None:
            for piece in self._pieces(log.current, ready, ends=False, last=last):
                yield log.current, piece
        elif not log.leaving and log.gone_since and now - log.gone_since >= _LINGER_S:
            self._logs.pop(str(log.path), None)  # should it come back, it is a new one

    def _pieces(self, part: Part, ready: Ready, *, ends: bool, last: bool) -> Iterator[Piece]:
        try:
            for piece in part.pieces(most=_ROUND, last=ends):
                if not ready(part, piece.data, not (last or part.position.leaving)):
                    return
                yield piece
        except (OSError, SourceProblem) as error:
            self._problem(part.position.name, f"it cannot be read any more: {error}")

    def _see(self, log: _Log, now: float) -> None:
        """See what stands at the path of a log by now."""
        current = log.current
        try:
            state = log.path.stat()
        except OSError:
            state = None
        if state is not None:
            log.gone_since = 0.0
        elif not log.gone_since:
            log.gone_since = now
        gone = state is None and now - log.gone_since >= _LINGER_S
        if current is not None and (gone or (state is not None and not current.is_file(state))):
            current.position.leaving = True
            current.quiet_since = now
            log.leaving.append(current)
            log.since_ns = current.modified_ns
            log.current = None
        elif current is not None and current.has_changed() and not current.holds(current.position):
            self._begin_again(log, current)
        if log.current is None and state is not None:
            self._open(log)
        if log.since_ns:  # after it was opened: what is rotated away from now on is known
            log.leaving += self._missed(log)
            log.since_ns = 0

    def _finish(self, part: Part) -> None:
        part.close()
        part.position.done = True
        self._finished.append(part.position)

    def _open(self, log: _Log) -> Part | None:
        try:
            log.current = Part(log.path, Position(name=log.name, path=str(log.path)))
        except OSError as error:
            self._problem(log.name, f"it cannot be opened: {error.strerror}")
            return None
        self._said.discard(log.name)
        return log.current

    def _begin_again(self, log: _Log, current: Part) -> None:
        """Take a log that was truncated from its start, after the rest of its copy."""
        old = current.position
        current.position = Position(
            name=old.name, path=old.path, device=old.device, inode=old.inode, reader=old.reader,
            wrapping=old.wrapping,
        )  # fmt: skip
        current.rewind()
        copy = self._holder(log, old)
        if copy is not None:
            log.leaving.append(copy)
        self.notes.append(
            f"{log.name}: was truncated, and is read from its start"
            + (f", after the rest of {copy.path.name}" if copy is not None else "")
        )

    def _resume(self, log: _Log, positions: list[Position], since: float) -> None:
        """Take up a log where it was left, wherever its generations are by now."""
        self._logs[str(log.path)] = log
        for position in positions:
            standing = None if position.leaving else _opened(log.path, position)
            if standing is not None and _is_same(standing, position):
                log.current = standing
                continue
            if standing is not None:
                standing.close()
            part = self._holder(log, position)
            if part is not None:
                log.leaving.append(part)
            elif position.offset and (position.unread or not position.leaving):
                self._problem(
                    log.name,
                    f"what was written to it after byte {position.offset:,} and before it was"
                    " rotated cannot be found: it may have held something",
                )
        log.since_ns = max(1, int((since - _COARSE_S) * 1e9))

    def _holder(self, log: _Log, position: Position) -> Part | None:
        """Return the rotated part that holds what was read up to a position."""
        found: Part | None = None
        for path in parts_beside(log.path):
            part = _opened(path, position)
            if part is None:
                continue
            if found is None and _is_same(part, position):
                part.position.leaving = True
                found = part
            else:
                part.close()
        return found

    def _missed(self, log: _Log) -> list[Part]:
        """Return the parts that came since a time and were never read, the oldest first."""
        known = [*log.leaving, *([log.current] if log.current is not None else [])]
        out: list[Part] = []
        for path in parts_beside(log.path):
            try:
                state = path.stat()
            except OSError:
                continue
            if state.st_mtime_ns < log.since_ns or any(one.is_file(state) for one in known):
                continue
            part = _opened(path, Position(name=log.name, path=str(log.path), leaving=True))
            if part is None:
                continue
            if any(part.holds(one.position) for one in known if one.position.offset):
                part.close()
            else:
                self._go_on(part)
                out.append(part)
        return out

    def _go_on(self, part: Part) -> bool:
        """Go on where a file was left that was finished, by whatever name; tell whether it was."""
        for one in self._finished:
            if one.offset and part.holds(one):
                part.position.offset, part.position.line = one.offset, one.line
                part.rewind()
                return True
        return False

    # -- which logs there are

    def _look(self, *, from_start: bool) -> None:
        """Look for logs that are new."""
        self._looked = self._clock()
        found: dict[str, None] = {}
        for given in self._paths:
            for path in _files_of(given):
                found[os.path.abspath(path)] = None  # noqa: PTH100
        names = {*found, *self._logs}
        beside: dict[str, set[str]] = {}
        for one in names:
            folder, name = os.path.split(one)
            beside.setdefault(folder, set()).add(name)
        inodes = {(p.position.device, p.position.inode) for p in self._parts()}
        for absolute in found:
            if absolute in self._logs:
                continue
            folder, name = os.path.split(absolute)
            if any(is_part_of(name, other) for other in beside[folder]):
                continue
            try:
                state = os.stat(absolute)  # noqa: PTH116
            except OSError:
                continue
            if (state.st_dev, state.st_ino) in inodes:
                continue  # a log under another name
            if len(self._logs) >= _MOST:
                self._problem("logs", f"more than {_MOST} files: the others are not followed")
                return
            log = _Log(Path(absolute), _name(absolute, self._root))
            self._logs[absolute] = log
            part = self._open(log)
            if part is None:
                continue
            inodes.add((state.st_dev, state.st_ino))
            if self._go_on(part):  # a part of a log, under a name that is no part's
                continue
            if not from_start:
                part.begin_at_end()

    def _parts(self) -> Iterator[Part]:
        for log in self._logs.values():
            yield from log.leaving
            if log.current is not None:
                yield log.current

    def _problem(self, name: str, reason: str) -> None:
        if name not in self._said:
            self._said.add(name)
            self.problems.append(LogProblem(subject=name, reason=reason))


def _is_same(part: Part, position: Position) -> bool:
    """Tell whether a file is the one of a position: by what was read, else by its number."""
    if position.offset:
        return part.holds(position)
    now = part.position
    return (now.device, now.inode) == (position.device, position.inode)


def _opened(path: Path, position: Position) -> Part | None:
    try:
        return Part(path, msgspec.structs.replace(position))
    except OSError:
        return None


def _files_of(given: str) -> Iterator[str]:
    """Yield the files that a path names by now."""
    if os.path.isdir(given):  # noqa: PTH112
        for folder, below, names in os.walk(given):
            below.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)  # noqa: PTH118
                if is_log(name) and not is_packed(name) and not os.path.islink(path):  # noqa: PTH114
                    yield path
    elif os.path.isfile(given):  # noqa: PTH113
        yield given
    elif glob.has_magic(given):
        for path in sorted(glob.glob(given, recursive=True)):  # noqa: PTH207
            if os.path.isfile(path) and not is_packed(path):  # noqa: PTH113
                yield path


def _name(absolute: str, root: Path) -> str:
    try:
        name = Path(absolute).relative_to(root).as_posix()
    except ValueError:
        name = Path(absolute).as_posix().lstrip("/").replace(":", "")
    return written_name(name)
