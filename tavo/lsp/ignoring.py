"""Where a comment can stand that ignores a finding: tried, never guessed.

Rules this module keeps:
- a place counts if the scanner, reading the changed text, sees the comment and lets it speak for
  the finding's line; a line inside a string or behind a `\\` is no such place;
- the comment does not hold before somebody has put a reason in the place of the placeholder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath

from tavo.lsp.exchange import Insertion
from tavo.scan.files import UnreadableError, decode
from tavo.scan.languages import language_at, parse_as
from tavo.scan.parsed import ParsedFile
from tavo.scan.suppress import PLACEHOLDER, find_ignores

__all__ = ["insertion"]

_REASON = "a reason"
_SIGNS = {
    "python": ("# ", ""), "javascript": ("// ", ""), "yaml": ("# ", ""), "dockerfile": ("# ", ""),
}  # fmt: skip
_SIGNS_OF_TEXT = {
    **dict.fromkeys((".md", ".html", ".htm", ".xml", ".vue", ".svg"), ("<!-- ", " -->")),
    **dict.fromkeys((".sql", ".lua"), ("-- ", "")),
    **dict.fromkeys((".go", ".rs", ".java", ".c", ".cc", ".cpp", ".h", ".cs", ".kt", ".swift",
                     ".php", ".jsonc", ".scss"), ("// ", "")),
    ".css": ("/* ", " */"),
}  # fmt: skip
_JSX = "{/* "
_LARGEST = 4 << 20


def insertion(path: PurePosixPath, content: bytes, rule: str, line: int) -> Insertion | None:
    """Return where the comment goes for a rule at a line, from 1; None where no place will do."""
    if len(content) > _LARGEST:
        return None
    try:
        text = decode(content).data.decode("utf-8", "replace")
    except UnreadableError:
        return None
    lines = text.split("\n")
    if not 1 <= line <= len(lines):
        return None
    here = lines[line - 1].rstrip("\r")
    joined = line > 1 and lines[line - 2].rstrip("\r").endswith("\\")
    for at_end, written in _ways(path, here, rule):
        if not at_end and joined and language_at(path) != "dockerfile":
            continue
        tried = list(lines)
        if at_end:
            tried[line - 1] = here + written.replace(PLACEHOLDER, _REASON)
        else:
            tried.insert(line - 1, written.replace(PLACEHOLDER, _REASON))
        where = line if at_end else line + 1
        same = language_at(path) != "json" and _JSX not in written
        if _holds(path, "\n".join(tried), rule, where, text, same=same):
            return Insertion(line, at_end, written if at_end else f"{written}\n")
    return None


def _ways(path: PurePosixPath, here: str, rule: str) -> Iterator[tuple[bool, str]]:
    """Yield ways to write it: whether at the end of the line, and the text."""
    indent = here[: len(here) - len(here.lstrip())]
    body = f"tavo: ignore[{rule}] {PLACEHOLDER}"
    language = language_at(path)
    if language == "json":
        yield False, f'{indent}"//": "{body}",'
        return
    known = _SIGNS.get(language or "") or _SIGNS_OF_TEXT.get(path.suffix.lower(), ("# ", ""))
    sign, end = known
    yield False, f"{indent}{sign}{body}{end}"
    yield True, f"  {sign}{body}{end}"
    if language == "javascript":
        yield True, f"  {_JSX}{body} */}}"


def _holds(
    path: PurePosixPath, text: str, rule: str, line: int, before: str, *, same: bool
) -> bool:
    """Tell whether the comment speaks for the line, and the rest means what it meant.

    `same`: the comment leaves no trace in the tree.
    """
    if language_at(path) == "json":
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return False
    changed, original = _parsed(path, text), _parsed(path, before)
    found = find_ignores(changed).of(rule, line)
    if found is None or found.reason != _REASON or found.rules != frozenset({rule}):
        return False
    if changed.problems and not original.problems:
        return False
    return not same or _meaning(changed) == _meaning(original)


def _parsed(path: PurePosixPath, text: str) -> ParsedFile:
    return parse_as(text.encode("utf-8", "replace"), language_at(path) or "regex", path)


def _meaning(file: ParsedFile) -> list[tuple[str, str | None, str | None, str]]:
    return [(node.kind, node.label, node.value, node.op) for node in file.root.walk()]
