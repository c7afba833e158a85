"""The page in a real browser: it opens, filters, sorts and explains without an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tavo.results.export.html import run_to_html
from tavo.results.store import ResultStore
from tavo.results.values import Reported
from tests.fakes.browser import CHROMIUM, Page, chromium
from tests.fakes.results import NOTICES, PLUGIN_RUN, everything, many_findings, stored_run
from tests.results.test_results_html import HOSTILE, hostile

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH"),
]
SET = """
(async () => {{
  const field = document.querySelector('form [data-filter={name}]');
  field.value = {value!r};
  field.dispatchEvent(new Event('input', {{bubbles: true}}));
  await new Promise((done) => setTimeout(done, 300));
}})()
"""
COUNT = "document.getElementById('count').textContent"
SHOWN = "Array.from(document.querySelectorAll('.f')).filter((f) => f.checkVisibility()).length"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


def page_in(folder: Path, findings: list[Reported], change: tuple[str, str] = ("", "")) -> str:
    store = ResultStore()
    run_id = stored_run(store, findings, NOTICES, (PLUGIN_RUN,), exit_code=1)
    text = run_to_html(store.run(run_id), store.findings(run_id))
    file = folder / "report.html"
    file.write_text(text.replace(*change), "utf-8")
    return file.as_uri()


def choose(page: Page, **filters: str) -> str:
    for name, value in filters.items():
        page.run(SET.format(name=name, value=value))
    return str(page.run(COUNT))


def test_five_thousand_findings_open_and_filter(browser: Page, tmp_path: Path) -> None:
    browser.open(page_in(tmp_path, many_findings(5000)))
    assert browser.run(COUNT) == "4,900 of 5,000 findings", "what is ignored is not shown at first"
    assert choose(browser, s="4") == f"{browser.run(SHOWN):,} of 5,000 findings"
    counts = [int(choose(browser, **one).split()[0].replace(",", "")) for one in (
        {"s": ""}, {"p": "area7/"}, {"q": "question_1 value_4"}, {"i": "all"}, {"i": "only"},
    )]  # fmt: skip
    assert counts[0] == 4900 > counts[1] > counts[2] > 0
    assert counts[3] > counts[4] or counts[4] == 0
    choose(browser, p="", q="", i="", o="p")
    first = "document.querySelector('.f:not([hidden]) code').textContent"
    assert browser.run(first).startswith("services/area0/agents/module_000.py")
    assert "o=p" in browser.run("location.hash"), "the address keeps the filters"
    assert choose(browser, q="database of another word") == "0 of 5,000 findings"
    assert browser.run("document.getElementById('none').checkVisibility()")
    assert choose(browser, q="WHOEVER  writes") == "4,900 of 5,000 findings", (
        "a message that stands with the rule is found too"
    )
    assert browser.errors == []
    assert browser.requests == [browser.run("location.href").partition("#")[0]]


def test_an_opened_finding_says_what_it_means_and_how_to_mend_it(
    browser: Page, tmp_path: Path
) -> None:
    browser.open(page_in(tmp_path, many_findings(1200)))
    inside = browser.run(
        "(async () => { const one = document.querySelector('.f'); one.open = true;"
        " await new Promise((done) => setTimeout(done, 200)); return one.innerText; })()"
    )
    assert "Text written by a model is sent to a database" in inside
    assert "Treat an answer as data." in inside
    assert browser.errors == []


def test_bars_are_filters_for_the_mouse_and_the_keyboard(browser: Page, tmp_path: Path) -> None:
    browser.open(page_in(tmp_path, many_findings(300)))
    browser.run("document.querySelector('.chart li[data-filter=r]').click()")
    chosen = browser.run(COUNT)
    assert chosen != "294 of 300 findings"
    assert browser.run("document.querySelector('[aria-pressed=true]') !== null")
    browser.run("document.querySelector('.chart li[data-filter=r]').focus()")
    browser.press("Enter", 13, "\r")
    assert browser.run(COUNT) == "294 of 300 findings"
    browser.run("document.activeElement.blur()")
    browser.press("/", 191, "/")
    assert browser.run("document.activeElement.dataset.filter") == "q"
    assert browser.errors == []


def test_without_a_script_everything_can_be_read(browser: Page, tmp_path: Path) -> None:
    browser.open(page_in(tmp_path, everything()), script=False)
    assert browser.run(SHOWN) == 5
    assert browser.run("document.getElementById('filters').checkVisibility()") is False
    assert browser.run("document.querySelector('.f summary').innerText").startswith("critical")


@pytest.mark.parametrize("width", [360, 800, 1600])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_window(
    browser: Page, tmp_path: Path, width: int, dark: bool
) -> None:
    browser.open(page_in(tmp_path, [*everything(), *many_findings(50)]), width=width, dark=dark)
    browser.run("document.getElementById('open').click()")
    assert browser.run("document.documentElement.scrollWidth") <= width
    ink, page = browser.run(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert (sum(numbers(ink)) > sum(numbers(page))) is dark


def numbers(color: str) -> list[int]:
    return [int(part) for part in color.removeprefix("rgb(").removesuffix(")").split(",")]


def test_hostile_text_does_nothing(browser: Page, tmp_path: Path) -> None:
    findings = [one for attack in HOSTILE for one in hostile(attack)[0]]
    address = page_in(tmp_path, findings)
    browser.open(address)
    browser.run("document.getElementById('open').click()")
    browser.run("document.querySelectorAll('.f').forEach((one) => { one.open = true; })")
    assert browser.errors == []
    assert browser.requests == [address]


def test_the_policy_stops_what_the_guard_would_miss(browser: Page, tmp_path: Path) -> None:
    attack = "<script>document.title = 'owned'</script><img src='http://127.0.0.1:9/x'>"
    inside = ("<footer>", f"{attack}<footer>")
    address = page_in(tmp_path, everything(), inside)
    browser.open(address)
    assert browser.run("document.title") != "owned"
    refused = [error for error in browser.errors if "Content Security Policy" in error]
    assert len(refused) == len(browser.errors) == 2, "the script and the picture"
    text = Path(tmp_path, "report.html").read_text("utf-8")
    Path(tmp_path, "open.html").write_text(text.replace("Content-Security-Policy", "x"), "utf-8")
    browser.open(Path(tmp_path, "open.html").as_uri())
    assert browser.run("document.title") == "owned", "control"
