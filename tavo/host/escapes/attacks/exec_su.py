"""Become a program that belongs to root and runs with root's rights."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "ran"
STOPPED_BY = "filter"
MEANS = "it looks for a way to become root"
NEEDS = ("program",)


def attack(at: Any) -> None:
    os.execv(at.program, ["su", "--help"])
