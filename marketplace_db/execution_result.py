"""What a run on the operator's machines found, as JSON of a bounded size.

Rules this module keeps:
- what was left out is said: by `truncated`, and never by silence;
- a plugin that is run for others asks for nothing but its target: no files, no hosts, no variables,
  no programs of the operator's, and no other plugin's code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from marketplace_db.manifest import Manifest

__all__ = ["Found", "RunResult", "encode_result", "why_not_for_others"]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An attack that worked. `evidence` holds a prompt and the answer to it, as texts."""

    rule: str
    title: str
    severity: str
    confidence: str
    message: str
    goal: str
    evidence: dict[str, str]


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found. `notices` say what was not done; `truncated` that findings are left out."""

    id: str
    plugin: str
    version: str
    package: str
    target: str
    sandbox: str
    complete: bool
    notices: list[str]
    findings: list[Found]
    truncated: bool = False


def encode_result(result: RunResult, *, most: int) -> bytes:
    """Return the result as JSON of at most `most` bytes; findings at the end are left out for it.

    Notices are short and few, so that there is always room for them.
    """
    data = msgspec.json.encode(result)
    findings = result.findings
    while len(data) > most and findings:
        findings = findings[: len(findings) // 2]
        data = msgspec.json.encode(
            msgspec.structs.replace(result, findings=findings, truncated=True)
        )
    return data


def why_not_for_others(manifest: Manifest) -> str:
    """Return why a plugin is not run for others, as a clause; empty for one that is."""
    asked = manifest.permissions
    too_much: Mapping[str, object] = {
        "network": asked.network,
        "env": asked.env,
        "subprocess": asked.subprocess,
        "files": asked.files != "none",
    }
    if manifest.plugin_type != "dynamic":
        return f"it is a {manifest.plugin_type} plugin, and only dynamic ones are"
    if not asked.target:
        return "it does not ask for the permission target"
    for name, value in too_much.items():
        if value:
            return f"it asks for the permission {name}"
    if manifest.programs:
        return "it brings programs of its own"
    if manifest.requires_plugins:
        return "it needs the code of other plugins"
    if manifest.pricing_tier != "free":
        return f"it is {manifest.pricing_tier}, and an entitlement is for machines of its holder"
    return ""
