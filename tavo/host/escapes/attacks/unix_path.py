"""Connect to a Unix socket in the file system, as of Docker or an SSH agent."""

from __future__ import annotations

import socket
from typing import Any

EVIDENCE = "connected"
STOPPED_BY = "filter"
MEANS = "it signs with your keys or starts containers"
NEEDS = ("listeners",)


def attack(at: Any) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(at.unix)
        connection.sendall(b"secrets")
