"""Whole folders in the background: what their files show by themselves, and together.

Rules this module keeps:
- nothing waits for it that somebody types; it runs when nothing has changed for a moment, and the
  longer it takes, the longer that moment is;
- texts that are open count as they are in the editor, saved or not;
- a folder with too many files is not looked at, and that is said; what is held is bounded.

Units: times in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath

import msgspec

from tavo.lsp import exchange
from tavo.lsp.desk import Desk, Gone, News
from tavo.lsp.documents import Documents, Subject
from tavo.lsp.options import Noise
from tavo.lsp.places import Folder
from tavo.plugins import Rule
from tavo.scan.results import FileResult, Hit

__all__ = ["Outcome", "Surveying"]

QUIET_S = 1.0
UNSAVED_S = 2.0
_TIMES_AS_LONG = 5
_MOST_DEATHS = 3
_MOST_HITS = 50_000

NoiseOf = Callable[[Folder], Noise]


class Outcome(msgspec.Struct, frozen=True):
    """How a round over all folders ended."""

    files: int
    findings: int
    complete: bool
    problems: tuple[str, ...]


Then = Callable[[Outcome], None]
Step = Callable[[str, int, int], None]


class _Round(msgspec.Struct):
    """A round that is under way: folders that are left, the one it is at, who waits."""

    number: int
    folders: list[Folder]
    began: float
    at: Folder | None = None
    pieces: dict[str, tuple[str, ...]] = {}
    files: int = 0
    held: int = 0
    problems: list[str] = []
    own: dict[PurePosixPath, FileResult] = {}
    far: dict[PurePosixPath, list[Hit]] = {}
    stopped: bool = False


class Surveying:
    """What is known about the files of all folders. `news` tells which open documents changed."""

    def __init__(
        self, desk: Desk, documents: Documents, *, most: int, clock: Callable[[], float],
        noise: NoiseOf, news: Callable[[list[Subject]], None], say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._desk = desk
        self._documents = documents
        self._most = most
        self._clock = clock
        self._noise = noise
        self._news = news
        self._say = say
        self._due: float | None = None
        self._round: _Round | None = None
        self._number = 0
        self._last_s = 0.0
        self.rounds = 0
        self._deaths = 0
        self._waiting: list[tuple[Then, Step | None]] = []
        self._waiting_next: list[tuple[Then, Step | None]] = []
        self.largest = 2 << 20
        self.rules: dict[str, Rule] = {}
        self.own: dict[Folder, Mapping[PurePosixPath, FileResult]] = {}
        self.far: dict[Folder, Mapping[PurePosixPath, list[Hit]]] = {}
        self.take: Callable[[Subject, tuple[str, ...], Iterable[Hit]], bool] = lambda *_: False

    @property
    def is_settled(self) -> bool:
        """Tell whether nothing has changed since the last round, and none is under way."""
        return self._due is None and self._round is None

    def plan(self, delay_s: float = QUIET_S) -> None:
        """Have a round begin when nothing has happened for a moment."""
        delay = delay_s if delay_s <= QUIET_S else max(delay_s, _TIMES_AS_LONG * self._last_s)
        self._due = self._clock() + delay
        if self._deaths < _MOST_DEATHS:
            return
        self._due = None

    def ask(self, then: Then, step: Step | None = None) -> None:
        """Call something when a round that begins now, or has not begun, is over."""
        self._waiting_next.append((then, step))
        self._due = self._clock()

    def stop(self) -> None:
        """Stop the round that is under way; who waits for it is told."""
        if self._round is not None:
            self._round.stopped = True
            self._desk.tell(exchange.Stop())
        elif self._waiting_next:
            self._due = None
            self._waiting, self._waiting_next = self._waiting_next, []
            self._tell(Outcome(0, 0, complete=False, problems=("stopped",)))

    @property
    def due(self) -> float | None:
        """Return when `tick` has to be called next."""
        return None if self._round is not None else self._due

    def tick(self) -> None:
        """Begin a round if it is time."""
        if self._round is not None or self._due is None or self._due > self._clock():
            return
        self._due = None
        self._waiting, self._waiting_next = self._waiting_next, []
        self._round = _Round(0, list(self._documents.folders), self._clock())
        self._next(self._round)

    def hear(self, news: News) -> None:
        """Take what the process says."""
        under_way = self._round
        match news.reply:
            case exchange.Progress() as one if under_way and one.number == under_way.number:
                for _, step in self._waiting:
                    if step is not None and under_way.at is not None:
                        step(under_way.at.path.name, one.done, one.of)
            case exchange.Found() as one if under_way and one.number == under_way.number:
                self._hold(under_way, one)
            case exchange.Done() as one if under_way and one.number == under_way.number:
                self._desk.done()
                for problem in one.problems_of_rules:
                    self._say(problem)
                self._end_of_folder(under_way, one.files, one.problem)
            case Gone() as one:
                self._desk.end()
                if under_way is not None:
                    self._deaths += 1
                    problem = f"the scan of the folder ended in the middle (code {one.code})"
                    self._end_of_folder(under_way, 0, problem)
            case _:
                pass

    def _next(self, one: _Round) -> None:
        """Begin with the next folder, or end the round."""
        if not one.folders or one.stopped:
            self._finish(one)
            return
        folder = one.folders.pop(0)
        noise = self._noise(folder)
        self._number += 1
        one.number, one.at, one.own, one.far = self._number, folder, {}, {}
        texts: dict[PurePosixPath, bytes] = {}
        for subject in self._documents.subjects:
            if subject.name.folder == folder and not noise.hides(str(subject.name.relative)):
                one.pieces[subject.uri] = subject.pieces
                texts[subject.name.relative] = subject.content()
        largest = min(self.largest, noise.largest or self.largest)
        self._desk.give(
            exchange.Survey(
                one.number, folder.path.resolve(), noise.exclude, largest, self._most, texts
            )
        )

    def _hold(self, one: _Round, found: exchange.Found) -> None:
        self.rules.update((rule.id, rule) for rule in found.rules)
        for result in found.results:
            one.held += len(result.hits) + len(result.problems)
            if one.held > _MOST_HITS:
                one.problems.append(f"more than {_MOST_HITS} findings: the rest is left out")
                one.stopped = True
                self._desk.tell(exchange.Stop())
                return
            if not found.together:
                one.own[result.path] = result
                continue
            for hit in result.hits:
                one.far.setdefault(hit.finding.location.path, []).append(hit)

    def _end_of_folder(self, one: _Round, files: int, problem: str) -> None:
        folder = one.at
        if folder is None:
            return
        one.files += files
        if problem:
            one.problems.append(f"{folder.path}: {problem}")
            if problem != "stopped":
                self._say(f"{folder.path}: {problem}")
        else:
            self.own[folder], self.far[folder] = one.own, one.far
            changed = []
            for subject in self._documents.subjects:
                pieces = one.pieces.get(subject.uri)
                if pieces is None or subject.name.folder != folder:
                    continue
                if self.take(subject, pieces, one.far.get(subject.name.relative, ())):
                    changed.append(subject)
            self._news(changed)
        self._next(one)

    def _finish(self, one: _Round) -> None:
        self._round = None
        self.rounds += 1
        self._last_s = self._clock() - one.began
        known = set(self._documents.folders)
        for table in (self.own, self.far):
            for folder in [folder for folder in table if folder not in known]:
                del table[folder]
        found = sum(len(r.hits) for own in self.own.values() for r in own.values())
        found += sum(len(hits) for far in self.far.values() for hits in far.values())
        complete = not one.problems
        self._tell(Outcome(one.files, found, complete, tuple(one.problems[:20])))
        if self._waiting_next and self._due is None:
            self._due = self._clock()

    def _tell(self, outcome: Outcome) -> None:
        waiting, self._waiting = self._waiting, []
        for then, _ in waiting:
            then(outcome)
