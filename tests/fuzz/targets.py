"""What reads the bytes of strangers, each as one function of bytes, with what must always hold.

A target returns whether the bytes were taken, and raises whatever is not a documented refusal:
that is a finding. The standing tests (`test_fuzz.py`) and the coverage-guided runs
(`run_atheris.py`) use the same functions.
"""

from __future__ import annotations

import io
import json
import math
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from marketplace_db.archive import ArchiveLimits, read_archive
from marketplace_db.errors import ManifestError, PackageError
from marketplace_db.lock import parse_lock
from marketplace_db.manifest import parse_manifest
from marketplace_db.package import _inspect
from marketplace_db.strict_yaml import load_yaml
from marketplace_db.wheel import check_wheel
from signing.digests import Digest
from tavo.attack.broker import Budget, Purse, TargetLender
from tavo.attack.targets import TargetFailedError
from tavo.host.answers import check_item, check_rules
from tavo.host.brokered_http import HttpLender
from tavo.host.judgements import LogSources, check_analysis, check_attack, check_filter
from tavo.host.lending import LendError
from tavo.host.messages import (
    Analyzed,
    Ask,
    Attacked,
    Filtered,
    Partial,
    Ready,
    Result,
    ViolationError,
    parse,
)
from tavo.host.workers import _answered
from tavo.llm.openai_chat import DialectError, response_of, usage_of
from tavo.plugins import worker as worker_module
from tavo.plugins.frames import FrameError, FrameReader, decode
from tavo.plugins.interfaces import ProxyFilteringPlugin
from tavo.plugins.types import Finding, Rule, Severity
from tavo.plugins.values import ChatMessage, ChatRequest, ChatResponse, Decision, FilterResult
from tests.fakes.operator_market import wheel_bytes

__all__ = ["SEEDS", "TARGETS"]

RULES = {"r": Rule(id="r", title="R", severity=Severity.LOW)}
FILES = {0: PurePosixPath("a.py"), 1: PurePosixPath("b\x1b[31m.py")}
LINES = ["x = 1", "secret", ""]
ASKED = (ChatMessage(role="user", content="hello"), ChatMessage(role="assistant", content="x"))
REQUEST = ChatRequest(messages=ASKED)
_SMALL = ArchiveLimits(archive_bytes=1 << 20, entries=100, total_bytes=4 << 20)


def _is_clean(text: str) -> None:
    """A text that came from a worker steers no terminal and can be stored."""
    text.encode()
    assert all(char in "\t\n" or char.isprintable() or ord(char) > 0x9F for char in text), text


def _check_finding(finding: Finding) -> None:
    assert finding.rule_id in RULES
    for where in (finding.location, *(step.location for step in finding.flow)):
        assert where.path in FILES.values()
        if where.region is not None:
            assert 1 <= where.region.start_line <= where.region.end_line <= len(LINES)
            assert where.region.end_column <= max(map(len, LINES)) + 1
    texts = [finding.message, finding.fix or "", *finding.evidence, *finding.evidence.values()]
    for text in (*texts, *(step.message for step in finding.flow)):
        _is_clean(text)
        assert len(text) <= 4096


def frames(data: bytes) -> bool:
    """A stream from a worker, in pieces of any size."""
    size, stream = (data[0] or 1, data[1:]) if data else (1, b"")
    reader = FrameReader(1 << 16)
    taken = False
    try:
        for start in range(0, len(stream), size):
            reader.feed(stream[start : start + size])
            while (body := reader.take()) is not None:
                assert len(body) <= 1 << 16
                message = decode(body)
                assert isinstance(message["type"], str)
                taken = True
            assert reader.pending <= (1 << 16) + 4 + size
    except FrameError:
        return False
    return taken


