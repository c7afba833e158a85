"""The page of the admin port: what it shows, who may see it, and that a browser agrees."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tavo.proxy.admin import AdminServer
from tavo.proxy.config import Audit, Price
from tavo.proxy.fleet import Local
from tavo.proxy.live import merged
from tests.fakes.browser import CHROMIUM, chromium
from tests.fakes.scripted_upstream import Asked, Client, Stage, answer, staged

FILTERS = [
    {"filter": "pii"},
    {"filter": "content", "rules": [{"id": "falcon", "words": ["falcon"]}]},
]


async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
    if b"broken" in asked.body:
        writer.write(answer(b'{"error": {"message": "no"}}', status=b"500 Bad"))
    else:
        writer.write(answer())


class Desk:
    def __init__(self, stage: Stage, admin: AdminServer, token: str) -> None:
        self.stage, self.admin, self.token = stage, admin, token
        self.port = admin.port
        self.host = f"Host: 127.0.0.1:{admin.port}"

    async def ask(self, line: str, *headers: str, body: str = "") -> tuple[int, str, str]:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        more = [f"Content-Length: {len(body)}"] if body else []
        client.send("\r\n".join([f"{line} HTTP/1.1", *headers, *more, "", body]).encode())
        head, _, text = (await client.rest()).decode().partition("\r\n\r\n")
        client.close()
        return int(head.split(" ")[1]), head, text

    async def login(self) -> str:
        status, head, _ = await self.ask("POST /login", self.host, body=f"token={self.token}")
        assert status == 303
        found = re.search(r"Set-Cookie: (\S+?); Path=/; HttpOnly; SameSite=Strict", head)
        assert found
        return f"Cookie: {found[1]}"

    async def exchange(self, text: str, model: str = "gpt-4o") -> bytes:
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        _, fields, _ = await self.stage.ask(
            b"Authorization: Bearer sk-1", body=json.dumps(body).encode()
        )
        return fields[b"x-tavo-request-id"]


@asynccontextmanager
async def desk(folder: Path, **config: Any) -> AsyncIterator[Desk]:
    log = folder / "audit.jsonl"
    config.setdefault("filters", FILTERS)
    prices = {"gpt-*": Price(input=2.5, output=10)}
    async with staged(script, audit=Audit(file=str(log)), prices=prices, **config) as stage:
        admin = AdminServer(Local(stage.app, None), folder / "token", audit_files=[log])
        await admin.start(0)
        try:
            yield Desk(stage, admin, (folder / "token").read_text().strip())
        finally:
            await admin.stop()


def test_the_page_wants_the_token_and_gives_no_power(tmp_path: Path) -> None:
    async def main() -> None:
        async with desk(tmp_path) as one:
            own = f"Origin: http://127.0.0.1:{one.port}"
            status, _, text = await one.ask("GET /", one.host)
            assert status == 401
            assert "The token stands in" in text
            assert one.token not in text
            status, _, text = await one.ask("POST /login", one.host, body="token=wrong")
            assert (status, "That is not the token." in text) == (401, True)
            evil = "Origin: http://evil.example"
            login = f"token={one.token}"
            assert (await one.ask("POST /login", one.host, evil, body=login))[0] == 403
            assert (await one.ask("POST /login", one.host, own, body=login))[0] == 303
            assert (await one.ask(f"GET /?token={one.token}", one.host))[0] == 401
            cookie = await one.login()
            status, head, text = await one.ask("GET /", one.host, cookie)
            assert status == 200
            assert "default-src 'none'; style-src 'sha256-" in head
            assert "<script" not in text
            # a cookie opens pages, and neither reloads nor reads figures as programs do
            assert (await one.ask("POST /reload", one.host, cookie))[0] == 401
            assert (await one.ask("GET /metrics", one.host, cookie))[0] == 401
            assert (await one.ask("GET /", "Host: evil.example", cookie))[0] == 403
            assert (await one.ask("GET /", one.host, cookie[:-1]))[0] == 401

    asyncio.run(main())


def test_the_page_shows_what_passed_and_escapes_what_clients_wrote(tmp_path: Path) -> None:
    async def main() -> str:
        async with desk(tmp_path) as one:
            for _ in range(3):
                await one.exchange("hello")
            await one.exchange("mail a@example.org")
            await one.exchange("falcon", model="<script>alert(1)</script>\u202e")
            await one.exchange("broken")
            return (await one.ask("GET /", one.host, await one.login()))[2]

    text = asyncio.run(main())
    for shown in (
        "<b class=\"\">6</b><span>exchanges</span>", '<b class="bad">1</b><span>refused or blocked',
        '<b class="bad">1</b><span>failed</span>', "content block content.falcon",
        "<td>pii</td><td>modify</td><td>request</td>",
        "&lt;script&gt;alert(1)&lt;/script&gt;\ufffd",
        "500 done", "403 blocked",
    ):  # fmt: skip
        assert shown in text, shown
    assert "<script" not in text
    assert "a@example.org" not in text


def test_the_id_of_an_answer_opens_its_rows(tmp_path: Path) -> None:
    async def main() -> None:
        async with desk(tmp_path) as one:
            name = (await one.exchange("mail a@example.org")).decode()
            bearer = f"Authorization: Bearer {one.token}"
            status, _, text = await one.ask(f"GET /audit?id={name}", one.host, bearer)
            rows = json.loads(text)["rows"]
            assert (status, [row["kind"] for row in rows]) == (200, ["asked", "done"])
            assert {row["id"] for row in rows} == {name}
            cookie = await one.login()
            status, _, text = await one.ask(f"GET /audit?id={name}", one.host, cookie)
            assert (status, text.count("&quot;verdict&quot;: &quot;modify&quot;")) == (200, 1)
            assert (await one.ask("GET /audit?id=0000-ffff", one.host, cookie))[0] == 404
            for wrong in ("../etc", "", "a&id=b&c=d&e=f&g=h"):
                assert (await one.ask(f"GET /audit?id={wrong}", one.host, cookie))[0] == 400
            assert (await one.ask(f"GET /audit?id={name}", one.host))[0] == 401

    asyncio.run(main())


@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium")
def test_a_browser_shows_it_without_a_script(tmp_path: Path) -> None:
    async def main() -> None:
        async with desk(tmp_path) as one:
            for number in range(12):
                await one.exchange("hello", model=f"gpt-{number % 3}")
            await one.exchange("mail a@example.org")
            name = (await one.exchange("falcon")).decode()
            await asyncio.to_thread(browse, one, name)

    def browse(one: Desk, name: str) -> None:
        with chromium(tmp_path / "profile") as page:
            page.open(f"http://127.0.0.1:{one.port}/", script=True)
            page.run(f"document.querySelector('input').value = {one.token!r}")
            page._loaded = False
            page.run("document.querySelector('button').click()")
            while not page._loaded:
                page._receive()
            for dark in (False, True):
                page.open(f"http://127.0.0.1:{one.port}/", script=False, dark=dark)
                page.screenshot(tmp_path / f"page-{dark}.png")
                assert page.errors == []
                assert page.run("document.querySelector('.tile b').textContent") == "14"
                # everything is styled: the policy lets our style through
                back = page.run("getComputedStyle(document.body).backgroundColor")
                assert back == ("rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)")
                wide = page.run("document.documentElement.scrollWidth")
                assert wide <= page.run("document.documentElement.clientWidth")
            page.open(f"http://127.0.0.1:{one.port}/", width=400, script=False)
            page.screenshot(tmp_path / "page-narrow.png")
            wide = page.run("document.documentElement.scrollWidth")
            assert wide <= page.run("document.documentElement.clientWidth")
            link = page.run("document.querySelector('td a').href")
            assert link.endswith(f"/audit?id={name}")
            page.open(link, script=False)
            page.screenshot(tmp_path / "page-rows.png")
            assert '"verdict": "block"' in page.run("document.body.textContent")

    asyncio.run(main())


@pytest.mark.parametrize("filters", [FILTERS, []])
def test_what_is_usual_does_not_stand_out(tmp_path: Path, filters: list[Any]) -> None:
    async def main() -> list[Any]:
        async with desk(tmp_path, filters=filters) as one:
            await one.exchange("hello")
            await one.exchange("broken")
            noted: list[Any] = one.stage.app.snapshot()["live"]["noted"]
            return noted

    assert [one["status"] for one in asyncio.run(main())] == [500]


def test_what_the_page_shows_of_several_workers_adds_up() -> None:
    one = {
        "minutes": [[5, 2, 1, 0, 7, 0.5], [6, 1, 0, 0, 0, 0.0]],
        "clients": [["team", 3, 1, 0, 7, 0.5]],
        "noted": [{"at": 1.0, "id": "a"}, {"at": 3.0, "id": "c"}],
    }
    other = {
        "minutes": [[6, 4, 0, 1, 1, 0.25]], "clients": [["team", 4, 0, 1, 1, 0.25]],
        "noted": [{"at": 2.0, "id": "b"}],
    }  # fmt: skip
    total = merged([one, other])
    assert total["minutes"] == [[5, 2, 1, 0, 7, 0.5], [6, 5, 0, 1, 1, 0.25]]
    assert total["clients"] == [["team", 7, 1, 1, 8, 0.75]]
    assert [row["id"] for row in total["noted"]] == ["c", "b", "a"]
