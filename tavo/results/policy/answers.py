"""What both evaluators give back, and how one fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tavo.results.policy.files import PolicyFiles

__all__ = ["Answers", "Values", "query_of"]

Values = dict[str, list[Any]]
"""For one document: the value of each rule, in a list that is empty where it is undefined."""


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """One answer for each document that was reached; `problem` says what ended the evaluation.

    `at` is the number of the document that it ended at, -1 where that is not known.
    """

    evaluator: str
    values: Sequence[Values] = ()
    problem: str = ""
    at: int = -1


def query_of(files: PolicyFiles, *, given: str = "") -> str:
    """Return an expression for the values of all rules; `given` is the input, empty for `input`."""
    names = [*files.rules, *(["exception"] if files.has_exceptions else [])]
    way = f" with input as {given}" if given else ""
    return "{" + ", ".join(f'"{name}": [v | v := data.main.{name}{way}]' for name in names) + "}"
