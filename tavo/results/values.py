"""The values around findings in a run: who reported them, what was not done, what plugins cost.

Units: durations in seconds, sizes in bytes, times UTC in ISO 8601.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tavo.plugins import Finding, Rule

__all__ = [
    "ALSO",
    "CONFIRMS",
    "Absent",
    "Exchange",
    "Gate",
    "Notice",
    "PluginRun",
    "PluginTotals",
    "PolicyResult",
    "ProbeResult",
    "Reported",
    "Run",
    "RunInfo",
    "Suppression",
]

CONFIRMS = "confirms"
"""Name of the evidence that names the findings in the code that an attack went through."""

ALSO = "also"
"""Name of the evidence that says which other rules said the same and were left out."""


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """Why a finding does not count: its reason, and for an ignore comment its line.

    `kind` is SARIF's: `inSource` for a comment, `external` for a decision kept elsewhere. `expires`
    is the last day on which one of a suppressions file holds, `approved_by` who agreed to it.
    """

    kind: str
    reason: str
    line: int
    expires: str = ""
    approved_by: str = ""


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """A finding with its rule, the tool that made it, and its suppression if it has one.

    `tool` is `tavo`, a plugin's full id, or `sarif:` and the name of a tool that was imported.
    `fingerprint` is filled by the store. `line_hash` is filled by
    `tavo.results.fingerprint.with_line_hashes`, empty where the text is not known.
    `baseline_state` is SARIF's `new` or `unchanged`, empty where there was no baseline. `plain` is
    what the fingerprint is made of, where `finding` has secrets covered; it is not kept.
    """

    finding: Finding
    rule: Rule
    tool: str = "tavo"
    suppression: Suppression | None = None
    fingerprint: str = ""
    line_hash: str = ""
    baseline_state: str = ""
    plain: Finding | None = None


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was asked for and not done, or not done in full.

    `kind` is `file`, `rule`, `plugin`, `engine`, `comment`, `step`, `suppression` or `policy`;
    `subject` is its path or its name. A notice with `incomplete` makes the run incomplete; one that
    is `allowed` as well does not decide about the exit code.
    """

    kind: str
    subject: str
    reason: str
    incomplete: bool = True
    allowed: bool = False


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """A finding of the baseline that is gone, though its file was looked at. `line` 0: the file."""

    fingerprint: str
    rule_id: str
    tool: str
    path: str
    line: int
    message: str


class PolicyResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule of a policy said about a finding, or about the run where `fingerprint` is empty.

    `kind` is `deny`, `violation` or `warn`; `rule` is its whole name. `excepted`: an exception of
    the policy covers it, so it does not count.
    """

    kind: str
    rule: str
    message: str
    details: Mapping[str, Any] = {}
    fingerprint: str = ""
    excepted: bool = False


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What turned a run into pass or fail: the thresholds, the baseline and the policy.

    `baseline` names the file, empty where there was none; `absent` is what is gone since. `policy`
    names the files, `evaluator` what evaluated them.
    """

    fail_on: str = "low"
    fail_on_confidence: str = "low"
    baseline: str = ""
    absent: tuple[Absent, ...] = ()
    policy: tuple[str, ...] = ()
    evaluator: str = ""
    policy_results: tuple[PolicyResult, ...] = ()


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


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe of an attack gave. `low` and `high` bound the share of `worked` at 95 %.

    `judged` attempts worked in the eyes of a judge alone. The `before_…` are of the earlier attack
    that it was compared with: `chance` is how often such a difference comes by chance alone,
    `verdict` what that means; empty, and nought, where there was none.
    """

    target: str
    probe: str
    severity: str
    tried: int
    worked: int
    judged: int
    failed: int
    low: float
    high: float
    ended: str
    before_tried: int = 0
    before_worked: int = 0
    before_low: float = 0.0
    before_high: float = 0.0
    chance: float = 1.0
    verdict: str = ""


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was asked to do: command line, root folder, rules and targets."""

    command: tuple[str, ...]
    root: str
    tool_version: str
    started_at: str
    rules: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A stored run. `finished_at` is empty and `complete` false where it was interrupted.

    `gate` is None where it was not judged, or by an older tavo.
    """

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
    gate: Gate | None = None
    probes: tuple[ProbeResult, ...] = ()
