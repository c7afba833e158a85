"""A plugin's configuration held against the `config_schema` of its manifest.

Rules this module keeps:
- a subset of JSON Schema 2020-12 is checked, and `unchecked` names what of a schema is not in it:
  nothing is half understood in silence. No keyword runs a pattern on foreign text;
- schema and configuration are both foreign: depth and the number of problems are bounded;
- values are never changed and defaults never filled in: the plugin does that itself.

Pure functions, no I/O.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["config_problems", "unchecked"]

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list, tuple), "string": (str,), "integer": (int,),
    "number": (int, float), "boolean": (bool,), "null": (type(None),),
}  # fmt: skip
_NAMES = {
    "object": "names with values", "array": "a list", "string": "a text",
    "integer": "a whole number", "number": "a number", "boolean": "true or false", "null": "null",
}  # fmt: skip
_WORDS = {"$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated"}
_CHECKED = {
    "type", "enum", "const", "properties", "required", "additionalProperties", "items", "minimum",
    "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems",
    "maxItems",
}  # fmt: skip
_BOUNDS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "minimum": ("at least", lambda value, bound: value >= bound),
    "maximum": ("at most", lambda value, bound: value <= bound),
    "exclusiveMinimum": ("more than", lambda value, bound: value > bound),
    "exclusiveMaximum": ("less than", lambda value, bound: value < bound),
}
_LENGTHS = {
    "minLength": ("string", "at least", "characters"),
    "maxLength": ("string", "at most", "characters"),
    "minItems": ("array", "at least", "entries"),
    "maxItems": ("array", "at most", "entries"),
}
_DEEPEST = 20
_MOST_PROBLEMS = 10
_LONGEST_SHOWN = 80


def config_problems(schema: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a configuration, each with where, expected and found."""
    problems = []
    for problem in _problems(schema, dict(config), "", 0):
        problems.append(problem)
        if len(problems) >= _MOST_PROBLEMS:
            break
    return problems


def unchecked(schema: object, where: str = "config_schema", depth: int = 0) -> Iterator[str]:
    """Yield what of a schema is not checked: other keywords, and values that cannot be one."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        yield f"{where}: {_shown(schema)} is no schema"
        return
    for key, value in schema.items():
        if key not in _CHECKED | _WORDS:
            yield f"{where}: {key!r}"
        elif key == "type" and not set(_listed(value)) <= set(_TYPES):
            yield f"{where}: type {_shown(value)}, none of {', '.join(_TYPES)}"
    properties = schema.get("properties", {})
    if isinstance(properties, Mapping):
        for name, inner in properties.items():
            yield from unchecked(inner, f"{where}: properties: {name}", depth + 1)
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from unchecked(schema[key], f"{where}: {key}", depth + 1)


def _problems(schema: object, value: Any, where: str, depth: int) -> Iterator[str]:
    if schema is False:
        yield f"{where or 'the configuration'}: is not known"
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return
    at = where or "the configuration"
    types = [name for name in _listed(schema.get("type", [])) if name in _TYPES]
    if types and not any(_is(value, name) for name in types):
        expected = " or ".join(_NAMES[name] for name in types)
        yield f"{at}: expected {expected}, found {_shown(value)}"
        return
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(choices, list | tuple) and not any(_same(value, one) for one in choices):
        yield f"{at}: expected {', '.join(map(_shown, choices))}, found {_shown(value)}"
    for key, (words, holds) in _BOUNDS.items():
        bound: Any = schema.get(key)
        if _is(bound, "number") and _is(value, "number") and not holds(value, bound):
            yield f"{at}: expected {words} {bound}, found {_shown(value)}"
    for key, (kind, words, unit) in _LENGTHS.items():
        bound = schema.get(key)
        if _is(bound, "integer") and _is(value, kind):
            enough = len(value) >= bound if words == "at least" else len(value) <= bound
            if not enough:
                yield f"{at}: expected {words} {bound} {unit}, found {len(value)}"
    if _is(value, "array"):
        for number, entry in enumerate(value, start=1):
            yield from _problems(schema.get("items"), entry, f"{at}: entry {number}", depth + 1)
    if _is(value, "object"):
        yield from _of_object(schema, value, where, depth)


def _of_object(
    schema: Mapping[str, Any], value: Mapping[str, Any], where: str, depth: int
) -> Iterator[str]:
    properties = schema.get("properties", {})
    known = properties if isinstance(properties, Mapping) else {}
    inside = f"{where}: " if where else ""
    for name in _listed(schema.get("required", [])):
        if name not in value:
            yield f"{inside}{name}: is missing"
    others = schema.get("additionalProperties", True)
    for name, entry in value.items():
        if name in known:
            yield from _problems(known[name], entry, f"{inside}{name}", depth + 1)
        elif others is False:
            near = difflib.get_close_matches(str(name), list(known), n=1)
            more = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
            yield f"{inside}{_shown(name)} is not known{more}"
        else:
            yield from _problems(others, entry, f"{inside}{name}", depth + 1)


def _is(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[name])


def _same(one: object, other: object) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _listed(value: object) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    return [str(one) for one in values]


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
