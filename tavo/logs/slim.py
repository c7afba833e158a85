"""Some fields of all records of a block at once, without building the records.

Rules this module keeps:
- it gives for a field what the whole record would give, or says that it cannot be used for it;
- a block in which one line is refused is refused as a whole: then its lines are read one by one.

JSON lines are decoded into structs that hold the wanted places only, which costs a third of
decoding everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from json.decoder import scanstring  # type: ignore[attr-defined]
from operator import attrgetter
from typing import Any

import msgspec

from tavo.logs.fields import CONVERSATION
from tavo.logs.mapping import Mapping
from tavo.logs.record import Path

__all__ = ["Slim"]


class _Message(msgspec.Struct, gc=False):
    """A message of a prompt, of which the text is not decoded."""

    role: Any = None
    content: msgspec.Raw = msgspec.Raw()


_Plain = str | int | float | bool | None
_Prompt = list[_Message | list[Any] | _Plain] | dict[str, msgspec.Raw] | _Plain
_SYSTEM = ("system", "developer")
_LONGEST_TEMPLATE = 400
_LONGEST_RAW = 12 * _LONGEST_TEMPLATE + 200
_ALREADY: tuple[Any, ...] = (None, "", [], {})
_Get = Callable[[Any], Any]


class Slim:
    """Decodes the places of some fields of a format. `fields` are those that it can give."""

    def __init__(self, table: Mapping, fields: Iterable[str], *, templates: bool = False) -> None:
        """Make the types; `templates`: those of system prompts are wanted, too."""
        self._table = table
        places: dict[str, tuple[Path, ...]] = {}
        for field in fields:
            paths = table.fields.get(field) or _by_name(field)
            if field in CONVERSATION and table.has_conversation:
                continue
            if paths and all(_is_plain(path) for path in paths):
                places[field] = paths
        prompts = [path for path in (*table.system, *table.given) if _is_plain(path)]
        known = {path for paths in places.values() for path in paths}
        prompts = [one for one in prompts if templates and not _meets(one, known)]
        self._leaves = set(prompts)
        tree: dict[str, Any] = {}
        for wanted in (*places.values(), prompts):
            for path in wanted:
                below = tree
                for step in path:
                    below = below.setdefault(step, {})
        self._made = 0
        self._names: dict[Path, tuple[str, type | None]] = {}
        self._type = self._struct(tree, ())
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(self._type)
        self.fields = frozenset(places)
        self._getters = {
            field: tuple(self._getter(path) for path in paths) for field, paths in places.items()
        }

        self._prompts = [(self._getter(path), path in table.system) for path in prompts]

    def templates(self, structs: list[Any]) -> Iterator[bytes | None]:
        """Yield the beginning of the system prompt of each record, None where it has none."""
        prompts = self._prompts
        for one in structs if prompts else ():
            yield next((text for get, own in prompts if (text := _template(get(one), own))), None)

    def decode(self, data: bytes) -> list[Any] | None:
        """Return one struct for each line of a block; None where a line is refused."""
        try:
            return self._decoder.decode_lines(data)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None

    def column(self, field: str, structs: list[Any]) -> list[Any]:
        """Return the values of a field, None where there is none; one of `fields`."""
        getters = self._getters[field]
        values = list(map(getters[0], structs))
        if len(getters) > 1 and not all(values):
            for at, value in enumerate(values):
                if not value and value in _ALREADY:
                    values[at] = _first(structs[at], getters[1:])
        if self._table.constants.get(field) is None and not self._table.derives(field):
            return values
        return [self._derived(field, value) for value in values]

    def _derived(self, field: str, value: Any) -> Any:
        if value in _ALREADY:
            return self._table.constants.get(field)
        found = self._table.derived(field, [value])
        return found[0] if found else None

    def _struct(self, tree: dict[str, Any], above: Path) -> type:
        self._made += 1
        fields: list[tuple[str, Any, Any]] = []
        rename: dict[str, str] = {}
        for number, (step, below) in enumerate(tree.items()):
            name = f"f{number}"
            rename[name] = step
            inner = self._struct(below, (*above, step)) if below else None
            self._names[(*above, step)] = (name, inner)
            leaf = _Prompt if (*above, step) in self._leaves else Any
            kind: Any = (
                leaf if inner is None else inner | str | int | float | bool | list[Any] | None
            )
            fields.append((name, kind, None))
        return msgspec.defstruct(f"Slim{self._made}", fields, rename=rename, gc=False)

    def _getter(self, path: Path) -> _Get:
        steps = [self._names[path[: at + 1]] for at in range(len(path))]
        if len(steps) == 1:
            return attrgetter(steps[0][0])
        (first, kind), *others = steps
        if len(others) == 1:
            last = others[0][0]

            def two(one: Any) -> Any:
                inner = getattr(one, first)
                return getattr(inner, last) if inner.__class__ is kind else None

            return two

        def many(one: Any) -> Any:
            for name, inner_kind in steps[:-1]:
                one = getattr(one, name)
                if one.__class__ is not inner_kind:
                    return None
            return getattr(one, steps[-1][0])

        return many


def _first(one: Any, getters: tuple[_Get, ...]) -> Any:
    for get in getters:
        value = get(one)
        if value is not None and value != "" and value != [] and value != {}:
            return value
    return None


def _template(value: Any, is_system: bool) -> bytes | None:
    """Return the beginning of a system prompt, None where there is none."""
    if value.__class__ is list:
        for one in value[:3]:
            if one.__class__ is _Message and one.role in _SYSTEM:
                return _beginning(bytes(one.content)[:_LONGEST_RAW])
    if is_system and value.__class__ is str:
        return _beginning_of(value)
    return None


@lru_cache(256)
def _beginning(raw: bytes) -> bytes | None:
    """Return the first characters of a text that JSON spells, of which the end may be cut."""
    if raw[:1] == b"[":
        found = re.search(rb'"text"\s*:\s*(".*)', raw, re.S)
        raw = found[1] if found is not None else b""
    if raw[:1] != b'"':
        return None
    for cut in range(13):
        try:
            text = raw[: len(raw) - cut].decode("utf-8")
            return _beginning_of(str(scanstring(text if cut == 0 else text + '"', 1, False)[0]))
        except ValueError:
            continue
    return None


def _beginning_of(text: str) -> bytes:
    return text[:_LONGEST_TEMPLATE].encode("utf-8", "replace")


def _meets(path: Path, others: Iterable[Path]) -> bool:
    return any(path[: len(one)] == one or one[: len(path)] == path for one in others)


def _by_name(field: str) -> tuple[Path, ...]:
    """Return where a raw field can be: its name as a key, or a key below another."""
    if field.count(".") > 1:
        return ()
    return ((field,), tuple(field.split("."))) if "." in field else ((field,),)


def _is_plain(path: Path) -> bool:
    return not any(
        step in {"*", "-1"} or step.isdigit() or step.endswith("!") or step[:1] == "?"
        for step in path
    )
