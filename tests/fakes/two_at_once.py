"""Two threads that ask in the one order in which a client that they share loses an answer."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["two_at_once"]

_LONG_S = 20.0


def two_at_once(monkeypatch: pytest.MonkeyPatch, ask: Callable[[], object]) -> list[Exception]:
    """Ask from two threads, in the order in which httpcore loses an answer; return what failed.

    The first is given the idle connection; before it says that it uses it, the second asks whether
    that connection is idle, and looks whether there is something to read only when the answer came.
    """
    given, looked, over = threading.Event(), threading.Event(), threading.Event()
    from httpcore._backends.sync import SyncStream
    from httpcore._sync.http11 import HTTP11Connection

    handle, info_of, read = (
        HTTP11Connection.handle_request,
        SyncStream.get_extra_info,
        SyncStream.read,
    )
    failed: list[Exception] = []

    def is_first() -> bool:
        return threading.current_thread() is first

    def late_handle(self: HTTP11Connection, request: Any) -> Any:
        if is_first():
            given.set()
            looked.wait(_LONG_S)
        return handle(self, request)

    def late_info(self: SyncStream, info: str) -> Any:
        if info == "is_readable" and not is_first():
            looked.set()
            select.select([info_of(self, "socket")], [], [], _LONG_S)
        return info_of(self, info)

    def late_read(self: SyncStream, *args: Any, **more: Any) -> bytes:
        if is_first():
            over.wait(_LONG_S)
        return read(self, *args, **more)

    def work() -> None:
        try:
            if not is_first():
                given.wait(_LONG_S)
            ask()
        except Exception as error:
            failed.append(error)
        finally:
            if not is_first():
                looked.set()
                over.set()

    first, second = threading.Thread(target=work), threading.Thread(target=work)
    ask()
    monkeypatch.setattr(HTTP11Connection, "handle_request", late_handle)
    monkeypatch.setattr(SyncStream, "get_extra_info", late_info)
    monkeypatch.setattr(SyncStream, "read", late_read)
    for thread in (first, second):
        thread.start()
    for thread in (first, second):
        thread.join(3 * _LONG_S)
    monkeypatch.undo()
    return failed
