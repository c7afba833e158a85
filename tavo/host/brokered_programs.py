"""Programs on a plugin's behalf: for who declares them under `subprocess`, and was granted that.

Rules this module keeps:
- only a program that the manifest names is run, by that name, from the absolute folders of PATH:
  never one that a plugin or a project brings;
- no shell; it runs in an empty folder of ours that holds the files the plugin gives it, and gets
  few of our variables, none of which is a secret;
- it runs with the user's rights, outside of the sandbox: that is what the permission says;
- runs, their time and their output are bounded, and they end with the run.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from tavo.host.lending import LendError
from tavo.host.stopping import Stopper
from tavo.programs import find_program, run_program

__all__ = ["ProgramLender"]

_MOST_RUNS = 1000
_MOST_ARGUMENTS, _LONGEST_ARGUMENTS = 1000, 100_000
_MOST_FILES = 1000
_MOST_OUTPUT = 8 << 20
_LONGEST_S = 600.0


class ProgramLender:
    """Serves `context.run` of one plugin."""

    def __init__(self, programs: Collection[str], *, stopper: Stopper, seconds: float) -> None:
        """`seconds` is the time that all runs may take together."""
        self._programs = frozenset(programs)
        self._stopper = stopper
        self._runs_left, self._seconds_left = _MOST_RUNS, seconds

    def lend(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Run a program to its end. Raises LendError."""
        if kind != "run":
            raise LendError("not_available", f"{kind} is not lent to this plugin")
        name = content.get("program")
        if not isinstance(name, str) or name not in self._programs:
            named = repr(name[:40]) if isinstance(name, str) else "that"
            raise LendError("not_available", f"{named} is not declared in plugin.yaml")
        arguments = _arguments(content.get("arguments"))
        given, files = _bytes(content.get("stdin", "")), _files(content.get("files", {}))
        asked = content.get("timeout_s")
        if isinstance(asked, bool) or not isinstance(asked, int | float) or not asked > 0:
            raise LendError("program", "timeout_s is no number above 0")
        if self._runs_left <= 0 or self._seconds_left <= 0:
            raise LendError("budget", "it ran programs as often and as long as a run allows")
        self._runs_left -= 1
        program = find_program(name)
        if program is None:
            raise LendError("program", f"there is no {name} in the folders of PATH")
        seconds = min(float(min(asked, _LONGEST_S)), self._seconds_left)
        return self._run(program, arguments, given, files, seconds)

    def _run(
        self,
        program: Path,
        arguments: list[str],
        given: bytes,
        files: Mapping[tuple[str, ...], bytes],
        seconds: float,
    ) -> dict[str, Any]:
        import time

        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="tavo-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            try:
                for parts, data in files.items():
                    path = folder.joinpath(*parts)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
                answer = run_program(
                    [str(program), *arguments], extra={"TMPDIR": name}, seconds=seconds,
                    most=_MOST_OUTPUT, folder=folder, given=given, ended_by=self._attached,
                )  # fmt: skip
            except (OSError, ValueError) as error:
                raise LendError("program", f"{program.name}: does not start: {error}") from None
            finally:
                self._seconds_left -= time.monotonic() - began
        if answer.stopped:
            raise LendError("program", f"{program.name}: {answer.stopped}")
        return {
            "code": answer.code,
            "out": base64.b64encode(answer.out).decode("ascii"),
            "errors": answer.errors,
        }

    @contextlib.contextmanager
    def _attached(self, end: Callable[[], None]) -> Iterator[None]:
        self._stopper.attach(end)
        try:
            yield
        finally:
            self._stopper.detach(end)


def _arguments(given: Any) -> list[str]:
    if not isinstance(given, list) or len(given) > _MOST_ARGUMENTS:
        raise LendError("program", f"the arguments are no list of at most {_MOST_ARGUMENTS} texts")
    for one in given:
        if not isinstance(one, str) or "\0" in one or (not one.isascii() and _is_broken(one)):
            raise LendError("program", "an argument is no text that can be handed over")
    if sum(len(one) for one in given) > _LONGEST_ARGUMENTS:
        raise LendError("program", f"the arguments are longer than {_LONGEST_ARGUMENTS} characters")
    return list(given)


def _files(given: Any) -> dict[tuple[str, ...], bytes]:
    """Return the files for the program's folder by the parts of their paths. Raises LendError."""
    if not isinstance(given, dict) or len(given) > _MOST_FILES:
        raise LendError("program", f"the files are no table of at most {_MOST_FILES}")
    out = {}
    for name, data in given.items():
        parts = tuple(str(name).split("/"))
        plain = all(
            part not in {"", ".", ".."} and part.isprintable() and not set(part) & set('\\:"<>|?*')
            for part in parts
        )
        if not plain or len(name) > 200 or len(parts) > 8 or _is_broken(name):
            raise LendError("program", f"{name[:60]!r} is not a plain relative path")
        out[parts] = _bytes(data)
    return out


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise LendError("program", "its input is not base64") from None
