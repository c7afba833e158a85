"""Pattern text in Semgrep's syntax -> a tree of the same nodes as source, with placeholders.

Rules this module keeps:
- what Semgrep adds to Python (`$X`, `...`, `$...X`, `<... ...>`) becomes identifiers that no
  source can contain, so that one parser serves both;
- a pattern that does not parse, or uses what is not supported, is an error that names it.

Source of the syntax: Semgrep's documentation, "Pattern syntax".
"""

from __future__ import annotations

import re
import textwrap

import msgspec

from tavo.scan.languages.python import ParsedFile, parse
from tavo.scan.tree import Node

__all__ = ["DEEP", "ELLIPSIS", "TYPED", "Pattern", "PatternError", "parse_pattern", "variable_of"]

ELLIPSIS = "TAVO__ELLIPSIS"
DEEP = "TAVO__DEEP"
TYPED = "TAVO__TYPED"
_VARIABLE = "TAVO__MV_"
_VARIABLES = "TAVO__MVS_"
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


_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")


class PatternError(ValueError):
    """The pattern cannot be used; the message names the construct."""


class Pattern(msgspec.Struct, frozen=True):
    """A parsed pattern: the file it was parsed from, and its statements."""

    text: str
    parsed: ParsedFile
    statements: tuple[Node, ...]

    @property
    def expression(self) -> Node | None:
        """Return the only statement if the pattern is one, else None."""
        return self.statements[0] if len(self.statements) == 1 else None

    def names(self) -> frozenset[bytes]:
        """Return the names that a file must contain for this pattern to match anywhere in it.

        The words of its strings are among them.
        """
        names = set()
        for statement in self.statements:
            for node in statement.walk():
                if node.kind == "string" and _WORD.fullmatch(node.value or ""):
                    names.add((node.value or "").encode())
                if node.kind != "identifier" or node.field == "alias" or _is_type(node):
                    continue
                name = (node.label or "").encode()
                if not name.startswith(b"TAVO__") and name.isascii():
                    names.add(name)
        return frozenset(names)


def variable_of(name: str) -> tuple[str, bool] | None:
    """Return the metavariable that a placeholder stands for, and whether it takes several nodes.

    `$X` is `("$X", False)`, `$...X` is `("$...X", True)`; None for any other name.
    """
    if name.startswith(_VARIABLE):
        return "$" + name[len(_VARIABLE) :], False
    if name.startswith(_VARIABLES):
        return "$..." + name[len(_VARIABLES) :], True
    return None


def parse_pattern(text: str) -> Pattern:
    """Parse a pattern. Raises PatternError with what is wrong or not supported."""
    source = textwrap.dedent(text).strip("\n").rstrip()
    if not source.strip():
        raise PatternError("the pattern is empty")
    if len(source) > 20_000:
        raise PatternError("the pattern is longer than 20,000 characters")
    parsed = parse(_placeholders(source).encode())
    if parsed.problems:
        raise PatternError(f"the pattern is not Python: {parsed.problems[0]}")
    if not parsed.root.children:
        raise PatternError("the pattern holds no code")
    return Pattern(text=text, parsed=parsed, statements=tuple(parsed.root.children))


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
            out.append(_VARIABLES + text[4:])
        elif kind == "one":
            typed = _typed(source, token.end(), brackets)
            if typed is None:
                out.append(_VARIABLE + text[1:])
            else:
                name, position = typed
                out.append(f"{TYPED}({_VARIABLE}{text[1:]}, {name})")
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


def _is_type(node: Node) -> bool:
    """Tell whether a name of a pattern is the type of a typed metavariable."""
    for around in node.ancestors():
        call = around.parent
        if around.kind == "argument_list" and call is not None and call.children[0].label == TYPED:
            return True
    return False


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
