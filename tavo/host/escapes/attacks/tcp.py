"""Connect to a TCP port of this machine."""

from __future__ import annotations

import socket
from typing import Any

EVIDENCE = "connected"
STOPPED_BY = "filter"
MEANS = "it sends what it read to anybody, and reaches services of your network"
NEEDS = ("listeners",)


def attack(at: Any) -> None:
    with socket.create_connection(("127.0.0.1", at.tcp)) as connection:
        connection.sendall(b"secrets")
