"""Any text, for rules that are regular expressions or generic patterns: a file without a tree.

Rules this module keeps:
- what looks like the start of a comment in one of the usual languages may hold an ignore comment.
"""

from __future__ import annotations

import re

from tavo.scan.names import Imports
from tavo.scan.parsed import Comment, ParsedFile
from tavo.scan.tree import Node, SourceText

__all__ = ["comments_in", "parse"]

# JSON has no comments: there a key "//" holds what a comment would say.
_COMMENT = re.compile(
    rb"(?:\"//\d*\"[ \t]*:[ \t]*\"|#|//|/\*|<!--|--|;|%|\{\{!|\{#|\bREM\b)"
    rb"[ \t]*(?:nosem|tavo:)[^\n]*",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"\s*(?:-->|\*/|#\}|\}\})\s*\Z")
_KEY = re.compile(r"\"//\d*\"[ \t]*:[ \t]*\"([^\"]*)")
_OPENING = re.compile(r"^(?:<!--|--|;|%|\{\{!|\{#|REM)", re.IGNORECASE)


def parse(data: bytes, language: str = "regex") -> ParsedFile:
    """Wrap UTF-8 text as a file that has no tree."""
    root = Node("module", 0, len(data), None)
    return ParsedFile(
        language=language, source=SourceText(data), root=root, comments=comments_in(data),
        problems=[], by_kind={"module": [root]},
        read_imports=lambda file: Imports((), file.scopes),
    )  # fmt: skip


def comments_in(data: bytes) -> list[Comment]:
    """Return what looks like an ignore comment, written with `#`."""
    small = data.lower()
    if b"nosem" not in small and b"tavo:" not in small:
        return []
    out = []
    for found in _COMMENT.finditer(data):
        text = found.group().decode("utf-8", "replace")
        key = _KEY.match(text)
        text = f"# {key[1]}" if key is not None else _CLOSING.sub("", text)
        out.append(Comment(found.start(), _OPENING.sub("#", text)))
    return out
