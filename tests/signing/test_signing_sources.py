"""Sources: only bytes come in, only `SourceError`s come out, and never for ever."""

import os
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from signing.errors import MissingError, SourceError
from signing.sources import Deadline, DirectorySource, HttpSource
from tests.fakes.repository import Machine, RepositorySimulator, serve


def read(source: DirectorySource | HttpSource, path: str = "a/b", seconds: float = 60) -> bytes:
    return b"".join(source.read(path, Deadline(seconds)))


class Handler(SimpleHTTPRequestHandler):
    """A web server whose answer is `answer`, a function of the handler."""

    answer: Callable[["Handler"], None]

    def log_message(self, *arguments: object) -> None:
        return

    def do_GET(self) -> None:
        type(self).answer(self)


def answering(answer: Callable[[Handler], None]) -> type[Handler]:
    return type("Answering", (Handler,), {"answer": staticmethod(answer)})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"bytes")
    return tmp_path


def test_both_sources_give_the_bytes(tree: Path) -> None:
    assert read(DirectorySource(tree)) == b"bytes"
    with serve(tree) as address, HttpSource(address) as source:
        assert read(source) == b"bytes"
        source.close()
        assert read(source) == b"bytes"


@pytest.mark.parametrize("path", ["../a", "/etc/passwd", "a/../../b", "a//b", "", "a\\b", "a\0b"])
def test_paths_never_leave_the_tree(tree: Path, path: str) -> None:
    (tree.parent / "secret").write_bytes(b"secret")
    with pytest.raises(SourceError, match="not a path inside a repository"):
        read(DirectorySource(tree / "a"), path)
    with pytest.raises(SourceError, match="not a path inside a repository"):
        read(HttpSource("http://127.0.0.1:9/"), path)


def test_missing_things_are_told_apart(tree: Path) -> None:
    with pytest.raises(MissingError, match=r"a/none in .*: not there"):
        read(DirectorySource(tree), "a/none")
    with pytest.raises(MissingError):
        read(DirectorySource(tree), "a/b/c")
    with pytest.raises(SourceError, match="no such folder") as caught:
        read(DirectorySource(tree / "none"))
    assert not isinstance(caught.value, MissingError)
    with (
        serve(tree) as address,
        HttpSource(address) as source,
        pytest.raises(MissingError, match=r"a/none from http://127\.0\.0\.1:\d+/ \(HTTP 404\)"),
    ):
        read(source, "a/none")


def test_pipes_devices_and_folders_are_refused_without_waiting(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    (tree / "zero").symlink_to("/dev/zero")
    for path in ("pipe", "zero", "a"):
        with pytest.raises(SourceError, match=r"not a regular file|cannot read"):
            read(DirectorySource(tree), path)


def test_directory_lists_its_roots(tmp_path: Path) -> None:
    folder = tmp_path / "metadata"
    folder.mkdir()
    for name in ("1.root.json", "12.root.json", "x.root.json", "01.root.json", "٣.root.json"):
        (folder / name).touch()
    (folder / f"{'9' * 40}.root.json").touch()
    assert DirectorySource(tmp_path).root_versions() == {1, 12}
    assert DirectorySource(tmp_path / "none").root_versions() is None


@pytest.mark.parametrize("url", ["ftp://h/", "file:///etc", "http://", "h/x", "http://h/?a=1", ""])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(SourceError, match="address"):
        HttpSource(url)


def test_passwords_in_addresses_are_not_shown() -> None:
    source = HttpSource("https://user:secret@127.0.0.1:9/x")
    assert "secret" not in source.name + repr(source)
    with pytest.raises(SourceError) as caught:
        read(source)
    assert "secret" not in str(caught.value)
    with pytest.raises(SourceError) as caught:
        HttpSource("ftp://user:secret@h/")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("status", [500, 503, 204, 206, 401])
def test_other_answers_are_failures(tree: Path, status: int) -> None:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with serve(tree, answering(answer)) as address, HttpSource(address) as source:
        with pytest.raises(SourceError, match=f"HTTP {status}") as caught:
            read(source)
        assert not isinstance(caught.value, MissingError)


def test_nobody_listening_is_a_failure_with_a_next_step() -> None:
    with pytest.raises(SourceError, match=r"a/b from http://127\.0\.0\.1:9/") as caught:
        read(HttpSource("http://127.0.0.1:9/"))
    assert "Check the network" in caught.value.hint


def test_answer_that_breaks_off_is_a_failure(tree: Path) -> None:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"half")

    with (
        serve(tree, answering(answer)) as address,
        HttpSource(address) as source,
        pytest.raises(SourceError, match="a/b from"),
    ):
        read(source)


def test_garbage_instead_of_http_is_a_failure(tree: Path) -> None:
    with (
        serve(tree, answering(lambda handler: handler.wfile.write(b"\x00garbage"))) as address,
        HttpSource(address) as source,
        pytest.raises(SourceError, match="a/b from"),
    ):
        read(source)


