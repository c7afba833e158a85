"""Files of the project for plugins: what is handed over, what is not, and how much."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from tavo.host import brokered_files
from tavo.host.brokered_files import FileLender
from tavo.host.lending import LendError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name in ("app/main.py", "app/uv.lock", "web/uv.lock", "deep/er/x.py", ".git/config",
                 ".env", "elsewhere/y.py"):  # fmt: skip
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}")
    (tmp_path / "secret").write_text("outside")
    (root / "app" / "link.py").symlink_to(tmp_path / "secret")
    (root / "out").symlink_to(tmp_path)
    os.mkfifo(root / "app" / "pipe")
    return root


def read(lender: FileLender, path: Any) -> bytes:
    return base64.b64decode(lender.lend("read", {"path": path})["data"])


def files(lender: FileLender, pattern: Any = "*") -> list[str]:
    found: list[str] = lender.lend("files", {"pattern": pattern})["paths"]
    return found


def test_files_are_read_and_listed(project: Path) -> None:
    lender = FileLender(project, [project])
    assert read(lender, "app/uv.lock") == b"text of app/uv.lock"
    assert files(lender, "*.lock") == ["app/uv.lock", "web/uv.lock"]
    assert files(lender, "app/*.lock") == ["app/uv.lock"]
    assert files(lender) == [".env", "app/main.py", "app/uv.lock", "deep/er/x.py",
                             "elsewhere/y.py", "web/uv.lock"]  # fmt: skip


HOSTILE = {
    "../secret": "not a path below the project",
    "app/../../secret": "not a path below the project",
    "/etc/passwd": "not a path below the project",
    "app//main.py": "not a path below the project",
    "./app/main.py": "not a path below the project",
    "app/main.py\0": "no text that names a file",
    "": "no text that names a file",
    "x" * 5000: "no text that names a file",
    "\udcff": "cannot be read",
    "app/link.py": "cannot be read",
    "out/secret": "cannot be read",
    "app/pipe": "not a regular file",
    "app": "not a regular file",
    "app/none.py": "cannot be read: No such file",
    ".git/config": "not part of what is scanned",
}


@pytest.mark.parametrize("path", HOSTILE)
def test_what_is_not_a_file_of_the_project_is_refused(path: str, project: Path) -> None:
    with pytest.raises(LendError, match=HOSTILE[path]):
        read(FileLender(project, [project]), path)


def test_a_name_that_is_no_text_is_refused(project: Path) -> None:
    with pytest.raises(LendError, match="characters that no file name has"):
        read(FileLender(project, [project]), "a\ud800")


@pytest.mark.parametrize("path", [None, 7, ["app"], {"a": 1}])
def test_what_is_no_path_is_refused(path: Any, project: Path) -> None:
    with pytest.raises(LendError, match="no text"):
        read(FileLender(project, [project]), path)


def test_control_with_links_followed_the_secret_is_read(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokered_files, "_FILE", os.O_RDONLY)
    monkeypatch.setattr(brokered_files, "_FOLDER", os.O_RDONLY)
    lender = FileLender(project, [project])
    assert read(lender, "app/link.py") == read(lender, "out/secret") == b"outside"


def test_only_what_is_scanned_is_lent(project: Path) -> None:
    lender = FileLender(project, [project / "app", project / "deep" / "er" / "x.py"])
    assert files(lender) == ["app/main.py", "app/uv.lock", "deep/er/x.py"]
    assert read(lender, "deep/er/x.py")
    for path in (".env", "elsewhere/y.py", "deep/er/y.py", "apparent/x"):
        with pytest.raises(LendError, match="not part of what is scanned"):
            read(lender, path)


def test_size_number_and_sum_are_bounded(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (project / "large.bin").open("wb") as file:
        file.truncate((8 << 20) + 1)
    with pytest.raises(LendError, match="is larger than 8388608 bytes"):
        read(FileLender(project, [project]), "large.bin")
    monkeypatch.setattr(brokered_files, "_MOST_READS", 2)
    lender = FileLender(project, [project])
    read(lender, ".env")
    read(lender, ".env")
    with pytest.raises(LendError, match="as much of the project as a run allows") as refused:
        read(lender, ".env")
    assert refused.value.kind == "budget"
    monkeypatch.setattr(brokered_files, "_MOST_LISTED", 3)
    with pytest.raises(LendError, match="more than 3 files are like"):
        files(lender)


@pytest.mark.parametrize("pattern", [None, "", "x" * 300, "*" * 20, 3])
def test_patterns_are_bounded(pattern: Any, project: Path) -> None:
    with pytest.raises(LendError, match="the pattern"):
        files(FileLender(project, [project]), pattern)


def test_it_lends_nothing_else(project: Path) -> None:
    with pytest.raises(LendError, match="http is not lent"):
        FileLender(project, [project]).lend("http", {})
