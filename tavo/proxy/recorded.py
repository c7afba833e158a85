"""Exchanges that were recorded, as `tavo proxy check` replays them: three forms, one value.

- JSON Lines of our own, one exchange a line, to be written by hand:
  `{"name": "...", "request": {"path": "...", "body": {...}}, "response": {"body": {...}},
  "expect": "block"}`; see docs/proxy.md;
- an audit log that was written with `texts: true`;
- HAR 1.2, as browsers and mitmproxy write it (http://www.softwareishard.com/blog/har-12-spec/).

Rules this module keeps:
- a line that cannot be read is an error that names it; what cannot be replayed is counted and said;
- data in, data out; sizes are bounded.

Units: sizes in bytes, lines from 1.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from tavo.errors import InputError
from tavo.llm.known import operation_of
from tavo.proxy.messages import Headers

__all__ = ["Expected", "Recorded", "Recording", "line_of", "read_recording"]

_LARGEST = 256 << 20
_CUT = 1 << 20  # the audit log keeps so much of a text
_PATH = "/v1/chat/completions"
_HOP = frozenset({"content-length", "transfer-encoding", "connection", "content-encoding", "host"})

Verdict = Literal["allow", "modify", "block"]
_Texts = Annotated[list[str], Meta(max_length=1000)]


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a chain is to say of an exchange; what is left out is not looked at.

    `filters` are names that must have said something. `upstream_*` look at what the provider gets,
    `client_*` at what the client gets, as text.
    """

    verdict: Verdict | None = None
    code: str | None = None
    filters: _Texts = []
    upstream_has: _Texts = []
    upstream_lacks: _Texts = []
    client_has: _Texts = []
    client_lacks: _Texts = []


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange. `pieces` are those of the answer's body; None where there is no answer."""

    where: str
    name: str
    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    status: int = 200
    answer_headers: Headers = []
    pieces: list[bytes] | None = None
    expect: Expected | None = None
    was: str = ""


class Recording(msgspec.Struct, kw_only=True):
    """What a file holds, and why some of it cannot be replayed."""

    exchanges: list[Recorded]
    left_out: dict[str, int] = {}


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    method: str = "POST"
    path: Annotated[str, Meta(pattern=r"^/")] = _PATH
    headers: dict[str, str] = {}
    body: Any = None


