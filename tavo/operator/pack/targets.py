"""The systems and interpreters that one file serves, and the packages of each out of the lock.

Rules this module keeps:
- the lock decides: wheels only, every hash checked, markers evaluated for the target and never
  for the machine that builds;
- a target without a wheel fails the build, and every missing wheel is named at once.
"""

from __future__ import annotations

import ast
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "MINORS",
    "PLATFORMS",
    "PackError",
    "Target",
    "all_targets",
    "install",
    "locked_packages",
    "parse_targets",
]

MINORS = ("311", "312", "313", "314")


class PackError(Exception):
    """The file cannot be made; the message is a sentence for who builds."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A system: its name in the file, uv's name for it, and its name where extras need more."""

    name: str
    uv: str
    uv_full: str


PLATFORMS = {
    platform.name: platform
    for platform in (
        Platform("linux-x86_64", "x86_64-manylinux_2_28", "x86_64-manylinux_2_34"),
        Platform("linux-aarch64", "aarch64-manylinux_2_28", "aarch64-manylinux_2_34"),
        Platform("macos-arm64", "aarch64-apple-darwin", "aarch64-apple-darwin"),
        Platform("windows-x86_64", "x86_64-pc-windows-msvc", "x86_64-pc-windows-msvc"),
    )
}
# regopy's wheels need macOS 15; nothing else needs more than 14
_UNREACHABLE = ("error sending request", "Failed to fetch", "operation timed out")
_MACOS = {False: "14.0", True: "15.0"}


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One interpreter on one system, written `linux-x86_64-cp311`."""

    platform: str
    minor: str

    def __str__(self) -> str:
        return f"{self.platform}-cp{self.minor}"


def all_targets() -> list[Target]:
    """Return every target that a release serves."""
    return [Target(platform, minor) for platform in PLATFORMS for minor in MINORS]


def parse_targets(words: Iterable[str]) -> list[Target]:
    """Read names such as `linux-x86_64` (all interpreters) and `linux-x86_64-cp311`.

    Raises PackError naming the right ones.
    """
    chosen = set()
    for word in words:
        found = [t for t in all_targets() if word in {str(t), t.platform, f"cp{t.minor}"}]
        if not found:
            raise PackError(
                f"{word!r} is not a target; use {', '.join(PLATFORMS)}, or one interpreter of"
                f" them, such as {all_targets()[0]}"
            )
        chosen.update(found)
    return sorted(chosen)


def install(targets: Sequence[Target], lock: Path, work: Path, *, full: bool) -> dict[Target, Path]:
    """Install the lock for each target into a folder of its own, once; return the folders.

    Raises PackError naming every wheel that is missing.
    """
    import hashlib

    state = hashlib.sha256(lock.read_bytes() + bytes([full])).hexdigest()[:16]
    folders: dict[Target, Path] = {}
    missing: list[str] = []
    for target in targets:
        folder = work / f"{target}-{state}"
        folders[target] = folder
        if (folder / ".complete").exists():
            continue
        shutil.rmtree(folder, ignore_errors=True)
        done = _uv(target, folder, lock, full=full)
        if done.returncode == 0:
            (folder / ".complete").touch()
            continue
        if any(words in done.stderr for words in _UNREACHABLE):
            raise PackError(
                f"{target}: the package index cannot be reached: {_reason(done.stderr)}\n"
                "Without network, put the wheels in a folder and set PIP_NO_INDEX=1 and"
                " PIP_FIND_LINKS=FOLDER."
            )
        lacking = _missing(target, lock, work, full=full)
        if not lacking:
            raise PackError(f"{target}: {_reason(done.stderr)}")
        missing.extend(f"{target}: {requirement}" for requirement in lacking)
    if missing:
        raise PackError("no wheel exists for:\n  " + "\n  ".join(missing))
    return folders


def _uv(
    target: Target, folder: Path, lock: Path, *, full: bool
) -> subprocess.CompletedProcess[str]:
    platform = PLATFORMS[target.platform]
    command = [
        sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--only-binary",
        ":all:", "--require-hashes", "--no-config", "--system-certs", "--link-mode", "copy",
        "--python", sys.executable,
        "--python-platform", platform.uv_full if full else platform.uv,
        "--python-version", f"{target.minor[0]}.{target.minor[1:]}", "--target", str(folder),
        "-r", str(lock),
    ]  # fmt: skip
    environment = {**os.environ, **_index(), "MACOSX_DEPLOYMENT_TARGET": _MACOS[full]}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=folder.parent
    )


@functools.cache
def _index() -> Mapping[str, str]:
    """Let uv use the package index and certificates that pip is told to use, files and variables.

    Every hash is checked, so it does not matter which of several indexes a wheel comes from.
    """
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    told: dict[str, str] = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section == ":env:" or name not in told:  # variables win over files
            told[name] = str(ast.literal_eval(value))
    found = {
        "UV_DEFAULT_INDEX": told.get("index-url", ""),
        "UV_INDEX": " ".join(told.get("extra-index-url", "").split()),
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_NO_INDEX": "1" if told.get("no-index", "") in {"1", "true", "yes", "on"} else "",
        "UV_FIND_LINKS": ",".join(told.get("find-links", "").split()),
        "SSL_CERT_FILE": told.get("cert", ""),
    }
    return {name: value for name, value in found.items() if value}


def _missing(target: Target, lock: Path, work: Path, *, full: bool) -> list[str]:
    """Try every requirement alone; return those that have no wheel for the target."""
    lacking = []
    for number, requirement in enumerate(_requirements(lock.read_text("utf-8"))):
        single = work / f"single-{number}.txt"
        single.write_text(requirement, "utf-8")
        folder = work / f"single-{number}"
        if _uv(target, folder, single, full=full).returncode != 0:
            lacking.append(requirement.split()[0])
        single.unlink()
        shutil.rmtree(folder, ignore_errors=True)
    return lacking


def _requirements(text: str) -> list[str]:
    """Split a lock into its requirements, each with its hashes."""
    pieces: list[list[str]] = []
    for line in text.splitlines():
        if not line.startswith((" ", "#")) and line.strip():
            pieces.append([])
        if pieces and not line.lstrip().startswith("#"):
            pieces[-1].append(line)
    return ["\n".join(piece) for piece in pieces]


def locked_packages(lock: Path) -> dict[str, str]:
    """Return name and version of everything in the lock."""
    pairs = (r.split()[0].partition("==") for r in _requirements(lock.read_text("utf-8")))
    return {name: version for name, _, version in pairs}


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:4]) or "uv gave no reason"
