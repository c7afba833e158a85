"""Baselines: the findings of an earlier run, which a later one does not count again.

    {"schema": "tavo-baseline/1", "tool_version": "0.1.0", "created_at": "2026-11-28T14:00:00Z",
     "findings": [{"fingerprint": "…", "rule_id": "…", "tool": "tavo", "path": "…", "line": 3,
                   "message": "…"}]}

Rules this module keeps:
- findings are matched by fingerprint, and by how often each stands there;
- an ignored finding is no part of a baseline: its comment or its suppression speaks for it;
- what was not looked at is neither known nor gone: it stays in a baseline that is written again;
- a file of something else, of another tool, of another project or of a newer tavo is refused.

It reads `tavo-baseline/1`, the JSON report, SARIF that tavo wrote, and the newest run of a store.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from signing.files import write_atomically
from tavo.errors import InputError, UsageError
from tavo.printable import printable
from tavo.results.values import Absent, Reported, Run, Suppression

__all__ = ["SCHEMA", "Baseline", "baseline_text", "compared", "read_baseline", "write_baseline"]

SCHEMA = "tavo-baseline/1"
_SQLITE = b"SQLite format 3\0"
_LARGEST = 256 << 20
_HINT = "`tavo scan PATH --write-baseline FILE` writes one."


class Baseline(msgspec.Struct, frozen=True):
    """What was found before, and the name of the file that says so."""

    name: str
    findings: tuple[Absent, ...]

    def check_project(self, exists: Callable[[str], bool]) -> None:
        """Raise UsageError if not one of its files is here: it is of another project."""
        paths = dict.fromkeys(one.path for one in self.findings if one.line)
        if paths and not any(exists(path) for path in paths):
            first = printable(next(iter(paths)))
            raise UsageError(
                f"{self.name}: is the baseline of another project, or was written in another"
                f" folder: none of its {len(paths)} files is here, such as {first}",
                hint="Scan from the folder in which it was written, or write a new one.",
            )


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    fingerprint: str
    rule_id: str
    tool: str
    path: str
    line: int = 0
    message: str = ""


class _File(msgspec.Struct, frozen=True, kw_only=True):
    findings: list[_Entry]


def read_baseline(path: Path) -> Baseline:
    """Read a baseline of any accepted form. Raises InputError, UsageError."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror or error}", hint=_HINT
        ) from error
    if len(data) > _LARGEST:
        raise UsageError(f"{path}: is larger than {_LARGEST >> 20} MB, no baseline", hint=_HINT)
    if data.startswith(_SQLITE):
        return Baseline(str(path), _of_store(path))
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UsageError(f"{path}: is neither JSON nor a result store, so no baseline", hint=_HINT)
    return Baseline(str(path), _of_json(path, value))


def _of_store(path: Path) -> tuple[Absent, ...]:
    from tavo.results.store import ResultStore

    with ResultStore(path, must_exist=True) as store:
        return _known(store.findings(store.run().id))


def _of_json(path: Path, value: dict[str, Any]) -> tuple[Absent, ...]:
    schema = str(value.get("schema", value.get("version", "")))
    try:
        if "runs" in value:
            return _of_sarif(path, value)
        if schema == SCHEMA:
            found = msgspec.convert(value, _File).findings
            return tuple(Absent(**msgspec.structs.asdict(one)) for one in found)
        if schema == "tavo-results/1":
            return tuple(_of_report(one) for one in value["findings"] if _counts(one))
    except (msgspec.ValidationError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{path}: is not what {printable(schema)[:40]} says: {printable(str(error))[:200]}",
            hint=_HINT,
        ) from None
    kind, _, number = schema.rpartition("/")
    if kind in {"tavo-baseline", "tavo-results"} and number.isdecimal():
        raise UsageError(
            f"{path}: was written by a newer tavo ({printable(schema)[:40]}, this one knows"
            f" {kind}/1)",
            hint="Use that tavo, or write the baseline again with this one.",
        )
    raise UsageError(f"{path}: is JSON of something else, no baseline", hint=_HINT)


def _of_report(one: dict[str, Any]) -> Absent:
    region = one["location"]["region"]
    return msgspec.convert(
        {
            "fingerprint": one["fingerprint"], "rule_id": one["rule_id"], "tool": one["tool"],
            "path": one["location"]["path"], "line": region["start_line"] if region else 0,
            "message": one["message"],
        },
        Absent,
    )  # fmt: skip


