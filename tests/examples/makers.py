"""Inputs for the official plugins that cannot lie in Git; each maker fills an empty folder.

A plugin's `shown/<id>.yaml` names the maker, if it needs one.
"""

from __future__ import annotations

import os
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path

__all__ = ["MAKERS"]


def pickles(folder: Path) -> None:
    """Write pickles as real ones are: two that run a command when they are loaded, and one not."""

    class Runs:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, ("echo this model has run a command",)

    (folder / "classifier.pkl").write_bytes(pickle.dumps({"weights": [0.1, 0.2], "init": Runs()}))
    (folder / "ranker.joblib").write_bytes(zlib.compress(pickle.dumps([Runs()], protocol=2)))
    (folder / "vocabulary.pkl").write_bytes(pickle.dumps({"kettle": 1, "cup": 2}))


MAKERS: dict[str, Callable[[Path], None]] = {"pickles": pickles}
