"""What the proxy does, for an OpenTelemetry collector: OTLP over HTTP with JSON, spans and metrics.

Each exchange is a span named after its operation and model, with attributes of the conventions for
generative AI, below the trace that the client's `traceparent` names. Metrics are those of
`/metrics`.

Rules this module keeps:
- nothing here can hold up an exchange: a queue with an end, one thread that encodes and sends, and
  what finds no room or cannot be delivered is dropped and counted;
- no text of a message is exported unless `texts` asks for it, no credential ever;
- a redirect is not followed, and an answer that is too long is not read.

Sources: OTLP 1.7 (section OTLP/HTTP: JSON encoding, retries, partial success), semantic conventions
for generative AI 1.37, W3C Trace Context level 1.

Units: times in seconds, in OTLP in nanoseconds since 1970.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from tavo import __version__
from tavo.proxy.config import ProxyConfig, Telemetry, secret_of
from tavo.proxy.http.flow import Flow
from tavo.proxy.otlp import metrics_of, resource_of, span_of

if TYPE_CHECKING:
    import httpx

__all__ = ["Exporter"]

_BATCH = 256
_TIMEOUT_S = 10.0
_TRIES = 4
_AGAIN_S = (0.5, 1.0, 2.0)
_LONGEST_WAIT_S = 10.0
_AGAIN = frozenset({429, 502, 503, 504})
_END_S = 3.0
_LONGEST_ANSWER = 64 << 10
_UNREADABLE = (msgspec.MsgspecError, RecursionError, AttributeError, TypeError, ValueError)


class Exporter:
    """Exports for one worker; `start` and `stop` it once. Raises ConfigError without a secret."""

    def __init__(
        self, config: ProxyConfig, telemetry: Telemetry, *,
        snapshot: Callable[[], Mapping[str, Any]], environment: Mapping[str, str],
    ) -> None:  # fmt: skip
        """`snapshot` returns the figures of this worker; it is called in the loop."""
        self.sent = 0
        self.trouble = ""
        self._telemetry = telemetry
        self._snapshot = snapshot
        self._headers = {"content-type": "application/json", "user-agent": f"tavo/{__version__}"}
        for name, secret in telemetry.headers.items():
            self._headers[name.lower()] = secret_of(
                secret, f"telemetry.headers.{name}", environment
            )
        self._resource = resource_of(telemetry.service, f"{socket.gethostname()}-{os.getpid()}")
        self._servers = {
            name: (urlsplit(one.url).hostname or "", urlsplit(one.url).port)
            for name, one in config.upstreams.items()
        }
        self._queue: deque[dict[str, Any]] = deque()
        self._client: httpx.Client | None = None
        self._figures: Mapping[str, Any] | None = None
        self._full = 0  # counted in the loop
        self._lost = 0  # counted in the thread
        self._wake = threading.Event()
        self._ending = False
        self._began = time.time()
        self._thread = threading.Thread(target=self._work, name="tavo-otlp", daemon=True)

    @property
    def dropped(self) -> int:
        """How many exchanges were not exported, for want of room or of a collector."""
        return self._full + self._lost

    def start(self) -> None:
        """Begin to send."""
        import httpx

        # one for all requests: to make one reads the authorities of the system
        self._client = httpx.Client(trust_env=False, follow_redirects=False)
        self._thread.start()

    def told(self, flow: Flow) -> None:
        """Take an exchange that has ended; in the loop, and never waits."""
        telemetry = self._telemetry
        if not telemetry.traces:
            return
        if len(self._queue) >= telemetry.queue:
            self._full += 1
            return
        self._queue.append(self._seen(flow))
        if len(self._queue) >= _BATCH:
            self._wake.set()

    def look(self) -> None:
        """Take the figures of now, for the next time that metrics are sent; in the loop."""
        if self._telemetry.metrics:
            self._figures = self._snapshot()

    def stop(self) -> None:
        """Send what is left, for a short time; the rest is dropped."""
        self.look()
        self._ending = True
        self._wake.set()
        self._thread.join(_END_S)
        self._full += len(self._queue)

    # -- inside

    def _seen(self, flow: Flow) -> dict[str, Any]:
        """Return what a span is made of, as values that nobody else changes."""
        entry, exchange = flow.entry, flow.exchange
        record = exchange.record if exchange is not None else None
        host, port = self._servers.get(flow.upstream, ("", None))
        now = time.time()
        ended = flow.ended or time.monotonic()
        seen: dict[str, Any] = {
            "end": now, "start": now - (ended - flow.started), "id": flow.id.decode("ascii"),
            "first": flow.first_at - flow.started if flow.first_at else None,
            "traceparent": flow.header(b"traceparent"), "status": flow.status, "code": flow.code,
            "how": flow.how, "upstream": flow.upstream, "host": host, "port": port,
            "method": flow.method.decode("latin-1"), "path": flow.path.decode("latin-1")[:256],
            "key": entry.key if entry is not None else "", "bytes_in": flow.taken,
            "bytes_out": flow.sent, "record": None, "texts": None,
        }  # fmt: skip
        if record is not None:
            seen["record"] = msgspec.structs.replace(record, texts=None)
            if self._telemetry.texts and record.texts is not None:
                seen["texts"] = dict(record.texts)
        return seen

    def _work(self) -> None:
        every = self._telemetry.every_s
        last = time.monotonic()
        while True:
            ending = self._ending
            self._spans(ending)
            if ending or time.monotonic() - last >= every:
                last = time.monotonic()
                self._metrics()
            if ending:
                if self._client is not None:
                    self._client.close()
                return
            self._wake.wait(min(every, 1.0) if self._queue else every)
            self._wake.clear()

    def _spans(self, ending: bool) -> None:
        while self._queue:
            batch: list[dict[str, Any]] = []
            while self._queue and len(batch) < _BATCH:
                with contextlib.suppress(IndexError):
                    batch.append(self._queue.popleft())
            spans = [span_of(one, _ids(one["traceparent"])) for one in batch]
            value = {"resourceSpans": [{
                "resource": self._resource,
                "scopeSpans": [{"scope": {"name": "tavo.proxy", "version": __version__},
                                "spans": spans}],
            }]}  # fmt: skip
            lost = self._post("/v1/traces", value, len(batch), "rejectedSpans", ending)
            self._lost += lost
            self.sent += len(batch) - lost

    def _metrics(self) -> None:
        figures, self._figures = self._figures, None
        if figures is None:
            return
        value = {"resourceMetrics": [{
            "resource": self._resource,
            "scopeMetrics": [{"scope": {"name": "tavo.proxy", "version": __version__},
                              "metrics": metrics_of(figures, self._began, time.time())}],
        }]}  # fmt: skip
        self._post("/v1/metrics", value, 0, "rejectedDataPoints", self._ending)

    def _post(self, path: str, value: Any, count: int, rejected: str, ending: bool) -> int:
        """Send a request; return how much of it was lost."""
        import httpx

        client = self._client
        if client is None:
            raise RuntimeError("it was not started")
        data = msgspec.json.encode(value)
        url = self._telemetry.endpoint.rstrip("/") + path
        wait_s = 0.0
        for number in range(1 if ending else _TRIES):
            if number:
                deadline = time.monotonic() + min(wait_s, _LONGEST_WAIT_S)
                while time.monotonic() < deadline and not self._ending:
                    time.sleep(0.05)
            wait_s = _AGAIN_S[min(number, len(_AGAIN_S) - 1)]
            try:
                with client.stream(
                    "POST", url, content=data, headers=self._headers,
                    timeout=_END_S / 2 if ending else _TIMEOUT_S,
                ) as answer:  # fmt: skip
                    body = b""
                    for piece in answer.iter_bytes():
                        body += piece
                        if len(body) > _LONGEST_ANSWER:
                            break
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                self.trouble = f"{url}: {error or type(error).__name__}"
                continue
            if answer.status_code == 200:
                self.trouble = ""
                return _rejected(body, rejected, count)
            self.trouble = f"{url}: it answered {answer.status_code}"
            if answer.status_code not in _AGAIN:
                break
            again = answer.headers.get("retry-after", "")
            wait_s = max(wait_s, float(again) if again.isdigit() and len(again) < 6 else 0.0)
        return count


def _rejected(body: bytes, name: str, count: int) -> int:
    """Return how much a collector did not take of what it answered 200 to."""
    with contextlib.suppress(*_UNREADABLE):
        partial = msgspec.json.decode(body).get("partialSuccess") or {}
        return min(count, max(0, int(partial.get(name, 0))))
    return 0


def _ids(traceparent: str) -> tuple[str, str, str]:
    """Return trace, span and parent: those of the client's trace if it names one that is valid."""
    span = secrets.token_hex(8)
    parts = traceparent.split("-")
    if len(parts) >= 4 and len(parts[0]) == 2 and parts[0] != "ff":
        trace, parent = parts[1], parts[2]
        valid = all(
            len(one) == size and one.strip("0") and not one.strip("0123456789abcdef")
            for one, size in ((trace, 32), (parent, 16))
        )
        if valid:
            return trace, span, parent
    return secrets.token_hex(16), span, ""
