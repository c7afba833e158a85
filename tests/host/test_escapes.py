"""The escape list per level: what must be stopped is stopped, what a level leaves open works.

Each attack has a control in which it works without a sandbox on the same machine; where it does
not, nothing is claimed of it. Evidence is what is seen from outside the worker.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from tavo.host.escapes import listing
from tavo.host.escapes.evidence import KINDS, Trial, has_worked
from tavo.host.escapes.listing import NAMES, PARTS, Attack, attacks
from tavo.host.escapes.score import Outcome, run_attack, run_list
from tavo.host.escapes.targets import NEEDS, Room, processes_of
from tavo.host.probe import probe
from tavo.host.sandbox.levels import SandboxLevel
from tavo.host.work_folder import delete_folder, disk_use
from tests.fakes.kernel import python
from tests.fakes.unprivileged import needs_root, run_tests

STRONGEST = probe().level
LEVELS = [level for level in SandboxLevel if SandboxLevel.NONE < level <= STRONGEST]

pytestmark = pytest.mark.skipif(
    STRONGEST < SandboxLevel.STANDARD, reason="the sandbox of this system is not L2"
)

# The names of the attack list that the sandbox was designed against; ours came on top.
DESIGNED_AGAINST = """
    read_ssh read_etc write_home write_project unlink_project chmod_project utime_project
    setxattr_project truncate_project stat_ssh list_home symlink_read symlink_plant hardlink tcp
    tcp_bind udp dns unix_abs unix_path raw_netlink vsock env_own env_parent cmdline_parent
    proc_list proc_net mem_parent ptrace vm_readv kill_victim kill_all kill_pgrp prlimit_victim
    fd_leak pidfd_getfd fork_bomb thread_bomb mem_bomb memfd_bomb disk_fill big_file stderr_flood
    cpu_spin hang daemon daemon_nosetsid exec_su userns mount io_uring userfaultfd keyctl add_key
    bpf perf inotify sysv_shm dev_shm tmp_write tiocsti int80 chroot core_flip proto_garbage
    proto_1gb proto_deep
    """
# What root's worker cannot do at L1 either, because it gave up root's capabilities: the kernel
# compares them with those of the other process.
STOPPED_FOR_ROOT = {"env_parent", "env_other", "mem_parent"}
# What an unprivileged user cannot do without a sandbox either
NEEDS_ROOT = {"chown_project", "mknod", "open_by_handle", "bpf"}
# What a kernel or a container may not have, or forbid to everybody
NEEDS_FACILITY = {
    "setxattr_project", "raw_netlink", "vsock", "mem_parent", "ptrace", "vm_readv", "pidfd_getfd",
    "pin_other", "userns", "mount", "chroot", "io_uring", "userfaultfd", "keyctl", "add_key",
    "perf", "tiocsti", "int80", "core_flip", "mem_bomb", "memfd_bomb", "sysv_shm", "sysv_queue",
}  # fmt: skip


@pytest.fixture(scope="module")
def matrix() -> dict[tuple[str, SandboxLevel], Outcome]:
    outcomes = run_list(attacks(), LEVELS, python=Path(sys.executable))
    return {(one.attack.name, one.level): one for one in outcomes if one.level is not None}


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.label)
@pytest.mark.parametrize("name", NAMES)
def test_an_attack_has_the_outcome_that_the_level_promises(
    name: str, level: SandboxLevel, matrix: dict[tuple[str, SandboxLevel], Outcome]
) -> None:
    outcome = matrix[name, level]
    if outcome.state == "not_tried":
        allowed = NEEDS_FACILITY | (NEEDS_ROOT if os.getuid() else set())
        assert name in allowed, outcome.reason
        pytest.skip(outcome.reason)
    expected = "stopped" if level >= outcome.attack.stopped_from else "worked"
    if name in STOPPED_FOR_ROOT and os.getuid() == 0:
        expected = "stopped"
    assert outcome.state == expected, outcome.reason


def test_the_bars(matrix: dict[tuple[str, SandboxLevel], Outcome]) -> None:
    """L3 leaves nothing open, L2 only the existence of a path, and most was really tried."""
    worked = {
        level: {name for (name, at), one in matrix.items() if at == level and one.state == "worked"}
        for level in LEVELS
    }
    assert worked[SandboxLevel.STANDARD] == {"stat_ssh"}
    if STRONGEST is SandboxLevel.STRONG:
        assert worked[SandboxLevel.STRONG] == set()
    tried = [one for (_, at), one in matrix.items() if at == STRONGEST and one.state != "not_tried"]
    assert len(tried) >= 62
    assert (
        "SIGSYS" in matrix["int80", SandboxLevel.STANDARD].reason or os.uname().machine != "x86_64"
    )


def test_what_the_host_does_holds_without_any_sandbox() -> None:
    """Its own environment, descriptors, links, frames and clocks do not lean on a layer."""
    chosen = [attack for attack in attacks() if attack.stopped_from == 0]
    outcomes = run_list(chosen, [SandboxLevel.NONE], python=Path(sys.executable))
    assert {one.attack.name: one.state for one in outcomes} == dict.fromkeys(
        (attack.name for attack in chosen), "stopped"
    )
    assert {"symlink_plant", "env_own", "fd_leak", "disk_fill", "proto_1gb", "hang"} <= {
        attack.name for attack in chosen
    }


@pytest.mark.slow
def test_in_a_worker_without_its_layers_every_other_attack_works() -> None:
    """The control in the very worker: what is stopped above is stopped by the layers."""
    # over a limit that is also looked at from outside; in the group that the host kills
    by_host_too = {"mem_bomb", "big_file", "daemon_nosetsid", "fork_by_clone3"}
    chosen = [a for a in attacks() if a.stopped_from > 0 and a.name not in by_host_too]
    outcomes = run_list(chosen, [SandboxLevel.NONE], python=Path(sys.executable))
    assert {one.attack.name: one.reason for one in outcomes if one.state == "stopped"} == {}


# -- the list itself


def test_the_list_is_whole() -> None:
    folder = Path(listing.__file__).parent / "attacks"
    assert sorted(NAMES) == sorted(p.stem for p in folder.glob("*.py") if p.stem != "__init__")
    assert len(set(NAMES)) == len(NAMES) >= 62
    assert set(DESIGNED_AGAINST.split()) <= set(NAMES)
    every = attacks()
    assert {attack.evidence for attack in every} == KINDS
    assert {attack.stopped_by for attack in every} == set(PARTS)
    assert {need for attack in every for need in attack.needs} == NEEDS
    assert len({attack.title for attack in every}) == len(every)
    for attack in every:
        assert attack.title.endswith("."), attack.name
        assert attack.means, attack.name
        assert not attack.means.endswith("."), attack.name


def test_no_attack_is_told_a_secret(tmp_path: Path) -> None:
    for attack in attacks():
        room = Room(tmp_path / attack.name, attack)
        assert room.token not in json.dumps(room.config)
        room.close()


# -- the list finds a hole, and does not claim more than it saw


def one(name: str, **changes: str) -> Attack:
    return dataclasses.replace(attacks((name,))[0], **changes)


def test_an_attack_that_must_be_stopped_and_is_not_is_bad(tmp_path: Path) -> None:
    from tavo.errors import ExitCode
    from tavo.runs import escape_score

    attack = one("stat_ssh", stopped_by="landlock")
    (outcome,) = run_attack(attack, [SandboxLevel.STANDARD], tmp_path, python=Path(sys.executable))
    assert (outcome.state, outcome.is_bad) == ("worked", True)
    score = escape_score.EscapeScore(level="L2", attacks=[escape_score.of_outcome(outcome)])
    assert score.code is ExitCode.REFUSED
    assert escape_score.describe(score) == [
        (
            "bad", "escapes",
            "L2: 1 of 1 attacks worked; each of the 1 works on this machine without a sandbox",
        ),
        (
            "bad", "stat_ssh",
            "Ask for the time and size of a private key without reading it. It must be stopped"
            " here: it learns which files exist, how large and how old they are.",
        ),
    ]  # fmt: skip


WITHOUT_RING = """
import sys, tempfile
from pathlib import Path
from tavo.host.escapes.listing import attacks
from tavo.host.escapes.score import run_list
from tavo.host.sandbox.levels import SandboxLevel
from tests.fakes.kernel import refuse
refuse("io_uring_setup", 38)
(one,) = run_list(attacks(("io_uring",)), [SandboxLevel.STANDARD], python=Path(sys.executable))
print(one.state, one.reason)
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the fault is written for x86_64")
def test_what_the_kernel_does_not_have_is_not_counted_as_stopped() -> None:
    done = python(WITHOUT_RING)
    assert done.stdout == (
        "not_tried it does not work here without a sandbox either: OSError: [Errno 38] Function"
        " not implemented\n"
    ), done.stderr


