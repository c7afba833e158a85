"""Attacks on MCP servers: each flaw found alone, nothing without flaws, repeatable, bounded."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from tavo.attack.broker import Budget, Purse
from tavo.attack.engine import Options, Probed, attack
from tavo.attack.mcp.arguments import arguments_of, places_of, wrong_arguments
from tavo.attack.mcp.target import McpTarget
from tavo.attack.probes import Probe, load_probes
from tavo.attack.report import as_json, report_of
from tavo.attack.targets import FromEnvironment, TargetFile, open_target
from tavo.attack.transcript import Transcript
from tavo.errors import ConfigError
from tests.fakes.flawed_mcp import KEY, SERVER, attacked, served, server_module

FOUND_BY = {
    "poisoned-description": "mcp-orders-in-descriptions",
    "hidden-text": "mcp-hidden-characters",
    "changing-tools": "mcp-tools-change",
    "asks-the-client": "mcp-asks-the-client",
    "result-orders": "mcp-orders-in-results",
    "telling-errors": "mcp-errors-tell-secrets",
    "path-traversal": "mcp-path-argument",
    "command-injection": "mcp-command-argument",
    "query-injection": "mcp-query-argument",
    "inside-fetch": "mcp-url-argument",
    "resource-escape": "mcp-resource-outside",
    "no-authentication": "mcp-answers-without-key",
    "foreign-pages": "mcp-answers-foreign-pages",
}


@pytest.fixture(scope="module")
def server() -> ModuleType:
    return server_module()


@pytest.fixture(scope="module")
def probes() -> list[Probe]:
    return load_probes(of="server")


def failures(probed: list[Probed]) -> list[str]:
    """Return what was not carried out, with the reason."""
    tried = (attempt for one in probed for attempt in one.attempts)
    return [f"{one.probe} {one.number}: {one.failed}" for one in tried if one.failed]


def worked(probed: list[Probed]) -> set[str]:
    return {one.probe for one in probed if one.worked}


@pytest.mark.parametrize("flaw", FOUND_BY)
def test_each_flaw_alone_is_found_and_nothing_else(
    flaw: str, server: ModuleType, probes: list[Probe]
) -> None:
    assert set(FOUND_BY) == set(server.FLAWS)
    assert set(FOUND_BY.values()) == {probe.id for probe in probes}
    with attacked(server, flaw) as target:
        probed, stopped = attack(target, probes, Purse(Budget()), Options(attempts=4))
    assert stopped == ""
    assert failures(probed) == []
    assert worked(probed) == {FOUND_BY[flaw]}


def test_nothing_is_found_when_the_defences_are_on(server: ModuleType, probes: list[Probe]) -> None:
    with attacked(server, calls="all") as target:
        probed, stopped = attack(target, probes, Purse(Budget(requests=5000)), Options(attempts=12))
        assert target.left_alone == set()
    assert (stopped, worked(probed)) == ("", set())
    assert failures(probed) == []
    assert {one.tried for one in probed} == {12}


def test_two_attacks_and_a_resumed_one_write_the_same_bytes(
    server: ModuleType, probes: list[Probe], tmp_path: Path
) -> None:
    reports = []
    asked = Options(seed=3)
    for at_a_time in (1, 8):
        with attacked(server, *server.FLAWS) as target:
            options = msgspec.structs.replace(asked, at_a_time=at_a_time)
            probed, stopped = attack(target, probes, Purse(Budget()), options)
            reports.append(as_json(report_of("flawed", asked, probed, stopped)))
    file = tmp_path / "attack.jsonl"
    for resume, requests in ((False, 60), (True, 20), (True, 5000)):
        with (
            attacked(server, *server.FLAWS) as target,
            Transcript(
                file, target="flawed", probes=probes, options=asked, resume=resume
            ) as transcript,
        ):
            probed, stopped = attack(
                target, probes, Purse(Budget(requests=requests)), asked,
                done=transcript.done, record=transcript.record,
            )  # fmt: skip
        assert bool(stopped) == (requests < 5000)
    reports.append(as_json(report_of("flawed", asked, probed, stopped)))
    assert reports[0] == reports[1] == reports[2]
    assert KEY.encode() not in reports[0] + file.read_bytes()


def test_a_command_is_a_server_too(probes: list[Probe]) -> None:
    names = {"mcp-path-argument", "mcp-tools-change", "mcp-answers-without-key", "mcp-url-argument"}
    few = [one for one in probes if one.id in names]
    described = TargetFile(
        kind="mcp", name="here",
        command=(
            sys.executable, str(SERVER), "--stdio", "--flaws", "path-traversal,changing-tools",
        ),
    )  # fmt: skip
    target = McpTarget(described, {})
    try:
        probed, stopped = attack(target, few, Purse(Budget()), Options(attempts=3))
    finally:
        target.close()
    assert stopped == ""
    assert worked(probed) == {"mcp-path-argument", "mcp-tools-change"}
    assert [one.ended for one in probed if not one.tried] == ["not applicable"]


MUTE = """\
import json, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("method") == "initialize":
        said = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": said}), flush=True)
    elif asked.get("method") == "LISTED":
        tools = [{"name": "read", "inputSchema": {"properties": {"path": {"type": "string"}}}}]
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": {"tools": tools}}),
              flush=True)
    elif "id" in asked:
        HERE
