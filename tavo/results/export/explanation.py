"""One rule or finding, explained for people and as JSON: why, the evidence, the way, the fix.

Rules this module keeps:
- everything is made printable: rules, findings and code come from anywhere;
- how to accept a finding is written out so that it can be copied, in the comment of that language;
- a fix is shown as a diff of the lines that are known, never of lines that are cut.

Units: widths in columns of a terminal.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

from tavo.plugins import Finding, Location, Rule, Step
from tavo.printable import one_line, printable
from tavo.results.export.text import Line, _code, _window, _wrapped
from tavo.results.values import Reported

__all__ = ["Accepting", "accepting", "explained", "explained_value", "rule_value"]

_MOST_CODE = 10
_REASON = "why it is safe here"
_SLASHES = frozenset({
    ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".go", ".java", ".kt", ".rs",
    ".c", ".cc", ".cpp", ".h", ".cs", ".swift", ".scala", ".php", ".dart", ".jsonc",
})  # fmt: skip
_ANGLES = frozenset({".md", ".mdc", ".html", ".htm", ".xml", ".svg", ".vue"})
_SIGNS = {".sql": "--", ".lua": "--", ".ini": ";", ".tex": "%"}


class Accepting(msgspec.Struct, frozen=True):
    """How to accept one place: the comment, and where it goes; empty where there is no comment."""

    comment: str
    where: str


def accepting(rule: Rule, tool: str, path: PurePosixPath | None, line: int) -> Accepting:
    """Return the comment that accepts a rule at a line of a file; of any file without a path."""
    text = f"tavo: ignore[{_name(rule, tool)}] {_REASON}"
    if path is None:
        return Accepting(f"# {text}", "at the end of the line, or alone on the line before it")
    suffix = path.suffix.lower()
    if suffix == ".json":
        return Accepting(f'"//": "{text}",', f"on the line before line {line}, in the same object")
    if suffix == ".ipynb":
        return Accepting(
            f"# {text}", "in the cell, at the end of the line or on the line before it"
        )
    if suffix in _ANGLES:
        comment = f"<!-- {text} -->"
    else:
        comment = f"{'//' if suffix in _SLASHES else _SIGNS.get(suffix, '#')} {text}"
    return Accepting(comment, f"at the end of line {line}, or alone on the line before it")


def explained(
    rule: Rule,
    tool: str,
    *,
    one: Reported | None = None,
    origin: str = "",
    yields_to: Sequence[str] = (),
    of_logs: bool = False,
    width: int = 100,
) -> Iterator[Line]:
    """Yield the explanation of a rule, or of a finding of it. `origin` says where that stands.

    `of_logs`: the rule is about records of logs, where there are no comments.

    `yields_to` are the rules in whose favour this one is left out where both find the same.
    """
    finding = one.finding if one is not None else None
    severity = finding.severity if finding is not None else rule.severity
    confidence = finding.confidence if finding is not None else rule.confidence
    yield (("bold", one_line(f"{rule.id}: {rule.title}")),)
    taxa = ", ".join((*rule.cwe, *rule.owasp, *_atlas(rule)))
    yield (
        (severity.value, f"{severity.value} severity"),
        ("", one_line(f", {confidence.value} confidence{'; ' if taxa else ''}{taxa}")),
    )
    if tool != "tavo":
        yield (("", one_line(f"of {tool}")),)
    if one is not None and finding is not None:
        yield from _finding(one, finding, origin, width)
    if rule.description.strip():
        yield from _section("Why it matters")
        yield from _paragraphs(rule.description, width)
    if yields_to:
        names = ", ".join(yields_to)
        yield ()
        yield from _paragraphs(
            f"Left out where one of these, which say more, finds the same: {names}", width
        )
    if rule.help.strip() and rule.help.strip() != rule.description.strip():
        yield from _section("How to mend it")
        yield from _paragraphs(rule.help, width)
    if finding is not None and finding.fix is not None:
        yield from _section("The fix that the rule suggests")
        for line in _diff(finding) or [f"replace it with: {one_line(finding.fix)[:400]}"]:
            yield (("good" if line[:1] == "+" else "bad" if line[:1] == "-" else "", f"  {line}"),)
    of_logs = of_logs or (finding is not None and _is_of_logs(finding))
    yield from _accepting(rule, tool, one, width, of_logs=of_logs)
    if rule.references:
        yield from _section("More about it")
        for reference in rule.references:
            yield (("", f"  {one_line(reference)}"),)


def explained_value(rule: Rule, tool: str, one: Reported, *, run: int | None) -> dict[str, Any]:
    """Return a finding and its rule as JSON-able values."""
    finding, suppression = one.finding, one.suppression
    region, of_logs = finding.location.region, _is_of_logs(finding)
    how = accepting(
        rule, tool, finding.location.path, region.start_line if region is not None else 0
    )
    return {
        "rule": {**rule_value(rule), "tool": tool},
        "run": run,
        "fingerprint": one.fingerprint,
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "message": finding.message,
        "location": _place_value(finding.location),
        "evidence": dict(finding.evidence),
        "flow": [
            {"message": step.message, "location": _place_value(step.location)}
            for step in finding.flow
        ],
        "fix": finding.fix,
        "diff": "\n".join(_diff(finding)) or None,
        "suppressed": None
        if suppression is None
        else {"kind": suppression.kind, "reason": suppression.reason, "line": suppression.line},
        "accept": {
            "comment": how.comment if region is not None and not of_logs else None,
            "where": "" if of_logs else how.where,
            "suppression": _entry(rule, tool, one),
        },
    }


def rule_value(rule: Rule) -> dict[str, Any]:
    """Return a rule as JSON-able values."""
    return {
        "id": rule.id, "title": rule.title, "severity": rule.severity.value,
        "confidence": rule.confidence.value, "description": rule.description, "help": rule.help,
        "cwe": list(rule.cwe), "owasp": list(rule.owasp), "atlas": _atlas(rule),
        "references": list(rule.references),
    }  # fmt: skip


# -- a finding


def _finding(one: Reported, finding: Finding, origin: str, width: int) -> Iterator[Line]:
    yield ()
    yield (("path", one_line(_place(finding.location))),)
    said = "" if finding.message == one.rule.description else finding.message
    for paragraph in said.splitlines():
        yield from _wrapped(paragraph, width, indent="  ")
    yield from _code(finding, width, most=_MOST_CODE)
    if one.suppression is not None:
        kind = "by a comment" if one.suppression.kind == "inSource" else "elsewhere"
        yield from _wrapped(
            f"It does not count, accepted {kind}: {one.suppression.reason}", width, indent="  "
        )
    if finding.evidence and finding.location.region is not None:
        yield from _section("Evidence")
        for name, value in sorted(finding.evidence.items()):
            yield from _wrapped(f"{name}: {value}", width, indent="  ")
    if finding.flow:
        yield from _section("How the data gets there")
        for number, step in enumerate(finding.flow, start=1):
            yield from _step(number, step, width)
    origin = f"fingerprint {one.fingerprint}{', ' if origin else ''}{origin}"
    yield ()
    yield from _wrapped(origin, width, indent="", style="dim")


def _step(number: int, step: Step, width: int) -> Iterator[Line]:
    yield from _wrapped(f"{number}. {_place(step.location)}: {step.message}", width, indent="  ")
    region = step.location.region
    if region is None or not step.location.snippet:
        return
    code = step.location.snippet.split("\n")[0]
    last = region.end_column - 1 if region.end_line == region.start_line else len(code)
    first = region.start_column - 1
    spans = [("code", code[:first]), ("marker", code[first:last]), ("code", code[last:])]
    yield (("gutter", f"{region.start_line:>9} | "), *_window(spans, width - 13))


def _place(location: Location) -> str:
    region = location.region
    if region is None:
        return str(location.path)
    return f"{location.path}:{region.start_line}:{region.start_column}"


def _place_value(location: Location) -> dict[str, Any]:
    region = location.region
    return {
        "path": str(location.path),
        "region": None
        if region is None
        else {
            "start_line": region.start_line, "start_column": region.start_column,
            "end_line": region.end_line, "end_column": region.end_column,
        },
        "snippet": location.snippet,
    }  # fmt: skip


def _diff(finding: Finding) -> Sequence[str]:
    """Return what the fix changes as a unified diff; nothing where not all lines are known."""
    region, fix = finding.location.region, finding.fix
    lines = finding.location.snippet.split("\n")
    if region is None or fix is None or len(lines) != region.end_line - region.start_line + 1:
        return []
    before, after = lines[0][: region.start_column - 1], lines[-1][region.end_column - 1 :]
    changed = f"{before}{fix}{after}".split("\n")
    path = one_line(str(finding.location.path))
    found = list(difflib.unified_diff(lines, changed, path, path, lineterm="", n=0))
    numbers = f"@@ -{region.start_line},{len(lines)} +{region.start_line},{len(changed)} @@"
    return [
        numbers if line.startswith("@@") and at == 2 else printable(line)
        for at, line in enumerate(found)
    ]


# -- parts


def _section(title: str) -> Iterator[Line]:
    yield ()
    yield (("heading", title),)


def _paragraphs(text: str, width: int) -> Iterator[Line]:
    """Yield Markdown as it is written; only long lines of prose are wrapped."""
    in_code = False
    for line in text.strip().split("\n"):
        fence = line.lstrip().startswith("```")
        in_code ^= fence
        if fence or in_code or not line.strip():
            yield (("", f"  {printable(line)}".rstrip()),)
        else:
            yield from _wrapped(line, width, indent="  ")


def _is_of_logs(finding: Finding) -> bool:
    """Tell whether a finding is about records of logs: they are counted in its evidence."""
    return "records" in finding.evidence


def _accepting(
    rule: Rule, tool: str, one: Reported | None, width: int, *, of_logs: bool
) -> Iterator[Line]:
    yield from _section("How to accept it, with a reason")
    location = one.finding.location if one is not None else None
    if of_logs:
        where = (
            "  in the file that --suppressions names, as a log has no comments, nor has a target:"
        )
        yield (("", where),)
    elif location is None or location.region is not None:
        line = location.region.start_line if location is not None and location.region else 0
        how = accepting(rule, tool, location.path if location is not None else None, line)
        yield from _wrapped(f"{how.where}:", width, indent="  ")
        yield (("code", f"    {one_line(how.comment)}"),)
        yield (("", "  or in the file that --suppressions names:"),)
    else:
        yield (("", "  it is about no line; in the file that --suppressions names:"),)
    yield (("code", f"    {one_line(_entry(rule, tool, one))}"),)


def _entry(rule: Rule, tool: str, one: Reported | None) -> str:
    """Return the line of a suppressions file that accepts a finding, or a rule in some files."""
    if one is not None and one.fingerprint:
        what = f"fingerprint: {one.fingerprint}"
    else:
        what = f'rule: "{_name(rule, tool)}", path: "some/folder/*"'
    return f'- {{{what}, reason: "{_REASON}", expires: YYYY-MM-DD}}'


def _name(rule: Rule, tool: str) -> str:
    return rule.id if tool == "tavo" else f"{tool}:{rule.id}"


def _atlas(rule: Rule) -> list[str]:
    """Return the techniques of MITRE ATLAS that a rule is about; they are among its tags."""
    return [tag for tag in rule.tags if tag.startswith("AML.")]
