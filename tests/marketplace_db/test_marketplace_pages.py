"""The pages of a served marketplace: others' words are text, forms are ours, no script runs."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from jinja2 import Environment

from marketplace_db.scores import read_scores
from marketplace_db.web import plugin
from marketplace_db.web.markdown import render
from tests.fakes.browser import CHROMIUM, chromium
from tests.fakes.served import Served, marketplace

ATTACKS = Path(__file__).parents[1] / "attacks" / "web"
MARKUP = (ATTACKS / "markup.txt").read_text().splitlines()
QUERIES = (ATTACKS / "queries.txt").read_text().splitlines()
LINKS = "[a](javascript:alert(1)) ![b](//evil.example/x)\n"
README = "# Reach\n\n" + "\n\n".join((*MARKUP, LINKS))
PAGES = ["/", "/plugins/acme/reach", "/publishers/acme", "/advisories", "/account"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    operated = marketplace(tmp_path_factory.mktemp("pages"), count=2)
    operated.add(id="reach", name="Reach", version="2.0.0", files={"README.md": README})
    opened = Served(operated)
    yield opened
    opened.stop()


def hidden(page: str) -> str:
    found = re.search(r'name="code" value="([0-9a-f]{64})"', page)
    assert found is not None, page
    return found[1]


def sign_in(served: Served, user: str) -> httpx.Client:
    client = httpx.Client(base_url=served.url, trust_env=False, timeout=60)
    code = hidden(client.get("/account").text)
    done = client.post("/account/sign-in", data={"code": code, "token": served.tokens[user]})
    assert (done.status_code, done.headers["location"]) == (303, "/account")
    return client


@pytest.mark.parametrize("path", PAGES)
def test_a_page_runs_no_script_and_loads_nothing_from_elsewhere(served: Served, path: str) -> None:
    page = served.client.get(path)
    assert page.status_code == 200
    assert "<script" not in page.text.replace("&lt;script", "")
    assert not re.search(r"<[^>]+ (?:style|on\w+)=", page.text)
    loaded = r"""<(?:img|link|iframe|object|form)[^>]+(?:src|href|action)=["'](?!/|data:,)"""
    assert re.findall(loaded, page.text) == []
    policy = page.headers["content-security-policy"]
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert '<html lang="en">' in page.text
    assert len(re.findall("<h1", page.text)) == 1
    for field in re.findall(r'<(?:input|select|textarea) id="([\w-]+)"', page.text):
        assert f'<label for="{field}"' in page.text
    for name in re.findall(r'aria-labelledby="([\w-]+)"', page.text):
        assert f'id="{name}"' in page.text


def test_a_readme_is_text_and_never_markup(served: Served) -> None:
    page = served.client.get("/plugins/acme/reach").text
    inside = page.split('<div class="readme">')[1].split("</div>")[0]
    assert "<h3>Reach</h3>" in inside
    tags = set(re.findall(r"<(\w+)", inside))
    assert tags <= {"h3", "p", "code", "strong", "em", "ul", "li", "blockquote", "pre", "a"}
    leads = "".join(re.findall(r'(?:src|href)="[^"]*"', inside))
    assert "javascript:" not in leads
    assert "evil.example/x" not in leads
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in inside


@pytest.mark.parametrize("text", MARKUP)
def test_markdown_lets_no_markup_through(text: str) -> None:
    for form in (text, f"[{text}]({text})", f"`{text}`", f"# {text}", f"- {text}", f"> {text}",
                 f"|{text}|b|\n|-|-|\n|{text}|c|", f"```\n{text}", f"**{text}**", f"    {text}",
                 f"<https://e.example/{text}>", f"![{text}](https://e.org/{text})"):  # fmt: skip
        html = render(form)
        tags = re.findall(r"<(/?\w+)([^<>]*)>", html)
        for tag, attributes in tags:
            assert tag.strip("/") in {
                "h3", "p", "code", "strong", "em", "ul", "li", "blockquote", "pre", "table",
                "thead", "tbody", "tr", "th", "td", "a", "hr", "ol",
            }  # fmt: skip
            rel = "nofollow noopener noreferrer"
            safe = rf'|/| scope="col"| href="(?:https?://|mailto:)[^"<>]*" rel="{rel}"'
            assert re.fullmatch(safe, attributes), html
        assert html.count("<") == len(tags)


def test_no_attack_in_an_address_becomes_markup_or_a_defect(served: Served) -> None:
    for attack in (*MARKUP, *QUERIES):
        for name in ("q", "type", "category", "tag", "license", "sort", "cursor", "min_rating",
                     "version", "without"):  # fmt: skip
            for path in ("/", "/plugins/acme/reach"):
                page = served.client.get(path, params={name: attack})
                assert page.status_code < 500
                if "<" in attack:
                    assert attack not in page.text
    assert {line["level"] for line in served.lines()} == {"info"}


def test_a_form_of_another_site_changes_nothing(served: Served) -> None:
    bob = sign_in(served, "bob")
    page = bob.get("/plugins/acme/reach").text
    good = {"code": hidden(page), "rating": "3", "title": "Fine", "version": "2.0.0"}
    path = "/plugins/acme/reach/review"

    def state() -> list[object]:
        return served.ask("GET", "/reviews", "carol").json()["reviews"]

    before = state()
    for headers, data in (
        ({}, {**good, "code": "0" * 64}),
        ({}, {**good, "code": ""}),
        ({}, {**good, "code": "\u00e9"}),
        ({"origin": "https://evil.example"}, good),
        ({"origin": "null"}, good),
        ({"sec-fetch-site": "cross-site"}, good),
        ({"sec-fetch-site": "same-site"}, good),
        ({"content-type": "text/plain"}, good),
    ):
        refused = bob.post(path, data=data, headers=headers)
        assert refused.status_code == 403, headers
        assert "No page of ours sent this form" in refused.text
    assert served.client.post(path, data=good).status_code == 403, "without the cookie"
    assert state() == before
    assert bob.post(path, data=good, headers={"origin": served.url.rstrip("/")}).status_code == 303
    assert len(state()) == len(before) + 1  # control: it is the form that was refused
    assert bob.post(path, content=b"x" * 20_000).status_code == 413
    assert bob.get("/queue").status_code == 403
    alice = sign_in(served, "alice")
    assert 'name="rating"' not in alice.get("/plugins/acme/reach").text, "her own work"


def test_an_operator_shows_and_hides_reviews(served: Served) -> None:
    text = MARKUP[0]
    done = served.ask("POST", "/plugins/acme%2Freach/reviews", "bob",
                      json={"rating": 2, "title": text, "body": "{{ 7 * 6 }}"})  # fmt: skip
    review = done.json()["id"]
    carol = sign_in(served, "carol")
    queue = carol.get("/queue").text
    assert text not in queue
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in queue
    show = {"code": hidden(queue), "review": review, "state": "published"}
    shown = carol.post("/queue/moderate", data=show)
    assert shown.status_code == 303
    page = served.client.get("/plugins/acme/reach").text
    assert text not in page
    assert "{{ 7 * 6 }}" in page
    assert "2.0 of 5" in page
    without = {"code": hidden(queue), "review": review, "state": "hidden"}
    assert carol.post("/queue/moderate", data=without).status_code == 409
    assert carol.post("/queue/moderate", data={**without, "reason": "x"}).status_code == 303
    assert "{{ 7 * 6 }}" not in served.client.get("/plugins/acme/reach").text
    bob = sign_in(served, "bob")
    assert bob.post("/queue/moderate", data={**without, "reason": "x"}).status_code == 403


def test_the_cookie_is_for_our_pages_alone(served: Served) -> None:
    client = httpx.Client(base_url=served.url, trust_env=False, timeout=60)
    page = client.get("/account")
    code = hidden(page.text)
    wrong = client.post("/account/sign-in", data={"code": code, "token": "tavo_" + "x" * 43})
    assert (wrong.status_code, "unknown, over or revoked" in wrong.text) == (403, True)
    done = client.post("/account/sign-in", data={"code": code, "token": served.tokens["bob"]})
    cookie = done.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    account = client.get("/account")
    assert "other-corp" in account.text
    assert account.headers["cache-control"] == "private, no-store"
    assert client.get("/api/v1/account").status_code == 401, "the API takes no cookie"
    out = client.post("/account/sign-out", data={"code": hidden(account.text)})
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert "Sign in" in client.get("/account").text
    for method in ("GET", "PUT", "DELETE"):
        assert client.request(method, "/account/sign-in").status_code == 405
    assert client.post("/catalog/plugins").status_code == 405
    assert client.post("/-/logout").status_code == 405


def test_control_without_escaping_the_corpus_is_markup() -> None:
    """The same template, with escaping off, lets the script through: the corpus attacks it."""
    folder = Path(plugin.__file__).parent / "pages"
    template = (folder / "tavo_problem.html").read_text().replace("{% extends", "{# extends")
    template = template.replace('"tavo_base.html" %}', '"tavo_base.html" #}')
    for escape, expected in ((True, False), (False, True)):
        shown = Environment(autoescape=escape).from_string(template)
        text = shown.render(title="x", problem=MARKUP[0])
        assert (MARKUP[0] in text) is expected


def test_control_a_statement_made_of_text_is_attacked_by_the_corpus(served: Served) -> None:
    """What the API asks with values gives nothing; put together from text it gives everything."""
    path = served.operated.directory / "market.db"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        by_value = "SELECT hash FROM tokens WHERE name = ?"
        assert connection.execute(by_value, (QUERIES[0],)).fetchall() == []
        by_text = f"SELECT hash FROM tokens WHERE name = '{QUERIES[0]}"
        assert len(connection.execute(by_text + "'").fetchall()) == len(served.tokens)
    found = served.ask("GET", "/plugins/marketplace", params={"q": QUERIES[0]}).json()
    assert found["total"] == 0


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_signs_in_and_writes_a_review_without_a_script(
    served: Served, tmp_path: Path
) -> None:
    base = served.url.rstrip("/")
    with chromium(tmp_path / "profile") as page:
        for path in PAGES:
            for dark in (False, True):
                page.open(base + path, dark=dark, script=False)
                assert page.errors == [], path
                assert {one.split("/")[2] for one in page.requests if "//" in one} == {
                    base.split("/")[2]
                }
        for _ in range(20):
            page.open(f"{base}/account")
            if "other-corp" in page.run("document.body.innerText"):
                break
            page.run(f"document.getElementById('token').value = {served.tokens['dave']!r}")
            page.run("document.querySelector('main form').submit()")
            time.sleep(0.5)  # another page at once would stop the form on its way
        assert "other-corp" in page.run("document.body.innerText")
        assert page.run("document.cookie") == "", "no script reads it"


GOOD = {"format": 1, "held_out": [{"data": "<b>held out</b>", "metric": "recall", "value": 0.83125,
                                   "rows": 629}]}  # fmt: skip


def test_scores_are_read_in_one_form_only() -> None:
    row = GOOD["held_out"][0]  # type: ignore[index]
    assert read_scores(json.dumps(GOOD).encode())[0].value == 0.83125
    for wrong in (
        b"", b"{", b"[]", b"\xff", b"[" * 100_000, json.dumps({**GOOD, "format": 2}).encode(),
        json.dumps({**GOOD, "more": 1}).encode(), json.dumps({**GOOD, "held_out": []}).encode(),
        json.dumps({**GOOD, "held_out": [row] * 21}).encode(),
        *(
            json.dumps({**GOOD, "held_out": [{**row, **change}]}).encode()
            for change in (
                {"data": "x" * 161}, {"data": ""}, {"data": "a\u202eb"}, {"metric": "a\nb"},
                {"value": "1"}, {"value": 1e300}, {"rows": 0}, {"rows": 1.5}, {"url": "x"},
            )
        ),
        json.dumps(GOOD).encode() + b" " * 70_000,
    ):  # fmt: skip
        assert read_scores(wrong) == (), wrong[:100]


def test_held_out_scores_are_shown_as_the_publishers_word(served: Served) -> None:
    served.operated.add(id="scored", name="Scored", files={"scores.json": json.dumps(GOOD)})
    served.operated.add(id="unscored", name="Unscored", files={"scores.json": "{}"})
    end = time.monotonic() + 30
    while (page := served.client.get("/plugins/acme/unscored")).status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert "Held-out scores" not in page.text
    text = served.client.get("/plugins/acme/scored").text
    section = text.partition('id="scores"')[2].partition("</section>")[0]
    assert "As its publisher measured them" in section
    assert "&lt;b&gt;held out&lt;/b&gt;" in section
    assert "<td>0.8313</td><td>629</td>" in section
    assert "<b>" not in section
