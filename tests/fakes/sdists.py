"""Source distributions that tests make themselves: one that is fine, and any number that are not.

Each brings its own small build backend, so that no build tool has to be fetched. `build_outside`
builds one as an installer would, with the user's rights: it is the control of every attack.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Mapping
from pathlib import Path

PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["own"]
"""

BACKEND = """\
import base64, hashlib, os, stat, sys, time, zipfile

DEFAULT = "Wheel-Version: 1.0\\nGenerator: own\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"


def build_wheel(directory, config_settings=None, metadata_directory=None):
    name, version = "@NAME@", "@VERSION@"
    wheel = f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with open("tiny/__init__.py", "rb") as stream:
        files = {"tiny/__init__.py": stream.read()}
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n@REQUIRES@".encode())
    files[f"{info}/WHEEL"] = DEFAULT.encode()
    modes = {}
@ATTACK@
    record = ""
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(content)}\\n"
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\\n").encode()
    with zipfile.ZipFile(os.path.join(directory, wheel), "w") as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, time.gmtime(time.time())[:6])
            entry.external_attr = (modes.get(path) or 0o100644) << 16
            archive.writestr(entry, content)
    return wheel
"""


def sdist_files(
    attack: str = "", *, name: str = "tiny", version: str = "1.0", requires: str = ""
) -> dict[str, bytes]:
    """Return the files of a source distribution; `attack` runs while its wheel is made.

    It sees `files` (path -> bytes), `modes`, `wheel` and `info`, and may change them.
    """
    backend = BACKEND.replace("@NAME@", name).replace("@VERSION@", version)
    backend = backend.replace("@REQUIRES@", requires.replace("\n", "\\n"))
    return {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        "pyproject.toml": PYPROJECT.encode(),
        "own/backend.py": backend.replace(
            "@ATTACK@", textwrap.indent(textwrap.dedent(attack), "    ")
        ).encode(),
        "tiny/__init__.py": b"VALUE = 1\n",
    }


def write_sdist(
    folder: Path,
    attack: str = "",
    *,
    name: str = "tiny",
    version: str = "1.0",
    requires: str = "",
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a source distribution and return its path; `files` are added or replaced."""
    contents = {**sdist_files(attack, name=name, version=version, requires=requires)}
    contents.update(files or {})
    top = f"{name}-{version}"
    members = [tar_member(f"{top}/{inner}", content) for inner, content in contents.items()]
    return write_tar(folder / f"{top}.tar.gz", members)


def tar_member(
    name: str, content: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    """Return a member of a tar file."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, len(content)
    return member, content


def write_tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    """Write a compressed tar file of these members."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return path


def build_outside(
    sdist: Path, folder: Path, *, timeout_s: float = 30.0, hash_seed: str = "0"
) -> tuple[Path, subprocess.CompletedProcess[bytes]]:
    """Unpack and build with the user's rights, as an installer does; return the folder of the
    wheel and what the process said. Raises subprocess.TimeoutExpired."""
    folder.mkdir(parents=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    out = folder / "out"
    out.mkdir()
    code = (
        "import sys; sys.path.insert(0, 'own'); import backend;"
        f"sys.stderr.write(backend.build_wheel({str(out)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, timeout=timeout_s,
        check=False, env={"PYTHONHASHSEED": hash_seed, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return out, done
