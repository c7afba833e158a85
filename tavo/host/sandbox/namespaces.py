"""Namespaces: a worker's own users, network, host name and files, in which nothing else exists.

Rules this module keeps:
- the view of the files is built out of the listed paths and nothing else: each is there under its
  own name, read-only; every folder above it is an empty one of ours;
- nothing is ever made inside a folder of the machine: all places are made in an empty folder first,
  and things are put on them afterwards;
- the scratch folder is memory of a fixed size, so nothing that a worker writes reaches a disk;
- each step is looked at from the inside afterwards; what does not hold is an error.

The process keeps its number and its parent: there is no process namespace, since that needs a
second process (docs/decisions/0009). Inside, the user is number 1000, whoever started it.

Standard library only: this runs in the worker. Sources: user_namespaces(7), mount_namespaces(7),
pivot_root(2), mount_setattr(2), tmpfs(5). Units: sizes in bytes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
from collections.abc import Iterable

from tavo.host.sandbox.syscalls import numbers_for

__all__ = ["HOST_NAME", "NotHeldError", "enter", "enter_view"]

HOST_NAME = "tavo"

# kind of namespace, as below /proc/self/ns -> flag of unshare(2)
_KINDS = {
    "user": 0x10000000, "mnt": 0x00020000, "uts": 0x04000000, "ipc": 0x08000000,
    "net": 0x40000000,
}  # fmt: skip
_INSIDE_ID = 1000
_NO_SUID, _NO_DEVICES, _NO_PROGRAMS = 0x2, 0x4, 0x8
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000
_DETACH = 2
_READ_ONLY_ATTRIBUTE, _NO_SUID_ATTRIBUTE, _NO_DEVICES_ATTRIBUTE = 0x1, 0x2, 0x4
_NO_PROGRAMS_ATTRIBUTE = 0x8
_AT_HERE, _AT_RECURSIVE = -100, 0x8000
_DATAGRAM, _CLOSE_ON_EXEC = 2, 0x80000
# addresses for documentation (RFC 5737, RFC 3849): struct sockaddr_in and sockaddr_in6
_ELSEWHERE = (
    struct.pack("=H", 2) + bytes((0, 9, 192, 0, 2, 1)) + bytes(8),
    struct.pack("=H", 10) + bytes((0, 9, 0, 0, 0, 0)) + bytes.fromhex("20010db8") + bytes(11)
    + b"\x01" + bytes(4),
)  # fmt: skip
_SMALL_VIEW = "size=64k,nr_inodes=4096,mode=0755"
_MOST_LINKS = 40


class NotHeldError(ValueError):
    """A step said that it was done, and it was not."""


def enter() -> None:
    """Give this process namespaces of its own. Raises OSError, NotHeldError.

    Needs no rights where the system lets its users have namespaces. It must be the only thread.
    """
    user, group = os.geteuid(), os.getegid()
    before = _namespaces()
    _call("unshare", ctypes.c_int(sum(_KINDS.values())))
    after = _namespaces()
    for kind in _KINDS:
        if before[kind] == after[kind]:
            raise NotHeldError(f"the namespace {kind} is still the old one")
    # whoever may not change its list of groups may not map a group unless it gives that up
    _write("/proc/self/setgroups", "deny")
    for name, outside in (("uid_map", user), ("gid_map", group)):
        _write(f"/proc/self/{name}", f"{_INSIDE_ID} {outside} 1\n")
    if (os.getuid(), os.geteuid(), os.getgid(), os.getegid()) != (_INSIDE_ID,) * 4:
        raise NotHeldError("the user is still another one")
    for call in ("sethostname", "setdomainname"):
        _call(call, HOST_NAME.encode(), ctypes.c_size_t(len(HOST_NAME)))
    if os.uname().nodename != HOST_NAME:
        raise NotHeldError("the name of the machine is still there")
    for address in _ELSEWHERE:
        _must_lead_nowhere(address)


def enter_view(
    *,
    read: Iterable[str],
    devices: Iterable[str],
    scratch: str,
    size: int,
    entries: int,
    outside: str,
) -> None:
    """Make the listed paths all that exists, and `scratch` the current folder.

    A path that does not exist is left out. `scratch` must exist; with a `size` of 0 it is an empty
    folder that cannot be written. `outside` is a file that must be gone afterwards. Raises OSError,
    NotHeldError.
    """
    links: dict[str, str] = {}
    binds = _topmost(_resolved(read, links))
    nodes = _topmost(_resolved(devices, links))
    asked, scratch = scratch, _resolve(scratch, links)
    shown = {path: _identity(path) for path in (*binds, *nodes)}
    machine = os.stat("/").st_dev
    _mount(None, "/", None, _RECURSIVE | _PRIVATE)
    _mount("tavo", scratch, "tmpfs", _NO_SUID | _NO_DEVICES | _NO_PROGRAMS, _SMALL_VIEW)
    if os.stat(scratch).st_dev in {machine, os.stat(os.path.dirname(scratch)).st_dev}:
        raise NotHeldError("the new root is the old folder")
    for path in (*binds, *nodes, scratch):
        _make_place(scratch + path, like=path)
    for path, target in links.items():
        if not _is_below(path, binds):
            os.makedirs(os.path.dirname(scratch + path), exist_ok=True)
            os.symlink(target, scratch + path)
    for path in binds:
        _mount(path, scratch + path, None, _BIND | _RECURSIVE)
    readable = _READ_ONLY_ATTRIBUTE | _NO_SUID_ATTRIBUTE
    _set_attributes(scratch, readable | _NO_DEVICES_ATTRIBUTE, _AT_RECURSIVE)
    for path in nodes:
        _mount(path, scratch + path, None, _BIND)
        _set_attributes(scratch + path, readable | _NO_PROGRAMS_ATTRIBUTE, 0)
    if size:
        options = f"size={size},nr_inodes={entries + 1},mode=0700"
        flags = _NO_SUID | _NO_DEVICES | _NO_PROGRAMS
        _mount("tavo", scratch + scratch, "tmpfs", flags, options)
    _pivot(scratch)
    os.chdir(asked)
    if _identity(".") != _identity(scratch):
        raise NotHeldError("the scratch folder is somewhere else")
    _look_around({path.split("/")[1] for path in (*shown, scratch, *links)}, outside)
    for path, identity in shown.items():
        if _identity(path) != identity:
            raise NotHeldError(f"{path} is not what it was")
    wanted = os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV
    for path in ("/", *binds):
        if os.statvfs(path).f_flag & wanted != wanted:
            raise NotHeldError(f"{path} can be written")
    if size and os.statvfs(scratch).f_blocks * os.statvfs(scratch).f_frsize > size + (1 << 16):
        raise NotHeldError("the scratch folder is not limited")


def _look_around(expected: set[str], outside: str) -> None:
    """Look at the root from inside: nothing else is there, and nothing can be added."""
    if _identity("/") != _identity("/.."):
        raise NotHeldError("the old root is still above the new one")
    found = set(os.listdir("/"))
    if found != expected:
        raise NotHeldError(f"the root holds {', '.join(sorted(found ^ expected))[:100]}")
    for name in (outside, "/proc/self", "/sys/kernel"):
        try:
            os.lstat(name)
        except FileNotFoundError:
            continue
        raise NotHeldError(f"{name} is still there")
    try:
        os.mkdir("/x")
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    else:
        raise NotHeldError("the root can be written")


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _resolved(paths: Iterable[str], links: dict[str, str]) -> list[str]:
    """Return where existing paths really lie; collect the links on the way to them."""
    found = []
    for path in paths:
        try:
            found.append(_resolve(path, links))
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found


def _resolve(path: str, links: dict[str, str]) -> str:
    done, rest, followed = "/", path.split("/")[::-1], 0
    while rest:
        part = rest.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            done = os.path.dirname(done)
            continue
        here = os.path.join(done, part)
        if not stat.S_ISLNK(os.lstat(here).st_mode):
            done = here
            continue
        followed += 1
        if followed > _MOST_LINKS:
            raise OSError(errno.ELOOP, f"{path}: {os.strerror(errno.ELOOP)}")
        target = links[here] = os.readlink(here)
        if target.startswith("/"):
            done = "/"
        rest += target.split("/")[::-1]
    return done


def _topmost(paths: Iterable[str]) -> list[str]:
    """Return the paths without those that lie below another one. The root itself is refused."""
    kept: list[str] = []
    for path in sorted(set(paths), key=lambda path: path.count("/")):
        if path == "/":
            raise NotHeldError("the whole machine cannot be shown")
        if not _is_below(path, kept):
            kept.append(path)
    return kept


def _is_below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def _make_place(place: str, *, like: str) -> None:
    """Make an empty folder or file to put something on."""
    if stat.S_ISDIR(os.stat(like).st_mode):
        os.makedirs(place, exist_ok=True)
        return
    os.makedirs(os.path.dirname(place), exist_ok=True)
    os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o444))


def _pivot(root: str) -> None:
    """Make a folder the root and let go of the old one."""
    os.chdir(root)
    number = numbers_for(os.uname().machine)["pivot_root"]
    # both in one place: the old root lies over the new one then, and is taken off at once
    _call("syscall", ctypes.c_long(number), b".", b".", name="pivot_root")
    _call("umount2", b".", ctypes.c_int(_DETACH))
    os.chdir("/")


def _mount(
    source: str | None, place: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    texts = [text if text is None else os.fsencode(text) for text in (source, place, kind, options)]
    _call("mount", *texts[:3], ctypes.c_ulong(flags), texts[3], name=f"mount on {place}")


def _set_attributes(place: str, attributes: int, flags: int) -> None:
    number = numbers_for(os.uname().machine)["mount_setattr"]
    wanted = struct.pack("=QQQQ", attributes, 0, 0, 0)
    _call(
        "syscall", ctypes.c_long(number), ctypes.c_int(_AT_HERE), os.fsencode(place),
        ctypes.c_uint(flags), wanted, ctypes.c_size_t(len(wanted)), name="mount_setattr",
    )  # fmt: skip


def _namespaces() -> dict[str, str]:
    return {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in _KINDS}


def _must_lead_nowhere(address: bytes) -> None:
    """Connect a datagram socket, which sends nothing, to an address that no machine has."""
    libc = ctypes.CDLL(None, use_errno=True)
    family = int.from_bytes(address[:2], sys.byteorder)
    handle = libc.socket(family, _DATAGRAM | _CLOSE_ON_EXEC, 0)
    if handle < 0:
        return  # the kernel has no such sockets at all
    try:
        if libc.connect(handle, address, len(address)) == 0:
            raise NotHeldError("there is a way into a network")
    finally:
        os.close(handle)


def _write(path: str, text: str) -> None:
    handle = os.open(path, os.O_WRONLY)
    try:
        os.write(handle, text.encode("ascii"))
    except OSError as error:
        raise OSError(error.errno, f"{path}: {error.strerror}") from error
    finally:
        os.close(handle)


def _call(function: str, *arguments: object, name: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name or function}: {errno.errorcode.get(code, code)}")
