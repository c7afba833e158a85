"""One stored run, whatever its parts are: findings, plugin rows, notices, and the verdict.

Rules this module keeps:
- findings go to the store as they come, so that an interrupted run keeps what it found;
- whatever was asked for and not done makes the run incomplete;
- at its end a finding is left out where a more specific rule says the same; a run that was
  interrupted keeps both;
- a comment that ignores a finding of a plugin must name its rule or its plugin;
- what rules with the tag `credential` point at is covered in all findings about the file that come
  with it or later; fingerprints are those of the findings as they were;
- only the thread that made it uses it.

Units: CPU time in seconds, times UTC.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from tavo import __version__
from tavo.covering import CREDENTIAL, Cover, Piece, covered, pieces_of
from tavo.errors import ExitCode, worst
from tavo.plugins import Finding, Rule, Severity
from tavo.results.fingerprint import with_line_hashes
from tavo.results.gate import denies, verdict
from tavo.results.store import ResultStore
from tavo.results.values import ALSO, Notice, PluginRun, Reported, RunInfo, Suppression
from tavo.scan.files import SourceFile, UnreadableError, decode, read, walk
from tavo.scan.precedence import Settled, above, settle
from tavo.scan.results import FileResult
from tavo.scan.rule_source import RuleProblem
from tavo.scan.suppress import Ignore, Ignores, ignores_in

if TYPE_CHECKING:
    from tavo.attack.probes import Probe
    from tavo.results.values import Absent
    from tavo.runs.already import Already
    from tavo.runs.attack import Attacked
    from tavo.runs.gate import GatePlan
    from tavo.runs.outcome import PluginOutcome

__all__ = ["CombinedRun", "left_out_notice", "lies_below", "notices_of_rules"]

_MOST_NAMED = 5


class Described(Protocol):
    """What knows its rules by their ids."""

    @property
    def yields(self) -> Mapping[str, tuple[str, ...]]:
        """Return which rules are left out for which more specific ones."""

    def rule(self, rule_id: str) -> Rule:
        """Return what a rule says about itself."""


class CombinedRun:
    """A run that is being made. `finish` it; one that is not finished stays incomplete."""

    def __init__(
        self, store: ResultStore, *, command: Sequence[str], root: Path, rules: int, largest: int
    ) -> None:
        """Begin a run. `largest` is the size of the largest source file that is read, in bytes."""
        self._before = _cpu_s()
        self._store = store
        self.root = root
        self._largest = largest
        self._files: dict[PurePosixPath, SourceFile] = {}
        self._notices: list[Notice] = []
        self._scanned: set[PurePosixPath] = set()
        self._plugins: list[PluginRun] = []
        self._rules = rules
        self._unseen: Sequence[Absent] = ()
        self._already: Already | None = None
        self._ignores: dict[PurePosixPath, Ignores] = {}
        self._described: list[tuple[str, Described]] = []
        self._secrets: dict[PurePosixPath, dict[Piece, None]] = {}
        self._covers: dict[PurePosixPath, Cover] = {}
        self.id = store.begin(
            RunInfo(
                command=tuple(command),
                root=str(root),
                tool_version=__version__,
                started_at=_now(),
                rules=rules,
            )
        )

    def choose(self, targets: Sequence[Path], exclude: Sequence[str]) -> list[SourceFile]:
        """Return the files below the targets; what cannot be looked at becomes a notice."""
        files: list[SourceFile] = []
        left_out: list[Path] = []
        for file in walk(targets, self.root, exclude=exclude, left_out=left_out):
            if file.problem:
                self.note([Notice(kind="file", subject=str(file.relative), reason=file.problem)])
            else:
                files.append(file)
        if left_out:
            self.note([left_out_notice(left_out, self.root)])
        self._files.update((file.relative, file) for file in files)
        return files

    def compare(self, already: Already) -> list[SourceFile]:
        """Let only what a change brought count from now on; return the files that changed."""
        self._already = already
        self.note([already.notice])
        return already.files

    def note(self, notices: Iterable[Notice]) -> None:
        """Take over notices; each stands once in the run."""
        self._notices += notices

    def add_result(
        self, result: FileResult, rules: Described, *, tool: str = "tavo"
    ) -> list[Reported]:
        """Store what rules said about a file; return the findings that count."""
        self._learn(result, rules)
        if self._already is not None:
            result = self._already.concerned(result)
        if result.scanned:
            self._scanned.add(result.path)
        self.note(_notices(result))
        if result.hits and not any(one is rules for _, one in self._described):
            self._described.append((tool, rules))
        reported = self._shown(list(_reported(result, rules, tool))) if result.hits else []
        if reported:
            self._store.add(self.id, with_line_hashes(reported, self._lines_of))
        return [one for one in reported if one.suppression is None]

    def add_records(self, reported: Iterable[Reported], looked: Iterable[str]) -> None:
        """Store what rules found in records of logs; `looked` are the logs that were read."""
        self._scanned.update(map(PurePosixPath, looked))
        self._store.add(self.id, reported)

    def add_attack(
        self, made: Attacked, probes: Mapping[str, Probe], *, earlier: Sequence[Reported] = ()
    ) -> None:
        """Store what an attack gave; what it confirms of this run's own findings counts once.

        `earlier` is what another run has found in the code.
        """
        from tavo.runs.confirmed import confirmed, counted_once

        own = list(self._store.findings(self.id))
        self._store.mark(self.id, counted_once(made.reported, probes, own))
        code = [*own, *earlier]
        self._store.add_probes(self.id, made.results)
        self.add_records(confirmed(made.reported, probes, code), [made.looked])
        self.note(made.notices)

    def add_outcome(self, outcome: PluginOutcome) -> None:
        """Store what a plugin did."""
        reported = self._shown([self._judged(one) for one in outcome.reported])
        self._store.add(self.id, with_line_hashes(reported, self._lines_of))
        self._store.add_plugin_run(self.id, outcome.run)
        self._plugins.append(outcome.run)
        self._store.add_exchanges(self.id, outcome.exchanges)
        self.note(outcome.notices)

    def add_imported(
        self, reported: Iterable[Reported], files: Iterable[SourceFile], row: PluginRun
    ) -> None:
        """Store what another tool found elsewhere; `files` are those of them that are here."""
        for file in files:
            self._files.setdefault(file.relative, file)
        judged = [one if one.suppression is not None else self._judged(one) for one in reported]
        self._store.add(self.id, with_line_hashes(self._shown(judged), self._lines_of))
        self.add_engine(row)

    def add_engine(self, row: PluginRun) -> None:
        """Store that another engine or tool looked, and what that cost."""
        self._store.add_plugin_run(self.id, row)
        self._plugins.append(row)

    def finish(
        self,
        *,
        fail_on: Severity,
        exit_zero: bool,
        failed: bool = False,
        plan: GatePlan | None = None,
    ) -> ExitCode:
        """Judge the run and close it. `failed` says that it did not pass, whatever it found."""
        from tavo.runs.gate import GatePlan, judge

        plan = plan or GatePlan()
        self._settle()
        found = list(self._store.findings(self.id))
        judged = judge(
            plan, found, list(dict.fromkeys(self._notices)), self._plugins, fail_on=fail_on,
            files=len(self._scanned), rules=self._rules, looked=self._looker(),
        )  # fmt: skip
        self._store.mark(
            self.id,
            (new for old, new in zip(found, judged.findings, strict=True) if new is not old),
        )
        self._store.add_notices(self.id, judged.notices)
        self._store.add_gate(self.id, judged.gate)
        self._unseen = judged.unseen
        complete = not any(notice.incomplete for notice in judged.notices)
        code = verdict(
            judged.findings,
            complete=not any(one.incomplete and not one.allowed for one in judged.notices),
            fail_on=fail_on,
            fail_on_confidence=plan.fail_on_confidence,
            denied=denies(judged.gate.policy_results),
            exit_zero=exit_zero,
        )
        if failed and not exit_zero:
            code = worst([code, ExitCode.FINDINGS])
        self._store.finish(
            self.id,
            finished_at=_now(),
            complete=complete,
            exit_code=int(code),
            files=len(self._scanned),
            cpu_s=_cpu_s() - self._before,
        )
        if plan.write_baseline is not None:
            self._write_baseline(plan.write_baseline)
        return code

    def _looker(self) -> Callable[[str, str], bool]:
        """Return what tells whether a tool looked at a file, or would have if it were there."""
        ran = {run.plugin for run in self._plugins}
        failed = {notice.subject for notice in self._notices if notice.incomplete}

        def looked(tool: str, path: str) -> bool:
            own = tool == "tavo"
            if (not self._rules or path in failed) if own else (tool not in ran or tool in failed):
                return False
            seen = self._scanned if own else self._files
            return PurePosixPath(path) in seen or not lies_below(self.root, path)

        return looked

    def _write_baseline(self, path: Path) -> None:
        from tavo.results.baseline import baseline_text, write_baseline

        run = self._store.run(self.id)
        write_baseline(path, baseline_text(run, self._store.findings(self.id), self._unseen))

    def settled(self, reported: Sequence[Reported]) -> list[Reported]:
        """Return findings without those that a more specific rule says as well."""
        higher = self._higher()
        if not higher:
            return list(reported)
        by_file: dict[PurePosixPath, list[tuple[int, Reported]]] = {}
        for number, one in enumerate(reported):
            by_file.setdefault(one.finding.location.path, []).append((number, one))
        out: set[int] = set()
        also: dict[int, tuple[str, ...]] = {}
        for group in by_file.values():
            for tool, names in higher.items():
                decided = _decided(group, tool, names)
                out |= decided.out
                also.update(decided.also)
        return [
            replace(one, finding=_with_also(one.finding, also[number])) if number in also else one
            for number, one in enumerate(reported)
            if number not in out
        ]

    def _settle(self) -> None:
        """Take out of the store what a more specific rule says as well."""
        higher = self._higher()
        if not higher:
            return
        out: list[int] = []
        evidence: dict[int, Mapping[str, str]] = {}
        every = self._store.numbered(self.id)
        for _, group in itertools.groupby(every, lambda one: one[1].finding.location.path):
            found = list(group)
            findings = {number: one.finding for number, one in found}
            for tool, names in higher.items():
                decided = _decided(found, tool, names)
                out += decided.out
                for number, also in decided.also.items():
                    evidence[number] = _with_also(findings[number], also).evidence
        if out:
            self._store.settle(self.id, out, evidence)

    def _higher(self) -> dict[str, dict[str, frozenset[str]]]:
        """Return for each tool's rules the more specific ones."""
        yields: dict[str, dict[str, tuple[str, ...]]] = {}
        for tool, rules in self._described:
            if rules.yields:
                yields.setdefault(tool, {}).update(rules.yields)
        return {tool: above(names) for tool, names in yields.items()}

    def _learn(self, result: FileResult, rules: Described) -> None:
        """Note the secrets of a result: where it points at another file, those that it shows."""
        found = [(result.path, piece) for piece in result.secrets]
        for hit in result.hits:
            place = hit.finding.location
            if place.region is None or place.path == result.path:
                continue
            if CREDENTIAL in rules.rule(hit.finding.rule_id).tags:
                lines = dict(enumerate(place.snippet.split("\n"), place.region.start_line))
                found += [(place.path, one) for one in pieces_of(place.region, lines.get)]
        for path, piece in found:
            self._secrets.setdefault(path, {})[piece] = None
        for path in {path for path, _ in found}:
            self._covers[path] = Cover(self._secrets[path])

    def _shown(self, reported: Sequence[Reported]) -> list[Reported]:
        """Return findings as they count and as they may be shown."""
        counted = self._compared(reported)
        return [self._covered(one) for one in counted] if self._covers else list(counted)

    def _covered(self, one: Reported) -> Reported:
        finding = covered(one.finding, self._covers, own=CREDENTIAL in one.rule.tags)
        return one if finding is one.finding else replace(one, finding=finding, plain=one.finding)

    def _compared(self, reported: Sequence[Reported]) -> Sequence[Reported]:
        return reported if self._already is None else self._already.judged(reported)

    def _judged(self, one: Reported) -> Reported:
        """Return a plugin's finding with the comment that covers it, if there is one."""
        location = one.finding.location
        if location.region is None or location.path not in self._files:
            return one
        if location.path not in self._ignores:
            data = self._lines_of(location.path)
            text = b"" if data is None else _text_of(data)
            found = ignores_in(location.path, text)
            self._ignores[location.path] = found
            self.note(
                Notice(kind="comment", subject=str(location.path), reason=problem, incomplete=False)
                for problem in found.problems
            )
        names = {one.rule.id, one.tool, f"{one.tool}:{one.rule.id}"}
        ignore = self._ignores[location.path].naming(names, location.region.start_line)
        return one if ignore is None else replace(one, suppression=_suppression(ignore))

    def _lines_of(self, path: PurePosixPath) -> bytes | None:
        try:
            return read(self._files[path], largest=self._largest)
        except (UnreadableError, KeyError):
            return None


