"""The transcript of an attack: one line of JSON for each attempt, which an interrupted one needs.

Rules this module keeps:
- the first line says what was asked: seed, target, probes and options; a transcript of another
  attack is not gone on with;
- each attempt is on disk before the next round begins; half a last line is cut off, anything else
  that is not whole is an error;
- credentials are in no line: they are not in what a target gives back.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from tavo.attack.engine import Attempted, Options
from tavo.attack.probes import Probe
from tavo.errors import InputError

__all__ = ["Transcript"]

_FORMAT = "tavo-attack/1"
_LARGEST = 1 << 30


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    format: str
    seed: int
    target: str
    probes: str
    options: str


class Transcript:
    """A transcript that is being written. `done` are the attempts that it held already."""

    def __init__(
        self,
        path: Path,
        *,
        target: str,
        probes: Sequence[Probe],
        options: Options,
        resume: bool,
    ) -> None:
        """Begin a transcript, or go on with one. Raises InputError."""
        self._head = _Head(
            format=_FORMAT, seed=options.seed, target=target, probes=_digest(probes),
            options=_asked(options),
        )  # fmt: skip
        self.done: Mapping[tuple[str, int], Attempted] = {}
        keep = 0
        if resume:
            keep = self._read(path)
        try:
            flags = os.O_WRONLY | os.O_CREAT | (0 if resume else os.O_EXCL)
            self._file = os.fdopen(os.open(path, flags, 0o600), "wb", 0)
        except FileExistsError:
            raise InputError(
                f"attack: {path}: is there already",
                hint="Go on with it with --resume, or name another file.",
            ) from None
        except OSError as error:
            raise InputError(
                f"attack: {path}: {error.strerror or error}",
                hint="Name a file that can be written.",
            ) from error
        self._file.seek(keep)
        self._file.truncate()
        if not keep:
            self._line(self._head)

    def __enter__(self) -> Transcript:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        self._file.close()

    def record(self, attempt: Attempted) -> None:
        """Write an attempt down."""
        self._line(attempt)

    def _line(self, value: Any) -> None:
        self._file.write(msgspec.json.encode(value) + b"\n")
        os.fsync(self._file.fileno())

    def _read(self, path: Path) -> int:
        """Take over what a transcript holds; return the bytes of it that are whole."""
        try:
            if path.stat().st_size > _LARGEST:
                raise InputError(f"attack: {path}: is larger than {_LARGEST} bytes", hint="")
            data = path.read_bytes()
        except OSError as error:
            raise InputError(
                f"attack: {path}: {error.strerror or error}",
                hint="Leave --resume out to begin a transcript.",
            ) from error
        whole = data[: data.rfind(b"\n") + 1]
        lines = whole.splitlines()
        try:
            head = msgspec.json.decode(lines[0], type=_Head) if lines else None
            attempts = [msgspec.json.decode(line, type=Attempted) for line in lines[1:]]
        except msgspec.DecodeError as error:
            raise InputError(
                f"attack: {path}: is no transcript of tavo attack: {error}",
                hint="Name the file that --transcript wrote.",
            ) from error
        if head is not None and head != self._head:
            differs = [
                name
                for name in ("format", "seed", "target", "probes", "options")
                if getattr(head, name) != getattr(self._head, name)
            ]
            raise InputError(
                f"attack: {path}: is of another attack: {', '.join(differs)} differ",
                hint="Attack with the same seed, target, probes and options, or begin a new file.",
            )
        self.done = {(one.probe, one.number): one for one in attempts}
        return len(whole)


def _digest(probes: Sequence[Probe]) -> str:
    return hashlib.sha256(msgspec.json.encode(list(probes))).hexdigest()


def _asked(options: Options) -> str:
    """Return what decides about the attempts, without what decides only about their pace."""
    return (
        f"attempts={options.attempts} stop_early={options.stop_early}"
        f" threshold={options.threshold:g} application={options.application}"
        f" secrets={hashlib.sha256(repr(options.secrets).encode()).hexdigest()[:16]}"
        + (f" judge={options.judge}" if options.judge else "")
    )
