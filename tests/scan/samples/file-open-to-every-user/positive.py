import os
from pathlib import Path


def remember(path: Path, text: bytes) -> None:
    # ruleid: file-open-to-every-user
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    os.write(handle, text)


def share(folder: Path) -> None:
    # ruleid: file-open-to-every-user
    os.chmod(folder, 0o777)
    # ruleid: file-open-to-every-user
    (folder / "memory.json").chmod(0o666)
