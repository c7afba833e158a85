"""The first code of a process that is to become a plugin's own program: lock up, then become it.

Rules this module keeps:
- the host's order carries the sandbox plan; all of it holds before the program is started;
- a layer that fails is named to the host, and the process ends without having become anything;
- once it is the program, nothing of ours is left open: its end of the connection closes by itself,
  and that is how the host hears that it has begun.

Standard library only: this runs in the worker.
"""

from __future__ import annotations

import json
import os
import sys
from typing import NoReturn

from tavo.host.sandbox.apply import REFUSED_EXIT, LayerError, apply

__all__ = ["main"]


def main(channel: int, host_pid: int) -> NoReturn:
    """Take the order of the host `host_pid` from the descriptor `channel` and carry it out."""
    os.set_inheritable(channel, False)
    order = json.loads(_take(channel, int.from_bytes(_take(channel, 4), "big")))
    plan = order["sandbox"]
    plan["host_pid"] = host_pid
    plan["keep"] = [channel]
    plan["read"] += [*filter(os.path.isabs, sys.path), f"{sys.base_prefix}/lib"]
    try:
        apply(plan, _no_proxy)
        os.chdir(order["folder"])
        command = [order["called"], *order["arguments"]]
        os.execve(plan["program"], command, order["environment"])  # noqa: S606
    except LayerError as error:
        _tell(channel, error.layer, error.reason)
    except (OSError, ValueError) as error:
        _tell(channel, "", str(error))
    os._exit(REFUSED_EXIT)


def _no_proxy(_: int) -> None:
    raise OSError("a program has no network")


def _tell(channel: int, layer: str, reason: str) -> None:
    os.write(channel, json.dumps({"layer": layer, "reason": reason[:1000]}).encode())


def _take(channel: int, count: int) -> bytes:
    pieces = []
    while count:
        piece = os.read(channel, min(count, 1 << 20))
        if not piece:
            os._exit(REFUSED_EXIT)
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
