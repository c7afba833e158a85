"""Read the table of sockets below /proc/net."""

from __future__ import annotations

from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "landlock"
MEANS = "it learns who talks to whom"
NEEDS = ("hidden_socket",)


def attack(at: Any) -> object:
    with open("/proc/net/unix") as stream:
        return [line.split()[-1] for line in stream if "tavo-hidden-" in line]
