"""The version line, with what must be said about the trusted root in every build."""

from __future__ import annotations

from pathlib import Path

from tavo import __version__

__all__ = ["version_line"]


def version_line() -> str:
    """Return `tavo VERSION`, marked when the embedded root came from a development build."""
    marker = Path(__file__).parent.parent / "embedded" / "DEVELOPMENT-ROOT"
    return f"tavo {__version__}" + (" (DEVELOPMENT ROOT)" if marker.exists() else "")
