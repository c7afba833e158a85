"""`tavo proxy run`: real programs behind it, a real upstream with TLS, and who asks wrongly."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tavo.cli import main as tavo
from tavo.errors import ConfigError
from tavo.proxy.app import App
from tavo.proxy.audit_chain import verify
from tavo.proxy.config import Limits, Listen, ProxyConfig, Run, Upstream
from tavo.proxy.forward.authority import Authority
from tavo.proxy.forward.child import environment_for
from tavo.proxy.forward.front import Front
from tavo.proxy.forward.hosts import Hosts, Judged, forwarding, known_providers
from tavo.proxy.sharing import Shared
from tests.fakes.certificates import self_signed
from tests.fakes.scripted_upstream import STREAM, Asked, Client, ScriptedUpstream, chunk

ROOT = Path(__file__).parents[2]
MAIL = "jane.doe@example.org"


class Provider:
    """A server of OpenAI's API with TLS: it says what it was told."""

    def __init__(self, pem: Path) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                provider.asked.append((self.path, dict(self.headers), body))
                said = f"heard: {body['messages'][-1]['content']}"
                value = {
                    "id": "c", "object": "chat.completion", "created": 1, "model": body["model"],
                    "choices": [{"index": 0, "message": {"role": "assistant", "content": said},
                                 "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
                }  # fmt: skip
                data = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Place:
    def __init__(self, folder: Path, provider: Provider, pem: Path) -> None:
        self.folder, self.provider, self.pem = folder, provider, pem
        self.audit = folder / "audit.jsonl"
        self.config = folder / "proxy.yaml"

    def write(self, filters: str = "[{filter: pii}]", more: str = "") -> Path:
        self.config.write_text(
            f"proxy: 1\nupstreams:\n  openai: {{url: 'https://127.0.0.1:{self.provider.port}',"
            f" certificates: '{self.pem}'}}\nrun: {{hosts: {{api.openai.com: openai}}}}\n"
            f"filters: {filters}\naudit: {{file: audit.jsonl}}\n{more}"
        )
        return self.config

    def run(
        self, *command: str, options: tuple[str, ...] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        self.write()
        self.audit.unlink(missing_ok=True)
        self.provider.asked.clear()
        return subprocess.run(
            [sys.executable, "-m", "tavo", "proxy", "run", "--config", str(self.config), *options,
             "--", *command],
            capture_output=True, text=True, timeout=300, cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder), "PYTHONPATH": str(ROOT), **environment},
        )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("run")
    pem = self_signed(folder, "127.0.0.1")
    provider = Provider(pem)
    yield Place(folder, provider, pem)
    provider.server.shutdown()


BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": f"mail {MAIL}"}]})
HTTPX = f"""
import httpx
answer = httpx.post("https://api.openai.com/v1/chat/completions", content={BODY!r},
                    headers={{"Authorization": "Bearer sk-own", "Origin": "vscode-file://x",
                             "Content-Type": "application/json"}}, timeout=60)
print(answer.status_code, answer.json()["choices"][0]["message"]["content"])
"""
NODE = """
const http = require("http"), tls = require("tls"), u = new URL(process.env.HTTPS_PROXY);
const auth = "Basic " + Buffer.from(`${u.username}:${u.password}`).toString("base64");
const body = process.argv[1];
http.request({host: u.hostname, port: u.port, method: "CONNECT", path: "api.openai.com:443",
              headers: {"Proxy-Authorization": auth}}).on("connect", (r, socket) => {
  const s = tls.connect({socket, servername: "api.openai.com"}, () => {
    s.write(`POST /v1/chat/completions HTTP/1.1\\r\\nHost: api.openai.com\\r\\n` +
            `Content-Type: application/json\\r\\nContent-Length: ${body.length}\\r\\n` +
            `Connection: close\\r\\n\\r\\n${body}`);
  });
  s.on("data", d => process.stdout.write(d)); s.on("error", e => { console.log(e.code); });
}).end();
"""


def judged(place: Place, done: subprocess.CompletedProcess[str]) -> None:
    """What all clients have in common: the value never left, and came back to who sent it."""
    assert f"heard: mail {MAIL}" in done.stdout, done.stdout + done.stderr
    ((path, _, body),) = place.provider.asked
    assert path == "/v1/chat/completions"
    assert MAIL not in json.dumps(body)
    found = verify(place.audit)
    assert (found.broken, found.exchanges, found.open) == ("", 1, 0)
    assert '"verdict":"modify"' in place.audit.read_text()


def test_a_library_of_python_is_judged(place: Place) -> None:
    """With an `Origin`, as desktop applications send it: no web page knows the run's secret."""
    done = place.run(sys.executable, "-c", HTTPX)
    judged(place, done)
    assert place.provider.asked[0][1]["authorization"] == "Bearer sk-own"
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert lines == [
        "tavo proxy run: https to 127.0.0.1, api.openai.com is judged; all other hosts are blocked"
        " (--tunnel HOST lets one through unseen)",
        "tavo proxy run: 1 exchange, 0 refused or blocked",
    ]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_is_judged_and_its_exit_code_is_ours(place: Place) -> None:
    url = "https://api.openai.com/v1/chat/completions"
    done = place.run("sh", "-c", f"curl -sS {url} -H 'Content-Type: application/json'"
                     f" -d '{BODY}'; exit 7")  # fmt: skip
    judged(place, done)
    assert done.returncode == 7


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_node_trusts_the_authority_and_is_judged(place: Place) -> None:
    judged(place, place.run("node", "-e", NODE, BODY))


def test_a_program_that_does_not_trust_us_is_named(place: Place) -> None:
    code = HTTPX.replace("import httpx", "import httpx, os\nos.environ.pop('SSL_CERT_FILE')")
    done = place.run(sys.executable, "-c", code)
    assert done.returncode == 1
    assert place.provider.asked == []
    assert "the program did not trust the certificate of this run for api.openai.com (1)" in (
        done.stderr
    )


def test_other_hosts_are_blocked_and_named_and_files_are_gone_at_the_end(place: Place) -> None:
    code = textwrap.dedent("""
        import os, urllib.request
        for url in ("https://elsewhere.example/x", "http://elsewhere.example/y"):
            try:
                print(urllib.request.urlopen(url, timeout=60).status)
            except OSError as error:
                print(error)
        print(os.environ["SSL_CERT_FILE"], "ALL_PROXY" in os.environ)
    """)
    done = place.run(sys.executable, "-c", code, ALL_PROXY="socks5://elsewhere", NO_PROXY="*")
    first, second, third = done.stdout.splitlines()
    assert first == "<urlopen error Tunnel connection failed: 403 Forbidden>"
    assert second == "HTTP Error 403: Forbidden"
    assert "blocked hosts: elsewhere.example (1), http://elsewhere.example (1)" in done.stderr
    bundle, others = third.split()
    assert others == "False"
    assert not Path(bundle).parent.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_signal_goes_on_to_the_program(place: Place) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('told', flush=True), sys.exit(9)))\n"
        "print('here', flush=True)\ntime.sleep(30)\n"
    )
    place.write()
    process = subprocess.Popen(
        [sys.executable, "-m", "tavo", "proxy", "run", "--config", str(place.config), "--",
         sys.executable, "-c", code],
        stdout=subprocess.PIPE, text=True, cwd=place.folder,
        env={**os.environ, "HOME": str(place.folder), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == "told\n"
    assert process.wait(60) == 9


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        (("no-such-program-x",), 2, "no-such-program-x: cannot be started: No such file"),
        (("sh", "-c", "kill -9 $$"), 137, "0 exchanges"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_how_a_program_ends(place: Place, command: tuple[str, ...], code: int, text: str) -> None:
    done = place.run(*command)
    assert done.returncode == code
    assert text in done.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--tunnel", "api.openai.com"), "run.tunnel: api.openai.com is judged, and cannot be let"),
        (("--filter", "pii"), "has filters, and --filter would leave them out"),
        (
            ("--unknown-paths", "maybe"),
            "--unknown-paths is 'maybe', expected block, pass or record",
        ),
        (("--offline", "--tunnel", "a"), "run.tunnel is at a, and --offline forbids the network"),
        (("--tunnel", "a:b"), "run: 'a:b' is no host, expected HOST or HOST:PORT"),
    ],
)
def test_wrong_options_start_nothing(
    place: Place, options: tuple[str, ...], text: str, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("HOME", str(place.folder))
    words = ["proxy", "run", "--config", str(place.write()), *options, "--", "echo", "started"]
    assert tavo(words) == 2
    heard = capfd.readouterr()
    assert heard.out == ""
    assert text in heard.err


# -- what a hostile program asks


@contextmanager
def told(text: bytes, secret: str, port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), 60) as one:
        token = base64.b64encode(f"tavo:{secret}".encode())
        one.sendall(text.replace(b"AUTH", b"Proxy-Authorization: Basic " + token))
        yield one


async def fronted(
    folder: Path, work: Any, tunnel: tuple[str, ...] = (), *, head_s: float = 60, **upstream: Any
) -> Any:
    """Run blocking work against a front."""
    config, hosts = forwarding(
        ProxyConfig(
            proxy=1, listen=Listen(port=0), limits=Limits(client_head_s=head_s, drain_s=1),
            upstreams={"openai": Upstream(url="https://127.0.0.1:9", **upstream)},
            run=Run(hosts={"api.openai.com": "openai"}, tunnel=list(tunnel)),
        )
    )  # fmt: skip
    front = Front(hosts, Authority(hosts.judged, folder))
    app = App(config, Shared(), front=front, environment={})
    await app.start()
    try:
        return await asyncio.to_thread(work, front, app.port)
    finally:
        await app.stop()


ATTACKS = sorted((ROOT / "tests" / "attacks" / "connect").iterdir())
"""What a program must not reach: the request, `AUTH` for the secret; its suffix is the answer."""


@pytest.mark.parametrize("file", ATTACKS, ids=lambda file: file.stem)
def test_what_a_program_must_not_reach(tmp_path: Path, file: Path) -> None:
    """With everything let through, so that only the guards stand between."""

    def work(front: Front, port: int) -> bytes:
        with told(file.read_bytes(), front.secret, port) as one:
            return one.recv(4096)

    assert f" {file.suffix[1:]} ".encode() in asyncio.run(fronted(tmp_path, work, tunnel=("*",)))


def test_who_asks_for_another_host_in_tls_gets_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(front: Front, port: int) -> list[str]:
        out = []
        for name in ("api.openai.com", "evil.example"):
            context = ssl.create_default_context(cadata=front.authority.pem.decode())
            context.check_hostname = False
            head = b"CONNECT api.openai.com:443 HTTP/1.1\r\nAUTH\r\n\r\n"
            with told(head, front.secret, port) as one:
                assert b" 200 " in one.recv(4096)
                try:
                    with context.wrap_socket(one, server_hostname=name) as inside:
                        out.append(inside.version() or "")
                except ssl.SSLError as error:
                    out.append(error.reason or "")
        return out

    ok, refused = asyncio.run(fronted(tmp_path, work))
    assert ok == "TLSv1.3"
    assert refused != "TLSv1.3"
    # the control: without the look at the name it is served
    made = Authority._made

    def unguarded(one: Authority, host: str) -> ssl.SSLContext:
        context = made(one, host)
        context.sni_callback = None
        return context

    monkeypatch.setattr(Authority, "_made", unguarded)
    assert asyncio.run(fronted(tmp_path, work)) == ["TLSv1.3", "TLSv1.3"]


def test_a_tunnel_passes_bytes_and_is_refused_to_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the look at the address the tunnel reaches a server on loopback."""
    server = socket.create_server(("127.0.0.1", 0))
    there = server.getsockname()[1]

    def echo() -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = server.accept()
                one.sendall(b"early ")
                while data := one.recv(65536):
                    one.sendall(data.upper())
                one.close()

    threading.Thread(target=echo, daemon=True).start()
    head = f"CONNECT inner.example:{there} HTTP/1.1\r\nAUTH\r\n\r\n".encode()

    def ask(front: Front, port: int) -> bytes:
        with told(head, front.secret, port) as one:
            data = one.recv(4096)
            if b" 200 " in data:
                one.sendall(b"x" * 300_000)
                one.shutdown(socket.SHUT_WR)
                while more := one.recv(65536):
                    data += more
            return data

    from tavo.host import brokered_http

    monkeypatch.setattr(brokered_http, "_resolve", lambda host, port: ["127.0.0.1"])
    refused = asyncio.run(fronted(tmp_path, ask, tunnel=(f"*.example:{there}",)))
    assert refused.startswith(b"HTTP/1.1 403")
    assert b"leads to 127.0.0.1, which is not public" in refused
    monkeypatch.setattr(brokered_http, "_is_public", lambda text: True)
    passed = asyncio.run(fronted(tmp_path, ask, tunnel=(f"*.example:{there}",)))
    server.close()
    assert passed.endswith(b"early " + b"X" * 300_000)


def test_a_slow_program_is_cut_off(tmp_path: Path) -> None:
    def work(front: Front, port: int) -> tuple[bytes, int]:
        with told(b"CONNECT api.openai.com:443 HTTP/1.1\r\nAUTH\r\n", front.secret, port) as one:
            with contextlib.suppress(ConnectionError):
                return one.recv(10), len(front.open)
            return b"", len(front.open)

    assert asyncio.run(fronted(tmp_path, work, head_s=1.5)) == (b"", 0)


def test_large_bodies_and_streams_of_many_clients_pass_whole(tmp_path: Path) -> None:
    """Through TLS on both sides, also where a side does not read for a while."""
    pem = self_signed(tmp_path, "127.0.0.1")
    text = "x" * 300_000
    event = (
        b"data: %b\n\n"
        % json.dumps({"choices": [{"index": 0, "delta": {"content": "y" * 1000}}]}).encode()
    )

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        assert len(json.loads(asked.body)["messages"][0]["content"]) == len(text)
        writer.write(STREAM)
        for _ in range(300):
            writer.write(chunk(event))
            await writer.drain()
        writer.write(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    async def one(front: Front, port: int, number: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
        token = base64.b64encode(f"tavo:{front.secret}".encode()).decode()
        writer.write(
            f"CONNECT api.openai.com:443 HTTP/1.1\r\nProxy-Authorization: Basic {token}\r\n\r\n"
            .encode()
        )  # fmt: skip
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        context = ssl.create_default_context(cadata=front.authority.pem.decode())
        await writer.start_tls(context, server_hostname="api.openai.com")
        client = Client(reader, writer)
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": text}]}
        client.post(json.dumps(body).encode())
        await writer.drain()
        if number % 2:
            await asyncio.sleep(0.3)  # everything between has to wait for this one
        status, _, got = await client.answer()
        client.close()
        assert got.endswith(b"data: [DONE]\n\n")
        return status if got.count(event) == 300 else 0

    async def main() -> tuple[set[int], int, int]:
        back = ScriptedUpstream(script)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        await back.start(context)
        config, hosts = forwarding(ProxyConfig(
            proxy=1, listen=Listen(port=0), filters=[{"filter": "pii"}],
            upstreams={"openai": Upstream(
                url=f"https://127.0.0.1:{back.port}", certificates=str(pem))},
            run=Run(hosts={"api.openai.com": "openai"}),
        ))  # fmt: skip
        front = Front(hosts, Authority(hosts.judged, tmp_path))
        app = App(config, Shared(), front=front, environment={})
        await app.start()
        statuses = set(await asyncio.gather(*(one(front, app.port, n) for n in range(12))))
        made = len(front.authority._contexts)
        await app.stop()
        await back.stop()
        return statuses, made, app.snapshot()["gauges"]["buffered_bytes"]

    assert asyncio.run(main()) == ({200}, 1, 0)


# -- parts


def test_the_authority_speaks_for_its_hosts_alone(tmp_path: Path) -> None:
    one = Authority(["api.openai.com", "127.0.0.1"], tmp_path)
    assert one.context("API.OpenAI.com.") is one.context("api.openai.com")
    with pytest.raises(ValueError, match=r"evil\.example is not a host"):
        one.context("evil.example")
    assert list(tmp_path.iterdir()) == []
    # and who stole its key could not make it speak for another, because clients look
    one._hosts.add("evil.example")

    def verified(host: str) -> str:
        server, client = one.context(host), ssl.create_default_context(cadata=one.pem.decode())
        there, here = ssl.MemoryBIO(), ssl.MemoryBIO()
        asking = client.wrap_bio(there, here, server_hostname=host)
        answering = server.wrap_bio(here, there, server_side=True)
        for _ in range(6):
            for end in (asking, answering):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLCertVerificationError as error:
                    return str(error.verify_message)
        return "trusted"

    assert verified("api.openai.com") == "trusted"
    assert verified("127.0.0.1") == "trusted"
    assert verified("evil.example") == "permitted subtree violation"


def test_who_is_judged_and_who_passes() -> None:
    hosts = Hosts({("api.openai.com", 443): Judged("o", b"/o")}, ["*.example", "pypi.org:8443"])
    assert hosts.decide("API.openai.com.", 443) == Judged("o", b"/o")
    assert hosts.decide("api.openai.com", 8443) is False
    assert hosts.decide("a.example", 443) is True
    assert hosts.decide("a.example", 22) is False
    assert hosts.decide("pypi.org", 443) is False
    assert hosts.decide("pypi.org", 8443) is True
    everything = Hosts({("api.openai.com", 443): Judged("o", b"/o")}, ["*"])
    assert everything.decide("api.openai.com", 22) is False
    assert everything.decide("x", 443) is True
    with pytest.raises(ConfigError, match="no upstream is at https"):
        forwarding(ProxyConfig(proxy=1, upstreams={"a": Upstream(url="http://127.0.0.1:1")}))
    with pytest.raises(ConfigError, match="no such upstream"):
        forwarding(ProxyConfig(proxy=1, upstreams=known_providers([]), run=Run(hosts={"x": "y"})))


def test_paths_below_a_provider_stand_once() -> None:
    made, hosts = forwarding(
        ProxyConfig(
            proxy=1, upstreams={"groq": Upstream(url="https://api.groq.com/openai")},
            run=Run(hosts={"api.openai.com": "groq"}),
        )
    )  # fmt: skip
    prefix = made.upstreams["groq"].prefix or ""
    for host, path in (("api.groq.com", "/openai/v1/chat/completions"),
                       ("api.openai.com", "/v1/chat/completions")):  # fmt: skip
        found = hosts.decide(host, 443)
        assert isinstance(found, Judged)
        assert (found.before.decode() + path).removeprefix(prefix) == "/v1/chat/completions"


def test_what_all_else_passing_leaves_alone(tmp_path: Path) -> None:
    given = {"HTTP_PROXY": "http://corporate", "X": "1"}
    for clear, there in ((True, True), (False, False)):
        out = environment_for(
            given, port=1, secret="s", ours=tmp_path, bundle=tmp_path, clear=clear
        )
        assert ("HTTP_PROXY" in out) is there
        assert out["X"] == "1"
