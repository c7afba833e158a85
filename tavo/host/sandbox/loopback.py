"""The one address in a worker's own network, behind which the host accepts.

Rules this module keeps:
- it is called in a network namespace of the worker's own, before the system call filter is on;
- the listening socket goes to the host and is closed here: the worker can connect, and not accept.

Standard library only: this runs in the worker, and only in one whose plugin declares hosts.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Callable

__all__ = ["hand_over", "listen"]

_SET_FLAGS = 0x8914  # SIOCSIFFLAGS
_UP = 0x1
_WAITING = 64


def listen(port: int, hand_over: Callable[[int], None]) -> None:
    """Bring the loopback interface up, listen there, and hand the listener over. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("=16sH22x", b"lo", _UP))
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen(_WAITING)
        hand_over(listener.fileno())


def hand_over(channel: int, message: bytes, descriptor: int) -> None:
    """Send a descriptor with the first bytes of a message. Raises OSError."""
    with socket.socket(fileno=os.dup(channel)) as sender:
        sent = socket.send_fds(sender, [message], [descriptor])
    while sent < len(message):
        sent += os.write(channel, message[sent:])
