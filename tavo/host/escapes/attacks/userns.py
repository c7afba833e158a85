"""Make a user namespace, in which it is root."""

from __future__ import annotations

from typing import Any

EVIDENCE = "user_namespace"
STOPPED_BY = "filter"
MEANS = "it reaches parts of the kernel that only root reaches"


def attack(at: Any) -> None:
    at.checked(at.libc.unshare(0x10000000))
    at.hold()
