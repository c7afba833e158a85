"""The files of a mirror: fetched where they are missing or damaged, several at a time.

Rules this module keeps:
- a file that is there already is hashed again, and replaced if it is damaged;
- so many files are under way at a time as the caller allows, all from one source; the first that
  fails ends the others at their next bytes, and what large ones got stays for the next run;
- what was written is made to last by `settle`, before anything may say that it is there;
- the vetting reports that reviewers name go along, so that they can be read behind an air gap.

Units: bytes, seconds.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol, TypeVar

from marketplace_db.counted import Counted
from marketplace_db.errors import MirrorError
from signing.chain import DELTAS
from signing.client import Artifact, Source, fetch_artifact, fetch_blob
from signing.digests import Digest, hash_file
from signing.errors import AttestationError, MissingError, SourceError
from signing.files import flush_folders, replace_file
from signing.partial import fetch_in_steps
from signing.reports import unverified_reports
from signing.roles import blob_path
from signing.sources import Deadline

__all__ = ["Copier", "Observer", "reports_of"]

_LONGEST_STATEMENT = 64 * 1024
_LONGEST_REPORT = 1 << 20
_USUAL_STATEMENT = 1500  # for the progress alone: no catalog tells how long a statement is
_BLOB_DEADLINE_S = 600.0
_AHEAD = 4  # files in the queue for each that is under way

T = TypeVar("T")


class Observer(Protocol):
    """Who is told how far a copy is."""

    def begin(self, what: str, total: int | None, unit: str = "") -> None:
        """Start a stage of `total` steps; the unit `bytes` says what they are."""

    def advance(self, steps: int = 1) -> None:
        """Say that steps are done."""

    def end(self) -> None:
        """Finish the stage."""


class Copier:
    """Fetches what is missing or damaged in a mirror, and counts; `connections` at a time."""

    def __init__(
        self, source: Counted, destination: Path, connections: int, reporter: Observer | None
    ) -> None:
        self._source = source
        self._destination = destination
        self._connections = connections
        self._reporter = reporter
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._folders: set[Path] = set()
        self.fetched = self.kept = self.missing_reports = self.named_blobs = 0

    def begin(self, blobs: Iterable[tuple[Digest, int | None]], artifacts: int) -> None:
        """Tell the observer how many bytes there are; `artifacts` are those of the artifacts."""
        if self._reporter:
            total = sum(_length(length) for _, length in blobs) + artifacts
            self._reporter.begin("copying the repository", total, unit="bytes")

    def end(self) -> None:
        """Tell the observer that it is over."""
        if self._reporter:
            self._reporter.end()

    def blobs(self, blobs: Generator[tuple[Digest, int | None], None, None]) -> None:
        """Copy blobs. Raises VerificationError, SourceError, OSError."""

        def counted() -> Iterator[tuple[Digest, int | None]]:
            for self.named_blobs, one in enumerate(blobs, 1):
                yield one

        # Closed here, and not by whichever thread collects it: it reads a database.
        with closing(blobs):
            self._each(counted(), lambda one: self._blob(*one))

    def reports(self, statements: Generator[Digest, None, None]) -> None:
        """Copy the reports that these statements name, which are here by now; count the missing."""
        with closing(statements):
            self._each(reports_of(self._destination, statements), self._report)

    def artifact(self, artifact: Artifact, here: Path | None) -> None:
        """Copy an artifact; `here` is where the client keeps the same bytes, if it does."""
        path = self._destination / artifact.path
        with self._metered(artifact.length) as source:
            if self._keep(path, artifact.digest):
                return
            if artifact.name.startswith(DELTAS):
                fetch_artifact(source, artifact, path)  # small, and read already
            elif here is None:
                _in_steps(source, artifact.path, artifact.digest, artifact.length, path)
            else:
                _copy(here, path, artifact.digest)
            self._count(path)

    def settle(self) -> None:
        """Make what was written last through a power cut, with the folders it lies in."""
        above: set[Path] = set()
        for folder in self._folders:
            while folder != self._destination and folder not in above:
                above.add(folder)
                folder = folder.parent
        deepest_first = sorted(above, key=lambda folder: -len(folder.parts))
        flush_folders([*deepest_first, self._destination, self._destination.parent])

    # -- inside

    def _each(self, todo: Iterable[T], do: Callable[[T], None]) -> None:
        with ThreadPoolExecutor(self._connections, "mirror") as pool:
            running: set[Future[None]] = set()
            try:
                for one in todo:
                    running.add(pool.submit(do, one))
                    if len(running) >= self._connections * _AHEAD:
                        done, running = wait(running, return_when=FIRST_COMPLETED)
                        for future in done:
                            future.result()
                for future in running:
                    future.result()
            except BaseException:
                self._stopped.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _blob(self, digest: Digest, length: int | None) -> None:
        path = self._destination / blob_path(digest)
        with self._metered(_length(length)) as source:
            if self._keep(path, digest):
                return
            if length is None:
                fetch_blob(source, digest, None, path, limit=_LONGEST_STATEMENT)
            else:
                _in_steps(source, blob_path(digest), digest, length, path)
            self._count(path)

    def _report(self, digest: Digest) -> None:
        path = self._destination / blob_path(digest)
        if self._keep(path, digest):
            return
        try:
            fetch_blob(self._source, digest, None, path, limit=_LONGEST_REPORT)
        except MissingError:
            with self._lock:
                self.missing_reports += 1
            return
        self._count(path)

    def _keep(self, path: Path, digest: Digest) -> bool:
        """Tell whether the right file is there already."""
        try:
            right = hash_file(path)[0] == digest
        except FileNotFoundError:
            return False
        with self._lock:
            self.kept += right
            self._folders.add(path.parent)  # a killed run may have left it there unflushed
        return right

    def _count(self, path: Path) -> None:
        with self._lock:
            self.fetched += 1
            self._folders.add(path.parent)

    def _metered(self, length: int) -> _Metered:
        return _Metered(self._source, length, self._advance, self._stopped)

    def _advance(self, steps: int) -> None:
        if self._reporter and steps:
            with self._lock:
                self._reporter.advance(steps)


class _Metered:
    """The source of one file: it tells what comes of it, and at the end what is left of it."""

    def __init__(
        self, source: Counted, length: int, tell: Callable[[int], None], stopped: threading.Event
    ) -> None:
        self._source = source
        self._left = length
        self._tell = tell
        self._stopped = stopped

    @property
    def name(self) -> str:
        return self._source.name

    def read(self, path: str, deadline: Deadline) -> Iterator[bytes]:
        return self._passed(self._source.read(path, deadline))

    def read_from(self, path: str, start: int, deadline: Deadline) -> Iterator[bytes]:
        return self._passed(self._source.read_from(path, start, deadline))

    def root_versions(self) -> frozenset[int] | None:
        return self._source.root_versions()

    def _passed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if self._stopped.is_set():
                raise SourceError(f"{self.name}: another file failed")
            counted = min(self._left, len(chunk))
            self._left -= counted
            self._tell(counted)
            yield chunk

    def __enter__(self) -> _Metered:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._tell(self._left)


def reports_of(mirror: Path, statements: Iterable[Digest]) -> Iterator[Digest]:
    """Yield the reports that statements in a mirror name; one of them may come several times."""
    for digest in statements:
        with suppress(AttestationError, FileNotFoundError):  # no client accepts a release by it
            yield from dict.fromkeys(unverified_reports((mirror / blob_path(digest)).read_bytes()))


def _length(length: int | None) -> int:
    return _USUAL_STATEMENT if length is None else length


def _in_steps(source: Source, name: str, digest: Digest, length: int, path: Path) -> None:
    fetch_in_steps(source, name, digest, length, path, Deadline(_BLOB_DEADLINE_S))


def _copy(here: Path, path: Path, digest: Digest) -> None:
    with here.open("rb") as before, replace_file(path) as stream:
        shutil.copyfileobj(before, stream, 1 << 20)
    if hash_file(path)[0] != digest:
        path.unlink()
        raise MirrorError(
            f"{here}: changed while it was copied", hint="Run the same command again."
        )
