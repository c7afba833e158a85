"""Events that are like the one before: what comes of them is what comes of events that are read."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tavo.llm.dialect import Parts
from tavo.llm.parts import Kind
from tavo.proxy.stream import flow as flow_module
from tavo.proxy.stream.likeness import Like
from tests.fakes.dialect_traffic import SPEAKERS, Speaker
from tests.proxy.driving import Done, answered, asked, chain_of

CHAT, ANTHROPIC = SPEAKERS[0], SPEAKERS[2]
CHAIN = chain_of(
    {"filter": "pii", "answers": True}, {"filter": "secrets"}, {"filter": "hidden-text"},
    {"filter": "content", "rules": [{"id": "falcon", "words": ["project falcon"]}]},
)  # fmt: skip
PIECES = ["a", " word", "eve@", "evil.test", " 4111 1111", " 1111 1111 ", "AKIAQ7TR2MXL",
          "5ZB3NC4D", "project ", "falcon", "\u200b", "\n", '"', "\\", ":", ",", "\u00e9",
          "{", "stop", "m-1", "assistant", "content", "x", "0"]  # fmt: skip


def parts_of(value: Any) -> Parts:
    parts = Parts()
    parts.deltas = [((0, "content"), value["d"], "t", Kind.TEXT)]
    return parts


def like_of(data: bytes) -> Like | None:
    value = json.loads(data)
    return Like.of(data, value, parts_of(value))


def test_an_event_is_like_another_but_for_its_text() -> None:
    like = like_of(b'{"a": 1, "d": {"t": "hello", "s": "there"}, "e": [true]}')
    assert like is not None
    other = b'{"a": 1, "d": {"t": "good day to you", "s": "there"}, "e": [true]}'
    assert like.text(other) == b"good day to you"
    value = json.loads(other)
    assert like.holder(value) is value["d"]


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"d":{"t":"","s":"there"}}',
        b'{"a":2,"d":{"t":"hello","s":"there"}}',
        b'{"a":1,"d":{"t":"hello","s":"here"}}',
        b'{"a":1,"d":{"t":"hello","s":"there"}} ',
        b'{"a":1,"d":{"t":"x","t":"hello","s":"there"}}',
        b'{"a":1,"d":{"t":"x\\u0022","s":"there"}}',
        b'{"a":1,"d":{"t":"x\nx","s":"there"}}',
        b'{"a":1,"d":{"t":"x\xc3\xa9","s":"there"}}',
        b'{"a":1,"d":{"t":"x\x7f","s":"there"}}',
        b'{"a":1,"d":{"t":"there"}}',
        b'{"a":1,"d":{"t":"',
        b"[DONE]",
    ],
)
def test_what_may_say_more_is_read(data: bytes) -> None:
    like = like_of(b'{"a":1,"d":{"t":"hello","s":"there"}}')
    assert like is not None
    assert like.text(data) is None


@pytest.mark.parametrize(
    "data",
    [
        b'{"d":{"t":":"}}',  # stands between a name and its value, too
        b'{"d":{"t":","},"e":"x","f":"y"}',
        b'{"d":{"t":"d"}}',
        b'{"d":{"t":"t"}}',
        b'{"d":{"t":"hello"},"e":"hello"}',
        b'{"d":{"t":"hell\\u006f"},"e":"hello"}',  # only the other one is written like that
        b'{"d":{"t":"\xc3\xa9"}}',
        b'{"d":{"t":"a text that is tried out"}}',
    ],
)
def test_where_a_text_stands_is_not_guessed(data: bytes) -> None:
    assert like_of(data) is None


def spaced(events: list[bytes]) -> list[bytes]:
    """Write the documents with blanks, as json.dumps does."""
    out = []
    for event in events:
        lines = event.split(b"\n")
        for number, line in enumerate(lines):
            if line.startswith(b"data: {"):
                lines[number] = b"data: " + json.dumps(json.loads(line[6:])).encode()
        out.append(b"\n".join(lines))
    return out


def played(
    speaker: Speaker, texts: list[str], *, blanks: bool, joined: bool, observe: bool
) -> Done:
    chain = CHAIN if not observe else chain_of({"filter": "secrets"}, observe=True)
    done = asked(chain, speaker, speaker.request("hi"))
    events = speaker.stream([(0, text) for text in texts], None, 3)
    events = spaced(events) if blanks else events
    return answered(done, speaker, [b"".join(events)] if joined else events)


def told(done: Done) -> Any:
    return done.out, done.refusal, msgspec.structs.astuple(done.exchange.record)


@pytest.mark.parametrize("speaker", [CHAT, ANTHROPIC], ids=lambda one: one.name)
def test_the_lane_is_taken(monkeypatch: pytest.MonkeyPatch, speaker: Speaker) -> None:
    taken: list[bytes] = []
    real = Like.text

    def text(self: Like, data: bytes) -> bytes | None:
        found = real(self, data)
        taken.extend([found] if found is not None else [])
        return found

    monkeypatch.setattr(Like, "text", text)
    for blanks in (False, True):
        taken.clear()
        played(speaker, ["a"] + [f"word {n} " for n in range(30)], blanks=blanks, joined=False,
               observe=False)  # fmt: skip
        assert len(taken) >= 25


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join), max_size=25),
    st.sampled_from([CHAT, ANTHROPIC]), st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
def test_what_comes_of_them_is_the_same(
    texts: list[str], speaker: Speaker, blanks: bool, joined: bool, observe: bool
) -> None:
    how: dict[str, Any] = {"blanks": blanks, "joined": joined, "observe": observe}
    short = told(played(speaker, texts, **how))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow_module.Like, "of", staticmethod(lambda *_: None))
        assert told(played(speaker, texts, **how)) == short


def test_events_that_are_never_alike_cost_a_few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[bytes] = []
    real = Like.of

    def of(data: bytes, value: Any, parts: Parts) -> Like | None:
        tries.append(data)
        return real(data, value, parts)

    monkeypatch.setattr(flow_module.Like, "of", staticmethod(of))
    dice = random.Random(1)
    done = asked(CHAIN, CHAT, CHAT.request("hi"))
    events = [
        b"data: "
        + json.dumps({
            "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}],
            "obfuscation": f"{dice.getrandbits(32):x}",
        }, separators=(",", ":")).encode()
        + b"\n\n"
        for _ in range(40)
    ]  # fmt: skip
    answered(done, CHAT, events)
    assert len(tries) == 8
