"""`tavo logs analyze` on a log with planted attacks, beside Zircolite and ripgrep in the same run.

    .venv/cp311/bin/python benchmarks/logs.py [--mb 1000] [--zircolite FOLDER]

FOLDER is a checkout of Zircolite, which is on no package index; its needs are installed from there.
Without it, and without `rg` on PATH, the rows say "not measured".
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import log_corpus
import yaml
from measure import WORK, Cost, run

FOLDER = WORK / "logs"
PYTHON = sys.executable
_INDICATORS = 1_000_000


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=int, default=1000)
    parser.add_argument("--zircolite", type=Path)
    given = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    log = FOLDER / f"{given.mb}.jsonl"
    truth = log_corpus.write(log, given.mb * 1_000_000)
    size = log.stat().st_size / 1e6
    sets = {
        "50": log_corpus.rules(50),
        "500": log_corpus.rules(500),
        "50 + 2,000 words": [*log_corpus.rules(50), log_corpus.word_list(2000)],
    }
    events = sum(1 for _ in log.open("rb"))
    print(f"{size:.0f} MB, {events:,} events, seed 7\n")
    print("| what | rules | CPU s | MB per CPU s | wall s | MB peak |")
    print("|---|---|---|---|---|---|")
    alone: dict[str, float] = {}
    for name, rules in sets.items():
        cost = tavo(log, rules, jobs=1)
        alone[name] = cost.cpu_s
        row("tavo", name, cost, size)
        check(truth, rules)
    feeder, *three = log_corpus.correlations()
    for what, some in (("one correlation", three[:1]), ("three correlations", three)):
        cost = tavo(log, [*sets["50"], feeder, *some], jobs=1)
        row(f"tavo, each event in {what}", "50", cost, size)
        more = (cost.cpu_s - alone["50"]) / (events / 1.1e6)
        print(f"| CPU s more for 1.1M events | | {more:.2f} | | | |", flush=True)
        check(truth, sets["50"])
    listed = FOLDER / "indicators.txt"
    log_corpus.indicators(listed, _INDICATORS)
    cost = tavo(log, sets["50"], jobs=1, intel=listed)
    row(f"tavo, {_INDICATORS:,} indicators", "50", cost, size)
    check(truth, sets["50"])
    row("tavo, 2 processes", "50", tavo(log, sets["50"], jobs=2), size)
    row("tavo, own pack and anomalies", "78", tavo(log, [], jobs=1, own=True), size)
    if rg := shutil.which("rg"):
        texts = FOLDER / "texts.txt"
        texts.write_text("\n".join(literals(sets["50"])) + "\n")
        row("rg -icF, the same texts", "50", run([rg, "-icF", "-f", texts, log]), size)
    else:
        print("| rg -icF | 50 | not measured | | | |")
    zircolite(given.zircolite, log, size)


def tavo(
    log: Path, rules: list[dict[str, object]], *, jobs: int, own: bool = False,
    intel: Path | None = None,
) -> Cost:  # fmt: skip
    """Run tavo with one process or more."""
    file = FOLDER / "rules.yml"
    file.write_text(yaml.safe_dump_all(rules))
    words = [] if own else ["--no-default-rules", "--no-anomalies", "--rules", str(file)]
    words += ["--intel", str(intel)] if intel else []
    report = FOLDER / "report.json"
    cost = run([
        PYTHON, "-m", "tavo", "logs", "analyze", str(log), *words, "--jobs", str(jobs),
        "--format", "json", "--output", str(report),
    ])  # fmt: skip
    if cost.code not in {0, 1}:
        raise SystemExit(f"tavo ended with {cost.code}")
    return cost


def check(truth: dict[str, list[int]], rules: list[dict[str, object]]) -> None:
    """Stop unless exactly what was planted is found."""
    report = json.loads((FOLDER / "report.json").read_text())
    found: Counter[str] = Counter()
    for one in report["findings"]:
        name = one["rule_id"]
        found[name.removeprefix("bench-")] += int(one["evidence"]["records"])
    expected = {kind: len(lines) for kind, lines in truth.items()}
    got = {kind: found[kind] for kind in expected}
    if got != expected:
        raise SystemExit(f"planted {expected}, found {got}, with {len(rules)} rules")
    print(f"| planted and found | | {sum(expected.values())} of {sum(expected.values())} | | | |")


def literals(rules: list[dict[str, object]]) -> list[str]:
    """Return the texts of the rules that list some."""
    out: list[str] = []
    for rule in rules:
        for key, value in rule["detection"]["selection"].items():  # type: ignore[index]
            if "contains" in key:
                out += value if isinstance(value, list) else [value]
    return out


def zircolite(folder: Path | None, log: Path, size: float) -> None:
    """Measure Zircolite on the first tenth of the log, which it keeps in memory."""
    if folder is None or not (folder / "zircolite.py").exists():
        print("| Zircolite | 50 | not measured | | | |")
        return
    environment = WORK / "peers" / "zircolite"
    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([PYTHON, "-m", "venv", str(environment)], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", "-r", str(folder / "requirements.txt"),
             "pysigma-backend-sqlite==2.0.0"], check=False,
        )  # fmt: skip
    part = FOLDER / "part.jsonl"
    limit = 100_000_000
    flat = {"prompt": "prompt", "arguments": "arguments", "address": "address",
            "tokens": "tokens", "model": "model", "cost": "cost"}  # fmt: skip
    written = 0
    with part.open("w") as out, log.open() as lines:
        for line in lines:
            record = json.loads(line)
            calls = record["response"]["choices"][0]["message"].get("tool_calls", [])
            text = json.dumps({
                "timestamp": record["startTime"], "prompt": record["messages"][1]["content"],
                "arguments": " ".join(one["function"]["arguments"] for one in calls),
                "address": record["requester_ip_address"], "tokens": record["prompt_tokens"],
                "model": record["model_group"], "cost": record["response_cost"], "raw": record,
            })  # fmt: skip
            out.write(text + "\n")
            written += len(text) + 1
            if written > limit:
                break
    rules = FOLDER / "zircolite-rules"
    shutil.rmtree(rules, ignore_errors=True)
    rules.mkdir()
    for rule in log_corpus.rules(50, fields=flat):
        (rules / f"{rule['name']}.yml").write_text(yaml.safe_dump(rule))
    cost = run(
        [python, "zircolite.py", "-e", part, "-j", "-r", rules, "--timefield", "timestamp", "-n"],
        cwd=folder,
    )
    if cost.code:
        print(f"| Zircolite | 50 | not measured: it ended with {cost.code} | | | |")
        return
    row("Zircolite, 100 MB", "50", cost, written / 1e6)


def row(what: str, rules: str, cost: Cost, size: float) -> None:
    """Print a row."""
    print(
        f"| {what} | {rules} | {cost.cpu_s:.2f} | {size / cost.cpu_s:.0f} | {cost.wall_s:.1f} |"
        f" {cost.peak_mb:.0f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
