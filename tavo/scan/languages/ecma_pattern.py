"""Patterns for JavaScript and TypeScript: Semgrep's additions as names that the parser reads.

Rules this module keeps:
- `...` is a spread where a value follows it at once, else it stands for anything;
- a pattern that is no whole program is tried as an expression and as the member of a class.

Source of the syntax: Semgrep's documentation, "Pattern syntax", and comparing answers with it.
"""

from __future__ import annotations

import re

from tavo.scan.languages.ecmascript import parse, parse_typescript
from tavo.scan.parsed import ParsedFile
from tavo.scan.placeholders import DEEP, ELLIPSIS, TYPED, VARIABLE, VARIABLES, PatternError

__all__ = ["parse_ecma_pattern"]

_TOKEN = re.compile(
    r"""
    (?P<template>`(?:\\.|[^`\\])*`)
    | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    | (?P<comment>//[^\n]*|/\*.*?\*/)
    | (?P<anyregex>/\.\.\./)
    | (?P<deep><\.\.\.) | (?P<deepend>\.\.\.>)
    | (?P<many>\$\.\.\.[A-Z_][A-Z0-9_]*)
    | (?P<one>\$(?:[A-Z_][A-Z0-9_]*|[0-9]+)(?![a-z]))
    | (?P<loop>\bfor\s*\(\s*\.\.\.\s*\))
    | (?P<chain>\.\s*\.\.\.\s*\.) | (?P<dots>\.\.\.)
    """,
    re.VERBOSE | re.DOTALL,
)
_PAIR = re.compile(r"(?:[A-Za-z_$][\w$]*|\"[^\"\n]*\"|'[^'\n]*')\s*:\s*(?!for\b|while\b|do\b|\{)\S")
_BEFORE_SPREAD = frozenset("([,{")
_VALUE = re.compile(r"[\w$(\[{\"'`]")
_TYPE = re.compile(r"\s*:\s*([A-Za-z_][\w.]*(?:<[\w., <>]*>)?)\s*\)(?!\s*(?:=>|\{|:))")
_PARAMETERS = re.compile(r"(?:[\w$]|\))\s*\(\s*\Z")
_ATTRIBUTE = re.compile(r"<[\w$.]+(?:\s[^<>]*)?\s[\w-]+=\Z")


def parse_ecma_pattern(source: str) -> ParsedFile:
    """Parse the text of a pattern. Raises PatternError."""
    text = _placeholders(source)
    problem = ""
    for candidate, inner in _candidates(text):
        for read in (parse, parse_typescript):
            parsed = read(candidate.encode())
            if not parsed.problems:
                if inner:
                    first = parsed.root.children[0]
                    holder = first if first.kind == "dictionary" else first.children[-1]
                    parsed.root.children = holder.children
                return parsed
            problem = problem or parsed.problems[0]
    raise PatternError(f"the pattern is not JavaScript: {problem}")


def _candidates(text: str) -> list[tuple[str, bool]]:
    """Return the ways to read a pattern, each with whether it is what a class holds."""
    bare = text.strip().rstrip(";")
    if _PAIR.match(bare):  # an entry of an object, wherever it stands among others
        return [(f"({{{bare}}})", True), (text, False)]
    whole, expression, member = (text, False), (f"({bare})", False), (f"class A {{ {text} }}", True)
    # An object at the start of a statement would be a block.
    if bare.startswith("{") and bare.endswith("}"):
        return [expression, whole, member]
    return [whole, expression, member]


def _placeholders(source: str) -> str:
    out: list[str] = []
    position = depth = 0
    for token in _TOKEN.finditer(source):
        if token.start() < position:
            continue
        out.append(source[position : token.start()])
        position = token.end()
        kind, text = token.lastgroup, token.group()
        if kind == "template":
            out.append(_in_template(text))
        elif kind == "anyregex":
            out.append(f"/{ELLIPSIS}/")
        elif kind == "deep":
            depth += 1
            out.append(f"{DEEP}(")
        elif kind == "deepend" and depth:
            depth -= 1
            out.append(")")
        elif kind == "deepend":  # the last attribute of an element
            out.append(f"{ELLIPSIS}>")
        elif kind == "many":
            out.append(VARIABLES + text[4:])
        elif kind == "one":
            typed = _TYPE.match(source, token.end())
            if typed is not None and _opens_value(source[: token.start()]):
                out.append(f"{TYPED}({VARIABLE}{text[1:]}, {typed[1]})")
                position = typed.end() - 1
            else:
                out.append(VARIABLE + text[1:])
        elif kind == "loop":
            out.append(f"for ({ELLIPSIS} of {ELLIPSIS})")
        elif kind == "chain":
            out.append(f".{ELLIPSIS}.")
        elif kind == "dots":
            after = source[token.end() :]
            if _is_spread(source[: token.start()], after):
                out.append(text)
            elif _ATTRIBUTE.search(source[: token.start()]):
                out.append(f"{{{ELLIPSIS}}}")
            else:
                out.append(ELLIPSIS + _end_of_statement(source[: token.start()], after))
        else:
            out.append(text)
    out.append(source[position:])
    return "".join(out)


def _in_template(text: str) -> str:
    """Put placeholders into the substitutions of a template; leave its text alone."""
    return re.sub(r"\$\{([^{}]*)\}", lambda found: f"${{{_placeholders(found[1])}}}", text)


def _is_spread(before: str, after: str) -> bool:
    return bool(_VALUE.match(after)) and before.rstrip()[-1:] in _BEFORE_SPREAD


def _opens_value(before: str) -> bool:
    """Tell whether a parenthesis just before holds a value, not the parameters of a function."""
    stripped = before.rstrip()
    return stripped.endswith("(") and not _PARAMETERS.search(stripped)


def _end_of_statement(before: str, after: str) -> str:
    """Return the `;` that `...` needs where another statement or member follows on its line."""
    last, following = before.rstrip()[-1:], after.lstrip()[:1]
    starts = last in {"", "{", "}", ";"} or "\n" in before[len(before.rstrip()) :]
    continues = following in {
        "",
        ",",
        ";",
        ")",
        "]",
        "}",
        ".",
        ":",
        "=",
        "/",
        ">",
        "?",
        "+",
        "|",
        "&",
    }
    return ";" if starts and not continues else ""
