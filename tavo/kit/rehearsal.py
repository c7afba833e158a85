"""Jobs for an author's plugin, done in the sandbox by `tavo.kit.harness`.

Rules this module keeps:
- the plugin runs where it always runs: in a locked worker, from a read-only copy of its files;
- what comes back is decoded into types with bounds; it is what the plugin's process says, and good
  for telling an author something, never for deciding about trust;
- permissions are not granted in a rehearsal, but for the compiled libraries that it locks: what a
  plugin tries is seen, and does not work.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from types import TracebackType
from typing import Annotated, Any, Literal, Self, TypeVar

import msgspec
from msgspec import Meta

from marketplace_db.manifest import Limits, Permissions
from tavo.errors import IncompleteError
from tavo.host.hosted import checked_config
from tavo.host.local import LocalPlugin
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel, parse_acceptances
from tavo.host.workers import FileInput, StaticWorker

__all__ = [
    "Attacked",
    "Filtered",
    "JobFailedError",
    "Life",
    "Logged",
    "OwnTest",
    "Rehearsal",
    "Rehearsed",
    "Tested",
    "source_of",
]

_HARNESS = "tavo_kit_harness.py"
_BESIDE = {
    "tavo_kit/plugins/testing.py": "tavo.plugins.testing",
    "tavo_kit/kit/own_tests.py": "tavo.kit.own_tests",
    "tavo_kit/kit/columns.py": "tavo.kit.columns",
    "tavo_kit/kit/hostile_trial.py": "tavo.kit.hostile_trial",
    "tavo_kit/kit/watching.py": "tavo.kit.watching",
}
_LONGEST_JOB_S = 300.0

Text = Annotated[str, Meta(max_length=4000)]
Texts = Annotated[tuple[Text, ...], Meta(max_length=1000)]


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer holds: what was printed, what was tried, which rules there are."""

    printed: Text
    seen: dict[Text, Texts]
    rules: Texts


class Life(_Answer, frozen=True, kw_only=True):
    """The plugin was started and stopped; `error` says what went wrong."""

    error: Text


class OwnTest(msgspec.Struct, frozen=True, kw_only=True):
    """One test of the author."""

    name: Text
    outcome: Literal["passed", "failed", "skipped"]
    message: Text = ""


class Tested(_Answer, frozen=True, kw_only=True):
    """The author's tests were run; `shown` are the rules of all values that they made.

    `columns` says where columns are not counted in characters.
    """

    tests: Annotated[tuple[OwnTest, ...], Meta(max_length=100_000)]
    shown: Texts
    columns: Texts = ()


class Rehearsed(_Answer, frozen=True, kw_only=True):
    """The plugin was tried on what it must stand. `digest` is of all that it answered."""

    problems: Texts
    digest: Text
    facts: dict[Text, float]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What a filter said about one message."""

    decision: Literal["allow", "modify", "block"]
    reason: Text
    labels: Texts
    replacement: tuple[dict[str, str], ...]


class Filtered(_Answer, frozen=True, kw_only=True):
    """What a filter said, by phase: `request`, and `response` where there was one."""

    results: dict[Text, Judged]


class LoggedFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding about a log."""

    rule: Text
    severity: Text
    message: Text
    path: Text
    line: int
    column: int


class Logged(_Answer, frozen=True, kw_only=True):
    """What a log plugin made of the events."""

    metrics: dict[Text, float]
    findings: tuple[LoggedFinding, ...]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one goal of an attack."""

    rule: Text
    goal: Text
    score: float
    severity: Text
    attempts: int


class Attacked(_Answer, frozen=True, kw_only=True):
    """What an attack on a scripted model came to."""

    requests: int
    threshold: float
    results: tuple[Result, ...]


_Kind = TypeVar("_Kind", bound=_Answer)


class JobFailedError(IncompleteError):
    """The plugin's process did not do a job to its end."""


class Rehearsal:
    """One worker with the harness in front of the plugin. Use it as a context manager.

    Making one starts nothing; the first job does.
    """

    def __init__(
        self,
        local: LocalPlugin,
        *,
        accept: Sequence[str],
        config: Mapping[str, Any],
        longest_s: float = _LONGEST_JOB_S,
    ) -> None:
        """Prepare the copy; a job takes at most `longest_s`. Raises RefusedError, TamperedError."""
        manifest = local.manifest
        own = manifest.limits
        limits = Limits(
            memory_mb=own.memory_mb + 128,
            cpu_s_per_file=longest_s,
            wall_s_per_call=longest_s,
            wall_s_total=2 * longest_s,
            scratch_mb=max(own.scratch_mb, 16),
            threads=own.threads,
            output_mb=64,
        )
        stand_in = msgspec.structs.replace(
            manifest,
            plugin_type="static",
            entry_point="tavo_kit_harness:Harness",
            languages=(),
            file_patterns=(),
            config_schema={},  # what the harness gets is no configuration of the plugin
            # its compiled libraries are a part of it; all else is seen and does not work
            permissions=Permissions(native_code=manifest.permissions.native_code),
            programs=(),
            limits=limits,
        )
        files = {
            _HARNESS: source_of("tavo.kit.harness"),
            **{path: source_of(name) for path, name in _BESIDE.items()},
        }
        self._installation = local.rehearsal(files, stand_in)
        self._worker = StaticWorker(
            self._installation,
            policy=LevelPolicy(
                required=SandboxLevel(self._installation.required),
                accepted=parse_acceptances(accept),
            ),
            config={
                "entry_point": manifest.entry_point,
                "plugin_type": manifest.plugin_type,
                "config": checked_config(manifest, config),
            },
            apart=True,
        )
        self._jobs = 0

    @property
    def level(self) -> SandboxLevel | None:
        """Return the level at which it ran."""
        return self._worker.level

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._worker.__exit__(kind, error, trace)
        self._installation.close()

    def do(self, job: str, expected: type[_Kind], **content: Any) -> _Kind:
        """Have one job done. Raises JobFailedError, SandboxUnavailableError, ConfigError."""
        self._jobs += 1
        path = PurePosixPath(f"job-{self._jobs}.json")
        data = json.dumps({"job": job, **content}).encode()
        result = self._worker.analyze([FileInput(path=path, data=data)])
        failure = result.failures.get(path)
        if failure is not None:
            last = "" if failure.kind == "raised" else failure.output.strip().rpartition("\n")[2]
            detail = f" ({last[:300]})" if last and last not in failure.reason else ""
            hint = "`tavo plugin validate` names what is wrong with a plugin's folder."
            raise JobFailedError(
                f"{self._worker.full_id}: {failure.reason}{detail}",
                hint=hint if "cannot be started" in failure.reason else "",
            )
        pieces = sorted(finding.message for finding in result.findings[path])
        text = "".join(piece[12:] for piece in pieces)
        try:
            return msgspec.json.decode(text, type=expected)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise JobFailedError(
                f"{self._worker.full_id}: its process answered with something else: {error}"
            ) from error


def source_of(name: str) -> bytes:
    """Return the source of a module of ours, from a folder and from the single file alike."""
    spec = importlib.util.find_spec(name)
    loader: Any = getattr(spec, "loader", None)
    source = None if loader is None else loader.get_source(name)
    if not isinstance(source, str):
        raise ImportError(f"the source of {name} cannot be found")
    return source.encode()
