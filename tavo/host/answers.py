"""The rules and findings of a worker, judged. Nothing it sends is believed.

Rules this module keeps:
- a claim about something that was not asked is a violation: `ViolationError`;
- a finding that cannot hold (a line beyond the file, a rule that was not declared) is left out and
  named in a problem, so that the file counts as not completely analysed;
- texts lose control and direction characters and are cut at a limit; columns are cut to the line;
- code lines are taken from the content that the host holds, never from the worker; what a rule for
  credentials points at is covered in the lines of all findings about the file.

Pure functions, no I/O. Units: lines and columns from 1, lengths in characters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import msgspec

from tavo.covering import CREDENTIAL, Cover, Piece, pieces_of
from tavo.host.messages import At, Item, ViolationError, WireFinding, WireRule
from tavo.plugins.frames import MOST_FINDINGS_PER_FILE
from tavo.plugins.types import Confidence, Finding, Location, Region, Rule, Severity, Step

__all__ = ["Checked", "check_findings", "check_item", "check_rules", "clean"]

_LONGEST_TEXT = 4096
_LONGEST_HELP = 65536
_LONGEST_SNIPPET = 4096
_MOST_SNIPPET_LINES = 50
_MOST_EVIDENCE = 64
_MOST_PROBLEMS = 20

_UNSAFE_CODES = (
    *range(0x20), *range(0x7F, 0xA0),  # control
    0x061C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),
)  # fmt: skip
_UNSAFE = dict.fromkeys(_UNSAFE_CODES, "\N{REPLACEMENT CHARACTER}")
del _UNSAFE[0x09], _UNSAFE[0x0A]


@dataclass(frozen=True, slots=True)
class Checked:
    """The findings of one file that hold, and what was wrong with the others."""

    findings: tuple[Finding, ...]
    problems: tuple[str, ...]


def check_rules(declared: Sequence[WireRule]) -> dict[str, Rule]:
    """Return the declared rules by id. Raises ViolationError for one that cannot be a rule."""
    rules: dict[str, Rule] = {}
    for wire in declared:
        try:
            rule = Rule(
                id=wire.id,
                title=clean(wire.title, 200),
                severity=Severity(wire.severity),
                confidence=Confidence(wire.confidence),
                description=clean(wire.description),
                help=clean(wire.help, _LONGEST_HELP),
                cwe=tuple(wire.cwe[:32]),
                owasp=tuple(wire.owasp[:32]),
                tags=tuple(clean(tag, 100) for tag in wire.tags[:64]),
                references=tuple(clean(entry, 500) for entry in wire.references[:64]),
            )
        except ValueError as error:
            raise ViolationError(f"a rule that cannot be one: {clean(str(error), 200)}") from None
        if rule.id in rules:
            raise ViolationError(f"the rule {rule.id} is declared twice")
        rules[rule.id] = rule
    return rules


def check_item(
    item: Item,
    *,
    rules: Mapping[str, Rule],
    files: Mapping[int, PurePosixPath],
    lines_of: Callable[[int], Sequence[str] | None],
) -> Checked:
    """Judge the findings of one item, as `check_findings` does."""
    return check_findings(
        item.findings, capped=item.capped, rules=rules, files=files, lines_of=lines_of
    )


def check_findings(
    found: Sequence[WireFinding],
    *,
    capped: bool,
    rules: Mapping[str, Rule],
    files: Mapping[int, PurePosixPath],
    lines_of: Callable[[int], Sequence[str] | None],
) -> Checked:
    """Judge the findings of one answer.

    `files` are the files that they may be about, by number; `lines_of` gives the lines of one of
    them, None for a file that has no lines. Raises ViolationError for a foreign file.
    """
    lines_of = _covered(found, rules, lines_of)
    findings: list[Finding] = []
    problems: list[str] = []
    seen: set[bytes] = set()
    for wire in found:
        try:
            encoded = msgspec.json.encode(wire)
            if encoded in seen:
                continue
            seen.add(encoded)
            findings.append(_finding(wire, rules, files, lines_of))
        except ValueError as error:
            if len(problems) < _MOST_PROBLEMS:
                problems.append(clean(str(error), 300))
    if capped:
        problems.append(f"more than {MOST_FINDINGS_PER_FILE} findings; the rest is left out")
    return Checked(tuple(findings), tuple(problems))


def _covered(
    found: Sequence[WireFinding],
    rules: Mapping[str, Rule],
    lines_of: Callable[[int], Sequence[str] | None],
) -> Callable[[int], Sequence[str] | None]:
    """Return `lines_of` with stars over what rules for credentials point at, in all snippets.

    Where the same stands in its line again, that is covered, too.
    """
    regions: dict[int, list[tuple[int, int, int, int]]] = {}
    for wire in found:
        if wire.at.region and wire.rule in rules and CREDENTIAL in rules[wire.rule].tags:
            regions.setdefault(wire.at.file, []).append(wire.at.region)
    if not regions:
        return lines_of
    known: dict[int, Sequence[str] | None] = {}

    def covering(number: int) -> Sequence[str] | None:
        if number not in known:
            lines = lines_of(number)
            if lines is not None and number in regions:
                cover = Cover(_pieces(regions[number], lines))
                lines = [cover.line(at, line) for at, line in enumerate(lines, 1)]
            known[number] = lines
        return known[number]

    return covering


def _pieces(regions: Sequence[tuple[int, int, int, int]], lines: Sequence[str]) -> Iterator[Piece]:
    """Yield what regions point at, as far as they are regions of these lines."""
    for first, start, last, end in regions:
        try:
            region = Region(start_line=first, start_column=start, end_line=last, end_column=end)
        except ValueError:
            continue  # the finding is left out for that
        yield from pieces_of(region, lambda n: lines[n - 1] if n <= len(lines) else None)


def clean(text: str, limit: int = _LONGEST_TEXT) -> str:
    """Return the text without control, direction and half characters, cut at the limit."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut.translate(_UNSAFE)


