"""Rule files and folders of them -> their entries, as plain values, not yet checked as rules.

Rules this module keeps:
- a rule file is hostile: bounded in size and depth, no aliases, no tags;
- `use: NAME` in a list of patterns stands for the `patterns` of `library/NAME.yaml` beside the rule
  file; it is our only addition to Semgrep's syntax, and a library that many rules use is read once;
- the build keeps what it read of our own pack as JSON beside it, because reading the YAML takes
  longer than scanning a small project; a checkout reads the YAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tavo.scan.formula import FormulaError
from tavo.scan.languages import TEXT_LANGUAGES
from tavo.scan.pattern import parse_pattern
from tavo.scan.rule_entries import languages_of
from tavo.scan.rules import PROBLEM, load_rules

__all__ = ["compiled_pack", "expand", "read_folder", "read_rule_file"]

_PATTERN_KEYS = frozenset({"pattern", "pattern-inside", "pattern-not", "pattern-not-inside"})
_LARGEST_FILE = 4 << 20
_MOST_NODES = 400_000
_DEEPEST = 60
_LIBRARY = re.compile(r"[^\W_](?:[^\W_]|-){0,99}")

Entries = list[Mapping[str, Any]]


def read_folder(path: Path) -> Iterator[tuple[Path, Entries | FormulaError]]:
    """Yield the entries of a rule file, or of each one in a folder, expanded; or why not."""
    libraries: dict[Path, Any] = {}
    for file in _rule_files(path):
        try:
            entries = read_rule_file(file)
        except FormulaError as error:
            yield file, error
            continue
        for number, entry in enumerate(entries):
            try:
                entries[number] = _expand(entry, file.parent / "library", libraries, depth=0)
            except FormulaError as error:
                entries[number] = {"id": entry.get("id"), PROBLEM: str(error)}
        yield file, entries


def compiled_pack(folder: Path) -> bytes:
    """Return all entries of a pack as JSON, and the names that each of its patterns needs.

    Raises FormulaError if anything in the pack cannot be used.
    """
    files: dict[str, Entries] = {}
    names: dict[str, dict[str, list[str]]] = {}
    for file, entries in read_folder(folder):
        if isinstance(entries, FormulaError):
            raise entries
        files[file.relative_to(folder).as_posix()] = entries
        for entry in entries:
            for language in languages_of(entry):
                if language in TEXT_LANGUAGES:
                    continue  # their patterns are no code
                known = names.setdefault(language, {})
                for text in _patterns_of(entry):
                    needed = parse_pattern(text, language).names()
                    known[text] = sorted(name.decode() for name in needed)
    if problems := load_rules([folder]).problems:
        raise FormulaError(str(problems[0]))
    return json.dumps({"files": files, "names": names}, sort_keys=True, ensure_ascii=False).encode()


def _patterns_of(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if "metavariable" in value and "language" in value:
            return  # patterns of another language
        for key, item in value.items():
            if key in _PATTERN_KEYS and isinstance(item, str):
                yield item
            else:
                yield from _patterns_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from _patterns_of(item)


def read_rule_file(file: Path) -> list[Mapping[str, Any]]:
    """Return the entries of a rule file, not yet checked. Raises FormulaError."""
    value = _read_yaml(file)
    if not isinstance(value, Mapping) or not isinstance(value.get("rules"), list):
        raise FormulaError("expected a list under the key 'rules'")
    if other := [str(key) for key in value if key != "rules"]:
        raise FormulaError(f"unknown key {other[0]!r}, expected only 'rules'")
    return [e if isinstance(e, Mapping) else {"id": "", "broken": e} for e in value["rules"]]


def expand(value: Any, library: Path) -> Any:
    """Return a rule with every `use: NAME` replaced by that library's patterns."""
    return _expand(value, library, {}, depth=0)


# -- inside


def _rule_files(path: Path) -> Iterable[Path]:
    if path.is_file():
        return [path]
    found = [p for pattern in ("*.yaml", "*.yml") for p in path.rglob(pattern)]
    return sorted(p for p in found if _is_rule_file(p.relative_to(path)))


def _is_rule_file(path: Path) -> bool:
    """Tell whether a YAML file in a folder of rules is no library, sample or setting of Git."""
    folders = path.parts[:-1]
    hidden = any(part.startswith(".") for part in path.parts)
    sample = ".test." in path.name or ".fixed." in path.name
    return not hidden and not sample and "library" not in folders


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads what looks like a number or a day and is none as the text that it is."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except ValueError:
            if not isinstance(node, yaml.ScalarNode):
                raise
            return node.value


def _read_yaml(file: Path) -> Any:
    try:
        if file.exists() and not file.is_file():
            raise FormulaError("is no file")
        with file.open("rb") as stream:
            data = stream.read(_LARGEST_FILE + 1)
        if len(data) > _LARGEST_FILE:
            raise FormulaError(f"larger than {_LARGEST_FILE >> 20} MB")
        text = data.decode("utf-8")
        depth = 0
        for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
            if isinstance(event, yaml.AliasEvent):
                raise FormulaError(f"alias {event.anchor!r}: aliases are not supported")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if count > _MOST_NODES or depth > _DEEPEST:
                raise FormulaError("too many entries, or nested too deep")
        return yaml.load(text, Loader=_Loader)  # noqa: S506  (a safe loader, see above)
    except OSError as error:
        raise FormulaError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FormulaError(f"not UTF-8 at byte {error.start}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise FormulaError(f"{line}not YAML: {problem}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, FormulaError):
            raise
        raise FormulaError(f"not a rule file: {error}") from None


def _expand(
    value: Any, library: Path, known: dict[Path, Any], *, depth: int, count: list[int] | None = None
) -> Any:
    """Return a value with its libraries; `count` is how many parts there are so far."""
    count = [0] if count is None else count
    count[0] += 1
    if count[0] > _MOST_NODES:
        raise FormulaError("the libraries that it uses hold too much")
    if depth > _DEEPEST:
        raise FormulaError("libraries use each other in a circle, or are nested too deep")
    if isinstance(value, Mapping):
        return {
            key: _expand(item, library, known, depth=depth + 1, count=count)
            for key, item in value.items()
        }
    if not isinstance(value, list):
        return value
    out: list[Any] = []
    for item in value:
        if isinstance(item, Mapping) and set(item) == {"use"}:
            name = item["use"]
            if not isinstance(name, str) or not _LIBRARY.fullmatch(name):
                raise FormulaError(f"use: {str(name)[:60]!r} is not the name of a library")
            path = library / f"{name}.yaml"
            if not path.is_file():
                raise FormulaError(f"use: there is no library {path.name} in {library.name}/")
            if path not in known:
                content = _read_yaml(path)
                if not isinstance(content, Mapping) or not isinstance(
                    content.get("patterns"), list
                ):
                    raise FormulaError(f"library {name}: expected a list under the key 'patterns'")
                known[path] = content["patterns"]
            out.extend(_expand(known[path], library, known, depth=depth + 1, count=count))
        else:
            out.append(_expand(item, library, known, depth=depth + 1, count=count))
    return out
