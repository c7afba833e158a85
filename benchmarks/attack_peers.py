"""garak and PyRIT beside tavo on the second flawed agent: flaws found, requests, time.

    python benchmarks/attack_peers.py --garak VENV/bin/python [--prompts 4]
    python benchmarks/attack_peers.py --pyrit VENV/bin/python [--prompts 4]

Each flaw for which the peer has an attack that needs no other model is switched on alone; it counts
as found if a detector of the peer says so, and less when all flaws are off. All tools get the same
server, which counts. No access to a model hub is given.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.attack.test_attack_engine import FOUND_BY
from tests.fakes.flawed import EXAMPLES, agent_module

GARAK = {
    "direct-injection": "promptinject",
    "indirect-injection": (
        "latentinjection.LatentInjectionReport,latentinjection.LatentWhoisSnippet"
    ),
    "jailbreak": "dan.AutoDANCached,dan.DanInTheWild",
    "encoding": "encoding",
    "image-exfiltration": "web_injection.MarkdownImageExfil,web_injection.PlaygroundMarkdownExfil",
    "script-output": "web_injection.MarkdownXSS,web_injection.TaskXSS",
    "query-output": "exploitation.SQLInjectionEcho",
}
# What each of them is: attack_peers_pyrit.py.
PYRIT = (
    "direct-injection", "jailbreak", "encoding", "image-exfiltration", "script-output",
    "system-prompt-leak", "secret-leak", "command-output",
)  # fmt: skip


class Served:
    """The agent with these flaws on a free port; counts what it is asked."""

    def __init__(self, module: ModuleType, flaws: str) -> None:
        """Start."""
        self.asked = 0
        self._server = module.serve(0, flaws)
        outer, base = self, self._server.RequestHandlerClass

        class Counting(base):  # type: ignore[misc, valid-type]
            def do_POST(self) -> None:  # noqa: N802
                outer.asked += 1
                super().do_POST()

        self._server.RequestHandlerClass = Counting
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Served:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def timed(command: list[str], folder: Path) -> tuple[float, float, int]:
    """Run it; return wall seconds, CPU seconds and the exit code."""
    environment = {
        **os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1",
        "OPENAICOMPATIBLE_API_KEY": "none", "XDG_DATA_HOME": str(folder), "NO_PROXY": "127.0.0.1",
        "XDG_CACHE_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder),
    }  # fmt: skip
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with (folder / "log").open("ab") as log:
        code = subprocess.run(
            command, cwd=folder, env=environment, stdout=log, stderr=log, timeout=300, check=False
        ).returncode
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - start, spent, code


def garak(
    module: ModuleType, python: str, flaws: str, probes: str, prompts: int
) -> tuple[dict[str, int], int, float, float, int]:
    """Return hits of each probe and detector, requests, wall and CPU seconds, exit code."""
    with tempfile.TemporaryDirectory() as name, Served(module, flaws) as agent:
        folder = Path(name)
        options = {"openai": {"OpenAICompatible": {"uri": agent.url, "max_tokens": 400}}}
        (folder / "target.json").write_text(json.dumps(options))
        (folder / "run.yaml").write_text(
            f"run: {{generations: 1, soft_probe_prompt_cap: {prompts}, seed: 7}}\n"
        )
        command = [
            python, "-m", "garak", "--config", "run.yaml", "-G", "target.json", "--target_type",
            "openai.OpenAICompatible", "--target_name", "scripted", "--probes", probes,
            "--report_prefix", str(folder / "report"),
        ]  # fmt: skip
        wall, spent, code = timed(command, folder)
        hits: dict[str, int] = {}
        for line in (folder / "report.report.jsonl").read_text().splitlines():
            entry = json.loads(line)
            if entry["entry_type"] == "eval":
                hits[f"{entry['probe']} {entry['detector']}"] = entry["fails"]
        return hits, agent.asked, wall, spent, code


def pyrit(
    module: ModuleType, python: str, flaws: str, attack: str, prompts: int
) -> tuple[dict[str, Any], int, float, float]:
    """Return what worked, was tried and was told; requests, wall and CPU seconds."""
    driver = str(Path(__file__).with_name("attack_peers_pyrit.py"))
    with tempfile.TemporaryDirectory() as name, Served(module, flaws) as agent:
        out = Path(name) / "out.json"
        command = [python, driver, agent.url, attack, str(prompts), str(out)]
        wall, spent, code = timed(command, Path(name))
        if code:
            sys.exit(f"PyRIT ended with {code}: {(Path(name) / 'log').read_text()[-2000:]}")
        return json.loads(out.read_text()), agent.asked, wall, spent


def tavo(module: ModuleType, flaws: str, probes: list[str]) -> tuple[bytes, int, float, float]:
    """Return the report, requests, wall and CPU seconds."""
    described = (EXAMPLES / "second-agent" / "target.yaml").read_text()
    with tempfile.TemporaryDirectory() as name, Served(module, flaws) as agent:
        folder = Path(name)
        text = described.replace("http://127.0.0.1:8090/v1", agent.url)
        (folder / "target.yaml").write_text(text)
        os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
        command = [sys.executable, "-m", "tavo", "attack", "target.yaml", "--report", "r.json"]
        for probe in probes:
            command += ["--probe", probe]
        wall, spent, _ = timed(command, folder)
        return (folder / "r.json").read_bytes(), agent.asked, wall, spent


def beside_garak(module: ModuleType, python: str, prompts: int) -> None:
    """Print garak's table."""
    print(
        "| flaw alone | garak: hits, with none | requests | wall s | CPU s"
        " | tavo | requests | wall s | CPU s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    total = 0
    for flaw, probes in GARAK.items():
        on = garak(module, python, flaw, probes, prompts)
        off = garak(module, python, "none", probes, prompts)
        new = [key for key, hits in on[0].items() if hits > off[0].get(key, 0)]
        total += bool(new)
        print(
            f"| {flaw} | {'found' if new else 'not found'}: {sum(on[0].values())},"
            f" {sum(off[0].values())}"
            f"{'' if on[4] == 0 else f', exit {on[4]}'} | {on[1]} | {on[2]:.0f} | {on[3]:.1f}"
            f" | {tavo_alone(module, flaw)} |",
            flush=True,
        )
    print(f"\ngarak found {total} of {len(GARAK)}")
    twice = [garak(module, python, "all", "promptinject,encoding", prompts) for _ in "12"]
    print(
        "garak twice with one seed, the same hits:",
        twice[0][0] == twice[1][0],
        "requests:",
        [one[1] for one in twice],
    )


def beside_pyrit(module: ModuleType, python: str, prompts: int) -> None:
    """Print PyRIT's table."""
    print(
        "| flaw alone | PyRIT: worked of tried, with none | requests | wall s | CPU s"
        " | tavo | requests | wall s | CPU s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    total, same, told_same = 0, [], []
    for flaw in PYRIT:
        on = pyrit(module, python, flaw, flaw, prompts)
        off = pyrit(module, python, "none", flaw, prompts)
        total += (found := on[0]["worked"] > off[0]["worked"])
        print(
            f"| {flaw} | {'found' if found else 'not found'}: {on[0]['worked']} of"
            f" {on[0]['tried']}, {off[0]['worked']} | {on[1]} | {on[2]:.0f} | {on[3]:.1f}"
            f" | {tavo_alone(module, flaw)} |",
            flush=True,
        )
        again = pyrit(module, python, flaw, flaw, prompts)
        same.append(on[0]["worked"] == again[0]["worked"] and on[1] == again[1])
        told_same.append(on[0]["told"] == again[0]["told"])
    print(f"\nPyRIT found {total} of {len(PYRIT)}")
    print("PyRIT twice with one seed, as many worked and were asked:", all(same))
    print(
        "PyRIT twice with one seed, not the same messages:",
        [flaw for flaw, one in zip(PYRIT, told_same, strict=True) if not one],
    )


def tavo_alone(module: ModuleType, flaw: str) -> str:
    """Return tavo's cells of a row."""
    report, asked, wall, spent = tavo(module, flaw, [FOUND_BY[flaw]])
    held = json.loads(tavo(module, "none", [FOUND_BY[flaw]])[0])["probes"][0]["worked"]
    probe = json.loads(report)["probes"][0]
    return f"{probe['worked']} of {probe['tried']}, {held} | {asked} | {wall:.1f} | {spent:.1f}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--garak", help="the Python of an environment with garak")
    parser.add_argument("--pyrit", help="the Python of an environment with PyRIT")
    parser.add_argument("--prompts", type=int, default=4, help="prompts for each attack of a peer")
    options = parser.parse_args()
    if not (options.garak or options.pyrit):
        parser.error("give --garak, --pyrit or both")
    module = agent_module("second-agent")
    if options.garak:
        beside_garak(module, options.garak, options.prompts)
    if options.pyrit:
        beside_pyrit(module, options.pyrit, options.prompts)
    whole = [tavo(module, "all", []) for _ in "12"]
    print(
        "tavo twice, all probes, the same bytes:",
        whole[0][0] == whole[1][0],
        [one[1:] for one in whole],
    )


if __name__ == "__main__":
    main()
