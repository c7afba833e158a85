"""The regular expressions of rules: RE2 where it can run them, else a bounded process.

Rules this module keeps:
- what only an engine that backtracks can run is imported with the first such expression.
"""

from __future__ import annotations

from tavo.detect.regex import LateError, Regex, RegexError, Spans

__all__ = ["LateError", "Regex", "RegexError", "Spans", "scan_regex"]


def scan_regex(pattern: str, *, multiline: bool = False) -> Regex:
    """Compile an expression of a rule. Raises RegexError with what cannot be run, by its name."""
    try:
        return Regex(pattern, multiline=multiline)
    except RegexError as error:
        first = error
    from tavo.detect.backtracking import perl_regex

    try:
        return perl_regex(pattern, multiline=multiline)
    except RegexError as second:
        raise (second if first.backtracking else first) from None
