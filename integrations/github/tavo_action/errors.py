"""The one error of the Action: a sentence, a next step, and tavo's exit code for such a case."""

from __future__ import annotations

__all__ = ["DEFECT", "FAILED", "INCOMPLETE", "INTERRUPTED", "REFUSED", "USAGE", "ActionError"]

USAGE, FAILED, INCOMPLETE, REFUSED, DEFECT, INTERRUPTED = 2, 3, 4, 5, 70, 130


class ActionError(Exception):
    """The step cannot be done; `code` is what it ends with."""

    def __init__(self, message: str, *, hint: str = "", code: int = USAGE) -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code
