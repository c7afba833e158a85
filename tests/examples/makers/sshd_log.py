"""A log of sshd."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

__all__ = ["make"]


def make(folder: Path) -> None:
    """Write what sshd writes when passwords are guessed, and one is right in the end."""
    dice = random.Random(13)
    at = datetime(2026, 11, 3, tzinfo=UTC)
    lines = []
    for number in range(1, 1501):
        address = f"203.0.113.{dice.randint(1, 250)}"
        text = f"Failed password for root from {address} port {dice.randint(1024, 65535)} ssh2"
        if dice.random() < (0.5 if number > 1000 else 0.03):
            text = f"Connection reset by {address} port {dice.randint(1024, 65535)} [preauth]"
        lines.append((f"sshd[{dice.randint(900, 9999)}]", text))
    lines[1200:1200] = [
        ("sshd[4711]", "Accepted password for root from 203.0.113.77 port 50022 ssh2"),
        ("sshd[4711]", "pam_unix(sshd:session): session opened for user root by (uid=0)"),
    ]
    lines.insert(1400, ("sshd[4711]", "pam_unix(sshd:session): session closed for user root"))
    with (folder / "auth.log").open("w") as file:
        for number, (program, text) in enumerate(lines):
            time = at + timedelta(seconds=2 * number)
            file.write(f"{time:%b} {time.day:2} {time:%H:%M:%S} gateway {program}: {text}\n")
