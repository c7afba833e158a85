"""The scan: files in, findings and problems out, on as many processes as asked for.

Rules this module keeps:
- a file that no rule can match is never parsed: the names it contains decide;
- everything that was not done is a problem of its file: unreadable, parsed in part, out of steps;
- results come in the order of the files, whatever the number of processes.
"""

from __future__ import annotations

import gc
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from msgspec.structs import replace

from tavo.plugins import Finding, Location, Step
from tavo.progress import Reporter
from tavo.scan.files import SourceFile, UnreadableError, decode, read
from tavo.scan.languages import language_of, parse_file
from tavo.scan.match import BudgetError, Env, Match
from tavo.scan.parsed import ParsedFile, identifiers
from tavo.scan.results import FileResult, Hit
from tavo.scan.rules import RuleSet, ScanRule
from tavo.scan.suppress import Ignores, find_ignores
from tavo.scan.timing import Clock, TimeUpError, bounds_of

__all__ = ["LARGEST_FILE", "FileResult", "Hit", "scan", "scan_file", "scan_source"]

LARGEST_FILE = 2 << 20
_INLINE = 40
_MOST_HITS = 1_000
_MOST_LINES = 10
_LONGEST_LINE = 400
_VARIABLE = re.compile(r"\$(?:\.\.\.)?[A-Z_][A-Z0-9_]*")


def scan(
    files: Sequence[SourceFile],
    rules: RuleSet,
    *,
    rule_paths: Sequence[Path],
    jobs: int = 1,
    largest: int = LARGEST_FILE,
    reporter: Reporter | None = None,
) -> Iterator[FileResult]:
    """Scan source files; yield one result each, in their order.

    `rules` were loaded from `rule_paths`, which other processes load again. Closing the iterator
    stops the scan.
    """
    listener = reporter or Reporter()
    listener.begin("scanning", len(files))
    try:
        if jobs <= 1 or len(files) <= _INLINE:
            for file in files:
                with _no_collection():
                    result = scan_file(file, rules, largest=largest)
                yield result
                listener.advance()
        else:
            from tavo.scan.pool import scan_parallel

            for result in scan_parallel(
                files, rules, rule_paths=rule_paths, jobs=jobs, largest=largest
            ):
                yield result
                listener.advance()
    finally:
        listener.end()


def scan_source(data: bytes, path: PurePosixPath, rules: RuleSet) -> FileResult:
    """Scan UTF-8 source that is in memory."""
    text = str(path)
    names = identifiers(data)
    language = language_of(path.suffix) or "python"
    candidates = [rule for rule in rules.candidates(names, language) if rule.applies_to(text)]
    if not candidates:
        return FileResult(path)
    file = parse_file(data, path.suffix)
    file.names = names
    try:
        return _scan_parsed(file, path, candidates)
    finally:
        file.release()


# -- one file


