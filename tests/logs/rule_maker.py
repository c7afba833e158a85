"""Random rules and events that meet each other often, for tests of the gate and of the meaning."""

from __future__ import annotations

import random
from typing import Any

WORDS = ["ignore", "previous", "rules", "curl", "bash", "10% off", "under_score", "a*b", "what?",
         "sk-abc", "C:/dir/x", "path\\to",
         "quote\"d", "<tag>", "it's", "tab\there", "Ab", "x"]  # fmt: skip
FIELDS = ["prompt", "answer", "model", "agent"]


def event(chance: random.Random) -> dict[str, Any]:
    """Return an event with a few of the fields."""
    out: dict[str, Any] = {}
    for field in FIELDS:
        if chance.random() < 0.8:
            words = chance.choices(WORDS, k=chance.randrange(1, 6))
            text = chance.choice(["  ", " ", "\n", " "]).join(words)
            out[field] = text.upper() if chance.random() < 0.2 else text
    if chance.random() < 0.8:
        out["tokens"] = chance.choice([0, 5, 10, 1000, 1e5])
    if chance.random() < 0.5:
        out["address"] = f"10.0.{chance.randrange(3)}.{chance.randrange(9)}"
    return out


def rule(chance: random.Random, number: int, *, plain: bool) -> dict[str, Any]:
    """Return a rule of one to three selections; `plain`: as the oracle reads it."""
    named = {f"s{at}": _selection(chance, plain=plain) for at in range(chance.randrange(1, 4))}
    names = list(named)
    shapes = [" and ".join(names), " or ".join(names), "1 of s*", "all of them"]
    if len(names) > 1:
        shapes += [
            f"{names[0]} and not {names[1]}",
            f"({names[0]} or not {names[1]}) and {names[-1]}",
        ]
    return {
        "title": f"rule {number}", "name": f"r{number}", "level": "low",
        "logsource": {"product": "acme"},
        "detection": {**named, "condition": chance.choice(shapes)},
    }  # fmt: skip


def _selection(chance: random.Random, *, plain: bool) -> Any:
    if not plain and chance.random() < 0.1:
        return chance.sample(WORDS, 2)
    return dict(_item(chance, plain=plain) for _ in range(chance.randrange(1, 3)))


def _item(chance: random.Random, *, plain: bool) -> tuple[str, Any]:
    kind = chance.randrange(8)
    field = chance.choice(FIELDS)
    if kind < 3:
        how = chance.choice(["contains", "startswith", "endswith"])
        words = [_escaped(one) for one in chance.sample(WORDS, chance.randrange(1, 4))]
        if how == "contains" and len(words) > 1 and chance.random() < 0.3:
            return f"{field}|contains|all", words
        return f"{field}|{how}", words if len(words) > 1 else words[0]
    if kind == 3:
        return f"{field}|re|i" if chance.random() < 0.5 else f"{field}|re", chance.choice(
            [
                r"ignore\s+previous",
                r"(curl|bash)[^|]*(bash|rules)",
                r"\bx\b",
                r"sk-[a-z]{2,}",
                "a.b",
            ]
        )
    if kind == 4:
        return f"tokens|{chance.choice(['gt', 'gte', 'lt', 'lte'])}", chance.choice([5, 10, 999.5])
    if kind == 5:
        return ("address|cidr", "10.0.1.0/24") if not plain else ("address|startswith", "10.0.1.")
    if kind == 6:
        return field, f"{_escaped(chance.choice(WORDS))}*"
    return (f"{field}|exists", True) if not plain else (field, _escaped(chance.choice(WORDS)))


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")
