"""The process that workers are forked from: it has our modules loaded, and nothing of a plugin.

Rules this module keeps:
- it reads one thing only, three descriptors for a new worker; plans, paths, configurations and
  plugin code go to the worker itself, after the fork, so that nothing of one worker is in another;
- a new worker is the host's child and not ours (CLONE_PARENT): the host waits for it, measures it
  and kills it, and it dies with the host, all as if the host had started it;
- it has one thread, listed descriptors, a listed environment, and ends when the host does;
- a worker locks itself up afterwards exactly as one that was started by itself.

Why not `os.fork`: its child would be ours, and its exit and processor time would be told to us.
Standard library only: this runs in the worker. Sources: clone(2), PR_GET_TID_ADDRESS in prctl(2),
PyOS_BeforeFork and its fellows in Python's C API.
"""

from __future__ import annotations

import _socket
import array
import ctypes
import gc
import os
import select
import signal
from collections.abc import Callable

from tavo.host.sandbox.apply import LayerError, die_with
from tavo.host.sandbox.syscalls import numbers_for

__all__ = ["serve"]

_IDLE_S = 60.0
_CLONE_PARENT, _CLONE_CHILD_CLEARTID, _CLONE_CHILD_SETTID = 0x8000, 0x200000, 0x1000000
_PR_SET_NAME, _PR_GET_TID_ADDRESS = 15, 40
_NOT_FORKED = bytes(4)
_DESCRIPTORS = 3


def serve(control: int, host_pid: int) -> tuple[int, int]:
    """Fork a worker for every three descriptors that come; return, in a worker, its first two.

    They are the channel, the arena, and the end of a pipe for what the worker prints. The worker
    answers with its number, four bytes; four zero bytes say that none could be made.
    """
    try:
        die_with(host_pid)
    except (LayerError, OSError):
        os._exit(0)
    _name("tavo-zygote")
    fork = _forker()
    _preload()
    gc.freeze()
    channel = _socket.socket(fileno=control)
    while True:
        # nobody may come for a long time: then the memory is worth more than the next start
        if not select.select([control], [], [], _IDLE_S)[0]:
            os._exit(0)
        received = _receive(channel)
        if len(received) != _DESCRIPTORS:
            os._exit(0)
        number = fork()
        if number == 0:
            _become(channel.detach(), received[2])
            return received[0], received[1]
        if number < 0:
            os.write(control, _NOT_FORKED)
        for descriptor in received:
            os.close(descriptor)


def _preload() -> None:
    """Load what nearly every worker needs; the rest is loaded by those that need it."""
    import tavo.plugins.serve.static
    import tavo.plugins.types
    import tavo.plugins.worker  # noqa: F401


def _receive(channel: _socket.socket) -> list[int]:
    """Return the descriptors that came with one byte, none when the host has closed its end."""
    came = array.array("i")
    room = _socket.CMSG_SPACE(_DESCRIPTORS * came.itemsize)
    data, extra, _, _ = channel.recvmsg(1, room, _socket.MSG_CMSG_CLOEXEC)
    if data:
        for level, kind, content in extra:
            if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
                came.frombytes(content[: len(content) // came.itemsize * came.itemsize])
    return list(came)


def _become(control: int, output: int) -> None:
    """Turn this copy into a worker of its own: own session, own output, no way to the zygote."""
    os.setsid()
    _name("tavo-worker")
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.write(control, os.getpid().to_bytes(4, "little"))
    os.close(control)


def _forker() -> Callable[[], int]:
    """Return a fork whose child belongs to our parent; it returns 0 in the child.

    Ends this process where that cannot be had: the host then starts its workers one by one.
    """
    libc, python = ctypes.PyDLL(None, use_errno=True), ctypes.pythonapi
    machine = os.uname().machine
    thread_number = ctypes.c_void_p()
    # where the C library keeps the number of the thread, which is another one in the child
    found = libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(thread_number), 0, 0, 0)
    address = thread_number.value
    if found != 0 or not address or ctypes.c_int.from_address(address).value != os.getpid():
        os._exit(0)
    flags = _CLONE_PARENT | _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID | signal.SIGCHLD
    where = (address, 0) if machine == "x86_64" else (0, address)
    numbers = (numbers_for(machine)["clone"], flags, 0, 0, *where)
    call = [ctypes.c_long(number) for number in numbers]
    before, in_parent, in_child = (
        python.PyOS_BeforeFork, python.PyOS_AfterFork_Parent, python.PyOS_AfterFork_Child
    )  # fmt: skip

    def fork() -> int:
        before()
        number: int = libc.syscall(*call)
        if number == 0:
            in_child()
        else:
            in_parent()
        return number

    return fork


def _name(name: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