@pytest.mark.parametrize("coding", ["gzip", "zstd", "br"])
def test_compressed_answers_are_not_unpacked_and_said(tree: Path, coding: str) -> None:
    asked = []
    packed = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "br": b"\x8b"}[coding] + b" packed"

    def answer(handler: Handler) -> None:
        asked.append(handler.headers["Accept-Encoding"])
        handler.send_response(200)
        handler.send_header("Content-Encoding", coding)
        handler.end_headers()
        handler.wfile.write(packed)

    with serve(tree, answering(answer)) as address, HttpSource(address) as source:
        with pytest.raises(SourceError, match=rf"compressed \({coding}\)") as caught:
            read(source)
        assert "Switch compression off" in caught.value.hint
        assert read(source, "a/b.gz") == packed  # servers call such files so
        packed = b"plain" if coding != "br" else packed
        if coding != "br":
            assert read(source) == b"plain"  # it is only called so
    assert set(asked) == {"identity"}


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>Not here", b"\n <HTML><body>Log in"])
def test_a_web_page_instead_of_a_file_is_said(tree: Path, page: bytes) -> None:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(page)

    with serve(tree, answering(answer)) as address, HttpSource(address) as source:
        with pytest.raises(SourceError, match="a web page, not with a file of a mirror") as caught:
            read(source)
        assert "must answer 404" in caught.value.hint
        assert read(source, "a/index.html") == page


@pytest.mark.parametrize("soft", [True, False])
def test_a_mirror_whose_server_answers_pages_is_not_called_damaged(
    tmp_path: Path, soft: bool
) -> None:
    simulator = RepositorySimulator(tmp_path / "repository")

    def answer(handler: Handler) -> None:
        if soft and not Path(handler.translate_path(handler.path)).is_file():
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(b"<!doctype html><title>Oops</title>")
        else:
            SimpleHTTPRequestHandler.do_GET(handler)

    with serve(simulator.directory, answering(answer)) as address, HttpSource(address) as source:
        machine = Machine(tmp_path / "cache", simulator.root)
        if soft:
            with pytest.raises(SourceError, match="a web page"):
                machine.refresh(source)
        else:
            machine.refresh(source)  # control


def _drip(handler: Handler, parts: Iterator[bytes]) -> None:
    import time

    try:
        for part in parts:
            handler.wfile.write(part)
            handler.wfile.flush()
            time.sleep(0.02)
    except OSError:
        pass


def _many(part: bytes) -> Iterator[bytes]:
    for _ in range(3000):
        yield part


@pytest.mark.parametrize("where", ["headers", "body", "status"])
def test_dripping_answer_ends_at_the_deadline(tree: Path, where: str) -> None:
    """Each byte comes in time, all of them together never."""

    def answer(handler: Handler) -> None:
        if where == "body":
            handler.send_response(200)
            handler.end_headers()
        elif where == "headers":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        _drip(handler, _many(b"H" if where == "status" else b"a"))

    with (
        serve(tree, answering(answer)) as address,
        HttpSource(address) as source,
        pytest.raises(SourceError, match=r"not finished within 0\.3 s"),
    ):
        read(source, seconds=0.3)


def test_redirects_are_followed_a_few_times(tree: Path) -> None:
    def answer(handler: Handler) -> None:
        hops = int(handler.path.rpartition("/")[2] or 0) if handler.path[-1].isdigit() else 0
        if hops < limit:
            handler.send_response(302)
            handler.send_header("Location", f"/x/{hops + 1}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"there")

    with serve(tree, answering(answer)) as address, HttpSource(address) as source:
        limit = 5
        assert read(source) == b"there"
        limit = 6
        with pytest.raises(SourceError, match="more than 5 redirects"):
            read(source)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://h/x", "gopher://h"])
def test_redirects_out_of_the_web_are_refused(tree: Path, target: str) -> None:
    def answer(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.end_headers()

    with (
        serve(tree, answering(answer)) as address,
        HttpSource(address) as source,
        pytest.raises(SourceError, match="refused a redirect"),
    ):
        read(source)


def test_redirect_from_https_to_http_is_refused() -> None:
    from signing.sources import _redirected

    with pytest.raises(SourceError, match="refused a redirect"):
        _redirected("https://a/x", "http://a/x", "x")
    assert _redirected("http://a/x", "https://a/x", "x") == "https://a/x"  # control


def test_failures_in_the_middle_of_metadata_are_source_errors(tmp_path: Path) -> None:
    simulator = RepositorySimulator(tmp_path / "repository")

    class Breaking(DirectorySource):
        def read(self, path: str, deadline: Deadline) -> Iterator[bytes]:
            data = b"".join(super().read(path, deadline))
            yield data[:10]
            raise SourceError("the cable was pulled")

    with pytest.raises(SourceError, match="the cable was pulled"):
        Machine(tmp_path / "cache", simulator.root).refresh(Breaking(simulator.directory))
