"""The repository inside the file: where it is, when it was built, which root it trusts.

Rules this module keeps:
- it only reads what the build wrote; verification is `signing.client`'s, like for any source;
- a tavo without an embedded repository is no error until a command needs one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from signing.client import DirectorySource, TrustState
from signing.errors import VerificationError
from tavo.errors import RefusedError

__all__ = ["FOLDER", "Embedded", "find_embedded"]

FOLDER = Path(__file__).parent.parent / "embedded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """What the build put inside: trusted root, version floors, build time, a small repository."""

    root: bytes
    built: datetime
    floors: TrustState
    source: DirectorySource


def find_embedded(folder: Path = FOLDER) -> Embedded | None:
    """Return the embedded repository, None where the build carries none.

    Raises RefusedError if it is there and damaged.
    """
    if not (folder / "build.json").exists():
        return None
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
