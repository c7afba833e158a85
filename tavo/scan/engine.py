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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from tavo.covering import CREDENTIAL, Cover, Piece, in_texts
from tavo.plugins import Finding, Step
from tavo.scan.files import SourceFile, UnreadableError, decode, is_binary, read
from tavo.scan.languages import CODE, NOTEBOOK, TEXT_LANGUAGES, holds_no_code, language_at, parse_as
from tavo.scan.locations import locate, step_at
from tavo.scan.match import BudgetError, Env, Match
from tavo.scan.outline import Outline, encode_outline
from tavo.scan.parsed import ParsedFile, identifiers
from tavo.scan.regexes import LateError
from tavo.scan.results import FileResult, Hit
from tavo.scan.rule import RuleSet, ScanRule
from tavo.scan.secrets import Secret, secrets_of, without
from tavo.scan.suppress import Ignores, find_ignores
from tavo.scan.timing import Clock, TimeUpError, bounds_of

if TYPE_CHECKING:
    from tavo.scan.outlining import Outlining
    from tavo.scan.taint.marks import Ends

__all__ = [
    "LARGEST_FILE", "FileResult", "FileScan", "Hit", "guarded", "message_of", "no_collection",
    "scan", "scan_file", "scan_source",
]  # fmt: skip

_T = TypeVar("_T")

LARGEST_FILE = 2 << 20
_TEXT_SHARE = 8  # text costs little, and most of a notebook is what its cells printed
_INLINE = 40
_MOST_HITS = 1_000
_LONGEST_MESSAGE = 4_000
_LONGEST_FIX = 200_000
_VARIABLE = re.compile(r"\$(?:(?:\.\.\.)?[A-Za-z_][A-Za-z0-9_]*|[0-9]+)")


def scan(
    files: Sequence[SourceFile],
    rules: RuleSet,
    *,
    rule_paths: Sequence[Path],
    jobs: int = 1,
    largest: int = LARGEST_FILE,
    outlined: bool = False,
) -> Iterator[FileResult]:
    """Scan source files each by itself; yield one result each, in their order.

    `rules` were loaded from `rule_paths`, which other processes load again. `outlined`: with what
    each file tells the others. Closing the iterator stops the scan.
    """
    if len(files) > _INLINE:  # a parser that crashes takes a child with it, not the scan
        from tavo.scan.pool import scan_parallel

        yield from scan_parallel(
            files, rules, rule_paths=rule_paths, jobs=jobs, largest=largest, outlined=outlined
        )
        return
    for file in files:
        with no_collection():
            result = scan_file(file, rules, largest=largest, outlined=outlined)
        yield result


def scan_source(
    data: bytes, path: PurePosixPath, rules: RuleSet, *, outlined: bool = False
) -> FileResult:
    """Scan UTF-8 source that is in memory. `outlined`: with what it tells other files."""
    text = str(path)
    own = language_at(path)
    scan = FileScan(path, data)
    if outlined and own in CODE:
        from tavo.scan.outlining import Outlining

        scan.outlining = Outlining(path, rules, own or "")
    names: frozenset[bytes] = frozenset() if scan.outlining is None else identifiers(data)
    names_of_code = names
    for language in (own, *TEXT_LANGUAGES):
        if language is None or not rules.of(language):
            continue
        if language != "regex":  # expressions need no names
            names = names or identifiers(data)
        file: ParsedFile | None = None
        if path.suffix.lower() == NOTEBOOK and language == own:
            file = parse_as(data, language, path)  # the names of its code are not those of its JSON
        known = names if file is None else file.names
        chosen = rules.candidates(known, language)
        if language == own:
            names_of_code = known
        chosen = [rule for rule in chosen if rule.applies_to(text)]
        if not chosen:
            if file is not None:  # what of it was not read may hold what no rule asked for
                scan.problems += file.problems
            continue
        if file is None:
            file = parse_as(data, language, path)
            file.names = names
        if holds_no_code(path.name) and file.lasting:
            file.problems.clear()  # what did not parse is a type
        try:
            scan.run(file, chosen, _ignores(file, own, path))
            if scan.outlining is not None and language == own:
                scan.bounded(partial(scan.outlining.parsed, file))
                scan.outlining.look_for_ends(file, scan.clock)
        finally:
            file.release()
    if scan.outlining is not None:
        scan.outline = scan.outlining.outline(data, names_of_code)
    return scan.result()


