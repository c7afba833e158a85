"""What a plugin implements: plugin API version 1.

Rules this module keeps:
- standard library only; it runs in the plugin's own process;
- one instance per process, called from one thread;
- additions keep API 1, a removal makes API 2.

Units: times in milliseconds where a name ends with `_ms`, in seconds where it ends with `_s`.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

if TYPE_CHECKING:
    from tavo.plugins.types import Finding, Rule
    from tavo.plugins.values import (
        Analysis,
        AttackResult,
        ChatRequest,
        ChatResponse,
        Event,
        FilterResult,
        HttpResponse,
        ProgramResult,
        Target,
    )

__all__ = [
    "API_VERSION",
    "BasePlugin",
    "Context",
    "DynamicTestingPlugin",
    "Log",
    "LogAnalysisPlugin",
    "ProxyFilteringPlugin",
    "StaticAnalysisPlugin",
]

API_VERSION = 1


class Log:
    """Writes lines for the people who look after a plugin; shown with a crash, else dropped."""

    __slots__ = ()

    def debug(self, message: str) -> None:
        """Write a detail."""
        self._write("debug", message)

    def info(self, message: str) -> None:
        """Write what happened."""
        self._write("info", message)

    def warning(self, message: str) -> None:
        """Write what looks wrong."""
        self._write("warning", message)

    def error(self, message: str) -> None:
        """Write what went wrong."""
        self._write("error", message)

    def _write(self, level: str, message: str) -> None:
        sys.stderr.write(f"{level}: {message}\n")


class Context:
    """What the host lends to a plugin.

    `config` is the user's configuration for this plugin, plain JSON values. `work_directory` is
    the only place where the plugin may write; it is empty at the start and deleted at the end.
    """

    __slots__ = ("_lend", "config", "log", "work_directory")

    def __init__(
        self,
        *,
        config: Mapping[str, Any],
        work_directory: Path,
        lend: Callable[[str, dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        self.config = dict(config)
        self.work_directory = work_directory
        self.log = Log()
        self._lend = lend

    def http(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 10.0,
    ) -> HttpResponse:
        """Have the host make one HTTPS request to a host that the manifest declares.

        Redirects are not followed. Raises NotAvailableError for a host that was not declared or
        not granted, HttpError when no response came.
        """
        import base64

        from tavo.plugins.values import HttpResponse

        plain = self._asked(
            "http",
            {
                "method": method,
                "url": url,
                "headers": dict(headers or {}),
                "body": base64.b64encode(body).decode("ascii"),
                "timeout_s": timeout_s,
            },
        )
        return HttpResponse(
            status=plain["status"],
            headers=plain["headers"],
            body=base64.b64decode(plain["body"]),
        )

    def project_files(self, pattern: str = "*") -> tuple[PurePosixPath, ...]:
        """Have the host list files of the scanned project whose names are like `*.lock`.

        A pattern with a slash is compared with the whole path; a star then stands for slashes, too.
        Links and the folder `.git` are left out. Needs `files: project`. Raises NotAvailableError,
        ProjectFileError for more than 10,000 files.
        """
        plain = self._asked("files", {"pattern": pattern})
        return tuple(PurePosixPath(path) for path in plain["paths"])

    def read_project(self, path: PurePosixPath | str) -> bytes:
        """Have the host read one file of the scanned project, at most 8 MB; the path is relative.

        Needs `files: project`. Raises NotAvailableError, ProjectFileError.
        """
        import base64

        return base64.b64decode(self._asked("read", {"path": str(path)})["data"])

    def run(
        self,
        program: str,
        arguments: Sequence[str] = (),
        *,
        stdin: bytes = b"",
        files: Mapping[str, bytes] | None = None,
        timeout_s: float = 60.0,
        called: str = "",
        variables: Mapping[str, str] | None = None,
    ) -> ProgramResult:
        """Have the host run a program that the manifest declares, and wait for its end.

        One of `programs` comes with the plugin and runs locked up as the plugin is; the folder that
        holds `files` is read-only, HOME and TMPDIR are a folder of its own. One of `subprocess` is
        the user's own, from PATH, and runs with the user's rights in an empty folder that holds
        `files`. There is no shell. For one of `programs`, `called` is the name by which it is told
        that it was started, where that makes a difference, and `variables` are added to its
        environment. Output beyond 8 MB stops it. Raises NotAvailableError for a
        program that was not declared or not granted, ProgramError when it did not run to its end;
        any exit code is an answer.
        """
        import base64

        from tavo.plugins.values import ProgramResult

        plain = self._asked(
            "run",
            {
                "program": program,
                "arguments": [str(argument) for argument in arguments],
                "stdin": base64.b64encode(stdin).decode("ascii"),
                "files": {
                    str(name): base64.b64encode(data).decode("ascii")
                    for name, data in (files or {}).items()
                },
                "timeout_s": timeout_s,
                **({"called": called} if called else {}),
                **({"variables": dict(variables)} if variables else {}),
            },
        )
        return ProgramResult(
            code=plain["code"], out=base64.b64decode(plain["out"]), errors=plain["errors"]
        )

    def _asked(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        if self._lend is None:
            from tavo.plugins.errors import NotAvailableError

            raise NotAvailableError("there is no host here that could lend anything")
        return self._lend(kind, content)


class BasePlugin(ABC):  # noqa: B024
    """What all plugins share. `rules` declares every rule that a finding may name."""

    rules: ClassVar[tuple[Rule, ...]] = ()

    def start(self, context: Context) -> None:  # noqa: B027
        """Prepare once: load models, read the configuration. Raise ConfigError to refuse it."""

    def stop(self) -> None:  # noqa: B027
        """Finish once. Not called after a kill, so nothing may depend on it."""


class StaticAnalysisPlugin(BasePlugin):
    """Looks at files and yields findings. Override what applies; the rest finds nothing.

    `languages` names the languages of the text files it wants, empty for every text file. Lines
    count from 1 and end with a line feed.
    """

    languages: ClassVar[frozenset[str]] = frozenset()

    def analyze_file(self, file_path: PurePosixPath, content: str) -> Iterable[Finding]:
        """Look at one text file. The answer depends on nothing but content and configuration."""
        return ()

    def analyze_binary(self, file_path: PurePosixPath, content: BinaryIO) -> Iterable[Finding]:
        """Look at one file that the manifest's `file_patterns` match, whatever its encoding.

        `content` can seek and is read only. Findings have no region.
        """
        return ()

    def analyze_project(self, files: Sequence[PurePosixPath]) -> Iterable[Finding]:
        """Look at the project as a whole, once, after all files that this plugin was given."""
        return ()


class DynamicTestingPlugin(BasePlugin):
    """Attacks a running system through `target.send`.

    An attack worked when the score of its result reaches `threshold`.
    """

    threshold: ClassVar[float] = 0.5

    @abstractmethod
    def run_attack(self, target: Target, config: Mapping[str, Any]) -> Iterable[AttackResult]:
        """Attack the target; yield one result per goal. `config` is the context's."""


class ProxyFilteringPlugin(BasePlugin):
    """Judges requests to and responses of a model.

    A call that takes longer than `deadline_ms` is answered by the host's policy instead.
    """

    deadline_ms: ClassVar[int] = 50

    @abstractmethod
    def filter_request(self, request: ChatRequest) -> FilterResult:
        """Judge what a client asks."""

    @abstractmethod
    def filter_response(self, response: ChatResponse) -> FilterResult:
        """Judge what the model answered; `response.request` is what was asked."""


class LogAnalysisPlugin(BasePlugin):
    """Looks at batches of log events. State on `self` spans one run.

    A finding is about one event: its location's path is the event's `source`, the line of its
    region the event's `number`.
    """

    @abstractmethod
    def analyze_logs(self, log_entries: Iterable[Event]) -> Analysis:
        """Look at one batch, ordered by time."""

    def finish_logs(self) -> Analysis:
        """Say what only the whole run shows, once, after the last batch."""
        from tavo.plugins.values import Analysis

        return Analysis()