def messages(data: bytes) -> bool:
    """A worker's message about files, up to the findings of the report."""
    try:
        message = parse(data)
        if isinstance(message, Ready):
            for rule in check_rules(message.rules).values():
                for text in (rule.title, rule.description, rule.help, *rule.tags):
                    _is_clean(text)
            return True
        if not isinstance(message, Partial | Result):
            return True
        waiting = {0, 1}
        answered = _answered(message, waiting)
        numbers = [*answered.clean, *(item.n for item in answered.items)]
        assert sorted([*numbers, *waiting]) == [0, 1]
        for item in answered.items:
            checked = check_item(
                item, rules=RULES, files={item.n: FILES[item.n]}, lines_of=lambda _: LINES
            )
            for finding in checked.findings:
                _check_finding(finding)
                assert finding.location.path == FILES[item.n]
            for problem in checked.problems:
                _is_clean(problem)
    except ViolationError:
        return False
    return True


def judgements(data: bytes) -> bool:
    """What dynamic, proxy and log plugins answer."""
    try:
        message = parse(data)
        if isinstance(message, Attacked):
            for one in message.results:
                result = check_attack(one, RULES)
                assert 0 <= result.score <= 1
                for text in (result.goal, result.error, *(a.prompt for a in result.attempts)):
                    _is_clean(text)
        elif isinstance(message, Filtered) and message.result is not None:
            decided = check_filter(message.result, ASKED)
            assert (decided.decision is Decision.MODIFY) == bool(decided.replacement)
            assert {one.role for one in decided.replacement} <= {"user", "assistant"}
            _is_clean(decided.reason)
        elif isinstance(message, Analyzed) and message.result is not None:
            sources = LogSources()
            for path in FILES.values():
                sources.seen(path, 3)
            texts = {(path, n): LINES[n - 1] for path in FILES.values() for n in (1, 2, 3)}
            analysis = check_analysis(message.result, rules=RULES, sources=sources, text_of=texts)
            for finding in analysis.findings:
                _check_finding(finding)
            for name, value in analysis.metrics.items():
                _is_clean(name)
                assert math.isfinite(value)
        else:
            return False
    except (ViolationError, ValueError):
        return False
    return True


class _Silent:
    def send(self, request: ChatRequest) -> tuple[ChatResponse, tuple[int, int]]:
        json.dumps(dict(request.parameters), ensure_ascii=False, allow_nan=False).encode()
        raise TargetFailedError("it does not answer")


def lending(data: bytes) -> bool:
    """What a plugin asks of the host in the middle of a call."""
    purse = Purse(Budget())
    lenders: Mapping[str, Any] = {
        "http": HttpLender(["api.example", "b.example:8443"], resolve=lambda *_: ["127.0.0.1"]),
        "send": TargetLender(_Silent(), plugin="a/b", purse=purse, record=lambda _: None),
    }
    try:
        message = parse(data)
        if not isinstance(message, Ask):
            return False
        lenders[message.kind].lend(message.kind, message.content)
    except ViolationError:
        return False
    except LendError as error:
        return "not public" in str(error) or "does not answer" in str(error)
    raise AssertionError("something was lent")


def dialect(data: bytes) -> bool:
    """What the system under test answers."""
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return False
    try:
        response = response_of(answer, REQUEST)
    except DialectError:
        return False
    assert all(count >= 0 for count in usage_of(answer))
    return bool(response.messages)


class _EndedError(Exception):
    pass


class _Filter(ProxyFilteringPlugin):
    def filter_request(self, request: ChatRequest) -> FilterResult:
        return FilterResult(decision=Decision.BLOCK, reason=request.messages[0].content or "r")

    def filter_response(self, response: ChatResponse) -> FilterResult:
        return FilterResult(decision=Decision.ALLOW)


def _end(problem: str) -> None:
    raise _EndedError(problem)


def worker(data: bytes) -> bool:
    """A stream from the host, as a worker reads it: what it answers is of the protocol."""
    ours, theirs = os.pipe(), os.pipe()
    heard: list[bytes] = []

    def listen() -> None:
        while piece := os.read(theirs[0], 1 << 16):
            heard.append(piece)

    listener = threading.Thread(target=listen)
    listener.start()
    os.write(ours[1], data[:60_000])
    os.close(ours[1])
    one = worker_module.Worker(channel=ours[0], arena=-1, work_directory=Path("/"))
    one._write = lambda frame: os.write(theirs[1], frame) and None  # type: ignore[method-assign]
    kept, worker_module._violation = worker_module._violation, _end  # type: ignore[assignment]
    one._served = one._serve("proxy", _Filter(), {})
    try:
        one.run()
    except (FrameError, _EndedError):
        pass
    except (KeyError, TypeError, ValueError, AttributeError):
        pass  # a host that sends this is none; the process ends
    finally:
        worker_module._violation = kept
        os.close(theirs[1])
        listener.join()
        os.close(ours[0])
        os.close(theirs[0])
    reader = FrameReader(8 << 20)
    reader.feed(b"".join(heard))
    numbers = []
    while (body := reader.take()) is not None:
        numbers.append(getattr(parse(body), "id", 0))
    answers = [number for number in numbers if number]
    assert answers == list(range(1, len(answers) + 1))
    return bool(answers)


