"""Findings as the protocol says them: diagnostics, hover text, code actions.

Rules this module keeps:
- text out of the opened project is data: no control character reaches the editor, and in Markdown
  nothing of it is markup; what a rule says about itself is the user's and may be Markdown;
- links lead to `https:` addresses of rules and of the taxonomies, nowhere else.

Source: LSP 3.17; CWE's and OWASP's pages for the links.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tavo.lsp.findings import Shown
from tavo.lsp.lines import Encoding, Lines, Position, Range, Span
from tavo.lsp.protocol import Client
from tavo.plugins import Location, Rule, Severity
from tavo.printable import one_line, printable

__all__ = [
    "comment_line", "diagnostic", "edit_of", "help_text", "link_of", "problem_diagnostic",
    "range_in",
]  # fmt: skip

SOURCE = "tavo"
_SEVERITIES = {
    Severity.CRITICAL: 1, Severity.HIGH: 1, Severity.MEDIUM: 2, Severity.LOW: 3, Severity.INFO: 4,
}  # fmt: skip
_MOST_STEPS = 40
_LONGEST = 4_000
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&:@$])")
_COMMENT = re.compile(r"line ([0-9]{1,9}): `tavo: ignore")
_LINK = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]+)?(?:[/?#][^\s<>()\[\]\"'`\\]*)?\Z")

Locate = Callable[[Location], tuple[str, Range] | None]
"""What returns a location's URI and range, None for one that has none."""


def diagnostic(one: Shown, client: Client, locate: Locate) -> dict[str, Any]:
    """Return a finding as a diagnostic."""
    value: dict[str, Any] = {
        "range": one.spot.range,
        "severity": _SEVERITIES[one.finding.severity],
        "code": one.rule.id,
        "source": SOURCE,
        "message": printable_text(one.finding.message),
        "data": {"finding": one.key},
    }
    link = link_of(one.rule)
    if client.described and link:
        value["codeDescription"] = {"href": link}
    if client.related and one.finding.flow:
        value["relatedInformation"] = list(_steps(one, locate))
    return value


def comment_line(problem: str) -> int | None:
    """Return the line of the ignore comment that a problem is about, None for another problem."""
    found = _COMMENT.match(problem)
    return int(found[1]) if found is not None else None


def problem_diagnostic(problem: str, where: Range | None = None) -> dict[str, Any]:
    """Return a problem as a diagnostic: of a comment where it is, else at the beginning."""
    if where is not None:
        text = problem.partition(": ")[2]
        return {
            "range": where, "severity": 2, "source": SOURCE, "code": "comment",
            "message": printable_text(text),
        }  # fmt: skip
    return {
        "range": Range(Position(0, 0), Position(0, 0)),
        "severity": 3,
        "source": SOURCE,
        "code": "not-in-full",
        "message": printable_text(f"Not looked at in full: {problem}"),
    }


def range_in(location: Location, encoding: Encoding) -> Range:
    """Return a location's range in a file that is not open, from the lines that it brings along."""
    region = location.region
    if region is None:
        return Range(Position(0, 0), Position(0, 0))
    lines = Lines(location.snippet, encoding)
    above = region.start_line - 1
    span = Span(1, region.start_column, region.end_line - above, region.end_column)
    if span.end_line > location.snippet.count("\n") + 1:  # more lines than are shown
        span = Span(1, region.start_column, 1, len(lines.content(0)) + 1)
    found = lines.range_of(span)
    return Range(
        Position(found.start.line + above, found.start.character),
        Position(found.end.line + above, found.end.character),
    )


def help_text(shown: Sequence[Shown], client: Client) -> dict[str, Any] | None:
    """Return the help for findings at one place, None for none."""
    if not shown:
        return None
    markdown = client.markup == "markdown"
    parts = [_help(one, markdown=markdown) for one in shown]
    return {
        "contents": {"kind": client.markup, "value": "\n\n---\n\n".join(parts)},
        "range": shown[0].spot.range,
    }


def edit_of(uri: str, version: int | None, edits: list[Any], client: Client) -> dict[str, Any]:
    """Return edits of a document as a change of the workspace, for one version if possible."""
    if client.edits_versions:
        document = {"uri": uri, "version": version}
        return {"documentChanges": [{"textDocument": document, "edits": edits}]}
    return {"changes": {uri: edits}}


def link_of(rule: Rule) -> str | None:
    """Return the address of a rule's first reference, None where it has none."""
    return next((one for one in rule.references if _LINK.match(one)), None)


def printable_text(text: str) -> str:
    """Return foreign text without anything that could steer an editor, bounded in length."""
    shown = "\n".join(printable(line) for line in text[:_LONGEST].split("\n"))
    return shown if len(text) <= _LONGEST else f"{shown}…"


def _steps(one: Shown, locate: Locate) -> Iterable[dict[str, Any]]:
    """Yield the steps of a flow; of a long one the first and the last, and how many are not."""
    flow = one.finding.flow
    half = _MOST_STEPS // 2
    chosen = flow if len(flow) <= _MOST_STEPS else (*flow[:half], *flow[-half:])
    left_out = len(flow) - len(chosen)
    for number, step in enumerate(chosen, start=1):
        place = locate(step.location)
        if place is None:
            continue
        more = f" ({left_out} steps are left out)" if left_out and number == half else ""
        uri, where = place
        yield {
            "location": {"uri": uri, "range": where},
            "message": one_line(step.message[:_LONGEST]) + more,
        }


def _help(one: Shown, *, markdown: bool) -> str:
    rule, finding = one.rule, one.finding
    code = f"`{rule.id}`" if markdown else rule.id
    title = f"**{_escaped(rule.title)}**" if markdown else rule.title
    message = printable_text(finding.message)
    lines = [
        title,
        f"{code} · {finding.severity.value} severity · {finding.confidence.value} confidence",
        _escaped(message) if markdown else message,
    ]
    if rule.help.strip():
        lines.append(rule.help.strip())
    if finding.flow:
        last = len(finding.flow)
        lines.append(
            f"The data takes {last} steps: the first is in line "
            f"{_line(finding.flow[0].location)} of {_path(finding.flow[0].location, markdown)}."
        )
    links = [*_taxa(rule, markdown=markdown)]
    if links:
        lines.append(" · ".join(links))
    lines += [f"<{one}>" if markdown else one for one in rule.references if _LINK.match(one)]
    comment = f"tavo: ignore[{rule.id}] why this is safe here"
    lines.append(
        f"To accept this place, with a reason: `{comment}` in a comment"
        if markdown
        else f"To accept this place, with a reason: {comment} in a comment"
    )
    return "\n\n".join(lines)


def _line(location: Location) -> int:
    return location.region.start_line if location.region is not None else 1


def _path(location: Location, markdown: bool) -> str:
    text = printable(str(location.path))
    return _escaped(text) if markdown else text


def _taxa(rule: Rule, *, markdown: bool) -> Iterable[str]:
    for entry in (*rule.cwe, *rule.owasp):
        address = _address(entry)
        yield f"[{entry}]({address})" if markdown else f"{entry} {address}"


def _address(entry: str) -> str:
    if entry.startswith("CWE-"):
        return f"https://cwe.mitre.org/data/definitions/{entry.removeprefix('CWE-')}.html"
    if entry.startswith("LLM"):
        return "https://genai.owasp.org/llm-top-10/"
    return "https://genai.owasp.org/"


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\1", printable_text(text))
