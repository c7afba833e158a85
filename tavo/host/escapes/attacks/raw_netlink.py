"""Talk to another process and the kernel through a netlink socket."""

from __future__ import annotations

import socket
import struct
from typing import Any

EVIDENCE = "connected"
STOPPED_BY = "filter"
MEANS = "it reads and changes what the kernel tells over netlink"
NEEDS = ("netlink",)


def attack(at: Any) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 2) as sender:
        sender.sendto(struct.pack("=IHHII", 16 + 8, 16, 0, 1, 0) + b"secrets\0", (at.netlink, 0))
