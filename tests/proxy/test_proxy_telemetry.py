"""Export to OpenTelemetry, received as a collector would, and never in the way of an exchange."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tavo.errors import ConfigError
from tavo.proxy.config import Audit, Price, Secret, Telemetry, load_config
from tests.fakes.environments import python_with
from tests.fakes.scripted_upstream import staged, until

MAIL = "jane@example.org"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent at the end arrives, however busy the machine is."""
    monkeypatch.setattr("tavo.proxy.telemetry._END_S", 60.0)


class Collector:
    """OTLP/HTTP on loopback; `answers` are statuses to give, then 200."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.answers: list[tuple[int, bytes]] = []
        self.begun = threading.Event()
        self.hold = threading.Event()
        self.hold.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.begun.set()
                collector.hold.wait(120)
                fields = {name.lower(): value for name, value in self.headers.items()}
                status, text = collector.answers.pop(0) if collector.answers else (200, b"{}")
                if status == 200:
                    collector.asked.append((self.path, fields, json.loads(body)))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def spans(self) -> list[dict[str, Any]]:
        return [
            span
            for path, _, value in self.asked if path == "/v1/traces"
            for resource in value["resourceSpans"] for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]  # fmt: skip

    @property
    def metrics(self) -> dict[str, dict[str, Any]]:
        last = [value for path, _, value in self.asked if path == "/v1/metrics"][-1]
        scope = last["resourceMetrics"][0]["scopeMetrics"][0]
        return {one["name"]: one for one in scope["metrics"]}


@contextmanager
def collecting() -> Iterator[Collector]:
    one = Collector()
    try:
        yield one
    finally:
        one.hold.set()
        one.server.shutdown()


def plain(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    out = {}
    for one in attributes:
        ((kind, value),) = one["value"].items()
        out[one["key"]] = int(value) if kind == "intValue" else value
    return out


FILTERS = [
    {"filter": "pii"}, {"filter": "content", "rules": [{"id": "falcon", "words": ["falcon"]}]}
]  # fmt: skip
TRACE = b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def said(text: str) -> bytes:
    return json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}).encode()


def export(collector: Collector, *texts: str, **telemetry: Any) -> dict[str, Any]:
    """Serve some exchanges, end, and return the gauges of the end."""

    async def main() -> dict[str, Any]:
        given = Telemetry(endpoint=collector.url, **telemetry)
        prices = {"gpt-*": Price(input=2, output=4)}
        async with staged(
            filters=FILTERS, telemetry=given, prices=prices, environment={"TOKEN": "abc"}
        ) as stage:
            for text in texts:
                await stage.ask(TRACE, b"Authorization: Bearer sk-secret", body=said(text))
            app = stage.app
        return dict(app.snapshot()["gauges"])

    return asyncio.run(main())


def test_an_exchange_is_a_span_and_figures_are_metrics() -> None:
    with collecting() as collector:
        gauges = export(
            collector, f"mail {MAIL}", "falcon", headers={"X-Token": Secret(env="TOKEN")}
        )
        first, second = collector.spans
        _, fields, value = collector.asked[0]
    assert (gauges["telemetry_sent_total"], gauges["telemetry_dropped_total"]) == (2, 0)
    assert fields["content-type"] == "application/json"
    assert fields["x-token"] == "abc"
    resource = plain(value["resourceSpans"][0]["resource"]["attributes"])
    assert resource["service.name"] == "tavo-proxy"
    assert first["name"] == "chat gpt-4o"
    assert first["traceId"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert first["parentSpanId"] == "00f067aa0ba902b7"
    assert (first["kind"], first["status"]) == (2, {})
    assert int(first["startTimeUnixNano"]) <= int(first["endTimeUnixNano"])
    attributes = plain(first["attributes"])
    for name, expected in {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o",
        "gen_ai.provider.name": "openai", "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 3, "server.address": "127.0.0.1",
        "http.response.status_code": 200, "tavo.verdict": "modify", "tavo.upstream": "back",
    }.items():  # fmt: skip
        assert attributes[name] == expected, name
    (event,) = first["events"]
    assert plain(event["attributes"]) == {
        "tavo.filter.name": "pii", "tavo.filter.action": "modify",
        "tavo.filter.phase": "request", "tavo.filter.detail": "EMAIL",
    }  # fmt: skip
    blocked = plain(second["attributes"])
    assert (blocked["error.type"], blocked["tavo.verdict"]) == ("tavo_blocked", "block")
    assert second["status"] == {}  # it was refused as it should be
    metrics = collector.metrics
    duration = metrics["gen_ai.server.request.duration"]["histogram"]
    assert duration["aggregationTemporality"] == 2
    assert sum(int(point["count"]) for point in duration["dataPoints"]) == 2
    point = duration["dataPoints"][0]
    assert len(point["bucketCounts"]) == len(point["explicitBounds"]) + 1
    tokens = metrics["tavo.proxy.tokens"]["sum"]["dataPoints"]
    assert {plain(one["attributes"])["gen_ai.token.type"]: one["asInt"] for one in tokens} == {
        "input": "9",
        "output": "3",
    }
    (cost,) = metrics["tavo.proxy.cost"]["sum"]["dataPoints"]
    assert cost["asDouble"] == pytest.approx(30e-6)


def test_texts_and_credentials_are_not_exported_unless_asked_for() -> None:
    with collecting() as collector:
        export(collector, f"mail {MAIL}")
        everything = json.dumps(collector.asked)
    assert "sk-secret" not in everything
    assert MAIL not in everything
    assert "tavo.text" not in everything
    with collecting() as collector:
        export(collector, "a question", texts=True)
        attributes = plain(collector.spans[0]["attributes"])
        assert "sk-secret" not in json.dumps(collector.asked)
    assert "a question" in attributes["tavo.text.request"]
    assert "hello" in attributes["tavo.text.response"]


def test_texts_for_telemetry_do_not_get_into_the_audit_log(tmp_path: Path) -> None:
    async def main(url: str) -> None:
        given = Telemetry(endpoint=url, texts=True)
        log = Audit(file=str(tmp_path / "a"))
        async with staged(filters=FILTERS, telemetry=given, audit=log) as stage:
            await stage.ask(body=said("a question"))

    with collecting() as collector:
        asyncio.run(main(collector.url))
    assert "a question" not in (tmp_path / "a").read_text()


@pytest.mark.parametrize(
    "value",
    ["", "00-xyz-1-01", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"ff-{'a' * 32}-{'b' * 16}-01",
     f"00-{'A' * 32}-{'b' * 16}-01", "-" * 500],
)  # fmt: skip
def test_a_trace_that_is_none_begins_a_new_one(value: str) -> None:
    from tavo.proxy.telemetry import _ids

    trace, span, parent = _ids(value)
    assert (len(trace), len(span), parent) == (32, 16, "")


def _counted(gauges: dict[str, Any]) -> int:
    return int(gauges["telemetry_sent_total"] + gauges["telemetry_dropped_total"])


def test_a_collector_that_hangs_holds_up_nothing_and_losses_are_counted() -> None:
    async def main(collector: Collector) -> tuple[float, dict[str, Any]]:
        given = Telemetry(endpoint=collector.url, queue=5, every_s=0.05, metrics=False)
        async with staged(filters=FILTERS, telemetry=given) as stage:
            await stage.ask(body=said("x"))
            await until(collector.begun.is_set)  # the thread hangs in its first request
            began = time.monotonic()
            for _ in range(20):
                await stage.ask(body=said("x"))
            spent = time.monotonic() - began
            collector.hold.set()
            app = stage.app
        return spent, dict(app.snapshot()["gauges"])

    with collecting() as collector:
        collector.hold.clear()
        spent, gauges = asyncio.run(main(collector))
    assert spent < 10  # it would have been 10 s for each
    assert gauges["telemetry_dropped_total"] == 15
    assert gauges["telemetry_sent_total"] == 6


@pytest.mark.parametrize(
    ("answers", "sent", "dropped"),
    [
        ([(503, b""), (429, b"{}")], 1, 0),
        ([(400, b"no")], 0, 1),
        ([(302, b"")], 0, 1),
        ([(200, b'{"partialSuccess": {"rejectedSpans": "1", "errorMessage": "x"}}')], 0, 1),
        ([(200, b"[" * 5000)], 1, 0),
    ],
)
def test_what_a_collector_refuses_is_tried_again_or_counted(
    answers: list[tuple[int, bytes]], sent: int, dropped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tavo.proxy import telemetry as module

    monkeypatch.setattr(module, "_AGAIN_S", (0.01,))

    async def main(collector: Collector) -> dict[str, Any]:
        given = Telemetry(endpoint=collector.url, every_s=0.05, metrics=False)
        async with staged(telemetry=given) as stage:
            await stage.ask()

            def gauges() -> dict[str, Any]:
                return dict(stage.app.snapshot()["gauges"])

            await until(lambda: _counted(gauges()))
            return gauges()

    with collecting() as collector:
        collector.answers = list(answers)
        gauges = asyncio.run(main(collector))
    assert (gauges["telemetry_sent_total"], gauges["telemetry_dropped_total"]) == (sent, dropped)


def test_no_collector_at_all_is_a_figure() -> None:
    with collecting() as collector:
        collector.server.shutdown()
        collector.server.server_close()
        gauges = export(collector, "x")
    assert (gauges["telemetry_sent_total"], gauges["telemetry_dropped_total"]) == (0, 1)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("{endpoint: nowhere}", "telemetry.endpoint is 'nowhere', expected http://HOST"),
        ("{endpoint: 'http://a', headers: {x: {}}}", "telemetry.headers.x: has none, expected one"),
        ("{endpoint: 'http://a', traces: maybe}", "telemetry.traces"),
        ("{}", "telemetry: there is no 'endpoint'"),
    ],
)
def test_a_wrong_section_is_refused(section: str, says: str) -> None:
    text = f"proxy: 1\nupstreams: {{a: {{url: 'http://127.0.0.1:1'}}}}\ntelemetry: {section}\n"
    with pytest.raises(ConfigError, match=says):
        load_config(text.encode(), "p")


@pytest.mark.slow
def test_the_published_messages_read_it() -> None:
    """Strictly: no field that opentelemetry-proto does not know."""
    python = python_with("otlp", "opentelemetry-proto==1.45.2")
    with collecting() as collector:
        export(collector, f"mail {MAIL}", "falcon", "x" * 300)
        asked = [(path, value) for path, _, value in collector.asked]
    code = (
        "import base64, json, sys\n"
        "from google.protobuf.json_format import ParseDict\n"
        "from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as t\n"
        "from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as m\n"
        "def ids(v):\n"
        "  # OTLP's one exception to the mapping of Protocol Buffers: ids are hexadecimal\n"
        "  for k in ('traceId', 'spanId', 'parentSpanId'):\n"
        "    if isinstance(v, dict) and k in v:\n"
        "      v[k] = base64.b64encode(bytes.fromhex(v[k])).decode()\n"
        "  for w in (v.values() if isinstance(v, dict) else v if isinstance(v, list) else ()):\n"
        "    ids(w)\n"
        "for path, value in json.load(sys.stdin):\n"
        "  ids(value)\n"
        "  kind = t.ExportTraceServiceRequest if 'traces' in path else"
        " m.ExportMetricsServiceRequest\n"
        "  print(path, len(ParseDict(value, kind()).SerializeToString()) > 100)\n"
    )
    done = subprocess.run(
        [python, "-c", code], input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert set(done.stdout.splitlines()) == {"/v1/traces True", "/v1/metrics True"}
