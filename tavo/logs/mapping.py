"""The tables that say where a format keeps its fields: one TOML file per reader, with a version.

Rules this module keeps:
- a table is data: it names places and words, and holds no code;
- a table of the user is checked like ours, and wrong in one sentence: file, key, what was expected;
- each says where its sample comes from, and only one that the real software made is called tested.
"""

from __future__ import annotations

import copy
import difflib
import tomllib
from collections.abc import Callable
from collections.abc import Mapping as Map
from functools import cache
from pathlib import Path as FilePath
from typing import Any

import msgspec

from tavo.errors import ConfigError
from tavo.logs.fields import CATEGORIES, FIELDS
from tavo.logs.folded import Header
from tavo.logs.record import Path, parse_path
from tavo.logs.wrapped import TIME

__all__ = ["READERS", "Mapping", "Sample", "load_mapping", "readers"]

READERS = FilePath(__file__).parent / "readers"
KINDS = ("json", "otlp", "access", "text")
_SAMPLES = {
    "made": "made here by the real software",
    "schema": "shape of a published schema",
    "none": "no sample",
}


class Sample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a reader's sample comes from. `kind` is made, schema or none; `by` names the source."""

    kind: str
    by: str = ""

    @property
    def tested(self) -> bool:
        """Tell whether the real software made it."""
        return self.kind == "made"

    def __str__(self) -> str:
        return f"{_SAMPLES[self.kind]}{f': {self.by}' if self.by else ''}"


class _Detect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    all: list[str] = []
    any: list[str] = []
    none: list[str] = []
    equal: dict[str, list[str]] = {}


class _Conversation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    given: list[str] = []
    answered: list[str] = []
    system: list[str] = []
    tools: list[str] = []


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    version: int
    title: str
    lines: str
    sample: Sample = Sample(kind="none")
    logsource: list[dict[str, str]] = []
    detect: _Detect = _Detect()
    fields: dict[str, list[str]] = {}
    conversation: _Conversation = _Conversation()
    constants: dict[str, str] = {}
    scale: dict[str, float] = {}
    words: dict[str, dict[str, list[str]]] = {}
    parts: dict[str, str] = {}
    extends: str = ""
    inside: str = ""
    always: list[str] = []
    elsewhere: list[str] = []
    patterns: list[str] = []


class Mapping:
    """One checked table."""

    def __init__(self, file: _File, path: FilePath) -> None:
        self.path = path
        self.name, self.version, self.title = file.name, file.version, file.title
        self.lines = file.lines
        self.sample = file.sample
        self.logsource = tuple(file.logsource)
        self.detect_all = tuple(map(parse_path, file.detect.all))
        self.detect_any = tuple(map(parse_path, file.detect.any))
        self.detect_none = tuple(map(parse_path, file.detect.none))
        self.detect_equal = {
            parse_path(place): frozenset(words) for place, words in file.detect.equal.items()
        }
        self.fields: Map[str, tuple[Path, ...]] = {
            name: tuple(map(parse_path, places)) for name, places in file.fields.items()
        }
        if file.lines == "json":  # the last place, for records that do not say it themselves
            self.fields = {**self.fields, "time": (*self.fields.get("time", ()), (TIME,))}
        self.given = tuple(map(parse_path, file.conversation.given))
        self.answered = tuple(map(parse_path, file.conversation.answered))
        self.system = tuple(map(parse_path, file.conversation.system))
        self.tools = tuple(map(parse_path, file.conversation.tools))
        self.has_conversation = bool(self.given or self.answered or self.system or self.tools)
        self.constants = dict(file.constants)
        self.always = tuple(word.encode() for word in file.always)
        self.patterns = tuple(file.patterns)
        self.inside = file.inside
        self.elsewhere = tuple(map(parse_path, file.elsewhere))
        self.columns: Header | None = None
        self._scale = file.scale
        self._parts = {field: PARTS[name] for field, name in file.parts.items()}
        self._words = {
            field: {word.lower(): name for name, words in table.items() for word in words}
            for field, table in file.words.items()
        }

    def of_columns(self, header: Header) -> Mapping:
        """Return the table for a CSV file with these columns, whose rows are its records."""
        out = copy.copy(self)
        out.lines, out.columns = "csv", header
        return out

    def always_texts(self) -> tuple[bytes, ...]:
        """Return texts of records whose bytes may not show what they say."""
        return self.always

    def derives(self, field: str) -> bool:
        """Tell whether the values of a field are not those of the record."""
        return field in self._scale or field in self._words or field in self._parts

    def derived(self, field: str, values: list[Any]) -> list[Any]:
        """Return the values of a field in its unit and words."""
        if field in self._scale:
            factor = self._scale[field]
            return [number * factor for one in values if (number := _number(one)) is not None]
        if field in self._parts:
            take = self._parts[field]
            return [part for one in values if isinstance(one, str) and (part := take(one))]
        if field in self._words:
            words = self._words[field]
            return [
                words.get(text, words.get(f"{text[:1]}xx", words.get("*", "")))
                for text in (str(one).lower() for one in values)
            ]
        return values

    def fits(self, rule: Map[str, str]) -> bool:
        """Tell whether a rule for this log source looks at this format."""
        return any(
            all(source.get(key) == value for key, value in rule.items())
            for source in self.logsource
        )


