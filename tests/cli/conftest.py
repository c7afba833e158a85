"""A user's machine: a home folder of its own, and the command run inside this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tavo.cli import main


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("COLUMNS", "100")
    return folder


@pytest.fixture
def tavo(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
         capsys: pytest.CaptureFixture[str]) -> Run:  # fmt: skip
    """Run a command in an empty project folder."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)

    def run(*words: str) -> Done:
        capsys.readouterr()
        code = main(_texts(words))
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run


def _texts(words: Sequence[object]) -> list[str]:
    return [str(word) for word in words]
