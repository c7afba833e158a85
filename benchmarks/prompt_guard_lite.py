"""Train the models of the plugin prompt-guard-lite, and say honestly how good they are.

    python benchmarks/prompt_guard_lite.py --prompts prompts.jsonl --cyberseceval injection.json
        --notinject FOLDER --self-instruct FOLDER --bipia FOLDER [--unseen more.jsonl] [--write]

- `prompts.jsonl`: one object a line with text, label (1: an attack), source and license; rows whose
  licence is not on the list below are left out and counted.
- `--cyberseceval`: PurpleLlama's prompt_injection.json (MIT).
- `--notinject`: PIGuard's data sets (MIT): NotInject_two is trained on, NotInject_three is
  only scored.
- `--self-instruct`: seed_tasks.jsonl and user_oriented_instructions.jsonl (Apache-2.0).
- `--bipia`: BIPIA's benchmark folder; of it the mails and the attacks (MIT), not its tables and
  code, which are under a share-alike licence. Trained on is its training half only, which has other
  mails and other kinds of attacks than the half that is scored.
- `--unseen`: rows with text, label, source and `for` (user or tool), which are scored only.

Texts of our own come from `benchmarks/injection_texts.py` and docs/. None of the data is in the
repository. Logistic regression by AdaGrad, standard library only; the same data give the same
bytes.
`tests/harmless.txt` of the plugin and the sources that are only scored were never trained on, but
their scores were seen while settings were chosen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "examples" / "plugins" / "prompt-guard-lite"
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks"), str(PLUGIN)]

import model  # noqa: E402
from injection_models import CLEAN, auc, documents, share_above, threshold  # noqa: E402
from injection_texts import tool_texts, user_texts  # noqa: E402

from tavo.detect.learned import model_of  # noqa: E402

EPOCHS, RATE, DECAY = 4, 0.1, 5e-4
FEWEST = {"user": 2, "tool": 2}
"""How many sources of one label a feature needs."""
OWN = 1.0


class Window(NamedTuple):
    """The places of the words of a window, what their weights are divided by, and its signs."""

    places: list[int]
    norm: float
    signs: list[int]


class Row(NamedTuple):
    text: str
    label: int
    source: str
    windows: list[Window]
    weight: float = 1.0


def row_of(text: str, label: int, source: str, weight: float = 1.0) -> Row:
    found = []
    for one in model.windows(model.words(text)):
        places = sorted(model.features(one))
        found.append(Window(places, model.norm(len(places)), sorted(model.signs(one))))
    return Row(text, label, source, found, weight)


class Weights(NamedTuple):
    places: list[float]
    bias: float

    def window(self, window: Window) -> float:
        places = self.places
        words = sum([places[one] for one in window.places]) / window.norm
        return words + sum([places[one] for one in window.signs])

    def sum(self, row: Row) -> float:
        return self.bias + max(map(self.window, row.windows))


def shared(rows: list[Row], fewest: int) -> set[int]:
    """Return the features that several sources of one label have.

    What is peculiar to one source says where a text comes from, not what it wants.
    """
    seen: dict[int, set[tuple[int, str]]] = defaultdict(set)
    for row in rows:
        for window in row.windows:
            for place in (*window.places, *window.signs):
                seen[place].add((row.label, row.source))
    return {
        place for place, sources in seen.items()
        if max(Counter(label for label, _ in sources).values()) >= fewest
    }  # fmt: skip


def trained(rows: list[Row], fewest: int, seed: int = 1) -> Weights:
    kept = shared(rows, fewest)
    data = [
        row._replace(windows=[
            Window([one for one in w.places if one in kept], w.norm,
                   [one for one in w.signs if one in kept])
            for w in row.windows
        ])
        for row in rows
    ]  # fmt: skip
    rnd = random.Random(seed)
    weights = Weights([0.0] * (1 << model.BITS), 0.0)
    places, steps = weights.places, [1e-8] * (1 << model.BITS)
    bias, bias_step = 0.0, 1e-8
    mass = [sum(row.weight for row in rows if row.label == label) for label in (0, 1)]
    share = [sum(mass) / (2 * one) for one in mass]
    for _ in range(EPOCHS):
        rnd.shuffle(data)
        for row in data:
            values = [weights.window(one) for one in row.windows]
            best = max(values)
            window = row.windows[values.index(best)]
            chance = 1 / (1 + math.exp(-max(-30.0, min(30.0, best + bias))))
            gradient = (chance - row.label) * share[row.label] * row.weight
            for own, scale in ((window.places, gradient / window.norm), (window.signs, gradient)):
                for place in own:
                    step = scale + DECAY * places[place]
                    steps[place] += step * step
                    places[place] -= RATE * step / math.sqrt(steps[place])
            bias_step += gradient * gradient
            bias -= RATE * gradient / math.sqrt(bias_step)
    return Weights(places, bias)


def held_out(rows: list[Row], groups: list[Any], always: list[Row], fewest: int) -> list[float]:
    """Return the score of each row by a model that never saw its group."""
    scores = [0.0] * len(rows)
    for group in sorted(set(groups), key=str):
        kept = [r for r, g in zip(rows, groups, strict=True) if g != group]
        weights = trained(kept + always, fewest)
        for number, own in enumerate(groups):
            if own == group:
                scores[number] = weights.sum(rows[number])
    return scores


def say(title: str, scores: list[float], labels: list[int]) -> None:
    one, two = (
        share_above(scores, labels, 1, threshold(scores, labels, rate)) for rate in (0.01, 0.02)
    )
    print(f"| {title} | {auc(scores, labels):.3f} | {one:.3f} | {two:.3f} |", flush=True)


def jsonl(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line.strip()]


def user_rows(options: argparse.Namespace) -> tuple[list[Row], int]:
    rows, left = [], 0
    for one in jsonl(options.prompts):
        if any(name in one["license"] for name in CLEAN) and "NC" not in one["license"]:
            rows.append(row_of(one["text"], one["label"], one["source"]))
        else:
            left += 1
    rows += [
        row_of(one["user_input"], 1, "cyberseceval-injection")
        for one in json.loads(options.cyberseceval.read_text("utf-8"))
        if one["injection_type"] == "direct"
    ]
    rows += [
        row_of(one["prompt"], 0, "notinject:two")
        for one in json.loads((options.notinject / "NotInject_two.json").read_text("utf-8"))
    ]
    rows += [row_of(one, 0, "self-instruct") for one in instructions(options.self_instruct)]
    return rows, left


def instructions(folder: Path) -> list[str]:
    found = []
    for one in jsonl(folder / "user_oriented_instructions.jsonl") + jsonl(
        folder / "seed_tasks.jsonl"
    ):
        first = one["instances"][0]["input"]
        found.append(f"{one['instruction']}\n\n{first}" if first else one["instruction"])
    return found


def put_into(text: str, order: str, rnd: random.Random) -> str:
    """Return a text with an order at its beginning, its end, or after one of its sentences."""
    ends = [one.end() for one in re.finditer(r"[.!?\n|] ?", text)]
    at = rnd.choice([0, len(text), rnd.choice(ends or [0])])
    gap = rnd.choice(("\n", " ", "\n\n"))
    return f"{text[:at].rstrip()}{gap}{order}{gap}{text[at:]}"


def attacks(folder: Path, half: str) -> list[str]:
    kinds = json.loads((folder / f"text_attack_{half}.json").read_text("utf-8"))
    return [one for ones in kinds.values() for one in ones]


def mails(folder: Path, half: str) -> list[str]:
    return [one["context"] for one in jsonl(folder / "email" / f"{half}.jsonl")]


def bipia(folder: Path, half: str, each: int, seed: int) -> list[tuple[str, int, str]]:
    """Return mails with an attack in them, and as they are."""
    rnd = random.Random(seed)
    orders = attacks(folder, half)
    found = []
    for mail in mails(folder, half):
        found += [(mail, 0, f"bipia-{half}")]
        found += [
            (put_into(mail, rnd.choice(orders), rnd), 1, f"bipia-{half}") for _ in range(each)
        ]
    return found


def tool_rows(options: argparse.Namespace) -> list[Row]:
    own = [*tool_texts(), *documents()]
    rows = [row_of(text, label, source, OWN) for text, label, source in own]
    rows += [row_of(*one) for one in bipia(options.bipia, "train", 8, 11)]
    rnd = random.Random(12)
    carriers = [text for text, label, _ in own if not label]
    for order in instructions(options.self_instruct):
        if len(order) < 400:
            rows.append(row_of(put_into(rnd.choice(carriers), order, rnd), 1, "self-instruct-in"))
    for text in mails(options.bipia, "train"):  # what one mail quotes of another is no order
        other = rnd.choice(mails(options.bipia, "train"))
        parts = re.split(r"(?<=[.!?]) ", other)
        rows.append(row_of(put_into(text, " ".join(parts[:3]), rnd), 0, "bipia-train"))
    return rows


def dealt(rows: list[Row]) -> list[int]:
    """Return a fold for each row; what was made of one mail is in one fold."""
    rnd = random.Random(3)
    firsts: dict[str, int] = {}
    found = []
    for row in rows:
        if row.label == 0 and row.source.startswith("bipia"):
            firsts["mail"] = rnd.randrange(5)
        found.append(firsts["mail"] if row.source.startswith("bipia") else rnd.randrange(5))
    return found


def named(scores: list[float], rows: list[Row], bound: float) -> None:
    print("\n| at the shipped threshold | texts | called an attack |\n|---|---|---|")
    for source in sorted({row.source for row in rows}):
        for label in (0, 1):
            own = [s for s, r in zip(scores, rows, strict=True)
                   if r.source == source and r.label == label]  # fmt: skip
            if own:
                what = "attacks" if label else "harmless"
                share = sum(s > bound for s in own) / len(own)
                print(f"| {source}, {what} | {len(own)} | {share:.3f} |")


def unseen(options: argparse.Namespace) -> dict[tuple[str, str], list[tuple[str, int]]]:
    groups: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for line in (PLUGIN / "tests" / "harmless.txt").read_text("utf-8").splitlines():
        groups["user", "our own hard harmless prompts"].append((line, 0))
    for one in json.loads((options.notinject / "NotInject_three.json").read_text("utf-8")):
        groups["user", "NotInject three"].append((one["prompt"], 0))
    for text, label, _ in bipia(options.bipia, "test", 8, 13):
        groups["tool", "BIPIA mails, other mails and other attacks"].append((text, label))
    if options.unseen:
        for one in jsonl(options.unseen):
            groups[one["for"], one["source"]].append((one["text"], one["label"]))
    return groups


def on_unseen(groups: dict[tuple[str, str], list[tuple[str, int]]], models: dict[str, Any]) -> None:
    print("\n| not trained on | texts | AUC | attacks found | harmless called attacks |"
          " built-in model: AUC | found | called |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    for (kind, source), ones in sorted(groups.items()):
        labels = [label for _, label in ones]
        cells = []
        for look in (models[kind], model_of(kind)):
            scores = [look.score(text) for text, _ in ones]
            both = 0 < sum(labels) < len(labels)
            cells += [f"{auc(scores, labels):.3f}" if both else "-"]
            cells += [
                f"{share_above(scores, labels, label, look.threshold):.3f}"
                if label in labels
                else "-"
                for label in (1, 0)
            ]
        print(f"| {source} ({kind}) | {len(ones)} | {' | '.join(cells)} |")


def cost(rows: list[Row], look: Callable[[str], float]) -> None:
    took, size = [], 0
    for row in rows:
        began = time.process_time()
        look(row.text)
        took.append((time.process_time() - began) * 1000)
        size += len(row.text.encode())
    took.sort()
    print(f"\nCPU: {sum(took) / (size / 1000):.3f} ms per kB; a prompt: median"
          f" {took[len(took) // 2]:.3f} ms, p99 {took[int(len(took) * 0.99)]:.3f} ms")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    for name in ("prompts", "cyberseceval", "notinject", "self-instruct", "bipia"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--unseen", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    prompts, left = user_rows(options)
    own = [row_of(*one, OWN) for one in user_texts()]
    tools = tool_rows(options)
    print(f"{len(prompts)} prompts, {left} left out for their licence; of our own: {len(own)};"
          f" {len(tools)} results of tools")  # fmt: skip
    print("\n| model for texts of users | AUC | TPR at 1 % FPR | at 2 % |\n|---|---|---|---|")
    labels = [row.label for row in prompts]
    rnd = random.Random(3)
    say(
        "random split, 5 folds",
        held_out(prompts, [rnd.randrange(5) for _ in prompts], own, FEWEST["user"]),
        labels,
    )
    scores = held_out(prompts, [row.source for row in prompts], own, FEWEST["user"])
    say("one source left out", scores, labels)
    bounds = {"user": threshold(scores, labels, 0.01)}
    named(scores, prompts, bounds["user"])
    print("\n| model for results of tools | AUC | TPR at 1 % FPR | at 2 % |\n|---|---|---|---|")
    labels = [row.label for row in tools]
    fewest = FEWEST["tool"]
    random_scores = held_out(tools, dealt(tools), [], fewest)
    say("5 folds, a mail in one of them", random_scores, labels)
    families: list[Any] = [
        f"docs {number % 2}" if row.source == "docs" else row.source.rsplit("-", 1)[0]
        for number, row in enumerate(tools)
    ]
    sizes = Counter(families)
    scores = held_out(tools, families, [], fewest)
    say(f"one of {len(sizes)} families left out", scores, labels)
    bounds["tool"] = threshold(random_scores, labels, 0.01)
    named(scores, tools, bounds["tool"])
    models: dict[str, Any] = {}
    final = {"user": trained(prompts + own, FEWEST["user"]), "tool": trained(tools, fewest)}
    for kind, weights in final.items():
        chance = 1 / (1 + math.exp(-bounds[kind]))
        file = model.written(weights.places, weights.bias, chance)
        models[kind] = model.Model(file)
        print(f"\n{kind}.bin: {len(file)} bytes, threshold {chance:.3f},"
              f" sha256 {hashlib.sha256(file).hexdigest()}")  # fmt: skip
        if options.write:
            (PLUGIN / f"{kind}.bin").write_bytes(file)
    on_unseen(unseen(options), models)
    cost(prompts, models["user"].score)
    return 0


if __name__ == "__main__":
    sys.exit(main())
