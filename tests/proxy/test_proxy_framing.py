"""Events in bytes: whatever the pieces, the same events, and not a byte more or less."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tavo.llm.dialect import Framing
from tavo.proxy.stream import framing
from tavo.proxy.stream.framing import Event, TooLargeError, reader_of

FRAGMENTS = [
    b"data: ", b'{"a":1}', b"\n", b"\r\n", b"\r", b": note", b"event: x", b"[", b"]", b",", b" ",
    b'"a\\"b]"', b"{", b"}", b"\\", b'"', "é".encode(), b"data:x",
]  # fmt: skip


def read(how: Framing, pieces: list[bytes]) -> list[Event]:
    reader = reader_of(how)
    events = [event for piece in pieces for event in reader.feed(piece)]
    return events + reader.end()


@example([b"\n", b"\n", b"\r\n"], Framing.SSE)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40), st.sampled_from(sorted(
    set(Framing) - {Framing.WHOLE}, key=lambda one: one.value)))  # fmt: skip
@settings(max_examples=500, deadline=None)
def test_any_bytes_in_any_pieces(parts: list[bytes], how: Framing) -> None:
    data = b"".join(parts)
    whole = [(event.raw, event.data) for event in read(how, [data])]
    assert b"".join(raw for raw, _ in whole) == data
    single = read(how, [data[at : at + 1] for at in range(len(data))])
    assert [(event.raw, event.data) for event in single] == whole
    assert [(event.raw, event.data) for event in read(how, parts)] == whole


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_server_sent_events_end_in_three_ways(end: bytes) -> None:
    data = end.join(
        [b": hello", b"event: a", b"data: {", b'data: "b": 1}', b"", b"data:x", b"", b""]
    )
    first, second = read(Framing.SSE, [data])[:2]
    assert json.loads(first.data or b"") == {"b": 1}
    assert first.notes == b": hello\nevent: a\n"
    assert second.data == b"x"
    assert first.written({"c": 2}) == b': hello\nevent: a\ndata: {"c":2}\n\n'


def test_elements_of_an_array_keep_what_stands_between_them() -> None:
    data = b'[ {"a": "]},{"} ,\r\n {"b": [1, {"c": 2}]}\n]\n'
    events = read(Framing.ARRAY, [data])
    assert [json.loads(one.data) for one in events if one.data] == [
        {"a": "]},{"}, {"b": [1, {"c": 2}]},
    ]  # fmt: skip
    assert events[1].written({"x": 1}) == b' ,\r\n {"x":1}'
    error = b'{"error": {"code": 500}}'
    assert [one.data for one in read(Framing.ARRAY, [error])] == [error]


def test_lines() -> None:
    events = read(Framing.LINES, [b'{"a":1}\n\n{"b":', b'2}\n{"c":3}'])
    assert [one.data for one in events] == [b'{"a":1}', None, b'{"b":2}', b'{"c":3}']


@pytest.mark.parametrize("how", [Framing.SSE, Framing.LINES, Framing.ARRAY])
def test_an_event_without_end_is_bounded(how: Framing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MOST_EVENT", 100)
    reader = reader_of(how)
    with pytest.raises(TooLargeError):
        reader.feed(b"[" + b"x" * 200)
