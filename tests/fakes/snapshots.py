"""Compare what a user sees with a kept file; TAVO_TEST_UPDATE=1 writes the files anew."""

from __future__ import annotations

import os
from pathlib import Path

UPDATE = "TAVO_TEST_UPDATE"


def check_snapshot(file: Path, text: str) -> None:
    """Fail if the text differs from the file, or write it where the variable asks for that."""
    if os.environ.get(UPDATE):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
    assert file.exists(), f"{file} is missing: set {UPDATE}=1 to write it, then look at it"
    assert text == file.read_text("utf-8"), f"differs from {file}: if meant, set {UPDATE}=1"
