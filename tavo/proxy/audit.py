"""The audit log: one line of JSON before a request goes on and one after its answer, in a chain.

    {"seq": 7, "at": "...", "kind": "asked", "id": "...", ..., "hash": "<hex>"}

`hash` is the SHA-256 of the previous row's hash, as hex text, followed by the bytes of this row up
to the comma before `"hash"`. The first row of a file, and the first after each start, is of kind
`start`; the first row of all follows a hash of zeros, and a new file goes on where the old one
ended.

Rules this module keeps:
- a request goes on only when its row is written, unless the configuration says `on_failure: pass`;
  then what went unwritten is counted, and said in the next row that can be written;
- a row that was written in part is taken back; one that a crash cut off is described by the next
  `start` row, so that it can be told from one that somebody cut;
- rows hold sizes and hashes of bodies; texts only where the configuration asks for them;
- one worker, one file: rows of several writers never mix. The file is locked as long as it is
  open, and one that is not what was written is not gone on with.

Units: sizes in bytes, durations in milliseconds, times UTC.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from tavo import __version__
from tavo.errors import InputError
from tavo.host.locks import try_lock
from tavo.proxy.audit_chain import FIRST, last_of, sealed, verify
from tavo.proxy.audit_kinds import Asked, Ended, asked, ended, not_noted
from tavo.proxy.config import Audit
from tavo.proxy.http.asking import Asking
from tavo.proxy.http.flow import Flow

__all__ = ["AuditLog", "file_of_worker"]

_LONGEST_TEXT = 1 << 20
_MOST_WAITING = 10_000
_CHECKED = 256 << 20
_CACHED = 1 << 20
"""After so much more of the log, what was written to disk need not stay in memory."""
_FAR = 0x7FFFFFF0
_ASKED, _ENDED = b"asked", b"done"
_NOT_NOTED = (None, None)
_NOTHING_PASSES = "the audit log of this proxy cannot be written, so nothing passes"
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(
    os, "O_NOFOLLOW", 0
)  # fmt: skip

_encode = msgspec.json.Encoder().encode

Go = Callable[[str], None]
Soon = Callable[[Callable[[], None]], object]


def file_of_worker(path: Path, worker: int) -> Path:
    """Return the file of a worker: the first has the name itself, others a number in it."""
    return path if worker == 0 else path.with_name(f"{path.stem}.{worker}{path.suffix}")


class AuditLog:
    """Writes one file."""

    def __init__(self, config: Audit, *, worker: int = 0) -> None:
        self.path = file_of_worker(Path(config.file), worker)
        self.blocks = config.on_failure == "block"
        self.head = FIRST
        self.costs = False  # there are prices
        self.written = 0
        self.missed = 0
        self.trouble = ""
        self.observe = False  # said at each start; an exchange knows for itself
        self._texts = config.texts
        self._sync = config.sync
        self._soon: Soon | None = None
        self._file = -1
        self._at, self._stamp = 0, ""  # the time of the last row, in milliseconds and as it stands
        self._size = 0
        self._cached_from = 0
        self._number = 0
        self._rows: list[tuple[bytes, bytes]] = []  # kind, and what follows the number
        self._waiting: list[Go] = []
        self._is_due = False  # to be written
        self._notes: dict[bytes, Any] = {}

    def open(self) -> None:
        """Open the file and write its `start`. Raises InputError."""
        try:
            self._attach()
        except BlockingIOError as error:
            raise InputError(
                f"{self.path}: another proxy is writing to this audit log, and rows of two would"
                " destroy its chain",
                hint="Give each proxy an audit.file of its own, or stop the other one.",
            ) from error
        except OSError as error:
            raise InputError(
                f"{self.path}: the audit log cannot be opened: {error.strerror or error}",
                hint="Choose another audit.file, or make room.",
            ) from error
        except ValueError as error:
            raise InputError(
                f"{self.path}: is no audit log that can be gone on with: {error}",
                hint="Move it away; `tavo proxy audit verify` says where it breaks.",
            ) from error
        self._flush()
        if self.trouble:
            raise InputError(
                f"{self.path}: the audit log cannot be written: {self.trouble}",
                hint="Choose another audit.file, or make room.",
            )

    def serve(self, soon: Soon) -> None:
        """Take rows from now on, written together when `soon` calls what it was given."""
        self._soon = soon

    def reopen(self) -> None:
        """Go on in a new file if ours was moved away, as tools that rotate logs do."""
        try:
            moved = os.fstat(self._file).st_ino != self.path.stat().st_ino
        except OSError:
            moved = True
        if moved:
            self._flush()
            with contextlib.suppress(OSError, ValueError):
                self._attach()
                self._flush()

    def close(self) -> None:
        """Write what is left, and close the file."""
        self._rows.append(self._own("end", {"rows": self._number}))
        self._flush()
        os.close(self._file)

    # -- Ledger

    def asked(self, flow: Asking, go: Go) -> None:
        """Note a request, then let it go on."""
        body = flow.body_sent
        row = asked(flow, size=len(body), sha256=sha256(body).hexdigest())
        heard = sha256()
        if self._texts:
            row.text = body[:_LONGEST_TEXT].decode("utf-8", "replace")
            kept = bytearray()

            def hear(piece: bytes) -> None:
                heard.update(piece)
                if len(kept) < _LONGEST_TEXT:
                    kept.extend(piece[: _LONGEST_TEXT - len(kept)])

            flow.heard = hear
            self._notes[flow.id] = heard, kept
        else:
            flow.heard = heard.update
            self._notes[flow.id] = heard, None
        if not self._add(_ASKED, row) and self.blocks:
            go(_NOTHING_PASSES)
            return
        self._waiting.append(go)
        self._due()

    def done(self, flow: Flow) -> None:
        """Note how an exchange ended; of one that never went on this is the only row."""
        row = ended(flow, costs=self.costs, texts=self._texts)
        heard, kept = self._notes.pop(flow.id, _NOT_NOTED)
        if heard is not None:
            row.sha256 = heard.hexdigest()
        else:  # nobody has noted it when it was asked
            taken = flow.body_taken
            not_noted(row, flow, sha256=sha256(taken).hexdigest())
            if self._texts:
                row.asked_text = taken[:_LONGEST_TEXT].decode("utf-8", "replace")
        if kept is not None:
            row.text = kept.decode("utf-8", "replace")
        self._add(_ENDED, row)
        self._due()

    # -- inside

    def _add(self, kind: bytes, row: Asked | Ended) -> bool:
        """Take a row without its number and its hash."""
        if len(self._rows) >= _MOST_WAITING:
            self.missed += 1  # nothing can be written, and what is under way has ended
            return False
        at = int(time.time() * 1000)
        if at != self._at:
            self._at, self._stamp = at, _stamp(at)
        row.at = self._stamp
        self._rows.append((kind, _encode(row)[1:-1]))
        return True

    def _own(self, kind: str, more: Mapping[str, Any]) -> tuple[bytes, bytes]:
        """Return a row of the log's own."""
        at = _stamp(int(time.time() * 1000))
        return kind.encode("ascii"), _encode({"at": at, "kind": kind, **more})[1:-1]

    def _due(self) -> None:
        if not self._is_due and self._soon is not None:
            self._is_due = True
            self._soon(self._turn)

    def _turn(self) -> None:
        self._is_due = False
        self._flush()
        waiting, self._waiting = self._waiting, []
        trouble = self.trouble
        for go in waiting:
            if not trouble:
                go("")
            elif self.blocks:
                go(_NOTHING_PASSES)
            else:
                self.missed += 1
                go("")

    def _flush(self) -> None:
        """Write all rows or none; `trouble` says why not. What is not written waits."""
        rows, head, number = self._rows, self.head, self._number
        if not rows:
            return
        if self.missed:
            rows = [(kind, _with_missed(row, self.missed)) for kind, row in rows]
        lines: list[bytes] = []
        for _, row in rows:
            number += 1
            line, head = sealed(b'{"seq":%d,%b' % (number, row), head)
            lines.append(line)
        data = b"".join(lines)
        try:
            written = os.write(self._file, data)
            if written != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # only a part was written
            if self._sync:
                os.fsync(self._file)
        except OSError as error:
            self.trouble = error.strerror or str(error)
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            # what asks to go on is told no; only what has ended waits for another time
            self._rows = rows
            if self.blocks:
                self._rows = [row for row in rows if row[0] is not _ASKED]
            return
        self._size += len(data)
        self._rows = []
        self.head, self._number = head, number
        self.written += len(rows)
        self.trouble = ""
        if self._size - self._cached_from >= _CACHED:
            self._uncache()

    def _uncache(self) -> None:
        """Let the system write what is new, and take its memory of what it has written for more.

        Nobody reads the log soon, and others' files would leave that memory for it. Where a virtual
        machine gives its host what it does not use, memory that is new costs most of each write.
        """
        self._cached_from = self._size
        if hasattr(os, "posix_fadvise"):
            with contextlib.suppress(OSError):
                os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)

    def _attach(self) -> None:
        file = os.open(self.path, _FLAGS, 0o600)
        try:
            if os.name == "nt":
                os.lseek(file, _FAR, os.SEEK_SET)  # there a locked byte cannot be read
            if not try_lock(file, exclusive=True):
                raise BlockingIOError(errno.EWOULDBLOCK, "it is in use")
            size = os.fstat(file).st_size
            if size and (broken := verify(self.path, last=_CHECKED).broken):
                raise ValueError(f"its chain is broken: {broken}")
            number, head, torn = (
                last_of(self.path, size) if size else (self._number, self.head, b"")
            )
            if torn and os.write(file, b"\n") != 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except BaseException:
            os.close(file)
            raise
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size = file, os.fstat(file).st_size
        self._cached_from = self._size
        self._number, self.head = number, head
        start: dict[str, Any] = {"tavo": __version__, "pid": os.getpid(), "after": head}
        if self.observe:
            start["observe"] = True
        if torn:
            start["torn"] = {"bytes": len(torn), "sha256": sha256(torn).hexdigest()}
        self._rows.insert(0, self._own("start", start))


def _stamp(at: int) -> str:
    """Return a time in milliseconds as it stands in a row."""
    seconds, rest = divmod(at, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03}Z"


def _with_missed(row: bytes, missed: int) -> bytes:
    """Say in a row how many are missing, unless it says so already."""
    said = row.rfind(b',"missed":')
    if said >= 0 and row[said + 10 :].isdigit():
        return row
    return b'%b,"missed":%d' % (row, missed)
