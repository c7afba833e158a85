"""HTTPS on a plugin's behalf: only to the hosts that its manifest names and the user granted.

Rules this module keeps:
- https only, exact host names and ports, no redirects, no cookies, none of our credentials;
- a name that leads to this machine or a private network is refused, so that a plugin cannot reach
  through us what it cannot reach itself; the address that was judged is the one that is used;
- requests are bounded in number, size and time; `record` hears of each.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tavo.host.lending import LendError

__all__ = ["HttpLender", "LentRequest", "destination", "parse_hosts", "public_address"]

_MOST_REQUESTS = 1000
_LONGEST_BODY = 4 << 20
_LONGEST_TIMEOUT_S = 60.0
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade"})

# addresses of version 6 that a router or the system turns into one of version 4, and where that
# stands in them: compatible, mapped, translated (RFC 2765, 6052), 6to4 (RFC 3056)
_TRANSLATED = tuple(
    (ipaddress.IPv6Network(network), shift)
    for network, shift in (
        ("::/96", 0), ("::ffff:0:0/96", 0), ("::ffff:0:0:0/96", 0),
        ("64:ff9b::/96", 0), ("2002::/16", 80),
    )
)  # fmt: skip
_LOCAL_TRANSLATION = ipaddress.IPv6Network("64:ff9b:1::/48")  # RFC 8215

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class LentRequest:
    """One request that was made for a plugin, for the record."""

    method: str
    host: str
    status: int
    bytes_out: int
    bytes_in: int


def parse_hosts(hosts: Collection[str]) -> frozenset[tuple[str, int]]:
    """Return the manifest's host names with their ports, 443 where none is named."""
    parsed = set()
    for entry in hosts:
        name, _, port = entry.partition(":")
        parsed.add((name.lower(), int(port or 443)))
    return frozenset(parsed)


def destination(url: str, allowed: frozenset[tuple[str, int]]) -> tuple[str, int]:
    """Return host and port of an address that may be asked. Raises LendError."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or 443
    except ValueError as error:
        raise LendError("http", f"the address cannot be used: {error}") from None
    if parts.scheme != "https" or not host or parts.username or parts.password:
        raise LendError("http", "only https addresses without user and password are asked")
    if (host, port) not in allowed:
        raise LendError("not_available", f"{host}:{port} is not declared in plugin.yaml")
    return host, port


def public_address(
    host: str, port: int, resolve: Resolve | None = None, *, listed: Collection[Network] = ()
) -> str:
    """Return an address of a host name that is not in a private network. Raises LendError.

    `listed` are networks that may be led into although they are not public.
    """
    try:
        found = (resolve or _resolve)(host, port)
    except (OSError, UnicodeError) as error:
        raise LendError("http", f"{host} cannot be found: {error}") from None
    for address in found:
        if not _is_public(address) and not _is_listed(address, listed):
            raise LendError("http", f"{host} leads to {address}, which is not public")
    if not found:
        raise LendError("http", f"{host} has no address")
    return found[0]


def _is_listed(text: str, listed: Collection[Network]) -> bool:
    """Tell whether an address is in a network that was listed, in that very form."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return any(address in network for network in listed)


def _is_public(text: str) -> bool:
    """Tell whether an address is one of the public network, also by what it stands for."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if address.is_multicast or not address.is_global:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    if address.is_site_local or address in _LOCAL_TRANSLATION:
        return False
    return all(
        _is_public(str(ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF)))
        for network, shift in _TRANSLATED
        if address in network
    )


class HttpLender:
    """Serves `context.http` of one plugin."""

    def __init__(
        self,
        hosts: Collection[str],
        *,
        record: Callable[[LentRequest], None] = lambda _: None,
        resolve: Resolve | None = None,
        verify: Any = True,
        private_hosts: Collection[str] = (),
    ) -> None:
        """`private_hosts` are names that the user allows to lead into a private network."""
        self._allowed = parse_hosts(hosts)
        self._record = record
        self._resolve = resolve
        self._verify = verify
        self._private = frozenset(name.lower() for name in private_hosts)
        self._left = _MOST_REQUESTS

    def lend(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Make one request. Raises LendError."""
        if kind != "http" or not self._allowed:
            raise LendError("not_available", f"{kind} is not lent to this plugin")
        method, headers, body, timeout = _judged(content)
        url = content.get("url")
        if not isinstance(url, str):
            raise LendError("http", "the address is no text")
        host, port = destination(url, self._allowed)
        if self._left <= 0:
            raise LendError("http", f"it made {_MOST_REQUESTS} requests already")
        self._left -= 1
        if host in self._private:
            address = ((self._resolve or _resolve)(host, port) or [host])[0]
        else:
            address = public_address(host, port, self._resolve)
        return self._ask(method, url, (host, port, address), headers, body, timeout)

    def _ask(
        self,
        method: str,
        url: str,
        where: tuple[str, int, str],
        headers: dict[str, str],
        body: bytes,
        timeout: float,
    ) -> dict[str, Any]:
        import httpx

        from tavo.host.bounded_http import BoundedClient, UnusableAnswerError

        host, port, address = where
        named = host if port == 443 else f"{host}:{port}"
        client = BoundedClient(verify=self._verify)
        try:
            # connect to the address that was judged; name and certificate stay those of the host
            answer = client.exchange(
                method, httpx.URL(url).copy_with(host=address, port=port),
                headers={**headers, "Host": named}, extensions={"sni_hostname": host},
                content=body, timeout_s=timeout, most=_LONGEST_BODY,
            )  # fmt: skip
        except httpx.TimeoutException:
            raise LendError("http", f"{host} gave no whole answer within {timeout:g} s") from None
        except (
            UnusableAnswerError, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError
        ) as error:  # fmt: skip
            raise LendError("http", f"{host}: {error}") from None
        finally:
            client.close()
        self._record(LentRequest(method, named, answer.status, len(body), len(answer.body)))
        return {
            "status": answer.status,
            "headers": dict(answer.headers),
            "body": base64.b64encode(answer.body).decode("ascii"),
        }


def _judged(content: Mapping[str, Any]) -> tuple[str, dict[str, str], bytes, float]:
    method, headers = content.get("method"), content.get("headers")
    timeout = content.get("timeout_s")
    if not isinstance(method, str) or method not in _METHODS:
        named = repr(method[:20]) if isinstance(method, str) else "that"
        raise LendError("http", f"{named} is no method that is lent")
    if not isinstance(headers, dict) or len(headers) > 64:
        raise LendError("http", "the headers are no short list of names and values")
    for name, value in headers.items():
        bare = name.replace("-", "").replace("_", "")
        if not isinstance(value, str) or not (bare.isascii() and bare.isalnum()):
            raise LendError("http", f"the header {name[:40]!r} cannot be sent")
        if name.lower() in _OWN_HEADERS or not (value.isascii() and value.isprintable()):
            raise LendError("http", f"the header {name[:40]!r} is not sent for a plugin")
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise LendError("http", "timeout_s is no number above 0")
    timeout = float(min(timeout, _LONGEST_TIMEOUT_S))  # a whole number may be too large for one
    try:
        body = base64.b64decode(content.get("body", ""), validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise LendError("http", "the body is not base64") from None
    if len(body) > _LONGEST_BODY:
        raise LendError("http", f"the body is larger than {_LONGEST_BODY >> 20} MB")
    return method, dict(headers), body, timeout


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]
