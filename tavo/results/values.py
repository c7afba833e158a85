"""The values around findings in a run: who reported them, what was not done, what plugins cost.

Units: durations in seconds, sizes in bytes, times UTC in ISO 8601.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tavo.plugins import Finding, Rule

__all__ = [
    "Exchange",
    "Notice",
    "PluginRun",
    "PluginTotals",
    "Reported",
    "Run",
    "RunInfo",
    "Suppression",
]


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """Why a finding does not count: its reason, and for an ignore comment its line.

    `kind` is SARIF's: `inSource` for a comment, `external` for a decision kept elsewhere.
    """

    kind: str
    reason: str
    line: int


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """A finding with its rule, the tool that made it, and its suppression if it has one.

    `tool` is `tavo`, a plugin's full id, or `sarif:` and the name of a tool that was imported.
    `fingerprint` is filled by the store. `line_hash` is filled by
    `tavo.results.fingerprint.with_line_hashes`, empty where the text is not known.
    """

    finding: Finding
    rule: Rule
    tool: str = "tavo"
    suppression: Suppression | None = None
    fingerprint: str = ""
    line_hash: str = ""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was asked for and not done, or not done in full.

    `kind` is `file`, `rule`, `plugin`, `engine`, `comment` or `step`; `subject` is its path or its
    name. A notice with `incomplete` makes the run incomplete.
    """

    kind: str
    subject: str
    reason: str
    incomplete: bool = True


class PluginRun(msgspec.Struct, frozen=True, kw_only=True):
    """What one plugin did and cost in a run; `sandbox` is its level, such as `L2`.

    An imported tool has no level, and as `package` the digest of the file that it came from.

    `requests` reached its target; `cached` files of `files` had been looked at before.
    """

    plugin: str
    version: str
    package: str
    sandbox: str
    files: int = 0
    calls: int = 0
    findings: int = 0
    skipped: int = 0
    host_cpu_s: float = 0.0
    worker_cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_bytes: int = 0
    requests: int = 0
    cached: int = 0


class PluginTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What one plugin did and cost in all runs of a store. `sandboxes` are the levels it had."""

    plugin: str
    runs: int
    files: int
    cached: int
    requests: int
    findings: int
    skipped: int
    cpu_s: float
    wall_s: float
    peak_bytes: int
    sandboxes: tuple[str, ...]
    last_run: str


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request that reached a target, and what came back; `error` says why nothing did.

    `request` and `response` are the plain JSON of the plugin API's values; `response` is None
    where there was none. `wall_s` in seconds, tokens as the provider counted them, 0 if it did not.
    """

    plugin: str
    request: Mapping[str, Any]
    response: Mapping[str, Any] | None
    error: str
    started_at: str
    wall_s: float
    prompt_tokens: int = 0
    answer_tokens: int = 0


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was asked to do: command line, root folder, rules and targets."""

    command: tuple[str, ...]
    root: str
    tool_version: str
    started_at: str
    rules: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A stored run. `finished_at` is empty and `complete` false where it was interrupted."""

    id: int
    uuid: str
    info: RunInfo
    finished_at: str
    complete: bool
    exit_code: int | None
    files: int
    findings: int
    cpu_s: float
    notices: tuple[Notice, ...] = msgspec.field(default=())
    plugins: tuple[PluginRun, ...] = msgspec.field(default=())