"""


@pytest.mark.parametrize("listed", ["", "tools/list"])
@pytest.mark.parametrize(
    ("there", "said", "timeout_s"),
    [
        ("time.sleep(60)", "gave no whole answer within 5 s", 5.0),
        ("sys.stderr.write('no disk'); sys.exit(3)", "ended with 3: no disk", 60.0),
    ],
)
def test_a_command_that_falls_silent_or_ends_is_named_and_not_waited_for_again(
    there: str, said: str, timeout_s: float, listed: str, probes: list[Probe]
) -> None:
    """What it is asked again, as after any passing failure, it cannot answer any more."""
    few = [one for one in probes if one.id in {"mcp-orders-in-results", "mcp-path-argument"}]
    command = (sys.executable, "-c", MUTE.replace("HERE", there).replace("LISTED", listed))
    target = McpTarget(TargetFile(kind="mcp", name="m", command=command, timeout_s=timeout_s), {})
    purse = Purse(Budget())
    try:
        probed, stopped = attack(target, few, purse, Options(attempts=1, retries=2))
    finally:
        target.close()
    assert stopped == ""
    assert [one.attempts[0].failed for one in probed] == [f"m: {said}"] * 2
    assert purse.requests == (6 if listed else 4)  # for each: the beginning, the list, a call


def test_a_header_from_the_environment_lets_in_and_comes_back_to_nobody(
    server: ModuleType, probes: list[Probe]
) -> None:
    few = [one for one in probes if one.id == "mcp-orders-in-results"]
    headers = {"Authorization": FromEnvironment("WHOLE")}
    with served(server, "result-orders") as url:
        described = TargetFile(kind="mcp", url=url, name="t", headers=headers)
        target = McpTarget(described, {"WHOLE": f"Bearer {KEY}"})
        probed, _ = attack(target, few, Purse(Budget()), Options(attempts=1))
        target.close()
    assert worked(probed) == {"mcp-orders-in-results"}
    assert KEY not in repr(probed)
    with pytest.raises(ConfigError, match="WHOLE is not set"):
        McpTarget(described, {})


def test_what_may_destroy_is_not_called_unless_asked_for(
    server: ModuleType, probes: list[Probe]
) -> None:
    results = [one for one in probes if one.id == "mcp-orders-in-results"]

    def called(**more: object) -> tuple[set[str], str]:
        with attacked(server, **more) as target:  # type: ignore[arg-type]
            probed, _ = attack(target, results, Purse(Budget()), Options(attempts=1))
            return target.left_alone, " ".join(probed[0].attempts[0].prompts)

    left, prompts = called()
    assert left == {"delete_order"}
    assert "delete_order" not in prompts
    assert "tools/call find_orders" in prompts
    left, prompts = called(calls="all", leave_alone=("find_orders",))
    assert left == {"find_orders"}
    assert "delete_order" in prompts
    assert "find_orders" not in prompts


def test_a_wrong_key_is_no_server_that_holds(server: ModuleType, probes: list[Probe]) -> None:
    with served(server) as url:
        target = McpTarget(TargetFile(kind="mcp", url=url, name="t", key="KEY"), {"KEY": "wrong"})
        probed, _ = attack(target, probes[:6], Purse(Budget()), Options(attempts=1))
        target.close()
    failed = [one for one in probed if one.failed]
    assert len(failed) >= 4
    assert all("answered 401" in one.attempts[0].failed for one in failed)
    assert all("wrong" not in one.attempts[0].failed for one in failed)


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ({"kind": "mcp"}, "named by a url or by a command"),
        ({"kind": "mcp", "url": "http://a/mcp", "command": ["x"]}, "one of them"),
        ({"kind": "mcp", "command": ["x"], "key": "K"}, "takes no key"),
        ({"kind": "mcp", "url": "http://u:p@a/mcp"}, "holds a user or password"),
        ({"kind": "mcp", "url": "http://a/mcp", "headers": {"X": "a\nb"}}, "cannot be sent"),
        ({"kind": "mcp", "url": "http://a/mcp", "key": "NOT_SET"}, "NOT_SET is not set"),
    ],
)
def test_what_cannot_be_a_server_is_refused_before_anything_is_sent(
    described: dict[str, Any], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "target.yaml"
    file.write_text(json.dumps(described))
    with pytest.raises(ConfigError, match=said):
        open_target(str(file), {})


Answering = Callable[[dict[str, Any]], tuple[str, str]]


def answered(answering: Answering, probes: list[Probe], **options: Any) -> tuple[list[Probed], str]:
    """Attack a server that answers as it likes: kind of content and body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kind, text = answering(body)
            data = text.encode("utf-8", "surrogatepass")
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    hostile = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=hostile.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{hostile.server_port}/mcp"
    target = McpTarget(TargetFile(kind="mcp", url=url, name="t", timeout_s=5), {})
    try:
        return attack(target, probes, Purse(Budget()), Options(attempts=1, retries=0, **options))
    finally:
        target.close()
        hostile.shutdown()
        hostile.server_close()
        thread.join()


