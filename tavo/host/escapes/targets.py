"""What an attack is aimed at: files, processes, listeners and keys of our own, made for one attack.

Rules this module keeps:
- nothing of the user's is a target: every file, process, port, key and name here is new and ours;
- an attack is told names, never the secrets that it is to find;
- what a target needs and this system does not have is said (`UnavailableError`), not skipped;
- everything ends: by `close`, and our processes also by themselves after a minute.

Units: times in seconds, sizes in bytes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tavo.host.escapes.inside.reach import At
from tavo.host.escapes.listing import Attack, source_of

__all__ = ["Room", "UnavailableError", "processes_of", "remove_processes"]

_MEMORY_NEEDED = 1 << 30
_PART_OF_PROCESS = 64
_EXPOSING = threading.Lock()
# Programs that belong to root and whose help can be shown without any effect
_PROGRAMS = ("/usr/bin/su", "/bin/su", "/usr/bin/mount", "/bin/mount")
_USER_RING, _SET_RIGHTS, _SEARCH, _INVALIDATE = -4, 5, 10, 21
_ALL_OF_THE_USER = 0x3F3F0000

_VICTIM = """
import ctypes, os, signal, sys, time
token, comm, mark, *options = sys.argv[1:]
libc = ctypes.CDLL(None)
signal.alarm(60)
libc.prctl(0x59616d61, ctypes.c_long(-1), 0, 0, 0)  # let it be traced, as where nothing forbids it
libc.prctl(15, comm.encode(), 0, 0, 0)
watching = "--signals" in options
if watching:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG})
held = ctypes.create_string_buffer(token.encode())
file = os.open(mark + ".secret", os.O_CREAT | os.O_RDWR, 0o600)
os.unlink(mark + ".secret")
os.write(file, token.encode())
print(ctypes.addressof(held), len(token), file, flush=True)
while watching:  # who sent it: another attack may signal everybody at the same time
    sender = signal.sigwaitinfo({signal.SIGURG}).si_pid
    with open(mark, "a") as heard:
        heard.write(f"{sender}\\n")
while True:
    signal.pause()
