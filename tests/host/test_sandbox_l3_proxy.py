"""A worker's way to the hosts that its plugin declares: through us, and to nothing else."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tavo.host import connect_proxy
from tavo.host.connect_proxy import ConnectProxy
from tavo.host.lending import LendError
from tavo.host.probe import probe
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel
from tavo.host.workers import StaticWorker
from tests.fakes.certificates import self_signed
from tests.fakes.plugins import PluginMachine, text_file
from tests.host.test_sandbox_l3_view import ANSWERS

pytestmark = pytest.mark.skipif(
    probe().level < SandboxLevel.STRONG, reason="this machine does not give L3"
)

NAME = "api.example.com"

# Asks the proxy at its environment's address; returns what came back.
TUNNEL = """(lambda s: (s.sendall({request!r}), s.recv(4096))[1])(
    socket.create_connection(('127.0.0.1', 3128), timeout=60))"""


class Server:
    """A server that answers `pong` to everything, with TLS if it has a certificate."""

    def __init__(self, folder: Path, *, secure: bool = False) -> None:
        self.seen: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._context: ssl.SSLContext | None = None
        if secure:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(self_signed(folder, NAME))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            if self._context is not None:
                client = self._context.wrap_socket(client, server_side=True)
            while data := client.recv(1 << 16):
                self.seen.append(data)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong")
            client.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the name lead to the server of the test, as if it were a public one."""

    def here(host: str, port: int) -> str:
        if host != NAME:
            raise LendError("http", f"{host} cannot be found")
        return "127.0.0.1"

    monkeypatch.setattr(connect_proxy, "public_address", here)


def answers(
    tmp_path: Path, questions: dict[str, str], *, hosts: str, required: int = 3
) -> tuple[dict[str, str], StaticWorker]:
    """Have a plugin that declares these hosts answer; return the answers and the closed worker."""
    installed = PluginMachine(tmp_path / "machine").verified(
        ANSWERS, more=f"limits: {{cpu_s_per_file: 20}}\npermissions: {{network: [{hosts}]}}\n"
    )
    policy = LevelPolicy(required=SandboxLevel(required))
    with StaticWorker(installed, policy=policy) as worker:
        result = worker.analyze([text_file(name, text) for name, text in questions.items()])
    installed.close()
    found = {str(path): one.message[1:] for path, all_ in result.findings.items() for one in all_}
    return {**found, **{str(p): f.reason for p, f in result.failures.items()}}, worker


def connect(target: str, *, method: str = "CONNECT", then: str = "") -> str:
    request = f"{method} {target} HTTP/1.1\r\nHost: {target}\r\n\r\n{then}"
    return TUNNEL.format(request=request.encode()).replace("\n", "")


@pytest.mark.usefixtures("public")
def test_only_declared_hosts_and_ports_are_reached_in_the_sandbox(
    tmp_path: Path, server: Server
) -> None:
    with Server(tmp_path)._listener as other:
        port, free = server.port, other.getsockname()[1]
        questions = {
            "declared": connect(f"{NAME}:{port}"),
            "capitals": connect(f"API.EXAMPLE.com:{port}"),
            "other port": connect(f"{NAME}:{free}"),
            "other host": connect(f"evil.example:{port}"),
            "address": connect(f"127.0.0.1:{port}"),
            "inside": connect(f"{NAME}.evil.example:{port}"),
            "user": connect(f"evil.example@{NAME}:{port}"),
            "path": connect(f"evil.example:{port}/@{NAME}:{port}"),
            "no port": connect(NAME),
            "get": connect(f"http://{NAME}:{port}/", method="GET"),
            "garbage": TUNNEL.format(request=b"\x16\x03\x01\r\n\r\n").replace("\n", ""),
            "long": TUNNEL.format(request=b"CONNECT " + b"a" * 9000).replace("\n", ""),
        }
        got, worker = answers(tmp_path, questions, hosts=f'"{NAME}:{port}"')
    assert worker.level is SandboxLevel.STRONG
    status = {name: answer[2:14] for name, answer in got.items()}
    assert status.pop("declared") == status.pop("capitals") == "HTTP/1.1 200"
    assert {status.pop(name) for name in ("get", "garbage", "long")} == {"HTTP/1.1 405"}
    assert set(status.values()) == {"HTTP/1.1 403"}, got
    assert server.seen == []


