"""The same client, whatever it reads from: https, http, a folder, a read-only disk."""

from __future__ import annotations

import shutil
import ssl
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from marketplace_db.mirror import sync
from signing.client import DirectorySource, HttpSource, Source, fetch_blob
from signing.errors import MissingError, RollbackError, SourceError, VerificationError
from tests.fakes.certificates import self_signed
from tests.fakes.operated import DAY, Operated
from tests.fakes.repository import Machine, serve

Open = Callable[[Path], Source]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        return


class Https:
    """A folder behind TLS, with a certificate of an authority that only this test knows."""

    def __init__(self, folder: Path, served: Path) -> None:
        self.pem = self_signed(folder, "127.0.0.1")
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(served)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pem)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self.thread.start()
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}/"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[Operated, Path, Path]:
    """A marketplace, its tree after the first release, and its tree after the second."""
    operated = Operated(tmp_path_factory.mktemp("story"))
    operated.add(id="one")
    old = Path(shutil.copytree(operated.tree, operated.folder / "old"))
    operated.add(id="two")
    return operated, old, operated.tree


@pytest.fixture(params=["https", "http", "folder", "read-only"])
def reading(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Open]:
    """Open a tree the one way or the other."""
    closing: list[Callable[[], object]] = []

    def opened(tree: Path) -> Source:
        if request.param == "folder":
            return DirectorySource(tree)
        if request.param == "read-only":
            disk = Path(shutil.copytree(tree, tmp_path / f"disk-{len(closing)}"))
            for path in (*disk.rglob("*"), disk):
                path.chmod(0o555 if path.is_dir() else 0o444)
            closing.append(lambda: [p.chmod(0o755) for p in (disk, *disk.rglob("*"))])
            return DirectorySource(disk)
        if request.param == "http":
            stack = serve(tree)
            url = stack.__enter__()
            closing.append(lambda: stack.__exit__(None, None, None))
        else:
            folder = tmp_path / f"https-{len(closing)}"
            folder.mkdir()
            server = Https(folder, tree)
            monkeypatch.setenv("SSL_CERT_FILE", str(server.pem))
            closing.append(server.close)
            url = server.url
        source = HttpSource(url)
        closing.append(source.close)
        return source

    yield opened
    for close in reversed(closing):
        close()


def machine(operated: Operated, tmp_path: Path) -> Machine:
    return Machine(tmp_path / "cache", operated.root, now=operated.now)


def test_it_accepts_follows_and_goes_never_back(
    story: tuple[Operated, Path, Path], reading: Open, tmp_path: Path
) -> None:
    operated, old, new = story
    one = machine(operated, tmp_path)
    first = one.refresh(reading(old))
    second = one.refresh(reading(new))
    assert second.catalog.version > first.catalog.version
    assert one.state.log is not None
    assert len(one.state.log.notes) == 2
    with pytest.raises(RollbackError):
        one.refresh(reading(old))


def test_a_changed_file_is_refused(
    story: tuple[Operated, Path, Path], reading: Open, tmp_path: Path
) -> None:
    operated, _, new = story
    bad = Path(shutil.copytree(new, tmp_path / "bad"))
    for path in (bad / "targets" / "catalog").glob("*.catalog.db"):
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(VerificationError, match="signed is"):
        machine(operated, tmp_path).refresh(reading(bad))


def test_a_lost_file_is_named(
    story: tuple[Operated, Path, Path], reading: Open, tmp_path: Path
) -> None:
    operated, _, new = story
    bad = Path(shutil.copytree(new, tmp_path / "bad"))
    for path in (bad / "metadata").glob("*.snapshot.json"):
        path.unlink()
    with pytest.raises(MissingError, match=r"snapshot\.json"):
        machine(operated, tmp_path).refresh(reading(bad))


def test_expiry_is_judged_alike(
    story: tuple[Operated, Path, Path], reading: Open, tmp_path: Path
) -> None:
    operated, _, new = story
    late = machine(operated, tmp_path)
    late.now += 9 * DAY
    with pytest.raises(VerificationError, match="expired"):
        late.refresh(reading(new))


def test_a_mirror_of_it_is_the_same_and_a_blob_too(
    story: tuple[Operated, Path, Path], reading: Open, tmp_path: Path
) -> None:
    operated, _, new = story
    one = machine(operated, tmp_path)
    source = reading(new)
    report = sync(
        source, tmp_path / "mirror", root=one.root, cache=one.cache, state=one.state, now=one.now,
        build_time=one.build_time,
    )  # fmt: skip
    assert report.releases == 2
    for path in (new / "blobs").rglob("*"):
        if path.is_file():
            copied = tmp_path / "mirror" / path.relative_to(new)
            assert not copied.exists() or copied.read_bytes() == path.read_bytes()
    from marketplace_db.catalog import Catalog

    with Catalog.open(report.refreshed.catalog) as catalog:
        release = next(catalog.releases())
    fetch_blob(source, release.package, release.length, tmp_path / "package.zip")
    with pytest.raises(VerificationError):
        fetch_blob(source, release.package, release.length + 1, tmp_path / "other.zip")


def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the https case: it is the authority that makes it pass."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    server = Https(tmp_path, tmp_path)
    try:
        from signing.sources import Deadline

        with pytest.raises(SourceError, match=r"(?i)certificate"):
            list(HttpSource(server.url).read("metadata/timestamp.json", Deadline(10)))
    finally:
        server.close()