"""


class UnavailableError(Exception):
    """A target cannot be had on this system; the message says why."""


class Room:
    """Everything that one attack could reach. `config` is what it is told, `secrets` what not."""

    def __init__(self, folder: Path, attack: Attack) -> None:
        """Make the targets. Raises UnavailableError; `close` is due also then."""
        self.attack = attack
        self.folder = folder
        self.name = f"tavo-target-{secrets.token_hex(6)}"
        self.token = f"token-{secrets.token_hex(12)}"
        self.secrets = [self.token]
        self.seen: set[str] = set()  # what was seen from outside while the attack ran
        self.since: dict[str, float] = {}
        self.victim: subprocess.Popen[str] | None = None
        self.sockets: list[socket.socket] = []
        self.inherited: list[int] = []
        self.variables: dict[str, str] = {}
        self.program_help = ""
        self.terminal = -1
        self.echoed = b""
        self._closing: list[Callable[[], object]] = []
        self.home = folder / "home"
        (self.home / ".ssh").mkdir(parents=True)
        self.key = self.home / ".ssh" / "id_rsa"
        self.key.write_text(self.token)
        (self.home / self.token).touch()
        self.drop = folder / "drop"
        self.drop.mkdir()
        (self.drop / "kept").touch()
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.project = folder / "app.py"
        self.project.write_text("print('hello')\n")
        self.plugin = folder / "plugin"
        self.plugin.mkdir()
        for name, text in (
            ("attack", attack.source), ("reach", source_of("inside.reach")),
            ("main", source_of("inside.frame")), ("naive", source_of("inside.naive")),
        ):  # fmt: skip
            (self.plugin / f"{name}.py").write_text(text, "utf-8")
        self.config: dict[str, Any] = {
            "name": self.name, "home": str(self.home), "key": str(self.key),
            "drop": str(self.drop), "project": str(self.project),
        }  # fmt: skip
        self.project_before = project_state(self.project)
        self.plugin_before = _contents(self.plugin)
        self._at = At({}, str(self.scratch))

    def furnish(self) -> None:
        """Make the further targets that the attack needs. Raises UnavailableError."""
        for need in self.attack.needs:
            try:
                _FURNISH[need](self)
            except (OSError, AttributeError, ValueError) as error:
                raise UnavailableError(f"{need.replace('_', ' ')}: {error}") from error

    @contextlib.contextmanager
    def exposed(self, *more: int) -> Iterator[None]:
        """Let descriptors of ours be inherited meanwhile, by this attack's process and no other."""
        handles = (*self.inherited, *more)
        with _EXPOSING:
            try:
                for handle in handles:
                    os.set_inheritable(handle, True)
                yield
            finally:
                for handle in handles:
                    os.set_inheritable(handle, False)

    @property
    def was_tampered_with(self) -> bool:
        """Tell whether the attack's own code is not what it was."""
        return _contents(self.plugin) != self.plugin_before

    def find_key(self, name: str) -> int:
        """Return the number of a key of the kernel. Raises OSError."""
        return self._at.call("keyctl", _SEARCH, _USER_RING, b"user", name.encode(), 0)

    def close(self) -> None:
        """End and delete everything."""
        if self.victim is not None:
            self.victim.kill()
            self.victim.communicate()
        for one in self.sockets:
            one.close()
        for act in reversed(self._closing):
            with contextlib.suppress(OSError):
                act()
        for name in self.variables:
            os.environ.pop(name, None)
        for path in (Path("/dev/shm") / self.name, Path("/tmp") / self.name):
            with contextlib.suppress(OSError):
                path.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- targets by the name of the need

    def _passwd(self) -> None:
        self.secrets.append(Path("/etc/passwd").read_text().partition("\n")[0])

    def _times(self) -> None:
        when = 10**18 + secrets.randbelow(10**17)
        os.utime(self.key, ns=(when, when))
        self.secrets.append(str(self.key.stat().st_mtime_ns))

    def _listeners(self) -> None:
        self.config["abstract"] = self.name
        self.config["unix"] = str(self.drop / "stream")
        self.config["datagram"] = str(self.drop / "dgram")
        stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
        self.config["tcp"] = self._listen(socket.AF_INET, stream, ("127.0.0.1", 0))[1]
        self.config["udp"] = self._listen(socket.AF_INET, datagram, ("127.0.0.1", 0))[1]
        self._listen(socket.AF_UNIX, stream, self.config["unix"])
        self._listen(socket.AF_UNIX, datagram, self.config["datagram"])
        self._listen(socket.AF_UNIX, stream, "\0" + self.name)

    def _hidden_socket(self) -> None:
        self._listen(socket.AF_UNIX, socket.SOCK_STREAM, "\0tavo-hidden-" + self.token)

    def _netlink(self) -> None:
        self.config["netlink"] = self._listen(socket.AF_NETLINK, socket.SOCK_RAW, (0, 0), 2)[0]

    def _listen(self, family: int, kind: int, address: object, protocol: int = 0) -> Any:
        listener = socket.socket(family, kind, protocol)
        self.sockets.append(listener)
        listener.bind(address)  # type: ignore[arg-type]
        if kind == socket.SOCK_STREAM:
            listener.listen()
        listener.setblocking(False)
        return listener.getsockname()

    def _free_port(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as one:
            self.config["free_port"] = one.getsockname()[1]

    def _victim(self) -> None:
        comm = f"tv-{secrets.token_hex(6)}"
        self.secrets.append(comm)
        # Others ignore such signals: one that came would move the clock that must stand still.
        options = ["--signals"] if self.attack.evidence == "signalled" else []
        self.victim = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _VICTIM, self.token, comm, str(self.drop / "mark"),
             *options],
            env={"SECRET": self.token}, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
            text=True, start_new_session=True,
        )  # fmt: skip
        assert self.victim.stdout is not None  # noqa: S101
        address, length, file = map(int, self.victim.stdout.readline().split())
        self.config |= {
            "victim": self.victim.pid, "victim_address": address, "victim_length": length,
            "victim_file": file,
        }  # fmt: skip

    def _victim_clock(self) -> None:
        assert self.victim is not None  # noqa: S101
        clock = (~self.victim.pid << 3) | 2
        end = time.monotonic() + 30
        while time.monotonic() < end:  # until it waits for signals, and uses no more
            text = Path(f"/proc/{self.victim.pid}/stat").read_bytes()
            before = time.clock_gettime_ns(clock)
            time.sleep(0.02)
            asleep = text.rpartition(b")")[2].split()[0] == b"S"
            if asleep and time.clock_gettime_ns(clock) == before:
                self.secrets.append(str(before))
                return
        raise UnavailableError("the processor time of a sleeping process does not stand still")

    def _processors(self) -> None:
        if len(os.sched_getaffinity(0)) < 2:
            raise UnavailableError("there is only one processor")

    def _variable(self) -> None:
        self.config["variable"] = name = f"TAVO_TARGET_{secrets.token_hex(6)}"
        self.variables[name] = os.environ[name] = self.token

    def _environment(self) -> None:
        self._own("environ")

    def _command_line(self) -> None:
        self._own("cmdline")

    def _own(self, name: str) -> None:
        with open(f"/proc/self/{name}", "rb") as stream:
            text = stream.read(_PART_OF_PROCESS).decode("latin-1")
        if len(text) < 4:
            raise UnavailableError(f"/proc/self/{name} is empty")
        self.secrets.append(text)

    def _memory(self) -> None:
        held = ctypes.create_string_buffer(self.token.encode())
        self._closing.append(held.__len__)  # it lives as long as this
        self.config |= {"address": ctypes.addressof(held), "length": len(self.token)}

    def _descriptor(self) -> None:
        path = self.folder / "open"
        path.write_text(self.token)
        handle = os.open(path, os.O_RDONLY)
        path.unlink()
        self.inherited.append(handle)
        self._closing.append(lambda: os.close(handle))

    def _arena(self) -> None:
        if not Path("/proc/self/fd").is_dir():
            raise UnavailableError("there is no /proc")

    def _free_memory(self) -> None:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:") and int(line.split()[1]) << 10 < _MEMORY_NEEDED:
                raise UnavailableError("less than 1 GB is free, which is too little to try it")

    def _program(self) -> None:
        place = next(path for path in (*_PROGRAMS, "") if not path or os.access(path, os.X_OK))
        if not place:
            raise UnavailableError("there is no su and no mount")
        shown = subprocess.run(
            [place, "--help"], capture_output=True, text=True, check=False, timeout=10,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.program_help = (shown.stdout + shown.stderr).strip()[:200]
        if len(self.program_help) < 20:
            raise UnavailableError(f"{place} --help shows nothing")
        self.config["program"] = place

    def _kernel_key(self) -> None:
        self.config |= {"key_name": self.name, "new_key": f"{self.name}-new"}
        key = self._at.call(
            "add_key", b"user", self.name.encode(), self.token.encode(), len(self.token),
            _USER_RING,
        )  # fmt: skip
        self._closing.append(lambda: self._at.call("keyctl", _INVALIDATE, key))
        self._at.call("keyctl", _SET_RIGHTS, key, _ALL_OF_THE_USER)
        self._closing.append(
            lambda: self._at.call("keyctl", _INVALIDATE, self.find_key(f"{self.name}-new"))
        )

    def _shared_memory(self) -> None:
        libc = self._at.libc
        libc.shmat.restype = ctypes.c_void_p
        self.config["shared_key"] = number = secrets.randbelow(1 << 30) + 1
        handle = At.checked(libc.shmget(number, 4096, 0o3600))
        self._closing.append(lambda: libc.shmctl(handle, 0, None))
        place = libc.shmat(handle, None, 0)
        ctypes.memmove(place, self.token.encode(), len(self.token))
        libc.shmdt(ctypes.c_void_p(place))

    def _message_queue(self) -> None:
        libc = self._at.libc
        self.config["queue_key"] = number = secrets.randbelow(1 << 30) + 1
        handle = At.checked(libc.msgget(number, 0o3600))
        self._closing.append(lambda: libc.msgctl(handle, 0, None))
        message = ctypes.create_string_buffer((1).to_bytes(8, sys.byteorder) + self.token.encode())
        At.checked(libc.msgsnd(handle, message, ctypes.c_size_t(len(self.token)), 0o4000))

    def _dev_shm(self) -> None:
        if not Path("/dev/shm").is_dir():
            raise UnavailableError("there is no /dev/shm")

    def _terminal(self) -> None:
        ours, theirs = os.openpty()
        self._closing += [lambda: os.close(ours), lambda: os.close(theirs)]
        os.set_blocking(ours, False)
        self.config["terminal"] = os.ttyname(theirs)
        self.terminal = ours

    def _activity(self) -> None:
        self.seen.discard("activity")

    def _x86_64(self) -> None:
        if os.uname().machine != "x86_64":
            raise UnavailableError("it is written for x86_64")


_FURNISH: Mapping[str, Callable[[Room], None]] = {
    name.removeprefix("_"): getattr(Room, name)
    for name in (
        "_passwd", "_times", "_listeners", "_hidden_socket", "_netlink", "_free_port",
        "_victim", "_victim_clock", "_processors", "_variable", "_environment", "_command_line",
        "_memory", "_descriptor", "_arena", "_free_memory", "_program", "_kernel_key",
        "_shared_memory", "_message_queue", "_dev_shm", "_terminal", "_activity", "_x86_64",
    )
}  # fmt: skip


NEEDS = frozenset(_FURNISH)


def project_state(path: Path) -> tuple[object, ...] | None:
    """Return all that can be changed of a file, None if it is gone."""
    try:
        status = path.lstat()
        labels = os.listxattr(path) if hasattr(os, "listxattr") else ()
    except FileNotFoundError:
        return None
    return (
        status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_size,
        path.read_bytes(), tuple(labels),
    )  # fmt: skip


def processes_of(marker: str) -> list[int]:
    """Return the living processes with a text in the environment that they were started with.

    A worker that is a copy of one that was ready has the environment of that one: it, and what it
    starts, is known by its folder.
    """
    found = []
    wanted = os.fsencode(marker)
    for number in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            folder = os.fsencode(os.readlink(f"/proc/{number}/cwd"))
            if wanted not in folder + b"\0" + Path(f"/proc/{number}/environ").read_bytes():
                continue
            state = Path(f"/proc/{number}/stat").read_bytes().rpartition(b")")[2].split()[0]
            if state not in {b"Z", b"X"}:
                found.append(int(number))
    return found


def remove_processes(marker: str) -> None:
    """Kill what an attack left behind."""
    for pid in processes_of(marker):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
