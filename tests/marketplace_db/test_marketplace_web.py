"""The catalog's pages, asked over real HTTP from a real server."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from marketplace_db.errors import MarketplaceError
from marketplace_db.package import build_package
from marketplace_db.web.server import _bound
from signing.digests import hash_file
from tests.fakes.operator_market import Marketplace
from tests.fakes.repository import NOW, RepositorySimulator

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from datetime import datetime
from pathlib import Path
from marketplace_db.web import serve
from signing.client import DirectorySource, TrustState, refresh

folder, now = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
done = refresh(DirectorySource(folder / "repository"), root=(folder / "root.json").read_bytes(),
               cache=folder / "cache", state=TrustState(), now=now, build_time=now)
serve(done.catalog, port=0, ready=lambda url: print(done.catalog.path, url, flush=True))
"""
XSS = "<script>alert(1)</script>"


TOGETHER = """
import asyncio, sys
from datetime import datetime
from pathlib import Path
import httpx
from marketplace_db.web.server import build_app, pages_of
from signing.client import DirectorySource, TrustState, refresh

folder, now = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
done = refresh(DirectorySource(folder / "repository"), root=(folder / "root.json").read_bytes(),
               cache=folder / "cache", state=TrustState(), now=now, build_time=now)

async def ask(app):
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return sorted(one.status_code for one in
                      await asyncio.gather(*(client.get("/") for _ in range(6))))

print(asyncio.run(ask(pages_of(build_app(done.catalog)))))
print(asyncio.run(ask(build_app(done.catalog).app())))
"""


def start(folder: Path) -> tuple[subprocess.Popen[str], Path, str]:
    server = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), NOW.isoformat()],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    line = server.stdout.readline()
    path, _, url = line.strip().rpartition(" ")
    assert url, "the server did not start"
    return server, Path(path), url


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    market = Marketplace(folder)
    market.approve(market.package(publisher="tavo", id="model-files", name="Model files"))
    more = "permissions: {network: [api.example.com], env: [API_KEY]}\npricing_tier: paid\n"
    market.approve(market.package(id="reach", name="Reach", more=more))
    market.approve(market.package(id="reach", name="Reach", version="1.1.0", more=more))
    market.approve(market.package(id="hostile", name=XSS, more='file_patterns: ["*.pkl"]\n'))
    market.market.yank("acme/reach", "1.0.0", reason=f"breaks {XSS}", now=NOW)
    with market.market.connection as connection:
        connection.execute(
            "INSERT INTO plugin_reviews (uuid, plugin_version_id, author, rating, title, body,"
            " state, created_at) VALUES ('u', 3, ?, 4, ?, ?, 'published', '2026-11-22T12:00:00Z')",
            ('"><img src=x onerror=alert(1)>', XSS, "{{ 7 * 7 }}\n</p>"),
        )
    market.release()
    simulator = RepositorySimulator(
        folder / "repository",
        catalog=market.catalog.read_bytes(),
        publishers=market.publishers,
        development=True,
    )
    (folder / "root.json").write_bytes(simulator.root)
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    server, path, url = start(folder)
    before = hash_file(path)
    try:
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as opened:
            yield opened
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)
    assert hash_file(path) == before
    assert [item.name for item in path.parent.iterdir() if "-" in item.suffix] == []


