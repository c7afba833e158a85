"""The names of fields in rules for AI systems: one that is misspelt would find nothing.

Rules this module keeps:
- a name of the taxonomy is right; one that is near to it, or stands where only its names stand, is
  refused with the name that is meant;
- any other name is one of the raw records, which rules may ask for by their dotted place.

Why: docs/decisions/0079-a-misspelt-field-is-refused.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tavo.logs.fields import FIELDS
from tavo.logs.sigma.tests import SigmaError

__all__ = ["check_names", "is_ours", "named_fields"]

_OURS = ("gen_ai.", "mcp.", "usage.")
"""Beginnings of names that only the taxonomy gives."""

_NEAR = 0.75
_NEAR_LAST = 0.8


def is_ours(logsource: Mapping[str, str]) -> bool:
    """Tell whether a rule is about AI systems, whose fields we name."""
    return logsource.get("product") == "genai"


def check_names(names: Iterable[str], where: str = "") -> None:
    """Check the names of fields in a rule. Raises SigmaError for the first that is misspelt."""
    for name in names:
        if name not in FIELDS and "-" not in name and (meant := _meant(name)) is not None:
            hint = f"did you mean {meant!r}?" if meant else "docs/log-fields.md lists them"
            raise SigmaError(f"{where}there is no field {name!r} for product genai; {hint}")


def _meant(name: str) -> str | None:
    """Return the field that a name is meant to be, empty where none is near, None: a raw name."""
    import difflib  # only for a rule that names something else, and costs a start

    low = name.lower()
    if near := difflib.get_close_matches(low, FIELDS, n=1, cutoff=_NEAR):
        return near[0]
    if low.startswith(_OURS):
        near = difflib.get_close_matches(low, FIELDS, n=1, cutoff=0.5)
        return near[0] if near else ""
    if "." in low:
        return None
    lasts = {field.rpartition(".")[2]: field for field in reversed(FIELDS) if "." in field}
    found = difflib.get_close_matches(low, lasts, n=1, cutoff=_NEAR_LAST)
    return lasts[found[0]] if found else None


def named_fields(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the fields that a detection names: those it asks, and those it compares with."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            field, *modifiers = key.split("|") if isinstance(key, str) else ("",)
            if not depth or not field:
                yield from named_fields(inner, depth + 1)
                continue
            yield field
            if "fieldref" in modifiers:
                yield from map(str, inner if isinstance(inner, list) else [inner])
    elif isinstance(value, list):
        for one in value:
            yield from named_fields(one, max(depth, 1))
