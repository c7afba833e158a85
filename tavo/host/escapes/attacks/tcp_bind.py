"""Listen on a TCP port of this machine."""

from __future__ import annotations

import socket
from typing import Any

EVIDENCE = "listening"
STOPPED_BY = "filter"
MEANS = "it offers a service in your name"
NEEDS = ("free_port",)


def attack(at: Any) -> None:
    with socket.create_server(("127.0.0.1", at.free_port)):
        at.hold()
