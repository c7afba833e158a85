"""CPU per request beside LiteLLM's proxy, with the same upstream, load and processor.

    python3 benchmarks/proxy_peers.py [--rounds N] [--seconds S] [--version V]

LiteLLM is installed for this run alone, into a virtual environment in a temporary folder: one
worker, no database, no callbacks, no guardrails. tavo has keys, budgets, audit, pii, secrets and
injection on. Where LiteLLM cannot be installed or started, "not measured" is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import machine
from proxy import KEY, free_port, per_request, running, script, tavo

FILTERS = [{"filter": "pii"}, {"filter": "secrets"}, {"filter": "injection"}]
_INSTALL_S, _START_S = 900, 240


def installed(folder: Path, version: str) -> Path | None:
    """Install LiteLLM; return its program, None if that fails."""
    venv = folder / "litellm"
    try:
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, timeout=_INSTALL_S)
        subprocess.run(
            [str(venv / "bin" / "pip"), "install", "-q", f"litellm[proxy]=={version}"],
            check=True, timeout=_INSTALL_S, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return venv / "bin" / "litellm"


@contextmanager
def litellm(folder: Path, behind: int, program: Path | None) -> Iterator[tuple[int, int] | None]:
    if program is None:
        yield None
        return
    port = free_port()
    config = folder / "litellm.yaml"
    config.write_text(json.dumps({
        "model_list": [{"model_name": "gpt-4o-mini", "litellm_params": {
            "model": "openai/gpt-4o-mini", "api_base": f"http://127.0.0.1:{behind}/v1",
            "api_key": "sk-real"}}],
        "general_settings": {"master_key": KEY},
    }))  # fmt: skip
    process = subprocess.Popen(
        ["taskset", "-c", "0", str(program), "--config", str(config), "--port", str(port),
         "--num_workers", "1", "--host", "127.0.0.1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True",
             "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"},
    )  # fmt: skip
    try:
        end = time.monotonic() + _START_S
        while time.monotonic() < end and process.poll() is None:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        yield (process.pid, port) if process.poll() is None else None
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--version", default="1.106.2")
    options = parser.parse_args()
    print(machine())
    if sys.platform != "linux" or shutil.which("wrk") is None:
        raise SystemExit("not measured: needs Linux and wrk")
    with tempfile.TemporaryDirectory() as name:
        folder, behind = Path(name), free_port()
        program = installed(folder, options.version)
        upstream = [sys.executable, str(Path(__file__).with_name("proxy.py")), "--upstream"]
        with (
            running([*upstream, str(behind)], behind, 1),
            tavo(folder, behind, "all", audit={"file": str(folder / "all.jsonl")},
                 filters=FILTERS) as ours,
            litellm(folder, behind, program) as theirs,
        ):  # fmt: skip
            if theirs is None:
                print("LiteLLM proxy: not measured (it could not be installed or started)")
                return
            load = script(folder, stream=False, paced=False)
            for where in (ours, theirs):
                per_request(*where, load, 4, 3)  # the first requests import
                time.sleep(2)
            print(
                "\n| CPU per request, us | tavo, everything on | LiteLLM, no guardrails | ratio |"
            )
            print("|---|---|---|---|")
            ratios = []
            for number in range(options.rounds):
                mine = per_request(*ours, load, 16, options.seconds)
                other = per_request(*theirs, load, 16, options.seconds)
                time.sleep(2)
                if mine is None or other is None:
                    print(f"| round {number + 1} | not measured | | |")
                    continue
                ratios.append(other / mine)
                print(f"| round {number + 1} | {mine:.0f} | {other:.0f} | 1/{ratios[-1]:.0f} |",
                      flush=True)  # fmt: skip
            if ratios:
                print(f"\nmedian: 1/{statistics.median(ratios):.0f} (bar: 1/50)")


if __name__ == "__main__":
    main()
