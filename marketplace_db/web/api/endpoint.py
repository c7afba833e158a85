"""From a request to its answer: route, rate, token, query, body, handler, in this order.

Rules this module keeps:
- who may not ask is told so before the body is read, and before the query is judged;
- the threads that read, the one that writes and the one that takes packages in wait for nobody
  else's work, and what waits for each of them is bounded;
- an error that nobody foresaw is logged, and its client learns nothing but that.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import logging
import math
import shutil
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from marketplace_db.accounts import Account
from marketplace_db.errors import MarketplaceError
from marketplace_db.web.api.problem import PROBLEM_TYPE, ProblemError, problem_of
from marketplace_db.web.api.routes import JSON, Answer, Ask, Route, find
from marketplace_db.web.api.table import BY_PATH
from marketplace_db.web.desk import Desk
from marketplace_db.web.limits import Buckets, ServiceLimits, client_of
from marketplace_db.web.wire import (
    Incoming,
    Scope,
    Send,
    drain,
    header,
    matches,
    read_body,
    read_into,
    send_bytes,
    send_file,
)
from signing.errors import SigningError

__all__ = ["Endpoint"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

_LARGEST_JSON = 64 * 1024
_LONGEST_QUERY = 4096
_MOST_FIELDS = 32
_MOST_WAITING = 256
_MOST_CACHED = 1024
_LARGEST_CACHED = 32 * 1024


class Endpoint:
    """All routes of the API over one desk."""

    def __init__(self, desk: Desk, limits: ServiceLimits, *, readers: int = 4) -> None:
        self.desk = desk
        self.limits = limits
        self.incoming = desk.directory / "incoming"
        self.pools = {
            "read": ThreadPoolExecutor(readers, "read"),
            "write": ThreadPoolExecutor(1, "write"),
            "intake": ThreadPoolExecutor(1, "intake"),
        }
        self._waiting = {"read": 0, "write": 0, "intake": 0}
        self._most = {
            "read": _MOST_WAITING, "write": _MOST_WAITING, "intake": limits.waiting_submissions,
        }  # fmt: skip
        self._buckets = {
            "read": Buckets(limits.reads_per_minute, 60),
            "write": Buckets(limits.writes_per_minute, 60),
            "intake": Buckets(limits.submissions_per_hour, 3600),
        }
        self._trusted = frozenset(limits.trusted_proxies)
        self._cache: OrderedDict[tuple[str, bytes], tuple[int, str, bytes]] = OrderedDict()

    def close(self) -> None:
        """Finish what is being done, and end the threads."""
        for pool in self.pools.values():
            pool.shutdown(wait=True)

    async def __call__(self, scope: Scope, receive: Incoming, send: Send) -> str:
        """Answer a request below `/api/`; return the path of its route, for the log."""
        raw = scope.get("raw_path") or scope["path"].encode()
        address = raw.partition(b"?")[0].decode("latin-1")
        found = find(BY_PATH, address)
        name = "none"
        try:
            if found is None:
                raise ProblemError(404, "there is no such address", kind="unknown")
            routes, values = found
            name = next(iter(routes.values())).path
            await self._answer(routes, values, scope, receive, send)
        except ProblemError as problem:
            await self._refuse(problem, scope, receive, send)
        except (MarketplaceError, SigningError) as error:
            await self._refuse(problem_of(error), scope, receive, send)
        except OSError as error:  # the disk is full, say: nothing that the client did
            _log.error("%s %s: %s", scope["method"], name, error)
            busy = ProblemError(503, "the disk cannot be used now", headers={"retry-after": "30"})
            await self._refuse(busy, scope, receive, send)
        except Exception:  # noqa: BLE001  # whatever it is, its client gets a document
            _log.exception("%s %s failed", scope["method"], name)
            defect = ProblemError(500, "something went wrong here; the server's log says what")
            await self._refuse(defect, scope, receive, send)
        return name

    async def _answer(
        self,
        routes: Mapping[str, Route],
        values: Mapping[str, str],
        scope: Scope,
        receive: Incoming,
        send: Send,
    ) -> None:
        head = scope["method"] == "HEAD"
        route = routes.get("GET" if head else scope["method"])
        if route is None:
            allowed = sorted({*routes, "HEAD"} if "GET" in routes else routes)
            raise ProblemError(
                405, f"use {' or '.join(allowed)}", headers={"allow": ", ".join(allowed)}
            )
        account = await self._account(route, scope)
        if route.cached and (kept := self._kept(scope)) is not None:
            await self._send_document(route, kept[0], kept[1], Answer(), scope, send)
            return
        query = _query(route, scope)
        body = await self._body(route, scope, receive)
        now = self.desk.clock()
        ask = Ask(account=account, values=values, query=query, body=body, now=now)
        generation = self.desk.generation
        try:
            answer = await self._do(route, ask)
        finally:
            if isinstance(body, Path):
                shutil.rmtree(body.parent, ignore_errors=True)
        if answer.file is not None:
            await self._send_file(answer, scope, send)
            return
        data = msgspec.json.encode(answer.value) if answer.text is None else answer.text.encode()
        etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        if route.cached and len(data) <= _LARGEST_CACHED:
            self._keep(scope, generation, etag, data)
        await self._send_document(route, etag, data, answer, scope, send)

    async def ask(self, work: Callable[[], T]) -> T:
        """Have a thread that reads do something. Raises ProblemError 429 where too much waits."""
        return await self._in("read", work)

    async def token_of(self, secret: str) -> Account | None:
        """Return who a token speaks for, None for one that is not valid."""
        return await self._in("read", lambda: self._known(secret))

    async def operator(self, scope: Scope) -> bool:
        """Tell whether a request carries a token of an operator."""
        words = header(scope, b"authorization").split(" ")
        if len(words) != 2 or words[0].lower() != "bearer":
            return False
        account = await self.token_of(words[1])
        return account is not None and "operate" in account.scopes

    # -- who asks

    async def _account(self, route: Route, scope: Scope) -> Account | None:
        """Return who asks. Raises ProblemError 429, 401 or 403."""
        given = [value for key, value in scope["headers"] if key == b"authorization"]
        account = None
        if given:
            words = given[0].decode("latin-1").split(" ")
            if len(given) == 1 and len(words) == 2 and words[0].lower() == "bearer":
                account = await self.token_of(words[1])
        client = self._client(scope)
        kind = route.where if account is not None else "read"
        if wait := self._buckets[kind].take(account.token if account else client, time.monotonic()):
            raise ProblemError(
                429, "too many requests", kind="rate",
                hint=f"Come back in {math.ceil(wait)} s.",
                headers={"retry-after": str(math.ceil(wait))},
            )  # fmt: skip
        if account is None and (given or route.scope):
            missing = "the token is unknown, over or revoked" if given else "this needs a token"
            raise ProblemError(
                401, missing, kind="token",
                hint="Send `Authorization: Bearer TOKEN`; the operator makes tokens.",
                headers={"www-authenticate": 'Bearer realm="tavo marketplace"'},
            )  # fmt: skip
        if route.scope not in {"", "any"} and account and route.scope not in account.scopes:
            raise ProblemError(
                403, f"your token is not for this: it lacks the scope {route.scope}",
                kind="scope", hint="Ask the operator for a token with that scope.",
            )  # fmt: skip
        return account

    def wait_of(self, scope: Scope, kind: str) -> int:
        """Return after how many seconds a client without a token may ask for a page; 0 is now."""
        return math.ceil(self._buckets[kind].take(self._client(scope), time.monotonic()))

    def _client(self, scope: Scope) -> str:
        peer = (scope.get("client") or ("", 0))[0]
        return client_of(peer, header(scope, b"x-forwarded-for"), self._trusted)

    def _known(self, token: str) -> Account | None:
        return self.desk.accounts().authenticate(token, now=self.desk.clock())

    # -- what is asked

    async def _body(self, route: Route, scope: Scope, receive: Incoming) -> Any:
        """Read and check the body. Raises ProblemError 400, 413 or 415."""
        if route.body is None:
            if await read_body(receive, _LARGEST_JSON):
                raise ProblemError(400, "this takes no body")
            return None
        declared = header(scope, b"content-type")
        kind, _, parameter = declared.partition(";")
        wanted = route.content_type
        charset = parameter.strip().lower().replace('"', "")
        if kind.strip().lower() != wanted or charset not in {"", "charset=utf-8"}:
            raise ProblemError(415, f"send {wanted}, found {declared[:80]!r}")
        largest = _LARGEST_JSON if wanted == JSON else self.limits.largest_submission_mb * 1_000_000
        length = header(scope, b"content-length")
        if length.isdecimal() and int(length[:20]) > largest:
            raise ProblemError(413, f"the body is larger than {largest} bytes")
        if isinstance(route.body, str):
            self.incoming.mkdir(exist_ok=True)
            return await read_into(receive, largest, self.incoming)
        data = await read_body(receive, largest)
        try:
            return msgspec.convert(_whole(msgspec.json.decode(data)), route.body)
        except msgspec.ValidationError as error:
            raise ProblemError(400, f"the body: {error}", kind="body") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ProblemError(400, f"the body is not JSON: {error}", kind="body") from None

    async def _do(self, route: Route, ask: Ask) -> Answer:
        return await self._in(route.where, lambda: route.handler(self.desk, ask))

    async def _in(self, pool: str, work: Callable[[], T]) -> T:
        """Have a thread of a pool do something. Raises ProblemError 429 where too much waits."""
        if self._waiting[pool] >= self._most[pool]:
            raise ProblemError(
                429, "too much is being done already", kind="busy", headers={"retry-after": "5"}
            )
        self._waiting[pool] += 1
        try:
            # A client that goes away does not undo what was begun for it.
            return await asyncio.shield(
                asyncio.get_running_loop().run_in_executor(self.pools[pool], work)
            )
        finally:
            self._waiting[pool] -= 1

    # -- what comes back

    def _kept(self, scope: Scope) -> tuple[str, bytes] | None:
        key = (scope["path"], scope["query_string"])
        found = self._cache.get(key)
        if found is None or found[0] != self.desk.generation:
            return None
        self._cache.move_to_end(key)
        return found[1], found[2]

    def _keep(self, scope: Scope, generation: int, etag: str, data: bytes) -> None:
        self._cache[scope["path"], scope["query_string"]] = (generation, etag, data)
        if len(self._cache) > _MOST_CACHED:
            self._cache.popitem(last=False)

    async def _send_document(
        self,
        route: Route,
        etag: str,
        data: bytes,
        answer: Answer,
        scope: Scope,
        send: Send,
    ) -> None:
        public = route.other == "public" and route.method == "GET"
        more = {
            **answer.headers,
            "cache-control": "public, no-cache" if public else "private, no-store",
            "vary": "Authorization",
        }
        if route.method == "GET":
            more["etag"] = etag
            if matches(header(scope, b"if-none-match"), etag):
                await send_bytes(send, 304, b"", "", more)
                return
        head = scope["method"] == "HEAD"
        await send_bytes(send, answer.status, data, answer.content_type, more, head=head)

    async def _send_file(self, answer: Answer, scope: Scope, send: Send) -> None:
        headers = {**answer.headers, "cache-control": "public, no-cache"}
        if answer.file is None:
            raise ValueError("an answer without a file")
        if matches(header(scope, b"if-none-match"), headers.get("etag", "")):
            await send_bytes(send, 304, b"", "", headers)
            return
        head = scope["method"] == "HEAD"
        await send_file(send, answer.file, answer.content_type, headers, head=head)

    async def _refuse(
        self, problem: ProblemError, scope: Scope, receive: Incoming, send: Send
    ) -> None:
        await drain(receive)
        data = msgspec.json.encode(problem.document)
        headers = {"cache-control": "no-store", **problem.headers}
        await send_bytes(
            send, problem.status, data, PROBLEM_TYPE, headers, head=scope["method"] == "HEAD"
        )


def _whole(value: Any) -> Any:
    """Return a body with its whole numbers as such: 5.0 is 5 to JSON Schema, not to msgspec."""
    if not isinstance(value, dict):
        return value
    return {
        name: int(one) if isinstance(one, float) and one.is_integer() else one
        for name, one in value.items()
    }


def _query(route: Route, scope: Scope) -> Any:
    """Read and check the parameters of an address. Raises ProblemError 400."""
    raw: bytes = scope["query_string"]
    if len(raw) > _LONGEST_QUERY:
        raise ProblemError(400, f"the query is longer than {_LONGEST_QUERY} bytes", kind="query")
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, strict_parsing=bool(raw),
            errors="strict", max_num_fields=_MOST_FIELDS,
        )  # fmt: skip
    except ValueError:
        raise ProblemError(400, "the query is not in the form name=value&…", kind="query") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ProblemError(400, "a parameter is given twice", kind="query")
    if route.query is None:
        if found:
            raise ProblemError(
                400, f"this takes no parameter {next(iter(found))!r:.60}", kind="query"
            )
        return None
    known = route.query.__struct_fields__
    if unknown := [name for name in found if name not in known]:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        raise ProblemError(
            400, f"there is no parameter {unknown[0]!r:.60}", kind="query",
            hint=f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}.",
        )  # fmt: skip
    try:
        checked = msgspec.convert(found, route.query, strict=False)
    except msgspec.ValidationError as error:
        raise ProblemError(400, f"the query: {error}", kind="query") from None
    for name in known:
        value = getattr(checked, name)
        if isinstance(value, float) and not math.isfinite(value):
            raise ProblemError(400, f"the query: {name} is no number", kind="query")
    return checked
