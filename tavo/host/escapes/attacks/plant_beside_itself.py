"""Leave a module beside itself that hides one of the standard library."""

from __future__ import annotations

import os
from typing import Any

EVIDENCE = "tampered"
STOPPED_BY = "landlock"
MEANS = "code that nobody signed runs the next time"


def attack(at: Any) -> None:
    with open(os.path.join(os.path.dirname(__file__), "json.py"), "w") as stream:
        stream.write("# loaded before the standard library by the next run")
