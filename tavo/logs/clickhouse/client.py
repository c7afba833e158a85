"""ClickHouse over HTTP: a statement goes there, lines of JSON come back.

Rules this module keeps:
- user and password come from the environment, are sent as headers, and are in no message;
- statements only read (`readonly=2`), and take a bounded time;
- an answer that is no whole answer is an error: an empty result is said by the server alone.

Source: ClickHouse's documentation of its HTTP interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from tavo.errors import ConfigError, InputError

__all__ = ["Address", "Client", "address_of"]

_LONGEST_ERROR = 400
_SETTINGS = {
    "readonly": "2",
    "wait_end_of_query": "1",
    "default_format": "JSONEachRow",
    "output_format_json_quote_64bit_integers": "0",
    "output_format_json_quote_denormals": "1",
    "max_query_size": str(256 << 20),
    "max_ast_elements": "10000000",
    "max_expanded_ast_elements": "10000000",
    "max_ast_depth": "10000",
}
_USER, _PASSWORD = "CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a table is."""

    url: str
    host: str
    database: str
    table: str

    @property
    def is_here(self) -> bool:
        """Tell whether it is on this machine."""
        return urlsplit(self.url).hostname in {"127.0.0.1", "::1", "localhost"}

    @property
    def name(self) -> str:
        """Return what findings call it."""
        return f"clickhouse/{self.host}/{self.database}.{self.table}"


def address_of(text: str) -> Address:
    """Read `clickhouse://HOST[:PORT]/DATABASE/TABLE`. Raises ConfigError."""
    shape = "clickhouse://HOST[:PORT]/DATABASE/TABLE, or clickhouses:// for TLS"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigError(f"--backend: not an address: {error}", hint=f"Write {shape}.") from error
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "--backend: an address holds no credentials",
            hint=f"Put them into {_USER} and {_PASSWORD}.",
        )
    path = parts.path.strip("/").split("/")
    if parts.scheme not in {"clickhouse", "clickhouses"} or not host or len(path) != 2:
        raise ConfigError(f"--backend: {text!r} is no address of a table", hint=f"Write {shape}.")
    if parts.query or parts.fragment or not all(path):
        raise ConfigError(f"--backend: {text!r} has parts too many", hint=f"Write {shape}.")
    secure = parts.scheme == "clickhouses"
    port = port or (8443 if secure else 8123)
    shown = f"[{host}]" if ":" in host else host
    return Address(
        url=f"{'https' if secure else 'http'}://{shown}:{port}/",
        host=f"{host}.{port}".replace(":", "."),
        database=path[0], table=path[1],
    )  # fmt: skip


class Client:
    """Asks one server. Raises InputError where it cannot be reached, or refuses."""

    def __init__(
        self, address: Address, environment: Mapping[str, str], *, timeout_s: float
    ) -> None:
        self._address = address
        self._timeout_s = timeout_s
        headers = {"X-ClickHouse-Database": address.database}
        if environment.get(_USER):
            headers["X-ClickHouse-User"] = environment[_USER]
        if environment.get(_PASSWORD):
            headers["X-ClickHouse-Key"] = environment[_PASSWORD]
        self._http = httpx.Client(
            headers=headers, timeout=httpx.Timeout(timeout_s + 30, connect=20),
            follow_redirects=False, trust_env=False,
        )  # fmt: skip

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def rows(self, statement: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of an answer."""
        for line in self.lines(statement):
            yield self._row(line)

    def lines(self, statement: str) -> Iterator[bytes]:
        """Yield the lines of an answer, each an object of JSON."""
        with self._asked(statement) as response:
            rest = b""
            try:
                for piece in response.iter_bytes(1 << 20):
                    *lines, rest = (rest + piece).split(b"\n")
                    yield from lines
            except httpx.HTTPError as error:
                raise self._error(f"its answer broke off: {type(error).__name__}") from error
            if rest.strip():
                yield rest

    def _row(self, line: bytes) -> dict[str, Any]:
        try:
            value = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            shown = line[:_LONGEST_ERROR].decode("utf-8", "replace")
            raise self._error(f"its answer is no JSON: {shown}") from error
        if not isinstance(value, dict):
            raise self._error("its answer has other rows than were asked for")
        return value

    @contextmanager
    def _asked(self, statement: str) -> Iterator[httpx.Response]:
        settings = {**_SETTINGS, "max_execution_time": str(int(self._timeout_s))}
        try:
            with self._http.stream(
                "POST", self._address.url, params=settings, content=statement.encode()
            ) as response:
                if response.status_code != 200:
                    said = response.read()[:_LONGEST_ERROR].decode("utf-8", "replace")
                    raise self._error(_reason(response.status_code, " ".join(said.split())))
                yield response
        except httpx.HTTPError as error:
            raise self._error(f"it cannot be reached: {error or type(error).__name__}") from error

    def _error(self, reason: str) -> InputError:
        return InputError(f"{self._address.name}: {reason}")


def _reason(status: int, said: str) -> str:
    if status in {401, 403} or "Authentication failed" in said:
        return f"it refuses the user; {_USER} and {_PASSWORD} are where one is named"
    return f"it answers {status}: {said}"
