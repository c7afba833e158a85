"""The mirror's own web server: ranges, entity tags, and nothing but the repository's files."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from tavo.errors import InputError
from tavo.registry.mirror_server import MirrorServer

CONTENT = bytes(range(256)) * 8
NAME = hashlib.sha256(CONTENT).hexdigest()
BLOB = f"/blobs/sha256/{NAME[:2]}/{NAME}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MirrorServer]:
    outer = tmp_path_factory.mktemp("served")
    (outer / "secret.json").write_text("secret")
    folder = outer / "mirror"
    blob = folder / BLOB[1:]
    blob.parent.mkdir(parents=True)
    blob.write_bytes(CONTENT)
    (folder / "metadata").mkdir()
    (folder / "metadata" / "timestamp.json").write_text("{}")
    (folder / "metadata" / ".hidden.json").write_text("secret")
    (folder / "metadata" / "link.json").symlink_to(outer / "secret.json")
    (folder / "notes.txt").write_text("secret")
    with MirrorServer(folder, "127.0.0.1", 0) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def ask(server: MirrorServer, path: str, method: str = "GET", **headers: str) -> HTTPResponse:
    connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=60)
    connection.request(
        method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    return connection.getresponse()


def test_files_come_whole_and_in_ranges(server: MirrorServer) -> None:
    whole = ask(server, BLOB)
    assert (whole.status, whole.read()) == (200, CONTENT)
    assert whole.headers["ETag"] == f'"{NAME}"'
    assert "immutable" in whole.headers["Cache-Control"]
    rest = ask(server, BLOB, Range="bytes=1000-")
    assert (rest.status, rest.read()) == (206, CONTENT[1000:])
    assert rest.headers["Content-Range"] == "bytes 1000-2047/2048"
    middle = ask(server, BLOB, Range="bytes=10-19")
    assert (middle.status, middle.read()) == (206, CONTENT[10:20])
    assert ask(server, BLOB, Range="bytes=2048-").status == 416
    assert ask(server, BLOB, Range="bytes=9-3").read() == CONTENT  # no range at all
    assert ask(server, BLOB, Range="bytes=0-", If_Range='"old"').status == 200
    assert ask(server, BLOB, If_None_Match=f'"{NAME}"').status == 304
    head = ask(server, BLOB, "HEAD")
    assert (head.headers["Content-Length"], head.read()) == ("2048", b"")
    assert ask(server, "/metadata/timestamp.json").headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", [
    "/", "/metadata/", "/notes.txt", "/metadata/link.json", "/metadata/.hidden.json",
    "/metadata/../notes.txt", "/metadata/%2e%2e/notes.txt", "/..%2fsecret.json",
    "/metadata/timestamp.json%00", "//metadata/..//../secret.json", f"{BLOB}/x", "/metadata",
])  # fmt: skip
def test_nothing_else_is_served(server: MirrorServer, path: str) -> None:
    answer = ask(server, path)
    assert (answer.status, answer.read()) == (404, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_is_written(server: MirrorServer, method: str) -> None:
    assert ask(server, BLOB, method).status == 501


def test_what_is_no_mirror_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a repository"):
        MirrorServer(tmp_path, "127.0.0.1", 0)
