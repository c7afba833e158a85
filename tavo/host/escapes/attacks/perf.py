"""Count events of the processor."""

from __future__ import annotations

import struct
from typing import Any

EVIDENCE = "counter"
STOPPED_BY = "filter"
MEANS = "it measures what your other programs compute"


def attack(at: Any) -> None:
    attributes = struct.pack("=IIQ24xQ80x", 1, 128, 0, 0b1100000)
    at.call("perf_event_open", attributes, 0, -1, -1, 0)
    at.hold()