def lies_below(root: Path, path: str) -> bool:
    """Tell whether a path of an earlier run is there, and inside the root."""
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        return False
    try:
        return (root / relative).exists()
    except (OSError, ValueError):
        return False


def _decided(
    found: Sequence[tuple[int, Reported]], tool: str, higher: Mapping[str, frozenset[str]]
) -> Settled:
    """Decide about a tool's findings in one file; other tools' rules are `tool:rule` to it."""
    foreign = {name for names in higher.values() for name in names if ":" in name}
    named = {
        number: name
        for number, one in found
        if one.tool != tool and (name := f"{one.tool}:{one.finding.rule_id}") in foreign
    }
    return settle(
        [
            (number, one.finding, one.suppression is None or one.suppression.kind == "inSource")
            for number, one in found
            if one.tool == tool or number in named
        ],
        higher,
        named,
    )


def _with_also(finding: Finding, rules: Sequence[str]) -> Finding:
    return dataclasses.replace(finding, evidence={**finding.evidence, ALSO: ", ".join(rules)})


def notices_of_rules(problems: Iterable[RuleProblem]) -> list[Notice]:
    """Return what is wrong with rules that cannot be used."""
    return [
        Notice(kind="rule", subject=problem.rule_id or str(problem.file), reason=problem.reason)
        for problem in problems
    ]


