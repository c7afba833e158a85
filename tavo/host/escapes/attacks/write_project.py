"""Overwrite a file of the scanned project."""

from __future__ import annotations

from typing import Any

EVIDENCE = "changed"
STOPPED_BY = "landlock"
MEANS = "it changes your source code"


def attack(at: Any) -> None:
    with open(at.project, "w") as stream:
        stream.write("import evil")
