"""How much a client may ask for, who it is counted as, and what is counted of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace_db.web.limits import Buckets, client_of
from marketplace_db.web.metrics import Metrics
from marketplace_db.web.wire import matches
from tests.fakes.served import Served, marketplace

FEW = """
[service]
reads_per_minute = 30
writes_per_minute = 3
open_metrics = true
"""


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with tempfile.TemporaryDirectory() as name:
        opened = Served(marketplace(Path(name), count=1), limits=FEW)
        yield opened
        opened.stop()


def test_who_asks_too_often_waits_and_others_do_not(served: Served) -> None:
    path, body = "/plugins/acme%2Freach/install", {"key": "machine-1"}
    codes = [served.ask("POST", path, "bob", json=body).status_code for _ in range(5)]
    assert codes == [200, 200, 200, 429, 429]
    last = served.ask("POST", path, "bob", json=body)
    assert 1 <= int(last.headers["retry-after"]) <= 20
    assert last.json()["type"] == "urn:tavo:problem:rate"
    assert served.ask("POST", path, "alice", json=body).status_code == 200  # counted by token
    reads = [served.ask("GET", "/advisories").status_code for _ in range(40)]
    assert reads[0] == 200
    assert reads[-1] == 429
    assert served.client.get("/").status_code == 429, "pages are counted, too"
    assert served.client.get("/healthz").status_code == 200
    assert 'status="429"' in served.client.get("/metrics").text


def test_a_bucket_fills_with_time() -> None:
    bucket = Buckets(2, 60)
    assert [bucket.take("a", 0.0) for _ in range(3)] == [0.0, 0.0, 30.0]
    assert bucket.take("b", 0.0) == 0.0
    assert bucket.take("a", 29.0) == 1.0
    assert bucket.take("a", 30.0) == 0.0
    assert bucket.take("a", 1e6) == 0.0
    assert bucket.take("a", 1e6) == 0.0
    assert bucket.take("a", 1e6) == 30.0


def test_what_is_remembered_is_bounded() -> None:
    bucket = Buckets(1, 60)
    for number in range(50_000):
        bucket.take(str(number), 0.0)
    assert len(bucket._levels) == 20_000


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # nobody trusts it
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # the first is the client's word
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "<script>", "127.0.0.1"),
        ("2001:db8::1:2:3:4", "", "2001:db8::/64"),
        ("", "", "unknown"),
    ],
)
def test_a_client_is_who_a_trusted_proxy_says(peer: str, forwarded: str, client: str) -> None:
    assert client_of(peer, forwarded, frozenset({"127.0.0.1"})) == client


def test_metrics_are_as_prometheus_reads_them() -> None:
    metrics = Metrics()
    metrics.count("/api/v1/plugins/{id}", "GET", 200, 0.003)
    metrics.count("/api/v1/plugins/{id}", "GET", 200, 3.0)
    lines = metrics.text({"tavo_plugins": ("Plugins.", 3)}).splitlines()
    route = 'route="/api/v1/plugins/{id}"'
    assert f'tavo_requests_total{{{route},method="GET",status="200"}} 2' in lines
    assert f'tavo_request_seconds_bucket{{{route},le="0.005"}} 1' in lines
    assert f'tavo_request_seconds_bucket{{{route},le="+Inf"}} 2' in lines
    assert f"tavo_request_seconds_sum{{{route}}} 3.003000" in lines
    assert "tavo_plugins 3" in lines


def test_an_etag_is_compared_as_it_is_meant() -> None:
    assert matches('"a", W/"b"', '"b"')
    assert matches("*", '"b"')
    assert not matches("", '"b"')
    assert not matches('"bb"', '"b"')
