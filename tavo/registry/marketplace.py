"""The client of a marketplace's API: what a person tells it or asks of it, with a token.

Rules this module keeps:
- a token goes to https addresses, and to this machine, and to no other; it follows no redirect, and
  stands in no message;
- what a server answers is foreign: bounded, checked, and shown without control characters;
- nothing that is installed is trusted because of it: packages come through the signed catalog.

Units: bytes, seconds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import quote, urlsplit

from signing.errors import printable
from tavo.errors import ConfigError, InputError, RefusedError, UsageError

if TYPE_CHECKING:
    import httpx

__all__ = ["TOKEN", "Marketplace", "read_token"]

TOKEN = "TAVO_TOKEN"  # noqa: S105  # a variable's name
_SUBMISSION = "application/vnd.tavo.submission"
_LARGEST_ANSWER = 4 << 20
_TIMEOUT_S = 30.0
_UPLOAD_S = 600.0
_HERE = frozenset({"127.0.0.1", "localhost", "::1"})


def read_token(file: Path | None) -> str:
    """Return the token of a file, else of TAVO_TOKEN. Raises UsageError and InputError."""
    if file is None:
        text = os.environ.get(TOKEN, "")
        where = TOKEN
    else:
        where = str(file)
        try:
            text = file.read_text("utf-8")[:1000]
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", "") or "is not text"
            raise InputError(f"{file}: the token cannot be read: {reason}") from error
    token = text.strip()
    if not token:
        raise UsageError(
            "no token is given", hint=f"Set {TOKEN}, or name a file with --token-file."
        )
    if not token.startswith("tavo_") or not token.isascii() or not token.isprintable():
        raise UsageError(f"{where}: holds no token of a marketplace", hint="One begins with tavo_.")
    return token


class Marketplace:
    """A marketplace at an address. Use it as a context manager."""

    def __init__(self, url: str, token: str | None = None, *, offline: bool = False) -> None:
        """Raise ConfigError for an address that no token may go to."""
        parts = urlsplit(url)
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _HERE)
        if not safe or not parts.hostname or parts.query or parts.fragment or parts.username:
            raise ConfigError(
                f"{printable(url)}: a marketplace is an https:// address",
                hint="Only one on this machine may do without https.",
            )
        if offline:
            raise ConfigError(
                f"{printable(url)}: needs the network, and --offline was given",
                hint="Leave --offline out.",
            )
        self._base = url.rstrip("/")
        self._token = token
        self._client: httpx.Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            self._client.close()

    def account(self) -> dict[str, Any]:
        """Return who the token speaks for."""
        return self._ask("GET", "/account")

    def submit(self, file: Path) -> dict[str, Any]:
        """Hand in what `tavo plugin submit` wrote; return the submission."""
        who = self.account()  # a token that is none is told before everything is sent
        if "submit" not in who.get("scopes", ()):
            raise RefusedError(
                "your token is not for handing in: it lacks the scope submit",
                hint="Ask the operator for one with it.",
            )
        try:
            with file.open("rb") as stream:
                return self._ask(
                    "POST", "/plugins", content=stream, timeout=_UPLOAD_S,
                    headers={"content-type": _SUBMISSION,
                             "content-length": str(file.stat().st_size)},
                )  # fmt: skip
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error.strerror}") from error

    def submission(self, identifier: str) -> dict[str, Any]:
        """Return a submission with its checks."""
        return self._ask("GET", f"/submissions/{quote(identifier, safe='')}")

    def reviews(self, plugin: str) -> dict[str, Any]:
        """Return the newest shown reviews of a plugin."""
        return self._ask("GET", f"/plugins/{quote(plugin, safe='')}/reviews?limit=20")

    def review(
        self, plugin: str, *, rating: int, title: str, body: str, version: str | None
    ) -> dict[str, Any]:
        """Write a review; return it."""
        value = {"rating": rating, "title": title, "body": body}
        if version is not None:
            value["version"] = version
        return self._ask("POST", f"/plugins/{quote(plugin, safe='')}/reviews", json=value)

    def installed_together(self, plugin: str) -> list[tuple[str, int]]:
        """Return plugins that organisations with this one have too, and how many have both."""
        value = self._ask("GET", f"/plugins/{quote(plugin, safe='')}")
        rows = value.get("also_installed", [])
        return [
            (one["id"], one["organizations"])
            for one in (rows if isinstance(rows, list) else [])
            if isinstance(one, dict)
            and isinstance(one.get("id"), str)
            and isinstance(one.get("organizations"), int)
        ]

    def tell(self, plugin: str, version: str, *, key: str, client_version: str) -> dict[str, Any]:
        """Tell that something is installed here; the same key again is the same installation."""
        value = {"version": version, "key": key, "client_version": client_version}
        return self._ask("POST", f"/plugins/{quote(plugin, safe='')}/install", json=value)

    def execute(
        self,
        plugin: str,
        *,
        target: str,
        key: str,
        version: str | None,
        config: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Ask for a run; the same key again is the same run. Return it."""
        value: dict[str, Any] = {"target": target, "key": key, "config": dict(config)}
        if version is not None:
            value["version"] = version
        return self._ask("POST", f"/plugins/{quote(plugin, safe='')}/execute", json=value)

    def executions(self) -> list[dict[str, Any]]:
        """Return the newest runs of your organisation."""
        found = self._ask("GET", "/executions?limit=100").get("executions", [])
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def execution(self, identifier: str) -> dict[str, Any]:
        """Return a run."""
        return self._ask("GET", f"/executions/{quote(identifier, safe='')}")

    def cancel(self, identifier: str) -> dict[str, Any]:
        """Cancel a run; return it."""
        return self._ask("POST", f"/executions/{quote(identifier, safe='')}/cancel")

    def result(self, identifier: str) -> dict[str, Any]:
        """Return what a run found."""
        return self._ask("GET", f"/executions/{quote(identifier, safe='')}/result")

    def targets(self) -> list[dict[str, Any]]:
        """Return what your organisation may have attacked."""
        found = self._ask("GET", "/targets").get("targets", [])
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def statement(self, month: str) -> str:
        """Return what your organisation's runs cost in a month, as CSV."""
        status, data = self._exchange("GET", f"/statements/{quote(month, safe='')}")
        if status != 200:
            self._refuse(status, data)
        return "".join(
            char for char in data.decode("utf-8", "replace") if char.isprintable() or char in "\r\n"
        )

    # -- inside

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        status, data = self._exchange(method, path, **more)
        if status in {200, 201, 202} and (value := _document(data)):
            return value
        return self._refuse(status, data)

    def _exchange(self, method: str, path: str, **more: Any) -> tuple[int, bytes]:
        """Return the status and the bounded body of an answer. Raises InputError."""
        import httpx

        if self._client is None:
            headers = {"user-agent": "tavo", "accept-encoding": "identity"}
            if self._token is not None:
                headers["authorization"] = f"Bearer {self._token}"
            self._client = httpx.Client(headers=headers, timeout=_TIMEOUT_S)
        try:
            with self._client.stream(method, f"{self._base}/api/v1{path}", **more) as response:
                data = b""
                for chunk in response.iter_raw():
                    data += chunk
                    if len(data) > _LARGEST_ANSWER:
                        raise InputError(f"{self._base}: the answer is larger than 4 MB")
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise InputError(
                f"{self._base}: {printable(error) or type(error).__name__}",
                hint="Check the network and the address of the marketplace.",
            ) from error
        return response.status_code, data

    def _refuse(self, status: int, data: bytes) -> NoReturn:
        """Raise RefusedError or InputError with what the server said."""
        value = _document(data)
        detail = printable(str(value.get("detail", "")))[:500]
        hint = printable(str(value.get("hint", "")))[:300]
        said = detail or f"the server answered HTTP {status}, and no document"
        if status in {401, 403, 404, 409, 422}:
            raise RefusedError(f"{self._base}: {said}", hint=hint)
        raise InputError(f"{self._base}: {said}", hint=hint)


def _document(data: bytes) -> dict[str, Any]:
    """Return an answer as a JSON object, empty where it is none."""
    import msgspec

    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
