"""Look at one file again, with what the functions of other files do that it calls.

Rules this module keeps:
- what comes back depends on the file's content and on what was given, on nothing else;
- a file that is not the one that its outline was made of is named, and nothing is said about it;
- a defect of ours on one file is a problem of that file, as when it is looked at by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath

from msgspec.structs import replace

from tavo.covering import Piece
from tavo.kept import content_key
from tavo.plugins import Finding, Step
from tavo.scan.engine import FileScan, Hit, guarded, message_of, no_collection
from tavo.scan.files import UnreadableError, decode, read
from tavo.scan.languages import language_at, parse_file
from tavo.scan.linking import Given, Looked, Offer, Task
from tavo.scan.locations import locate, step_at
from tavo.scan.outlining import offers_of, outline_of_uses, spots_of
from tavo.scan.parsed import ParsedFile, identifiers
from tavo.scan.rule import RuleSet, ScanRule
from tavo.scan.secrets import Secret, secrets_of, without
from tavo.scan.suppress import Ignores, find_ignores
from tavo.scan.taint.across import parts_of
from tavo.scan.taint.analysis import Flow, flows_of
from tavo.scan.taint.exports import Export, brought, opened
from tavo.scan.taint.marks import find_ends, find_marks

__all__ = ["look"]


def look(task: Task, rules: RuleSet) -> Looked:
    """Do one task."""
    with no_collection():
        result = guarded(partial(_look, task, rules))
    return Looked(problems=(result,), lasting=False) if isinstance(result, str) else result


def _look(task: Task, rules: RuleSet) -> Looked:
    file = task.file
    try:
        data = read(file, largest=task.largest)
        if content_key(file.relative, "scan", hashlib.sha256(data).digest()) != task.content:
            raise UnreadableError("it changed during the scan")
        source = decode(data).data
    except UnreadableError as error:
        problem = f"not looked at with what it imports: {error}"
        return Looked(problems=(problem,), lasting=False)
    parsed = parse_file(source, file.relative.suffix)
    parsed.names = identifiers(source)
    try:
        if task.given is None:
            return _asked(parsed, task, rules)
        return _Look(parsed, file.relative, source, task.wanted).all(task.given, rules)
    finally:
        parsed.release()


def _asked(file: ParsedFile, task: Task, rules: RuleSet) -> Looked:
    """Return what a file uses, and where some rules have sinks and sources in it."""
    scan = FileScan(task.file.relative, file.source.data)
    scan.lasting = file.lasting
    outline = scan.bounded(partial(outline_of_uses, file, task.file.relative))
    if outline is None:
        return Looked(problems=tuple(scan.problems), lasting=scan.lasting)
    parts = parts_of(file)
    found: dict[str, dict[str, tuple[str, ...]]] = {"sinks": {}, "sources": {}}

    def look(rule: ScanRule, what: str) -> None:
        spots = spots_of(rule, file, what)
        if spots:
            found[what][rule.rule.id] = tuple(sorted(parts.at(spots)))

    for what, asked in (("sinks", task.sinks), ("sources", task.sources)):
        scan.each(_chosen(asked, rules, task.file.relative), partial(look, what=what))
    return Looked(
        outline=replace(outline, sinks=found["sinks"], sources=found["sources"]),
        problems=tuple(dict.fromkeys(scan.problems)),
        lasting=scan.lasting,
    )


def _chosen(asked: Iterable[str], rules: RuleSet, path: PurePosixPath) -> list[ScanRule]:
    """Return the rules of a file's language that may look at it."""
    language, text = language_at(path), str(path)
    every = (one for name in asked for one in (rules.rules[name], *rules.rules[name].others))
    return [one for one in every if one.language == language and one.applies_to(text)]


class _Look:
    """What comes of one file."""

    def __init__(
        self,
        file: ParsedFile,
        path: PurePosixPath,
        source: bytes,
        wanted: Mapping[str, Sequence[str]],
    ) -> None:
        self.file = file
        self.wanted = wanted
        self.path = path
        self.scan = FileScan(path, source)
        self.scan.lasting = file.lasting
        self.ignores: Ignores = find_ignores(file)
        self.hits: list[Hit] = []
        self.secrets: dict[Piece, None] = {}
        self.offers: dict[str, tuple[Offer, ...]] = {}
        self._opened: dict[tuple[str, bytes], Export] = {}

    def all(self, given: Mapping[str, tuple[Given, ...]], rules: RuleSet) -> Looked:
        chosen = _chosen(given, rules, self.path)
        self.scan.each(chosen, lambda rule: self._follow(rule, given[rule.rule.id]))
        problems = tuple(dict.fromkeys(self.scan.problems))
        return Looked(
            hits=tuple(self.hits), problems=problems, offers=self.offers,
            lasting=self.scan.lasting, secrets=tuple(self.secrets),
        )  # fmt: skip

    def _follow(self, rule: ScanRule, given: tuple[Given, ...]) -> None:
        """Run one rule with the functions that are given."""
        spec, file = rule.taint, self.file
        ends = find_ends(spec, file, all_sources=True) if spec is not None else None
        if spec is None or ends is None or not (ends.sinks or ends.sources or given):
            return
        marks = find_marks(spec, file, ends)
        apart, numbers = spec.several_sources, dict[object, int]()
        elsewhere = {
            one.dotted: brought(self._open(one), marks, apart=apart, numbers=numbers)
            for one in given
        }
        wanted = frozenset(self.wanted.get(rule.rule.id, ()))
        result = flows_of(file, spec, marks, elsewhere, wanted=wanted)
        for flow in result.flows:
            if flow.far is not None or any(isinstance(step, Step) for step in flow.steps):
                secrets = [] if flow.far is not None else secrets_of(
                    rule, flow.start, flow.end, flow.env, file
                )  # fmt: skip
                self.secrets.update((piece, None) for one in secrets for piece in one.pieces)
                self.hits.append(_hit(rule, flow, file, self.path, self.ignores, secrets))
        offers = offers_of(rule, file, self.path, marks, result, self.ignores, wanted=wanted)
        if offers:
            self.offers[rule.rule.id] = offers
        result.raise_problem()

    def _open(self, given: Given) -> Export:
        key = given.name, given.content
        if key not in self._opened:
            self._opened[key] = opened(given.name, given.content)
        return self._opened[key]


def _hit(
    rule: ScanRule,
    flow: Flow,
    file: ParsedFile,
    path: PurePosixPath,
    ignores: Ignores,
    secrets: Sequence[Secret],
) -> Hit:
    shown = without(flow.env, secrets)
    location = (
        flow.far.location if flow.far is not None else locate(file, path, flow.start, flow.end)
    )
    finding = Finding(
        rule_id=rule.rule.id,
        message=message_of(rule, shown),
        location=location,
        severity=rule.rule.severity,
        confidence=rule.rule.confidence,
        evidence={name: value.text[:80] for name, value in sorted(shown.items())},
        flow=tuple(
            step if isinstance(step, Step) else step_at(file, path, *step) for step in flow.steps
        ),
    )
    if flow.far is not None:
        return Hit(finding, flow.far.ignore)
    line = location.region.start_line if location.region is not None else 0
    return Hit(finding, ignores.of(rule.rule.id, line))
