"""The names in rules: a field, a key or a log source that is misspelt would find nothing.

Rules this module keeps:
- a name of the taxonomy is right; one that is near to it, or stands where only its names stand, is
  refused with the name that is meant;
- any other name is one of the raw records, which rules may ask for by their dotted place.

Why: docs/decisions/0079-a-misspelt-field-is-refused.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tavo.logs.fields import CATEGORIES, FIELDS
from tavo.logs.sigma.tests import SigmaError, meant

__all__ = ["check_keys", "check_names", "check_source", "is_ours", "named_fields"]

_OURS = ("gen_ai.", "mcp.", "usage.")
"""Beginnings of names that only the taxonomy gives."""

_KEYS = ("title", "name", "level", "logsource", "detection", "correlation", "generate", "samples")
"""Keys of a rule that change what it finds, or how it is told."""

_SPECIFIED = frozenset({
    *_KEYS, "id", "related", "status", "license", "description", "author", "references", "date",
    "modified", "fields", "falsepositives", "tags", "scope", "taxonomy", "remediation", "action",
})  # fmt: skip
"""Keys of the specification, and ours."""

_NEAR = 0.75
_NEAR_LAST = 0.8


def is_ours(logsource: Mapping[str, str]) -> bool:
    """Tell whether a rule is about AI systems, whose fields we name."""
    return logsource.get("product") == "genai"


def check_keys(document: Mapping[Any, Any]) -> None:
    """Check the keys of a rule, which may have others. Raises SigmaError for a misspelt one."""
    for key in document:
        if isinstance(key, str) and key not in _SPECIFIED:
            near = meant(key, _KEYS, cutoff=0.8)
            if near:
                raise SigmaError(f"there is no key {key!r}; did you mean {near!r}?")


def check_source(logsource: Mapping[str, str]) -> None:
    """Check the log source of a rule. Raises SigmaError for one that no log of an AI system has."""
    product, category = logsource.get("product", ""), logsource.get("category", "")
    near_to_ours = product[:1] in ("g", "G") and product != "genai"
    if near_to_ours and meant(product.lower(), ("genai",), cutoff=0.75):
        raise SigmaError(f"logsource: there is no product {product!r}; did you mean 'genai'?")
    if product == "genai" and category and category not in CATEGORIES:
        near = meant(category, CATEGORIES, cutoff=0.6)
        hint = f"; did you mean {near!r}?" if near else f", only {', '.join(CATEGORIES)}"
        raise SigmaError(f"logsource: product genai has no category {category!r}{hint}")


def check_names(names: Iterable[str], where: str = "") -> None:
    """Check the names of fields in a rule. Raises SigmaError for the first that is misspelt."""
    for name in names:
        if name not in FIELDS and "-" not in name and (found := _meant(name)) is not None:
            hint = f"did you mean {found!r}?" if found else "docs/log-fields.md lists them"
            raise SigmaError(f"{where}there is no field {name!r} for product genai; {hint}")


def _meant(name: str) -> str | None:
    """Return the field that a name is meant to be, empty where none is near, None: a raw name."""
    low = name.lower()
    if near := meant(low, FIELDS, cutoff=_NEAR):
        return near
    if low.startswith(_OURS):
        return meant(low, FIELDS, cutoff=0.5)
    if "." in low:
        return None
    lasts = {field.rpartition(".")[2]: field for field in reversed(FIELDS) if "." in field}
    found = meant(low, lasts, cutoff=_NEAR_LAST)
    return lasts[found] if found else None


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
