"""The editor at the other end: requests of both sides that wait for an answer, and notices.

Rules this module keeps:
- every request is answered exactly once, also after it was cancelled;
- what the user has to know is said once, not again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from tavo.lsp.protocol import Client, Token
from tavo.lsp.wire import ErrorCode, Message
from tavo.printable import printable

__all__ = ["Editor"]

_ERROR, _WARNING, _INFO = 1, 2, 3
_MOST_SAID = 1_000
_LONGEST = 2_000

Then = Callable[[Any], None]


class Editor:
    """What is said to the client; `send` takes one message as a value."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self._send = send
        self.client = Client()
        self._open: set[int | str] = set()
        self._asked: dict[int | str, Then] = {}
        self._number = 0
        self._said: set[tuple[str, str]] = set()

    # -- its requests

    def begin(self, number: int | str) -> bool:
        """Note that a request waits for an answer; false for a number that is in use."""
        if number in self._open:
            return False
        self._open.add(number)
        return True

    def is_open(self, number: int | str) -> bool:
        """Tell whether a request still waits."""
        return number in self._open

    def answer(self, number: int | str, result: Any) -> None:
        """Answer a request, if it still waits."""
        if number in self._open:
            self._open.discard(number)
            self._send({"jsonrpc": "2.0", "id": number, "result": result})

    def refuse(self, number: int | str | None, code: int, message: str, data: Any = None) -> None:
        """Answer that a request failed, if it still waits; None for one whose number is unknown."""
        if number is not None and number not in self._open:
            return
        if number is not None:
            self._open.discard(number)
        error = {"code": code, "message": printable(message[:_LONGEST])}
        if data is not None:
            error["data"] = data
        self._send({"jsonrpc": "2.0", "id": number, "error": error})

    def cancel(self, number: int | str) -> None:
        """Answer that a request was cancelled; what comes of it is not said any more."""
        self.refuse(number, ErrorCode.REQUEST_CANCELLED, "cancelled")

    # -- ours

    def ask(self, method: str, params: Any, then: Then | None = None) -> None:
        """Ask the client; `then` gets its result, and is not called where it refused."""
        self._number += 1
        number = f"tavo-{self._number}"
        self._asked[number] = then or (lambda _: None)
        self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})

    def answered(self, message: Message) -> None:
        """Take the client's answer to what we asked; one that nobody asked for is ignored."""
        then = self._asked.pop(message.id, None) if message.id is not None else None
        if then is None or bytes(message.error) != b"null":
            return
        try:
            result = msgspec.json.decode(message.result)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return
        then(result)

    def notify(self, method: str, params: Any) -> None:
        """Say something that nobody answers."""
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    # -- what people read

    def log(self, text: str) -> None:
        """Write a line to the log of the editor, each only once."""
        self._once("window/logMessage", _INFO, text)

    def warn(self, texts: Iterable[str]) -> None:
        """Show the user sentences, each only once."""
        for text in texts:
            self._once("window/showMessage", _WARNING, text)

    def _once(self, method: str, kind: int, text: str) -> None:
        text = printable(text[:_LONGEST])
        if (method, text) in self._said or len(self._said) >= _MOST_SAID:
            return
        self._said.add((method, text))
        self.notify(method, {"type": kind, "message": f"tavo: {text}"})

    # -- progress

    def progress(self, token: Token, value: dict[str, Any]) -> None:
        """Report progress."""
        self.notify("$/progress", {"token": token, "value": value})
