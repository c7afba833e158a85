"""Send a datagram to a named socket out of a connected pair."""

from __future__ import annotations

import socket
from typing import Any

EVIDENCE = "connected"
STOPPED_BY = "filter"
MEANS = "it reaches services such as the system's log"
NEEDS = ("listeners",)


def attack(at: Any) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        one.sendto(b"secrets", at.datagram)
