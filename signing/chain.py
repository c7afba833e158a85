"""Which deltas lead from a catalog that is here to the signed one, and what they brought.

Rules this module keeps:
- deltas are artifacts of the catalog's role: each is hashed against signed metadata;
- they are a shorter way to the same bytes: the made file counts only if it has the signed digest,
  and whatever goes wrong on the way is told, and the whole file fetched.

Units: bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from signing.digests import Digest, hash_file
from signing.errors import VerificationError
from signing.sources import Deadline, Source

__all__ = ["DELTAS", "SHARE", "Chain", "Rebuild", "Step", "chain_to", "rebuild"]

DELTAS = "catalog/deltas/"
MOST_STEPS = 30
SHARE = 0.3  # of the whole: a chain that is longer is not worth it
_NAME = re.compile(r"catalog/deltas/([0-9a-f]{16})-([0-9a-f]{16})\.tvd")

Rebuild = Callable[[Path, Digest, Sequence[bytes], Path], None]
"""Applies deltas to a copy of a file: `marketplace_db.delta.apply`. Raises VerificationError."""


class Step(NamedTuple):
    """One delta: its name and path in the repository, and what is signed about it."""

    name: str
    path: str
    digest: Digest
    length: int


class Chain(NamedTuple):
    """Deltas from a file that is here to the one that is wanted, in order."""

    base: Path
    digest: Digest
    steps: tuple[Step, ...]

    @property
    def length(self) -> int:
        """Return how many bytes have to be fetched."""
        return sum(step.length for step in self.steps)


def chain_to(
    wanted: Digest, length: int, steps: Iterable[Step], here: Iterable[tuple[Digest, Path]]
) -> Chain | None:
    """Return the shortest chain to the wanted file, None where the whole file is the better way."""
    into: dict[str, Step] = {}
    for step in steps:
        if found := _NAME.fullmatch(step.name):
            into[found[2]] = step
    known = {digest.hex[:16]: (digest, path) for digest, path in here}
    chain: list[Step] = []
    at, left = wanted.hex[:16], length * SHARE
    while at in into and len(chain) < MOST_STEPS:
        step = into[at]
        left -= step.length
        if left < 0:
            return None
        chain.insert(0, step)
        at = step.name.removeprefix(DELTAS)[:16]
        if at in known:
            digest, path = known[at]
            return Chain(path, digest, tuple(chain))
    return None


def rebuild(
    source: Source, chain: Chain, wanted: Digest, destination: Path, apply: Rebuild,
    deadline: Deadline,
) -> None:  # fmt: skip
    """Fetch the deltas of a chain and make the wanted file; it appears only if it is right.

    Raises VerificationError, SourceError, OSError.
    """
    deltas = [_read(source, step, deadline) for step in chain.steps]
    destination.parent.mkdir(parents=True, exist_ok=True)
    with _beside(destination) as made:
        apply(chain.base, chain.digest, deltas, made)
        digest, _ = hash_file(made)
        if digest != wanted:
            raise VerificationError(
                f"{len(deltas)} deltas from {source.name} make catalog {digest.short}, signed is"
                f" {wanted.short}"
            )
        with made.open("rb+") as stream:
            os.fsync(stream.fileno())
        made.replace(destination)


@contextmanager
def _beside(destination: Path) -> Iterator[Path]:
    made = destination.with_name(f".new-{destination.name}")
    try:
        yield made
    finally:
        made.unlink(missing_ok=True)


def _read(source: Source, step: Step, deadline: Deadline) -> bytes:
    data = bytearray()
    for chunk in source.read(step.path, deadline):
        data += chunk
        if len(data) > step.length:
            break
    if len(data) != step.length or hashlib.sha256(data).hexdigest() != step.digest.hex:
        raise VerificationError(f"{step.path} from {source.name}: is not the file that was signed")
    return bytes(data)
