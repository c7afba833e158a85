"""Pattern text in Semgrep's syntax -> a tree of the same nodes as source, with placeholders.

Rules this module keeps:
- what Semgrep adds to a language (`$X`, `...`, `$...X`, `<... ...>`) becomes identifiers that no
  source can contain, so that one parser serves both;
- a pattern that does not parse, or uses what is not supported, is an error that names it.

Source of the syntax: Semgrep's documentation, "Pattern syntax".
"""

from __future__ import annotations

import re
import textwrap

import msgspec

from tavo.scan.languages import parse_pattern_of
from tavo.scan.parsed import ParsedFile
from tavo.scan.placeholders import DEEP, ELLIPSIS, TYPED, PatternError, variable_of
from tavo.scan.tree import Node

__all__ = ["DEEP", "ELLIPSIS", "TYPED", "Pattern", "PatternError", "parse_pattern", "variable_of"]


_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")
_ASCII_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")


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
                if not name.startswith(b"TAVO__") and _ASCII_NAME.fullmatch(name):
                    names.add(name)
        return frozenset(names)


def parse_pattern(text: str, language: str = "python") -> Pattern:
    """Parse a pattern. Raises PatternError with what is wrong or not supported."""
    source = textwrap.dedent(text).strip("\n").rstrip()
    if not source.strip():
        raise PatternError("the pattern is empty")
    if len(source) > 20_000:
        raise PatternError("the pattern is longer than 20,000 characters")
    parsed = parse_pattern_of(language, source)
    if not parsed.root.children:
        raise PatternError("the pattern holds no code")
    return Pattern(text=text, parsed=parsed, statements=tuple(parsed.root.children))


def _is_type(node: Node) -> bool:
    """Tell whether a name of a pattern is the type of a typed metavariable."""
    for around in node.ancestors():
        call = around.parent
        if around.kind == "argument_list" and call is not None and call.children[0].label == TYPED:
            return True
    return False
