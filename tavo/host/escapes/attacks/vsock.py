"""Get a socket to the host of a virtual machine."""

from __future__ import annotations

import socket
from typing import Any

EVIDENCE = "socket"
STOPPED_BY = "filter"
MEANS = "it talks to the machine outside of yours"


def attack(at: Any) -> None:
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM):
        at.hold()