def _of_url(url: str) -> tuple[str, str, str]:
    """Return host, path and query of a URL, or of the target of a request."""
    scheme, found, rest = url.partition("://")
    if not found or not scheme.isalnum():
        rest = url
    rest = rest.partition("#")[0]
    front, _, query = rest.partition("?")
    host, slash, path = front.partition("/") if found else ("", "", front)
    return host, f"{slash}{path}", query


def _of_request(line: str) -> str:
    """Return the target in the first line of a request."""
    words = line.split(" ")
    if len(words) < 2:
        return line
    return " ".join(words[1:-1] if words[-1].startswith("HTTP/") else words[1:])


PARTS: dict[str, Callable[[str], str]] = {
    "host": lambda url: _of_url(url)[0].rpartition("@")[2],
    "path": lambda url: _of_url(url)[1],
    "query": lambda url: _of_url(url)[2],
    "query or all": lambda text: _of_url(text)[2] if "?" in text or "/" in text[:1] else text,
    "request method": lambda line: line.partition(" ")[0],
    "request target": _of_request,
    "request path": lambda line: _of_url(_of_request(line))[1],
    "request query": lambda line: _of_url(_of_request(line))[2],
}
"""What a part of a value is called, and how it is taken out; each stands in the value as it is."""


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str) and len(value) < 40:
        try:
            return float(value)
        except ValueError:
            return None
    return None


def load_mapping(path: FilePath) -> Mapping:
    """Read a table, with what it adds to one of ours. Raises ConfigError with what is wrong."""
    return Mapping(_whole(path), path)


def _whole(path: FilePath) -> _File:
    file = _read(path)
    _check(file, path)
    return _extended(file, _whole(READERS / f"{file.extends}.toml")) if file.extends else file


def _read(path: FilePath) -> _File:
    try:
        data = path.read_bytes()
        if len(data) > 1 << 20:
            raise ConfigError(f"{path}: is larger than 1 MB, which no mapping is")
        return msgspec.convert(tomllib.loads(data.decode("utf-8")), _File, strict=True)
    except OSError as error:
        raise ConfigError(f"{path}: the mapping cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not a TOML file: {error}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{path}: {error}", hint="docs/log-fields.md describes the keys of a mapping."
        ) from error


def _extended(file: _File, base: _File) -> _File:
    """Return a table with the places of another one behind its own."""
    names = dict.fromkeys((*file.fields, *base.fields))
    mine, theirs = file.conversation, base.conversation
    return msgspec.structs.replace(
        file,
        fields={
            name: list(dict.fromkeys((*file.fields.get(name, ()), *base.fields.get(name, ()))))
            for name in names
        },
        conversation=_Conversation(
            given=[*mine.given, *theirs.given], answered=[*mine.answered, *theirs.answered],
            system=[*mine.system, *theirs.system], tools=[*mine.tools, *theirs.tools],
        ),
        logsource=file.logsource or base.logsource,
        constants={**base.constants, **file.constants},
        scale={**base.scale, **file.scale},
        words={**base.words, **file.words},
        parts={**base.parts, **file.parts},
        always=[*file.always, *base.always],
    )  # fmt: skip


def _check(file: _File, path: FilePath) -> None:
    if file.lines not in KINDS:
        raise ConfigError(f"{path}: lines = {file.lines!r}, expected one of {', '.join(KINDS)}")
    if file.sample.kind not in _SAMPLES:
        raise ConfigError(
            f"{path}: sample.kind = {file.sample.kind!r}, expected one of {', '.join(_SAMPLES)}"
        )
    for field, name in file.parts.items():
        if name not in PARTS:
            raise ConfigError(
                f"{path}: parts: {field!r} = {name!r}, expected one of {', '.join(PARTS)}"
            )
    if file.extends and file.extends not in {one.stem for one in READERS.glob("*.toml")}:
        raise ConfigError(
            f"{path}: extends = {file.extends!r}, and there is no such reader",
            hint="`tavo logs formats` lists them.",
        )
    for field in (*file.parts, *file.fields, *file.constants, *file.scale, *file.words):
        if field in FIELDS or "-" in field or "." not in field:
            continue  # names of Sigma's own sources, such as cs-method
        near = difflib.get_close_matches(field, FIELDS, n=1)
        if near:
            raise ConfigError(
                f"{path}: there is no field {field!r}", hint=f"Did you mean {near[0]}?"
            )
    for source in file.logsource:
        if source.get("product") == "genai" and source.get("category") not in CATEGORIES:
            raise ConfigError(
                f"{path}: logsource: a genai category is one of {', '.join(sorted(CATEGORIES))}"
            )


@cache
def readers() -> dict[str, Mapping]:
    """Return our own tables by their names."""
    return {one.name: one for one in map(load_mapping, sorted(READERS.glob("*.toml")))}
