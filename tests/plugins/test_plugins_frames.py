"""The wire format: what is cut out of a stream, and what is refused before it is read."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tavo.plugins.frames import FrameError, FrameReader, decode, encode

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
MESSAGES = st.lists(st.fixed_dictionaries({"type": TEXT, "n": st.integers(-(2**60), 2**60)}))


@given(MESSAGES, st.lists(st.integers(1, 50)))
def test_any_cut_of_the_stream_gives_the_same_messages(
    messages: list[dict[str, object]], sizes: list[int]
) -> None:
    stream = b"".join(encode(message, limit=1 << 20) for message in messages)
    reader = FrameReader(1 << 20)
    found = []
    pieces = iter(sizes)
    while stream:
        size = next(pieces, 7)
        reader.feed(stream[:size])
        stream = stream[size:]
        while (body := reader.take()) is not None:
            found.append(decode(body))
    assert found == messages
    assert reader.pending == 0


def test_a_gigabyte_is_refused_by_its_length_alone() -> None:
    header = (1 << 30).to_bytes(4, "big")
    reader = FrameReader(8 << 20)
    reader.feed(header)
    with pytest.raises(FrameError, match="1073741824"):
        reader.take()
    without_guard = FrameReader(1 << 32)
    without_guard.feed(header)
    assert without_guard.take() is None  # the control: it would wait and keep all that comes


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"n":1}',
        b'{"type":1}',
        b'{"type":"x","n":NaN}',
        b'{"type":"x","n":-Infinity}',
        b'{"type":"x"',
        b'{"type":"\xff"}',
        b'{"type":"x","n":' + b"9" * 5000 + b"}",
        b'{"type":"x","n":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(FrameError):
        decode(body)


def test_the_limits_of_json_come_from_us_not_from_luck() -> None:
    assert sys.get_int_max_str_digits() == 4300
    with pytest.raises(FrameError, match="limit"):
        encode({"type": "x", "text": "y" * 100}, limit=50)


def test_half_characters_are_replaced_not_raised() -> None:
    frame = encode({"type": "x", "text": "\ud800"}, limit=100)
    assert decode(frame[4:])["text"] == "?"
