"""The table of routes: what can be asked, by whom, with what, and what comes back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

import msgspec

from marketplace_db.accounts import Account
from marketplace_db.statement import MONTH
from marketplace_db.web.api.problem import ProblemError

if TYPE_CHECKING:
    from marketplace_db.web.desk import Desk

__all__ = ["CSV", "JSON", "PLUGIN_ID", "SUBMISSION", "Answer", "Ask", "Route", "find"]

JSON = "application/json"
CSV = "text/csv; charset=utf-8"
SUBMISSION = "application/vnd.tavo.submission"
_SLUG = "[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){0,62}"
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
PLUGIN_ID = f"^(?:{_SLUG}/{_SLUG}|{_UUID})$"
_FORMS = {
    "id": PLUGIN_ID, "submission": f"^{_UUID}$", "review": f"^{_UUID}$", "publisher": f"^{_SLUG}$",
    "execution": f"^{_UUID}$", "month": MONTH,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request that was checked: who asks, what the address says, and the body."""

    account: Account | None
    values: Mapping[str, str]
    query: Any
    body: Any
    now: datetime

    @property
    def who(self) -> Account:
        """Return the account; only for routes that need a token."""
        if self.account is None:
            raise ProblemError(401, "this needs a token")
        return self.account


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What comes back: a document, or a file or text with its type."""

    value: msgspec.Struct | None = None
    text: str | None = None
    status: int = 200
    file: Path | None = None
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[["Desk", Ask], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One row of the table.

    `scope` is what the token must be for; empty means anybody, `any` means every valid token.
    `where` says which threads do it: those that read, the one that writes, or the one that takes
    packages in. `problems` are the statuses that it has beyond those that all have.
    `other` is what somebody of another organisation gets for what is not theirs: `public` where
    all see the same, `own` where each sees their own, `refused` where there is something to refuse.
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    answer: type[msgspec.Struct] | str
    other: Literal["public", "own", "refused"]
    scope: str = ""
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | str | None = None
    status: int = 200
    problems: tuple[int, ...] = ()
    where: Literal["read", "write", "intake"] = "read"
    cached: bool = False

    @property
    def content_type(self) -> str:
        """Return the type that a body must have."""
        return self.body if isinstance(self.body, str) else JSON

    @property
    def values(self) -> dict[str, str]:
        """Return the names in the path, each with the pattern of its form."""
        return {name: _FORMS[name] for name in re.findall(r"\{(\w+)\}", self.path)}


def find(
    table: Mapping[str, Mapping[str, Route]], raw_path: str
) -> tuple[Mapping[str, Route], dict[str, str]] | None:
    """Return the routes of an address by method, and the values in it; None for no such address.

    A slash inside a value is written `%2F`; so the address is taken apart before it is decoded.
    """
    parts = raw_path.split("/")
    for path, routes in table.items():
        pattern = path.split("/")
        if len(pattern) != len(parts):
            continue
        values: dict[str, str] = {}
        for own, part in zip(pattern, parts, strict=True):
            if own == part and not own.startswith("{"):
                continue
            if not own.startswith("{"):
                break
            try:
                value = unquote(part, errors="strict")
            except UnicodeDecodeError:
                break
            if not re.fullmatch(_FORMS[own[1:-1]].removeprefix("^").removesuffix("$"), value):
                break
            values[own[1:-1]] = value
        else:
            return routes, values
    return None
