"""Read the environment of another process."""

from __future__ import annotations

from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "landlock"
MEANS = "it reads the tokens of your other programs"
NEEDS = ("victim",)


def attack(at: Any) -> object:
    with open(f"/proc/{at.victim}/environ", "rb") as stream:
        return stream.read()
