import os
from pathlib import Path


def remember(path: Path, text: bytes) -> None:
    # ok: file-open-to-every-user
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.write(handle, text)


def make_runnable(path: Path) -> None:
    # ok: file-open-to-every-user
    os.chmod(path, 0o755)
    # ok: file-open-to-every-user
    path.chmod(0o644)
