"""The page: whole, strict, without any request, and foreign text stays text."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tavo.plugins import Location
from tavo.results.export import html
from tavo.results.export.html import run_to_html
from tavo.results.store import ResultStore
from tavo.results.values import Notice, Reported
from tests.fakes.results import (
    EVAL_RULE,
    NOTICES,
    PLUGIN_RUN,
    everything,
    finding_of,
    location,
    many_findings,
    replace,
    stored_run,
    taint_finding,
)

ATTACKS = Path(__file__).parents[1] / "attacks/reports"
HOSTILE = [
    line for name in ("markup.txt", "markdown.txt", "commands.txt")
    for line in (ATTACKS / name).read_text("utf-8").splitlines()
]  # fmt: skip
VOID = {"meta", "input", "br", "link", "img", "base"}
OPTIONAL = {"li", "tr", "td", "th", "thead", "tbody"}
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "a", "header", "h1", "h2", "h3", "span", "p",
    "ul", "ol", "li", "b", "i", "u", "code", "pre", "mark", "main", "div", "section", "svg", "rect",
    "circle", "text", "form", "label", "input", "select", "option", "button", "output", "details",
    "summary", "dl", "dt", "dd", "small", "table", "thead", "tbody", "tr", "th", "td", "footer",
    "script",
}  # fmt: skip


class Page(HTMLParser):
    """Reads a page strictly: what is opened is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._data: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []
        self.all_text = "".join(self._data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in OPTIONAL and tag in self.open:
            while self.open and self.open[-1] in OPTIONAL and not self._holds(tag):
                self.open.pop()
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def _holds(self, tag: str) -> bool:
        """Tell whether the innermost element may hold another of this kind."""
        order = ["thead", "tr", "th"] if tag == "th" else ["tbody", "tr", "td"]
        inner = self.open[-1]
        return tag in order and inner in order and order.index(inner) < order.index(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        while self.open[-1] != tag and self.open[-1] in OPTIONAL:
            self.open.pop()
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self._data.append(data)
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data}")

    def all_of(self, tag: str) -> list[dict[str, str]]:
        return [values for name, values in self.elements if name == tag]


def text_of(
    findings: list[Reported], notices: tuple[Notice, ...] = (), *, finished: bool = True
) -> str:
    store = ResultStore()
    run_id = stored_run(store, findings, notices, (PLUGIN_RUN,), exit_code=1, finished=finished)
    return run_to_html(store.run(run_id), store.findings(run_id))


def page_of(findings: list[Reported], notices: tuple[Notice, ...] = ()) -> Page:
    page = Page(text_of(findings, notices))
    check(page)
    return page


def check(page: Page) -> None:
    """Raise AssertionError for anything that could run, load or send."""
    assert {tag for tag, _ in page.elements} <= ELEMENTS
    assert len(page.all_of("script")) == len(page.all_of("style")) == 1
    ids = [values["id"] for _, values in page.elements if "id" in values]
    assert len(ids) == len(set(ids))
    for tag, values in page.elements:
        assert not [name for name in values if name.startswith("on")], (tag, values)
        assert not {"src", "srcset", "style", "action", "formaction", "data", "background"} & {
            *values
        }
        if "href" in values:
            assert tag == "a"
            href = values["href"]
            inside = href.startswith("#") and href[1:] in ids
            outside = href.startswith("https://") and values.get("rel") == "noreferrer noopener"
            assert inside or outside, href
    policy = next(v["content"] for v in page.all_of("meta") if v.get("http-equiv"))
    rules = dict(part.split(" ", 1) for part in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    assert set(rules) == {"default-src", "style-src", "script-src", "base-uri", "form-action"}
    for name in ("style", "script"):
        (content,) = page.texts[name]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[f"{name}-src"] == f"'sha256-{digest}'"
        assert not re.search(r"url\(|@import|https?:|//[a-z]", content.replace("// ", ""))
        assert not re.search(
            r"\beval\(|innerHTML|outerHTML|insertAdjacent|document\.write", content
        )


def test_the_page_has_everything() -> None:
    page = page_of(everything(), NOTICES)
    for text in (
        "agent/answer.py:12:12", "llm-output-to-exec", "Text written by a model is run as Python.",
        "tainted here: client.responses.create()", "ast.literal_eval(answer.output_text)",
        "Loading this file calls posix.system.", "posix.system", "constant expression, see DEV-12",
        "Treat an answer as data.", "eval(answer)", "CWE-94", "acme/slow", "was stopped after 10 s",
        "5 things not looked at", "tavo/model-files", "1.0.0", "shop", "LLM05:2025",
    ):  # fmt: skip
        assert text in page.all_text, text
    (marked, *_) = page.texts["mark"]
    assert marked == "eval(answer.output_text)"
    assert {one.fingerprint for one in stored(everything())} <= set(page.texts["small"])


def stored(findings: list[Reported]) -> list[Reported]:
    store = ResultStore()
    return list(store.findings(stored_run(store, findings)))


def test_the_worst_come_first_and_what_is_ignored_last() -> None:
    page = page_of(everything())
    kinds = [v["class"] for v in page.all_of("details")]
    assert kinds == ["f s4", "f s4", "f s3", "f s0", "f s4 i"]


def test_it_can_be_read_without_a_script() -> None:
    text = text_of(everything())
    page = Page(text)
    (form,) = page.all_of("form")
    assert "hidden" in form, "filters that would do nothing are not shown"
    assert "role=button" not in text.split("<script>")[0].split("</style>")[1]
    assert not [v for v in page.all_of("details") if "hidden" in v]


def test_a_run_that_is_not_complete_is_not_called_clean() -> None:
    assert "No findings" not in text_of([], NOTICES)
    assert "The scan is not complete:" in text_of([], NOTICES)
    assert "interrupted before its end" in text_of([], finished=False)
    assert "<p class=good><b>No findings</b></p>" in text_of([]), "control"
    assert "not complete" not in text_of([])


def test_five_thousand_findings_fit_into_three_megabytes() -> None:
    findings = many_findings(5000)
    text = text_of(findings)
    assert len(text.encode()) <= 3_000_000
    assert "Not in this page" not in text
    page = Page(text)
    check(page)
    assert len(page.all_of("details")) == 5000


def test_what_does_not_fit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "_MOST", 50)
    monkeypatch.setattr(html, "_LARGEST", 20_000)
    page = page_of(many_findings(60))
    assert len(page.all_of("details")) == 50
    said = " ".join(page.all_text.split())
    (found,) = re.findall(
        r"Not in this page: 10 findings of the lowest severity, and the code of (\d+) findings of"
        r" low severity\. --format json has everything", said,
    )  # fmt: skip
    assert 0 < int(found) < 50
    monkeypatch.undo()
    assert "Not in this page" not in text_of(many_findings(60)), "control"


def test_only_secure_addresses_are_links() -> None:
    rule = replace(
        EVAL_RULE, references=("javascript:alert(1)", "http://a.example", 'https://b.example/"x y',
                               "data:text/html,x", "https://good.example/#a"),
    )  # fmt: skip
    page = page_of([replace(taint_finding(), rule=rule)])
    links = [v["href"] for v in page.all_of("a") if not v["href"].startswith("#")]
    assert links == ["https://good.example/#a"]


def hostile(attack: str) -> tuple[list[Reported], tuple[Notice, ...]]:
    path = attack.strip().strip("/") or "x"
    rule = replace(
        EVAL_RULE, title=attack, description=f"{attack}.", help=f"{attack}\n\n```\n{attack}\n```\n",
        tags=(attack,), references=(f"https://{attack}",),
    )  # fmt: skip
    where = location(path, 1, 2, 5, f"{attack}\n{attack}")
    step = replace(taint_finding().finding.flow[0], location=where, message=attack)
    whole = Location(path=where.path)
    return [
        Reported(rule=rule, finding=finding_of(rule, where, attack, flow=(step, step), fix=attack)),
        Reported(rule=rule, finding=finding_of(rule, whole, attack, evidence={attack: attack})),
        replace(everything()[3], suppression=replace(everything()[3].suppression, reason=attack)),
    ], (Notice(kind="plugin", subject=attack, reason=attack),)


@pytest.mark.parametrize("attack", HOSTILE)
def test_foreign_text_is_text(attack: str) -> None:
    page = page_of(*hostile(attack))
    assert [tag for tag, _ in page.elements if tag != "code"] == [
        tag for tag, _ in page_of(*hostile(benign(attack))).elements if tag != "code"
    ]
    said = [text for text in page.texts["p"] if text != "Replace the marked part by"]
    if "##" not in attack and not attack.lstrip().startswith("::"):
        assert attack.rstrip() in [text.rstrip() for text in said]


def benign(attack: str) -> str:
    """Return letters in the place of signs, but for what the help of a rule gives a meaning."""
    kept = attack if re.match(r"[-*] |`{3}|#+ ", attack) else re.sub(r"[^\w\s]", "x", attack)
    return kept.replace("<", "x").replace(">", "x").replace("&", "x")


@pytest.mark.parametrize("attack", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>"])
def test_the_attacks_would_work_without_the_guard(
    monkeypatch: pytest.MonkeyPatch, attack: str
) -> None:
    monkeypatch.setattr(html, "as_text", lambda text: text)
    with pytest.raises(AssertionError):
        page_of(*hostile(attack))


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("<>&\"'/=!-`#x \n{}"), min_size=1, max_size=24))
def test_no_combination_of_signs_makes_markup(text: str) -> None:
    page_of(*hostile(f"x{text}"))


def test_the_template_is_in_one_piece() -> None:
    text = text_of(everything())
    assert "{{" not in text.split("<script>")[0]
    assert text.startswith("<!doctype html>")
