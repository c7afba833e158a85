"""Semgrep's newer way to write a search, `match:` with `all`, `any`, `where`, in the usual keys.

Rules this module keeps:
- what is not known is refused by its name and place; nothing is dropped.

Source of the syntax: Semgrep's documentation, "Rule syntax (experimental)".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tavo.scan.formula import FormulaError, as_list, as_mapping

__all__ = ["usual_syntax"]

_DEEPEST = 40
_OPERATORS = {"pattern": "pattern", "regex": "pattern-regex", "any": "pattern-either",
              "all": "patterns"}  # fmt: skip
_CONDITIONS = {"analyzer": "metavariable-analysis", "regex": "metavariable-regex",
               "type": "metavariable-type", "types": "metavariable-type"}  # fmt: skip


def usual_syntax(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule with its `match` in the usual keys. Raises FormulaError."""
    rest = {key: value for key, value in entry.items() if key != "match"}
    return {**rest, **_formula(entry["match"], "match", 0)}


def _formula(value: Any, where: str, depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise FormulaError(f"{where}: nested deeper than {_DEEPEST} levels")
    if isinstance(value, str):
        return {"pattern": value}
    entry = as_mapping(value, where)
    keys = [key for key in entry if key != "where"]
    if len(keys) != 1 or keys[0] not in _OPERATORS:
        found = ", ".join(map(str, keys)) or "nothing"
        raise FormulaError(f"{where}: expected one of {', '.join(_OPERATORS)}, found {found}")
    key = keys[0]
    content, here = entry[key], f"{where}.{key}"
    made: dict[str, Any]
    if key == "any":
        made = {"pattern-either": [
            _formula(item, f"{here}[{number}]", depth + 1)
            for number, item in enumerate(as_list(content, here))
        ]}  # fmt: skip
    elif key == "all":
        made = {"patterns": [
            _item(item, f"{here}[{number}]", depth + 1)
            for number, item in enumerate(as_list(content, here))
        ]}  # fmt: skip
    else:
        made = {_OPERATORS[key]: content}
    if "where" not in entry:
        return made
    conditions = [
        _condition(item, f"{where}.where[{number}]", depth + 1)
        for number, item in enumerate(as_list(entry["where"], f"{where}.where"))
    ]
    first: Sequence[Any] = made["patterns"] if key == "all" else [made]
    return {"patterns": [*first, *conditions]}


def _item(value: Any, where: str, depth: int) -> dict[str, Any]:
    """Return one entry of `all`: also what must not be, and what must be around."""
    if not isinstance(value, Mapping):
        return _formula(value, where, depth)
    if set(value) == {"inside"}:
        return {"pattern-inside": _operand(value["inside"], where, depth)}
    if set(value) != {"not"}:
        return _formula(value, where, depth)
    inner = value["not"]
    if isinstance(inner, Mapping) and set(inner) == {"inside"}:
        return {"pattern-not-inside": _operand(inner["inside"], where, depth)}
    if isinstance(inner, Mapping) and set(inner) == {"regex"}:
        return {"pattern-not-regex": inner["regex"]}
    return {"pattern-not": _operand(inner, where, depth)}


def _operand(value: Any, where: str, depth: int) -> Any:
    return value if isinstance(value, str) else _formula(value, where, depth)


def _condition(value: Any, where: str, depth: int) -> dict[str, Any]:
    entry = as_mapping(value, where)
    if set(entry) == {"focus"}:
        return {"focus-metavariable": entry["focus"]}
    if "comparison" in entry:
        return {"metavariable-comparison": dict(entry)}
    for key, usual in _CONDITIONS.items():
        if key in entry and "metavariable" in entry:
            return {usual: dict(entry)}
    if "metavariable" in entry:
        formula = {key: entry[key] for key in entry if key not in {"metavariable", "language"}}
        about = {key: entry[key] for key in ("metavariable", "language") if key in entry}
        return {"metavariable-pattern": {**about, **_formula(formula, where, depth)}}
    raise FormulaError(f"{where}: {', '.join(map(str, entry))} is not supported")