def _finding(
    wire: WireFinding,
    rules: Mapping[str, Rule],
    files: Mapping[int, PurePosixPath],
    lines_of: Callable[[int], Sequence[str] | None],
) -> Finding:
    if wire.rule not in rules:
        raise ValueError(f"a finding names the rule {clean(wire.rule, 128)!r}, not declared")
    evidence = list(wire.evidence.items())[:_MOST_EVIDENCE]
    return Finding(
        rule_id=wire.rule,
        message=clean(wire.message),
        location=_location(wire.at, files, lines_of),
        severity=Severity(wire.severity),
        confidence=Confidence(wire.confidence),
        evidence={clean(key, 200): clean(value) for key, value in evidence},
        flow=tuple(
            Step(location=_location(step.at, files, lines_of), message=clean(step.message))
            for step in wire.flow
        ),
        fix=None if wire.fix is None else clean(wire.fix),
    )


def _location(
    at: At,
    files: Mapping[int, PurePosixPath],
    lines_of: Callable[[int], Sequence[str] | None],
) -> Location:
    path = files.get(at.file)
    if path is None:
        raise ViolationError(f"a finding is about file {at.file}, which was not asked")
    if at.region is None:
        return Location(path=path)
    lines = lines_of(at.file)
    if lines is None:
        raise ValueError(f"a finding names lines of {path}, which has none")
    start_line, start_column, end_line, end_column = at.region
    last = len(lines)
    if not 1 <= start_line <= end_line <= last:
        raise ValueError(f"a finding is about lines {start_line} to {end_line} of {last} in {path}")
    region = Region(
        start_line=start_line,
        start_column=min(start_column, len(lines[start_line - 1]) + 1),
        end_line=end_line,
        end_column=min(end_column, len(lines[end_line - 1]) + 1),
    )
    shown = lines[start_line - 1 : min(end_line, start_line - 1 + _MOST_SNIPPET_LINES)]
    return Location(path=path, region=region, snippet="\n".join(shown)[:_LONGEST_SNIPPET])
