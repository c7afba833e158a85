"""When open documents are looked at, and who waits for that.

Rules this module keeps:
- one text is looked at at a time, the one that was changed last first; of several changes only the
  last one counts;
- a text that is at work for long when it has changed already is given up, and one that is at work
  for too long or that the process died of is named and not tried again before it changes.

Units: times in seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import PurePosixPath

import msgspec

from tavo.lsp import exchange
from tavo.lsp.desk import Desk, Gone, News
from tavo.lsp.documents import Documents, Subject
from tavo.lsp.findings import Known
from tavo.plugins import Rule
from tavo.scan.results import FileResult

__all__ = ["LONGEST_S", "Checking"]

LONGEST_S = 60.0
"""How long one text may be looked at, by the clock."""

_GIVE_UP_S = 2.0
_QUIET_S = 0.05
_TEXT_SHARE = 8  # as the scanner reads text that is no code

Placed = Callable[[exchange.Insertion | None], None]


class _Task(msgspec.Struct, frozen=True):
    number: int
    uri: str
    pieces: tuple[str, ...]
    path: PurePosixPath


class _Question(msgspec.Struct, frozen=True):
    order: exchange.Place
    then: Placed


class Checking:
    """What is known about open documents. `news` is called with the URI of what has changed."""

    def __init__(
        self, desk: Desk, documents: Documents, *, largest: int, clock: Callable[[], float],
        news: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._desk = desk
        self._documents = documents
        self._clock = clock
        self._news = news
        self.largest = largest
        self.known: dict[str, Known] = {}
        self.rules: dict[str, Rule] = {}
        self.hides: Callable[[Subject], bool] = lambda _: False
        self._due: dict[str, float] = {}
        self._waiting: dict[str, list[Callable[[], None]]] = {}
        self._questions: deque[_Question] = deque()
        self._task: _Task | _Question | None = None
        self._number = 0

    def of(self, subject: Subject) -> Known:
        """Return what is known about a document or notebook."""
        return self.known.setdefault(subject.uri, Known())

    def touch(self, subject: Subject, *, at_once: bool = False) -> None:
        """Have a text looked at, after a moment in which nothing else happens to it."""
        self._due.pop(subject.uri, None)  # the last one comes last
        self._due[subject.uri] = self._clock() + (0 if at_once else _QUIET_S)

    def forget(self, uri: str) -> None:
        """Forget a text that was closed; who waits for it is told."""
        self.known.pop(uri, None)
        self._due.pop(uri, None)
        self._tell(uri)

    def when_current(self, subject: Subject, then: Callable[[], None]) -> None:
        """Call something when what is known is about the text as it is."""
        uri = subject.uri
        is_under_way = isinstance(self._task, _Task) and self._task.uri == uri
        if uri in self._due:
            self._due[uri] = self._clock()
        elif not is_under_way:
            then()
            return
        self._waiting.setdefault(uri, []).append(then)

    def ask(self, path: PurePosixPath, content: bytes, rule: str, line: int, then: Placed) -> None:
        """Ask where a comment can stand; `then` gets the answer."""
        self._number += 1
        order = exchange.Place(self._number, path, content, rule, line)
        self._questions.append(_Question(order, then))

    @property
    def due(self) -> float | None:
        """Return when `tick` has to be called next, None for not before something happens."""
        if self._task is not None:
            since = self._desk.busy_since or self._clock()
            again = isinstance(self._task, _Task) and self._task.uri in self._due
            return since + (_GIVE_UP_S if again else LONGEST_S)
        if self._questions:
            return self._clock()
        return min(self._due.values(), default=None)

    def tick(self) -> None:
        """Do what is due."""
        if self._task is not None:
            self._look_after(self._task)
        if self._task is None and self._questions:
            question = self._questions.popleft()
            self._task = question
            self._desk.give(question.order)
        while self._task is None:
            now = self._clock()
            ready = [uri for uri, due in self._due.items() if due <= now]
            if not ready:
                return
            self._begin(ready[-1])

    def hear(self, news: News) -> None:
        """Take what the process says."""
        task = self._task
        match news.reply:
            case exchange.Looked() as looked:
                if isinstance(task, _Task) and looked.number == task.number:
                    self.rules.update((rule.id, rule) for rule in looked.rules)
                    self._finish(task, looked.result)
            case exchange.Placed() as placed:
                if isinstance(task, _Question) and placed.number == task.order.number:
                    self._task = None
                    self._desk.done()
                    task.then(placed.insertion)
            case Gone():
                self._desk.end()
                self._fail("the scanner died on this text")
            case _:
                pass

    def _begin(self, uri: str) -> None:
        del self._due[uri]
        subject = self._documents.subject(uri)
        if subject is None:
            self._tell(uri)
            return
        self._number += 1
        path = subject.name.relative
        task = _Task(self._number, uri, subject.pieces, path)
        if self.hides(subject):
            self._finish(task, FileResult(path, scanned=False))
            return
        content = subject.content()
        if len(content) > self.largest * _TEXT_SHARE:
            problem = f"too large: {len(content)} bytes, at most {self.largest}"
            self._finish(task, FileResult(path, problems=(problem,), scanned=False))
            return
        self._task = task
        self._desk.give(exchange.Look(self._number, path, content))

    def _look_after(self, task: _Task | _Question) -> None:
        """Give up what takes too long."""
        spent = self._clock() - (self._desk.busy_since or self._clock())
        if spent >= LONGEST_S:
            self._desk.end()
            self._fail(f"it took longer than {LONGEST_S:g} s")
        elif isinstance(task, _Task) and task.uri in self._due and spent >= _GIVE_UP_S:
            self._desk.end()
            self._task = None

    def _fail(self, reason: str) -> None:
        task, self._task = self._task, None
        if isinstance(task, _Task):
            result = FileResult(task.path, problems=(reason,), scanned=False, lasting=False)
            self._finish(task, result)
        elif task is not None:
            task.then(None)

    def _finish(self, task: _Task, result: FileResult) -> None:
        self._task = None
        self._desk.done()
        subject = self._documents.subject(task.uri)
        if subject is None:
            self._tell(task.uri)
            return
        self.of(subject).look(task.pieces, result)
        self._news(task.uri)
        if task.uri not in self._due:
            self._tell(task.uri)

    def _tell(self, uri: str) -> None:
        for then in self._waiting.pop(uri, []):
            then()