def test_a_target_that_cannot_be_had_is_not_counted_as_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tavo.host.escapes.targets._MEMORY_NEEDED", 1 << 60)
    (outcome,) = run_attack(
        one("mem_bomb"), [SandboxLevel.STANDARD], tmp_path, python=Path(sys.executable)
    )
    assert outcome.state == "not_tried"
    assert "too little to try it" in outcome.reason


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rooms: list[str] = []  # others try attacks at the same time, and leave theirs until they end

    class Noted(Room):
        def __init__(self, folder: Path, attack: Attack) -> None:
            super().__init__(folder, attack)
            rooms.append(self.name)

    monkeypatch.setattr("tavo.host.escapes.score.Room", Noted)
    names = ("daemon", "fork_bomb", "dev_shm", "env_own", "sysv_shm", "tmp_write", "disk_fill")
    run_list(attacks(names), [SandboxLevel.STANDARD], python=Path(sys.executable))
    assert list(tmp_path.iterdir()) == []
    assert len(rooms) >= 2 * len(names)
    for place in ("/dev/shm", "/tmp"):
        assert not {path.name for path in Path(place).iterdir()} & set(rooms)
    assert not [name for name in os.environ if name.startswith("TAVO_TARGET")]
    end = time.monotonic() + 60
    while left := [pid for text in (*rooms, str(tmp_path)) for pid in processes_of(text)]:
        assert time.monotonic() < end, left  # what was just killed may not be dead yet
        time.sleep(0.05)


