"""Connect to an abstract Unix socket."""

from __future__ import annotations

import socket
from typing import Any

EVIDENCE = "connected"
STOPPED_BY = "filter"
MEANS = "it talks to your desktop's services"
NEEDS = ("listeners",)


def attack(at: Any) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("\0" + at.abstract)
        connection.sendall(b"secrets")
