"""Write into the shared memory below /dev/shm."""

from __future__ import annotations

from typing import Any

EVIDENCE = "shared_file"
STOPPED_BY = "landlock"
MEANS = "it leaves data where other programs look"
NEEDS = ("dev_shm",)


def attack(at: Any) -> None:
    with open("/dev/shm/" + at.name, "w") as stream:
        stream.write("was here")
