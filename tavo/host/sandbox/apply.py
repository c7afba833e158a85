"""Locking the worker up, from inside, before the first byte of plugin code is read.

Rules this module keeps:
- every layer that the plan asks for is applied and then tried out, or `LayerError` ends the worker;
- the order is: die with the host, limits, foreign descriptors, (L3: namespaces, the way to the
  proxy, view), capabilities, no_new_privs, Landlock, seccomp, trying out;
- nothing is guessed from versions: a layer works if the forbidden act fails.

The plan is plain JSON, made by the host:
`level` (3 to 0), `host_pid`, `limits` (name of a resource -> number), `keep` (descriptors),
`read`, `write`, `devices` (paths), `canary` (a file that exists and must not be readable),
`scratch` (`folder`, the `bytes` and `entries` that it may hold: at L3 it is memory of that size),
`proxy` (a port on which the host accepts inside the worker's own network, 0 for none; only at L3),
`program` (the file that this process is to become, empty for a worker), `not_program` (a file with
the right to be executed that is no program: trying it must fail, and that it is none must not be
noticed).
Standard library only: this runs in the worker.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
import sys
from collections.abc import Callable, Iterable
from typing import Any

from tavo.host.sandbox import landlock, namespaces, seccomp

__all__ = ["REFUSED_EXIT", "LayerError", "apply", "die_with"]

REFUSED_EXIT = 97

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2
_PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 38, 39
_CAPABILITY_VERSION = 0x20080522
# What the kernel starts for a program that is linked with libraries, of which it loads them.
_LOADERS = (
    "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
)  # fmt: skip


class LayerError(Exception):
    """A layer of the sandbox could not be applied, or does not hold."""

    def __init__(self, layer: str, reason: str) -> None:
        super().__init__(f"{layer}: {reason}")
        self.layer = layer
        self.reason = reason


def apply(plan: dict[str, Any], hand_over: Callable[[int], None]) -> dict[str, Any]:
    """Apply the plan's layers to this process; return what holds now. Raises LayerError.

    `hand_over` gives the host a listening socket, where the plan asks for one.
    """
    linux = sys.platform.startswith("linux")
    level: int = plan["level"]
    held: dict[str, Any] = {"level": level}
    if linux:
        _step("parent", lambda: die_with(plan["host_pid"]))
    if level == 0:
        return held
    _step("limits", lambda: _limit(plan["limits"]))
    _step("descriptors", lambda: _close_others(plan["keep"]))
    held["limits"] = True
    if not linux:
        if level > 1:
            raise LayerError("landlock", f"there is no Landlock on {sys.platform}")
        return held
    if level == 3:
        _step("namespaces", namespaces.enter)
        if plan["proxy"]:
            _step("proxy", lambda: _listen(plan["proxy"], hand_over))
        _step("view", lambda: _enter_view(plan))
        _step("parent", lambda: die_with(plan["host_pid"]))
        held["namespaces"] = True
    _step("capabilities", _drop_capabilities)
    _step("no_new_privs", _give_up_new_privileges)
    machine = os.uname().machine
    if level == 1:
        # without Landlock the filter still takes away sockets and processes, where it can
        try:
            seccomp.install(
                seccomp.assemble(
                    machine, pid=os.getpid(), truncate=False, becomes=bool(plan["program"])
                )
            )
            held["seccomp"] = True
        except (OSError, KeyError):
            held["seccomp"] = False
        return held
    abi = _step("landlock", landlock.detect)
    _step(
        "landlock",
        lambda: landlock.restrict(
            read=plan["read"], write=plan["write"], devices=plan["devices"], abi=abi,
            port=plan["proxy"] if level == 3 else 0,
            execute=[plan["program"], *_LOADERS] if plan["program"] else [],
        ),
    )  # fmt: skip
    streams = level == 3 and plan["proxy"] > 0
    _step(
        "seccomp",
        lambda: seccomp.install(
            seccomp.assemble(
                machine, pid=os.getpid(), truncate=abi >= 3, streams=streams,
                becomes=bool(plan["program"]),
            )
        ),
    )  # fmt: skip
    answer = errno.ENOENT if level == 3 else errno.EACCES
    _try_out(plan["canary"], answer)
    if plan["program"]:
        other = plan["not_program"]
        _must_fail("landlock", lambda: os.execve(other, [other], {}), answer)  # noqa: S606
    held.update(landlock=abi, seccomp=True)
    return held


def _step(layer: str, act: Any) -> Any:
    try:
        return act()
    except LayerError:
        raise
    except KeyError as error:
        raise LayerError(layer, f"not built for this machine: {error}") from error
    except (OSError, ValueError, AttributeError) as error:
        raise LayerError(layer, str(error)) from error


def die_with(host_pid: int) -> None:
    """Ask for SIGKILL when the host's thread that started us ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    asked = ctypes.c_int(0)
    _prctl(_PR_GET_PDEATHSIG, ctypes.addressof(asked))
    if asked.value != signal.SIGKILL:
        raise LayerError("parent", "it would outlive the host")
    if os.getppid() != host_pid:
        raise LayerError("parent", "the host is gone")


