"""Taint across the files of a scan: what the functions of one file do, where others call them.

Rules this module keeps:
- every file is looked at by itself first; then files that import what matters are looked at again
  with the summaries of what they import, and so on while that adds something, a few times;
- a finding is at its sink, in whatever file, with the steps of all files on the way;
- what one file alone has shown already is not said again; without functions that matter to other
  files nothing is looked at a second time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

import msgspec

from tavo.plugins import Finding, Location, Step
from tavo.scan.engine import FileResult, Hit, filled, locate, no_collection, step_at
from tavo.scan.files import SourceFile, UnreadableError, decode, read
from tavo.scan.languages import language_of, parse_file
from tavo.scan.match import BudgetError
from tavo.scan.modules import Modules
from tavo.scan.parsed import ParsedFile, identifiers
from tavo.scan.rules import RuleSet, ScanRule
from tavo.scan.suppress import Ignores, find_ignores
from tavo.scan.taint.across import functions_of, parameter_sources
from tavo.scan.taint.analysis import Flow, flows_of
from tavo.scan.taint.exports import Export, Place, brought, exported
from tavo.scan.taint.functions import function_around
from tavo.scan.taint.marks import Marks, find_marks

__all__ = ["Exports", "scan_across"]

_MOST_WAVES = 5
_MOST_EXPORTS = 200
_DEFAULT = re.compile(
    rb"export\s+default\s+(?:async\s+)?(?:function\b\*?|class\b)?\s*([A-Za-z_$][\w$]*)"
)
_Entry = tuple[str, str, str]
_Pairs = frozenset[tuple[str, str]]
_LISTED = re.compile(rb"export\s*\{")

Exports = dict[str, dict[str, tuple[Export, ...]]]
"""What files export, by path and then by rule."""
_Key = tuple[str, str, int, int]


class Looked(msgspec.Struct):
    """What came of one file: what it exports for each rule, the findings, the problems.

    `imports` are the dotted names that it imports, `reachable` the rules that have a sink in it.
    """

    exports: dict[str, tuple[Export, ...]] = msgspec.field(default_factory=dict)
    hits: list[Hit] = msgspec.field(default_factory=list)
    problems: list[str] = msgspec.field(default_factory=list)
    default: str = ""
    imports: tuple[str, ...] = ()
    reachable: set[str] = msgspec.field(default_factory=set)


def scan_across(
    files: Sequence[SourceFile], rules: RuleSet, *, largest: int, known: set[_Key]
) -> Iterator[FileResult]:
    """Yield what only several files together show. `known` are the findings that are there."""
    followed = across_rules(rules)
    if not followed or len(files) < 2:
        return
    root = files[0].path
    for _ in files[0].relative.parts:
        root = root.parent
    modules = Modules((file.relative for file in files), root=root.name)
    exports: Exports = {}
    defaults: dict[str, str] = {}
    targets: dict[str, _Pairs] = {}
    reachable: set[str] = set()
    for file in files:
        with no_collection():
            looked = _look(file, followed, largest, None)
        if looked is None:
            continue
        targets[str(file.relative)] = _targets(looked, file, modules)
        reachable |= looked.reachable
        if looked.exports:
            exports[str(file.relative)] = looked.exports
            defaults[str(file.relative)] = looked.default
    followed, exports = _only(followed, exports, reachable)
    changed = _entries_of(exports)
    for _ in range(_MOST_WAVES):
        if not changed:
            break
        names, roots = _names_of(changed), _roots_of(changed)
        again: set[_Entry] = set()
        for file in files:
            path = str(file.relative)
            if path in targets and not targets[path] & roots:
                continue
            with no_collection():
                linked = _Linked(exports, defaults, modules, names, frozenset(changed))
                looked = _look(file, followed, largest, linked)
            if looked is None:
                continue
            targets[path] = _targets(looked, file, modules)
            hits = [hit for hit in looked.hits if hit.key not in known]
            known.update(hit.key for hit in hits)
            if hits or looked.problems:
                yield FileResult(file.relative, tuple(hits), tuple(looked.problems), scanned=False)
            before = exports.get(path, {})
            more = _entries_of({path: looked.exports}) - _entries_of({path: before})
            if more:
                exports[path] = {**before, **looked.exports}
                defaults[path] = looked.default
                again |= more
        changed = again


def _only(
    followed: Mapping[str, Sequence[ScanRule]], exports: Exports, reachable: set[str]
) -> tuple[dict[str, list[ScanRule]], Exports]:
    """Return the rules that have a sink in some file, and what is exported for those."""
    rules = {
        language: [rule for rule in entries if rule.rule.id in reachable]
        for language, entries in followed.items()
    }
    kept = {
        path: {rule: one for rule, one in entries.items() if rule in reachable}
        for path, entries in exports.items()
    }
    return rules, {path: entries for path, entries in kept.items() if entries}


def _entries_of(exports: Exports) -> set[_Entry]:
    return {
        (path, rule, export.name)
        for path, rules in exports.items()
        for rule, entries in rules.items()
        for export in entries
    }


def _targets(looked: Looked, file: SourceFile, modules: Modules) -> _Pairs:
    """Return the files of the scan that a file imports from, each with the name there."""
    return frozenset(
        (str(target), "" if symbol == "default" else symbol.partition(".")[0])
        for name in looked.imports
        for target, symbol in modules.find(name, file.relative)
    )


def _roots_of(changed: set[_Entry]) -> _Pairs:
    """Return what a file must import to use what has changed: a name, or the module."""
    names = {(path, name.partition(".")[0]) for path, _, name in changed}
    return frozenset(names | {(path, "") for path, _, _ in changed})


def across_rules(rules: RuleSet) -> dict[str, list[ScanRule]]:
    """Return the rules that follow calls, by language."""
    out: dict[str, list[ScanRule]] = {}
    for rule in rules.rules.values():
        for one in (rule, *rule.others):
            if one.taint is not None and one.taint.across_functions:
                out.setdefault(one.language, []).append(one)
    return out


class _Linked(msgspec.Struct):
    """What is known of other files when a file is looked at again."""

    exports: Exports
    defaults: Mapping[str, str]
    modules: Modules
    names: frozenset[bytes]
    changed: frozenset[_Entry]


def _names_of(changed: set[_Entry]) -> frozenset[bytes]:
    """Return names of which a file must contain one to import what has changed."""
    names = {name.partition(".")[0] for _, _, name in changed}
    for path in {path for path, _, _ in changed}:
        file = PurePosixPath(path)
        names.add(file.stem if file.stem not in {"__init__", "index"} else file.parent.name)
    return frozenset(name.encode() for name in names)


def _look(
    file: SourceFile,
    followed: Mapping[str, Sequence[ScanRule]],
    largest: int,
    linked: _Linked | None,
) -> Looked | None:
    """Look at one file; None where nothing in it matters."""
    language = language_of(file.relative.suffix)
    rules = followed.get(language or "", ())
    if file.problem or not rules:
        return None
    try:
        content = decode(read(file, largest=largest))
    except UnreadableError:
        return None  # said already when the file was looked at by itself
    if not content.is_text:
        return None
    names = identifiers(content.data)
    text = str(file.relative)
    if linked is None:
        rules = [rule for rule in rules if rule.applies_to(text) and _can_matter(rule, names)]
    else:
        if not linked.names & names:
            return None
        rules = [rule for rule in rules if rule.applies_to(text)]
    if not rules:
        return None
    parsed = parse_file(content.data, file.relative.suffix)
    parsed.names = names
    try:
        return _look_at(parsed, file.relative, rules, linked)
    finally:
        parsed.release()


def _can_matter(rule: ScanRule, names: frozenset[bytes]) -> bool:
    taint = rule.taint
    if taint is None:
        return False
    formulas = [entry.formula for entry in taint.sinks] + [e.formula for e in taint.sources]
    return any(formula.possible(names) for formula in formulas)


def _look_at(
    file: ParsedFile, path: PurePosixPath, rules: Sequence[ScanRule], linked: _Linked | None
) -> Looked:
    looked = Looked(imports=tuple(_names_imported(file)))
    imported = _imported(file, path, linked) if linked is not None else {}
    if linked is not None and not imported:
        return looked
    ignores = find_ignores(file)
    if file.language != "python" and (found := _DEFAULT.search(file.source.data)):
        looked.default = found.group(1).decode()
    for rule in rules:
        identifier = rule.rule.id
        here = {
            dotted: export
            for dotted, (target, export_name) in imported.items()
            if linked is not None
            and (export := _named(linked.exports, target, identifier, export_name)) is not None
        }
        if linked is not None and not any(
            (target, identifier, name) in linked.changed for target, name in imported.values()
        ):
            continue
        try:
            _follow(file, path, rule, here, ignores, looked)
        except (BudgetError, RecursionError) as error:
            reason = str(error) if isinstance(error, BudgetError) else "nested too deep"
            looked.problems.append(f"rule {identifier} was stopped: {reason}")
    return looked


def _named(exports: Exports, target: str, rule: str, name: str) -> Export | None:
    for export in exports.get(target, {}).get(rule, ()):
        if export.name == name:
            return export
    return None


def _imported(file: ParsedFile, path: PurePosixPath, linked: _Linked) -> dict[str, tuple[str, str]]:
    """Return for each dotted name that the file can use the file and the name that it is there."""
    out: dict[str, tuple[str, str]] = {}
    for dotted in _names_imported(file):
        for target, symbol in linked.modules.find(dotted, path):
            entries = linked.exports.get(str(target))
            if not entries or str(target) == str(path):
                continue
            if symbol == "default":
                symbol = linked.defaults.get(str(target), "")
                if not symbol:
                    continue
            for export in {
                export.name: export for one in entries.values() for export in one
            }.values():
                below = _below(export, symbol)
                if below is not None:
                    out.setdefault(f"{dotted}{below}", (str(target), export.name))
            break
    return out


def _below(export: Export, symbol: str) -> str | None:
    """Return what follows an imported name where a function is used; None if it is not in it."""
    name = export.name.rpartition(".")[0] if export.makes else export.name
    if not symbol:
        return f".{name}"
    if name == symbol:
        return ""
    return name[len(symbol) :] if name.startswith(f"{symbol}.") else None


def _follow(
    file: ParsedFile,
    path: PurePosixPath,
    rule: ScanRule,
    here: Mapping[str, Export],
    ignores: Ignores,
    looked: Looked,
) -> None:
    """Run one rule on a file with what it imports."""
    spec, identifier = rule.taint, rule.rule.id
    marks = find_marks(spec, file, both=False, alone=not here) if spec is not None else None
    if spec is None or marks is None or not (marks.sinks or marks.sources or here):
        return
    if marks.sinks:
        looked.reachable.add(identifier)
    if not here and not marks.sinks and not _has_own_source(file, marks):
        return
    elsewhere = {
        dotted: brought(export, marks, apart=spec.several_sources)
        for dotted, export in here.items()
    }
    result = flows_of(file, spec, marks, elsewhere)
    if here:
        for flow in result.flows:
            if flow.far is not None or any(isinstance(step, Step) for step in flow.steps):
                looked.hits.append(_hit(rule, flow, file, path, ignores))
        if result.problem:
            looked.problems.append(f"rule {identifier} was stopped: {result.problem}")
    functions = [f for f in functions_of(file) if function_around(f.node) is None]

    place = Place(
        lambda start, end: _located(file, path, start, end),
        file.source.text,
        lambda start: ignores.of(identifier, file.source.line_of(start)),
    )
    entries = exported(functions, result.summaries, marks, place)
    if _passes_on(file, path):
        entries += tuple(_passed_on(file, here))
    if entries:
        looked.exports[identifier] = entries[:_MOST_EXPORTS]


def _names_imported(file: ParsedFile) -> list[str]:
    """Return the dotted names of all that a file imports."""
    names = {dotted for _, dotted in file.imports.items()} | functions_of(file).modules
    return sorted(names)


def _has_own_source(file: ParsedFile, marks: Marks) -> bool:
    """Tell whether something but parameters is a source; those are up to the callers."""
    return len(parameter_sources(file, marks)) < len(marks.sources)


def _located(file: ParsedFile, path: PurePosixPath, start: int, end: int) -> Location:
    """Return a location, made once for all rules."""
    places = file.memory.setdefault(_located, {})
    assert isinstance(places, dict)  # noqa: S101
    if (start, end) not in places:
        places[start, end] = locate(file, path, start, end)
    found: Location = places[start, end]
    return found


def _passes_on(file: ParsedFile, path: PurePosixPath) -> bool:
    """Tell whether others import from a file what it imports itself.

    In Python any file could be used so; what does it on purpose is the file of a package.
    """
    if file.language == "python":
        return path.stem == "__init__"
    return _LISTED.search(file.source.data) is not None


def _passed_on(file: ParsedFile, here: Mapping[str, Export]) -> Iterator[Export]:
    """Yield what a file imports for others to import from it."""
    for local, dotted in file.imports.items():
        for name, export in here.items():
            if name == dotted or name.startswith(f"{dotted}."):
                rest = name[len(dotted) :]
                last = f".{export.name.rpartition('.')[2]}" if export.makes else ""
                yield msgspec.structs.replace(export, name=f"{local}{rest}{last}")


def _hit(
    rule: ScanRule, flow: Flow, file: ParsedFile, path: PurePosixPath, ignores: Ignores
) -> Hit:
    location = (
        flow.far.location if flow.far is not None else locate(file, path, flow.start, flow.end)
    )
    finding = Finding(
        rule_id=rule.rule.id,
        message=filled(rule.message, flow.env),
        location=location,
        severity=rule.rule.severity,
        confidence=rule.rule.confidence,
        evidence={name: value.text[:80] for name, value in sorted(flow.env.items())},
        flow=tuple(
            step if isinstance(step, Step) else step_at(file, path, *step) for step in flow.steps
        ),
    )
    if flow.far is not None:
        return Hit(finding, flow.far.ignore)
    line = location.region.start_line if location.region is not None else 0
    return Hit(finding, ignores.of(rule.rule.id, line))
