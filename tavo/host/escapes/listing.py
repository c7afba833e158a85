"""The list: which attacks there are, what each needs, and which level must stop it.

Rules this module keeps:
- an attack is a file below `attacks` and a line here; its text is read, never run in this process;
- what stops an attack is a part of the sandbox, and a part says from which level on it is there.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

__all__ = ["NAMES", "PARTS", "Attack", "attacks", "source_of"]

# part of the sandbox -> the level from which it is there, and what it is
PARTS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "host": (0, "how the host starts, hears and cleans up after a worker"),
        "watch": (0, "the watch on what a worker uses, five times a second"),
        "limits": (1, "resource limits"),
        "filter": (1, "the filter of system calls (seccomp)"),
        "landlock": (2, "Landlock"),
        "view": (3, "namespaces with a view of files of their own"),
    }
)

_ORDER = """
    read_ssh read_etc write_home write_project unlink_project rename_project chmod_project
    chown_project utime_project setxattr_project truncate_project lock_project stat_ssh list_home
    symlink_read symlink_plant hardlink mknod open_by_handle
    tcp tcp_bind udp dns unix_abs unix_path unix_datagram_by_pair raw_netlink vsock
    env_own env_parent env_other cmdline_parent proc_list proc_net mem_parent ptrace vm_readv
    clock_of_other kill_victim kill_all kill_pgrp kill_by_input_owner kill_by_pidfd kill_by_queue
    prlimit_victim slow_other pin_other fd_leak pidfd_getfd write_arena rewrite_itself
    plant_beside_itself
    fork_bomb fork_by_clone3 thread_bomb mem_bomb memfd_bomb disk_fill inode_fill big_file
    stderr_flood cpu_spin hang daemon daemon_nosetsid
    start_program replace_itself memory_program exec_su userns mount chroot io_uring userfaultfd
    keyctl add_key bpf perf inotify sysv_shm sysv_queue dev_shm tmp_write tiocsti int80 core_flip
    proto_garbage proto_1gb proto_deep
    """
NAMES = tuple(_ORDER.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attack. `title` says what it tries, `means` what it would mean if it worked."""

    name: str
    title: str
    evidence: str
    stopped_by: str
    means: str
    needs: tuple[str, ...]
    limits: Mapping[str, Any]
    source: str

    @property
    def stopped_from(self) -> int:
        """Return the lowest level that must stop it."""
        return PARTS[self.stopped_by][0]


def attacks(names: tuple[str, ...] = NAMES) -> list[Attack]:
    """Return the attacks, read from their files."""
    return [_read(name) for name in names]


def source_of(module: str) -> str:
    """Return the text of a module below this folder, wherever the program lies."""
    name = f"{__package__}.{module}"
    spec = importlib.util.find_spec(name)
    loader: Any = getattr(spec, "loader", None)
    text = loader.get_source(name) if hasattr(loader, "get_source") else None
    if not text:
        raise ImportError(f"the text of {name} cannot be found")
    return str(text)


@functools.cache
def _read(name: str) -> Attack:
    text = source_of(f"attacks.{name}")
    tree = ast.parse(text)
    facts = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    return Attack(
        name=name,
        title=(ast.get_docstring(tree) or "").partition("\n")[0],
        evidence=facts["EVIDENCE"],
        stopped_by=facts["STOPPED_BY"],
        means=facts["MEANS"],
        needs=facts.get("NEEDS", ()),
        limits=facts.get("LIMITS", {}),
        source=text,
    )
