"""All dialects, streams and whole answers, with and without calls, one choice and several."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.fakes.dialect_traffic import SPEAKERS, Speaker
from tests.proxy.driving import Done, answered, asked, chain_of, cut

FILTERS: tuple[dict[str, Any], ...] = (
    {"filter": "pii", "answers": True},
    {"filter": "secrets"},
    {"filter": "hidden-text"},
    {"filter": "tools", "deny": ["rm_*"], "arguments": [{"argument": "cmd", "never": "rm -rf"}]},
    {
        "filter": "content",
        "rules": [{"id": "falcon", "words": ["project falcon"], "phases": ["response"]}],
    },
)
ASKED = "I am bob@example.com and my card is 4111 1111 1111 1111."
CHAIN = chain_of(*FILTERS)
IDS = [one.name for one in SPEAKERS]


def placeholders(speaker: Speaker) -> tuple[str, str]:
    sent = asked(CHAIN, speaker, speaker.request(ASKED)).sent.decode()
    found = [part.split("}")[0] for part in sent.split("{") if part.startswith(("EMAIL", "CARD"))]
    assert "bob@example.com" not in sent
    assert "4111" not in sent
    return f"{{{found[0]}}}", f"{{{found[1]}}}"


def played(
    speaker: Speaker, text: str, *, choices: int = 1, call: tuple[str, str] | None = None,
    whole: bool = False, rnd: random.Random | None = None, chain: Any = CHAIN,
) -> Done:  # fmt: skip
    """Play an answer, cut into random texts and then into random bytes."""
    rnd = rnd or random.Random(0)
    path = speaker.whole_path if whole else b""
    request = speaker.several(speaker.request(ASKED, stream=not whole), choices)
    done = asked(chain, speaker, request, path=path)
    if whole:
        data = speaker.whole([text] * choices, call)
        return answered(done, speaker, cut(data, (rnd.randint(1, 40) for _ in data)), whole=True)
    deltas: list[tuple[int, str]] = []
    rest = dict.fromkeys(range(choices), text)
    while rest:
        choice = rnd.choice(sorted(rest))
        size = rnd.choice((1, 2, 3, 5, 9, 40))
        deltas.append((choice, rest[choice][:size]))
        rest[choice] = rest[choice][size:]
        if not rest[choice]:
            del rest[choice]
    data = b"".join(speaker.stream(deltas, call, rnd.randint(1, 9)))
    return answered(done, speaker, cut(data, (rnd.choice((1, 7, 60, 500)) for _ in data)))


def heard(speaker: Speaker, done: Done, *, whole: bool) -> Any:
    return speaker.heard_whole(done.out) if whole else speaker.heard(done.out)


def choices_of(speaker: Speaker, count: int) -> int:
    return min(count, speaker.choices)


SAID = "Write to {mail}, not to eve@evil.test. Pay with {card}! Link: http://x.test/?q={mail} end"
MEANT = (
    "Write to bob@example.com, not to [EMAIL removed]. Pay with 4111 1111 1111 1111!"
    " Link: http://x.test/?q={mail} end"
)


@pytest.mark.parametrize("whole", [False, True], ids=["stream", "whole"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("speaker", SPEAKERS, ids=IDS)
def test_an_answer_says_the_same_however_it_was_cut(
    speaker: Speaker, count: int, whole: bool
) -> None:
    mail, card = placeholders(speaker)
    choices = choices_of(speaker, count)
    for seed in range(12):
        done = played(
            speaker, SAID.format(mail=mail, card=card), choices=choices, whole=whole,
            rnd=random.Random(seed),
        )  # fmt: skip
        got = heard(speaker, done, whole=whole)
        assert got.error == ""
        meant = MEANT.format(mail=mail)
        assert got.texts == dict.fromkeys(range(choices), meant), seed
        record = done.exchange.record
        assert record.bytes_released <= record.bytes_seen
        assert record.unjudged == ""


@pytest.mark.parametrize("whole", [False, True], ids=["stream", "whole"])
@pytest.mark.parametrize("speaker", [one for one in SPEAKERS if one.has_calls], ids=IDS[:-1])
def test_calls_are_judged_before_they_can_be_acted_on(speaker: Speaker, whole: bool) -> None:
    good = ("sh", json.dumps({"cmd": "ls -l", "note": "for eve@evil.test"}))
    for call in (("sh", '{"cmd": "cd / && rm -rf *"}'), ("rm_all", "{}"),
                 ("sh", '{"cmd": "rm\\u0020-rf /"}')):  # fmt: skip
        done = played(speaker, "Fine. ", call=call, whole=whole)
        got = heard(speaker, done, whole=whole) if done.out else None
        assert done.refusal is not None
        assert b"rf" not in done.out
        if got is not None:
            assert "is not allowed" in got.error
            assert got.calls == []
    done = played(speaker, "Fine. ", call=good, whole=whole)
    got = heard(speaker, done, whole=whole)
    assert got.error == ""
    assert [(name, json.loads(arguments)) for name, arguments in got.calls] == [
        ("sh", {"cmd": "ls -l", "note": "for [EMAIL removed]"})
    ]


@pytest.mark.parametrize("whole", [False, True], ids=["stream", "whole"])
@pytest.mark.parametrize("speaker", SPEAKERS, ids=IDS)
def test_a_block_lets_nothing_of_what_is_blocked_out(speaker: Speaker, whole: bool) -> None:
    for seed in range(8):
        done = played(
            speaker, "It is called Project Falcon, you know.", whole=whole, rnd=random.Random(seed)
        )
        assert done.refusal is not None
        assert b"alcon" not in done.out.replace(b"content.falcon", b"")
        assert done.exchange.record.verdict == "block"
        if not whole:
            got = speaker.heard(done.out)
            assert got.error.startswith("blocked by content (content.falcon)")
            assert got.texts.get(0, "") in {"It is called ", ""}


@pytest.mark.parametrize("speaker", SPEAKERS, ids=IDS)
def test_placeholders_never_become_values_in_calls(speaker: Speaker) -> None:
    if not speaker.has_calls:
        return
    mail, _ = placeholders(speaker)
    for whole in (False, True):
        call = ("sh", json.dumps({"to": mail}))
        got = heard(speaker, played(speaker, "x", call=call, whole=whole), whole=whole)
        assert json.loads(got.calls[0][1]) == {"to": mail}


@pytest.mark.parametrize("speaker", SPEAKERS, ids=IDS)
def test_what_is_not_changed_is_the_bytes_that_came(speaker: Speaker) -> None:
    text = "Nothing here is of interest to anybody, and 12 apples are not 13."
    call = ("sh", '{"cmd": "ls"}') if speaker.has_calls else None
    deltas = [(0, one) for one in text.split(" ")]
    data = b"".join(speaker.stream(deltas, call, 3))
    for size in (1, 10, 1000, len(data)):
        done = asked(CHAIN, speaker, speaker.request(ASKED))
        answered(done, speaker, cut(data, [size] * len(data)))
        assert done.out == data
        assert done.exchange.record.tokens_in in {7, 0}
    whole = speaker.whole([text], call)
    done = asked(CHAIN, speaker, speaker.request(ASKED, stream=False), path=speaker.whole_path)
    assert answered(done, speaker, [whole], whole=True).out == whole


@pytest.mark.parametrize("speaker", SPEAKERS, ids=IDS)
def test_observing_changes_nothing_and_says_everything(speaker: Speaker) -> None:
    chain = chain_of(*FILTERS, observe=True)
    done = asked(chain, speaker, speaker.request(ASKED))
    assert done.body == speaker.request(ASKED)
    call = ("rm_all", '{"cmd": "rm -rf /"}') if speaker.has_calls else None
    data = b"".join(speaker.stream([(0, "eve@evil.test and project "), (0, "falcon")], call, 3))
    pieces = cut(data, [5] * len(data))
    answered(done, speaker, pieces)
    assert done.out == data
    assert done.refusal is None
    assert {("pii", "modify", "request"), ("pii", "modify", "response"),
            ("content", "block", "response")} <= done.said  # fmt: skip
    assert ("tools", "block", "response") in done.said or not speaker.has_calls
    assert done.exchange.record.verdict == "allow"


def test_the_matrix_prints_what_was_released(capsys: pytest.CaptureFixture[str]) -> None:
    rows = []
    for speaker in SPEAKERS:
        mail, card = placeholders(speaker)
        text = SAID.format(mail=mail, card=card)
        for whole in (False, True):
            for tools in (False, True) if speaker.has_calls else (False,):
                for count in (1, 3) if speaker.choices > 1 else (1,):
                    seen = released = 0
                    for seed in range(5):
                        done = played(
                            speaker, text, choices=choices_of(speaker, count), whole=whole,
                            call=("sh", '{"cmd": "ls"}') if tools else None,
                            rnd=random.Random(seed),
                        )  # fmt: skip
                        record = done.exchange.record
                        seen += record.bytes_seen
                        released += record.bytes_released
                        assert record.unjudged == ""
                    rows.append((speaker.name, "whole" if whole else "stream",
                                 "calls" if tools else "-", count, seen, released,
                                 max(released - seen, 0)))  # fmt: skip
    lines = [f"{'dialect':18} {'answer':7} {'tools':6} n {'judged':>8} {'released':>8} unjudged"]
    lines += [f"{a:18} {b:7} {c:6} {d} {e:8} {f:8} {g:8}" for a, b, c, d, e, f, g in rows]
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert all(row[-1] == 0 and row[4] > 0 for row in rows)


SIGNS = (
    "{mail}", "{card}", "{mail}", "eve@evil.test", "4111 1111 1111 1111", "AKIAQ7TR2MXL5ZB3NC4D",
    "bob", "@", "example", ".com", "4111", " ", " ", " ", "\n", "http://", "![x](", ")", "<b>", ">",
    '<img src="', '"', "[x]: ", "é", "\u200b", "x", "1", "-", "{", "}", "EMAIL:", "+49 170 1234567",
    "project ", "falco", "ghp_", "sk-", "0" * 16,
)  # fmt: skip


@pytest.mark.parametrize("chunkings", [150, pytest.param(100_000, marks=pytest.mark.slow)])
def test_however_an_answer_is_cut_it_is_that_of_the_whole_text(chunkings: int) -> None:
    """The text of each dialect's stream is what the filters make of the same text as a whole."""
    dice = random.Random(11)
    chat = SPEAKERS[0]
    marks = {speaker.name: placeholders(speaker) for speaker in SPEAKERS}
    tried = changed = 0
    while tried < chunkings:
        form = "".join(dice.choice(SIGNS) for _ in range(dice.randrange(1, 12)))
        if not form.strip():
            continue

        def text(speaker: Speaker, form: str = form) -> str:
            mail, card = marks[speaker.name]
            return form.replace("{mail}", mail).replace("{card}", card)

        whole = played(chat, text(chat), whole=True)
        meant = chat.heard_whole(whole.out).texts[0]
        changed += meant != text(chat)
        for speaker in SPEAKERS:
            if marks[speaker.name] != marks[chat.name]:
                continue
            for _ in range(2):
                done = played(speaker, text(speaker), rnd=dice)
                assert speaker.heard(done.out).texts == {0: meant}, (speaker.name, form)
                tried += 1
    assert changed > tried / 100
