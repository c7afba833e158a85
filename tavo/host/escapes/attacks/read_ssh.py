"""Read a private key in the home folder."""

from __future__ import annotations

from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "landlock"
MEANS = "it reads your keys and every other file of yours"


def attack(at: Any) -> object:
    with open(at.key) as stream:
        return stream.read()
