"""What a plugin says when it wants a program run, judged before anything is done, and its answer.

Rules this module keeps:
- a program has a plain name, arguments and files that can be handed over, and a time;
- a file lies at a plain relative path: no way leads out of the folder that it is written to;
- all runs of a plugin share one allowance.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tavo.host.lending import LendError
from tavo.programs import Answer

__all__ = [
    "LONGEST_S",
    "MOST_OUTPUT",
    "Allowance",
    "Order",
    "answered",
    "read_order",
    "write_files",
]

MOST_OUTPUT = 8 << 20
LONGEST_S = 600.0
_MOST_RUNS = 1000
_MOST_ARGUMENTS, _LONGEST_ARGUMENTS = 1000, 100_000
_MOST_FILES = 1000
_MOST_VARIABLES = 32
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_CALLED = re.compile(r"[A-Za-z0-9._+-]{0,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One run: `files` by the parts of their paths, `given` is the standard input.

    `called` is the name by which the program is told that it was started, empty for its own;
    `variables` are added to its environment. Both are only for programs that come with a plugin.
    """

    program: str
    called: str
    variables: Mapping[str, str]
    arguments: list[str]
    given: bytes
    files: Mapping[tuple[str, ...], bytes]
    timeout_s: float


class Allowance:
    """How often and how long the programs of one plugin may still run."""

    def __init__(self, seconds: float) -> None:
        """`seconds` is the time that all runs may take together."""
        self._runs_left, self._seconds_left = _MOST_RUNS, seconds

    @contextlib.contextmanager
    def run(self, asked: float) -> Iterator[float]:
        """Count a run; give the time that it may take. Raises LendError when nothing is left."""
        if self._runs_left <= 0 or self._seconds_left <= 0:
            raise LendError("budget", "it ran programs as often and as long as a run allows")
        self._runs_left -= 1
        began = time.monotonic()
        try:
            yield min(asked, LONGEST_S, self._seconds_left)
        finally:
            self._seconds_left -= time.monotonic() - began


def read_order(kind: str, content: Mapping[str, Any], known: Collection[str]) -> Order:
    """Return what is asked for, if it is for one of the known programs. Raises LendError."""
    if kind != "run":
        raise LendError("not_available", f"{kind} is not lent to this plugin")
    name = content.get("program")
    if not isinstance(name, str) or name not in known:
        named = repr(name[:40]) if isinstance(name, str) else "that"
        raise LendError("not_available", f"{named} is not declared in plugin.yaml")
    arguments = _arguments(content.get("arguments"))
    given, files = _bytes(content.get("stdin", "")), _files(content.get("files", {}))
    called = content.get("called", "")
    if not isinstance(called, str) or not _CALLED.fullmatch(called):
        raise LendError("program", "called is no plain name of a program")
    variables = _variables(content.get("variables", {}))
    asked = content.get("timeout_s")
    if isinstance(asked, bool) or not isinstance(asked, int | float) or not asked > 0:
        raise LendError("program", "timeout_s is no number above 0")
    return Order(
        program=name,
        called=called,
        variables=variables,
        arguments=arguments,
        given=given,
        files=files,
        timeout_s=float(min(asked, LONGEST_S)),
    )


def write_files(folder: Path, files: Mapping[tuple[str, ...], bytes]) -> None:
    """Write the files of an order below an empty folder of ours. Raises OSError."""
    for parts, data in files.items():
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def answered(name: str, answer: Answer) -> dict[str, Any]:
    """Return what a program said, for the plugin. Raises LendError if it was not let finish."""
    if answer.stopped:
        raise LendError("program", f"{name}: {answer.stopped}")
    return {
        "code": answer.code,
        "out": base64.b64encode(answer.out).decode("ascii"),
        "errors": answer.errors,
    }


def _arguments(given: Any) -> list[str]:
    if not isinstance(given, list) or len(given) > _MOST_ARGUMENTS:
        raise LendError("program", f"the arguments are no list of at most {_MOST_ARGUMENTS} texts")
    for one in given:
        if not isinstance(one, str) or "\0" in one or (not one.isascii() and _is_broken(one)):
            raise LendError("program", "an argument is no text that can be handed over")
    if sum(len(one) for one in given) > _LONGEST_ARGUMENTS:
        raise LendError("program", f"the arguments are longer than {_LONGEST_ARGUMENTS} characters")
    return list(given)


def _variables(given: Any) -> dict[str, str]:
    if not isinstance(given, dict) or len(given) > _MOST_VARIABLES:
        raise LendError("program", f"the variables are no table of at most {_MOST_VARIABLES}")
    for name, text in given.items():
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            raise LendError("program", "a name of the variables cannot be that of one")
        if not isinstance(text, str) or len(text) > 1000 or "\0" in text or _is_broken(text):
            raise LendError("program", f"the variable {name} is no text that can be handed over")
    return dict(given)


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
