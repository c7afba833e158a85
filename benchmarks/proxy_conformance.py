"""What the proxy lets out, by its own record: dialect x stream x tools x choices.

    python3 benchmarks/proxy_conformance.py [--answers N]

A provider on loopback says a text with an address and a secret in it, cut at random places, alone
or with a call of a tool, once or for several choices, in random pieces of bytes. The proxy runs as
its user runs it, with filters and an audit log. For each cell: the exchanges in the log, the bytes
of text that were judged and those that were given to the client, both from the log; bytes given out
without having been judged; and answers in which a client, however it reads them, could put the
secret or the address together. The last two must be 0; otherwise the script ends with 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import PYZ, ROOT, machine

sys.path.insert(0, str(ROOT))

from tests.fakes.any_reader import heard_anyhow
from tests.fakes.dialect_traffic import SPEAKERS, Speaker

SECRET, MAIL = "AKIAQ7TR2MXL5ZB3NC4D", "eve@evil.test"
TEXT = f"Take the key {SECRET}, or write to {MAIL} about it; the rest of this is of no interest."
CONFIG = """
proxy: 1
listen: {port: 0}
upstreams: {all: {url: "http://127.0.0.1:%d"}}
filters:
  - {filter: pii, answers: true}
  - {filter: secrets}
  - {filter: hidden-text}
  - {filter: tools, allow: [search, look]}
audit: {file: %s}
"""


def answer_of(speaker: Speaker, seed: int, count: int, tools: bool, whole: bool) -> bytes:
    dice = random.Random(seed)
    call = ("search", json.dumps({"query": f"{SECRET} of {MAIL}"})) if tools else None
    if whole:
        return speaker.whole([TEXT] * count, call)
    rest, deltas = dict.fromkeys(range(count), TEXT), []
    while rest:
        choice, size = dice.choice(sorted(rest)), dice.choice((1, 2, 3, 5, 9, 40))
        deltas.append((choice, rest[choice][:size]))
        rest[choice] = rest[choice][size:]
        if not rest[choice]:
            del rest[choice]
    return b"".join(speaker.stream(deltas, call, dice.randint(1, 9)))


async def provider(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()
            return
        found = re.search(rb"content-length: (\d+)", head.lower())
        body = await reader.readexactly(int(found[1]) if found else 0)
        plan = re.search(rb"PLAN (\d+) (\d+) (\d+) (\d+) (\d+)", body)
        assert plan is not None
        which, seed, count, tools, whole = map(int, plan.groups())
        data = answer_of(SPEAKERS[which], seed, count, bool(tools), bool(whole))
        kind = b"application/json" if whole else SPEAKERS[which].content_type
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n" % kind)
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        dice = random.Random(seed)
        while data:
            size = dice.choice((1, 7, 60, 500))
            writer.write(b"%x\r\n%b\r\n" % (len(data[:size]), data[:size]))
            data = data[size:]
        writer.write(b"0\r\n\r\n")
        await writer.drain()


@contextmanager
def providing() -> Iterator[int]:
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(provider, "127.0.0.1", 0))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    yield server.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(loop.stop)


@contextmanager
def proxy(folder: Path, behind: int) -> Iterator[int]:
    file = folder / "proxy.yaml"
    file.write_text(CONFIG % (behind, json.dumps(str(folder / "audit.jsonl"))))
    start = [str(PYZ)] if PYZ.exists() else ["-m", "tavo"]
    with subprocess.Popen(
        [sys.executable, *start, "proxy", "serve", "--config", str(file)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "HOME": str(folder), "PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                yield int(found[1])
                process.terminate()
                return
        raise SystemExit("the proxy did not start")


async def ask(port: int, speaker: Speaker, text: str, count: int, whole: bool) -> tuple[str, bytes]:
    """Return the id of an exchange and the body of its answer."""
    asked = speaker.several(speaker.request(text, stream=not whole), count)
    path = (speaker.whole_path if whole else b"") or speaker.path
    query = b"?" + speaker.query if speaker.query and not (whole and speaker.whole_path) else b""
    body = json.dumps(asked).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST %b%b HTTP/1.0\r\nhost: a\r\ncontent-type: application/json\r\n"
                 b"content-length: %d\r\n\r\n%b" % (path, query, len(body), body))  # fmt: skip
    head, _, data = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    found = re.search(rb"x-tavo-request-id: (\S+)", head)
    assert found is not None, head
    return found[1].decode(), data


Cell = tuple[str, str, str, int]


async def play(port: int, answers: int) -> tuple[dict[str, Cell], dict[Cell, int]]:
    cells: dict[str, Cell] = {}
    leaks: dict[Cell, int] = {}
    for which, speaker in enumerate(SPEAKERS):
        for whole in (False, True):
            for tools in (False, True) if speaker.has_calls else (False,):
                for count in (1, speaker.choices) if speaker.choices > 1 else (1,):
                    cell = (speaker.name, "whole" if whole else "stream", "call" if tools else "-",
                            count)  # fmt: skip
                    leaks[cell] = 0
                    for seed in range(answers):
                        plan = f"PLAN {which} {seed} {count} {int(tools)} {int(whole)}"
                        id_, data = await ask(port, speaker, plan, count, whole)
                        cells[id_] = cell
                        heard = heard_anyhow(data)
                        leaks[cell] += any(SECRET in one or MAIL in one for one in heard)
    return cells, leaks


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", type=int, default=100)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name, providing() as behind:
        folder = Path(name)
        with proxy(folder, behind) as port:
            cells, leaks = asyncio.run(play(port, options.answers))
        rows = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
    figures = {cell: [0, 0, 0, 0] for cell in leaks}
    for row in rows:
        if row["kind"] == "done" and row["id"] in cells:
            seen, released = row["bytes_seen"], row["bytes_released"]
            unjudged = released if row.get("unjudged") else max(released - seen, 0)
            for number, value in enumerate((1, seen, released, unjudged)):
                figures[cells[row["id"]]][number] += value
    print("\n| dialect | answer | tools | n | exchanges | judged | given out | unjudged | leaks |")
    print("|---|---|---|---|---|---|---|---|---|")
    bad = 0
    for cell, values in figures.items():
        assert values[0] == options.answers, f"{cell}: the log lacks exchanges"
        print("| " + " | ".join(map(str, (*cell, *values, leaks[cell]))) + " |")
        bad += values[3] + leaks[cell] + (values[1] == 0)
    total = [sum(column) for column in zip(*figures.values(), strict=True)]
    print(f"\n{total[0]} exchanges, {total[1]} bytes judged, {total[2]} given out, "
          f"{total[3]} unjudged, {sum(leaks.values())} leaks")  # fmt: skip
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
