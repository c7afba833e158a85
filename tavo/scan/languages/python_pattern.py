"""Patterns for Python: Semgrep's additions as names, so that Python's parser reads them.

Source of the syntax: Semgrep's documentation, "Pattern syntax".
"""

from __future__ import annotations

import re

from tavo.scan.languages.python import parse
from tavo.scan.parsed import ParsedFile
from tavo.scan.placeholders import DEEP, ELLIPSIS, TYPED, VARIABLE, VARIABLES, PatternError

__all__ = ["parse_python_pattern"]

_TOKEN = re.compile(
    r"""
    (?P<string>[A-Za-z]{0,2}(?:\"\"\".*?\"\"\"|'''.*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    | (?P<comment>\#[^\n]*)
    | (?P<deep><\.\.\.) | (?P<deepend>\.\.\.>)
    | (?P<many>\$\.\.\.[A-Z_][A-Z0-9_]*)
    | (?P<one>\$(?:[A-Z_][A-Z0-9_]*|[0-9]+))
    | (?P<chain>\.\s*\.\.\.\s*\.) | (?P<dots>\.\.\.)
    | (?P<open>[(\[{]) | (?P<close>[)\]}])
    | (?P<foreign>\$\S*)
    """,
    re.VERBOSE | re.DOTALL,
)


def parse_python_pattern(source: str) -> ParsedFile:
    """Parse the text of a pattern. Raises PatternError."""
    parsed = parse(_placeholders(source).encode())
    if parsed.problems:
        raise PatternError(f"the pattern is not Python: {parsed.problems[0]}")
    return parsed


def _placeholders(source: str) -> str:
    out: list[str] = []
    brackets: list[str] = []
    position = 0
    for token in _TOKEN.finditer(source):
        out.append(source[position : token.start()])
        position = token.end()
        kind, text = token.lastgroup, token.group()
        if kind == "deep":
            out.append(f"{DEEP}(")
            brackets.append("<")
        elif kind == "deepend":
            if not brackets or brackets.pop() != "<":
                raise PatternError("'...>' without '<...'")
            out.append(")")
        elif kind == "many":
            out.append(VARIABLES + text[4:])
        elif kind == "one":
            typed = _typed(source, token.end(), brackets)
            if typed is None:
                out.append(VARIABLE + text[1:])
            else:
                name, position = typed
                out.append(f"{TYPED}({VARIABLE}{text[1:]}, {name})")
        elif kind == "chain":
            out.append(f".{ELLIPSIS}.")
        elif kind == "dots":
            in_dict = bool(brackets) and brackets[-1] == "{" and _is_item(source, token)
            out.append(f"**{ELLIPSIS}" if in_dict and _has_pairs(source, token) else ELLIPSIS)
        elif kind == "string":
            out.append(_in_string(text))
        elif kind == "foreign":
            raise PatternError(f"{text!r} is not a metavariable: use capitals, like $X or $...X")
        else:
            if kind == "open":
                of_def = re.search(r"\b(?:def|class)\s+[\w$.]+\s*\Z", source[: token.start()])
                brackets.append("def" if of_def else text)
            elif kind == "close" and brackets:
                brackets.pop()
            out.append(text)
    out.append(source[position:])
    return "".join(out)


def _typed(source: str, at: int, brackets: list[str]) -> tuple[str, int] | None:
    """Return the type that follows a metavariable among arguments, and where it ends."""
    if not brackets or brackets[-1] != "(":
        return None
    found = re.compile(r"\s*:\s*([A-Za-z_][\w.]*(?:\[[\w., \[\]]*\])?)(?=\s*[,)])").match(
        source, at
    )
    return (found.group(1), found.end()) if found else None


def _in_string(text: str) -> str:
    """Put placeholders into the replacement fields of an f-string; leave other strings alone."""
    if "f" not in text[: text.index(text[-1])].lower():
        return text
    out: list[str] = []
    position = 0
    for found in re.finditer(r"\{\{|\{([^{}]*)\}", text):
        if found.group(1) is not None:
            out.append(text[position : found.start(1)])
            out.append(_placeholders(found.group(1)))
            position = found.end(1)
    return "".join(out) + text[position:]


def _is_item(source: str, token: re.Match[str]) -> bool:
    before = source[: token.start()].rstrip()[-1:]
    after = source[token.end() :].lstrip()[:1]
    return before in {"{", ","} and after in {"}", ","}


def _has_pairs(source: str, token: re.Match[str]) -> bool:
    """Tell whether the braces around `...` hold `key: value` pairs, or nothing else."""
    depth, start = 0, token.start() - 1
    while start >= 0 and not (source[start] == "{" and depth == 0):
        depth += {")": 1, "]": 1, "}": 1, "(": -1, "[": -1, "{": -1}.get(source[start], 0)
        start -= 1
    depth, inside = 0, []
    for character in source[start + 1 :]:
        if character in "([{":
            depth += 1
        elif character in ")]}":
            if depth == 0:
                break
            depth -= 1
        elif depth == 0:
            inside.append(character)
    content = "".join(inside)
    return ":" in content or not content.replace(".", "").replace(",", "").strip()
