"""Many texts looked for at once."""

from hypothesis import given
from hypothesis import strategies as st

from tavo.detect.literals import AnyOf


def test_a_text_is_no_pattern() -> None:
    wanted = AnyOf(["a.b", "ü|x", "\\d", "(?i)y"])
    for data in (b"1a.b1", "ü|x".encode(), b"\\d", b"(?i)y", b"\xff\0a.b\xff", memoryview(b"a.b")):
        assert wanted.is_in(data)
    for data in (b"axb", "ü".encode(), b"5", b"Y", b"A.B", b"", memoryview(b"ab")):
        assert not wanted.is_in(data)


@given(st.lists(st.text(min_size=3, max_size=8), min_size=1, max_size=64), st.binary(), st.data())
def test_it_says_what_a_search_for_each_says(
    texts: list[str], data: bytes, drawn: st.DataObject
) -> None:
    if drawn.draw(st.booleans()):
        data += drawn.draw(st.sampled_from(texts)).encode() + b"x"
    assert AnyOf(texts).is_in(data) == any(text.encode() in data for text in texts)
