"""Nothing that strangers send makes a parser of ours do anything but take it or refuse it.

The bounded part of the fuzzing, in every run of the tests: well-formed seeds, changed in the ways
in which hostile bytes are. `run_atheris.py` looks further, guided by coverage.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import SEEDS, TARGETS

# what has broken parsers before: ours, and those that the facts of this project name
PIECES = [
    b"\\ud800", b"\\u0000", b"\\u001b]0;x\\u0007", b"\xe2\x80\xae", b"\xed\xa0\x80",
    b"\xff", b"NaN", b"Infinity", b"1e999", b"-1", b"1" + b"0" * 400, b"9" * 5000,
    b"[" * 3000, b'{"a":' * 1500,
    b"null", b"true", b'""', b"[]", b"{}", b"../", b"/etc/passwd", b"\0", b"\r\n", b"%YAML 9.9\n",
    b'"\\UFFFFFFFF"', b"&a *a", b"!!python/name:os.system", b"\xff\xff\xff\xff", b"\0\0\0\0",
    b"PK\x05\x06", b"PK\x01\x02", b"2147483648", b"0.1", b"\xef\xbb\xbf",
]  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, name: str) -> bytes:
    """A seed with some places cut, doubled, replaced or moved."""
    data = draw(st.sampled_from(SEEDS[name]))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 24)))
        piece = draw(
            st.sampled_from(PIECES) | st.binary(max_size=12) | st.just(data[start:end] * 2)
        )
        data = data[:start] + piece + data[end:]
    return data


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_seeds_are_taken(name: str) -> None:
    """The control: a target that refuses everything would find nothing."""
    assert any(TARGETS[name](seed) for seed in SEEDS[name])


@pytest.mark.parametrize("name", sorted(TARGETS))
@settings(
    max_examples=150, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_changed_seeds_are_taken_or_refused(name: str, data: st.DataObject) -> None:
    TARGETS[name](data.draw(changed(name)))


@pytest.mark.parametrize("name", sorted(TARGETS))
@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(name: str, data: bytes) -> None:
    TARGETS[name](data)
