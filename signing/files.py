"""Writing of files that are either the old ones or the new ones, whenever the process dies.

Rules this module keeps:
- a file is written beside its destination, flushed to the disk, and renamed over it;
- a rename outlives a power cut only once its folder is flushed: whoever needs files to be there
  before others flushes their folders in between;
- a disk without modes is good enough for files that everyone may read, and for no others;
- a temporary file that is left behind starts with `.new-` and is never read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

__all__ = ["flush_folders", "replace_file", "write_atomically"]

_EVERYONE_READS = 0o644
_FAILED = (errno.EIO, errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def replace_file(destination: Path, *, mode: int = _EVERYONE_READS) -> Iterator[IO[bytes]]:
    """Lend a stream whose bytes become `destination` when the block ends without an error.

    Parent folders are made. Raises OSError.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    import tempfile

    handle, name = tempfile.mkstemp(prefix=".new-", dir=destination.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        try:
            temporary.chmod(mode)
        except PermissionError:  # exFAT and FAT have no modes
            if mode != _EVERYONE_READS:
                raise
        temporary.replace(destination)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_atomically(destination: Path, data: bytes, *, mode: int = _EVERYONE_READS) -> None:
    """Write the bytes so that readers see the old file or the new one. Raises OSError."""
    with replace_file(destination, mode=mode) as stream:
        stream.write(data)


def flush_folders(folders: Iterable[Path]) -> None:
    """Make what was made, renamed and deleted in these folders last through a power cut.

    Does nothing where the system cannot flush a folder: NTFS keeps renames in order, FAT keeps
    nothing. Raises OSError for a disk that fails or is full.
    """
    if sys.platform == "win32":
        return
    for folder in folders:
        try:
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            if error.errno in _FAILED:
                raise
