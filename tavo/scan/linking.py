"""Which functions of which files the files of a scan call, from their outlines alone.

Rules this module keeps:
- a name is looked for in the file that its import names, and where that passes on what it imports
  itself, in the file behind it;
- it imports no engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import msgspec

from tavo.covering import Piece
from tavo.scan.files import SourceFile
from tavo.scan.languages import language_at
from tavo.scan.modules import Modules
from tavo.scan.outline import Outline
from tavo.scan.results import Hit

__all__ = ["Given", "Link", "Links", "Looked", "Offer", "Task"]

_MOST_BEHIND = 8


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """What a function does with a rule's data, by the name that other files use.

    `content` is all of it, as text, and `digest` stands for that; `meaning` stands for what a
    caller can learn from it, whatever the way the data takes inside.
    """

    name: str
    digest: bytes
    meaning: bytes
    content: bytes


class Given(msgspec.Struct, frozen=True, array_like=True):
    """What a file is given of another one: what it calls it, its name there, what it does."""

    dotted: str
    name: str
    digest: bytes
    content: bytes


class Task(msgspec.Struct, frozen=True):
    """A file to look at: with what is given for each rule, for what others want of it.

    Without that it is asked what it uses, and where `sinks` and `sources` of rules are in it.
    `content` is the key of what the file held when its outline was made, as `identity` makes it.
    """

    file: SourceFile
    content: bytes
    largest: int
    given: dict[str, tuple[Given, ...]] | None = None
    wanted: dict[str, tuple[str, ...]] = {}
    sinks: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


class Looked(msgspec.Struct, frozen=True):
    """What came of a task: findings, problems, what the file offers now, or its outline."""

    hits: tuple[Hit, ...] = ()
    problems: tuple[str, ...] = ()
    offers: dict[str, tuple[Offer, ...]] = {}
    outline: Outline | None = None
    lasting: bool = True
    secrets: tuple[Piece, ...] = ()


class Link(msgspec.Struct, frozen=True):
    """A called name, where its function can be, nearest first, and which parts call it.

    Places are files with the name there; of a file that was not parsed the name can be empty.
    """

    dotted: str
    places: tuple[tuple[str, str], ...]
    parts: tuple[str, ...]


class Links:
    """Who calls what of whom."""

    def __init__(self, outlines: Mapping[str, Outline], modules: Modules) -> None:
        self._outlines = outlines
        self._modules = modules
        self._found: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
        self.of: dict[str, tuple[Link, ...]] = {}
        self._passes: dict[str, dict[str, list[tuple[str, str]]]] = {}
        for path, outline in outlines.items():
            self.of[path] = tuple(self._links(path, outline))

    def _links(self, path: str, outline: Outline) -> Iterable[Link]:
        for use in outline.uses:
            behind = _MOST_BEHIND if outline.exact else 0
            found = dict.fromkeys(self._places(path, use.dotted, use.below, behind))
            places = tuple(
                place for place in found if place[0] != path and (place[1] or not outline.exact)
            )
            if places:
                yield Link(use.dotted + use.below, places, use.parts)

    def _targets(self, dotted: str, importer: str) -> tuple[tuple[str, str], ...]:
        """Return the files of the scan that an import can mean, each with the name there."""
        key = dotted, importer.rpartition("/")[0] + ("/.ts" if _is_ecma(importer) else "/.py")
        known = self._found.get(key)
        if known is None:
            found = self._modules.find(dotted, PurePosixPath(importer))
            known = tuple((str(target), symbol) for target, symbol in found)
            self._found[key] = known
        return known

    def _places(
        self, importer: str, dotted: str, below: str, behind: int
    ) -> Iterable[tuple[str, str]]:
        for target, symbol in self._targets(dotted, importer):
            outline = self._outlines.get(target)
            if outline is None or target == importer:
                continue
            first, dot, rest = symbol.partition(".")
            if first == "default" and outline.default:
                symbol = f"{outline.default}{dot}{rest}"
            name = f"{symbol}{below}".removeprefix(".")
            yield target, name
            if not behind:
                continue
            for local, passed in self._passed(target, name):
                yield from self._places(target, passed, name[len(local) :], behind - 1)

    def _passed(self, path: str, name: str) -> Iterable[tuple[str, str]]:
        """Return under which local names a file passes on a name, and what each one is."""
        known = self._passes.get(path)
        if known is None:
            known = self._passes[path] = {}
            for local, dotted in self._outlines[path].passes:
                known.setdefault(local, []).append((local, dotted))
        return known.get(name.partition(".")[0], ()) if known else ()


def _is_ecma(path: str) -> bool:
    return language_at(PurePosixPath(path)) != "python"
