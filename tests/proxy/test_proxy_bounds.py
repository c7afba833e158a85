"""Cost and memory of what a stream brings: linear in its bytes, and bounded, whatever it brings.

Counted, not timed: how many bytes the expressions were asked to look at, and how much is held.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tavo.detect import regex
from tavo.detect.live import Live
from tavo.detect.rules import Match, Rule, RuleSet
from tavo.llm.dialect import Framing
from tavo.proxy.chain.build import build_chain
from tavo.proxy.chain.chain import Compiled
from tavo.proxy.chain.desk import groups
from tavo.proxy.stream import channels, framing
from tavo.proxy.stream import flow as flow_module
from tests.fakes.dialect_traffic import SPEAKERS, sse
from tests.proxy.driving import KEY, answered, asked, chain_of

CHAT, ANTHROPIC = SPEAKERS[0], SPEAKERS[2]
STRICT = chain_of({"filter": "pii", "mode": "remove", "answers": True}, {"filter": "secrets"})


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count the bytes that searches could look at."""
    total = [0]
    find, at_place = regex.Regex.find, regex.Regex.find_at

    def search(self: Any, data: bytes, at: int = 0) -> Any:
        found = find(self, data, at)
        total[0] += (found[1] if found is not None else len(data)) - at
        return found

    def here(self: Any, data: bytes, at: int) -> Any:
        found = at_place(self, data, at)
        total[0] += (found[1] - at) if found is not None else 64
        return found

    with monkeypatch.context() as patch:
        patch.setattr(regex.Regex, "find", search)
        patch.setattr(regex.Regex, "find_at", here)
        yield total


def looked_at(monkeypatch: pytest.MonkeyPatch, text: bytes, size: int) -> int:
    one = Live([RuleSet([Rule(id="open", pattern=r"<<[^>]*>>"),
                         Rule(id="mail", pattern=r"\b[a-z]{1,20}@[a-z]{1,20}\.com")])])  # fmt: skip
    with counted(monkeypatch) as total:
        for at in range(0, len(text), size):
            one.feed(text[at : at + size])
        one.feed(b"", close=True)
    return total[0]


