"""Clients that are lent to one user at a time, and taken over by the next.

Threads that share one `httpx.Client` share the pool of httpcore, which closes a connection that
another thread has just been given and on which its answer comes, because it takes it for one that
the server has closed. So each user has a client, and with it a connection, to himself.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

__all__ = ["Lent"]


class _Client(Protocol):
    @property
    def is_closed(self) -> bool: ...

    def close(self) -> None: ...


C = TypeVar("C", bound=_Client)


class Lent(Generic[C]):
    """Lends clients to several threads; `make` is called by one of them at a time."""

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._idle: list[C] = []

    @contextlib.contextmanager
    def one(self) -> Iterator[C]:
        """Lend a client that nobody else uses until it is given back."""
        with self._lock:
            idle = self._idle
            client = idle.pop() if idle else self._make()
        try:
            yield client
        finally:
            with self._lock:
                kept = idle is self._idle and not client.is_closed
                if kept:
                    idle.append(client)
            if not kept:
                client.close()

    def close(self) -> None:
        """Close the clients; those that are in use are closed when they are given back.

        New ones are made if it is used again.
        """
        with self._lock:
            idle, self._idle = self._idle, []
        for client in idle:
            client.close()
