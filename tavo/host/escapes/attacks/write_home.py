"""Write a new file into the home folder."""

from __future__ import annotations

from typing import Any

EVIDENCE = "written"
STOPPED_BY = "landlock"
MEANS = "it plants files in your home, such as start-up scripts"


def attack(at: Any) -> None:
    with open(at.home + "/planted", "w") as stream:
        stream.write("was here")
