"""Read a private key through a symbolic link in its own folder."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "filter"
MEANS = "it reads your files"


def attack(at: Any) -> object:
    link = at.scratch + "/link"
    os.symlink(at.key, link)
    with open(link) as stream:
        return stream.read()
