"""Leave a key in the kernel's key ring of the user."""

from __future__ import annotations

from typing import Any

EVIDENCE = "key_added"
STOPPED_BY = "filter"
MEANS = "it hides data where it outlives the scan"
NEEDS = ("kernel_key",)


def attack(at: Any) -> None:
    at.call("add_key", b"user", at.new_key.encode(), b"was here", 8, -4)
