"""Read the environment of the host's process."""

from __future__ import annotations

from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "landlock"
MEANS = "it reads the tokens in your environment"
NEEDS = ("environment",)


def attack(at: Any) -> object:
    with open(f"/proc/{at.parent}/environ", "rb") as stream:
        return stream.read(64).decode("latin-1")
