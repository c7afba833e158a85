"""One worker with its admin port in one process, and several workers that one process asks.

Workers are asked over a socket of their own in a private folder, one line of JSON for each question
and each answer: `health`, `snapshot`, `prepare` (build and probe the file that is named at the
start), `commit` (put it in place), `abandon`. A reload of several is in two steps, so that either
all have the new configuration or none has.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tavo.errors import ConfigError, InputError, TavoError
from tavo.proxy.app import App, Change
from tavo.proxy.config import ProxyConfig, read_config
from tavo.proxy.live import merged
from tavo.proxy.metrics import added

__all__ = ["ACCEPTED", "CANDIDATE", "Loader", "Local", "Remote", "WorkerSocket", "socket_of"]

CANDIDATE, ACCEPTED = "candidate.yaml", "accepted.yaml"
Loader = Callable[[], ProxyConfig]
Reads = Callable[[bytes], ProxyConfig]
_LARGEST = 64 << 20
_ASK_S = 5.0
_PREPARE_S = 120.0


class Local:
    """The one worker of this process."""

    def __init__(self, app: App, load: Loader | None) -> None:
        """`load` reads the configuration again; None where there is no file."""
        self._app = app
        self._load = load
        self._busy = asyncio.Lock()

    @property
    def observes(self) -> bool:
        return self._app.config.observe

    async def health(self) -> list[str]:
        reason = self._app.health()
        return [reason] if reason else []

    async def snapshot(self) -> tuple[dict[str, Any], int]:
        one = self._app.snapshot()
        return {**added([one]), **_others([one]), "used": self._app.used()}, 1

    async def reload(self) -> list[str]:
        if self._load is None:
            raise _no_file()
        async with self._busy:
            change = await self._app.prepare(self._load())
            return change.commit()


class Remote:
    """Several workers, asked over their sockets."""

    def __init__(
        self, folder: Path, workers: int, file: Path | None, read: Reads, *, observes: bool
    ) -> None:
        """`folder` holds the sockets; `file` is what a reload reads, with `read`."""
        self._read = read
        self._folder = folder
        self._workers = workers
        self._file = file
        self._busy = asyncio.Lock()
        self.observes = observes

    async def health(self) -> list[str]:
        answers = await self._all("health")
        reasons = [f"worker {number}: {text}" for number, text in answers if text]
        if len(answers) < self._workers:
            reasons.append(f"{self._workers - len(answers)} of {self._workers} workers do not run")
        return reasons

    async def snapshot(self) -> tuple[dict[str, Any], int]:
        ones = [value for _, value in await self._all("snapshot")]
        total = {**added(ones), **_others(ones)}
        return {**total, "used": ones[0]["used"] if ones else {}}, len(ones)

    async def reload(self) -> list[str]:
        if self._file is None:
            raise _no_file()
        async with self._busy:
            # all workers read the same bytes, whatever becomes of the file meanwhile
            candidate = self._folder / CANDIDATE
            data = read_config(self._file)
            config = self._read(data)
            candidate.write_bytes(data)
            answers = await self._all("prepare", _PREPARE_S)
            failed = [value for _, value in answers if value]
            if failed or len(answers) < self._workers:
                await self._all("abandon")
                what = failed[0] if failed else ["a worker did not answer; try again", ""]
                raise ConfigError(what[0], hint=what[1])
            candidate.replace(self._folder / ACCEPTED)
            self.observes = config.observe
            notes = await self._all("commit")
            return list(dict.fromkeys(note for _, some in notes for note in some))

    async def _all(self, question: str, wait_s: float = _ASK_S) -> list[tuple[int, Any]]:
        asked = [self._ask(number, question, wait_s) for number in range(self._workers)]
        answers = await asyncio.gather(*asked)
        return [(number, value[0]) for number, value in enumerate(answers) if value is not None]

    async def _ask(self, number: int, question: str, wait_s: float) -> list[Any] | None:
        """Return the answer in a list of its own, None where there is none."""
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(wait_s):
                reader, writer = await asyncio.open_unix_connection(
                    socket_of(self._folder, number), limit=_LARGEST
                )
                writer.write(question.encode("ascii") + b"\n")
                line = await reader.readline()
                return [msgspec.json.decode(line)]
        except (OSError, TimeoutError, ValueError):
            return None
        finally:
            if writer is not None:
                writer.close()


class WorkerSocket:
    """Answers for one worker."""

    def __init__(self, app: App, load: Loader | None) -> None:
        self._app = app
        self._load = load
        self._change: Change | None = None
        self._server: asyncio.Server | None = None

    async def start(self, path: Path) -> None:
        """Listen. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        self._server = await asyncio.start_unix_server(self._serve, path)

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            question = (await reader.readline()).decode("ascii", "replace").strip()
            writer.write(msgspec.json.encode(await self._answer(question)) + b"\n")
            await writer.drain()
        except (OSError, ValueError):
            pass  # who asked has gone
        finally:
            writer.close()

    async def _answer(self, question: str) -> Any:
        if question == "health":
            return self._app.health()
        if question == "snapshot":
            return {**self._app.snapshot(), "used": self._app.used()}
        if question == "prepare":
            return await self._prepare()
        change, self._change = self._change, None
        if question == "commit" and change is not None:
            return change.commit()
        if change is not None:
            await change.abandon()
        return []

    async def _prepare(self) -> list[str] | None:
        change, self._change = self._change, None
        if change is not None:
            await change.abandon()
        if self._load is None:
            return [str(_no_file()), ""]
        try:
            self._change = await self._app.prepare(self._load())
        except TavoError as error:
            return [str(error), error.hint]
        return None


def socket_of(folder: Path, worker: int) -> Path:
    """Return where a worker is asked."""
    return folder / f"worker-{worker}"


def _others(ones: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what does not add up: the heads of the logs, the figures of filters by worker."""
    out: dict[str, Any] = {}
    audit = [row for one in ones for row in one.get("audit", ())]
    if audit:
        out["audit"] = audit
    out["live"] = merged(one["live"] for one in ones)
    filters = [one["filters"] for one in ones if one.get("filters")]
    if filters:
        out["filters"] = filters
    return out


def _no_file() -> InputError:
    return InputError("there is no file to read again", hint="Start the proxy with --config FILE.")
