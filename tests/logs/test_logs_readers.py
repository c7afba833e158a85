"""Readers: each sample of the real software is known for what it is, and its fields are there."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from tavo.errors import ConfigError
from tavo.logs.event import LogEvent
from tavo.logs.lines import line_reader
from tavo.logs.mapping import load_mapping, readers
from tavo.logs.sniff import guess
from tavo.logs.sources import find_sources, head
from tavo.logs.times import parse_time
from tests.logs.conftest import Look

SAMPLES = Path(__file__).parent / "samples"
CHAT = "/v1/chat/completions"
QUERY = "id=1%20UNION%20SELECT%20password%20FROM%20users--"
HAS = {
    "litellm.jsonl": ("litellm", {"user.id": "ann", "gen_ai.prompt": "Hello there",
                                  "gen_ai.usage.input_tokens": 12, "outcome": "success"}),
    "openai.jsonl": ("openai", {"user.id": "ann", "gen_ai.prompt": "Hello there",
                                "gen_ai.system_instructions": "You are a helper.",
                                "gen_ai.completion": "Hello from the test server."}),
    "anthropic.jsonl": ("anthropic", {"user.id": "ann", "gen_ai.prompt": "Hello there",
                                      "gen_ai.system_instructions": "You are a helper."}),
    "otlp.jsonl": ("otlp", {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 12,
                            "gen_ai.operation.name": "chat"}),
    "access-nginx.log": ("access", {"client.address": "127.0.0.1", "http.request.method": "POST",
                                    "http.response.status_code": 200}),
    "access-apache.log": ("access", {"client.address": "127.0.0.1", "url.path": "/v1/models"}),
    "har-mitmproxy.har": ("har", {"user.id": "ann", "gen_ai.prompt": "Hello there",
                                  "gen_ai.completion": "Hello from the test server.",
                                  "gen_ai.usage.input_tokens": 12, "url.path": CHAT,
                                  "user_agent.original": "openai-python/3.57.0"}),
    "access-vhost.log": ("access", {"client.address": "127.0.0.1", "server.address": "localhost:80",
                                    "url.path": "/v1/models"}),
    "error-nginx.log": ("web-error", {"log.level": "notice"}),
    "error-apache.log": ("web-error", {"log.level": "notice", "log.logger": "mpm_event"}),
    "mcp.jsonl": ("mcp", {"mcp.method.name": "initialize"}),
    "nginx-json.log": ("nginx-json", {"client.address": "127.0.0.1", "url.path": CHAT,
                                      "http.request.method": "POST", "duration_ms": 2.0}),
    "tavo-proxy.jsonl": ("tavo-proxy", {}),
    "syslog-5424.log": ("syslog", {"url.path": CHAT, "client.address": "127.0.0.1"}),
    "syslog-rsyslog.log": ("syslog", {"url.query": QUERY}),
    "journald.json": ("journald", {"url.path": CHAT, "log.logger": "uvicorn"}),
    "table.csv": ("csv", {"user.id": "ann", "gen_ai.prompt": "Hello there", "usage.cost": 0.00021,
                          "gen_ai.usage.input_tokens": 12, "outcome": "success"}),
    "litellm-json.log": ("litellm-json", {"log.level": "INFO", "log.logger": "uvicorn.error"}),
    "claude-code.jsonl": ("claude-code", {"log.body": "Hello there",
                                          "gen_ai.provider.name": "anthropic"}),
}  # fmt: skip


@pytest.mark.parametrize("name", HAS)
def test_a_sample_is_known_and_its_fields_are_there(name: str) -> None:
    expected, fields = HAS[name]
    [source], _ = find_sources([str(SAMPLES / name)], SAMPLES)
    lines = head(source).splitlines()
    found = guess(lines, readers().values(), folding=source.folding, name=name)
    assert found is not None
    assert found.mapping.name == expected
    assert found.share == 1.0 or source.folding == "csv"
    read = line_reader(found.mapping)
    records, problems = next(one for one in map(read, lines) if one[0])
    event = LogEvent(records[0], found.mapping)
    assert problems == ()
    assert {field: event.first(field) for field in fields} == fields
    assert event.time is not None or expected == "mcp"  # its messages say none


def test_uvicorn_is_known() -> None:
    found = guess((SAMPLES / "uvicorn.log").read_bytes().splitlines(), readers().values())
    assert found is not None
    assert found.mapping.name == "uvicorn"


def test_only_readers_with_a_sample_of_the_real_software_are_called_tested() -> None:
    tested = {name for name, one in readers().items() if one.sample.tested}
    assert tested == {HAS[name][0] for name in HAS} | {"uvicorn", "event"}


def test_the_attacks_in_the_samples_are_found(look: Look) -> None:
    for name in ("litellm.jsonl", "openai.jsonl", "har-mitmproxy.har", "tavo-proxy.jsonl"):
        found = look(SAMPLES / name).incidents
        assert [one.actor[1] for one in found.of_rule("genai-ignore-instructions")] == ["eve"]
        assert found.of_rule("genai-sensitive-file"), name
    nginx = look(SAMPLES / "access-nginx.log").incidents
    assert len(nginx.of_rule("genai-scanner-user-agent")) == 1


def test_escapes_of_web_servers_hide_nothing(look: Look, tmp_path: Path) -> None:
    line = '1.2.3.4 - - [28/Nov/2026:18:07:58 +0000] "GET / HTTP/1.1" 200 2 "-" "\\x67ar\\x61k/1"'
    (tmp_path / "a.log").write_text(f"{line}\n")
    assert len(look(tmp_path / "a.log").incidents.of_rule("genai-scanner-user-agent")) == 1


def test_packed_logs_give_the_same(look: Look, tmp_path: Path) -> None:
    data = (SAMPLES / "openai.jsonl").read_bytes()
    plain = [f.message for f, _ in _findings(look, SAMPLES / "openai.jsonl")]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(data))
    assert [f.message for f, _ in _findings(look, tmp_path / "a.jsonl.gz")] == plain
    if zstd := shutil.which("zstd"):
        (tmp_path / "b.jsonl").write_bytes(data)
        subprocess.run([zstd, "-q", str(tmp_path / "b.jsonl")], check=True)
        assert [f.message for f, _ in _findings(look, tmp_path / "b.jsonl.zst")] == plain


def _findings(look: Look, path: Path) -> list:  # type: ignore[type-arg]
    from tavo.logs.sigma.rules import PACK, load_rules

    about = {name: rule.about for name, rule in load_rules([PACK]).rules.items()}
    return list(look(path).incidents.findings(about))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2026-01-01T00:00:00Z", 1767225600.0), ("2026-01-01 00:00:00.5", 1767225600.5),
     ("01/Jan/2026:02:00:00 +0200", 1767225600.0), ("Thu Jan 01 00:00:00.5 2026", 1767225600.5),
     ("Thu Jan  1 00:00:00 2026", 1767225600.0), ("Thu Jan xx 00:00:00 2026", None),
     ("2026/01/01 - 00:00:00", 1767225600.0),
     (1767225600, 1767225600.0), ("1767225600000", 1767225600.0),
     ("1767225600000000000", 1767225600.0), ("soon", None), ("", None), (True, None),
     (float("nan"), None), ("9" * 60, None), ({}, None)],
)  # fmt: skip
def test_times(text: object, seconds: float | None) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    ("change", "said"),
    [("lines = 3", "Expected `str`, got `int` - at `$.lines`"),
     ('lines = "xml"', "lines = 'xml', expected one of json, otlp"),
     ('colour = "red"\nlines = "json"', "unknown field `colour`"),
     ('lines = "json"\n[fields]\n"gen_ai.usage.cots" = ["x"]', "there is no field"),
     ("lines = [", "is not a TOML file")],
)  # fmt: skip
def test_a_wrong_mapping_is_refused_in_one_sentence(change: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(f'name = "mine"\nversion = 1\ntitle = "Mine"\n{change}\n')
    with pytest.raises(ConfigError) as error:
        load_mapping(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)


VHOSTS = ("example.org:443 ", ":8973 ", "gateway ", "")


@pytest.mark.parametrize("host", VHOSTS)
@pytest.mark.parametrize(
    ("address", "user"), [("203.0.113.7", "-"), ("2001:db8::7", "ann"), ("203.0.113.7", "ann lee")]
)
def test_the_caller_is_not_the_virtual_host(host: str, address: str, user: str) -> None:
    rest = '[28/Nov/2026:18:07:58 +0000] "GET /v1/models HTTP/1.1" 200 2 "-" "curl/8"'
    [record], problems = line_reader(readers()["access"])(
        f"{host}{address} - {user} {rest}".encode()
    )
    assert problems == ()
    event = LogEvent(record, readers()["access"])
    assert event.first("client.address") == address
    assert event.first("server.address") == (host.strip() or None)
    assert event.first("user.id") == (user if user != "-" else None)


def test_error_logs_name_the_caller_and_the_request(look: Look) -> None:
    for name in ("error-nginx.log", "error-apache.log"):
        analysis = look(SAMPLES / name)
        assert analysis.problems == []
        [one] = analysis.incidents.of_rule("genai-web-path-traversal")
        assert (one.actor[1], one.count) == ("127.0.0.1", 2)
        assert analysis.sources[0].broken == {}


def test_messages_of_a_real_mcp_server_are_judged(look: Look) -> None:
    found = look(SAMPLES / "mcp.jsonl").incidents
    for rule, line in (("genai-tool-poisoning", 5), ("genai-sensitive-file", 6),
                       ("genai-injection-in-tool-result", 7)):  # fmt: skip
        [one] = found.of_rule(rule)
        assert [place.line for place in one.places] == [line]


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"2562:9:websocket;0:~8:response;757:6:reason;2:OK,", "it is a file of mitmproxy's flows"),
     (gzip.compress(b"x" * 500), "compressed by gzip, and its name does not end with .gz"),
     (b"PK\x03\x04" + b"\0" * 90, "it is a zip file"), (b"PAR1\x15\x04", "it is a Parquet file"),
     (b"SQLite format 3\0" + b"\1" * 90, "it is a database of SQLite"),
     (b"abc\0\0def\n" * 9, "it is no text"), (b"who knows\n" * 9, "its format is not known")],
)  # fmt: skip
def test_what_is_no_log_is_said(data: bytes, said: str, look: Look) -> None:
    [problem] = look(data).problems
    assert said in problem.reason
    assert problem.incomplete
