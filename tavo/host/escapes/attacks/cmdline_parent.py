"""Read the command line of the host's process."""

from __future__ import annotations

from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "landlock"
MEANS = "it reads what you typed, also passwords"
NEEDS = ("command_line",)


def attack(at: Any) -> object:
    with open(f"/proc/{at.parent}/cmdline", "rb") as stream:
        return stream.read(64).decode("latin-1")
