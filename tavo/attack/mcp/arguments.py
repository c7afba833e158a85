"""Arguments for a tool out of the JSON schema that it declares, with a payload where one fits.

Rules this module keeps:
- a schema is hostile: it is followed to a bounded depth, and what it does not say is guessed;
- what is filled in besides the payload does as little as it can: the declared default, the first
  of a list, the smallest number, no flag;
- places are in the order of the schema, those whose name or description fits a payload first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

__all__ = ["Place", "arguments_of", "places_of", "wrong_arguments"]

_DEEPEST = 5
_MOST_PROPERTIES = 40
_FITS = {
    "path": r"path|url|file|dir|folder|document|name|location|template|uri|key|page|note|report",
    "command": r"command|cmd|shell|script|args?|host|target|branch|pattern|file|path|name|option",
    "query": r"query|sql|filter|where|search|id|name|order|term|email|user|customer|column|table",
    "url": r"url|uri|link|endpoint|hook|address|feed|image|site|page|source|host|callback",
}
_FITTING = {kind: re.compile(rf"(?i){words}") for kind, words in _FITS.items()}
_FORMATS = {
    "uri": "https://example.com/", "url": "https://example.com/", "email": "a@example.com",
    "date": "2026-01-01", "date-time": "2026-01-01T00:00:00Z", "time": "00:00:00Z",
    "uuid": "00000000-0000-4000-8000-000000000000", "ipv4": "192.0.2.1", "hostname": "example.com",
}  # fmt: skip


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """An argument of a tool that takes text. `fits` tells whether it seems meant for the kind."""

    tool: str
    at: tuple[str, ...]
    fits: bool


def places_of(tools: Sequence[Mapping[str, Any]], kind: str) -> list[Place]:
    """Return where text of a kind (`path`, `command`, `query`, `url`) can be put."""
    found: list[Place] = []
    for tool in tools:
        root = _schema(tool)
        for at, schema in _texts(root, root, (), 0):
            said = f"{at[-1]} {schema.get('format', '')} {str(schema.get('description', ''))[:300]}"
            fits = _FITTING[kind].search(said) is not None
            found.append(Place(tool=tool["name"], at=at, fits=fits))
    return sorted(found, key=lambda place: not place.fits)


def arguments_of(
    tool: Mapping[str, Any], at: tuple[str, ...] = (), payload: str = ""
) -> dict[str, Any]:
    """Return arguments that the tool's schema allows, with a payload at a place."""
    root = _schema(tool)
    filled = _object(root, root, at, payload, 0)
    return filled if isinstance(filled, dict) else {}


def wrong_arguments(tool: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return arguments that the schema does not allow: missing, of another type, or too odd."""
    right = arguments_of(tool)
    ways: list[dict[str, Any]] = [
        {name: {"nested": ["\x00", None]} for name in right},
        {},
        {name: -1 if isinstance(value, str) else "\u202e'\"\\" for name, value in right.items()},
        {name: "A" * 9000 if isinstance(value, str) else value for name, value in right.items()},
        {name: "'\"\\\x00%s{0}" if isinstance(value, str) else None
         for name, value in right.items()},
    ]  # fmt: skip
    return ways[number % len(ways)]


def _schema(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    found = tool.get("inputSchema")
    return found if isinstance(found, dict) else {}


def _resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema itself, behind references and the first choice that is not null."""
    for _ in range(_DEEPEST):
        if not isinstance(schema, dict):
            return {}
        if isinstance(schema.get("$ref"), str):
            target: Any = root
            for part in schema["$ref"].removeprefix("#/").split("/")[:_DEEPEST]:
                target = target.get(part) if isinstance(target, dict) else None
            schema = target
            continue
        choices = next(
            (schema[key] for key in ("anyOf", "oneOf", "allOf")
             if isinstance(schema.get(key), list) and schema[key]), None,
        )  # fmt: skip
        if choices is None:
            return schema
        rest = {
            key: value for key, value in schema.items() if key not in {"anyOf", "oneOf", "allOf"}
        }
        chosen = next(
            (one for one in choices if isinstance(one, dict) and one.get("type") != "null"), {}
        )
        schema = {**chosen, **rest}
    return {}


def _type(schema: Mapping[str, Any]) -> str:
    found = schema.get("type")
    if isinstance(found, list):
        found = next((one for one in found if one != "null"), None)
    if isinstance(found, str):
        return found
    return "object" if isinstance(schema.get("properties"), dict) else "string"


def _properties(schema: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found = schema.get("properties")
    return list(found.items())[:_MOST_PROPERTIES] if isinstance(found, dict) else []


def _texts(
    schema: Mapping[str, Any], root: Mapping[str, Any], at: tuple[str, ...], depth: int
) -> list[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Return the places below a schema that take free text."""
    found: list[tuple[tuple[str, ...], Mapping[str, Any]]] = []
    if depth >= _DEEPEST:
        return found
    for name, value in _properties(schema):
        inner = _resolved(value, root)
        kind = _type(inner)
        if kind == "array":
            inner = _resolved(inner.get("items"), root)
            kind = _type(inner)
        if kind == "object":
            found += _texts(inner, root, (*at, name), depth + 1)
        elif kind == "string" and "enum" not in inner and "const" not in inner:
            found.append(((*at, name), inner))
    return found


def _object(
    schema: Mapping[str, Any], root: Mapping[str, Any], at: tuple[str, ...], payload: str,
    depth: int,
) -> Any:  # fmt: skip
    required = schema.get("required")
    wanted = set(required) if isinstance(required, list) and depth < _DEEPEST else set()
    filled: dict[str, Any] = {}
    for name, value in _properties(schema):
        if (at and at[0] == name) or name in wanted:
            rest = at[1:] if at and at[0] == name else None
            filled[name] = _value(_resolved(value, root), root, rest, payload, depth + 1)
    return filled


def _value(
    schema: Mapping[str, Any], root: Mapping[str, Any], at: tuple[str, ...] | None, payload: str,
    depth: int,
) -> Any:  # fmt: skip
    """Return a value; `at` is where the payload goes below it, None for nowhere."""
    kind = _type(schema)
    if kind == "object":
        return _object(schema, root, at or (), payload, depth)
    if kind == "array":
        items = _resolved(schema.get("items"), root)
        least = schema.get("minItems")
        empty = at is None and not (isinstance(least, int) and least > 0)
        return [] if empty or depth > _DEEPEST else [_value(items, root, at, payload, depth + 1)]
    if at is not None:
        return payload
    for key in ("const", "default"):
        if schema.get(key) is not None:
            return schema[key]
    for key in ("enum", "examples"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    if kind in {"integer", "number"}:
        least = schema.get("minimum")
        return least if isinstance(least, int | float) else 1
    if kind == "boolean":
        return False
    if kind == "null":
        return None
    text = _FORMATS.get(str(schema.get("format")), "example")
    shortest = schema.get("minLength")
    return text.ljust(min(shortest, 1000), "x") if isinstance(shortest, int) else text
