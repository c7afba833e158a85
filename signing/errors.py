"""The errors of trust: which file, which role, which check failed.

`SigningError` is the root; a subclass exists where a caller acts on the difference.
"""

from __future__ import annotations

__all__ = [
    "AttestationError",
    "BusyError",
    "ExpiredError",
    "KeyFileError",
    "MissingError",
    "RepositoryError",
    "RollbackError",
    "SigningError",
    "SourceError",
    "VerificationError",
    "printable",
]


def printable(value: object, limit: int = 200) -> str:
    """Return the text with at most `limit` characters and none that could steer a terminal."""
    text = str(value)
    shown = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:limit]
    )
    return shown + "…" if len(text) > limit else shown


class SigningError(Exception):
    """Root of this package's errors; `hint` is the next step for the user, or empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class VerificationError(SigningError):
    """A signature, a digest, a length or a version did not hold: refuse."""


class RollbackError(VerificationError):
    """What was offered is older than what was accepted before."""


class ExpiredError(VerificationError):
    """Metadata is past its expiry at the reference time."""


class AttestationError(VerificationError):
    """A statement about a package is missing, foreign, or says something else."""


class SourceError(SigningError):
    """A source could not be read: missing file, network failure, too slow."""


class MissingError(SourceError):
    """A source does not hold the file that was asked for."""


class BusyError(SigningError):
    """Another process is refreshing the same cache."""


class KeyFileError(SigningError):
    """A key file is missing, unreadable, has unsafe permissions, or the passphrase is wrong."""


class RepositoryError(SigningError):
    """The repository tree cannot be written as asked: missing keys, threshold not reachable."""
