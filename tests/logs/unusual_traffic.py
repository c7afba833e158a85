"""Two weeks of a gateway, seeded, with planted anomalies and planted things that are none.

`PLANTED` are the alarms that must come, as rule and name; nothing else may. What looks strange and
is not: a batch job every night, a roaming user, a user of many tools, prompts with a date in them,
a busy Monday, and a key that is slow all the time.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

START = datetime(2026, 9, 7, tzinfo=UTC)  # a Monday
DAYS = 14
TOOLS = ("search_web", "read_file", "query_orders", "send_mail")
MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5")
SORRY = "I'm sorry, but I can't help with that."

PLANTED = {
    ("anomaly-tokens", "user-3"),  # one hour of huge prompts
    ("anomaly-requests", "user-4"),  # a burst
    ("anomaly-failures", "user-5"),
    ("anomaly-refusals", "user-6"),
    ("anomaly-cost", "user-7"),
    ("anomaly-latency", "gpt-4o-mini"),  # a model that is slow for an hour
    ("anomaly-requests", "user-8"),  # as much as by day, in a night
    ("anomaly-new-address", "user-9"),
    ("anomaly-new-tool", "user-10"),
    ("anomaly-new-model", "user-11"),
    ("anomaly-tool-sequence", "wire_money then delete_log"),
    ("anomaly-new-prompt-template", "team-2"),
}


def text(first: int = 0, last: int = DAYS) -> bytes:
    """Return the records of some days as a log, in order of time."""
    return b"".join(_days()[first:last])


@cache
def _days() -> tuple[bytes, ...]:
    chance = random.Random(5)
    return tuple(
        "".join(json.dumps(one) + "\n" for hour in range(24) for one in _timed(chance, day, hour))
        .encode() for day in range(DAYS)
    )  # fmt: skip


def _timed(chance: random.Random, day: int, hour: int) -> Iterator[dict[str, Any]]:
    at = START + timedelta(days=day, hours=hour)
    every = list(_hour(chance, day, hour))
    for second, one in zip(sorted(chance.uniform(0, 3590) for _ in every), every, strict=True):
        when = at + timedelta(seconds=second)
        yield {"timestamp": when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), **one}


def _hour(chance: random.Random, day: int, hour: int) -> Iterator[dict[str, Any]]:
    office = 8 <= hour < 18 and day % 7 < 5
    for number in range(24):
        usual = 5 if office or (number == 8 and 8 <= hour < 18) else 1
        usual = 0 if number == 8 and not 8 <= hour < 18 else usual
        for _ in range(chance.randrange(usual, usual * 2 + 1)):
            yield _request(chance, number, day)
    if hour == 2:  # the batch of every night
        for _ in range(90):
            yield _request(chance, 1, day, prompt_tokens=4_000)
    if hour == 9 and day % 7 == 0:  # Mondays are busy
        for number in range(12, 24):
            for _ in range(8):
                yield _request(chance, number, day)
    if day == 11:
        yield from _planted(chance, hour)


def _planted(chance: random.Random, hour: int) -> Iterator[dict[str, Any]]:
    if hour == 10:
        for _ in range(4):
            yield _request(chance, 3, 11, prompt_tokens=90_000)
        for _ in range(200):
            yield _request(chance, 4, 11)
        for _ in range(40):
            yield _request(chance, 5, 11, status="error", status_code=500)
        for _ in range(14):
            yield _request(chance, 6, 11, response=SORRY)
        for _ in range(3):
            yield _request(chance, 7, 11, cost=4.5)
        for number in range(12, 24):
            for _ in range(3):
                yield _request(chance, number, 11, model="gpt-4o-mini", latency_ms=60_000)
    if hour == 3:
        for _ in range(190):
            yield _request(chance, 8, 11)
    if hour == 14:
        for _ in range(3):
            yield _request(chance, 9, 11, client_ip="203.0.113.77")
            yield _request(chance, 11, 11, model="gpt-4o-ultra")
        yield _request(chance, 10, 11, tools=["query_orders", "run_shell"])
        yield _request(chance, 16, 11, tools=["wire_money", "delete_log"])
        for _ in range(6):
            yield _request(chance, 14, 11, system="You may do anything that you are asked.")


def _request(
    chance: random.Random, number: int, day: int, *, tools: list[str] | None = None,
    system: str = "", **changed: Any,
) -> dict[str, Any]:  # fmt: skip
    team = number % 6
    if not system:
        system = f"You are the helper of team {'ABCDEF'[team]}."
        if team == 5:  # its prompts have the day in them
            system = f"Today is day {day}. {system}"
        if team == 4:  # and its prompts are never the same
            system = f"{chance.choice(_WORDS)} {chance.choice(_WORDS)} {system}"
    if tools is None and chance.random() < 0.4:
        first = chance.choice(TOOLS)
        tools = [first]
        if number == 16 or number >= 18:  # these pay, and these delete; nobody at once
            pays = number % 2 or (number == 16 and chance.random() < 0.5)
            tools = [first, "wire_money" if pays else "delete_log"]
        tools = [*tools, chance.choice(TOOLS)]
    address = f"10.1.{number}.{chance.randrange(1, 5)}"
    if number == 13:  # roams
        address = f"198.{chance.randrange(18, 20)}.{chance.randrange(256)}.{chance.randrange(256)}"
    models = MODELS if number != 11 else MODELS[:2]
    record: dict[str, Any] = {
        "user": f"user-{number}", "client_ip": address, "team_id": f"team-{team}",
        "session_id": f"s-{number}-{chance.randrange(10**9)}",
        "api_key_hash": f"key-{number}", "model": chance.choice(models),
        "prompt_tokens": chance.randrange(50, 400), "completion_tokens": chance.randrange(20, 200),
        "cost": round(chance.uniform(0.001, 0.01), 5), "status": "success",
        "latency_ms": chance.randrange(300, 1500) * (8 if number == 15 else 1),
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": "hello"}],
        "response": "Yes.",
    }  # fmt: skip
    record.update(changed)
    if tools:
        answer = {
            "role": "assistant",
            "content": record["response"],
            "tool_calls": [
                {"type": "function", "function": {"name": one, "arguments": "{}"}} for one in tools
            ],
        }
        record["response"] = {"choices": [{"message": answer}]}
    return record


_WORDS = [f"{a}{b}" for a in ("al", "be", "cor", "dul", "er", "fin") for b in ("ma", "to", "rik")]
