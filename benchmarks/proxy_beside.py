"""What a large prompt costs those beside it, and what the learned filters cost for each kB.

    python3 benchmarks/proxy_beside.py [--rounds N] [--seconds S]

One client asks small questions, one after the other, through a proxy with pii, secrets and
injection. Then the same while two others send agent prompts of 400 kB, a hundred messages of which
nothing was seen before. Rounds are paired; the figures are latencies of the small questions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from measure import machine
from proxy import ASKED, KEY, REPLY, free_port, running, tavo

FILTERS = [
    {"filter": "pii"},
    {"filter": "secrets"},
    {"filter": "injection", "user": "note", "tool": "note"},
]
WORDS = (
    Path(__file__).read_text().split() + Path(__file__).with_name("proxy.py").read_text().split()
)


TEXT = " ".join(WORDS)


def prompt(dice: random.Random) -> bytes:
    """Return a request of an agent, about 400 kB of text that nobody has seen."""
    messages = []
    for number in range(100):
        role = ("user", "assistant", "tool")[number % 3]
        start = dice.randrange(len(TEXT) - 4_000)
        text = f"{dice.getrandbits(64):x} {TEXT[start : start + 3_980]}"
        more = {"tool_call_id": "c1"} if role == "tool" else {}
        messages.append({"role": role, "content": text, **more})
    return json.dumps({"model": "gpt-4o-mini", "messages": messages}).encode()


async def ask(port: int, body: bytes, until: float, spans: list[float] | None = None) -> int:
    """Send a request again and again; return how often it was answered with 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    answered = 0
    try:
        while True:
            start = time.perf_counter()
            writer.write(data)
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(REPLY))
            answered += b" 200 " in answer[:20]
            if spans is not None:
                spans.append((time.perf_counter() - start) * 1000)
                await asyncio.sleep(0.002)
            if time.perf_counter() >= until:
                break
    finally:
        writer.close()
    return answered


async def large(port: int, until: float, seed: int) -> int:
    dice, sent = random.Random(seed), 0
    while time.perf_counter() < until:
        sent += await ask(port, prompt(dice), 0.0)
    return sent


def percentile(spans: list[float], part: float) -> float:
    return sorted(spans)[int(len(spans) * part)]


def beside(port: int, loader: list[str], seconds: float) -> tuple[list[float], list[float]]:
    import subprocess

    alone: list[float] = []
    shared: list[float] = []
    body = json.dumps(ASKED).encode()
    asyncio.run(ask(port, body, time.perf_counter() + seconds, alone))
    other = subprocess.Popen([*loader, str(port), str(seconds + 1)])
    time.sleep(0.7)
    asyncio.run(ask(port, body, time.perf_counter() + seconds, shared))
    other.wait()
    return alone, shared


def per_kb() -> None:
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from tavo.detect.learned import model_of

    dice = random.Random(5)
    texts = [" ".join(dice.choices(WORDS, k=600))[:4_000] for _ in range(60)]
    for kind in ("user", "tool"):
        model = model_of(kind)
        model.finds(texts[0])
        start = time.process_time()
        for text in texts:
            model.finds(text)
        spent = time.process_time() - start
        kb = sum(len(text) for text in texts) / 1000
        print(f"learned filter, {kind}: {spent / kb * 1000:.3f} ms of CPU for each kB of new text")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--load", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        port, until = int(options.load[0]), time.perf_counter() + float(options.load[1])

        async def both() -> int:
            return sum(await asyncio.gather(large(port, until, 1), large(port, until, 2)))

        print(f"{asyncio.run(both())} prompts of 400 kB", file=sys.stderr)
        return
    print(machine())
    per_kb()
    with tempfile.TemporaryDirectory() as name:
        folder, behind = Path(name), free_port()
        upstream = [sys.executable, str(Path(__file__).with_name("proxy.py")), "--upstream"]
        with (
            running([*upstream, str(behind)], behind, 1),
            tavo(folder, behind, "beside", filters=FILTERS) as (_, port),
        ):
            print("\n| | p50, ms | p99, ms | with 400 kB beside: p50 | p99 | more at p99 |")
            print("|---|---|---|---|---|---|")
            differences = []
            for number in range(options.rounds):
                loader = [sys.executable, __file__, "--load"]
                alone, shared = beside(port, loader, options.seconds)
                row = [percentile(alone, 0.5), percentile(alone, 0.99),
                       percentile(shared, 0.5), percentile(shared, 0.99)]  # fmt: skip
                differences.append(row[3] - row[1])
                cells = " | ".join(f"{one:.2f}" for one in (*row, differences[-1]))
                print(f"| round {number + 1} | {cells} |", flush=True)
            print(f"\nmedian of what a neighbour waits more at p99: "
                  f"{statistics.median(differences):.1f} ms (bar: 15)")  # fmt: skip


if __name__ == "__main__":
    main()
