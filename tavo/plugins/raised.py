"""What a plugin raised, told to its author: its own frames, one line, and what the sandbox denied.

Rules this module keeps:
- only frames of files in the plugin's folder are shown, by their paths in it: what tavo and the
  libraries did in between helps nobody to mend a plugin;
- describing never raises, whatever an exception does when it is printed;
- standard library only, and nothing is imported before something was raised.

Units: lengths in characters.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from tavo.plugins.errors import ConfigError
from tavo.plugins.plain import clip

__all__ = ["describe", "one_of", "place_of", "sandbox_of"]

_LONGEST_TRACEBACK = 8192
_LONGEST_MESSAGE = 1000
_MOST_CAUSES = 8
_OURS = "tavo_kit"
_NO_NETWORK = {errno.ENETUNREACH, errno.ENETDOWN, errno.EAFNOSUPPORT, errno.EHOSTUNREACH}
_DENIED = {errno.EPERM, errno.EACCES, errno.ENOSYS}


def describe(error: BaseException, folder: str) -> dict[str, Any]:
    """Say what was raised in one line, and give the traceback through the plugin's files."""
    if isinstance(error, ConfigError):
        return {"message": clip(str(error)), "traceback": ""}
    try:
        place = place_of(error, folder)
        said = " ".join(str(error).split())
        message = clip(f"{type(error).__name__}{f': {said}' if said else ''}", _LONGEST_MESSAGE)
        denied = sandbox_of(error)
        message += f" ({place})" if place else ""
        message += f"; the sandbox: {denied}" if denied else ""
        lines = _traceback(error, folder)
    except BaseException:  # noqa: BLE001
        lines, message = "", type(error).__name__
    return {"message": message, "traceback": lines}


def place_of(error: BaseException, folder: str) -> str:
    """Return where in the plugin's files it happened, such as `main.py line 12`, or nothing."""
    frames = list(_frames(error.__traceback__, folder))
    return f"{frames[-1][0]} line {frames[-1][1].tb_lineno}" if frames else ""


def sandbox_of(error: BaseException) -> str:
    """Say what the sandbox denied, if that is what it looks like."""
    for cause in _causes(error):
        if not isinstance(cause, OSError):
            continue
        if type(cause).__name__ == "gaierror" or cause.errno in _NO_NETWORK:
            return "a plugin reaches only the hosts of permissions.network, by context.http"
        if cause.errno in _DENIED and _came_through(cause, "subprocess.py"):
            return "a plugin starts no programs"
        if cause.errno in _DENIED and _came_through(cause, "socket.py"):
            return "a plugin reaches only the hosts of permissions.network, by context.http"
        if cause.filename is not None and (
            isinstance(cause, FileNotFoundError) or cause.errno in _DENIED
        ):
            return "a plugin opens no files but its own; what it looks at is handed to it"
        if cause.errno in _DENIED:
            return "a plugin may not do this"
    return ""


def one_of(found: object, what: str, wanted: str) -> Iterable[Any]:
    """Return what a plugin's method returned, if it is many. Raises TypeError with the next step.

    `what` is the method, `wanted` what it should yield.
    """
    if found is None or isinstance(found, str | bytes) or not isinstance(found, Iterable):
        kind = "None" if found is None else f"a {type(found).__name__}"
        raise TypeError(
            f"{what} returned {kind}, expected an iterable of {wanted}: `yield` each, or return"
            " a list"
        )
    return found


def _frames(trace: TracebackType | None, folder: str) -> Iterator[tuple[str, TracebackType]]:
    """Yield the frames of the plugin's own files with their paths in its folder."""
    inside = folder + os.sep
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.startswith(inside) and not name.startswith(inside + _OURS):
            yield name[len(inside) :], trace
        trace = trace.tb_next


def _traceback(error: BaseException, folder: str) -> str:
    import traceback

    shown = [
        traceback.FrameSummary(
            name, trace.tb_lineno, trace.tb_frame.f_code.co_name, line=_line(trace)
        )
        for name, trace in _frames(error.__traceback__, folder)
    ]
    if not shown:
        return ""
    lines = traceback.StackSummary.from_list(shown).format()
    last = traceback.format_exception_only(error)
    return "".join(["Traceback (most recent call last):\n", *lines, *last])[-_LONGEST_TRACEBACK:]


def _line(trace: TracebackType) -> str:
    import linecache

    return linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno).strip()


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def _came_through(error: BaseException, library: str) -> bool:
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith(os.sep + library):
            return True
        trace = trace.tb_next
    return False
