"""Taint across the files of a scan: what the functions of one file do, where others call them.

Rules this module keeps:
- every file was looked at by itself before; what it said of its functions is linked here, and only
  files that call what matters are looked at again, with what their calls do;
- called files come first; files that call each other are looked at again and again while that adds
  something, a few times;
- a finding is at its sink, in whatever file, with the steps of all files on the way; what is known
  already is not said again;
- what comes out does not depend on the number of processes, nor on what was known before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Protocol

import msgspec
from msgspec.structs import replace

from tavo.kept import content_key
from tavo.scan.crew import Crew
from tavo.scan.files import SourceFile
from tavo.scan.linking import Given, Links, Looked, Offer, Task, groups
from tavo.scan.modules import Modules
from tavo.scan.outline import Outline
from tavo.scan.results import FileResult
from tavo.scan.rule_source import RuleSource

__all__ = ["Memory", "Outlined", "scan_across"]

_MOST_LOOKS = 5

HitKey = tuple[str, str, int, int]
_Offers = dict[str, dict[str, Offer]]
"""What a file offers: by name, and then by rule."""


class Outlined(msgspec.Struct, frozen=True):
    """A file with the key of its content, and what it tells the others."""

    file: SourceFile
    content: bytes
    outline: Outline


class Memory(Protocol):
    """What earlier runs said about the same tasks."""

    def find_looked(self, key: bytes) -> Looked | None:
        """Return what came of a task, None if that is not known."""

    def keep_looked(self, key: bytes, looked: Looked) -> None:
        """Note what came of a task."""

    def keep_outline(self, file: SourceFile, content: bytes, outline: Outline) -> None:
        """Note what a file uses, now that it is known."""


def scan_across(
    outlined: Sequence[Outlined],
    rules: RuleSource,
    *,
    root: str,
    known: set[HitKey],
    jobs: int = 1,
    largest: int,
    memory: Memory | None = None,
) -> Iterator[FileResult]:
    """Yield what only several files together show. `known` are the findings that are there.

    `root` is the name of the folder that paths begin at.
    """
    live = _live(outlined, rules)
    if not live or len(outlined) < 2:
        return
    project = _Project(outlined, live, root=root, largest=largest, memory=memory)
    with closing(Crew(rules, jobs=jobs, largest=largest)) as workers:
        said = project.run(workers)
    for path, looked in said:
        hits = []
        for hit in looked.hits:
            if hit.key not in known:
                known.add(hit.key)
                hits.append(hit)
        if hits or looked.problems:
            file = project.files[path].file
            yield FileResult(
                file.relative, tuple(hits), looked.problems, scanned=False, lasting=looked.lasting
            )


def _live(outlined: Sequence[Outlined], rules: RuleSource) -> frozenset[str]:
    """Return the rules of which a flow through several files can be: some sink, some source."""
    sinks = {rule for one in outlined for rule in one.outline.sinks}
    if not sinks:
        return frozenset()
    sources = {rule for one in outlined for rule in one.outline.sources}
    return frozenset(
        rule for rule in sinks if rule in sources or rules.loaded.rules[rule].begins_anywhere
    )


class _Project:
    """The files of a scan, and how far each one has been looked at."""

    def __init__(
        self,
        outlined: Sequence[Outlined],
        live: frozenset[str],
        *,
        root: str,
        largest: int,
        memory: Memory | None,
    ) -> None:
        self.files = {str(one.file.relative): one for one in outlined}
        self.live = live
        self.outlines = {path: one.outline for path, one in self.files.items()}
        self.modules = Modules((one.file.relative for one in outlined), root=root)
        self.largest = largest
        self.memory = memory
        self.offers: dict[str, _Offers] = {}
        self.marked = {
            path: found
            for path, outline in self.outlines.items()
            if (found := live.intersection(outline.sinks + outline.sources))
        }
        self.seen: dict[str, dict[str, bytes]] = {}
        self.looks: dict[str, int] = {}
        self.said: list[tuple[tuple[int, int, str], Looked]] = []

    def _offer(self, path: str, rule: str, offers: Sequence[Offer]) -> None:
        held = self.offers.setdefault(path, {})
        for by_rule in held.values():
            by_rule.pop(rule, None)
        for offer in offers:
            held.setdefault(offer.name, {}).setdefault(rule, offer)

    def run(self, workers: Crew) -> list[tuple[str, Looked]]:
        """Look at what has to be looked at; return what came of it, in an order of its own."""
        active = self._linked(workers)
        edges = {
            path: sorted({
                target
                for link in self.links.of.get(path, ())
                for target, _ in link.places
                if target in active
            })
            for path in sorted(active)
        }  # fmt: skip
        ordered = groups(edges)
        _Schedule(self, ordered, edges).run(workers)
        return [(place[2], looked) for place, looked in sorted(self.said, key=lambda one: one[0])]

    def _linked(self, workers: Crew) -> set[str]:
        """Link the files; ask those that have not been parsed, as far as they can matter."""
        while True:
            self.links = Links(self.outlines, self.modules)
            active, unknown = self.links.active(self.marked)
            if not unknown:
                return active
            for path in sorted(unknown):
                one = self.files[path]
                workers.add(path, Task(one.file, one.content, self.largest))
            while workers.under_way:
                path, looked = workers.next()
                before = self.outlines[path]
                learned = replace(
                    looked.outline or Outline(), sinks=before.sinks, sources=before.sources
                )
                self.outlines[path] = learned
                if looked.problems:
                    self.said.append(((-1, 0, path), looked))
                elif self.memory is not None and looked.outline is not None:
                    one = self.files[path]
                    self.memory.keep_outline(one.file, one.content, learned)

    def task(self, path: str) -> Task | None:
        """Return what has to be done with a file, None for nothing.

        A rule is followed in it for what is called of it, and again when what it calls became more.
        """
        given: dict[str, dict[str, tuple[Offer, str]]] = {}
        for link in self.links.of.get(path, ()):
            for target, name in link.places:
                for rule, offer in self.offers.get(target, {}).get(name, {}).items():
                    given.setdefault(rule, {}).setdefault(link.dotted, (offer, name))
        wanted = tuple(sorted(self.links.called.get(path, ())))
        if wanted and path not in self.seen:
            for rule in self.marked.get(path, ()):
                given.setdefault(rule, {})
        seen = self.seen.setdefault(path, {})
        chosen: dict[str, tuple[Given, ...]] = {}
        for rule, entries in sorted(given.items()):
            meaning = hashlib.blake2b(digest_size=16)
            for dotted, (offer, _) in sorted(entries.items()):
                meaning.update(dotted.encode("utf-8", "replace") + b"\0" + offer.meaning)
            if seen.get(rule) != meaning.digest():
                seen[rule] = meaning.digest()
                chosen[rule] = tuple(
                    Given(dotted, name, offer.digest, offer.content)
                    for dotted, (offer, name) in sorted(entries.items())
                )
        if not chosen or self.looks.get(path, 0) >= _MOST_LOOKS:
            return None
        self.looks[path] = self.looks.get(path, 0) + 1
        one = self.files[path]
        return Task(one.file, one.content, self.largest, chosen, wanted)

    def take(self, path: str, looked: Looked) -> None:
        """Take over what a file offers now."""
        for rule, offers in looked.offers.items():
            self._offer(path, rule, offers)


class _Schedule:
    """Which files can be looked at now: those of groups that call nothing unfinished."""

    def __init__(
        self, project: _Project, ordered: list[list[str]], edges: Mapping[str, Sequence[str]]
    ) -> None:
        self.project = project
        self.groups = ordered
        self.group_of = {path: number for number, group in enumerate(ordered) for path in group}
        self.waits_for: list[set[int]] = [set() for _ in ordered]
        self.frees: list[set[int]] = [set() for _ in ordered]
        for path, targets in edges.items():
            mine = self.group_of[path]
            for target in targets:
                other = self.group_of[target]
                if other != mine:
                    self.waits_for[mine].add(other)
                    self.frees[other].add(mine)
        self.round = [0] * len(ordered)
        self.open: list[dict[str, Looked | None]] = [{} for _ in ordered]
        self.keys: dict[str, bytes] = {}

    def run(self, workers: Crew) -> None:
        ready = [number for number, waits in enumerate(self.waits_for) if not waits]
        while ready or workers.under_way:
            while ready:
                number = ready.pop()
                if not self._begin(number, workers):
                    ready += self._finish(number)
            if workers.under_way:
                path, looked = workers.next()
                if self.project.memory is not None:
                    self.project.memory.keep_looked(self.keys[path], looked)
                number = self.group_of[path]
                self.open[number][path] = looked
                if all(one is not None for one in self.open[number].values()):
                    ready.append(number)

    def _begin(self, number: int, workers: Crew) -> bool:
        """Start the next round of a group; tell whether something is under way."""
        project = self.project
        while True:
            for path, looked in sorted(self.open[number].items()):
                if looked is not None:
                    project.take(path, looked)
                    project.said.append(((number, self.round[number], path), looked))
            self.open[number] = {}
            self.round[number] += 1
            for path in self.groups[number]:
                task = project.task(path)
                if task is None:
                    continue
                known = None
                if project.memory is not None:
                    self.keys[path] = _key(task)
                    known = project.memory.find_looked(self.keys[path])
                self.open[number][path] = known
                if known is None:
                    workers.add(path, task)
            if not self.open[number]:
                return False
            if any(one is None for one in self.open[number].values()):
                return True

    def _finish(self, number: int) -> list[int]:
        """Return the groups that can begin because one is done."""
        freed = []
        for other in sorted(self.frees[number]):
            self.waits_for[other].discard(number)
            if not self.waits_for[other]:
                freed.append(other)
        return freed


def _key(task: Task) -> bytes:
    """Return what stands for a file with what it is given."""
    whole = hashlib.sha256(task.content)
    whole.update("\0".join(task.wanted).encode("utf-8", "replace"))
    for rule, given in (task.given or {}).items():
        whole.update(f"{rule}\0{len(given)}\0".encode())
        for one in given:
            whole.update(repr((one.dotted, one.name, one.digest)).encode("utf-8", "replace"))
    return content_key(task.file.relative, "looked", whole.digest())
