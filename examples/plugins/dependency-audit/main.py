"""Pinned dependencies compared with a snapshot of known vulnerabilities, offline.

Rules this plugin keeps:
- the snapshot is named by whoever runs the scan, in the plugin's configuration; a project cannot
  bring its own and be clean by it;
- without a snapshot nothing is called safe: each lock file is reported as not compared, and the
  plugin has failed, so that no threshold hides it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from locked import Pinned, reader_of
from snapshot import Known, Snapshot

from tavo.plugins import Confidence, Context, Finding, Location, Region, Rule, Severity

from tavo.plugins import NotAvailableError, PluginError, StaticAnalysisPlugin  # isort: skip

_SEVERITIES = {
    "low": Severity.LOW,
    "medium": Severity.MEDIUM,
    "high": Severity.HIGH,
    "critical": Severity.CRITICAL,
}
_VULNERABLE = Rule(
    id="known-vulnerability",
    title="Dependency has a known vulnerability",
    severity=Severity.MEDIUM,
    confidence=Confidence.HIGH,
    description="The pinned version is in the range that an advisory names.",
    help=(
        "Raise the version to the one that the finding names and write the lock again. Where there"
        " is none, read the advisory (https://osv.dev/vulnerability/ID): is what it is about used"
        " here? Ranges of advisories are sometimes wrong in both directions."
    ),
    cwe=("CWE-1395",),
    owasp=("LLM03:2025", "ASI04:2026"),
    tags=("supply-chain",),
)
_NOT_COMPARED = Rule(
    id="not-compared",
    title="Dependencies were not compared with advisories",
    severity=Severity.LOW,
    confidence=Confidence.HIGH,
    description="No snapshot of advisories could be used, so nothing is known about this file.",
    help=(
        "Name a snapshot below the paths of the scan in the plugin's configuration:"
        ' `{"tavo/dependency-audit": {"snapshot": "advisories.db.xz"}}`.'
        " `tavo registry advisories --write FILE` makes one, `--plugin-config FILE` names it."
    ),
    tags=("supply-chain",),
)


class DependencyAudit(StaticAnalysisPlugin):
    """Reports pinned packages with known vulnerabilities."""

    rules = (_VULNERABLE, _NOT_COMPARED)

    def start(self, context: Context) -> None:
        """Take the configuration: `snapshot`, a path, and `sha256`, what it has to be."""
        self._context = context
        self._path = str(context.config.get("snapshot", ""))
        self._sha256 = str(context.config.get("sha256", "")).lower()
        self._snapshot: Snapshot | None = None
        self._why = ""

    def analyze_file(self, file_path: PurePosixPath, content: str) -> Iterable[Finding]:
        """Yield the vulnerable packages of a lock file or manifest."""
        read = reader_of(file_path)
        pinned = list(read(content)) if read is not None else []
        if not pinned:
            return
        snapshot = self._opened()
        if snapshot is None:
            yield Finding(
                rule_id=_NOT_COMPARED.id,
                message=f"{len(pinned)} pinned packages were not compared: {self._why}.",
                location=Location(path=file_path),
                severity=_NOT_COMPARED.severity,
                confidence=_NOT_COMPARED.confidence,
            )
            return
        lines = content.split("\n")
        seen: set[tuple[str, str, str]] = set()
        for one in pinned:
            key = (one.ecosystem, one.name, one.version)
            if key not in seen and (known := snapshot.about(*key)):
                yield _finding(file_path, one, known, snapshot, len(lines[one.line - 1]))
            seen.add(key)

    def analyze_project(self, files: Sequence[PurePosixPath]) -> Iterable[Finding]:
        """Yield nothing. Raises NotAvailableError where pins were left without an answer."""
        if self._opened() is None and (left := [path for path in files if self._has_pins(path)]):
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            raise NotAvailableError(f"not compared with advisories: {left[0]}{more}: {self._why}")
        return ()

    def _has_pins(self, path: PurePosixPath) -> bool:
        read = reader_of(path)
        if read is None:
            return False
        try:
            text = self._context.read_project(path).decode("utf-8", "replace")
        except PluginError:
            return True
        return any(True for _ in read(text))

    def _opened(self) -> Snapshot | None:
        if not self._path and not self._why:
            self._why = "no snapshot is named in the configuration"
            if found := self._lying_about():
                self._why += f"; {found} could be one, if you know where it is from"
        if self._snapshot is None and not self._why:
            try:
                data = self._context.read_project(self._path)
            except PluginError as error:
                self._why = f"the snapshot {error}"
                if found := self._lying_about():
                    self._why += f"; {found} could be meant: name it from where tavo runs"
                return None
            try:
                if self._sha256 and hashlib.sha256(data).hexdigest() != self._sha256:
                    raise ValueError("it is not the one whose SHA-256 is configured")
                self._snapshot = Snapshot(data)
            except ValueError as error:
                self._why = f"{self._path}: {error}"
        return self._snapshot

    def _lying_about(self) -> str:
        with contextlib.suppress(PluginError):
            for found in self._context.project_files("advisories.db*")[:1]:
                return str(found)
        return ""


def _finding(
    path: PurePosixPath, one: Pinned, known: list[Known], snapshot: Snapshot, length: int
) -> Finding:
    fixed = [each.fixed for each in known]
    mended = f" Fixed in {', '.join(sorted(set(fixed)))}." if all(fixed) else ""
    worst = max((_SEVERITIES.get(each.severity, Severity.MEDIUM) for each in known), key=_rank)
    names = ", ".join(each.id for each in known[:5]) + (" and more" if len(known) > 5 else "")
    said = f": {known[0].summary}" if len(known) == 1 and known[0].summary else ""
    certain = any(each.certain for each in known)
    version = one.version if len(one.version) <= 60 else f"{one.version[:60]}…"
    return Finding(
        rule_id=_VULNERABLE.id,
        message=f"{one.name[:200]} {version} has {names}{said}."[:400] + mended,
        location=Location(
            path=path,
            region=Region(start_line=one.line, end_line=one.line, end_column=length + 1),
        ),
        severity=worst,
        confidence=Confidence.HIGH if certain else Confidence.LOW,
        evidence={
            "package": one.name,
            "version": one.version,
            "advisories": ", ".join(each.id for each in known),
            "aliases": ", ".join(sorted({alias for each in known for alias in each.aliases})),
            "fixed": ", ".join(each.fixed or "-" for each in known),
            "snapshot": snapshot.newest,
        },
    )


def _rank(severity: Severity) -> int:
    return list(Severity).index(severity)
