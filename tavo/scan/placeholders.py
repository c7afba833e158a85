"""What stands for the parts of a pattern that are no code: names that no source contains.

Rules this module keeps:
- `$X`, `...`, `$...X`, `<... ...>` and typed metavariables become identifiers and calls, so that
  the parser of a language reads its patterns as well.

Source of the syntax: Semgrep's documentation, "Pattern syntax".
"""

from __future__ import annotations

__all__ = ["DEEP", "ELLIPSIS", "TYPED", "VARIABLE", "VARIABLES", "PatternError", "variable_of"]

ELLIPSIS = "TAVO__ELLIPSIS"
DEEP = "TAVO__DEEP"
TYPED = "TAVO__TYPED"
VARIABLE = "TAVO__MV_"
VARIABLES = "TAVO__MVS_"


class PatternError(ValueError):
    """The pattern cannot be used; the message names the construct."""


def variable_of(name: str) -> tuple[str, bool] | None:
    """Return the metavariable that a placeholder stands for, and whether it takes several nodes.

    `$X` is `("$X", False)`, `$...X` is `("$...X", True)`; None for any other name.
    """
    if name.startswith(VARIABLE):
        return "$" + name[len(VARIABLE) :], False
    if name.startswith(VARIABLES):
        return "$..." + name[len(VARIABLES) :], True
    return None
