"""The repository inside the file: where it is, when it was built, which root it trusts.

Rules this module keeps:
- it only reads what the build wrote; verification is `signing.client`'s, like for any source;
- a tavo without an embedded repository is no error until a command needs one.
"""

from __future__ import annotations

import importlib
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from signing.errors import VerificationError
from tavo.errors import RefusedError

if TYPE_CHECKING:
    from signing.client import DirectorySource, TrustState

__all__ = ["Embedded", "embedded_folder", "find_embedded", "is_development"]


class Embedded(NamedTuple):
    """What the build put inside: trusted root, version floors, build time, a small repository."""

    root: bytes
    built: datetime
    floors: TrustState
    source: DirectorySource


def embedded_folder() -> Path | None:
    """Return where the build put the repository, None for a tavo without one, as a checkout is."""
    try:
        package = importlib.import_module("tavo.embedded")
    except ModuleNotFoundError:
        return None
    return Path(next(iter(package.__path__)))


def is_development(folder: Path) -> bool:
    """Tell whether the build made the embedded repository's keys for itself."""
    return (folder / "DEVELOPMENT-ROOT").exists()


def find_embedded(folder: Path | None = None) -> Embedded | None:
    """Return the embedded repository, None where the build carries none.

    Raises RefusedError if it is there and damaged.
    """
    folder = folder or embedded_folder()
    if folder is None or not (folder / "build.json").exists():
        return None
    from signing.client import DirectorySource, TrustState

    try:
        facts = json.loads((folder / "build.json").read_text("utf-8"))
        return Embedded(
            root=(folder / "root.json").read_bytes(),
            built=datetime.fromisoformat(facts["built"]),
            floors=TrustState.from_dict(facts["floors"]),
            source=DirectorySource(folder / "repository"),
        )
    except (OSError, ValueError, KeyError, TypeError, VerificationError) as error:
        raise RefusedError(
            f"{folder}: the embedded repository is damaged: {error}",
            hint="Download the file again.",
        ) from error