def test_the_catalog_page_lists_searches_and_filters(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "3 plugins" in page.text
    assert '<a href="/plugins/tavo/model-files">Model files</a>' in page.text
    found = client.get("/", params={"q": "model"}).text
    assert "1 plugin ·" in found
    assert "acme/reach" not in found
    assert 'value="model"' in found
    assert "3 plugins" in client.get("/", params={"type": "static", "category": "testing"}).text
    empty = client.get("/", params={"type": "proxy"})
    assert empty.status_code == 200
    assert "No plugin matches" in empty.text
    assert "No plugin matches" in client.get("/", params={"q": "x" * 5000}).text


def test_a_plugin_page_says_what_it_can_and_can_not_do(client: httpx.Client) -> None:
    page = client.get("/plugins/acme/reach").text
    can, cannot = page.split("It can <strong>NOT</strong>")
    assert "connect to api.example.com:443" in can
    assert "read these environment variables, each only if you grant it: API_KEY" in can
    assert "start other programs" in cannot
    assert "connect to any other host" in cannot
    assert "tavo registry install acme/reach<" in page
    assert re.search(r"sha256:[0-9a-f]{64}", page)
    assert page.count("Approved by a reviewer") == 2
    assert "withdrawn" in page


def test_an_old_version_has_its_own_page(client: httpx.Client) -> None:
    page = client.get("/plugins/acme/reach", params={"version": "1.0.0"}).text
    assert "This version was withdrawn</strong>: breaks &lt;script&gt;" in page
    assert "tavo registry install" not in page
    assert client.get("/plugins/acme/reach", params={"version": "7"}).status_code == 404


def test_an_unknown_plugin_is_a_404_with_a_way_on(client: httpx.Client) -> None:
    page = client.get("/plugins/tavo/model-file")
    assert page.status_code == 404
    assert "did you mean &#39;tavo/model-files&#39;?" in page.text


@pytest.mark.parametrize("path", ["/", "/plugins/acme/hostile", "/plugins/nobody/x", "/catalog"])
def test_a_development_root_is_named_on_every_page(client: httpx.Client, path: str) -> None:
    assert "DEVELOPMENT ROOT" in client.get(path).text


PAGES = [
    "/",
    "/?q=%3Cscript%3Ealert(1)%3C/script%3E",
    "/?q=%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E&category=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
    "/?type=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
    "/plugins/acme/hostile",
    "/plugins/acme/reach",
    "/plugins/acme/reach?version=1.0.0",
    "/plugins/acme/reach?version=%3Cscript%3Ealert(1)%3C/script%3E",
    "/catalog/plugins",
    "/catalog/plugin_reviews",
]


@pytest.mark.parametrize("path", PAGES)
def test_what_others_wrote_is_text_and_never_markup(client: httpx.Client, path: str) -> None:
    text = client.get(path).text
    assert XSS not in text
    assert "<img src=x" not in text
    assert "49" not in re.findall(r'class="body">([^<]*)<', text)


@pytest.mark.parametrize("path", ["/", "/plugins/acme/reach", "/plugins/acme/nothing"])
def test_our_pages_run_no_script_and_load_nothing_from_elsewhere(
    client: httpx.Client, path: str
) -> None:
    page = client.get(path)
    assert "<script" not in page.text
    assert " style=" not in page.text
    assert re.findall(r"""(?:src|href)=["'](?!/|#|data:,)""", page.text) == []
    assert "https://" not in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert "unsafe" not in policy


def test_pages_can_be_used_without_seeing_them(client: httpx.Client) -> None:
    for path in ("/", "/plugins/acme/reach"):
        text = client.get(path).text
        assert '<html lang="en">' in text
        assert 'href="#main"' in text
        assert len(re.findall("<h1", text)) == 1
        for field in re.findall(r'<(?:input|select) id="(\w+)"', text):
            assert f'<label for="{field}"' in text
        for table in re.findall(r"<table>.*?</table>", text, re.S):
            assert "<th scope=" in table
        for name in re.findall(r'aria-labelledby="([\w-]+)"', text):
            assert f'id="{name}"' in text
    style = client.get("/-/tavo.css")
    assert style.headers["content-type"].startswith("text/css")
    for needed in ("prefers-color-scheme: dark", ":focus-visible", "max-width: 48rem"):
        assert needed in style.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "MKCOL"])
