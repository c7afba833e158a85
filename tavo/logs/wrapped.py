"""Lines that something has wrapped on their way: a container's runtime, a shipper, a cloud's log.

Rules this module keeps:
- each line stays one line, so that numbers of lines are those of the file; of a line in parts the
  last has the text, and the others are empty; one that a block cuts in two is two;
- what is not wrapped stays as it is; a wrapping that a strict parser refuses is read by a lenient
  one, so that a broken text hides nothing;
- a record that does not say when it happened has the time of its wrapping, as `wrapped.time`.

Sources: Docker's documentation of the json-file driver; the CRI's format of container logs; the
references of LogEntry (Google Cloud) and of FilteredLogEvent and subscriptions (CloudWatch Logs).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from tavo.logs.encoded import MARK
from tavo.logs.lenient import read_json

__all__ = ["TIME", "WRAPPINGS", "unwrapped", "wrapping_of"]

WRAPPINGS = {
    "docker": "in Docker's json-file",
    "cri": "in lines of the CRI",
    "kubernetes": "in records of a shipper of Kubernetes",
    "gcp": "in entries of Google Cloud Logging",
    "cloudwatch": "in events of CloudWatch",
    "shipped": "in records of a log shipper",
    "elastic": "in hits of Elasticsearch",
    "splunk": "in results of Splunk",
    "prefixed": "behind a prefix on each line",
}
TIME = "wrapped.time"
"""The key that has the time of the wrapping."""

_ENOUGH = 0.9
_LONGEST = 32 << 20
_STREAMS = (b"stdout", b"stderr")
_PREFIX = re.compile(
    rb"(?:[\w./-]{1,128} +\| )?(?:\[pod/[^\]\s]{1,300}\] )?"
    rb"(?:(\d{4}-\d\d-\d\d[T ][\d:.,]{8,18}(?:Z|[+-]\d\d:?\d\d)?) )?(\{.*)\Z",
    re.S,
)
_Raw = msgspec.Raw


class _Piece(NamedTuple):
    """What is in a line; `whole`: it ends here. `time` is JSON, empty where there is none."""

    text: bytes
    stream: bytes = b""
    whole: bool = True
    time: bytes = b""


class _Docker(msgspec.Struct):
    log: str
    stream: str
    time: _Raw = _Raw()
    logtag: str = ""


class _Gcp(msgspec.Struct):
    jsonPayload: _Raw = _Raw()  # noqa: N815
    textPayload: _Raw = _Raw()  # noqa: N815
    timestamp: _Raw = _Raw()
    insertId: _Raw = _Raw()  # noqa: N815
    logName: _Raw = _Raw()  # noqa: N815
    httpRequest: _Raw = _Raw()  # noqa: N815


class _Message(msgspec.Struct):
    message: _Raw = _Raw()
    timestamp: _Raw = _Raw()
    ingestionTime: _Raw = _Raw()  # noqa: N815
    eventId: _Raw = _Raw()  # noqa: N815
    logStreamName: _Raw = _Raw()  # noqa: N815
    id: _Raw = _Raw()
    insights: _Raw = msgspec.field(default=_Raw(), name="@message")
    at: _Raw = msgspec.field(default=_Raw(), name="@timestamp")
    agent: _Raw = _Raw()
    ecs: _Raw = _Raw()
    input: _Raw = _Raw()


class _Elastic(msgspec.Struct):
    source: _Raw = msgspec.field(name="_source")
    index: _Raw = msgspec.field(name="_index")


class _Result(msgspec.Struct):
    raw: _Raw = msgspec.field(name="_raw")
    time: _Raw = msgspec.field(default=_Raw(), name="_time")


class _Splunk(msgspec.Struct):
    result: _Result


_Read = Callable[[bytes], _Piece | None]
_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _decoder(kind: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(kind).decode


_docker_of, _gcp_of, _message_of = _decoder(_Docker), _decoder(_Gcp), _decoder(_Message)
_elastic_of, _splunk_of, _text_of = _decoder(_Elastic), _decoder(_Splunk), _decoder(str)


def wrapping_of(lines: Sequence[bytes]) -> str:
    """Return how lines are wrapped, empty where they are not."""
    lines = [line.removeprefix(MARK) for line in lines if line.strip()]
    for kind, read in _READ.items():
        if lines and sum(_is_wrapped(read, line) for line in lines) >= _ENOUGH * len(lines):
            if kind == "docker" and not any(_has_end(line) for line in lines):
                continue  # a shipper has taken the ends of the lines away
            return kind
    return ""


def unwrapped(lines: Iterable[bytes], kind: str) -> list[bytes]:
    """Return what is in each line."""
    read = _READ[kind]
    out: list[bytes] = []
    open_lines: dict[bytes, tuple[int, list[bytes]]] = {}
    for number, line in enumerate(lines):
        found = _read(read, line)
        if found is None:
            out.append(line)
            continue
        parts = open_lines.pop(found.stream, (0, []))[1]
        parts.append(found.text)
        out.append(b"")
        if found.whole or sum(map(len, parts)) > _LONGEST:
            out[number] = _timed(b"".join(parts), found.time)
        else:
            open_lines[found.stream] = number, parts
    for number, parts in open_lines.values():  # what there is of it is looked at
        out[number] = b"".join(parts)
    return out


def _is_wrapped(read: _Read, line: bytes) -> bool:
    try:
        return read(line) is not None
    except _BAD:
        return False


def _has_end(line: bytes) -> bool:
    try:
        return bool(_docker_of(line).log.endswith("\n"))
    except _BAD:
        return False


def _read(read: _Read, line: bytes) -> _Piece | None:
    line = line.removeprefix(MARK)
    try:
        return read(line)
    except _BAD:
        value, _ = read_json(line)  # it is broken, or says what a strict parser refuses
        if not isinstance(value, dict):
            return None
    try:
        return read(json.dumps(value).encode())
    except (*_BAD, ValueError):
        pass
    # half a surrogate may stand in what is wrapped: then it is taken out as it is
    texts = [one for key in ("log", "message", "@message", "jsonPayload", "textPayload", "_source")
             if (one := value.get(key)) is not None]  # fmt: skip
    return _Piece(_as_line(texts[0])) if texts else None


def _as_line(value: Any) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value)
    return _one_line(text.encode("utf-8", "surrogatepass"))


def _one_line(text: bytes) -> bytes:
    # a program's carriage returns or further ends of lines would make two of it
    return text.rstrip(b"\r\n").replace(b"\n", b" ")


def _timed(text: bytes, time: bytes) -> bytes:
    """Return a JSON object with the time of its wrapping; other text as it is."""
    end = text.rstrip()
    if not time or text[:1] != b"{" or end[-1:] != b"}":
        return text
    comma = b"" if end[1:-1].strip() == b"" else b", "
    return end[:-1] + comma + b'"' + TIME.encode() + b'": ' + time + b"}"


def _payload(*found: _Raw) -> bytes | None:
    """Return the first payload that is there as a line: the text of a string, or an object."""
    for one in found:
        raw = bytes(one)
        if raw[:1] == b'"':
            return _one_line(_text_of(raw).encode("utf-8", "replace"))
        if raw[:1] == b"{":
            return _one_line(raw)
    return None


def _docker(line: bytes) -> _Piece | None:
    found = _docker_of(line)
    if found.stream.encode() not in _STREAMS:
        return None
    text = found.log.encode("utf-8", "replace")
    whole = text.endswith(b"\n")
    return _Piece(_one_line(text), found.stream.encode(), whole, bytes(found.time))


def _kubernetes(line: bytes) -> _Piece | None:
    found = _docker(line)
    if found is None:
        return None
    whole = found.whole or _docker_of(line).logtag != "P"
    return found._replace(whole=whole)


def _cri(line: bytes) -> _Piece | None:
    parts = line.rstrip(b"\r").split(b" ", 3)
    if len(parts) < 4 or parts[1] not in _STREAMS or parts[2][:1] not in (b"F", b"P"):
        return None
    if parts[0][4:5] != b"-" or b"T" not in parts[0]:
        return None
    return _Piece(parts[3], parts[1], parts[2][:1] == b"F", _quoted(parts[0]))


def _quoted(time: bytes) -> bytes:
    plain = all(one in b"0123456789T:.,Z+- " for one in time)
    return b'"' + time + b'"' if plain else b""


def _gcp(line: bytes) -> _Piece | None:
    found = _gcp_of(line)
    payload = _payload(found.jsonPayload, found.textPayload)
    marked = bytes(found.insertId) or bytes(found.logName)
    if payload is None or not marked or bytes(found.httpRequest):
        return None
    return _Piece(payload, time=bytes(found.timestamp))


def _cloudwatch(line: bytes) -> _Piece | None:
    found = _message_of(line)
    if bytes(found.insights):
        payload = _payload(found.insights)
        return None if payload is None else _Piece(payload, time=bytes(found.at))
    payload, time = _payload(found.message), bytes(found.timestamp)
    marks = (found.ingestionTime, found.eventId, found.logStreamName)
    if payload is None or not time:
        return None
    if any(map(bytes, marks)) or (payload[:1] == b"{" and time.isdigit()):
        return _Piece(payload, time=time)
    return None


def _shipped(line: bytes) -> _Piece | None:
    found = _message_of(line)
    payload = _payload(found.message)
    if payload is None or payload[:1] != b"{" or not bytes(found.at):
        return None
    marks = (found.agent, found.ecs, found.input)
    return _Piece(payload, time=bytes(found.at)) if any(map(bytes, marks)) else None


def _elastic(line: bytes) -> _Piece | None:
    payload = _payload(_elastic_of(line).source)
    return None if payload is None else _Piece(payload)


def _splunk(line: bytes) -> _Piece | None:
    found = _splunk_of(line).result
    payload = _payload(found.raw)
    return None if payload is None else _Piece(payload, time=bytes(found.time))


def _prefixed(line: bytes) -> _Piece | None:
    found = _PREFIX.match(line.rstrip(b"\r\n"))
    if found is None or found.start(2) == 0:
        return None
    return _Piece(found[2], time=_quoted(found[1]) if found[1] else b"")


_READ: dict[str, _Read] = {
    "docker": _docker, "cri": _cri, "kubernetes": _kubernetes, "gcp": _gcp,
    "cloudwatch": _cloudwatch, "shipped": _shipped, "elastic": _elastic, "splunk": _splunk,
    "prefixed": _prefixed,
}  # fmt: skip