def test_a_signal_of_another_attack_is_not_taken_for_one_of_this(tmp_path: Path) -> None:
    """Attacks are tried at the same time, and one of them signals whatever there is."""
    room = Room(tmp_path / "signalled", one("kill_all"))
    try:
        room.furnish()
        assert room.victim is not None
        os.kill(room.victim.pid, signal.SIGURG)
        assert has_worked(room, Trial(marker=room.name, pid=os.getpid()))
        other = Trial(marker=room.name, pid=os.getppid(), failure="PermissionError")
        assert not has_worked(room, other)
    finally:
        room.close()


def test_a_signal_of_another_attack_moves_no_clock(tmp_path: Path) -> None:
    """It did while every victim listened for signals: the attack then seemed to be stopped."""
    room = Room(tmp_path / "clock", one("clock_of_other"))
    try:
        room.furnish()
        assert room.victim is not None
        clock = (~room.victim.pid << 3) | 2
        before = time.clock_gettime_ns(clock)
        for _ in range(5):
            os.kill(room.victim.pid, signal.SIGURG)
            time.sleep(0.05)
        assert time.clock_gettime_ns(clock) == before
        assert room.victim.poll() is None
    finally:
        room.close()


# -- links in a worker's folder


@pytest.fixture
def planted(tmp_path: Path) -> tuple[Path, Path]:
    """Return a worker's folder with planted links, and the folder that they lead to."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "large").write_bytes(bytes(1 << 20))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "away").symlink_to(target)
    (folder / "file").symlink_to(target / "large")
    return folder, target


def test_the_host_follows_no_planted_link(planted: tuple[Path, Path]) -> None:
    folder, target = planted
    assert disk_use(folder)[0] < 1 << 16
    delete_folder(folder)
    assert not folder.exists()
    assert (target / "large").stat().st_size == 1 << 20


def test_a_host_that_follows_them_is_led_away(planted: tuple[Path, Path]) -> None:
    folder, target = planted
    found = [
        Path(place) / name
        for place, _, names in os.walk(folder, followlinks=True)
        for name in names
    ]
    assert sum(path.stat().st_size for path in found) >= 2 << 20
    shutil.rmtree((folder / "away").resolve())
    assert not target.exists()


# -- the same for somebody else


@pytest.mark.slow
@needs_root
def test_all_of_it_holds_for_an_unprivileged_user_too() -> None:
    assert run_tests([Path(__file__)]).count(".") > 150
