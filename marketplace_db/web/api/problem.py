"""What the API says when it does not do what was asked: RFC 9457 problem documents."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from marketplace_db.errors import (
    MarketplaceError,
    NotAcceptedError,
    NotInCatalogError,
    QueueFullError,
    WorkingDatabaseError,
)
from signing.errors import SigningError

__all__ = ["PROBLEM_TYPE", "ProblemDocument", "ProblemError", "problem_of"]

PROBLEM_TYPE = "application/problem+json"
_TITLES = {
    400: "The request cannot be read", 401: "A valid token is needed", 403: "Not allowed",
    404: "There is no such thing", 405: "This method is not for this address",
    409: "It does not fit what is there", 413: "The body is too large",
    415: "The body has another type", 421: "This server does not answer for that host name",
    422: "It is refused", 429: "Too many requests", 500: "A defect of this server",
    503: "Not possible at the moment",
}  # fmt: skip


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was not done. `hint` is the next step, where there is one."""

    type: str
    title: str
    status: int
    detail: str
    hint: str = ""


class ProblemError(Exception):
    """A request that is not done; `headers` go with the answer."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "",
        hint: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.hint = hint
        self.headers = dict(headers or {})

    @property
    def document(self) -> ProblemDocument:
        """Return what is sent."""
        return ProblemDocument(
            type=f"urn:tavo:problem:{self.kind}" if self.kind else "about:blank",
            title=_TITLES[self.status],
            status=self.status,
            detail=str(self),
            hint=self.hint,
        )


def problem_of(error: MarketplaceError | SigningError) -> ProblemError:
    """Return the problem that an error of the marketplace is for its client."""
    hint = getattr(error, "hint", "")
    if isinstance(error, NotInCatalogError):
        return ProblemError(404, str(error), kind="unknown")
    if isinstance(error, WorkingDatabaseError):
        if error.__cause__ is not None:  # SQLite said so: nothing that the client did
            headers = {"retry-after": "5"}
            return ProblemError(503, "the database cannot be used now", headers=headers)
        return ProblemError(409, str(error), kind="conflict", hint=hint)
    if isinstance(error, QueueFullError):
        headers = {"retry-after": str(error.wait_s)}
        status = 503 if error.whole else 429
        return ProblemError(status, str(error), kind="full", hint=hint, headers=headers)
    if isinstance(error, NotAcceptedError):
        return ProblemError(403, str(error), kind="not-accepted", hint=hint)
    return ProblemError(422, str(error), kind="refused", hint=hint)
