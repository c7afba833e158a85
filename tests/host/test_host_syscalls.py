"""The numbers of system calls are those of the kernel, for both machines.

The x86_64 column is executed by all other tests of the sandbox. The aarch64 column is only compared
here: it was never executed. Two sources are compared with: the package `system-calls`, generated
from the kernel's tables of every release and kept up, and the kernel's headers where they are
installed.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tavo.host.escapes.inside.reach import NUMBERS
from tavo.host.sandbox import seccomp
from tavo.host.sandbox.syscalls import ARCHITECTURES, HIGHEST_KNOWN, numbers_for

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def maintained(machine: str) -> dict[str, int]:
    package = pytest.importorskip("system_calls", reason="not compared: system-calls is missing")
    table = package.syscalls()
    found = {}
    for name in table.names():
        try:
            found[name] = table.get(name, {"aarch64": "arm64"}.get(machine, machine))
        except (package.NotSupportedSystemCall, package.NoSuchSystemCall):
            continue
    return found


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_the_table_of_the_layers_is_the_maintained_one(machine: str) -> None:
    known = maintained(machine)
    ours = numbers_for(machine)
    assert {name: known.get(name) for name in ours} == ours
    # a call without a number here has none on that machine
    others = {name for other in ARCHITECTURES for name in numbers_for(other)} - ours.keys()
    assert others & known.keys() == set()


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_every_call_that_the_filter_names_is_in_the_table(machine: str) -> None:
    known = maintained(machine)
    left_out = seccomp.names() - numbers_for(machine).keys()
    assert left_out & known.keys() == set()
    assert max(numbers_for(machine).values()) <= HIGHEST_KNOWN <= max(known.values())


@pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])
def test_the_numbers_of_the_attacks_are_the_maintained_ones(machine: str, column: int) -> None:
    known = maintained(machine)
    ours = {name: numbers[column] for name, numbers in NUMBERS.items()}
    assert {name: known.get(name) for name in ours} == ours


@pytest.mark.parametrize("machine", HEADERS)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip("not compared: the kernel's headers are not installed")
    text = HEADERS[machine].read_text()
    known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text))
    compared = 0
    for name, number in numbers_for(machine).items():
        name = {"newfstatat": "fstatat"}.get(name, name) if machine == "aarch64" else name
        if name in known:  # installed headers may be older than the newest calls
            assert int(known[name]) == number, name
            compared += 1
    assert compared > 100
