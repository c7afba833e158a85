"""How the GitHub Action gets a tavo.pyz: a real https server on loopback, its own authority."""

from __future__ import annotations

import hashlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.certificates import self_signed
from tests.fakes.github_runner import ROOT, Runner, Step
from tests.fakes.single_file import PYZ

pytestmark = pytest.mark.skipif(
    not PYZ.exists(), reason="run the tests with `python3 build.py test`, which builds the file"
)
SHA256 = hashlib.sha256(PYZ.read_bytes()).hexdigest() if PYZ.exists() else ""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /good, and in every wrong way."""

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.asked.append(self.path)
        if self.path.startswith("/redirect/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/redirect/"))
            self.end_headers()
        elif self.path == "/endless-redirect":
            self.send_response(302)
            self.send_header("Location", f"{server.address}/endless-redirect")
            self.end_headers()
        elif self.path == "/good":
            self._whole(PYZ.read_bytes())
        elif self.path == "/cut":
            self._whole(PYZ.read_bytes()[:-5], announced=PYZ.stat().st_size)
        elif self.path == "/announced":
            self._whole(b"", announced=1 << 40)
        elif self.path == "/huge":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(1 << 20))
                    server.sent += 1 << 20
            except OSError:
                pass
        elif self.path == "/drip":
            self.send_response(200)
            self.end_headers()
            try:
                while not server.closing.wait(0.1):
                    self.wfile.write(b"x")
            except OSError:
                pass
        else:
            self.send_error(404)

    def _whole(self, data: bytes, announced: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data) if announced is None else announced))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """The server; `authority` is the file of the certificate to trust, none for plain http."""

    daemon_threads = True

    def __init__(self, folder: Path, *, plain: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.sent = 0
        self.closing = threading.Event()
        self.authority = self_signed(folder, "127.0.0.1")
        scheme = "http"
        if not plain:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.authority)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.address = f"{scheme}://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_: object) -> None:
        pass

    def close(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


@pytest.fixture
def runner(tmp_path: Path, server: Server) -> Runner:
    made = Runner(tmp_path / "job")
    (made.workspace / "app.py").write_text("x = 1\n")
    made.variables["SSL_CERT_FILE"] = str(server.authority)
    return made


def scan(runner: Runner, address: str, sha256: str = SHA256) -> Step:
    return runner.run(tavo=address, sha256=sha256, annotate="false", summary="false")


def left(runner: Runner) -> list[Path]:
    return list(runner.temporary.rglob("*.pyz*"))


def test_the_right_file(runner: Runner, server: Server) -> None:
    done = scan(runner, f"{server.address}/good")
    assert done.code == 0, done.log
    assert server.asked == ["/good"]


def test_a_redirect_by_https(runner: Runner, server: Server) -> None:
    done = scan(runner, f"{server.address}/redirect/{server.address}/good")
    assert done.code == 0, done.log
    assert server.asked[-1] == "/good"


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/good", 5, "it was not run"),
        ("/cut", 5, "it was not run"),
        ("/gone", 3, "not downloaded: the server answers 404"),
        ("/announced", 5, "1099511627776 bytes are announced, at most 128 MB are taken"),
        ("/huge", 5, "larger than 128 MB, so it is no tavo.pyz"),
        ("/endless-redirect", 3, "not downloaded: the server answers 302"),
        ("/redirect/file:///etc/passwd", 3, "not downloaded: the server answers 302"),
    ],
)
def test_what_is_wrong_is_a_sentence_and_leaves_nothing(
    runner: Runner, server: Server, path: str, code: int, words: str
) -> None:
    done = scan(runner, f"{server.address}{path}", "0" * 64)
    assert (done.code, done.outputs["exit-code"]) == (code, str(code)), done.log
    assert words in done.said("error")
    assert "Traceback" not in done.log
    assert left(runner) == []
    assert server.sent < 200 << 20


def test_a_redirect_to_plain_http_is_refused(
    runner: Runner, server: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    plain = Server(folder, plain=True)
    try:
        done = scan(runner, f"{server.address}/redirect/{plain.address}/good")
        assert done.code == 5
        assert f"leads to {plain.address}/good, which is not https" in done.said("error")
        assert plain.asked == []
    finally:
        plain.close()


def test_an_authority_that_is_not_trusted_is_refused(runner: Runner, server: Server) -> None:
    del runner.variables["SSL_CERT_FILE"]
    done = scan(runner, f"{server.address}/good")
    assert done.code == 3
    assert "certificate verify failed" in done.said("error")
    assert server.asked == []


def test_nobody_there(runner: Runner) -> None:
    done = scan(runner, "https://127.0.0.1:9/tavo.pyz")
    assert done.code == 3
    assert "https://127.0.0.1:9/tavo.pyz: not downloaded: " in done.said("error")


def test_a_server_that_drips_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "integrations" / "github"))
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    from tavo_action.errors import ActionError
    from tavo_action.fetch import take_file

    with pytest.raises(ActionError, match=r"/drip: not here after 1 s"):
        take_file(f"{server.address}/drip", SHA256, tmp_path / "t", folder=tmp_path, whole_s=1)
    assert not (tmp_path / "t").exists()
