"""The languages that rules are written for: which files are theirs, and who parses them.

Rules this module keeps:
- a language's parser is imported when its first file or pattern is there;
- several names of rule files mean one language: TypeScript's patterns are those of JavaScript.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tavo.scan.parsed import ParsedFile

__all__ = [
    "LANGUAGES", "SUFFIXES", "is_source", "language_of", "parse_file", "parse_pattern_of",
]  # fmt: skip

LANGUAGES = {
    "python": "python", "py": "python", "python2": "python", "python3": "python",
    "javascript": "javascript", "js": "javascript", "jsx": "javascript",
    "typescript": "javascript", "ts": "javascript", "tsx": "javascript",
}  # fmt: skip
"""The names that rule files use, and the language that each one means here."""

SUFFIXES = {
    ".py": "python", ".pyi": "python", ".pyw": "python",
    ".js": "javascript", ".jsx": "javascript", ".mjs": "javascript", ".cjs": "javascript",
    ".ts": "javascript", ".tsx": "javascript", ".mts": "javascript", ".cts": "javascript",
}  # fmt: skip
"""The ends of file names, in small letters, and the language of such files."""

_TYPESCRIPT = frozenset({".ts", ".mts", ".cts"})


def language_of(suffix: str) -> str | None:
    """Return the language of files with this end of their name, such as `.py`, or None."""
    return SUFFIXES.get(suffix.lower())


def is_source(path: PurePosixPath) -> bool:
    """Tell whether the engine has a parser for the file."""
    return language_of(path.suffix) is not None


def parse_file(data: bytes, suffix: str) -> ParsedFile:
    """Parse UTF-8 source by the end of its file's name, Python where there is none."""
    if language_of(suffix) == "javascript":
        from tavo.scan.languages import ecmascript

        if suffix.lower() in _TYPESCRIPT:
            return ecmascript.parse_typescript(data)
        return ecmascript.parse(data)
    from tavo.scan.languages.python import parse

    return parse(data)


def parse_pattern_of(language: str, source: str) -> ParsedFile:
    """Parse the text of a pattern for a language. Raises PatternError."""
    if language == "javascript":
        from tavo.scan.languages.ecma_pattern import parse_ecma_pattern

        return parse_ecma_pattern(source)
    from tavo.scan.languages.python_pattern import parse_python_pattern

    return parse_python_pattern(source)
