"""Whether a static plugin counts columns in characters: seen on what its own tests show it.

`ast` counts the bytes of UTF-8, which is the same as long as all text is ASCII, so no ordinary test
notices. Letters of two bytes are put before a finding, in a way that leaves most languages'
code as it was; a finding that moves by bytes is named.

Standard library only: it runs beside the plugin. Units: columns from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from tavo.plugins.types import Finding

__all__ = ["column_problems"]

_WIDE = "ü" * 8
_PREFIXES = (f'"{_WIDE}"; ', f"/* {_WIDE} */ ", f"{_WIDE} ")
_MOST_TEXTS = 20
_MOST_FINDINGS = 3
_LONGEST_TEXT = 64 << 10

Find = Callable[[Mapping[str, str]], Sequence[Finding]]


def column_problems(texts: Iterable[tuple[str, str, Find]]) -> list[str]:
    """Return what is wrong with columns. Each text has a path and how the plugin looks at it."""
    problems = []
    for number, (path, text, find) in enumerate(texts):
        if number >= _MOST_TEXTS:
            break
        if len(text) <= _LONGEST_TEXT and (problem := _problem(path, text, find)):
            problems.append(problem)
    return problems


def _problem(path: str, text: str, find: Find) -> str:
    lines = text.split("\n")
    for finding in find({path: text})[:_MOST_FINDINGS]:
        region = finding.location.region
        if region is None or str(finding.location.path) != path:
            continue
        if not 1 <= region.start_line <= len(lines):
            continue
        line = lines[region.start_line - 1]
        indent = len(line) - len(line.lstrip())
        if not indent < region.start_column or not line[: region.start_column].isascii():
            continue
        for prefix in _PREFIXES:
            changed = [*lines]
            changed[region.start_line - 1] = line[:indent] + prefix + line[indent:]
            columns = {
                one.location.region.start_column
                for one in find({path: "\n".join(changed)})
                if one.rule_id == finding.rule_id
                and one.location.region is not None
                and one.location.region.start_line == region.start_line
            }
            if region.start_column + len(prefix) in columns:
                break
            if region.start_column + len(prefix.encode()) in columns:
                return (
                    f"{path}:{region.start_line}: behind 'ü' its columns count bytes, not"
                    f" characters ({finding.rule_id})"
                )
    return ""
