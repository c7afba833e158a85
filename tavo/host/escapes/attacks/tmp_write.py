"""Write into /tmp."""

from __future__ import annotations

from typing import Any

EVIDENCE = "temporary_file"
STOPPED_BY = "landlock"
MEANS = "it leaves files where other programs look"


def attack(at: Any) -> None:
    with open("/tmp/" + at.name, "w") as stream:
        stream.write("was here")
