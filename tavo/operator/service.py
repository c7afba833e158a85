"""`tavo market serve`: the server in this process, the workers in another, which is started again.

Rules this module keeps:
- a worker that crashes takes no page down: it is started again, later each time it dies soon;
- the server gets no keys; the worker gets the online ones, from where the operator keeps them;
- the worker is told to end when the server does, and killed only if it does not.

Units: seconds.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tavo
from marketplace_db.accounts import Account, Accounts
from signing.errors import RepositoryError
from signing.keyring import Keyring
from tavo.errors import InputError
from tavo.onefile import running
from tavo.operator.marketplace import OperatedMarket
from tavo.operator.policy import limits_of_nobody, read_execution, read_policy, read_service

__all__ = ["Supervisor", "log_as_json", "serve", "worker_command"]

_log = logging.getLogger("tavo.service")
_END_S = 20.0
_SHORT_LIFE_S = 30.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_IN_FOLDER = (
    "import sys; sys.path.insert(0, {folder!r}); from tavo.cli import main; sys.exit(main())"
)


def worker_command(words: Sequence[str]) -> list[str]:
    """Return what starts this same tavo again with the words of a command line."""
    finder = running()
    if finder is not None:
        return [sys.executable, str(finder.archive), *words]
    folder = str(Path(tavo.__file__).absolute().parent.parent)
    return [sys.executable, "-I", "-c", _IN_FOLDER.format(folder=folder), *words]


class Supervisor:
    """One child process that runs until `close`, whatever it dies of."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._ended = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self.starts = 0

    def start(self) -> None:
        """Start the process, and watch it in a thread."""
        self._thread.start()

    def state(self) -> str:
        """Return `up` or `down`."""
        process = self._process
        return "up" if process is not None and process.poll() is None else "down"

    def close(self) -> None:
        """Tell the process to end, and wait; kill it if it does not."""
        self._ended.set()
        self._thread.join(_END_S + 5)

    def _watch(self) -> None:
        pause = _FIRST_PAUSE_S
        while not self._ended.is_set():
            began = time.monotonic()
            self._process = process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
            self.starts += 1
            while process.poll() is None and not self._ended.wait(0.2):
                pass
            if self._ended.is_set():
                _end(process)
                return
            if time.monotonic() - began >= _SHORT_LIFE_S:
                pause = _FIRST_PAUSE_S
            # who ends all of a group at once, such as Ctrl-C, ends this process in a moment
            if self._ended.wait(_FIRST_PAUSE_S):
                return
            fields = {"code": process.returncode, "pause_s": pause}
            _log.error("the worker ended", extra={"fields": fields})
            self._ended.wait(pause - _FIRST_PAUSE_S)
            pause = min(_LONGEST_PAUSE_S, pause * 2)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _check_worker(words: Sequence[str]) -> None:
    """Raise InputError if the worker could not start: it says why, for it alone gets the keys."""
    command = worker_command([*words, "--check"])
    if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode:
        raise InputError(
            "the marketplace is not served, because its worker cannot start",
            hint="The reason is above; --no-worker serves the pages alone.",
        )


def serve(
    directory: Path,
    *,
    host: str,
    port: int,
    worker: Sequence[str] | None,
    version: str,
    ready: Callable[[str], None],
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Serve the marketplace in a folder until SIGTERM or SIGINT.

    `worker` are the words of the command line that starts the workers; without them nothing is
    vetted or released by itself. Raises ConfigError, RepositoryError, MarketplaceError, and
    InputError where they cannot start.
    """
    from marketplace_db.web import Desk, serve_market

    limits, execution = read_service(directory), read_execution(directory)
    read_policy(directory)  # what is wrong there is said now, not with the first submission
    if not (directory / "repository" / "metadata").is_dir():
        raise RepositoryError(
            f"{directory}: there is no marketplace here",
            hint=f"Make one: `tavo market init {directory} --keys KEYS`.",
        )

    def take_in(file: Path, account: Account, plugin: str | None, now: datetime) -> str:
        with OperatedMarket.open(directory, Keyring({})) as place:
            return place.submit(file, now, account=account, plugin=plugin)

    with OperatedMarket.open(directory, Keyring({})) as place:
        known = {one.name for one in Accounts(place.intake.connection).organizations()}
    for sentence in limits_of_nobody(directory, known):
        _log.warning("%s", sentence)
    for left in (directory / "incoming").glob("upload-*"):
        shutil.rmtree(left, ignore_errors=True)  # of a server that was killed
    supervisor = None
    if worker is not None:
        _check_worker(worker)
        supervisor = Supervisor(worker_command(worker))
        supervisor.start()
    try:
        serve_market(
            Desk(directory, take_in=take_in, clock=clock, execution=execution),
            limits,
            host,
            port,
            version=version,
            worker=lambda: "off" if supervisor is None else supervisor.state(),
            ready=ready,
        )
    finally:
        if supervisor is not None:
            supervisor.close()


class _Lines(logging.Formatter):
    """One JSON object for each line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "from": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


def log_as_json(*, quiet: bool = False) -> None:
    """Write what is logged to stderr, one JSON object for each line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    for name in ("uvicorn", "httpx", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if quiet:
        logging.getLogger("marketplace_db.requests").setLevel(logging.WARNING)
