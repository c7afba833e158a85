"""The languages that rules are written for: which files are theirs, and who parses them.

Rules this module keeps:
- a language's parser is imported when its first file or pattern is there;
- several names of rule files mean one language: TypeScript's patterns are those of JavaScript;
- a file is one of its own language, and of those that any text is one of.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from tavo.scan.timing import Limit, TimeUpError, is_limited, parsing_s

if TYPE_CHECKING:
    from tavo.scan.parsed import ParsedFile

__all__ = [
    "CODE",
    "DATA_LANGUAGES",
    "LANGUAGES",
    "NOTEBOOK",
    "SUFFIXES",
    "TEXT_LANGUAGES",
    "holds_no_code",
    "is_source",
    "language_at",
    "language_of",
    "parse_as",
    "parse_file",
    "parse_pattern_of",
    "parse_text",
]

CODE = frozenset({"python", "javascript"})
"""The languages that are read as code; all others are data or text."""

LANGUAGES = {
    "python": "python", "py": "python", "python2": "python", "python3": "python",
    "javascript": "javascript", "js": "javascript", "jsx": "javascript",
    "typescript": "javascript", "ts": "javascript", "tsx": "javascript",
    "regex": "regex", "none": "regex", "generic": "generic", "yaml": "yaml", "json": "json",
    "dockerfile": "dockerfile", "docker": "dockerfile",
}  # fmt: skip
"""The names that rule files use, and the language that each one means here."""

SUFFIXES = {
    ".py": "python", ".pyi": "python", ".pyw": "python", ".ipynb": "python",
    ".js": "javascript", ".jsx": "javascript", ".mjs": "javascript", ".cjs": "javascript",
    ".ts": "javascript", ".tsx": "javascript", ".mts": "javascript", ".cts": "javascript",
    ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".dockerfile": "dockerfile",
}  # fmt: skip
"""The ends of file names, in small letters, and the language of such files."""

TEXT_LANGUAGES = ("regex", "generic")
"""The languages of any text, whatever its file is called."""

NOTEBOOK = ".ipynb"
"""The end of the name of a notebook, whose cells are Python."""

DATA_LANGUAGES = frozenset({"yaml", "json"})
"""The languages that hold mappings, lists and scalars only."""

_DOCKERFILES = re.compile(r"(?:[\w-]+\.)?(?:dockerfile|containerfile)(?:\.[\w.-]+)?", re.IGNORECASE)
_USUAL_SUFFIX = {"dockerfile": ".dockerfile", "javascript": ".js", "yaml": ".yaml", "json": ".json"}
_TYPESCRIPT = frozenset({".ts", ".mts", ".cts"})


def language_of(suffix: str) -> str | None:
    """Return the language of files with this end of their name, such as `.py`, or None."""
    return SUFFIXES.get(suffix.lower())


def language_at(path: PurePosixPath) -> str | None:
    """Return the language of a file by its name, None for one that is only text."""
    found = SUFFIXES.get(path.suffix.lower())
    if found is None and _DOCKERFILES.fullmatch(path.name):
        return "dockerfile"
    return found


def is_source(path: PurePosixPath) -> bool:
    """Tell whether a file holds code of a language that the engine reads as such."""
    return language_at(path) in CODE


def holds_no_code(name: str) -> bool:
    """Tell whether files with this name hold types alone, such as `a.d.ts`."""
    return name.lower().endswith((".d.ts", ".d.mts", ".d.cts"))


def parse_as(data: bytes, language: str, path: PurePosixPath) -> ParsedFile:
    """Parse UTF-8 source of a file as one of its languages."""
    if language in TEXT_LANGUAGES:
        from tavo.scan.languages.text import parse

        return parse(data, language)
    return parse_file(
        data, _USUAL_SUFFIX["dockerfile"] if language == "dockerfile" else path.suffix
    )


def parse_file(data: bytes, suffix: str) -> ParsedFile:
    """Parse UTF-8 source by the end of its file's name, Python where there is none.

    A file that takes too long comes without a tree, and says so. Raises TimeUpError only inside a
    bound of time that somebody else set.
    """
    if is_limited():
        return _parse(data, suffix)
    seconds = parsing_s(len(data))
    try:
        with Limit(seconds):
            return _parse(data, suffix)
    except TimeUpError as error:
        from tavo.scan.languages.text import parse

        file = parse(data, language_of(suffix) or "python")
        file.problems.append(f"not parsed: {str(error) or f'it takes more than {seconds:.2g} s'}")
        file.lasting = False
        return file


def _parse(data: bytes, suffix: str) -> ParsedFile:
    language = language_of(suffix)
    if suffix.lower() == NOTEBOOK:
        from tavo.scan.languages.notebook import parse_notebook

        return parse_notebook(data)
    if language in DATA_LANGUAGES:
        from tavo.scan.languages import data as reading

        return reading.parse_yaml(data) if language == "yaml" else reading.parse_json(data)
    if language == "dockerfile":
        from tavo.scan.languages import dockerfile

        return dockerfile.parse(data)
    if language == "javascript":
        from tavo.scan.languages import ecmascript

        if suffix.lower() in _TYPESCRIPT:
            return ecmascript.parse_typescript(data)
        return ecmascript.parse(data)
    from tavo.scan.languages.python import parse

    return parse(data)


def parse_text(data: bytes, language: str) -> ParsedFile:
    """Parse UTF-8 source of a language that has no file of its own, such as that in a string."""
    if language in TEXT_LANGUAGES:
        from tavo.scan.languages.text import parse

        return parse(data, language)
    return parse_file(data, _USUAL_SUFFIX.get(language, ".py"))


def parse_pattern_of(language: str, source: str) -> ParsedFile:
    """Parse the text of a pattern for a language. Raises PatternError."""
    if language in DATA_LANGUAGES:
        from tavo.scan.languages.data import parse_pattern

        return parse_pattern(source, language)
    if language == "dockerfile":
        from tavo.scan.languages.dockerfile import parse_pattern as parse_dockerfile_pattern

        return parse_dockerfile_pattern(source)
    if language == "javascript":
        from tavo.scan.languages.ecma_pattern import parse_ecma_pattern

        return parse_ecma_pattern(source)
    from tavo.scan.languages.python_pattern import parse_python_pattern

    return parse_python_pattern(source)
