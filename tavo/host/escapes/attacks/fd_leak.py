"""Read what the host has open, through descriptors that were inherited."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "host"
MEANS = "it reads files that tavo has open"
NEEDS = ("descriptor",)


def attack(at: Any) -> object:
    found = b""
    for number in range(3, 256):
        try:
            found += os.pread(number, 200, 0)
        except OSError:
            continue
    return found.decode("latin-1")
