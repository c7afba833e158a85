"""Where an answer's text stands: a JSONPath of names and indices, `$.choices[0].message.content`.

Rules this module keeps:
- the singular queries of RFC 9535: names, quoted names and indices (from the end when negative);
  everything that selects several places is refused by name, not half understood;
- a path that leads nowhere says how far it came and what was there.

Source: RFC 9535, section 2.3.5.1 (singular queries).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["JsonPath", "PathError", "parse_path"]


class PathError(ValueError):
    """A path cannot be used, or leads nowhere in a document. The message is a clause."""


class JsonPath:
    """A parsed path to one place in a JSON document."""

    __slots__ = ("parts", "text")

    def __init__(self, text: str, parts: tuple[str | int, ...]) -> None:
        self.text = text
        self.parts = parts

    def find(self, document: Any) -> Any:
        """Return what stands there. Raises PathError."""
        place = "$"
        for part in self.parts:
            if isinstance(part, str):
                found = isinstance(document, Mapping) and part in document
            else:
                found = isinstance(document, list) and -len(document) <= part < len(document)
            if not found:
                raise PathError(f"there is no {part!r} at {place}, which is {_kind(document)}")
            document = document[part]
            place += f"[{part!r}]"
        return document


def parse_path(text: str) -> JsonPath:
    """Return the parsed path. Raises PathError."""
    if not text.startswith("$"):
        raise PathError(f"{text!r} does not start with '$'")
    parts: list[str | int] = []
    rest = text[1:]
    while rest:
        if rest.startswith("["):
            rest = _bracket(text, rest, parts)
        elif rest.startswith(".") and not rest.startswith(".."):
            end = next((i for i, char in enumerate(rest[1:], 1) if char in ".["), len(rest))
            name = rest[1:end]
            if not name or not all(char.isalnum() or char in "_-" for char in name):
                raise PathError(f"{text!r}: {name!r} is no name; write others as ['{name}']")
            parts.append(name)
            rest = rest[end:]
        else:
            raise PathError(f"{text!r}: {rest[:20]!r} selects more than one place, or is no path")
    return JsonPath(text, tuple(parts))


def _bracket(text: str, rest: str, parts: list[str | int]) -> str:
    if rest[1:2] in {"'", '"'}:
        quote = rest[1]
        end = rest.find(f"{quote}]", 2)
        if end < 0 or "\\" in rest[2:end]:
            raise PathError(f"{text!r}: {rest[:20]!r} is no quoted name")
        parts.append(rest[2:end])
        return rest[end + 2 :]
    inside, closed, after = rest[1:].partition("]")
    digits = inside.removeprefix("-")
    if not closed or not (digits.isascii() and digits.isdigit()) or len(digits) > 9:
        raise PathError(f"{text!r}: [{inside[:20]}] is no index; wildcards and slices are not used")
    parts.append(int(inside))
    return after


def _kind(value: Any) -> str:
    names = {dict: "an object", list: f"a list of {len(value) if isinstance(value, list) else 0}",
             str: "text", bool: "true or false", type(None): "null"}  # fmt: skip
    return names.get(type(value), "a number")
