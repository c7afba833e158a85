"""A small, strict YAML for manifests: what a person meant is the only thing it can mean.

Rules this module keeps:
- UTF-8 without a byte order mark, one document, bounded in bytes and depth;
- no anchors, aliases, tags or merge keys, no duplicate keys, keys are text;
- plain scalars mean what YAML 1.2's JSON-like core says and nothing more: `true`, `false`, `null`,
  decimal numbers, else text. `no`, `on`, `0x10`, `1_000` and `2026-11-22` are text.

PyYAML does the scanning; its constructors are not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from marketplace_db.errors import ManifestError

__all__ = ["load_yaml"]

_DEEPEST = 24
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\Z")
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}\Z")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


def load_yaml(data: bytes, *, name: str, limit: int) -> Any:
    """Read one YAML document into dict, list, str, int, float, bool and None.

    `name` stands in messages. Raises ManifestError with line and column.
    """
    if len(data) > limit:
        raise ManifestError(f"{name}: is {len(data)} bytes long, more than {limit}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{name}: is not UTF-8 (byte {error.start})") from None
    if text.startswith("\ufeff"):
        raise ManifestError(f"{name}: starts with a byte order mark; save it as plain UTF-8")
    try:
        return _Builder(name, yaml.parse(text, Loader=yaml.SafeLoader)).document()
    except yaml.reader.ReaderError as error:
        raise ManifestError(
            f"{name}: holds the character U+{error.character:04X}, which YAML does not allow"
        ) from None
    except yaml.MarkedYAMLError as error:
        problem = error.problem or error.context or "is not YAML"
        raise ManifestError(f"{name}{_at(error.problem_mark)}: {problem}") from None
    except (ValueError, OverflowError):
        # an escape above U+10FFFF, a version of YAML with thousands of digits
        raise ManifestError(f"{name}: holds an escape or a number that is none") from None


def _at(mark: Any) -> str:
    return f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""


class _Builder:
    """Builds values from the event stream; knows nothing of tags."""

    def __init__(self, name: str, events: Iterator[yaml.Event]) -> None:
        self._name = name
        self._events = events

    def document(self) -> Any:
        next(self._events)
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            raise ManifestError(f"{self._name}: is empty")
        if isinstance(start, yaml.DocumentStartEvent) and (start.version or start.tags):
            raise self._error(start, "YAML directives are not allowed")
        value = self._value(next(self._events), 0)
        next(self._events)
        extra = next(self._events)
        if not isinstance(extra, yaml.StreamEndEvent):
            raise self._error(extra, "a second document is not allowed")
        return value

    def _value(self, event: yaml.Event, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._error(event, "anchors and aliases are not allowed; write the value out")
        if getattr(event, "tag", None):
            raise self._error(event, "tags such as !!python or !!str are not allowed")
        if depth > _DEEPEST:
            raise self._error(event, f"is nested more than {_DEEPEST} levels deep")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(depth)
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                items.append(self._value(item, depth + 1))
            return items
        if not isinstance(event, yaml.ScalarEvent):
            raise self._error(event, "expected a value")
        return self._scalar(event)

    def _mapping(self, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._value(event, depth + 1)
            if not isinstance(key, str):
                raise self._error(event, f"the key {key!r} is not text")
            if key == "<<":
                raise self._error(event, "merge keys are not allowed; write the values out")
            if key in result:
                raise self._error(event, f"the key {key!r} is there twice")
            result[key] = self._value(next(self._events), depth + 1)
        return result

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        value: str = event.value
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise self._error(event, "half of a surrogate pair is not a character")
        if not event.implicit[0]:
            return value
        if value in _WORDS:
            return _WORDS[value]
        if _INTEGER.match(value):
            return int(value)
        if _DECIMAL.match(value):
            return float(value)
        return value

    def _error(self, event: yaml.Event, problem: str) -> ManifestError:
        return ManifestError(f"{self._name}{_at(event.start_mark)}: {problem}")
