"""Programs on a plugin's behalf: for who declares them under `subprocess`, and was granted that.

Rules this module keeps:
- only a program that the manifest names is run, by that name, from the absolute folders of PATH:
  never one that a plugin or a project brings;
- no shell; it runs in an empty folder of ours that holds the files the plugin gives it, and gets
  few of our variables, none of which is a secret;
- it runs with the user's rights, outside of the sandbox: that is what the permission says. Those
  that come with a plugin run inside of it: `tavo.host.own_programs`;
- runs, their time and their output are bounded, and they end with the run.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tavo.host.lending import LendError
from tavo.host.program_orders import (
    MOST_OUTPUT,
    Allowance,
    Order,
    answered,
    read_order,
    write_files,
)
from tavo.host.stopping import Stopper
from tavo.programs import find_program, run_program

__all__ = ["ProgramLender"]


class ProgramLender:
    """Serves `context.run` of one plugin, for programs of the user's machine."""

    def __init__(self, programs: Collection[str], *, stopper: Stopper, seconds: float) -> None:
        """`seconds` is the time that all runs may take together."""
        self._programs = frozenset(programs)
        self._stopper = stopper
        self._allowance = Allowance(seconds)

    def lend(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Run a program to its end. Raises LendError."""
        order = read_order(kind, content, self._programs)
        if order.called or order.variables:
            raise LendError(
                "program", "called and variables are only for programs that come with a plugin"
            )
        with self._allowance.run(order.timeout_s) as seconds:
            program = find_program(order.program)
            if program is None:
                raise LendError("program", f"there is no {order.program} in the folders of PATH")
            return self._run(program, order, seconds)

    def _run(self, program: Path, order: Order, seconds: float) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="tavo-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            try:
                write_files(folder, order.files)
                answer = run_program(
                    [str(program), *order.arguments], extra={"TMPDIR": name}, seconds=seconds,
                    most=MOST_OUTPUT, folder=folder, given=order.given,
                    beside=lambda _, stop: self._stopper.ending(stop),
                )  # fmt: skip
            except (OSError, ValueError) as error:
                raise LendError("program", f"{program.name}: does not start: {error}") from None
        return answered(program.name, answer)
