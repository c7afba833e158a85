"""Become another program."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "written"
STOPPED_BY = "filter"
MEANS = "it leaves the process that was locked up"


def attack(at: Any) -> None:
    os.execv("/bin/sh", ["sh", "-c", f"echo > {at.home}/planted"])
