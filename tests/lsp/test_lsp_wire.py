"""Frames and messages from a client that is hostile or broken, against the bytes of a corpus."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from tavo.errors import InputError
from tavo.lsp.wire import MessageError, decode_message, framed, read_frame
from tests.fakes.editor import ROOT

CORPUS = Path(__file__).parents[1] / "attacks" / "lsp"
EXPECTED = json.loads((CORPUS / "expected.json").read_text())


def said(stream: bytes, home: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "tavo", "lsp"], input=stream, capture_output=True, check=False,
        cwd=ROOT, env={"HOME": str(home), "PATH": "/usr/bin:/bin"}, timeout=300,
    )  # fmt: skip


def test_every_file_of_the_corpus_has_an_expectation() -> None:
    assert {one.name for one in CORPUS.iterdir()} == {*EXPECTED, "expected.json"}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_hostile_stream(name: str, tmp_path: Path) -> None:
    expected = EXPECTED[name]
    done = said((CORPUS / name).read_bytes(), tmp_path)
    assert done.returncode == expected["code"], done.stderr
    assert b"Traceback" not in done.stderr
    assert expected.get("says", "") in done.stderr.decode()
    answers = []
    stream = io.BytesIO(done.stdout)
    while (body := read_frame(stream)) is not None:
        answers.append(json.loads(body))
    errors = [one["error"]["code"] for one in answers if "error" in one]
    assert errors == expected["errors"]


def test_a_length_beyond_the_bound_is_refused_before_it_is_read() -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            if not Endless.taken:
                head = b"Content-Length: 99999999999\r\n\r\n"
                buffer[: len(head)] = head
                Endless.taken = len(head)
                return len(head)
            Endless.taken += len(buffer)
            buffer[:] = b"x" * len(buffer)
            return len(buffer)

    with pytest.raises(InputError, match="99999999999 bytes, at most 67108864"):
        read_frame(io.BufferedReader(Endless()))
    assert Endless.taken < 100_000


def test_control_without_the_bound_the_message_is_held() -> None:
    body = b"x" * (65 << 20)
    stream = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    with pytest.raises(InputError):
        read_frame(io.BytesIO(stream))
    tracemalloc.start()
    try:
        assert read_frame(io.BytesIO(stream), largest=1 << 40) == body
        assert tracemalloc.get_traced_memory()[1] > len(body)
    finally:
        tracemalloc.stop()


def test_deep_json_is_refused_and_the_stream_goes_on() -> None:
    deep = (
        b'{"jsonrpc":"2.0","id":1,"method":"x","params":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    )
    with pytest.raises(MessageError, match="nested too deep"):
        decode_message(deep)
    shallow = deep.replace(b"[" * 99_900, b"").replace(b"]" * 99_900, b"")
    assert decode_message(shallow).method == "x"  # the control: it is the depth


def test_half_a_pair_of_surrogates_counts_as_one_character() -> None:
    message = decode_message(b'{"jsonrpc":"2.0","method":"x","params":"a\\ud83d b"}')
    assert bytes(message.params) == b'"a? b"'


def test_headers_in_any_case_and_order() -> None:
    body = b"{}"
    head = b"content-type: application/vscode-jsonrpc; charset=utf-8\r\ncontent-length:2\r\n\r\n"
    assert read_frame(io.BytesIO(head + body)) == body
    stream = io.BytesIO(framed({"a": "é"}) * 2)
    assert read_frame(stream) == read_frame(stream) == '{"a":"é"}'.encode()
    assert read_frame(stream) is None