URLLIB = (
    "(lambda r, c: r.build_opener(r.ProxyHandler(), r.HTTPSHandler(context=c))"
    ".open('https://{name}:{port}/path', timeout=60).read())"
    "(__import__('urllib.request').request, __import__('ssl')._create_unverified_context())"
)
ASYNCIO = """
import asyncio, ssl
async def ask():
    reader, writer = await asyncio.open_connection("127.0.0.1", 3128)
    writer.write(b"CONNECT {name}:{port} HTTP/1.1\\r\\n\\r\\n")
    await reader.readuntil(b"\\r\\n\\r\\n")
    await writer.start_tls(ssl._create_unverified_context())
    writer.write(b"GET /asyncio HTTP/1.1\\r\\n\\r\\n")
    await reader.readuntil(b"\\r\\n\\r\\n")
    answer = await reader.readexactly(4)
    writer.close()
    return answer
"""


def test_an_unmodified_library_speaks_tls_through_it_in_the_sandbox(
    tmp_path: Path, public: None
) -> None:
    server = Server(tmp_path, secure=True)
    code = ASYNCIO.format(name=NAME, port=server.port)
    questions = {
        "urllib": URLLIB.format(name=NAME, port=server.port),
        "asyncio": f"(exec({code!r}, globals()), asyncio.run(ask()))[1]",
    }
    hosts = f'"{NAME}:{server.port}"'
    got, worker = answers(tmp_path, questions, hosts=hosts)
    assert got == {"urllib": "b'pong'", "asyncio": "b'pong'"}
    assert b"GET /path HTTP/1.1" in server.seen[0]
    assert worker.level is SandboxLevel.STRONG
    server.close()