class _Response(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: Annotated[int, Meta(ge=200, le=599)] = 200
    headers: dict[str, str] = {}
    body: Any = None
    events: list[Any] | None = None
    lines: list[Any] | None = None


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    request: _Request
    name: str = ""
    response: _Response | None = None
    expect: Verdict | Expected | None = None


def read_recording(path: Path, prefixes: Mapping[str, str] | None = None) -> Recording:
    """Return what a file holds; `prefixes` are those of upstreams by name. Raises InputError."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > _LARGEST:
        raise InputError(f"{path}: is larger than {_LARGEST >> 20} MB", hint="Split it.")
    head = data[:4096].lstrip()
    if head.startswith(b"{") and b'"log"' in head[:200] and b'"kind"' not in head[:200]:
        return _har(path, data)
    if head.startswith(b'{"seq":') and b'"kind":' in head:
        return _audit(path, data, prefixes or {})
    return Recording(exchanges=list(_lines(path, data)))


def line_of(one: Recorded, expect: Expected) -> bytes:
    """Return an exchange as a line of our own form, with what a chain says of it now."""
    request: dict[str, Any] = {"path": one.path + (f"?{one.query}" if one.query else "")}
    if one.method != "POST":
        request["method"] = one.method
    kept = {k.decode(): v.decode("latin-1") for k, v in one.headers if k != b"content-type"}
    if kept:
        request["headers"] = kept
    request["body"] = _shown(one.body)
    out: dict[str, Any] = {"name": one.name, "request": request}
    if one.pieces is not None:
        response: dict[str, Any] = {"body": _shown(b"".join(one.pieces))}
        headers = {k.decode(): v.decode("latin-1") for k, v in one.answer_headers}
        if one.status != 200:
            response["status"] = one.status
        if headers != {"content-type": "application/json"}:
            response["headers"] = headers
        out["response"] = response
    wanted = {k: v for k, v in msgspec.to_builtins(expect).items() if v not in (None, [])}
    out["expect"] = wanted["verdict"] if set(wanted) == {"verdict"} else wanted
    return msgspec.json.encode(out) + b"\n"


# -- our own form


def _lines(path: Path, data: bytes) -> Iterator[Recorded]:
    decoder = msgspec.json.Decoder(_Line)
    for number, text in enumerate(data.split(b"\n"), 1):
        if not text.strip():
            continue
        where = f"{path}:{number}"
        try:
            line = decoder.decode(text)
            if isinstance(line.expect, str):
                expect: Expected | None = Expected(verdict=line.expect)
            else:
                expect = line.expect
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(
                f"{where}: is no recorded exchange: {error}",
                hint='Expected {"request": {"path": ..., "body": ...}, "response": ..., "expect":'
                " ...}, an audit log with texts, or HAR.",
            ) from None
        request, response = line.request, line.response
        target, _, query = request.path.partition("?")
        body = _bytes(request.body)
        yield Recorded(
            where=where, name=line.name or f"line {number}", method=request.method, path=target,
            query=query, headers=_headers(request.headers, "application/json"), body=body,
            status=200 if response is None else response.status,
            answer_headers=_answer_headers(response), pieces=_pieces(response), expect=expect,
        )  # fmt: skip


def _answer_headers(response: _Response | None) -> Headers:
    if response is None:
        return []
    kind = "application/json"
    if response.events is not None:
        kind = "text/event-stream"
    elif response.lines is not None:
        kind = "application/x-ndjson"
    return _headers(response.headers, kind)


def _pieces(response: _Response | None) -> list[bytes] | None:
    if response is None:
        return None
    if response.events is not None:
        return [_event(one) for one in response.events]
    if response.lines is not None:
        return [_bytes(one) + b"\n" for one in response.lines]
    return [_bytes(response.body)]


def _event(one: Any) -> bytes:
    """Return an event of a stream; clients of Anthropic want its type beside it."""
    kind = one.get("type") if isinstance(one, dict) else None
    named = b"event: %b\n" % kind.encode() if isinstance(kind, str) and "\n" not in kind else b""
    return named + b"data: %b\n\n" % _bytes(one)


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    return body.encode() if isinstance(body, str) else msgspec.json.encode(body)


def _shown(body: bytes) -> Any:
    """Return a body as JSON if it is the same bytes or nothing but blanks differ, else as text."""
    if not body:
        return None
    try:
        value = msgspec.json.decode(body)
        if isinstance(value, dict | list) and msgspec.json.encode(value) == body:
            return value
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    return body.decode("utf-8", "replace")


def _headers(given: Mapping[str, str], kind: str) -> Headers:
    out = [
        (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, value in given.items()
    ]
    if not any(name == b"content-type" for name, _ in out):
        out.append((b"content-type", kind.encode("ascii")))
    return out


# -- the audit log


def _audit(path: Path, data: bytes, prefixes: Mapping[str, str]) -> Recording:
    asked: dict[str, tuple[int, dict[str, Any]]] = {}
    found = Recording(exchanges=[])
    for number, text in enumerate(data.split(b"\n"), 1):
        try:
            row = msgspec.json.decode(text) if text else None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            _leave_out(found, "row cut off")
            continue
        if not isinstance(row, dict):
            continue
        name = str(row.get("id", ""))
        if row.get("kind") == "asked":
            asked[name] = number, row
        elif row.get("kind") == "done":
            first, request = asked.pop(name, (number, row))
            _take(found, f"{path}:{first}", name, request, row, prefixes)
    for _ in asked:
        _leave_out(found, "exchange without an end")
    return found


def _take(
    found: Recording, where: str, name: str, request: Mapping[str, Any], row: Mapping[str, Any],
    prefixes: Mapping[str, str],
) -> None:  # fmt: skip
    refused = request is row
    text = request.get("asked_text" if refused else "text")
    answer = None if refused or row.get("code") else row.get("text")
    if not isinstance(text, str) or not (answer is None or isinstance(answer, str)):
        _leave_out(found, "exchange without texts (audit: texts: true keeps them)")
        return
    if len(text) >= _CUT or (answer is not None and len(answer) >= _CUT):
        _leave_out(found, "exchange with a text that was cut")
        return
    path = str(request.get("path", _PATH))
    prefix = prefixes.get(str(request.get("upstream", "")), "")
    if prefix and path.startswith(f"{prefix}/"):
        path = path[len(prefix) :]
    raw = answer.encode() if answer is not None else b""
    found.exchanges.append(Recorded(
        where=where, name=name, method=str(request.get("method", "POST")), path=path, query="",
        headers=_headers({}, "application/json"), body=text.encode(),
        status=_status(row.get("status")), answer_headers=_headers({}, _kind_of(raw)),
        pieces=None if answer is None else [raw],
        was=str(row.get("would") or row.get("verdict", "")),
    ))  # fmt: skip


def _status(value: Any) -> int:
    return value if isinstance(value, int) and 200 <= value <= 599 else 200


def _kind_of(body: bytes) -> str:
    """Return what a body is by its look: the log does not keep its type."""
    start = body.lstrip()
    if start.startswith((b"data:", b"event:", b":", b"id:", b"retry:")):
        return "text/event-stream"
    first, _, rest = start.partition(b"\n")
    if first.startswith(b"{") and first.rstrip().endswith(b"}") and rest.startswith(b"{"):
        return "application/x-ndjson"
    return "application/json"


# -- HAR


def _har(path: Path, data: bytes) -> Recording:
    try:
        entries = msgspec.json.decode(data)["log"]["entries"]
        if not isinstance(entries, list):
            raise TypeError
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        raise InputError(f"{path}: begins like HAR, and has no log.entries") from None
    found = Recording(exchanges=[])
    for number, entry in enumerate(entries, 1):
        try:
            one = _entry(f"{path}: entry {number}", entry)
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
            raise InputError(f"{path}: entry {number} of log.entries is not HAR 1.2") from None
        if one is None:
            _leave_out(found, "request that is none to a model")
        else:
            found.exchanges.append(one)
    return found


def _entry(where: str, entry: Any) -> Recorded | None:
    request, response = entry["request"], entry["response"]
    parts = urlsplit(request["url"])
    method = str(request["method"])
    if operation_of(method, parts.path, parts.query) is None:
        return None
    sent = {one["name"].lower(): str(one["value"]) for one in request["headers"]}
    kept = {name: value for name, value in sent.items() if name == "content-type"}
    got = {one["name"].lower(): str(one["value"]) for one in response["headers"]}
    content = response.get("content", {})
    text = content.get("text", "")
    raw = base64.b64decode(text) if content.get("encoding") == "base64" else text.encode()
    answered = {name: value for name, value in got.items() if name not in _HOP}
    return Recorded(
        where=where, name=f"{method} {parts.path}", method=method, path=parts.path,
        query=parts.query, headers=_headers(kept, "application/json"),
        body=request.get("postData", {}).get("text", "").encode(),
        status=_status(response["status"]),
        answer_headers=_headers(answered, content.get("mimeType") or _kind_of(raw)), pieces=[raw],
    )  # fmt: skip


def _leave_out(found: Recording, why: str) -> None:
    found.left_out = {**found.left_out, why: found.left_out.get(why, 0) + 1}
