"""Start another program."""

from __future__ import annotations

import subprocess
from typing import Any

EVIDENCE = "written"
STOPPED_BY = "filter"
MEANS = "it runs any program of yours"


def attack(at: Any) -> None:
    subprocess.run(["/bin/sh", "-c", f"echo > {at.home}/planted"], check=True)
