"""Whether the proxy grows: its memory after 10,000, 100,000 and a million requests.

    python3 benchmarks/proxy_long.py [--requests N]

All requests differ: another text in each, so that nothing is remembered twice, another model in one
of a hundred, and a stream in one of twenty. pii, secrets, audit, keys and budgets are on. Memory is
that of the proxy's process (Pss), read while nothing is under way. Needs wrk; without it "not
measured" is printed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import machine
from proxy import KEY, cpu_ns, free_port, memory_kb, running, tavo

MARKS = (1_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
LOAD = """
local n = %d
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
function request()
  n = n + 1
  local stream = n %% 20 == 0 and ',"stream":true' or ''
  local model = n %% 100 == 0 and "model-" .. n or "gpt-4o-mini"
  local text = "Question " .. n .. " of user" .. n .. "@example.com: " ..
    string.rep("what is the weather in Berlin on day " .. n .. "? ", 16)
  return wrk.format(nil, nil, nil, '{"model":"' .. model .. '"' .. stream ..
    ',"messages":[{"role":"user","content":"' .. text .. '"}]}')
end
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=MARKS[-1])
    options = parser.parse_args()
    print(machine())
    if sys.platform != "linux" or shutil.which("wrk") is None:
        raise SystemExit("not measured: needs Linux and wrk")
    with tempfile.TemporaryDirectory() as name:
        folder, behind = Path(name), free_port()
        upstream = [sys.executable, str(Path(__file__).with_name("proxy.py")), "--upstream"]
        with (
            running([*upstream, str(behind)], behind, 1),
            tavo(folder, behind, "long", audit={"file": str(folder / "audit.jsonl")},
                 filters=[{"filter": "pii"}, {"filter": "secrets"}]) as (pid, port),
        ):  # fmt: skip
            _run(folder, pid, port, options.requests)


def _run(folder: Path, pid: int, port: int, most: int) -> None:
    print("\n| requests | memory, MB | CPU per request, us |\n|---|---|---|")
    print(f"| 0 | {memory_kb(pid) / 1024:.1f} | |", flush=True)
    done, load, cpu, since = 0, folder / "load.lua", cpu_ns(pid), 0
    marks = [mark for mark in MARKS if mark <= most]
    while marks:
        load.write_text(LOAD % (done, KEY))
        span = 1 if marks[0] - done < 5_000 else 10
        out = subprocess.run(
            ["wrk", "-t1", "-c32", f"-d{span}s", "-s", str(load),
             f"http://127.0.0.1:{port}/v1/chat/completions"],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        found = re.search(r"(\d+) requests in", out)
        if found is None or "Non-2xx" in out:
            raise SystemExit(f"a request was refused:\n{out}")
        done += int(found.group(1))
        if done >= marks[0]:
            time.sleep(1)
            spent = cpu_ns(pid) - cpu
            print(f"| {done} | {memory_kb(pid) / 1024:.1f} | {spent / (done - since) / 1000:.0f} |",
                  flush=True)  # fmt: skip
            cpu, since = cpu_ns(pid), done
            marks = [mark for mark in marks if mark > done]


if __name__ == "__main__":
    main()
