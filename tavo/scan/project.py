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
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Protocol

import msgspec
from msgspec.structs import replace

from tavo.kept import content_key
from tavo.scan.crew import Crew
from tavo.scan.files import SourceFile
from tavo.scan.graph import groups
from tavo.scan.linking import Given, Link, Links, Looked, Offer, Task
from tavo.scan.modules import Modules
from tavo.scan.outline import Outline
from tavo.scan.relevance import Relevance
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
    ends = {rule for one in outlined for rule in one.outline.sinks}
    if not ends or len(outlined) < 2:
        return
    anywhere = {rule: rules.loaded.rules[rule].begins_anywhere for rule in sorted(ends)}
    project = _Project(outlined, anywhere, root=root, largest=largest, memory=memory)
    with closing(Crew(rules, jobs=jobs, largest=largest)) as workers:
        said = project.run(workers)
    for path, looked in said:
        hits = []
        for hit in looked.hits:
            if hit.key not in known:
                known.add(hit.key)
                hits.append(hit)
        if hits or looked.problems or not looked.lasting:
            file = project.files[path].file
            yield FileResult(
                file.relative, tuple(hits), looked.problems, scanned=False,
                lasting=looked.lasting, secrets=looked.secrets,
            )  # fmt: skip


class _Project:
    """The files of a scan, and how far each one has been looked at."""

    def __init__(
        self,
        outlined: Sequence[Outlined],
        anywhere: Mapping[str, bool],
        *,
        root: str,
        largest: int,
        memory: Memory | None,
    ) -> None:
        self.files = {str(one.file.relative): one for one in outlined}
        self.anywhere = anywhere
        self.outlines = {path: one.outline for path, one in self.files.items()}
        self.modules = Modules((one.file.relative for one in outlined), root=root)
        self.largest = largest
        self.memory = memory
        self.offers: dict[str, _Offers] = {}
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
        self._link(workers)
        edges: dict[str, set[str]] = {path: set() for path in sorted(self.wanted)}
        for path, by_rule in self.calls.items():
            for links in by_rule.values():
                edges.setdefault(path, set()).update(t for one in links for t, _ in one.places)
        called = {path: sorted(edges.get(path, ())) for path in sorted(edges)}
        _Schedule(self, groups(called), called).run(workers)
        return [(place[2], looked) for place, looked in sorted(self.said, key=lambda one: one[0])]

    def _link(self, workers: Crew) -> None:
        """Link the files; ask those that have not been parsed, as far as they can matter."""
        while True:
            links, relevant = self._linked()
            tasks = self._questions(relevant)
            if not tasks:
                break
            for path, task in tasks.items():
                workers.add(path, task)
            while workers.under_way:
                path, looked = workers.next()
                self._learn(path, tasks[path], looked)
            del links, relevant  # the next ones take as much
        self.calls: dict[str, dict[str, list[Link]]] = {}
        self.wanted: dict[str, dict[str, tuple[str, ...]]] = {}
        same: dict[tuple[str, ...], tuple[str, ...]] = {}  # most rules want the same of a file
        for rule, paths in relevant.items():
            wanted: dict[str, set[str]] = {}
            for path, parts in paths.items():
                for link in links.of[path]:
                    if parts.isdisjoint(link.parts):
                        continue
                    places = [place for place in link.places if place[0] in paths]
                    if not places:
                        continue
                    self.calls.setdefault(path, {}).setdefault(rule, []).append(link)
                    for target, name in places:
                        wanted.setdefault(target, set()).add(name)
            for target, found in wanted.items():
                names = tuple(sorted(found))
                self.wanted.setdefault(target, {})[rule] = same.setdefault(names, names)

    def _linked(self) -> tuple[Links, Mapping[str, Mapping[str, frozenset[str]]]]:
        links = Links(self.outlines, self.modules)
        return links, Relevance(self.outlines, links, self.anywhere).parts

    def _questions(self, relevant: Mapping[str, Mapping[str, Collection[str]]]) -> dict[str, Task]:
        """Return what has to be asked: what a file uses, and where sinks and sources are."""
        asked: dict[str, list[str]] = {}
        for rule, paths in relevant.items():
            for path in paths:
                if not self.outlines[path].exact:
                    asked.setdefault(path, []).append(rule)
        tasks = {}
        for path, rules in sorted(asked.items()):
            one, outline = self.files[path], self.outlines[path]
            sinks = tuple(rule for rule in rules if rule in outline.sinks)
            sources = tuple(rule for rule in rules if rule in outline.sources)
            tasks[path] = Task(one.file, one.content, self.largest, sinks=sinks, sources=sources)
        return tasks

    def _learn(self, path: str, task: Task, looked: Looked) -> None:
        """Take over what a file answered."""
        one, before = self.files[path], self.outlines[path]
        said = looked.outline or Outline()
        sinks = {rule: at for rule, at in before.sinks.items() if rule not in task.sinks}
        sources = {rule: at for rule, at in before.sources.items() if rule not in task.sources}
        learned = replace(said, sinks={**sinks, **said.sinks}, sources={**sources, **said.sources})
        self.outlines[path] = learned
        if looked.problems:
            self.said.append(((-1, len(self.said), path), looked))
        if self.memory is not None and looked.lasting and not looked.problems:
            self.memory.keep_outline(one.file, one.content, learned)

    def task(self, path: str) -> Task | None:
        """Return what has to be done with a file, None for nothing.

        A rule is followed in it for what is called of it, and again when what it calls became more.
        """
        given: dict[str, dict[str, tuple[Offer, str]]] = {}
        for rule, links in self.calls.get(path, {}).items():
            for link in links:
                for target, name in link.places:
                    offer = self.offers.get(target, {}).get(name, {}).get(rule)
                    if offer is not None:
                        given.setdefault(rule, {}).setdefault(link.dotted, (offer, name))
        wanted = self.wanted.get(path, {})
        if path not in self.seen:
            outline = self.outlines[path]
            for rule in wanted:
                if rule in outline.sinks or rule in outline.sources:
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
        names = {rule: wanted[rule] for rule in chosen if rule in wanted}
        return Task(one.file, one.content, self.largest, chosen, names)

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
        self.callers = [len(callers) for callers in self.frees]
        self.calls = [sorted(waits) for waits in self.waits_for]
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
                    told = replace(looked, offers={}, outline=None)  # which callers have by now
                    project.said.append(((number, self.round[number], path), told))
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
        """Return the groups that can begin because one is done.

        What a group offers is forgotten when all that call it are done.
        """
        if not self.callers[number]:
            self._forget(number)
        for called in self.calls[number]:
            self.callers[called] -= 1
            if not self.callers[called]:
                self._forget(called)
        freed = []
        for other in sorted(self.frees[number]):
            self.waits_for[other].discard(number)
            if not self.waits_for[other]:
                freed.append(other)
        return freed

    def _forget(self, number: int) -> None:
        for path in self.groups[number]:
            self.project.offers.pop(path, None)


def _key(task: Task) -> bytes:
    """Return what stands for a file with what it is given."""
    whole = hashlib.sha256(task.content)
    whole.update(repr(task.wanted).encode("utf-8", "replace"))
    for rule, given in (task.given or {}).items():
        whole.update(f"{rule}\0{len(given)}\0".encode())
        for one in given:
            whole.update(repr((one.dotted, one.name, one.digest)).encode("utf-8", "replace"))
    return content_key(task.file.relative, "looked", whole.digest())