@pytest.mark.parametrize("path", ["/", "/plugins/acme/reach", "/catalog/plugins", "/-/logout"])
def test_no_request_writes(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_head_answers_without_a_body(client: httpx.Client) -> None:
    answer = client.head("/")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/catalog?sql=select+1",
        "/catalog.json?sql=select+1",
        "/catalog/plugins?_where=1=1",
        "/catalog.db",
    ],
)
def test_sql_and_download_are_off(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/-/databases.json", "/-/threads", "/-/messages", "/-/allow-debug", "/-/metadata",
     "/-/settings", "/-/plugins", "/-/auth-token", "/_internal", "/_memory", "/-/tavo",
     "/-/static/../../../../etc/passwd", "/plugins/../../etc/passwd", "/plugins/a/b/c"],
)  # fmt: skip
def test_nothing_else_is_served(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in {403, 404}
    assert "root:" not in answer.text
    assert "catalog.db" not in answer.text


def test_errors_are_not_printed_with_all_variables(folder: Path) -> None:
    server, _, url = start(folder)
    try:
        for path in ("nothing", "catalog/nothing", "plugins/a/b/c", "catalog/plugins?_where=1"):
            answer = httpx.get(url + path, trust_env=False, timeout=60)
            assert answer.status_code in {403, 404}
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0  # that is how one ends it
    assert server.stdout is not None
    assert server.stdout.read() == ""


def test_raw_tables_stay_browsable(client: httpx.Client) -> None:
    rows = client.get("/catalog/plugins.json?_shape=array").json()
    assert {row["full_id"] for row in rows} == {"tavo/model-files", "acme/reach", "acme/hostile"}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_rebound_host_name_is_not_answered(client: httpx.Client, host: str) -> None:
    answer = client.get("/", headers={"host": host})
    assert answer.status_code in {400, 421}
    assert "Model files" not in answer.text


def test_control_our_own_names_are_answered(client: httpx.Client) -> None:
    for host in ("localhost", "LOCALHOST:8001", "127.0.0.1:9", "[::1]:8001"):
        assert client.get("/", headers={"host": host}).status_code == 200


def test_another_datasette_in_the_process_is_left_alone(folder: Path) -> None:
    """The hooks act only for a Datasette that was given a catalog."""
    code = (
        "import asyncio\n"
        "from datasette.app import Datasette\n"
        "from datasette.plugins import pm\n"
        "from marketplace_db.web import plugin\n"
        "pm.register(plugin, 'tavo-catalog')\n"
        "ds = Datasette([], memory=True)\n"
        "async def main():\n"
        "    answer = await ds.client.get('/')\n"
        "    print(answer.status_code, 'DEVELOPMENT' in answer.text, '_memory' in answer.text)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["200", "False", "True"]


def test_a_busy_port_is_one_sentence(client: httpx.Client, folder: Path) -> None:
    code = (
        "import sys\n"
        "from marketplace_db.errors import MarketplaceError\n"
        "from tests.fakes.repository import verified_catalog\n"
        "from pathlib import Path\n"
        "from marketplace_db.web import serve\n"
        "folder = Path(sys.argv[1])\n"
        "verified = verified_catalog(folder, Path(sys.argv[2]))\n"
        "try:\n"
        "    serve(verified, port=int(sys.argv[3]))\n"
        "except MarketplaceError as error:\n"
        "    print(error, '|', error.hint)\n"
    )
    port = client.base_url.port
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "busy"), str(folder / "catalog.db"), str(port)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "cannot listen there" in done.stdout, done.stderr
    assert "Choose another port" in done.stdout


@pytest.mark.parametrize("host", ["nohost.invalid", "192.0.2.1"])
def test_a_host_that_is_not_here_is_no_matter_of_ports(host: str) -> None:
    with pytest.raises(MarketplaceError, match=f"{host}:0: cannot listen there") as raised:
        _bound(host, 0)
    assert raised.value.hint == "Choose an address of this machine, such as 127.0.0.1."


def test_building_the_example_plugin_gives_a_package(tmp_path: Path) -> None:
    build_package(ROOT / "examples" / "plugins" / "model-files", tmp_path / "x.zip")


def test_the_first_requests_may_come_together(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TOGETHER, str(folder), NOW.isoformat()], check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    ours, control = done.stdout.splitlines()
    assert ours == str([200] * 6)
    assert "500" in control, "Datasette alone fails those that come while it gets ready"