def _counts(one: dict[str, Any]) -> bool:
    why = one["suppression"]
    if why is None:
        return True
    known = one.get("baseline_state") == "unchanged" and why["kind"] == "external"
    return known and not why.get("expires")


def _of_sarif(path: Path, value: dict[str, Any]) -> tuple[Absent, ...]:
    from urllib.parse import unquote

    out: list[Absent] = []
    for run in value["runs"]:
        tool = str(run["tool"]["driver"]["name"])
        if tool != "tavo":
            raise UsageError(
                f"{path}: is SARIF of {printable(tool)[:60]}: only tavo's own fingerprints can be"
                " compared",
                hint="Write a baseline with `tavo scan PATH --write-baseline FILE`.",
            )
        for result in run.get("results") or ():
            if result.get("baselineState") == "absent" or result.get("suppressions"):
                continue
            place = result["locations"][0]["physicalLocation"]
            rule = result["rule"]
            out.append(
                msgspec.convert(
                    {
                        "fingerprint": result["partialFingerprints"]["tavo/v1"],
                        "rule_id": rule["id"],
                        "tool": rule.get("toolComponent", {}).get("name", "tavo"),
                        "path": unquote(place["artifactLocation"]["uri"]),
                        "line": place.get("region", {}).get("startLine", 0),
                        "message": result["message"]["text"],
                    },
                    Absent,
                )
            )
    return tuple(out)


# -- comparing


def compared(
    findings: Sequence[Reported], baseline: Baseline, looked: Callable[[str, str], bool]
) -> tuple[list[Reported], list[Absent], list[Absent]]:
    """Return the findings with their state, what is gone, and what was not looked at.

    `looked` tells of a tool and a path whether that tool looked at that file, or the file is gone.
    """
    left = Counter(one.fingerprint for one in baseline.findings)
    out: list[Reported] = []
    for one in findings:
        if left[one.fingerprint] <= 0:
            out.append(replace(one, baseline_state="new"))
            continue
        left[one.fingerprint] -= 1
        why = one.suppression or Suppression(
            kind="external", reason=f"known: in the baseline {baseline.name}", line=0
        )
        out.append(replace(one, baseline_state="unchanged", suppression=why))
    gone: list[Absent] = []
    unseen: list[Absent] = []
    for entry in baseline.findings:
        if left[entry.fingerprint] > 0:
            left[entry.fingerprint] -= 1
            (gone if looked(entry.tool, entry.path) else unseen).append(entry)
    return out, gone, unseen


# -- writing


def _known(findings: Iterable[Reported]) -> tuple[Absent, ...]:
    out = []
    for one in findings:
        known = one.baseline_state == "unchanged" and (
            one.suppression is not None
            and one.suppression.kind == "external"
            and not one.suppression.expires
        )
        if one.suppression is None or known:
            region = one.finding.location.region
            out.append(
                Absent(
                    fingerprint=one.fingerprint,
                    rule_id=one.rule.id,
                    tool=one.tool,
                    path=str(one.finding.location.path),
                    line=0 if region is None else region.start_line,
                    message=one.finding.message,
                )
            )
    return tuple(out)


def baseline_text(run: Run, findings: Iterable[Reported], unseen: Iterable[Absent] = ()) -> str:
    """Return a run as a baseline; `unseen` is taken over from an older one. The text is ASCII."""
    entries = sorted(
        (*_known(findings), *unseen), key=lambda one: (one.path, one.line, one.rule_id)
    )
    value = {
        "schema": SCHEMA,
        "tool_version": run.info.tool_version,
        "created_at": run.finished_at,
        "findings": [msgspec.structs.asdict(one) for one in entries],
    }
    return json.dumps(value, indent=1).replace("\x7f", "\\u007f") + "\n"


def write_baseline(path: Path, text: str) -> None:
    """Write a baseline in one step. Raises InputError; a link is not followed."""
    if path.is_symlink() or path.is_dir():
        kind = "a symbolic link" if path.is_symlink() else "a folder"
        raise InputError(
            f"{path}: is {kind}, a baseline is not written there", hint="Name a file in a folder."
        )
    try:
        write_atomically(path, text.encode("ascii"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written: {error.strerror or error}",
            hint="Check the free space and the permissions of the folder.",
        ) from error
