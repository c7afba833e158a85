"""The door: who asks, where it goes, within which models and budgets, and with whose credential.

Rules this module keeps:
- where there are virtual keys, nobody passes without one, and none ever goes to an upstream;
- a credential of an upstream takes the place of the client's, in the header where that stood; a
  header of the client that a server could take for it does not go on, however it is spelled;
- a credential in a query, where clients of Gemini may put it, goes on in a header or not at all;
- a web page in a browser is refused unless its origin is listed: it would use a key that it does
  not have;
- the most specific prefix chooses the upstream, else the dialect, else the one that takes all.
"""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b, sha256
from urllib.parse import unquote_to_bytes

import msgspec

from tavo.errors import ConfigError
from tavo.proxy.config import Budget, ProxyConfig, secret_of
from tavo.proxy.http.door import Entry, Worded
from tavo.proxy.http.masking import LEAST
from tavo.proxy.http.upstream import Pool
from tavo.proxy.messages import Forward, Headers, Refusal, plain_refusal
from tavo.proxy.sharing import Shared
from tavo.proxy.wording import shaped

__all__ = ["CREDENTIALS", "Admission", "model_is_among"]

CREDENTIALS = (b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key")
"""Headers in which clients of the dialects send their credential."""

_BY_HOST = {
    "api.anthropic.com": b"x-api-key",
    "generativelanguage.googleapis.com": b"x-goog-api-key",
}
_LONGEST_CREDENTIAL = 4096
_LONGEST_MODEL = 256
_BROWSER = frozenset({b"cross-site", b"same-site"})


class _Client(msgspec.Struct, frozen=True, gc=False):
    """A virtual key that is known: its number, name, and what it may."""

    number: int
    name: str
    upstreams: frozenset[str] | None
    models: tuple[str, ...] | None
    budget: Budget


class Admission:
    """Decides for one configuration."""

    def __init__(
        self, config: ProxyConfig, pools: Mapping[str, Pool], shared: Shared,
        numbers: Mapping[str, int], environment: Mapping[str, str], any_origin: bool = False,
    ) -> None:  # fmt: skip
        """`numbers` are those of the keys. Raises ConfigError for a lacking secret.

        `any_origin`: who connects has shown who it is before it asked, so no web page can.
        """
        self._any_origin = any_origin
        self._pools = dict(pools)
        self._budgets = shared.budgets
        self._key = shared.key
        self._origins = frozenset(origin.encode() for origin in config.listen.origins)
        self._models = tuple(config.models) if config.models is not None else None
        self._clients: dict[bytes, _Client] = {}
        self._named: dict[str, _Client] = {}
        self._prefixes: list[tuple[bytes, str]] = sorted(
            (
                (one.prefix.encode(), name)
                for name, one in config.upstreams.items()
                if one.prefix is not None
            ),
            key=lambda pair: -len(pair[0]),
        )
        self._dialects = {
            dialect: name for name, one in config.upstreams.items() for dialect in one.dialects
        }
        self._rest = next(
            (
                name
                for name, one in config.upstreams.items()
                if one.prefix is None and not one.dialects
            ),
            "",
        )
        self._credentials: dict[str, tuple[bytes, bytes, bool]] = {}
        for name, upstream in config.upstreams.items():
            if upstream.credential is not None:
                secret = secret_of(
                    upstream.credential, f"upstreams.{name}.credential", environment
                ).encode()
                given = upstream.credential.header
                host = pools[name].address.host
                header = given.lower().encode() if given else _BY_HOST.get(host, b"authorization")
                self._credentials[name] = header, secret, given is not None
        for name, key in config.keys.items():
            digest = (
                bytes.fromhex(key.sha256)
                if key.sha256 is not None
                else sha256(secret_of(key, f"keys.{name}", environment).encode()).digest()
            )
            if digest in self._clients:
                raise ConfigError(
                    f"keys.{name}: has the same secret as {self._clients[digest].name}",
                    hint="Give each key a secret of its own.",
                )
            self._named[name] = self._clients[digest] = _Client(
                numbers[name], name,
                frozenset(key.upstreams) if key.upstreams is not None else None,
                tuple(key.models) if key.models is not None else None,
                key.budget,
            )  # fmt: skip

    def enter(
        self, method: bytes, path: bytes, query: bytes, fields: Mapping[bytes, bytes]
    ) -> Entry | Refusal:
        """Say who asks, and by the path where to."""
        answer = self._entered(path, query, fields)
        if isinstance(answer, Refusal):
            return shaped(answer, method, path, query)
        return answer

    def _entered(self, path: bytes, query: bytes, fields: Mapping[bytes, bytes]) -> Entry | Refusal:
        if not self._any_origin:
            if b"origin" in fields and fields[b"origin"] not in self._origins:
                return _browser()
            if fields.get(b"sec-fetch-site") in _BROWSER and not self._origins:
                return _browser()
        credential = given = b""
        for name in CREDENTIALS:
            if name in fields:
                credential = fields[name]
                break
        if (b"key" in query or b"%" in query) and (self._clients or _is_gemini(path)):
            query, given = _without_key(query)
            credential = credential or given
        if len(credential) > _LONGEST_CREDENTIAL:
            return plain_refusal(401, "invalid_api_key", "the credential is too long")
        key = ""
        if self._clients:
            client = self._clients.get(sha256(_bare(credential)).digest())
            if client is None:
                return plain_refusal(
                    401, "invalid_api_key",
                    "the key is not known to this proxy" if credential
                    else "this proxy wants a key of its own, as api_key of your client",
                )  # fmt: skip
            key = client.name
        upstream = ""
        for prefix, one in self._prefixes:
            if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] == b"/":
                upstream, path = one, path[len(prefix) :]
                break
        fingerprint, secret = _derived(credential, self._key)
        return Entry(
            client=key or fingerprint, key=key, upstream=upstream, path=path, query=query,
            secret=secret, given=b"" if key else given,
        )  # fmt: skip

    def pool(self, entry: Entry, dialect: str, worded: Worded) -> Pool | Refusal:
        """Return the connections to the upstream of a request."""
        name = entry.upstream or self._dialects.get(dialect) or self._rest
        if not name:
            ways = ", ".join(prefix.decode() for prefix, _ in self._prefixes)
            return worded(
                404, "no_upstream",
                "no upstream of this proxy takes that path"
                + (f"; the ways in are {ways}" if ways else ""),
            )  # fmt: skip
        if entry.key:
            allowed = self._named[entry.key].upstreams
            if allowed is not None and name not in allowed:
                return worded(
                    403, "upstream_not_allowed", f"the key {entry.key} may not use {name}"
                )
        return self._pools[name]

    def admit(self, entry: Entry, forward: Forward, worded: Worded, now: float) -> Refusal | None:
        """Decide by what is asked: models, budgets."""
        client = self._named[entry.key] if entry.key else None
        if self._models is not None or (client is not None and client.models is not None):
            refusal = self._not_among(client, forward, worded)
            if refusal is not None:
                return refusal
        if client is None:
            return None
        over = self._budgets.take(client.number, client.budget, now)
        if over is None:
            return None
        what, seconds = over
        refusal = worded(
            429, "budget_exceeded",
            f"the budget of {client.name} is used up: {what}; there is more in {seconds} s",
        )  # fmt: skip
        again = [(b"retry-after", b"%d" % seconds), (b"x-should-retry", b"false")]
        return msgspec.structs.replace(refusal, headers=[*refusal.headers, *again])

    def _not_among(
        self, client: _Client | None, forward: Forward, worded: Worded
    ) -> Refusal | None:
        """Refuse a model that is not one of those which all, or this client, may use."""
        model = forward.model
        own = client.models if client is not None else None
        for patterns in (self._models, own):
            if patterns is None or not (model or forward.body):
                continue
            if not model_is_among(model, patterns):
                named = f"the model {model[:100]!r} is" if model else "a request without a model is"
                return worded(403, "model_not_allowed", f"{named} not allowed")
        return None

    def outbound(self, entry: Entry, pool: Pool, headers: Headers) -> Headers:
        """Return the headers for the upstream, with its credential in place of the client's.

        An answer that is compressed could hold the credential, and its usage, unseen: where there
        is one, none is asked for.
        """
        held = self._credentials.get(pool.name)
        if held is None:
            if not entry.given:
                return headers
            out = [pair for pair in headers if _plain(pair[0]) != b"x-goog-api-key"]
            return [*out, (b"x-goog-api-key", entry.given)]
        header, secret, fixed = held
        out = []
        for name, value in headers:
            plain = _plain(name)
            if plain in CREDENTIALS:
                if not fixed:
                    header, fixed = plain, True
            elif plain != header and plain != b"accept-encoding":
                out.append((name, value))
        out.append((b"accept-encoding", b"identity"))
        out.append((header, b"Bearer " + secret if header == b"authorization" else secret))
        return out

    def secret(self, pool: Pool) -> bytes:
        """Return the credential that no answer of an upstream may show, empty for none."""
        held = self._credentials.get(pool.name)
        return held[1] if held is not None and len(held[1]) >= LEAST else b""

    def number_of(self, key: str) -> int:
        """Return the number of a key, -1 for none."""
        client = self._named.get(key)
        return client.number if client is not None else -1

    def used(self) -> dict[str, dict[str, float]]:
        """Return what each key has used."""
        now = time.time()
        return {name: self._budgets.used(one.number, now) for name, one in self._named.items()}