def _limit(limits: dict[str, int]) -> None:
    import resource

    for name, value in limits.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(kind, (value, value))
        if resource.getrlimit(kind) != (value, value):
            raise LayerError("limits", f"{name} is {resource.getrlimit(kind)}, not {value}")


def _close_others(keep: Iterable[int]) -> None:
    kept = sorted({0, 1, 2, *keep})
    for low, high in zip(kept, [*kept[1:], _most_descriptors()], strict=True):
        os.closerange(low + 1, high)


def _most_descriptors() -> int:
    limit = os.sysconf("SC_OPEN_MAX")
    return min(limit if limit > 0 else 1 << 16, 1 << 20)


def _drop_capabilities() -> None:
    """Give up every capability: root in a worker is an ordinary user."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0), 8)
    nothing = ctypes.create_string_buffer(bytes(24), 24)
    if libc.capset(header, nothing) != 0:
        raise OSError(ctypes.get_errno(), "capset failed")
    found = ctypes.create_string_buffer(24)
    if libc.capget(header, found) != 0 or found.raw != bytes(24):
        raise LayerError("capabilities", "some are left")


def _give_up_new_privileges() -> None:
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if _prctl(_PR_GET_NO_NEW_PRIVS, 0) != 1:
        raise LayerError("no_new_privs", "it was set, and does not hold")


def _prctl(option: int, value: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    numbers = [ctypes.c_ulong(number) for number in (value, 0, 0, 0)]
    result = int(libc.prctl(ctypes.c_int(option), *numbers))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")
    return result


def _listen(port: int, hand_over: Callable[[int], None]) -> None:
    from tavo.host.sandbox import loopback

    loopback.listen(port, hand_over)


def _enter_view(plan: dict[str, Any]) -> None:
    scratch = plan["scratch"]
    namespaces.enter_view(
        read=plan["read"], devices=plan["devices"], scratch=scratch["folder"],
        size=scratch["bytes"], entries=scratch["entries"], outside=plan["canary"],
    )  # fmt: skip


def _try_out(canary: str, answer: int) -> None:
    """Do what must fail: read a file, open the root, make a socket, start a process."""
    libc = ctypes.CDLL(None, use_errno=True)
    _must_fail("landlock", lambda: os.close(os.open(canary, os.O_RDONLY)), answer)
    _must_fail("landlock", lambda: os.close(os.open("/", os.O_RDONLY)), errno.EACCES)
    for family in (1, 2, 10, 16):  # unix, internet, internet 6, netlink
        ctypes.set_errno(0)
        if libc.socket(family, 2, 0) >= 0 or ctypes.get_errno() != errno.EPERM:
            raise LayerError("seccomp", f"a socket of family {family} could be made")
    ctypes.set_errno(0)
    child = libc.fork()
    if child == 0:
        os._exit(0)
    if child > 0 or ctypes.get_errno() != errno.EPERM:
        raise LayerError("seccomp", "a process could be started")


def _must_fail(layer: str, act: Any, expected: int) -> None:
    try:
        act()
    except OSError as error:
        if error.errno == expected:
            return
        raise LayerError(layer, f"trying it out failed: {error}") from error
    raise LayerError(layer, "it was applied, and does not hold")
