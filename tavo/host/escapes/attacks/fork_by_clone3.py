"""Start a process by a call whose arguments no filter can read."""

from __future__ import annotations

import os
import struct
import time
from typing import Any

EVIDENCE = "left_over"
STOPPED_BY = "filter"
MEANS = "it starts processes that outlive it"


def attack(at: Any) -> None:
    arguments = struct.pack("=11Q", 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)
    if at.call("clone3", arguments, len(arguments)) == 0:
        time.sleep(3)
        os._exit(0)
