"""The first code in a worker, once its modules are there: lock up, say hello, serve.

Rules this module keeps:
- the host's `hello` carries the sandbox plan; it is applied before anything is answered;
- a layer that fails is named to the host, and the worker ends without having read plugin code;
- the only modules of ours in this process are those that the host sent; our folder is never on
  the search path.

Standard library only: this runs in the worker.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tavo.host.sandbox.apply import REFUSED_EXIT, LayerError, apply
from tavo.plugins.frames import MOST_FROM_WORKER, PROTOCOL, encode
from tavo.plugins.worker import PROTOCOL_EXIT, Worker

__all__ = ["main"]


def main(channel: int, arena: int) -> None:
    """Serve the host on the other end of the descriptor `channel`.

    An `arena` below zero is the host's number, and means: be a zygote. This returns in each worker
    that is forked from it.
    """
    os.set_inheritable(channel, False)
    is_forked = arena < 0
    if is_forked:
        from tavo.host.zygote_boot import serve

        channel, arena = serve(channel, -arena)
    os.set_inheritable(arena, False)
    worker = Worker(channel=channel, arena=arena)
    hello = worker.receive()
    if hello is None:
        return
    if hello["type"] != "hello" or PROTOCOL not in hello["protocol"]:
        os._exit(PROTOCOL_EXIT)
    if is_forked:
        os.chdir(hello["folder"])
        os.environ.clear()
        os.environ.update(hello["environment"])
    work_directory = Path.cwd()
    plan = hello["sandbox"]
    plan["keep"] = [channel, arena]
    plan["read"] += _interpreter_folders()
    try:
        held = apply(plan, lambda listener: _hand_over(channel, listener))
    except LayerError as error:
        worker.send({"type": "refused", "layer": error.layer, "reason": error.reason})
        os._exit(REFUSED_EXIT)
    worker.send(
        {
            "type": "hello",
            "protocol": PROTOCOL,
            "nonce": hello["nonce"],
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            "held": held,
        }
    )
    worker.run(work_directory)


def _hand_over(channel: int, listener: int) -> None:
    from tavo.host.sandbox import loopback

    message = encode({"type": "listening"}, limit=MOST_FROM_WORKER)
    loopback.hand_over(channel, message, listener)


def _interpreter_folders() -> list[str]:
    """Return where this interpreter and its libraries lie; with -I -S that is all of sys.path."""
    return [*filter(os.path.isabs, sys.path), f"{sys.base_prefix}/lib"]
