"""Attach to another process as a debugger does."""

from __future__ import annotations

from typing import Any

EVIDENCE = "traced"
STOPPED_BY = "filter"
MEANS = "it takes over your other programs"
NEEDS = ("victim",)


def attack(at: Any) -> None:
    at.checked(at.libc.ptrace(16, at.victim, 0, 0))
    at.hold()
    at.libc.ptrace(17, at.victim, 0, 0)
