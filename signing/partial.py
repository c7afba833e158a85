"""Fetching of large files in steps: what an interrupted run got is where the next one goes on.

Rules this module keeps:
- what is there of a file lies beside it as `.new-<digest>.part`, which nobody reads as the file;
- a part is bytes of unknown worth: the file gets its name only after all of it was hashed;
- a part that leads to other bytes than the signed ones is thrown away, and the file fetched from
  its beginning once more, so that a bad start never locks a file out.

Units: bytes, seconds.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from signing.digests import Digest
from signing.errors import SourceError, VerificationError
from signing.sources import Deadline, Resumable, Source

__all__ = ["fetch_in_steps"]

_CHUNK = 1 << 20
_HINT = "The mirror is damaged or hostile: copy it again, or use another one."


def fetch_in_steps(
    source: Source, path: str, digest: Digest, length: int, destination: Path, deadline: Deadline
) -> int:
    """Fetch a file whose digest and length are signed; return how many bytes came from before.

    `destination` appears only if it is right. Raises VerificationError, SourceError.
    """
    part = destination.with_name(f".new-{digest.hex}.part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        began = _length(part)
        resumable = isinstance(source, Resumable) and 0 < began <= length
        if resumable:
            try:
                _go_on(source, path, digest, length, part, deadline)
            except (VerificationError, SourceError):
                deadline.check(f"{path} from {source.name}")
                if _length(part) > began:  # it moved: the next run goes on from there
                    raise
                part.unlink(missing_ok=True)
                resumable = False
        if not resumable:
            began = 0
            part.unlink(missing_ok=True)
            _go_on(source, path, digest, length, part, deadline)
        part.replace(destination)
    except OSError as error:
        raise SourceError(
            f"{destination}: cannot write: {error.strerror or error}",
            hint="Check the free space and the permissions of this folder.",
        ) from error
    return began


def _go_on(
    source: Source, path: str, digest: Digest, length: int, part: Path, deadline: Deadline
) -> None:
    where = f"{path} from {source.name}"
    hasher = hashlib.sha256()
    have = 0
    if part.exists():
        with part.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                hasher.update(chunk)
                have += len(chunk)
    with part.open("ab") as out:
        if have < length or not length:
            if have and isinstance(source, Resumable):
                chunks = source.read_from(path, have, deadline)
            else:
                chunks = source.read(path, deadline)
            for chunk in chunks:
                have += len(chunk)
                if have > length:
                    break
                hasher.update(chunk)
                out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    if have != length or hasher.hexdigest() != digest.hex:
        if have >= length:
            part.unlink(missing_ok=True)
            found = "longer" if have > length else f"sha256 is {hasher.hexdigest()}"
            raise VerificationError(
                f"{where}: {found}, signed are {length} bytes with sha256 {digest.hex}", hint=_HINT
            )
        raise VerificationError(f"{where}: {have} bytes, signed are {length}", hint=_HINT)


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
