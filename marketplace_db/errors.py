"""The errors of the marketplace: manifests, packages, catalogs, mirrors.

`MarketplaceError` is the root; a subclass exists where a caller acts on the difference.
"""

from __future__ import annotations

__all__ = [
    "AdvisoryError",
    "CatalogError",
    "ConflictError",
    "ManifestError",
    "MarketplaceError",
    "MirrorError",
    "NotAcceptedError",
    "NotInCatalogError",
    "PackageError",
    "QueueFullError",
    "WorkingDatabaseError",
]


class MarketplaceError(Exception):
    """Root of this package's errors; `hint` is the next step for the user, or empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ManifestError(MarketplaceError):
    """plugin.yaml is not a valid manifest."""


class PackageError(MarketplaceError):
    """A package is not in canonical form, or not what its manifest says."""


class CatalogError(MarketplaceError):
    """A catalog has another schema than this version reads."""


class NotInCatalogError(MarketplaceError):
    """The catalog holds no such plugin or release."""


class ConflictError(MarketplaceError):
    """No set of releases meets all requirements together."""


class NotAcceptedError(MarketplaceError):
    """A release may not be installed: statement missing, revoked, yanked, or mismatching."""


class MirrorError(MarketplaceError):
    """A repository tree could not be copied completely."""


class WorkingDatabaseError(MarketplaceError):
    """The operator's working database does not allow this step."""


class QueueFullError(MarketplaceError):
    """Too much waits already, or was used up: come back in `wait_s` seconds.

    `whole` says that it is so for everybody, and not for one organisation alone.
    """

    def __init__(self, message: str, *, wait_s: int, whole: bool = False) -> None:
        super().__init__(message, hint=f"Come back in {wait_s} s.")
        self.wait_s = wait_s
        self.whole = whole


class AdvisoryError(MarketplaceError):
    """An advisory or a snapshot of them cannot be read."""