@pytest.mark.parametrize(
    "text", [b"<<" + b"x" * 80, b"bob@example.com, " * 5, b"<<" + b" bob@example.com" * 5],
    ids=["held", "matches", "matches in what is held"],
)  # fmt: skip
@pytest.mark.parametrize("size", [7, 100_000])
def test_a_text_four_times_as_long_costs_four_times_as_much(
    text: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = looked_at(monkeypatch, text[:2] + text[2:] * 100, size)
    large = looked_at(monkeypatch, text[:2] + text[2:] * 400, size)
    assert large < 6 * small, (small, large)


def test_control_without_the_wait_what_is_held_costs_its_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tavo.detect.live._MUCH", 1 << 30)
    small = looked_at(monkeypatch, b"<<" + b"x" * 8_000, 7)
    large = looked_at(monkeypatch, b"<<" + b"x" * 32_000, 7)
    assert large > 12 * small


def test_the_open_place_is_asked_for_once_and_not_for_each_match(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = b"bob@example.com, <<"
    rule_set = RuleSet([Rule(id="open", pattern=r"<<[^>]*>>"),
                        Rule(id="mail", pattern=r"\b[a-z]{1,20}@[a-z]{1,20}\.com")])  # fmt: skip
    with counted(monkeypatch) as total:
        matches, _, _ = rule_set.scan(text[:-2] * 400 + text, 0, closed=False)
    assert len(matches) == 401
    assert total[0] < 8 * 401 * len(text)


class Counting(bytearray):
    """A buffer that counts what is searched of it."""

    searched = 0

    def find(self, part: Any, start: int = 0, *rest: Any) -> int:  # type: ignore[override]
        at = super().find(part, start, *rest)
        Counting.searched += (len(self) if at < 0 else at) - max(start, 0)
        return at


@pytest.mark.parametrize("how", [Framing.SSE, Framing.LINES])
def test_an_event_in_many_pieces_is_searched_once(
    how: Framing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framing, "bytearray", Counting, raising=False)
    Counting.searched = 0
    reader = framing.reader_of(how)
    reader.feed(b"data: ")
    for _ in range(20_000):
        reader.feed(b"abc")
    assert len(reader.feed(b"\n\n")) >= 1
    assert Counting.searched < 6 * 60_000


def test_lines_in_any_form_are_searched_once() -> None:
    reader = framing.reader_of(Framing.SSE)
    events = [one for _ in range(5_000) for one in reader.feed(b"data: x\r\n")]
    assert reader._at >= 5_000 * 8
    assert not events
    assert len(reader.feed(b"\r\n\n")) >= 1


# -- what is held


def chunk(**delta: Any) -> bytes:
    return sse({"id": "c", "object": "chat.completion.chunk", "model": "m",
                "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})  # fmt: skip


def refused(pieces: list[bytes], chain: Any = STRICT, speaker: Any = CHAT) -> str:
    done = answered(asked(chain, speaker, speaker.request("hi")), speaker, pieces)
    assert done.refusal is not None
    assert done.out.endswith(b"data: [DONE]\n\n"), "the error of the dialect"
    return done.refusal.reason


HELD = chunk(content="AKIAQYLPM")


def test_small_events_that_wait_are_bounded_by_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flow_module, "MOST_HELD", 100_000)
    assert "wait" in refused([HELD + b"\n" * 1_000])
    assert "wait" in refused([HELD + b": a comment\n\n" * 1_000])
    assert "wait" in refused([HELD, *[chunk(role="assistant")] * 1_000])


def test_texts_and_calls_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_module, "MOST_CALLS", 100)
    monkeypatch.setattr(channels, "MOST_TEXTS", 100)
    texts = [chunk(**{f"name_{n}": "a "}) for n in range(200)]
    assert "too many" in refused(texts)
    calls = [chunk(tool_calls=[{"index": n, "function": {"name": "f", "arguments": "{"}}])
             for n in range(200)]  # fmt: skip
    assert "too many calls" in refused(calls)


def test_comments_are_judged_and_long_ones_not_kept() -> None:
    desk = asked(STRICT, CHAT, CHAT.request("hi"))
    exchange = desk.exchange
    exchange.response_head(200, [(b"content-type", CHAT.content_type)])
    for number in range(50):
        exchange.response_data(b": %d %s\n\n" % (number, b"x" * 10_000))
    flow = exchange._answering._flow if exchange._answering is not None else None
    assert flow is not None
    assert sum(map(len, flow._notes)) < 20_000
    assert answered(asked(STRICT, CHAT, CHAT.request("hi")), CHAT,
                    [b": AKIAQYLPMN5HHHFPZAM2\n\n"]).refusal is not None  # fmt: skip


# -- matches and links, tools


def test_matches_and_links_are_gone_through_once() -> None:
    chain = build_chain([{"filter": "pii"}], key=KEY)
    asked_for = asked(chain, CHAT, CHAT.request("bob@example.com"))
    desk = asked_for.exchange
    where = next(w for w in chain._compiled if w.restores and w.phase == "response")
    compiled = chain.compiled(where)
    assert isinstance(compiled, Compiled)
    rule = compiled.rules.rules[0] if compiled.rules else None
    assert rule is not None
    steps = [0]

    class Counted(list[Match]):
        def __getitem__(self, key: Any) -> Any:
            steps[0] += 1
            return super().__getitem__(key)

    for count in (100, 400):
        steps[0] = 0
        links = Counted(Match(20 * n + 5, 20 * n + 12, rule) for n in range(count))
        matches = [Match(20 * n + at, 20 * n + at + 2, rule) for n in range(count)
                   for at in (0, 8, 14)]  # fmt: skip
        kept = compiled.without_links(matches, links, lambda _: True)
        assert [one.start % 20 for one in kept] == [0, 14] * count
        assert steps[0] < 8 * count
    assert desk.blocked is None


def test_matches_that_overlap_come_together() -> None:
    rule = Rule(id="x", pattern="x")
    spans = [(0, 5), (3, 9), (9, 10), (12, 20), (13, 14), (19, 21)]
    assert [[(m.start, m.end) for m in group] for group in
            groups([Match(*span, rule) for span in spans])] == [
        [(0, 5), (3, 9)], [(9, 10)], [(12, 20), (13, 14), (19, 21)],
    ]  # fmt: skip
    assert list(groups([])) == []


def test_a_list_of_many_tools_loses_those_that_are_held() -> None:
    speaker = SPEAKERS[-1]
    chain = chain_of({"filter": "mcp-pins", "first_use": "hold"})
    tools = [{"name": f"t{n}", "description": "does"} for n in range(3_000)]
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).encode()
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    done = answered(asked(chain, speaker, request), speaker, [body], whole=True)
    assert json.loads(done.out)["result"]["tools"] == []