def _scan_parsed(
    file: ParsedFile, path: PurePosixPath, candidates: Sequence[ScanRule]
) -> FileResult:
    clock = Clock(bounds_of(file.source.data))
    kind = clock.bounds.kind
    ignores = find_ignores(file)
    problems = [*file.problems, *ignores.problems]
    hits: dict[tuple[str, int, int], Hit] = {}
    lasting = True
    for number, rule in enumerate(candidates):
        if clock.is_up:
            left = ", ".join(rule.rule.id for rule in candidates[number:])
            problems.append(f"{kind}stopped after {clock.bounds.file_s:g} s, without {left}")
            lasting = False
            break
        try:
            with clock.one():
                for match, steps in _matches(rule, file):
                    if len(hits) >= _MOST_HITS:
                        problems.append(f"more than {_MOST_HITS} findings: the rest was left out")
                        break
                    key = (rule.rule.id, match.start, match.end)
                    if key not in hits:
                        hits[key] = _hit(rule, match, steps, file, path, ignores)
        except TimeUpError:
            seconds = f"{clock.bounds.rule_s:g} s"
            problems.append(f"{kind}rule {rule.rule.id} was stopped: more than {seconds}")
            lasting = False
        except (BudgetError, RecursionError) as error:
            reason = str(error) if isinstance(error, BudgetError) else "nested too deep"
            problems.append(f"rule {rule.rule.id} was stopped: {reason}")
    ordered = sorted(hits.values(), key=_order)
    problems = list(dict.fromkeys(problems))
    return FileResult(path, tuple(ordered), tuple(problems), lasting=lasting)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from walking a tree that is let go of as a whole."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def scan_file(file: SourceFile, rules: RuleSet, *, largest: int = LARGEST_FILE) -> FileResult:
    """Read and scan one file."""
    if file.problem:
        return FileResult(file.relative, problems=(file.problem,), scanned=False)
    try:
        data = read(file, largest=largest)
        content = decode(data)
    except UnreadableError as error:
        return FileResult(file.relative, problems=(str(error),), scanned=False)
    if not content.is_text:
        return FileResult(file.relative, problems=("binary, not source",), scanned=False)
    try:
        result = scan_source(content.data, file.relative, rules)
        return replace(result, content=hashlib.sha256(data).digest())
    except Exception as error:  # noqa: BLE001
        # A defect of ours on one hostile file must not hide what is in the others.
        reason = f"a defect of tavo stopped the scan of this file: {type(error).__name__}: {error}"
        return FileResult(file.relative, problems=(reason,), scanned=False)


_Steps = tuple[tuple[int, int, str], ...]


def _matches(rule: ScanRule, file: ParsedFile) -> Iterator[tuple[Match, _Steps]]:
    if rule.taint is not None:
        from tavo.scan.taint import analyze

        for found in analyze(file, rule.taint):
            yield Match(found.start, found.end, found.env), found.steps
    elif rule.search is not None:
        for match in rule.search.evaluate(file):
            yield match, ()


def _hit(
    rule: ScanRule,
    match: Match,
    steps: _Steps,
    file: ParsedFile,
    path: PurePosixPath,
    ignores: Ignores,
) -> Hit:
    location = _locate(file, path, match.start, match.end)
    finding = Finding(
        rule_id=rule.rule.id,
        message=_filled(rule.message, match.env),
        location=location,
        severity=rule.rule.severity,
        confidence=rule.rule.confidence,
        evidence={name: _short(value.text) for name, value in sorted(match.env.items())},
        flow=tuple(
            Step(location=_locate(file, path, start, end), message=text)
            for start, end, text in steps
        ),
        fix=_fix(rule, match, file),
    )
    line = location.region.start_line if location.region is not None else 0
    return Hit(finding, ignores.of(rule.rule.id, line))


def _locate(file: ParsedFile, path: PurePosixPath, start: int, end: int) -> Location:
    region = file.source.region(start, end)
    last = min(region.end_line, region.start_line + _MOST_LINES - 1)
    lines = file.source.lines(region.start_line, last).split("\n")
    snippet = "\n".join(line[:_LONGEST_LINE] for line in lines)
    return Location(path=path, region=region, snippet=snippet)


def _fix(rule: ScanRule, match: Match, file: ParsedFile) -> str | None:
    if rule.fix is not None:
        return _filled(rule.fix, match.env, shorten=False)
    if rule.fix_regex is not None:
        before = file.source.text(match.start, match.end)
        after = rule.fix_regex.applied(before)
        return after if after != before else None
    return None


def _filled(text: str, env: Env, *, shorten: bool = True) -> str:
    def value(found: re.Match[str]) -> str:
        binding = env.get(found.group())
        if binding is None:
            return found.group()
        return _short(binding.text) if shorten else binding.text

    return _VARIABLE.sub(value, text)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:79] + "…"


def _order(hit: Hit) -> tuple[int, int, str]:
    region = hit.finding.location.region
    if region is None:
        return (0, 0, hit.finding.rule_id)
    return (region.start_line, region.start_column, hit.finding.rule_id)
