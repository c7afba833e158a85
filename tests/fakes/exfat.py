"""What exFAT does not allow, enforced on any folder: no links, no modes, times of 2 s, names."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_FORBIDDEN = set('"*/:<>?\\|') | {chr(n) for n in range(32)}
_MODES_AFTER_MOUNT = 0o755


def enforce(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """From here on, calls about these folders fail as on an exFAT disk."""
    roots = [folder.resolve() for folder in folders]

    def inside(path: object) -> bool:
        place = Path(os.path.abspath(os.fsdecode(path)))  # type: ignore[call-overload] # noqa: PTH100
        return any(place.is_relative_to(root) for root in roots)

    def refusing(real: Callable[..., Any], *positions: int) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if any(inside(arguments[n]) for n in positions):
                raise PermissionError(errno.EPERM, "Operation not permitted", str(arguments[0]))
            return real(*arguments, **options)

        return call

    monkeypatch.setattr(os, "chmod", refusing(os.chmod, 0))
    monkeypatch.setattr(os, "link", refusing(os.link, 0, 1))
    monkeypatch.setattr(os, "symlink", refusing(os.symlink, 1))


def check(folder: Path) -> None:
    """Assert that all that lies in the folder could lie on an exFAT disk."""
    seen: set[str] = set()
    for path in folder.rglob("*"):
        relative = str(path.relative_to(folder))
        assert not path.is_symlink(), relative
        assert path.is_dir() or (path.is_file() and path.stat().st_nlink == 1), relative
        assert not _FORBIDDEN & set(path.name), relative
        assert not path.name.endswith((".", " ")), relative
        assert len(path.name.encode("utf-16-le")) <= 510, relative
        assert relative.upper() not in seen, relative
        seen.add(relative.upper())


def remount(folder: Path) -> None:
    """Give everything the times and modes that it has after the disk was plugged in again."""
    for path in folder.rglob("*"):
        seconds = int(path.stat().st_mtime) // 2 * 2
        os.utime(path, (seconds, seconds))
