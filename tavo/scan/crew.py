"""Who does the tasks of a scan across files: this process, or several when there is enough to do.

Rules this module keeps:
- a process that dies takes one task with it at most, whose file is named; others are done again;
- an interrupted scan leaves no process behind;
- it imports the engine with the first task.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from tavo.scan.linking import Looked, Task
from tavo.scan.rule_source import RuleSource

__all__ = ["Crew"]

_WORTH_IT = 12
_DIED = "the scanner died on this file when it looked at it with what it imports"


class Crew:
    """Tasks that are under way, by the path of their file. Close it."""

    def __init__(self, rules: RuleSource, *, jobs: int, largest: int) -> None:
        """Start nothing yet. `jobs` is the largest number of processes."""
        self._rules = rules
        self._jobs = jobs
        self._largest = largest
        self._tasks: dict[str, Task] = {}
        self._futures: dict[Future[Looked], str] = {}
        self._done: list[tuple[str, Looked]] = []
        self._pool: ProcessPoolExecutor | None = None

    @property
    def under_way(self) -> int:
        """Return the number of tasks whose results were not fetched."""
        return len(self._tasks) + len(self._done)

    def add(self, path: str, task: Task) -> None:
        """Have a task done."""
        self._tasks[path] = task
        if self._pool is not None:
            self._submit(path)

    def next(self) -> tuple[str, Looked]:
        """Return what came of one of the tasks."""
        if self._done:
            return self._done.pop()
        if self._pool is None and len(self._tasks) < _WORTH_IT:
            from tavo.scan.looking import look

            path = next(iter(self._tasks))
            return path, look(self._tasks.pop(path), self._rules.loaded)
        if self._pool is None:
            self._start()
        finished, _ = wait(self._futures, return_when=FIRST_COMPLETED)
        future = next(iter(finished))
        try:
            looked = future.result()
        except BrokenProcessPool:
            self._one_by_one()
            return self._done.pop()
        path = self._futures.pop(future)
        del self._tasks[path]
        return path, looked

    def close(self) -> None:
        """End the processes, also those that are at work."""
        if self._pool is not None:
            from tavo.scan.lookers import end

            end(self._pool, at_work=bool(self._futures))
            self._pool = None

    def _start(self) -> None:
        self._pool = self._processes(self._jobs)
        for path in self._tasks:
            self._submit(path)

    def _processes(self, jobs: int) -> ProcessPoolExecutor:
        from tavo.scan.lookers import processes

        return processes(
            self._rules.loaded, rule_paths=self._rules.paths, jobs=jobs, largest=self._largest
        )

    def _submit(self, path: str) -> None:
        from tavo.scan.lookers import ask

        if self._pool is not None:
            try:
                self._futures[ask(self._pool, self._tasks[path])] = path
            except BrokenProcessPool:
                pass  # what is under way says so when it is fetched

    def _one_by_one(self) -> None:
        """Some task killed a process: do each one on a process of its own, then go on."""
        self._futures.clear()
        self.close()
        from tavo.scan.lookers import ask, end

        for path, task in list(self._tasks.items()):
            alone = self._processes(1)
            try:
                looked = ask(alone, task).result()
            except BrokenProcessPool:
                looked = Looked(problems=(_DIED,), lasting=False)
            finally:
                end(alone, at_work=False)
            del self._tasks[path]
            self._done.append((path, looked))
