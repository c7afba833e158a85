"""Read a private key through a hard link in a folder beside it."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "leaked"
STOPPED_BY = "filter"
MEANS = "it reads your files under another name"


def attack(at: Any) -> object:
    link = at.drop + "/link"
    os.link(at.key, link)
    with open(link) as stream:
        return stream.read()
