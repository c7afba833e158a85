"""What every benchmark needs: CPU time of a command, a peer from the package index, real code.

Rules this module keeps:
- CPU time is user + system of the whole process tree that was waited for (`wait4`), in seconds;
- peers and code to scan are fetched by name and version when the benchmark runs, into .build/;
- what cannot be had is `None`, and the benchmark prints "not measured".
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".build" / "benchmarks"
PYZ = ROOT / "dist" / "tavo.pyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU seconds, wall seconds and peak memory in MB of one command, and what it returned."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    code: int
    output: str


def run(
    command: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None
) -> Cost:
    """Run a command to its end and measure it; its standard output is kept, errors are not."""
    import time

    with tempfile.TemporaryFile() as out:
        start = time.monotonic()
        process = subprocess.Popen(
            [str(part) for part in command], stdout=out, stderr=subprocess.DEVNULL, cwd=cwd,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        output = out.read().decode("utf-8", "replace")
    return Cost(
        cpu_s=usage.ru_utime + usage.ru_stime,
        wall_s=wall,
        peak_mb=usage.ru_maxrss / 1024,
        code=process.returncode,
        output=output,
    )


def peer(requirement: str, executable: str) -> Path | None:
    """Install a peer into an environment of its own, once; return its executable or None."""
    folder = WORK / "peers" / requirement.replace("==", "-")
    tool = folder / "bin" / executable
    if tool.exists():
        return tool
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    installed = subprocess.run(
        [str(folder / "bin" / "pip"), "install", "-q", requirement], check=False,
        capture_output=True,
    )  # fmt: skip
    return tool if installed.returncode == 0 and tool.exists() else None


def source(requirement: str) -> Path | None:
    """Download one package without its dependencies and unpack it; return the folder or None."""
    folder = WORK / "sources" / requirement.replace("==", "-")
    if folder.exists():
        return folder
    with tempfile.TemporaryDirectory() as download:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-build-isolation",
             "-d", download, requirement],
            check=False, capture_output=True,
        )  # fmt: skip
        archives = sorted(Path(download).iterdir())
        if done.returncode != 0 or not archives:
            return None
        _unpack(archives[0], folder)
    return folder


def npm_source(name: str, version: str) -> Path | None:
    """Unpack one package of npm; return the folder or None. Nothing of it is run."""
    folder = WORK / "sources" / f"{name.strip('@').replace('/', '-')}-npm-{version}"
    npm = shutil.which("npm")
    if folder.exists() or npm is None:
        return folder / "package" if folder.exists() else None
    with tempfile.TemporaryDirectory() as download:
        done = subprocess.run(
            [npm, "pack", "--silent", "--ignore-scripts", f"{name}@{version}"],
            check=False, capture_output=True, cwd=download,
        )  # fmt: skip
        archives = sorted(Path(download).iterdir())
        if done.returncode != 0 or not archives:
            return None
        _unpack(archives[0], folder)
    return folder / "package"


def git_source(url: str, revision: str) -> Path | None:
    """Unpack one revision of a Git repository, cloned once; return the folder or None."""
    name = url.removesuffix(".git").rpartition("/")[2]
    clone = WORK / "clones" / name
    folder = WORK / "sources" / f"{name}-git-{revision.replace('/', '-')}"
    if folder.exists():
        return folder
    if not clone.exists():
        command = ["git", "clone", "--quiet", "--bare", url, str(clone)]
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            return None
    with tempfile.TemporaryDirectory() as download:
        archive = Path(download) / "revision.tar"
        command = ["git", "-C", str(clone), "archive", f"--output={archive}", revision]
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            return None
        _unpack(archive, folder)
    return folder


def _unpack(file: Path, folder: Path) -> None:
    partial = folder.with_name(folder.name + ".partial")
    if file.suffix in {".whl", ".zip"}:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(partial)
    else:
        with tarfile.open(file) as archive:
            archive.extractall(partial, filter="data")
    partial.rename(folder)


def machine() -> str:
    """Describe the machine in one line, for the head of a table."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")),
        "unknown processor",
    ) if Path("/proc/cpuinfo").exists() else sys.platform  # fmt: skip
    return f"{model}, {os.cpu_count()} cores, CPython {sys.version.split()[0]}"
