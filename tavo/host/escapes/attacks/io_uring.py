"""Get a ring for system calls that no filter sees."""

from __future__ import annotations

from typing import Any

EVIDENCE = "ring"
STOPPED_BY = "filter"
MEANS = "it opens files and sockets past the filter"


def attack(at: Any) -> None:
    at.call("io_uring_setup", 4, bytes(120))
    at.hold()