# -- one file


def _ignores(file: ParsedFile, own: str | None, path: PurePosixPath) -> Ignores:
    """Return the ignore comments of a file; those of source are the ones its parser sees."""
    if file.comments and own in CODE and file.language in TEXT_LANGUAGES:
        parsed = parse_as(file.source.data, own, path)
        try:
            return find_ignores(parsed)
        finally:
            parsed.release()
    return find_ignores(file)


class FileScan:
    """What rules found in one file so far, and how long they took."""

    def __init__(self, path: PurePosixPath, data: bytes) -> None:
        self.path = path
        self.clock = Clock(bounds_of(data))
        self.problems: list[str] = []
        self.hits: dict[tuple[str, int, int], Hit] = {}
        self.secrets: dict[Piece, None] = {}
        self.lasting = True
        self.outlining: Outlining | None = None
        self.outline: Outline | None = None

    def run(self, file: ParsedFile, candidates: Sequence[ScanRule], ignores: Ignores) -> None:
        """Try rules on the file, parsed in their language."""
        self.problems += [*file.problems, *ignores.problems]
        self.lasting &= file.lasting
        self.each(candidates, lambda rule: self._run(rule, file, ignores))

    def each(self, rules: Sequence[ScanRule], work: Callable[[ScanRule], None]) -> None:
        """Do something with each rule for as long as there is time; what fails is a problem."""
        bounds = self.clock.bounds
        for number, rule in enumerate(rules):
            if self.clock.is_up:
                left = ", ".join(rule.rule.id for rule in rules[number:])
                self.problems.append(
                    f"{bounds.kind}stopped after {bounds.file_s:g} s, without {left}"
                )
                self.lasting = False
                break
            try:
                with self.clock.one():
                    work(rule)
            except (TimeUpError, LateError) as error:
                reason = (
                    f"more than {bounds.rule_s:g} s" if isinstance(error, TimeUpError) else error
                )
                self.problems.append(f"{bounds.kind}rule {rule.rule.id} was stopped: {reason}")
                self.lasting = False
            except (BudgetError, RecursionError) as error:
                reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
                self.problems.append(f"rule {rule.rule.id} was stopped: {reason}")

    def bounded(self, work: Callable[[], _T]) -> _T | None:
        """Return what some work returns that no rule pays for; what fails is a problem."""
        try:
            with self.clock.one():
                return work()
        except (TimeUpError, RecursionError) as error:
            reason = "too deep" if isinstance(error, RecursionError) else "too much"
            self.problems.append(
                f"{self.clock.bounds.kind}not looked at with other files: it calls {reason}"
            )
            self.lasting &= isinstance(error, RecursionError)
            return None

    def _run(self, rule: ScanRule, file: ParsedFile, ignores: Ignores) -> None:
        heard = None
        if self.outlining is not None and rule.follows_calls:
            heard = partial(self.outlining.note, rule, file)
        tagged: dict[tuple[str, int, int], tuple[Match, _Steps, list[Secret]]] = {}
        try:
            for match, steps in _matches(rule, file, heard):
                if len(self.hits) + len(tagged) >= _MOST_HITS:
                    self.problems.append(f"more than {_MOST_HITS} findings: the rest was left out")
                    break
                key = (rule.rule.id, match.start, match.end)
                if CREDENTIAL in rule.rule.tags:  # several matches of one place, several secrets
                    _, _, secrets = tagged.setdefault(key, (match, steps, []))
                    secrets += secrets_of(rule, match.start, match.end, match.env, file)
                elif key not in self.hits:
                    self.hits[key] = _hit(rule, match, steps, file, self.path, ignores)
        finally:
            for key, (match, steps, secrets) in tagged.items():
                self.secrets.update((piece, None) for one in secrets for piece in one.pieces)
                if key not in self.hits:
                    self.hits[key] = _hit(
                        rule, match, steps, file, self.path, ignores, secrets=secrets
                    )

    def result(self) -> FileResult:
        """Return all of it, in the order of the source."""
        ordered = sorted(self.hits.values(), key=_order)
        if self.secrets:
            cover = Cover(self.secrets)
            ordered = [replace(one, finding=in_texts(one.finding, [cover])) for one in ordered]
        problems = tuple(dict.fromkeys(self.problems))
        outline = None if self.outline is None else encode_outline(self.outline)
        return FileResult(
            self.path, tuple(ordered), problems, lasting=self.lasting, outline=outline,
            secrets=tuple(self.secrets),
        )  # fmt: skip


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the garbage collector from walking a tree that is let go of as a whole."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def scan_file(
    file: SourceFile, rules: RuleSet, *, largest: int = LARGEST_FILE, outlined: bool = False
) -> FileResult:
    """Read and scan one file. `outlined`: with what it tells the other files of the scan."""
    if file.problem:
        return FileResult(file.relative, problems=(file.problem,), scanned=False)
    try:
        is_source = language_at(file.relative) in CODE
        if not is_source and is_binary(file):
            return FileResult(file.relative, scanned=False)  # no text, so no rule is for it
        if not is_source or file.relative.suffix.lower() == NOTEBOOK:
            largest *= _TEXT_SHARE
        data = read(file, largest=largest)
        content = decode(data, lossy=not is_source)
    except UnreadableError as error:
        return FileResult(file.relative, problems=(str(error),), scanned=False)
    if not content.is_text:
        return FileResult(file.relative, problems=("binary, not source",), scanned=False)
    result = guarded(lambda: scan_source(content.data, file.relative, rules, outlined=outlined))
    if isinstance(result, str):
        return FileResult(file.relative, problems=(result,), scanned=False)
    return replace(result, content=hashlib.sha256(data).digest())