def _bare(credential: bytes) -> bytes:
    scheme, blank, rest = credential.partition(b" ")
    return rest.strip() if blank and scheme.lower() == b"bearer" else credential


@lru_cache(maxsize=1024)
def _derived(credential: bytes, key: bytes) -> tuple[str, bytes]:
    """Return what tells a credential apart in logs, and key material that only its owner shares."""
    bare = _bare(credential)
    secret = blake2b(bare, key=key, digest_size=32, person=b"tavo-exchange").digest()
    if not credential:
        return "", secret
    return blake2b(bare, digest_size=8, person=b"tavo-client").hexdigest(), secret


def model_is_among(model: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a model is one of a list; no model is none of it."""
    return bool(model) and len(model) <= _LONGEST_MODEL and _matches(model, patterns)


@lru_cache(maxsize=1024)
def _matches(model: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(model, pattern) for pattern in patterns)


def _plain(name: bytes) -> bytes:
    """Return a name as servers read it that know no difference between a dash and a line."""
    return name.replace(b"_", b"-") if b"_" in name else name


def _is_gemini(path: bytes) -> bool:
    return b"/models" in path


def _without_key(query: bytes) -> tuple[bytes, bytes]:
    """Take a credential out of a query, however its name is spelled."""
    kept, found = [], b""
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if unquote_to_bytes(name).lower() == b"key":
            found = found or unquote_to_bytes(value.replace(b"+", b" "))
        else:
            kept.append(part)
    return b"&".join(kept), found


def _browser() -> Refusal:
    return plain_refusal(
        403, "origin_not_allowed",
        "a web page asks, and its origin is not one of listen.origins of this proxy",
    )  # fmt: skip
