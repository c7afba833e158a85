"""Which tools may be called, and with which arguments.

Settings: `allow` (names or patterns such as `read_*`; all), `deny`, `arguments`: a list of mappings
with `tool`, `argument` (a path such as `options.path`; `*` for every text), and one of `one_of`,
`matches` (an expression for the whole text), `below` (a folder), `never` (an expression), `most`.
"""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from tavo.detect.regex import Regex, RegexError
from tavo.detect.seen import without_hidden
from tavo.errors import ConfigError
from tavo.proxy.chain.filter import Filter, Settings
from tavo.proxy.chain.values import Action, Arguments, Judged, Scope

__all__ = ["ToolsFilter"]

_DEEPEST = 32


class ToolsFilter(Filter):
    """Blocks calls that the policy does not allow."""

    kind: ClassVar[str] = "tools"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._allow = settings.texts("allow", ("*",))
        self._deny = settings.texts("deny")
        self._arguments = [
            _rule(values, f"{settings.where}: arguments, number {number}")
            for number, values in enumerate(settings.mappings("arguments"), 1)
        ]
        settings.done()

    def judge_call(self, name: str, arguments: Arguments, scope: Scope) -> Judged | None:
        if not name and self._allow == ("*",) and not self._deny:
            name = "(no name)"
        if not _is_in(name, self._allow) or _is_in(name, self._deny):
            shown = name[:80] or "without a name"
            return Judged(
                Action.BLOCK, "tool", f"the tool {shown} is not allowed here ({self.name})"
            )
        for tools, argument, ok in self._arguments:
            if not fnmatch.fnmatchcase(name, tools):
                continue
            if not isinstance(arguments, dict):
                return Judged(Action.BLOCK, "arguments", f"the arguments of {name} are no object")
            for value in _values(arguments, argument):
                if not ok(value):
                    reason = f"the argument {argument} of {name} is not allowed ({self.name})"
                    return Judged(Action.BLOCK, "argument", reason)
        return None


def _is_in(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _values(arguments: dict[str, Any], path: str) -> Iterator[Any]:
    if path == "*":
        yield from _every(arguments, 0)
        return
    found: Any = arguments
    for part in path.split("."):
        if not isinstance(found, dict) or part not in found:
            return
        found = found[part]
    for value in found if isinstance(found, list) else [found]:
        yield value
        if isinstance(value, dict | list):
            yield from _every(value, 0)


def _every(value: Any, depth: int) -> Iterator[Any]:
    if depth > _DEEPEST:
        yield None  # too deep to be looked at: no rule says yes to it
        return
    for entry in value.values() if isinstance(value, dict) else value:
        if isinstance(entry, dict | list):
            yield from _every(entry, depth + 1)
        elif isinstance(entry, str):
            yield entry


def _rule(values: dict[str, Any], where: str) -> tuple[str, str, Callable[[Any], bool]]:
    given = Settings({"filter": "tools", **values}, where)
    tool, argument = given.text("tool", "*"), given.text("argument", "*")
    one_of, below = given.texts("one_of"), given.text("below", "")
    matches, never = given.text("matches", ""), given.text("never", "")
    most = given.number("most", None, low=-1e15)
    given.done()
    if sum((bool(one_of), bool(below), bool(matches), bool(never), most is not None)) != 1:
        raise ConfigError(f"{where}: expected one of one_of, matches, below, never, most")
    try:
        if matches:
            whole = Regex(rf"\A(?:{matches})\z")
            return tool, argument, lambda value: isinstance(value, str) and whole.found_in(value)
        if never:
            part = Regex(never)
            return tool, argument, lambda value: not isinstance(value, str) or not (
                part.found_in(value) or part.found_in(without_hidden(value))
            )  # fmt: skip
    except RegexError as error:
        raise ConfigError(f"{where}: {error}") from None
    if below:
        return tool, argument, lambda value: isinstance(value, str) and _is_below(value, below)
    if most is not None:
        return tool, argument, lambda value: _is_at_most(value, most)
    return tool, argument, lambda value: value in one_of


def _is_below(path: str, folder: str) -> bool:
    if "\\" in path or "\0" in path or path.startswith("~"):
        return False
    folder = posixpath.normpath(folder)
    found = posixpath.normpath(posixpath.join(folder, path))
    return found == folder or found.startswith(folder.rstrip("/") + "/")


def _is_at_most(value: Any, most: float) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and value <= most
