"""What the workers of one proxy share: counters of budgets, numbers of keys, and pins of tools.

Made before the workers are forked. What outlives them is a secret in a file that others cannot
read: placeholders are derived from it, and stay the same when the proxy is started again.

Units: none.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from tavo.errors import ConfigError, InputError
from tavo.proxy.budgets import MOST_KEYS, Budgets

if TYPE_CHECKING:
    from tavo.proxy.chain.pinned import Pinned

__all__ = ["Shared", "kept_secret"]

_SECRET = 32


class Shared:
    """Shared by all workers of one proxy; `port` is what they listen at if none was chosen.

    What is derived from `key` is the same in all workers, and after a restart if it was kept: see
    `kept_secret`. Without one it is made anew.
    """

    def __init__(self, workers: int = 1, port: int = 0, key: bytes | None = None) -> None:
        self.workers = workers
        self.port = port
        self.budgets = Budgets(workers)
        self.key = key or os.urandom(32)
        self._taken = mmap.mmap(-1, MOST_KEYS * 8)
        self._pinned: Pinned | None = None
        if workers > 1:
            self.pinned()

    def pinned(self) -> Pinned:
        """Return the table of tools that were seen."""
        from tavo.proxy.chain.pinned import Pinned  # only who filters needs it

        if self._pinned is None:
            self._pinned = Pinned()
        return self._pinned

    def numbers(self, names: Iterable[str]) -> dict[str, int]:
        """Return the number of each key: the same in all workers, as long as the proxy runs.

        A key's number is found by its name in a table that all workers see. Two workers that enter
        the same name write the same bytes to the same place, so no lock is needed; two that enter
        different ones at once do so in the same order, because a reload is the same for all.
        Raises ConfigError when there have been too many names.
        """
        found: dict[str, int] = {}
        for name in sorted(names):
            digest = blake2b(name.encode(), digest_size=8).digest()
            start = int.from_bytes(digest, "little") % MOST_KEYS
            for step in range(MOST_KEYS):
                number = (start + step) % MOST_KEYS
                held = self._taken[number * 8 : number * 8 + 8]
                if held == digest:
                    break
                if held == bytes(8):
                    self._taken[number * 8 : number * 8 + 8] = digest
                    break
            else:
                raise ConfigError(f"keys: there have been more than {MOST_KEYS} names")
            found[name] = number
        return found


def kept_secret(path: Path) -> bytes:
    """Return the secret of a file; make the file at the first time. Raises InputError, ConfigError.

    Two proxies that start at once take the one that was there first.
    """
    try:
        if not path.exists():
            _make(path)
        status = path.stat()
        text = path.read_text("ascii").strip()
        secret = bytes.fromhex(text)
    except OSError as error:
        raise InputError(
            f"{path}: the secret of placeholders cannot be kept there: {error.strerror or error}",
            hint="Name another file with secret_file.",
        ) from error
    except ValueError:
        secret = b""
    if len(secret) < _SECRET:
        raise ConfigError(
            f"{path}: holds no secret, expected {2 * _SECRET} hexadecimal digits",
            hint="Delete it, and a new one is made: placeholders of before are then others.",
        )
    if os.name != "nt" and stat.S_IMODE(status.st_mode) & 0o077:
        raise ConfigError(
            f"{path}: others may read it", hint=f"Make it yours alone: chmod 600 {path}"
        )
    return secret


def _make(path: Path) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(os.urandom(_SECRET).hex() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink(missing_ok=True)
