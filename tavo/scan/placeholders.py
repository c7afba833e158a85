"""What stands for the parts of a pattern that are no code: names that no source contains.

Rules this module keeps:
- `$X`, `...`, `$...X`, `<... ...>` and typed metavariables become identifiers and calls, so that
  the parser of a language reads its patterns as well.

Source of the syntax: Semgrep's documentation, "Pattern syntax".
"""

from __future__ import annotations

import re

__all__ = [
    "DEEP",
    "ELLIPSIS",
    "TYPED",
    "VARIABLE",
    "VARIABLES",
    "PatternError",
    "stand_in",
    "variable_of",
]

ELLIPSIS = "TAVO__ELLIPSIS"
DEEP = "TAVO__DEEP"
TYPED = "TAVO__TYPED"
VARIABLE = "TAVO__MV_"
VARIABLES = "TAVO__MVS_"

_ONE = re.compile(r"\$([A-Z_][A-Z0-9_]*)\Z")
_MANY = re.compile(r"\$\.\.\.([A-Z_][A-Z0-9_]*)\Z")


class PatternError(ValueError):
    """The pattern cannot be used; the message names the construct."""


def stand_in(text: str) -> str | None:
    """Return the placeholder for a text that is `...`, `$X` or `$...X` as a whole, else None."""
    if text == "...":
        return ELLIPSIS
    if found := _ONE.match(text):
        return VARIABLE + found[1]
    if found := _MANY.match(text):
        return VARIABLES + found[1]
    return None


def variable_of(name: str) -> tuple[str, bool] | None:
    """Return the metavariable that a placeholder stands for, and whether it takes several nodes.

    `$X` is `("$X", False)`, `$...X` is `("$...X", True)`; None for any other name.
    """
    if name.startswith(VARIABLE):
        return "$" + name[len(VARIABLE) :], False
    if name.startswith(VARIABLES):
        return "$..." + name[len(VARIABLES) :], True
    return None
