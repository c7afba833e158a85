"""Get a map of programs that run in the kernel."""

from __future__ import annotations

import struct
from typing import Any

EVIDENCE = "kernel_map"
STOPPED_BY = "filter"
MEANS = "it runs code in the kernel"


def attack(at: Any) -> None:
    attributes = struct.pack("=5I108x", 2, 4, 4, 1, 0)
    at.call("bpf", 0, attributes, len(attributes))
    at.hold()
