"""A placeholder becomes a value only in plain text, whatever is around it and however it is cut."""

from __future__ import annotations

import random
from html.parser import HTMLParser

import pytest

from tavo.proxy.chain.showing import Showing
from tests.fakes.dialect_traffic import SPEAKERS
from tests.proxy.driving import answered, asked, chain_of

CHAT = SPEAKERS[0]
MAIL = "bob@example.com"
PII = chain_of({"filter": "pii"})
MINE = asked(PII, CHAT, CHAT.request(MAIL)).body["messages"][0]["content"]

SENDING = [
    '<img src="x\n{P}">', '<img src="x\n\n{P}">', "<img\nsrc\n=\n'{P}'>", "<img src=//e.test/{P}>",
    '//a<img src="/ {P}">', "//a<img alt=b title='{P}'>", '<img alt=">" src="{P}">',
    "<img alt='>' title=\"> {P}\">", '<a b\' c="\'>" {P}>', '<b y="\n\n<img src="> {P}">',
    "[x]: <a {P}>", "[x]: <..\n{P}>", "[x]:\n<{P}>", "[x]: y {P}", "[x]:{P}", "[x]: <a> {P}",
    "[a](b {P})", "[a](b\n\n{P})", "[a](<b) {P}>)", "[a](b(c) {P})", "[a](b\\) {P})",
    "![a]( {P})", "![a\nb](c {P})", "[a](<b\n{P}", "url( {P})", "url('a) {P}')", "image-set(a {P})",
    "<!-- {P} -->", "<!doctype {P}>", "<?php {P} ?>", "</p {P}>", "<script>f('{P}')</script>",
    "<style>@import '{P}';</style>", "<a href=x>{P}</a>", "<a><script></a>{P}</script>",
    "<svg><text>{P}</text></svg>", "<form><textarea>{P}</textarea></form>", "<A HREF=x>\n{P}\n</A>",
    "{P}.evil.test", "{P}@evil.test", "{P}x.evil.test", "{P}-{P}.evil.test", "a.test/?q={P}",
    "a.test/{P}", "a?{P}", "a%2f{P}", "http&#58;&#47;&#47;a/{P}", "http&colon;//a/{P}",
    "\\\\a\\{P}", "www.a.test:{P}", "WWW.a{P}", "<http://e.test/ {P}>", "<http://e.test|{P}>",
    "<img src=`{P}`>", "<a/href={P}>", "<iframe srcdoc='\n{P}'>", "<p title=\"\n{P}\n\">",
    "[<img src='](x)//e.test/ {P}'>](y)",
]  # fmt: skip
PLAIN = [
    "{P}", "It is {P}.", "({P})", '"{P}"', "**{P}**", "<b>{P}</b>", "<p>\n{P}\n</p>", "a < b {P}",
    "x <3 {P}", "- {P}\n- {P}", "| {P} | {P} |", "<{P}>", "Email:{P}", "a/{P}", "[x] {P}",
    "[a](b) {P}", "[a](b(c)) and {P}", "http://e.test/a {P}", "<p class='x'>{P}</p>", "f(a, {P})",
    "[a](<b c>) {P}", "[x]: http://e.test/\n{P}", "`{P}`", "{P}, {P}; {P}! {P}?", "{P}'s",
    "<a href=x>y</a> {P}", "<!-- a --> {P}", "curl(1) {P}", "a.b {P}", "{P}.\n", "5% of {P}",
]  # fmt: skip


def shown(text: str, sizes: list[int]) -> str:
    """Return what a client gets that sent the address, when the answer comes in such pieces."""
    deltas, at = [], 0
    for size in [*sizes, len(text)]:
        if at < len(text):
            deltas.append((0, text[at : at + size]))
            at += size
    done = asked(PII, CHAT, CHAT.request(MAIL))
    answered(done, CHAT, [b"".join(CHAT.stream(deltas, None, 1))])
    assert done.refusal is None
    return CHAT.heard(done.out).texts[0]


@pytest.mark.parametrize("form", SENDING)
@pytest.mark.parametrize("before", ["", "well\n"])
def test_nothing_is_restored_where_showing_it_sends_it(form: str, before: str) -> None:
    text = before + form.replace("{P}", MINE)
    for sizes in ([], [1] * len(text), [7] * len(text)):
        assert shown(text, sizes) == text
    done = asked(PII, CHAT, CHAT.request(MAIL, stream=False))
    answered(done, CHAT, [CHAT.whole([text], None)], whole=True)
    assert CHAT.heard_whole(done.out).texts[0] == text


@pytest.mark.parametrize("form", PLAIN)
def test_it_is_restored_in_plain_text(form: str) -> None:
    text = form.replace("{P}", MINE)
    for sizes in ([], [1] * len(text), [7] * len(text)):
        assert shown(text, sizes) == form.replace("{P}", MAIL)


@pytest.mark.parametrize("form", SENDING)
def test_control_without_the_look_at_what_stands_before(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of the forms are ones that expressions about links do not see."""
    monkeypatch.setattr(Showing, "is_plain", lambda *_: True)
    passed = [one for one in SENDING if MAIL in shown(one.replace("{P}", MINE), [])]
    assert len(passed) > len(SENDING) / 3
    monkeypatch.undo()
    assert MAIL not in shown(form.replace("{P}", MINE), [])


SIGNS = [
    "{P}", "{P}", "<img src=", "<b>", "</b>", '"', "'", ">", "<", "](", "[x", "]:", "(", ")", "\\",
    "//", "/", " ", "\n", "\n\n", "a", ".", "url(", "http:", "www.", "<!--", "-->", "=", "é",
    "<script>", "</script>", "<a href=x>", "</a>", "&#", "%", "?", "&amp;", "@",
]  # fmt: skip


class _Attributes(HTMLParser):
    """The values of all attributes, as Python's parser of HTML reads them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.values: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.values += [one for pair in attrs for one in pair if one]


@pytest.mark.parametrize("rounds", [250, pytest.param(8000, marks=pytest.mark.slow)])
def test_any_text_in_any_pieces_says_the_same_and_no_attribute_has_the_value(rounds: int) -> None:
    dice = random.Random(5)
    restored = 0
    for _ in range(rounds):
        text = "".join(dice.choice(SIGNS) for _ in range(dice.randrange(2, 30)))
        text = text.replace("{P}", MINE)
        whole = shown(text, [])
        assert shown(text, [dice.choice((1, 2, 5, 9, 30)) for _ in text]) == whole, text
        restored += MAIL in whole
        reader = _Attributes()
        reader.feed(whole)
        assert not any(MAIL in value for value in reader.values), whole
    assert restored > rounds / 30


def test_places_do_not_depend_on_pieces() -> None:
    dice = random.Random(6)
    for _ in range(400):
        data = "".join(dice.choice(SIGNS) for _ in range(40)).replace("{P}", "{E}").encode()
        whole, parts = Showing(), Showing()
        whole.feed(data)
        at = 0
        while at < len(data):
            size = dice.choice((1, 2, 3, 11))
            parts.feed(data[at : at + size])
            at += size
        for position in range(len(data)):
            assert whole.is_plain(position) == parts.is_plain(position), (data, position)
