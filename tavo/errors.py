"""The root error of tavo, the exit codes, and the one table from error to exit code.

Rules this module keeps:
- an error is one clear sentence: what, where, expected and found; `hint` is the next step;
- every error type of signing, marketplace_db and tavo has exactly one exit code, found by walking
  its base classes through `EXIT_CODES`; a test fails if one has none;
- 5 outranks 4 outranks 3 outranks 1 when several apply.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterable, Iterator
from pathlib import Path

from marketplace_db import errors as marketplace_errors
from signing import errors as signing_errors

__all__ = [
    "EXIT_CODES",
    "ConfigError",
    "ExitCode",
    "IncompleteError",
    "InputError",
    "NotAvailableError",
    "RefusedError",
    "TavoError",
    "UsageError",
    "about",
    "exit_code_of",
    "worst",
]


class ExitCode(enum.IntEnum):
    """What the process returns; see docs/user-guide.md for the table."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    FAILED = 3
    INCOMPLETE = 4
    REFUSED = 5
    DEFECT = 70
    INTERRUPTED = 130


class TavoError(Exception):
    """Root of tavo's own errors; `hint` is the next step for the user, or empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(TavoError):
    """The command was called in a way that cannot work; nothing was started."""


class ConfigError(UsageError):
    """A configuration file, variable or rule file is wrong; nothing was started."""


class NotAvailableError(UsageError):
    """Declared, but not available in this version."""


class InputError(TavoError):
    """Something to work on could not be read or written."""


class IncompleteError(TavoError):
    """Part of what was asked for was not done."""


class RefusedError(TavoError):
    """A signature, digest, version or permission check failed."""


@contextlib.contextmanager
def about(file: Path | None) -> Iterator[None]:
    """Have errors about what stands in a configuration say in which file."""
    try:
        yield
    except ConfigError as error:
        if file is None or str(error).startswith(f"{file}: "):
            raise
        raise ConfigError(f"{file}: {error}", hint=error.hint) from error


EXIT_CODES: dict[type[Exception], ExitCode] = {
    UsageError: ExitCode.USAGE,
    InputError: ExitCode.FAILED,
    IncompleteError: ExitCode.INCOMPLETE,
    RefusedError: ExitCode.REFUSED,
    TavoError: ExitCode.FAILED,
    signing_errors.VerificationError: ExitCode.REFUSED,
    signing_errors.SourceError: ExitCode.FAILED,
    signing_errors.KeyFileError: ExitCode.FAILED,
    signing_errors.RepositoryError: ExitCode.FAILED,
    signing_errors.SigningError: ExitCode.FAILED,
    marketplace_errors.ManifestError: ExitCode.REFUSED,
    marketplace_errors.PackageError: ExitCode.REFUSED,
    marketplace_errors.CatalogError: ExitCode.REFUSED,
    marketplace_errors.NotInCatalogError: ExitCode.REFUSED,
    marketplace_errors.NotAcceptedError: ExitCode.REFUSED,
    marketplace_errors.ConflictError: ExitCode.REFUSED,
    marketplace_errors.MirrorError: ExitCode.FAILED,
    marketplace_errors.WorkingDatabaseError: ExitCode.FAILED,
    marketplace_errors.MarketplaceError: ExitCode.FAILED,
}

_RANK = (
    ExitCode.OK,
    ExitCode.FINDINGS,
    ExitCode.USAGE,
    ExitCode.FAILED,
    ExitCode.INCOMPLETE,
    ExitCode.REFUSED,
    ExitCode.DEFECT,
    ExitCode.INTERRUPTED,
)


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code of an error; `DEFECT` for one that is not in the table."""
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    for cls in type(error).__mro__:
        code = EXIT_CODES.get(cls)
        if code is not None:
            return code
    return ExitCode.DEFECT


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the code that outranks all others, `OK` for none."""
    return max(codes, key=_RANK.index, default=ExitCode.OK)
