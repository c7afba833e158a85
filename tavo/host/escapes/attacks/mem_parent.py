"""Read the memory of the host through /proc."""

from __future__ import annotations

from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "landlock"
MEANS = "it reads everything that tavo knows"
NEEDS = ("memory",)


def attack(at: Any) -> object:
    with open(f"/proc/{at.parent}/mem", "rb", buffering=0) as stream:
        stream.seek(at.address)
        return stream.read(at.length)
