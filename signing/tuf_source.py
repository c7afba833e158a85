"""A `Source` as python-tuf reads it, and what python-tuf raises as our own errors.

Rules this module keeps:
- an error of ours goes through python-tuf and comes out as it was;
- every message names the file that was read last, and the source, with the next step;
- what metadata says is printable before it is in a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from securesystemslib.exceptions import StorageError
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    UnsignedMetadataError,
)
from tuf.api.exceptions import RepositoryError as TufRepositoryError
from tuf.api.metadata import Metadata
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

from signing.errors import (
    ExpiredError,
    MissingError,
    RollbackError,
    SigningError,
    SourceError,
    VerificationError,
    printable,
)
from signing.roles import format_time
from signing.sources import Deadline, Source

__all__ = ["BASE", "FOREIGN", "SourceFetcher", "translate"]

BASE = "tavo:/"
FOREIGN = (
    TufRepositoryError,
    DownloadError,
    StorageError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
)
"""What python-tuf raises for metadata that is missing, damaged or hostile."""


class _SourceFailedError(DownloadError):
    """Carries one of our errors through python-tuf."""

    def __init__(self, error: SigningError) -> None:
        super().__init__(str(error))
        self.error = error


class SourceFetcher(FetcherInterface):
    """Lets python-tuf read from a `Source`, and remembers the last file for messages."""

    def __init__(self, source: Source, deadline: Deadline) -> None:
        self.source = source
        self.last = ""
        self.data = bytearray()
        self._deadline = deadline

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = url.removeprefix(BASE)
        self.last = path
        self.data.clear()
        chunks = self.source.read(path, self._deadline)
        try:
            first = next(chunks, b"")
        except MissingError as error:
            raise DownloadHTTPError(str(error), 404) from error
        except SigningError as error:
            raise _SourceFailedError(error) from error
        return self._rest(first, chunks)

    def _rest(self, first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
        self.data += first
        yield first
        try:
            for chunk in chunks:
                self.data += chunk
                yield chunk
        except SigningError as error:
            raise _SourceFailedError(error) from error


def translate(
    error: BaseException, fetcher: SourceFetcher, updater: Updater | None, moment: datetime | None
) -> SigningError:
    """Return what a walk raises for one of FOREIGN. `moment` is when expiry was judged."""
    if isinstance(error, _SourceFailedError):
        return error.error
    if updater is None:
        return VerificationError(
            f"root.json, the trusted root itself: {printable(error)}",
            hint="Check which file is given as the trusted root.",
        )
    where = f"{fetcher.last.removeprefix('metadata/')} from {fetcher.source.name}"
    if isinstance(error, DownloadHTTPError):
        cause = error.__cause__
        return (
            cause
            if isinstance(cause, SigningError)
            else SourceError(f"{where}: {printable(error)}")
        )
    if isinstance(error, DownloadLengthMismatchError):
        return VerificationError(
            f"{where}: longer than allowed: {printable(error)}",
            hint="The mirror is damaged or hostile: use another one.",
        )
    if isinstance(error, DownloadError):
        return SourceError(f"{where}: {printable(error)}", hint="Check the network and the mirror.")
    if isinstance(error, ExpiredMetadataError):
        return _expired(error, fetcher, updater, moment)
    if isinstance(error, BadVersionNumberError):
        kind = VerificationError if fetcher.last.endswith(".root.json") else RollbackError
        return kind(
            f"{where}: {printable(error)}",
            hint="This copy is older than one seen before, or mixed.",
        )
    if isinstance(error, UnsignedMetadataError):
        return VerificationError(
            f"{where}: not enough valid signatures: {printable(error)}",
            hint="This repository does not belong to the trusted root: check its address.",
        )
    if isinstance(error, LengthOrHashMismatchError):
        return VerificationError(
            f"{where}: is not the file that was signed: {printable(error)}",
            hint="The mirror is damaged or mixed: copy it again.",
        )
    return VerificationError(
        f"{where}: not valid metadata: {printable(error)}",
        hint="The mirror is damaged: copy it again.",
    )


def _expired(
    error: BaseException, fetcher: SourceFetcher, updater: Updater, moment: datetime | None
) -> ExpiredError:
    found = re.search(r"([a-z]+)(?:\.json)? is expired", str(error))
    role = found[1] if found else "metadata"
    expires: datetime | None = None
    if role in ("root", "timestamp", "snapshot"):
        expires = updater._trusted_set[role].expires
    else:
        try:
            signed = Metadata[Any].from_bytes(bytes(fetcher.data)).signed
            expires = signed.expires
        except (TufRepositoryError, ValueError, KeyError, TypeError):
            expires = None
    when = f" {format_time(expires)}" if expires else ""
    judged = f" (now {format_time(moment)})" if moment else ""
    return ExpiredError(
        f"{role}.json from {fetcher.source.name} expired{when}{judged}",
        hint="The mirror is stale: run `tavo mirror sync`, or check this machine's clock.",
    )
