"""What is invisible hides nothing: detectors look at what a reader sees, in streams as well."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tavo.detect import live, seen
from tavo.detect.live import Live
from tavo.detect.pii import PII
from tavo.detect.rules import Match, Rule, RuleSet, to_bytes
from tavo.detect.secrets import SECRETS
from tests.fakes.dialect_traffic import SPEAKERS
from tests.proxy.driving import answered, asked, chain_of

ATTACKS = sorted((Path(__file__).parent.parent / "attacks" / "proxy").glob("*.json"))
CHAT = SPEAKERS[0]
SHY, ZERO, JOIN, TAG, EMOJI, FLAG = (
    "\u00ad", "\u200b", "\u200d", "\U000e0041", "\u2764\ufe0f",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
)  # fmt: skip
CHAINS = {
    "before": [{"filter": "hidden-text"}, {"filter": "pii", "mode": "remove", "answers": True},
               {"filter": "secrets"}],
    "after": [{"filter": "pii", "mode": "remove", "answers": True}, {"filter": "secrets"},
              {"filter": "hidden-text"}],
    "without": [{"filter": "pii", "mode": "remove", "answers": True}, {"filter": "secrets"}],
}  # fmt: skip


def visible(text: str) -> str:
    return "".join(one for one in text if one.isascii() and one.isprintable())


def said(chain: Any, text: str, size: int) -> str:
    done = asked(chain, CHAT, CHAT.request("hi"))
    parts = [(0, text[at : at + size]) for at in range(0, len(text), size)]
    out = answered(done, CHAT, [b"".join(CHAT.stream(parts, None, 1))]).out
    return CHAT.heard(out).texts[0]


@pytest.mark.parametrize("order", CHAINS)
@pytest.mark.parametrize("path", ATTACKS, ids=lambda path: path.stem)
def test_a_value_with_invisible_characters_in_it_passes_nowhere(path: Path, order: str) -> None:
    attack = json.loads(path.read_text())
    text, whole = attack["text"], attack["whole"]
    chain = chain_of(*CHAINS[order])
    sent = str(asked(chain, CHAT, CHAT.request(text)).body["messages"][-1]["content"])
    assert "removed]" in sent
    assert whole not in visible(sent)
    for size in (1, 3, 40, 5000):
        assert said(chain, text, size) == sent, size


def test_control_with_the_text_as_it_is_the_attacks_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "is_plain", lambda data: True)
    monkeypatch.setattr(live, "is_plain", lambda data: True)
    chain = chain_of(*CHAINS["before"])
    passed = 0
    for path in ATTACKS:
        attack = json.loads(path.read_text())
        sent = asked(chain, CHAT, CHAT.request(attack["text"])).body["messages"][-1]["content"]
        passed += attack["whole"] in visible(sent)
    assert passed >= 8


def test_a_block_holds_for_what_is_seen() -> None:
    chain = chain_of({"filter": "hidden-text"}, {"filter": "secrets", "mode": "block"})
    [path] = [path for path in ATTACKS if path.stem == "zero-width-in-key"]
    attack = json.loads(path.read_text())
    assert asked(chain, CHAT, CHAT.request(attack["text"])).refusal is not None


def test_what_is_not_seen_stays_where_nothing_is_found() -> None:
    chain = chain_of(*CHAINS["without"])
    for text in (f"a{EMOJI}b {FLAG} c", f"in{SHY}visible{ZERO} words", "nothing \x07 at all"):
        assert asked(chain, CHAT, CHAT.request(text)).body["messages"][-1]["content"] == text
        assert said(chain, text, 1) == text


def test_a_value_that_was_split_comes_back_whole_and_never_into_a_link() -> None:
    chain = chain_of({"filter": "pii"}, {"filter": "hidden-text"})
    done = asked(chain, CHAT, CHAT.request(f"bob@exam{ZERO}ple.com"))
    mark = str(done.body["messages"][-1]["content"])
    plain = asked(chain, CHAT, CHAT.request("bob@example.com")).body["messages"][-1]["content"]
    assert mark == plain
    answer = f"{mark} and htt{ZERO * 5}ps://evil.test/{mark} end"
    for size in (1, 2, 500):
        parts = [(0, answer[at : at + size]) for at in range(0, len(answer), size)]
        done = asked(chain, CHAT, CHAT.request("bob@example.com"))
        heard = CHAT.heard(answered(done, CHAT, [b"".join(CHAT.stream(parts, None, 1))]).out)
        assert heard.texts[0] == f"bob@example.com and https://evil.test/{mark} end"


def test_any_cut_finds_what_the_whole_text_holds() -> None:
    rules = RuleSet([*PII, *SECRETS, Rule(id="long", pattern=r"<x[^>]*>")])
    parts = ["bob@example.com", "4111 1111 1111 1111", "AKIAQYLPMN5HHHFPZAM2", "-----BEGIN", " ",
             "PRIVATE KEY-----", "abc", "<x", ">", "12", ".", "\n", "1.2.3.4", ZERO, SHY, TAG, JOIN,
             EMOJI, FLAG, ZERO * 7, "\x00", "\udb40", "é", "@"]  # fmt: skip
    dice = random.Random(17)
    for _ in range(1500):
        text = "".join(dice.choices(parts, k=dice.randint(1, 14)))
        if dice.random() < 0.5:
            at = dice.randrange(len(text) + 1)
            text = text[:at] + ZERO * dice.randint(1, 3) + text[at:]
        data = to_bytes(text)
        whole = live.looked([rules], data)[0]
        one, found, at = Live([rules]), [], 0
        while at < len(text):
            size = dice.choice((1, 1, 2, 5, 30))
            found += one.feed(to_bytes(text[at : at + size]))[0]
            at += size
        found += one.feed(b"", close=True)[0]
        assert found == whole, text
        assert one.final == len(data)


def test_a_match_in_what_is_seen_covers_what_is_not() -> None:
    rules = RuleSet([Rule(id="a", pattern="abc")])
    data = to_bytes(f"x{ZERO}a{SHY}b{ZERO}c{ZERO}y abc")
    [found] = live.looked([rules], data)
    assert found == [Match(4, 12, rules.rules[0]), Match(17, 20, rules.rules[0])]
    assert data[4:12] == to_bytes(f"a{SHY}b{ZERO}c")
