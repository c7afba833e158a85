"""One run of an author's plugin on what the author names: files, a prompt, a log, a script.

Rules this module keeps:
- static plugins run over files, and dynamic ones against a target, as in a scan: by `tavo.runs`;
- a filter, a log plugin and an attack on a script are rehearsed: in the same sandbox, called by the
  kit instead of by the proxy, the log engine or a target;
- watching looks at names, sizes and times of a bounded number of files, and never writes.

Units: times in seconds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from tavo.attack.broker import Budget, Purse
from tavo.attack.targets import Target
from tavo.errors import InputError, UsageError
from tavo.host.local import LocalPlugin
from tavo.host.workers import Failure
from tavo.kit.rehearsal import Attacked, Filtered, Logged, Rehearsal
from tavo.progress import Reporter
from tavo.runs.dynamic import run_dynamic
from tavo.runs.hosting import Project
from tavo.runs.outcome import PluginOutcome
from tavo.runs.plugins import run_plugin
from tavo.scan.files import scan_root, walk

__all__ = [
    "read_events",
    "run_attack",
    "run_files",
    "run_filter",
    "run_log",
    "run_target",
    "watched",
]

_LARGEST_FILE = 2 << 20
_LARGEST_LOG = 64 << 20
_MOST_WATCHED = 10_000
_FIRST_EVENT = datetime(2026, 1, 1, tzinfo=UTC)


def run_files(
    local: LocalPlugin,
    targets: Sequence[Path],
    *,
    accept: Sequence[str],
    config: Mapping[str, Any],
    reporter: Reporter,
    on_failure: Callable[[PurePosixPath, Failure], None] = lambda *_: None,
) -> PluginOutcome:
    """Run a static plugin over files and folders, as a scan does.

    `on_failure` hears of each file that was not looked at, with the end of the traceback.

    Raises UsageError for another type, InputError, SandboxUnavailableError, ConfigError.
    """
    _check_type(local, "static", "files and folders")
    if not targets:
        raise UsageError("plugin run: a static plugin needs a file or a folder to look at")
    root = scan_root(tuple(targets))
    files = [file for file in walk(tuple(targets), root) if not file.problem]
    installation = local.own()
    try:
        return run_plugin(
            installation,
            files,
            largest=_LARGEST_FILE,
            accept=accept,
            reporter=reporter,
            config=config,
            project=Project(root, tuple(targets)),
            on_failure=on_failure,
        )
    finally:
        installation.close()


def run_filter(
    local: LocalPlugin,
    prompt: str,
    answer: str | None,
    *,
    accept: Sequence[str],
    config: Mapping[str, Any],
) -> Filtered:
    """Have a proxy plugin judge a prompt, and a model's answer to it where there is one."""
    _check_type(local, "proxy", "--prompt")
    with Rehearsal(local, accept=accept, config=config) as rehearsal:
        return rehearsal.do("prompt", Filtered, prompt=prompt, answer=answer)


def run_log(
    local: LocalPlugin,
    events: Sequence[Mapping[str, Any]],
    *,
    accept: Sequence[str],
    config: Mapping[str, Any],
) -> Logged:
    """Have a log plugin analyse what `read_events` read."""
    _check_type(local, "log", "--log")
    with Rehearsal(local, accept=accept, config=config) as rehearsal:
        return rehearsal.do("log", Logged, events=list(events))


def run_attack(
    local: LocalPlugin,
    answers: Sequence[str],
    *,
    accept: Sequence[str],
    config: Mapping[str, Any],
) -> Attacked:
    """Have a dynamic plugin attack a model that gives these answers, the last one ever again."""
    _check_type(local, "dynamic", "--answer")
    with Rehearsal(local, accept=accept, config=config) as rehearsal:
        return rehearsal.do("attack", Attacked, answers=list(answers))


def run_target(
    local: LocalPlugin,
    target: Target,
    budget: Budget,
    *,
    accept: Sequence[str],
    config: Mapping[str, Any],
) -> PluginOutcome:
    """Have a dynamic plugin attack a real system, as a scan does.

    Raises UsageError for another type, SandboxUnavailableError, ConfigError.
    """
    _check_type(local, "dynamic", "--target")
    installation = local.own()
    try:
        return run_dynamic(installation, target, Purse(budget), accept=accept, config=config)
    finally:
        installation.close()


def read_events(path: Path) -> list[dict[str, Any]]:
    """Read a log: JSON objects or plain text, one event for each line that is not empty.

    `time`, a text in ISO 8601, and `message` are taken from an object where they are there; the
    whole object are the event's fields. Without a time, events are one second apart. Raises
    InputError.
    """
    try:
        if path.stat().st_size > _LARGEST_LOG:
            raise InputError(f"{path}: is larger than {_LARGEST_LOG} bytes; cut it for a trial")
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    events = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        fields: dict[str, Any] = {}
        try:
            value = json.loads(line)
            fields = value if isinstance(value, dict) else {}
        except (ValueError, RecursionError):
            pass
        message = fields.get("message", "") if fields else line
        events.append(
            {
                "time": _time(fields.get("time"), number).isoformat(),
                "source": path.name,
                "number": number,
                "message": message if isinstance(message, str) else "",
                "fields": fields,
            }
        )
    return sorted(events, key=lambda event: datetime.fromisoformat(str(event["time"])))


def watched(
    paths: Sequence[Path],
    *,
    sleep: Callable[[float], None] = time.sleep,
    every_s: float = 0.5,
) -> Iterator[int]:
    """Yield 1 at once, and the next number each time after a file below the paths has changed.

    Hidden files are left out, and no more than 10,000 are looked at.
    """
    last: object = None
    rounds = 0
    while True:
        now = _state_of(paths)
        if now != last:
            last = now
            rounds += 1
            yield rounds
            continue
        sleep(every_s)


def _state_of(paths: Sequence[Path]) -> list[tuple[str, int, int]]:
    state: list[tuple[str, int, int]] = []
    pending = list(paths)
    while pending and len(state) < _MOST_WATCHED:
        path = pending.pop()
        try:
            status = path.stat()
            if path.is_dir() and not (path.is_symlink() and path not in paths):
                pending += [
                    child for child in path.iterdir()
                    if not child.name.startswith(".") and child.name != "__pycache__"
                ]  # fmt: skip
            else:
                state.append((str(path), status.st_size, status.st_mtime_ns))
        except OSError:
            continue  # it went away meanwhile
    return sorted(state)


def _time(value: object, number: int) -> datetime:
    if isinstance(value, str):
        try:
            read = datetime.fromisoformat(value)
            return read if read.tzinfo is not None else read.replace(tzinfo=UTC)
        except ValueError:
            pass
    return _FIRST_EVENT + timedelta(seconds=number)


def _check_type(local: LocalPlugin, wanted: str, what: str) -> None:
    found = local.manifest.plugin_type
    if found != wanted:
        ways = {
            "static": "files or folders", "dynamic": "--answer TEXT or --target URL",
            "proxy": "--prompt TEXT", "log": "--log FILE",
        }  # fmt: skip
        raise UsageError(
            f"{local.manifest.full_id}: is a {found} plugin; {what} would be for a {wanted} one",
            hint=f"Give it {ways[found]}.",
        )