def _reported(result: FileResult, rules: Described, tool: str) -> Iterable[Reported]:
    for hit in result.hits:
        ignore = hit.ignore
        yield Reported(
            finding=hit.finding,
            rule=rules.rule(hit.finding.rule_id),
            tool=tool,
            suppression=None if ignore is None else _suppression(ignore),
        )


def _suppression(ignore: Ignore) -> Suppression:
    return Suppression(kind="inSource", reason=ignore.reason, line=ignore.line)


def _text_of(data: bytes) -> bytes:
    try:
        content = decode(data)
    except UnreadableError:
        return b""
    return content.data if content.is_text else b""


def left_out_notice(paths: Sequence[Path], root: Path) -> Notice:
    """Say what was left out on purpose: a project can hide code with its ignore files."""
    names = [path.relative_to(root).as_posix() for path in paths[:_MOST_NAMED]]
    more = f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
    return Notice(
        kind="file",
        subject="left out",
        reason=f"by ignore files, exclude, name or kind: {', '.join(names)}{more}",
        incomplete=False,
    )


def _notices(result: FileResult) -> list[Notice]:
    return [
        Notice(
            kind="comment" if "tavo: ignore" in problem else "file",
            subject=str(result.path),
            reason=problem,
            incomplete="tavo: ignore" not in problem,
        )
        for problem in result.problems
    ]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cpu_s() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
