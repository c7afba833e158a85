"""Announce a message of 1 GB and send it (96 MB here)."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "believed"
STOPPED_BY = "host"
MEANS = "tavo fills its own memory"


def attack(at: Any) -> None:
    channel = at.channel()
    os.write(channel, (1 << 30).to_bytes(4, "big"))
    for _ in range(1536):
        os.write(channel, bytes(1 << 16))
