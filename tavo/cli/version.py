"""The version line of this installation, with what must be said about its trusted root."""

from __future__ import annotations

import tavo
from tavo.onefile import running

__all__ = ["version_line"]


def version_line() -> str:
    """Return `tavo VERSION`, marked when the embedded root came from a development build."""
    if finder := running():
        return str(finder.index["line"])
    from tavo.registry.embedded import embedded_folder, is_development

    folder = embedded_folder()
    return tavo.version_line(development=folder is not None and is_development(folder))
