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

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from tavo import __version__
from tavo.errors import InputError
from tavo.host.locks import try_lock
from tavo.proxy.audit_chain import FIRST, last_of, sealed, verify
from tavo.proxy.config import Audit
from tavo.proxy.http.asking import Asking
from tavo.proxy.http.flow import Flow
from tavo.proxy.messages import Finished, Record

__all__ = ["AuditLog", "file_of_worker", "would_be"]

_LONGEST_TEXT = 1 << 20
_MOST_WAITING = 10_000
_CHECKED = 256 << 20
_FAR = 0x7FFFFFF0
_MOST_PARTS, _MOST_MODELS = 1024, 32
_ASKED, _ENDED = b"asked", b"done"
_DONE = Finished.DONE
_NOT_NOTED = (None, None)
_NOTHING_PASSES = "the audit log of this proxy cannot be written, so nothing passes"
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(
    os, "O_NOFOLLOW", 0
)  # fmt: skip

_encode = msgspec.json.Encoder().encode

Go = Callable[[str], None]


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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._file = -1
        self._at, self._stamp = 0, b""  # the time of the last row, in milliseconds and as it stands
        self._size = 0
        self._number = 0
        self._rows: list[tuple[bytes, bytes, bytes]] = []  # kind, time, and what follows
        self._waiting: list[Go] = []
        self._timer: asyncio.Handle | None = None
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

    def serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take rows from now on, written once in each turn of a loop."""
        self._loop = loop

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
        self._add(b"end", b'"rows":%d' % self._number)
        self._flush()
        os.close(self._file)

    # -- Ledger

    def asked(self, flow: Asking, go: Go) -> None:
        """Note a request, then let it go on."""
        exchange = flow.exchange
        record = exchange.record if exchange is not None else None
        body = flow.body_sent
        row = b'"id":"%b",%b,"bytes":%d,"sha256":"%b"' % (
            flow.id, _parts(flow, record)[0], len(body), sha256(body).hexdigest().encode("ascii"),
        )  # fmt: skip
        if record is not None and record.said:
            row += b',"said":' + _encode(record.said)
        heard = sha256()
        if self._texts:
            row += b',"text":' + _encode(body[:_LONGEST_TEXT].decode("utf-8", "replace"))
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
        if self._timer is None:
            self._soon()

    def done(self, flow: Flow) -> None:
        """Note how an exchange ended; of one that never went on this is the only row."""
        exchange = flow.exchange
        record = exchange.record if exchange is not None else None
        how, started, first_at = flow.how, flow.started, flow.first_at
        span = int((flow.ended - started) * 1e6)  # as an integer: to round a float takes a while
        row = b'"id":"%b",%b,"status":%d,"how":"%b","ms":%d.%03d,"bytes_in":%d,"bytes_out":%d' % (
            flow.id,
            _parts(flow, record)[1],
            flow.status,
            b"done" if how is _DONE else how.value.encode("ascii"),
            span // 1000,
            span % 1000,
            flow.taken,
            flow.sent,
        )
        parts = [row]
        if flow.code:
            parts.append(b',"code":' + _encode(flow.code))
        if first_at:
            span = int((first_at - started) * 1e6)
            parts.append(b',"first_ms":%d.%03d' % (span // 1000, span % 1000))
        heard, kept = self._notes.pop(flow.id, _NOT_NOTED)
        if heard is not None:
            parts.append(b',"sha256":"%b"' % heard.hexdigest().encode("ascii"))
        else:  # nobody has noted it when it was asked
            parts.append(self._not_noted(flow, record))
        if kept is not None:
            parts.append(b',"text":' + _encode(kept.decode("utf-8", "replace")))
        if record is not None:
            self._recorded(record, flow.cost, parts)
        self._add(_ENDED, b"".join(parts))
        if self._timer is None:
            self._soon()

    def _not_noted(self, flow: Flow, record: Record | None) -> bytes:
        taken = flow.body_taken
        row: dict[str, Any] = {
            "method": flow.method.decode("latin-1"), "path": flow.path.decode("latin-1")[:2048],
            "upstream": flow.upstream,
        }  # fmt: skip
        if record is not None:
            row["dialect"] = record.dialect
        row["asked_sha256"] = sha256(taken).hexdigest()
        if self._texts:
            row["asked_text"] = taken[:_LONGEST_TEXT].decode("utf-8", "replace")
        return _more(row)

    def _recorded(self, record: Record, cost: float, parts: list[bytes]) -> None:
        """Add what the exchange itself has found out, each part behind its comma."""
        verdict = record.verdict
        parts.append(
            b',"verdict":"allow"' if verdict == "allow"
            else b',"verdict":"%b"' % verdict.encode("ascii")
        )  # fmt: skip
        if record.observed:
            parts.append(b',"observed":true,"would":"%b"' % would_be(record).encode("ascii"))
        parts.append(
            b',"bytes_seen":%d,"bytes_released":%d' % (record.bytes_seen, record.bytes_released)
        )
        tokens_in, tokens_out, cached = record.tokens_in, record.tokens_out, record.tokens_cached
        if record.counted or record.estimated:
            parts.append(b',"tokens_in":%d,"tokens_out":%d' % (tokens_in, tokens_out))
            if record.estimated:
                parts.append(b',"estimated":true')
            if cached:
                parts.append(b',"tokens_cached":%d' % cached)
            if self.costs:
                billionths = int(cost * 1e9 + 0.5)
                parts.append(b',"cost":%d.%09d' % divmod(billionths, 1_000_000_000))
        if record.unjudged:
            parts.append(b',"unjudged":' + _encode(record.unjudged))
        if record.said:
            parts.append(b',"said":' + _encode(record.said))
        if record.texts and self._texts:
            parts.append(b',"texts":' + _encode(record.texts))

    # -- inside

    def _add(self, kind: bytes, row: bytes) -> bool:
        """Take a row without its number, its time and its hash: its parts behind `kind`."""
        if len(self._rows) >= _MOST_WAITING:
            self.missed += 1  # nothing can be written, and what is under way has ended
            return False
        at = int(time.time() * 1000)
        if at != self._at:
            self._at, self._stamp = at, _stamp(at)
        self._rows.append((kind, self._stamp, row))
        return True

    def _soon(self) -> None:
        if self._timer is None and self._loop is not None:
            self._timer = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._timer = None
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
            rows = [(kind, at, _with_missed(row, self.missed)) for kind, at, row in rows]
        lines: list[bytes] = []
        for kind, at, row in rows:
            number += 1
            row = b'{"seq":%d,"at":"%b","kind":"%b",%b' % (number, at, kind, row)
            line, head = sealed(row, head)
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
        self._number, self.head = number, head
        start: dict[str, Any] = {"tavo": __version__, "pid": os.getpid(), "after": head}
        if self.observe:
            start["observe"] = True
        if torn:
            start["torn"] = {"bytes": len(torn), "sha256": sha256(torn).hexdigest()}
        stamp = _stamp(int(time.time() * 1000))
        self._rows.insert(0, (b"start", stamp, _encode(start)[1:-1]))


def _stamp(at: int) -> bytes:
    """Return a time in milliseconds as it stands in a row."""
    seconds, rest = divmod(at, 1000)
    shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return b"%b.%03dZ" % (shown.encode("ascii"), rest)


def _more(row: Mapping[str, Any]) -> bytes:
    """Return parts of a row, each behind its comma."""
    return b"," + _encode(row)[1:-1] if row else b""


def _with_missed(row: bytes, missed: int) -> bytes:
    """Say in a row how many are missing, unless it says so already."""
    said = row.rfind(b',"missed":')
    if said >= 0 and row[said + 10 :].isdigit():
        return row
    return b'%b,"missed":%d' % (row, missed)


def _parts(flow: Asking, record: Record | None) -> tuple[bytes, bytes]:
    """Return what is the same in many rows: the parts of `asked`, and those of `done`."""
    model = record.model if record is not None else ""
    way = flow.way
    if way is None:
        return _parts_of(flow, record, model)
    known: tuple[bytes, bytes] | None = way.parts.get(model)
    if known is None:
        known = _parts_of(flow, record, model)
        if len(way.parts) < _MOST_MODELS:
            way.parts[model] = known
    return known


def _parts_of(flow: Asking, record: Record | None, model: str) -> tuple[bytes, bytes]:
    return _encoded(
        flow.entry.client if flow.entry is not None else "", flow.upstream,
        flow.method, flow.path if len(flow.path) <= 2048 else flow.path[:2048],
        record.dialect if record is not None else "", model[:256],
    )  # fmt: skip


@lru_cache(maxsize=_MOST_PARTS)
def _encoded(
    client: str, upstream: str, method: bytes, path: bytes, dialect: str, model: str
) -> tuple[bytes, bytes]:
    row = {
        "client": client, "upstream": upstream, "method": method.decode("latin-1"),
        "path": path.decode("latin-1"), "dialect": dialect, "model": model,
    }  # fmt: skip
    return _encode(row)[1:-1], _encode({"client": client, "model": model})[1:-1]


def would_be(record: Record) -> str:
    """Return the verdict that an exchange would have had if the chain did more than observe."""
    actions = {said.action for said in record.said}
    return "block" if "block" in actions else "modify" if "modify" in actions else "allow"