def yaml(data: bytes) -> bool:
    """A manifest, a pipeline, a target or a configuration, before it has a meaning."""
    try:
        value = load_yaml(data, name="x.yaml", limit=1 << 16)
    except ManifestError:
        return False
    json.dumps(value, allow_nan=False).encode()
    return True


def manifest(data: bytes) -> bool:
    """plugin.yaml."""
    try:
        parse_manifest(data)
    except ManifestError:
        return False
    return True


def lock(data: bytes) -> bool:
    """requirements.lock."""
    try:
        return bool(parse_lock(data))
    except PackageError:
        return False


def archive(data: bytes) -> bool:
    """Any zip file: what is unpacked is bounded, named safely, and was there once."""
    try:
        opened = read_archive(data, label="x.zip", limits=_SMALL)
        contents = [opened.read(entry) for entry in opened.entries]
    except PackageError:
        return False
    assert sum(map(len, contents)) <= _SMALL.total_bytes
    for entry in opened.entries:
        path = PurePosixPath(entry.name)
        assert not path.is_absolute()
        assert ".." not in path.parts
    return bool(contents)


def package(data: bytes) -> bool:
    """A plugin's package."""
    try:
        _inspect(data, Path("x.zip"))
    except (PackageError, ManifestError):
        return False
    return True


def wheel(data: bytes) -> bool:
    """A wheel whose RECORD, or whose WHEEL, is made of these bytes; else the file itself."""
    made = data[1:]
    if data[:1] in b"Rr":
        made = wheel_bytes(record=data[1:].decode("utf-8", "surrogateescape").encode(
            "utf-8", "replace").decode())  # fmt: skip
    elif data[:1] in b"Ww":
        made = wheel_bytes(files={"dep-1.0.dist-info/WHEEL": data[1:]})
    with tempfile.NamedTemporaryFile(suffix=".whl") as file:
        file.write(made)
        file.flush()
        try:
            check_wheel(Path(file.name), Digest.of(made), filename="dep-1.0-py3-none-any.whl")
        except PackageError:
            return False
    return True


def _frame(*values: Any) -> bytes:
    bodies = [json.dumps(value).encode() for value in values]
    return b"".join(len(body).to_bytes(4, "big") + body for body in bodies)


def _zip(files: Mapping[str, bytes]) -> bytes:
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files.items():
            out.writestr(name, content)
    return stream.getvalue()


_FINDING = {
    "rule": "r", "message": "m", "severity": "low", "confidence": "low",
    "at": {"file": 0, "region": [1, 1, 2, 3]}, "evidence": {"k": "v"},
    "flow": [{"at": {"file": 0, "region": None}, "message": "s"}], "fix": "f",
}  # fmt: skip
_ITEM = {"n": 0, "findings": [_FINDING], "error": None, "capped": False}
_ERROR = {"kind": "raised", "message": "m", "traceback": "t"}
_RULE = {"id": "r", "title": "R", "severity": "low", "confidence": "low", "description": "d",
         "help": "h", "cwe": ["CWE-94"], "owasp": ["LLM05:2025"], "tags": ["t"],
         "references": ["https://x"]}  # fmt: skip
_ATTACK = {"rule": "r", "goal": "g", "severity": "low", "score": 0.5, "error": "",
           "attempts": [{"prompt": "p", "outputs": ["o"], "score": 1.0}]}  # fmt: skip
_CHAT = {"messages": [{"role": "user", "content": "hi", "name": ""}], "model": "m",
         "parameters": {"temperature": 0.5}, "user": "u"}  # fmt: skip
