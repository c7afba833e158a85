"""A mirror on the web: files with ranges, pages beside them, and the next catalog when it comes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from marketplace_db.mirror import sync
from marketplace_db.site import Site
from marketplace_db.web import build_app
from marketplace_db.web import mirror_front as fronts
from signing.client import DirectorySource, TrustState
from signing.digests import VerifiedFile
from tests.fakes.operated import Operated
from tests.marketplace_db.test_marketplace_bundle import Side


class Served:
    """A market of one plugin, and its mirror."""

    def __init__(self, folder: Path) -> None:
        self.operated = Operated(folder)
        self.operated.add(id="finder", version="1.0.0")
        self.side = Side(self.operated, folder / "side")
        self.side.sync()
        self.front = fronts._Front(
            self.side.mirror, build_app(self.load(), hosts=fronts.hosts_of("127.0.0.1")).app()
        )

    def load(self) -> VerifiedFile:
        site = Site(**self.side.known())
        cache = self.side.folder / "pages"
        return site.read(DirectorySource(self.side.mirror), cache=cache).catalog

    def ask(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.front)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as one:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return await one.request(method, path, headers=named)

        return asyncio.run(asked())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return Served(tmp_path_factory.mktemp("served"))


def blob_of(served: Served) -> Path:
    blobs = served.side.mirror / "blobs"
    return max(path for path in blobs.rglob("*") if path.is_file())


def test_files_come_whole_in_ranges_and_not_twice(served: Served) -> None:
    file = blob_of(served)
    content, path = file.read_bytes(), f"/{file.relative_to(served.side.mirror).as_posix()}"
    whole = served.ask(path)
    assert (whole.status_code, whole.content) == (200, content)
    assert whole.headers["etag"] == f'"{file.name}"'
    rest = served.ask(path, Range="bytes=10-")
    assert (rest.status_code, rest.content) == (206, content[10:])
    assert rest.headers["content-range"] == f"bytes 10-{len(content) - 1}/{len(content)}"
    assert served.ask(path, If_None_Match=whole.headers["etag"]).status_code == 304
    assert served.ask(path, Range=f"bytes={len(content)}-").status_code == 416
    head = served.ask(path, "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(content))


def test_pages_are_beside_them(served: Served) -> None:
    home = served.ask("/")
    assert home.status_code == 200
    assert "acme/finder" in home.text
    assert "script-src" not in home.headers["content-security-policy"]
    assert served.ask("/plugins/acme/finder").status_code == 200
    assert "account" not in home.text  # there is no market behind it


@pytest.mark.parametrize("path", [
    "/../secret", "/metadata/", "/metadata/%2e%2e/mirror.json", "/blobs/sha256/", "/.new-lock",
    "/queue", "/account", "/api/v1/plugins/marketplace",
])  # fmt: skip
def test_nothing_else_is_there(served: Served, path: str) -> None:
    found = served.ask(path)
    if found.status_code == 302:  # to the address without the slash
        found = served.ask(found.headers["location"])
    assert found.status_code in {400, 403, 404}


@pytest.mark.parametrize("path", ["/metadata/timestamp.json", "/", "/catalog"])
def test_nothing_is_written(served: Served, path: str) -> None:
    assert served.ask(path, "POST").status_code in {403, 405}
    assert served.ask(path, "DELETE").status_code in {403, 405}


def test_pages_do_not_answer_to_foreign_names_and_files_do(served: Served) -> None:
    assert served.ask("/", Host="evil.example").status_code in {400, 403, 421}
    assert served.ask("/metadata/timestamp.json", Host="mirror.example").status_code == 200


@pytest.fixture
def running(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The server, but for the socket: what it would say, and its application."""
    monkeypatch.setattr(fronts, "_LOOK_S", 0.02)
    said: list[str] = []
    started, over = threading.Event(), threading.Event()
    found: dict[str, Any] = {"said": said}

    def run(front: Any, host: str, port: int, *, ready: Any) -> None:
        found["front"] = front
        started.set()
        over.wait(300)

    monkeypatch.setattr(fronts, "run", run)
    thread = threading.Thread(
        target=fronts.serve_mirror,
        args=(served.side.mirror, served.load),
        kwargs={"say": said.append},
    )
    thread.start()
    assert started.wait(120)
    yield found
    over.set()
    thread.join()


def test_the_next_catalog_takes_the_place_of_the_last(
    served: Served, running: dict[str, Any]
) -> None:
    served.operated.add(id="keeper", version="1.0.0")
    sync(served.operated.tree, served.side.mirror, **{**served.side.known(), "state": TrustState()})
    end = time.monotonic() + 120
    while not running["said"] and time.monotonic() < end:
        time.sleep(0.02)
    newest = served.load().version
    assert running["said"] == [f"The pages show catalog version {newest}."]
    served.front = running["front"]
    assert "acme/keeper" in served.ask("/").text

    timestamp = served.side.mirror / "metadata" / "timestamp.json"
    good = timestamp.read_bytes()
    timestamp.write_bytes(good[:-3])
    end = time.monotonic() + 120
    while len(running["said"]) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    assert running["said"][1].startswith(
        f"The pages show version {newest}, as the newer one is refused: "
    )
    assert "acme/keeper" in served.ask("/").text
    timestamp.write_bytes(good)
