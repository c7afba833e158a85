"""The credential of an upstream, masked wherever it stands in an answer: no client may read it.

An upstream that repeats what it was sent, such as a page about an error, would hand the provider's
key to whoever holds a virtual one.

Rules this module keeps:
- a mask is as long as what it stands for, so that lengths that were announced stay true;
- a credential that was cut into pieces is masked, too: only an end that could be its beginning
  waits for the next piece.

Units: sizes in bytes.
"""

from __future__ import annotations

__all__ = ["LEAST", "Mask"]

LEAST = 12
"""A credential that is shorter is a word, such as `ollama`, and no secret."""


class Mask:
    """Masks one credential in one answer."""

    __slots__ = ("_held", "_secret", "_stars")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._stars = b"*" * len(secret)
        self._held = b""

    def whole(self, data: bytes) -> bytes:
        """Return bytes that stand for themselves, such as a head."""
        return data.replace(self._secret, self._stars) if self._secret in data else data

    def is_in(self, data: bytes) -> bool:
        """Tell whether there is anything to mask in bytes that are whole."""
        return self._secret in data

    def feed(self, data: bytes) -> bytes:
        """Take the next piece of a body; return what may be seen of it."""
        secret = self._secret
        if self._held:
            data, self._held = self._held + data, b""
        if secret in data:
            data = data.replace(secret, self._stars)
        if data[-1:] not in secret:
            return data
        for size in range(min(len(secret) - 1, len(data)), 0, -1):
            if data.endswith(secret[:size]):
                self._held = data[-size:]
                return data[:-size]
        return data

    def end(self) -> bytes:
        """Return what waited when the answer ends."""
        held, self._held = self._held, b""
        return held
