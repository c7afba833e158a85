"""The plugin garak-llm-tester and garak's own command, against the flawed agent and the mended one.

    python3 -m venv SCRATCH && SCRATCH/bin/pip install garak==0.17.1          # 2 GB
    python3 build.py plugins --heavy --here garak-llm-tester
    .venv/cp311/bin/python benchmarks/garak_agreement.py SCRATCH/bin/garak [--prompts 20]

The agent is examples/flawed-agent, once with all flaws and once with none. garak's command asks it
through its generator for REST, with a cap of so many prompts for each probe (some of its probes
ignore that); the plugin asks through tavo, sandboxed, with as many. Both run the 52 probes of the
plugin's `default`, and judge with each probe's own detector. Which prompts are chosen differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import yaml
from measure import ROOT, machine

sys.path.insert(0, str(ROOT))

from tests.fakes.flawed import agent_module, served
from tests.fakes.shown import REPOSITORY
from tests.fakes.single_file import Machine

PLUGIN = "garak-llm-tester"
_LIST = """
import sys
sys.path.insert(0, sys.argv[1])
from garak import _config, _plugins
_config.load_base_config()
from selection import chosen_probes
known = {name.removeprefix("probes."): on for name, on in _plugins.enumerate_plugins()}
print(",".join(chosen_probes(["default"], known)))
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both on both agents, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("garak", type=Path)
    parser.add_argument("--prompts", type=int, default=20)
    given = parser.parse_args(arguments)
    module = agent_module()
    rows: dict[str, list[str]] = {}
    heads, notes = [], []
    with tempfile.TemporaryDirectory(prefix="tavo-garak-") as folder:
        work = Path(folder)
        probes = probes_of(given.garak, work)
        tavo = Machine(work / "home")
        grants = ("--grant", "native_code", "--grant", "target")
        tavo.run("registry", "install", PLUGIN, "--yes", *grants, "--mirror", REPOSITORY)
        for state, flaws in (("all flaws", tuple(module.FLAWS)), ("no flaws", ())):
            with served(module, *flaws) as url:
                began = time.perf_counter()
                theirs = by_garak(given.garak, work, url, probes, given.prompts)
                notes.append(f"garak, {state}: {time.perf_counter() - began:.1f} s")
                began = time.perf_counter()
                ours, said = by_plugin(tavo, work, url, given.prompts)
                notes.append(f"plugin, {state}: {time.perf_counter() - began:.1f} s; {said}")
            heads += [f"garak, {state}", f"plugin, {state}"]
            for probe in probes:
                rows.setdefault(probe, []).extend((
                    theirs.get(probe, "not run"), "found" if probe in ours else "-"
                ))  # fmt: skip
    print(f"{machine()}; at most {given.prompts} prompts for each probe\n")
    print(f"| probe | {' | '.join(heads)} |\n|{'---|' * 5}")
    for probe, cells in rows.items():
        print(f"| {probe} | {' | '.join(cells)} |")
    print(f"| probes that found something | {' | '.join(counts(rows))} |\n")
    print("\n".join(notes))
    return 0


def counts(rows: dict[str, list[str]]) -> list[str]:
    """Return in how many rows of each column something was found."""
    return [
        str(sum(not cells[column].startswith(("-", "0 of", "not")) for cells in rows.values()))
        for column in range(4)
    ]


def probes_of(garak: Path, work: Path) -> list[str]:
    """Return the probes of the plugin's default."""
    done = subprocess.run(
        [garak.with_name("python"), "-c", _LIST, ROOT / "examples" / "plugins" / PLUGIN],
        env={**os.environ, "HOME": str(work), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()[-1].split(",")


def by_garak(garak: Path, work: Path, url: str, probes: list[str], most: int) -> dict[str, str]:
    """Run garak's command; return by probe how many prompts of how many hit."""
    asked = {"model": "scripted", "messages": [{"role": "user", "content": "$INPUT"}]}
    rest = {
        "uri": f"{url}/chat/completions", "method": "post", "req_template_json_object": asked,
        "response_json": True, "response_json_field": "$.choices[0].message.content",
    }  # fmt: skip
    config = work / "garak.yaml"
    config.write_text(yaml.safe_dump({
        "run": {"generations": 1, "seed": 0, "soft_probe_prompt_cap": most},
        "plugins": {
            "target_type": "rest", "target_name": "flawed-agent", "probe_spec": ",".join(probes),
            "extended_detectors": False, "generators": {"rest": {"RestGenerator": rest}},
        },
        "reporting": {"report_prefix": str(work / "report")},
    }))  # fmt: skip
    subprocess.run(
        [garak, "--config", config], env={**os.environ, "HOME": str(work)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    (report,) = work.rglob("report.report.jsonl")
    found = {}
    for line in report.read_text("utf-8").splitlines():
        entry = json.loads(line)
        if entry["entry_type"] == "eval":
            found[entry["probe"]] = f"{entry['fails']} of {entry['total_evaluated']}"
    report.unlink()
    return found


def by_plugin(tavo: Machine, work: Path, url: str, most: int) -> tuple[set[str], str]:
    """Run the plugin; return the probes with a finding, and the last line of its summary."""
    settings, report = work / "plugin.json", work / "tavo.json"
    settings.write_text(json.dumps({f"tavo/{PLUGIN}": {"prompts_per_probe": most}}))
    (work / "empty").mkdir(exist_ok=True)
    done = tavo.run(
        "scan", work / "empty", "--no-default-rules", "--dynamic-plugins", PLUGIN, "--target", url,
        "--plugin-config", settings, "--max-requests", "20000", "--fail-on", "low",
        "--output", f"json={report}", code=None,
    )  # fmt: skip
    result = json.loads(report.read_bytes())
    texts = [one["message"].partition(": ")[2] for one in result["findings"]]
    requests = result["plugins"][0]["requests"]
    return {text.partition(" ")[0] for text in texts}, (
        f"{len(texts)} findings, {requests} requests, exit {done.returncode}"
    )


if __name__ == "__main__":
    sys.exit(main())