_HTTP = {"method": "POST", "url": "https://api.example/v1?q=1", "headers": {"X-A": "b"},
         "body": "aGk=", "timeout_s": 5}  # fmt: skip
_MANIFEST = (
    b"api: 1\nid: sample\npublisher: acme\nname: Sample\nversion: 1.0.0\nplugin_type: static\n"
    b"entry_point: main:Plugin\ndescription: One.\nauthor: Tests\nlicense: Apache-2.0\n"
    b"permissions: {network: [\"a.example:443\"], env: [KEY]}\nlimits: {memory_mb: 128}\n"
    b"dependencies: [\"dep>=1\"]\nlanguages: [python]\nfile_patterns: [\"*.pt\"]\n"
)  # fmt: skip
_LOCK = b"dep==1.0 --hash=sha256:" + b"0" * 64 + b"  # dep-1.0-py3-none-any.whl\n"
_ZIPS = Path(__file__).parents[1] / "attacks" / "packages" / "zips"

TARGETS: Mapping[str, Callable[[bytes], bool]] = {
    "frames": frames, "messages": messages, "judgements": judgements, "lending": lending,
    "dialect": dialect, "worker": worker, "yaml": yaml, "manifest": manifest, "lock": lock,
    "archive": archive, "package": package, "wheel": wheel,
}  # fmt: skip


def _bodies(*values: Any) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


SEEDS: Mapping[str, list[bytes]] = {
    "frames": [b"\x03" + _frame({"type": "bye"}, {"type": "result", "id": 1, "items": []})],
    "messages": _bodies(
        {"type": "result", "id": 1, "items": [_ITEM], "clean": [[1, 1]]},
        {"type": "partial", "id": 1, "items": [{**_ITEM, "error": _ERROR}], "clean": []},
        {"type": "ready", "rules": [_RULE], "start_ms": 1, "languages": ["python"],
         "analyzes": ["text"], "threshold": 0.5, "deadline_ms": 50},
        {"type": "hello", "protocol": 1, "nonce": "n", "python": "3.11", "held": {"level": 3}},
        {"type": "failed", "kind": "config", "message": "m", "traceback": ""},
    ),
    "judgements": _bodies(
        {"type": "attacked", "id": 1, "results": [_ATTACK]},
        {"type": "filtered", "id": 1, "error": None, "result": {"decision": "modify",
         "reason": "r", "replacement": [{"role": "user", "content": "x"}], "labels": ["l"]}},
        {"type": "analyzed", "id": 1, "error": None, "result": {"findings": [_FINDING],
         "metrics": {"m": 1.5}, "capped": False}},
    ),
    "lending": _bodies(
        {"type": "ask", "call": 1, "kind": "http", "content": _HTTP},
        {"type": "ask", "call": 1, "kind": "send", "content": _CHAT},
    ),
    "dialect": _bodies(
        {"choices": [{"message": {"content": "x", "tool_calls": [{"id": 1}], "refusal": "n"},
                      "finish_reason": "stop"}],
         "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
        {"choices": [{"message": {"content": [{"type": "text", "text": "x"}]}}]},
    ),
    "worker": [
        _frame({"type": "filter", "id": 1, "phase": "request", "request": _CHAT},
               {"type": "filter", "id": 2, "phase": "response", "request": _CHAT,
                "response": {"messages": _CHAT["messages"], "finish_reason": "s"}},
               {"type": "cancel", "id": 1}, {"type": "shutdown"}),
    ],
    "yaml": [_MANIFEST, b"a: {b: [1, -2.5, true, ~, 'x', \"\\x41\"]}\n", b"%YAML 1.1\n--- |\n x\n"],
    "manifest": [_MANIFEST],
    "lock": [_LOCK, b"# x\n" + _LOCK],
    "archive": [_zip({"a.py": b"x" * 500, "b/c.txt": b"y"}), (_ZIPS / "honest.zip").read_bytes()],
    "package": [(_ZIPS / "honest.zip").read_bytes()],
    "wheel": [b"Rdep/__init__.py,sha256=x,10\n", b"WWheel-Version: 1.0\n", b"f" + wheel_bytes()],
}  # fmt: skip
