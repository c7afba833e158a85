"""Send a UDP datagram."""

from __future__ import annotations

import socket
from typing import Any

EVIDENCE = "connected"
STOPPED_BY = "filter"
MEANS = "it sends what it read to anybody"
NEEDS = ("listeners",)


def attack(at: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"secrets", ("127.0.0.1", at.udp))
