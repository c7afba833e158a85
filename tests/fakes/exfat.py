"""What exFAT does not allow, enforced on any folder: no links, no modes, times of 2 s, names.

Where the machine can, `Disk` is a real one.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
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


class Disk:
    """A small exFAT disk in a file, mounted: root, a loop device and exfatprogs are needed."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError or CalledProcessError where there can be none."""
        self.place = folder / "exfat"
        self.place.mkdir()
        image = folder / "exfat.img"
        with image.open("wb") as stream:
            stream.truncate(128 << 20)
        _run("mkfs.exfat", image)
        self._device = _run("losetup", "--find", "--show", image).strip()
        try:
            self.mount()
        except BaseException:
            _run("losetup", "--detach", self._device)
            raise

    def mount(self) -> None:
        """Plug it in: by the kernel's driver, else by FUSE's."""
        try:
            _run("mount", "-t", "exfat", self._device, self.place)
        except subprocess.CalledProcessError:
            _run("mount.exfat-fuse", self._device, self.place)

    def remount(self) -> None:
        """Unplug it, check it, and plug it in again."""
        _run("umount", self.place)
        _run("fsck.exfat", "-n", self._device)
        self.mount()

    def close(self) -> None:
        """Unplug it for good."""
        _run("umount", self.place)
        _run("losetup", "--detach", self._device)


def _run(*words: object) -> str:
    done = subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True)
    return done.stdout


def can_mount() -> bool:
    """Tell whether this machine can have a real exFAT disk."""
    return (
        sys.platform == "linux"
        and os.geteuid() == 0
        and all(map(shutil.which, ("mkfs.exfat", "fsck.exfat", "losetup", "mount", "umount")))
    )