def guarded(work: Callable[[], _T]) -> _T | str:
    """Return what some work on one file returns, or a sentence about the defect that stopped it.

    A defect of ours on one hostile file must not hide what is in the others.
    """
    try:
        return work()
    except MemoryError:
        return "needs more memory than one file may take"
    except Exception as error:  # noqa: BLE001
        return f"a defect of tavo stopped the scan of this file: {type(error).__name__}: {error}"


_Steps = tuple[tuple[int, int, str] | Step, ...]


def _matches(
    rule: ScanRule,
    file: ParsedFile,
    heard: Callable[[Ends], None] | None,
) -> Iterator[tuple[Match, _Steps]]:
    if rule.taint is not None:
        from tavo.scan.taint import analyze

        for found in analyze(file, rule.taint, heard=heard):
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
    *,
    secrets: Sequence[Secret] = (),
) -> Hit:
    shown = without(match.env, secrets)
    location = locate(file, path, match.start, match.end)
    where = file.source.where(match.start)
    finding = Finding(
        rule_id=rule.rule.id,
        message=message_of(rule, shown) + (f" ({where})" if where else ""),
        location=location,
        severity=rule.rule.severity,
        confidence=rule.rule.confidence,
        evidence={name: short(value.text) for name, value in sorted(shown.items())},
        flow=tuple(
            step if isinstance(step, Step) else step_at(file, path, *step) for step in steps
        ),
        fix=_fix(rule, match, file),
    )
    line = location.region.start_line if location.region is not None else 0
    return Hit(finding, ignores.of(rule.rule.id, line))


def message_of(rule: ScanRule, env: Env) -> str:
    """Return a rule's message for one finding, bounded in length."""
    text = _filled(rule.message[:_LONGEST_MESSAGE], env)
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


def _fix(rule: ScanRule, match: Match, file: ParsedFile) -> str | None:
    if rule.fix is not None:
        known = {name: len(value.text) for name, value in match.env.items()}
        size = sum(known.get(found, 0) for found in _VARIABLE.findall(rule.fix))
        if size + len(rule.fix) > _LONGEST_FIX:
            return None
        return _filled(rule.fix, match.env, shorten=False)
    if rule.fix_regex is not None:
        before = file.source.text(match.start, match.end)
        after = rule.fix_regex.applied(before)
        return after if after != before else None
    return None


def _filled(text: str, env: Env, *, shorten: bool = True) -> str:
    """Return a text with the metavariables in it replaced by what they are bound to."""

    def value(found: re.Match[str]) -> str:
        binding = env.get(found.group())
        if binding is None:
            return found.group()
        return short(binding.text) if shorten else binding.text

    return _VARIABLE.sub(value, text)


def short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:79] + "…"


def _order(hit: Hit) -> tuple[int, int, str]:
    region = hit.finding.location.region
    if region is None:
        return (0, 0, hit.finding.rule_id)
    return (region.start_line, region.start_column, hit.finding.rule_id)
