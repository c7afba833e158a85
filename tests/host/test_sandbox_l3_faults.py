"""Each step of the strongest level taken away by the kernel: no plugin code is read then.

The control runs the same plugin on the same kernel for a user who accepted L2 for it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tavo.host.probe import probe
from tavo.host.sandbox.levels import SandboxLevel
from tests.host.test_host_layers import ENOSYS, EPERM, FAULTS, PRETEND, run

pytestmark = pytest.mark.skipif(
    os.uname().machine != "x86_64" or probe().level < SandboxLevel.STRONG,
    reason="the faults are written for x86_64, and L3 must hold without them",
)

ENOSPC = 28
WRITE_ONLY = (2, os.O_WRONLY | os.O_CLOEXEC)  # how the maps of users are opened
TAKING_OFF = (1, 2)  # the flag MNT_DETACH
BIND = (3, 0x1000 | 0x4000)

STEPS = {
    "no namespaces in the kernel": (("unshare", ENOSYS), "namespaces"),
    "namespaces not in a container's profile": (("unshare", EPERM), "namespaces"),
    "no namespaces left": (("unshare", ENOSPC), "namespaces"),
    "namespaces pretend": (("unshare", PRETEND), "namespaces"),
    "users cannot be mapped": (("openat", EPERM, WRITE_ONLY), "namespaces"),
    "the host name stays": (("sethostname", EPERM), "namespaces"),
    "the host name pretends": (("sethostname", PRETEND), "namespaces"),
    "the domain name stays": (("setdomainname", EPERM), "namespaces"),
    "there is a network": (("connect", PRETEND), "namespaces"),
    "nothing can be mounted": (("mount", EPERM), "view"),
    "mounts pretend": (("mount", PRETEND), "view"),
    "nothing can be shown": (("mount", EPERM, BIND), "view"),
    "what is shown pretends": (("mount", PRETEND, BIND), "view"),
    "an old kernel without mount_setattr": (("mount_setattr", ENOSYS), "view"),
    "read-only pretends": (("mount_setattr", PRETEND), "view"),
    "the root stays": (("pivot_root", EPERM), "view"),
    "the root pretends": (("pivot_root", PRETEND), "view"),
    "the old root stays": (("umount2", EPERM, TAKING_OFF), "view"),
    "the old root pretends to go": (("umount2", PRETEND, TAKING_OFF), "view"),
}  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
def test_without_a_step_no_plugin_code_is_read(step: str, tmp_path: Path, start: str) -> None:
    call, layer = STEPS[step]
    answer, was_read = run(tmp_path, call, SandboxLevel.STRONG, SandboxLevel.STRONG, start=start)
    assert answer.get("refused") == layer, answer
    assert "needs sandbox level L3" in str(answer["message"])
    assert "TAVO_ACCEPT_SANDBOX=L2:acme/sample" in str(answer["hint"])
    assert answer["starts"] == 1
    assert not was_read


@pytest.mark.parametrize("fault", FAULTS)
def test_the_layers_of_l2_are_needed_as_well(fault: str, tmp_path: Path, start: str) -> None:
    call, layer = FAULTS[fault]
    answer, was_read = run(tmp_path, call, SandboxLevel.STRONG, SandboxLevel.STRONG, start=start)
    assert answer.get("refused") == layer, answer
    assert not was_read


@pytest.mark.parametrize(
    "step", ["namespaces not in a container's profile", "mounts pretend", "the root stays"]
)
def test_the_same_plugin_runs_at_l2_where_the_user_accepted_that(step: str, tmp_path: Path) -> None:
    answer, was_read = run(tmp_path, STEPS[step][0], SandboxLevel.STANDARD, SandboxLevel.STRONG)
    assert answer["rules"] == ["word"], answer
    assert answer["level"] == SandboxLevel.STANDARD
    assert not was_read


PROXY = {
    "the interface stays down": ("ioctl", EPERM, (1, 0x8914)),
    "nothing can listen": ("listen", EPERM),
    "the listener cannot be handed over": ("sendmsg", EPERM),
}


@pytest.mark.parametrize("step", PROXY)
def test_without_the_way_to_declared_hosts_no_plugin_code_is_read(
    step: str, tmp_path: Path, start: str
) -> None:
    strong = SandboxLevel.STRONG
    more = 'permissions: {network: ["api.example.com"]}\n'
    answer, was_read = run(tmp_path, PROXY[step], strong, strong, more, start)
    assert answer.get("refused") == "proxy", answer
    assert "TAVO_ACCEPT_SANDBOX=L2:acme/sample" in str(answer["hint"])
    assert not was_read


def test_an_acceptance_does_not_lower_what_the_machine_gives(tmp_path: Path) -> None:
    fault = ("kill", EPERM, (0, 999_999_999))
    answer, was_read = run(tmp_path, fault, SandboxLevel.NONE, SandboxLevel.STRONG)
    assert answer["level"] == SandboxLevel.STRONG, answer
    assert not was_read


def test_what_the_user_accepted_is_what_is_reported_as_missing(tmp_path: Path) -> None:
    fault = ("landlock_create_ruleset", ENOSYS)
    answer, _ = run(tmp_path, fault, SandboxLevel.STANDARD, SandboxLevel.STRONG)
    assert answer.get("refused") == "landlock", answer
    assert "needs sandbox level L2" in str(answer["message"])