def test_a_name_that_leads_to_this_machine_is_refused(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of addresses is the real one here; with it taken out, the tunnel is made."""
    monkeypatch.setattr(
        "tavo.host.brokered_http._resolve", lambda host, port: ["127.0.0.1", "192.168.1.1"]
    )
    question = {"a": connect(f"{NAME}:{server.port}")}
    hosts = f'"{NAME}:{server.port}"'
    got, _ = answers(tmp_path / "one", question, hosts=hosts)
    assert got["a"].startswith("b'HTTP/1.1 403")
    assert "which is not public" in got["a"]
    monkeypatch.setattr(connect_proxy, "public_address", lambda host, port: "127.0.0.1")
    got, _ = answers(tmp_path / "two", question, hosts=hosts)
    assert got["a"].startswith("b'HTTP/1.1 200")


@pytest.mark.usefixtures("public")
def test_there_is_no_other_way_out_in_the_sandbox(tmp_path: Path, server: Server) -> None:
    address = ("127.0.0.1", server.port)
    questions = {
        "this machine": f"socket.create_connection({address!r}, timeout=2)",
        "elsewhere": "socket.create_connection(('192.0.2.1', 443), timeout=2)",
        "datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "six": "socket.socket(socket.AF_INET6)",
        "local": "socket.socket(socket.AF_UNIX)",
        "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "raw": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 6)",
        "other protocol": "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)",
        "listen": "socket.create_server(('127.0.0.1', 0))",
        "filter": "socket.socket().setsockopt(socket.SOL_SOCKET, 26, bytes(16))",
        "names": "socket.getaddrinfo('example.com', 443)",
        "options": "socket.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)",
        "certificates": "len(__import__('ssl').create_default_context().get_ca_certs())",
        "environment": "sorted(k for k in os.environ if 'proxy' in k.lower())",
    }
    got, _ = answers(tmp_path, questions, hosts=f'"{NAME}:{server.port}"')
    assert got.pop("options") == "None"
    assert got.pop("environment") == str(
        sorted(["HTTPS_PROXY", "HTTP_PROXY", "http_proxy", "https_proxy"])
    )
    known = len(ssl.create_default_context().get_ca_certs())
    assert got.pop("certificates") == str(known)
    assert "example.com" not in got.pop("names")
    expected = {"'EPERM'", "'EACCES'", "'ENETUNREACH'", "'ECONNREFUSED'"}
    assert set(got.values()) <= expected, got
    assert server.seen == []


@pytest.mark.usefixtures("public")
def test_a_plugin_without_hosts_and_one_at_l2_have_no_sockets(
    tmp_path: Path, server: Server
) -> None:
    questions = {"a": "socket.socket()", "b": "[k for k in os.environ if 'proxy' in k.lower()]"}
    got, worker = answers(tmp_path, questions, hosts="")
    assert got == {"a": "'EPERM'", "b": "[]"}
    assert worker.level is SandboxLevel.STRONG


@pytest.mark.usefixtures("public")
def test_a_reviewed_plugin_that_declares_hosts_runs_where_they_can_be_reached(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = {"a": connect(f"{NAME}:{server.port}"), "b": "socket.socket()"}
    hosts = f'"{NAME}:{server.port}"'
    got, worker = answers(tmp_path / "one", questions, hosts=hosts, required=2)
    assert worker.level is SandboxLevel.STRONG
    assert got["a"].startswith("b'HTTP/1.1 200")
    monkeypatch.setattr("tavo.host.hosted.strongest_here", lambda: SandboxLevel.STANDARD)
    got, worker = answers(tmp_path / "two", questions, hosts=hosts, required=2)
    assert worker.level is SandboxLevel.STANDARD
    assert got == {"a": "'EPERM'", "b": "'EPERM'"}


def test_nothing_of_it_is_left_when_the_worker_ends(tmp_path: Path, server: Server) -> None:
    before = threading.active_count()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    answers(tmp_path, {"a": "1"}, hosts=f'"{NAME}:{server.port}"')
    deadline = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors + 1  # the state database


@pytest.fixture
def proxy(server: Server, public: None) -> Iterator[tuple[ConnectProxy, int]]:
    """The proxy by itself, on an address of this machine."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    port = listener.getsockname()[1]
    made = ConnectProxy(listener.detach(), [f"{NAME}:{server.port}"])
    yield made, port
    made.close()


def tunnel(port: int, to: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    client.sendall(f"CONNECT {NAME}:{to} HTTP/1.1\r\n\r\n".encode())
    assert until(client, b"\r\n\r\n") == b"HTTP/1.1 200 Connected\r\n\r\n"
    return client


def until(client: socket.socket, end: bytes) -> bytes:
    """Read up to these bytes: what is sent at once may come in pieces."""
    data = b""
    while not data.endswith(end) and (piece := client.recv(100)):
        data += piece
    return data


def test_large_bodies_pass_both_ways_at_once() -> None:
    """Neither end waits for the other while both have much to say."""
    one, other = socket.socketpair()
    left, right = socket.socketpair()
    thread = threading.Thread(target=connect_proxy._relay, args=(other, left, b"early"))
    thread.start()
    data = bytes(8 << 20)
    got: dict[str, int] = {}

    def speak(end: socket.socket, name: str) -> None:
        sender = threading.Thread(target=lambda: (end.sendall(data), end.shutdown(1)))
        sender.start()
        count = 0
        while piece := end.recv(1 << 16):
            count += len(piece)
        sender.join()
        got[name] = count

    speakers = [
        threading.Thread(target=speak, args=pair) for pair in ((one, "one"), (right, "right"))
    ]
    for speaker in speakers:
        speaker.start()
    for speaker in [*speakers, thread]:
        speaker.join(120)
    assert got == {"one": 8 << 20, "right": (8 << 20) + len("early")}
    for end in (one, other, left, right):
        end.close()


def test_closing_ends_what_is_open(proxy: tuple[ConnectProxy, int], server: Server) -> None:
    made, port = proxy
    client = tunnel(port, server.port)
    client.sendall(b"x")
    assert until(client, b"pong").endswith(b"pong")
    made.close()
    assert client.recv(100) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_tunnels_are_bounded_in_number(proxy: tuple[ConnectProxy, int], server: Server) -> None:
    _, port = proxy
    clients = [tunnel(port, server.port) for _ in range(connect_proxy._MOST_AT_ONCE)]
    late = socket.create_connection(("127.0.0.1", port), timeout=0.3)
    late.sendall(f"CONNECT {NAME}:{server.port} HTTP/1.1\r\n\r\n".encode())
    with pytest.raises(TimeoutError):
        late.recv(1)
    clients.pop().close()
    late.settimeout(60)
    assert until(late, b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    for client in (*clients, late):
        client.close()


def test_a_silent_tunnel_ends(
    proxy: tuple[ConnectProxy, int], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect_proxy, "_IDLE_S", 0.2)
    _, port = proxy
    client = tunnel(port, server.port)
    assert client.recv(1) == b""
    monkeypatch.setattr(connect_proxy, "_HEAD_S", 0.2)
    silent = socket.create_connection(("127.0.0.1", port), timeout=60)
    assert silent.recv(100)[:12] in {b"HTTP/1.1 502", b""}
    for one in (client, silent):
        one.close()
