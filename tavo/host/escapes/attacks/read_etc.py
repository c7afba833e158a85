"""Read a file of the system, /etc/passwd."""

from __future__ import annotations

from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "landlock"
MEANS = "it reads the system's settings and the names of its users"
NEEDS = ("passwd",)


def attack(at: Any) -> object:
    with open("/etc/passwd") as stream:
        return stream.readline()
