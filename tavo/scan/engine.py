"""The scan: files in, findings and problems out, on as many processes as asked for.

Rules this module keeps:
- a file that no rule can match is never parsed: the names it contains decide;
- everything that was not done is a problem of its file: unreadable, parsed in part, out of steps;
- results come in the order of the files, whatever the number of processes;
- a process that dies takes one file with it at most; the others are scanned again.
"""

from __future__ import annotations

import multiprocessing
import re
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tavo.plugins import Finding, Location, Step
from tavo.progress import Reporter
from tavo.scan.files import SourceFile, UnreadableError, decode, read
from tavo.scan.languages.python import ParsedFile, identifiers, parse
from tavo.scan.match import BudgetError, Env, Match
from tavo.scan.rules import RuleSet, ScanRule, load_rules
from tavo.scan.suppress import Ignore, Ignores, find_ignores

__all__ = ["LARGEST_FILE", "FileResult", "Hit", "is_source", "scan", "scan_source"]

LARGEST_FILE = 2 << 20
_SUFFIXES = frozenset({".py", ".pyi", ".pyw"})
_BATCH = 24
_INLINE = 40
_MOST_HITS = 1_000
_MOST_LINES = 10
_LONGEST_LINE = 400
_VARIABLE = re.compile(r"\$(?:\.\.\.)?[A-Z_][A-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Hit:
    """A finding, and the ignore comment that covers it if there is one."""

    finding: Finding
    ignore: Ignore | None


@dataclass(frozen=True, slots=True)
class FileResult:
    """What came of one file. `scanned` is false where no rule looked at it."""

    path: PurePosixPath
    hits: tuple[Hit, ...] = ()
    problems: tuple[str, ...] = ()
    scanned: bool = True


def is_source(path: PurePosixPath) -> bool:
    """Tell whether the engine has a parser for the file."""
    return path.suffix.lower() in _SUFFIXES


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
                yield _scan_file(file, rules, largest)
                listener.advance()
        else:
            for result in _scan_parallel(files, rule_paths, jobs, largest):
                yield result
                listener.advance()
    finally:
        listener.end()


def scan_source(data: bytes, path: PurePosixPath, rules: RuleSet) -> FileResult:
    """Scan UTF-8 source that is in memory."""
    names = identifiers(data)
    text = str(path)
    candidates = [
        rule for rule in rules.rules.values() if rule.possible(names) and rule.applies_to(text)
    ]
    if not candidates:
        return FileResult(path)
    file = parse(data)
    problems = list(file.problems)
    ignores = find_ignores(file)
    problems += ignores.problems
    hits: dict[tuple[str, int, int], Hit] = {}
    for rule in candidates:
        try:
            for match, steps in _matches(rule, file):
                if len(hits) >= _MOST_HITS:
                    problems.append(f"more than {_MOST_HITS} findings: the rest was left out")
                    break
                key = (rule.rule.id, match.start, match.end)
                if key not in hits:
                    hits[key] = _hit(rule, match, steps, file, path, ignores)
        except (BudgetError, RecursionError) as error:
            reason = str(error) if isinstance(error, BudgetError) else "nested too deep"
            problems.append(f"rule {rule.rule.id} was stopped: {reason}")
    ordered = sorted(hits.values(), key=_order)
    return FileResult(path, tuple(ordered), tuple(dict.fromkeys(problems)))


# -- one file


def _scan_file(file: SourceFile, rules: RuleSet, largest: int) -> FileResult:
    if file.problem:
        return FileResult(file.relative, problems=(file.problem,), scanned=False)
    try:
        content = decode(read(file, largest=largest))
    except UnreadableError as error:
        return FileResult(file.relative, problems=(str(error),), scanned=False)
    if not content.is_text:
        return FileResult(file.relative, problems=("binary, not source",), scanned=False)
    return scan_source(content.data, file.relative, rules)


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
        fix=_filled(rule.fix, match.env, shorten=False) if rule.fix is not None else None,
    )
    line = location.region.start_line if location.region is not None else 0
    return Hit(finding, ignores.of(rule.rule.id, line))


def _locate(file: ParsedFile, path: PurePosixPath, start: int, end: int) -> Location:
    region = file.source.region(start, end)
    last = min(region.end_line, region.start_line + _MOST_LINES - 1)
    lines = file.source.lines(region.start_line, last).split("\n")
    snippet = "\n".join(line[:_LONGEST_LINE] for line in lines)
    return Location(path=path, region=region, snippet=snippet)


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


# -- many processes


_loaded: tuple[RuleSet, int] | None = None


def _start_worker(rule_paths: Sequence[Path], largest: int) -> None:
    global _loaded
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _loaded = (load_rules(rule_paths), largest)


def _scan_batch(files: Sequence[SourceFile]) -> list[FileResult]:
    if _loaded is None:
        raise RuntimeError("the worker was not started by _start_worker")
    rules, largest = _loaded
    return [_scan_file(file, rules, largest) for file in files]


def _scan_parallel(
    files: Sequence[SourceFile], rule_paths: Sequence[Path], jobs: int, largest: int
) -> Iterator[FileResult]:
    batches = [list(files[at : at + _BATCH]) for at in range(0, len(files), _BATCH)]
    at = 0
    while at < len(batches):
        pool = _pool(rule_paths, jobs, largest)
        try:
            for done in _ordered(pool, batches[at:], jobs):
                at += 1
                yield from done
        except BrokenProcessPool:
            # Some file killed a process. Scan this batch file by file, then go on.
            yield from _one_by_one(batches[at], rule_paths, largest)
            at += 1
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _ordered(
    pool: Executor, batches: Sequence[Sequence[SourceFile]], jobs: int
) -> Iterator[list[FileResult]]:
    """Yield results in order, with a few batches under way beyond the one that is waited for."""
    waiting: list[Future[list[FileResult]]] = []
    upcoming = iter(batches)
    for batch in upcoming:
        waiting.append(pool.submit(_scan_batch, batch))
        if len(waiting) > jobs * 3:
            yield waiting.pop(0).result()
    while waiting:
        yield waiting.pop(0).result()


def _one_by_one(
    files: Sequence[SourceFile], rule_paths: Sequence[Path], largest: int
) -> Iterator[FileResult]:
    for file in files:
        with _pool(rule_paths, 1, largest) as pool:
            try:
                yield from pool.submit(_scan_batch, [file]).result()
            except BrokenProcessPool:
                yield FileResult(
                    file.relative, problems=("the scanner died on this file",), scanned=False
                )


def _pool(rule_paths: Sequence[Path], jobs: int, largest: int) -> ProcessPoolExecutor:
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    return ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context(method),
        initializer=_start_worker,
        initargs=(tuple(rule_paths), largest),
    )