def result(body: dict[str, Any], value: object) -> tuple[str, str]:
    return "application/json", json.dumps({"jsonrpc": "2.0", "id": body.get("id"), "result": value})


def test_who_gives_back_what_it_was_given_has_not_given_in(probes: list[Probe]) -> None:
    def echo(body: dict[str, Any]) -> tuple[str, str]:
        if body["method"] == "initialize":
            return result(body, {"capabilities": {"tools": {}, "resources": {}}})
        if body["method"] == "tools/list":
            text = {"type": "string"}
            schema = {"type": "object", "properties": {"path": text, "url": text, "query": text}}
            return result(body, {"tools": [{"name": "echo", "inputSchema": schema}]})
        return result(body, {"content": [{"type": "text", "text": json.dumps(body)}]})

    payloads = [one for one in probes if one.prompts]
    assert len(payloads) == 5
    probed, stopped = answered(echo, payloads)
    assert stopped == ""
    assert worked(probed) == set()


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("application/json", "no json", "is no JSON"),
        ("application/json", "[" * 100_000, "is no JSON"),
        ("application/json", "[1, null, {}]", "did not answer initialize"),
        ("application/json", '{"id": 1, "result": 7}', "neither result nor error"),
        ("application/json", '{"id": 1, "error": "\\u001b[2J"}', "began no session"),
        ("text/event-stream", "data: {\n\n", "is no JSON"),
        ("text/event-stream", ":\n\n" * 1000, "did not answer initialize"),
        ("application/json", '{"id": 2, "result": {}}', "did not answer initialize"),
    ],
)
def test_what_is_no_answer_is_named(kind: str, text: str, said: str, probes: list[Probe]) -> None:
    lists = [one for one in probes if one.server == "lists"]
    probed, _ = answered(lambda body: (kind, text), lists)
    assert {one.failed for one in probed} == {1}
    assert [one for one in failures(probed) if said not in one] == []


def test_a_hostile_schema_is_followed_to_a_bounded_depth(probes: list[Probe]) -> None:
    loop: dict[str, Any] = {"$ref": "#/$defs/a"}
    tools = [
        {"name": "a", "inputSchema": {
            "$defs": {"a": {"type": "object", "properties": {"x": loop, "path": {}},
                            "required": ["x", "path"]}},
            "properties": {"p": loop, "q": {"anyOf": [{"type": "null"}, {"type": "string"}]}},
            "required": ["p"],
        }},
        {"name": "b", "inputSchema": {"properties": 7, "required": "x"}},
        {"name": "c", "inputSchema": {"properties": {"a": {"type": ["null", 7], "enum": []}}}},
        {"name": "d"},
    ]  # fmt: skip
    for tool in tools:
        assert isinstance(arguments_of(tool), dict)
        assert isinstance(wrong_arguments(tool, 2), dict)
    places = places_of(tools, "path")
    assert {("p", "path"), ("q",)} <= {place.at for place in places}
    assert arguments_of(tools[0], ("p", "path"), "X")["p"]["path"] == "X"
    assert len(json.dumps(arguments_of(tools[0]))) < 1000


def test_arguments_follow_the_schema() -> None:
    tool = {"name": "t", "inputSchema": {
        "type": "object",
        "required": ["city", "count", "kind", "when", "deep"],
        "properties": {
            "city": {"type": "string", "default": "Oslo"},
            "count": {"type": "integer", "minimum": 3},
            "kind": {"enum": ["a", "b"]}, "when": {"type": "string", "format": "date"},
            "deep": {"type": "object", "required": ["list"], "properties": {
                "list": {"type": "array", "minItems": 1, "items": {"type": "string"}}}},
            "not_required": {"type": "string"},
        },
    }}  # fmt: skip
    assert arguments_of(tool) == {
        "city": "Oslo", "count": 3, "kind": "a", "when": "2026-01-01",
        "deep": {"list": ["example"]},
    }  # fmt: skip
    assert arguments_of(tool, ("deep", "list"), "X")["deep"] == {"list": ["X"]}
    assert arguments_of(tool, ("not_required",), "X")["not_required"] == "X"
    assert ("kind",) not in [place.at for place in places_of([tool], "path")]
