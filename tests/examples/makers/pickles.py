"""Pickles as real ones are: two that run a command when they are loaded, and one that does not."""

from __future__ import annotations

import os
import pickle
import zlib
from pathlib import Path


class Runs:
    """Calls the shell when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo this model has run a command",)


def make(folder: Path) -> None:
    """Write the files into an empty folder."""
    (folder / "classifier.pkl").write_bytes(pickle.dumps({"weights": [0.1, 0.2], "init": Runs()}))
    (folder / "ranker.joblib").write_bytes(zlib.compress(pickle.dumps([Runs()], protocol=2)))
    (folder / "vocabulary.pkl").write_bytes(pickle.dumps({"kettle": 1, "cup": 2}))
