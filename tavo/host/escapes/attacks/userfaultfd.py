"""Get control over its own page faults, with which races in the kernel are won."""

from __future__ import annotations

from typing import Any

EVIDENCE = "fault_handler"
STOPPED_BY = "filter"
MEANS = "weaknesses of the kernel become usable"


def attack(at: Any) -> None:
    at.call("userfaultfd", 1)
    at.hold()
