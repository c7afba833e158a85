"""Train the two injection models, and say honestly how good they are.

    python benchmarks/injection_models.py --prompts prompts.jsonl [--unseen more.jsonl] [--write]

`prompts.jsonl` has one object a line with text, label (1: an attack), source and license. Rows
whose licence is not on the list below are left out and counted. The texts of our own come from
`benchmarks/injection_texts.py`; the model for the results of tools is trained on those and on the
paragraphs of docs/, which order much of people and nothing of models.
`--unseen` is scored only: rows with text, label, source and `for` (user or tool).

A feature counts only if at least `SOURCES` sources of the same label have it: what is peculiar to
one source says where a text comes from, not what it wants. Logistic regression by AdaGrad, standard
library only; the same data give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import sys
import time
import zlib
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from injection_texts import tool_texts, user_texts  # noqa: E402

from tavo.detect.learned import KINDS, Model, features, norm, windows, words  # noqa: E402

BITS = 16
SOURCES = 4
EPOCHS, RATE, DECAY = 4, 0.1, 1e-3
CLEAN = ("Apache-2.0", "MIT", "BSD", "CC0", "CC-BY-4.0", "ODC-BY")
DOCS = Path(__file__).resolve().parent.parent / "docs"
MODELS = Path(__file__).resolve().parent.parent / "tavo" / "detect" / "models"


class Row(NamedTuple):
    text: str
    windows: list[list[int]]
    signals: tuple[str, ...]
    label: int
    source: str


class Weights(NamedTuple):
    places: list[float]
    signals: dict[str, float]
    bias: float

    def sum(self, row: Row) -> float:
        extra = self.bias + sum(self.signals.get(one, 0.0) for one in row.signals)
        return extra + max(self.window(one) for one in row.windows)

    def window(self, window: list[int]) -> float:
        places = self.places
        return sum([places[one] for one in window]) / norm(len(window))


def row_of(kind: str, text: str, label: int, source: str) -> Row:
    found = [sorted(features(one, BITS)) for one in windows(words(text))]
    return Row(text, found, KINDS[kind](text).ids, label, source)


def shared(rows: list[Row]) -> set[int]:
    """Return the features that several sources of one label have."""
    seen: dict[int, set[tuple[int, str]]] = defaultdict(set)
    for row in rows:
        for window in row.windows:
            for place in window:
                seen[place].add((row.label, row.source))
    kept = set()
    for place, sources in seen.items():
        counts = Counter(label for label, _ in sources)
        if max(counts.values()) >= SOURCES:
            kept.add(place)
    return kept


def trained(rows: list[Row], seed: int = 1) -> Weights:
    kept = shared(rows)
    data = [row._replace(windows=[[p for p in one if p in kept] for one in row.windows])
            for row in rows]  # fmt: skip
    rnd = random.Random(seed)
    places, steps = [0.0] * (1 << BITS), [1e-8] * (1 << BITS)
    signals: dict[str, float] = {}
    signal_steps: dict[str, float] = {}
    bias, bias_step = 0.0, 1e-8
    positive = sum(row.label for row in data)
    share = {1: len(data) / (2 * positive), 0: len(data) / (2 * (len(data) - positive))}
    order = list(range(len(data)))
    for _ in range(EPOCHS):
        rnd.shuffle(order)
        for number in order:
            row = data[number]
            weights = Weights(places, signals, bias)
            window = max(row.windows, key=weights.window)
            scale = 1 / norm(len(window))
            chance = 1 / (1 + math.exp(-max(-30.0, min(30.0, weights.sum(row)))))
            gradient = (chance - row.label) * share[row.label]
            for place in window:
                step = gradient * scale + DECAY * places[place]
                steps[place] += step * step
                places[place] -= RATE * step / math.sqrt(steps[place])
            for name in row.signals:
                signal_steps[name] = signal_steps.get(name, 1e-8) + gradient * gradient
                signals[name] = signals.get(name, 0.0) - 0.2 * gradient / math.sqrt(
                    signal_steps[name]
                )  # fmt: skip
            bias_step += gradient * gradient
            bias -= RATE * gradient / math.sqrt(bias_step)
    return Weights(places, signals, bias)


def auc(scores: list[float], labels: list[int]) -> float:
    order = sorted(zip(scores, labels, strict=True))
    total, at = 0.0, 0
    while at < len(order):
        end = at
        while end < len(order) and order[end][0] == order[at][0]:
            end += 1
        total += sum(label for _, label in order[at:end]) * ((at + end - 1) / 2 + 1)
        at = end
    ones = sum(labels)
    return (total - ones * (ones + 1) / 2) / (ones * (len(labels) - ones))


def threshold(scores: list[float], labels: list[int], rate: float) -> float:
    """Return the score that at most `rate` of the harmless texts are above."""
    harmless = sorted(
        (s for s, label in zip(scores, labels, strict=True) if not label), reverse=True
    )
    return harmless[int(len(harmless) * rate)]


def share_above(scores: list[float], labels: list[int], label: int, bound: float) -> float:
    chosen = [s for s, one in zip(scores, labels, strict=True) if one == label]
    return sum(s > bound for s in chosen) / len(chosen) if chosen else float("nan")


def documents() -> list[tuple[str, int, str]]:
    """Return harmless documents that order something of people: the paragraphs of docs/."""
    found = []
    for path in sorted(DOCS.glob("*.md")):
        paragraphs = [one for one in path.read_text("utf-8").split("\n\n") if len(one) > 200]
        found += [(one, 0, "docs") for one in paragraphs[:: len(paragraphs) // 20 + 1]]
    return found


def near_copies(rows: list[Row]) -> list[int]:
    """Return a group for each row: texts that share much of their features are in one."""
    parents = list(range(len(rows)))

    def root(one: int) -> int:
        while parents[one] != one:
            one = parents[one] = parents[parents[one]]
        return one

    places: dict[int, list[int]] = defaultdict(list)
    sets = [set().union(*map(set, row.windows)) for row in rows]
    rare = Counter(place for one in sets for place in one)
    for number, one in enumerate(sets):
        for place in sorted(one, key=lambda p: (rare[p], p))[:40]:
            places[place].append(number)
    for numbers in places.values():
        for first, second in pairwise(numbers):
            both = len(sets[first] & sets[second])
            if both / (len(sets[first] | sets[second]) or 1) > 0.4:
                parents[root(first)] = root(second)
    return [root(one) for one in range(len(rows))]


def held_out(rows: list[Row], groups: list[object], always: list[Row]) -> list[float]:
    """Return the score of each row by a model that never saw its group."""
    scores = [0.0] * len(rows)
    for group in sorted(set(groups), key=str):
        weights = trained([r for r, g in zip(rows, groups, strict=True) if g != group] + always)
        for number, own in enumerate(groups):
            if own == group:
                scores[number] = weights.sum(rows[number])
    return scores


def say(title: str, scores: list[float], labels: list[int]) -> None:
    two = share_above(scores, labels, 1, threshold(scores, labels, 0.02))
    one = share_above(scores, labels, 1, threshold(scores, labels, 0.01))
    print(f"| {title} | {auc(scores, labels):.3f} | {two:.3f} | {one:.3f} |")


def folds(groups: list[int], count: int = 5) -> list[object]:
    """Deal groups out to folds, the largest first."""
    sizes = [0] * count
    fold: dict[int, int] = {}
    for group, size in sorted(Counter(groups).items(), key=lambda pair: (-pair[1], pair[0])):
        fold[group] = sizes.index(min(sizes))
        sizes[fold[group]] += size
    return [fold[group] for group in groups]


def per_source(rows: list[Row], scores: list[float], bound: float) -> None:
    for source in sorted({row.source for row in rows}):
        for label in (0, 1):
            chosen = [s for s, r in zip(scores, rows, strict=True)
                      if r.source == source and r.label == label]  # fmt: skip
            if chosen:
                what = "attacks" if label else "harmless"
                found = sum(s > bound for s in chosen) / len(chosen)
                print(f"|   {source}, {what} | {len(chosen)} | {found:.3f} |")


def written(weights: Weights, bound: float) -> bytes:
    """Return the model as a file."""
    scale = max(map(abs, weights.places)) / 127 or 1.0
    packed = bytes(round(one / scale) & 0xFF for one in weights.places)
    named = " ".join(f"{name}={weight:.4f}" for name, weight in sorted(weights.signals.items()))
    chance = 1 / (1 + math.exp(-bound))
    head = f"{BITS} {scale:.9g} {weights.bias:.6f} {chance:.6f} {named}".rstrip()
    return b"tavo-linear/1\n" + head.encode() + b"\n" + zlib.compress(packed, 9)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--unseen", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    data = options.prompts.read_bytes()
    print(f"prompts: sha256 {hashlib.sha256(data).hexdigest()}")
    rows: list[Row] = []
    left = 0
    for line in data.splitlines():
        one = json.loads(line)
        if any(name in one["license"] for name in CLEAN) and "NC" not in one["license"]:
            rows.append(row_of("user", one["text"], one["label"], one["source"]))
        else:
            left += 1
    own = {
        "user": [row_of("user", *one) for one in user_texts()],
        "tool": [row_of("tool", *one) for one in [*tool_texts(), *documents()]],
    }
    print(f"{len(rows)} prompts, {left} left out for their licence; of our own:"
          f" {len(own['user'])} prompts, {len(own['tool'])} results of tools")  # fmt: skip
    labels = [row.label for row in rows]
    print("\n| model for texts of users | AUC | TPR at 2 % FPR | at 1 % |\n|---|---|---|---|")
    rnd = random.Random(3)
    say("random split, 5 folds", held_out(rows, [rnd.randrange(5) for _ in rows], own["user"]),
        labels)  # fmt: skip
    say("near copies in one fold, 5 folds",
        held_out(rows, folds(near_copies(rows)), own["user"]), labels)  # fmt: skip
    scores = held_out(rows, [row.source for row in rows], own["user"])
    say("one source left out", scores, labels)
    say("signals alone", [KINDS["user"](row.text).score for row in rows], labels)
    bound = threshold(scores, labels, 0.01)
    for source in {row.source for row in rows if not row.label}:
        own_scores = [s for s, r in zip(scores, rows, strict=True) if r.source == source]
        own_labels = [r.label for r in rows if r.source == source]
        bound = max(bound, threshold(own_scores, own_labels, 0.015))  # no kind of text suffers
    print(
        "\n| one source left out, at the shipped threshold | texts | called an attack"
        " |\n|---|---|---|"
    )
    per_source(rows, scores, bound)
    print("\n| model for results of tools | AUC | TPR at 2 % FPR | at 1 % |\n|---|---|---|---|")
    tools = own["tool"]
    tool_labels = [row.label for row in tools]
    forms: list[object] = [
        f"docs {number % 2}" if row.source == "docs" else row.source.rsplit("-", 1)[0]
        for number, row in enumerate(tools)
    ]
    tool_scores = held_out(tools, forms, [])
    say("our own, one form or half of docs/ left out", tool_scores, tool_labels)
    bounds = {"user": bound, "tool": threshold(tool_scores, tool_labels, 0.005)}
    final = {"user": trained(rows + own["user"]), "tool": trained(tools)}
    models: dict[str, Model] = {}
    for kind, weights in final.items():
        file = written(weights, bounds[kind])
        models[kind] = Model(file, KINDS[kind])
        digest = hashlib.sha256(file).hexdigest()
        print(f"\n{kind}.bin: {len(file)} bytes, sha256 {digest}")
        if options.write:
            MODELS.mkdir(exist_ok=True)
            (MODELS / f"{kind}.bin").write_bytes(file)
    if options.unseen:
        _score_unseen(options.unseen, models)
    began, size = time.process_time(), 0
    for row in rows:
        models["user"].score(row.text)
        size += len(row.text.encode())
    print(f"\nCPU: {(time.process_time() - began) * 1000 / (size / 1000):.3f} ms per kB")
    return 0


def _score_unseen(path: Path, models: dict[str, Model]) -> None:
    print("\n| not trained on | texts | AUC | attacks found | harmless called attacks |")
    print("|---|---|---|---|---|")
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for line in path.read_text("utf-8").splitlines():
        one = json.loads(line)
        groups[one["for"], one["source"]].append(one)
    for (kind, source), ones in sorted(groups.items()):
        scores = [models[kind].score(one["text"]) for one in ones]
        labels = [int(one["label"]) for one in ones]
        bound = models[kind].threshold
        found, wrong = (share_above(scores, labels, label, bound) for label in (1, 0))
        print(f"| {source} ({kind}) | {len(ones)} | {auc(scores, labels):.3f} | {found:.3f}"
              f" | {wrong:.3f} |")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
