"""Send the host bytes that are no message."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "believed"
STOPPED_BY = "host"
MEANS = "tavo takes nonsense for an answer, or dies"


def attack(at: Any) -> None:
    os.write(at.channel(), b"\0\0\0\x0ahello world")
