"""A finished single file, published as a release of tavo in a repository.

    python -m tavo.operator.publish_file --keys DIR --repository DIR --file dist/tavo.pyz
        --version 0.1.0

Rules this module keeps:
- the `releases` role names the file, so two of its three offline keys must sign;
- in the repository it is `releases/tavo-<version>.pyz`, or `tavo-full-<version>.pyz` with the
  optional engines, whatever it is called here;
- a released version never changes: other bytes need another version;
- `SHA256SUMS` beside the file is for people without tavo, in the format of sha256sum.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from packaging.version import InvalidVersion, Version

from signing.digests import Digest, hash_file
from signing.errors import SigningError
from signing.files import write_atomically
from signing.keyring import Keyring
from signing.repository import Repository
from tavo.errors import InputError, RefusedError, TavoError, UsageError, exit_code_of
from tavo.operator.embed import build_time

__all__ = ["SUMS", "main", "publish_file"]

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def publish_file(
    *, keys: Path, repository: Path, file: Path, version: str, now: datetime, full: bool = False
) -> Digest:
    """Publish the file as this version of tavo, and write `SHA256SUMS` beside it.

    `full`: it is the file with the optional engines, which is a release of its own.

    Raises UsageError for a version that is not in its normal form, RefusedError if the version was
    released with other bytes, InputError if the file cannot be read, and SigningError; then
    nothing was published.
    """
    name = _name(version, full=full)
    try:
        with tempfile.TemporaryDirectory(prefix="tavo-publish-") as folder:
            copy = Path(folder) / name
            shutil.copyfile(file, copy)
            digest, _ = hash_file(copy)
            opened = Repository.open(repository, Keyring.load(keys))
            before = opened.published(f"releases/{name}")
            if before not in (None, digest):
                raise RefusedError(
                    f"{name} was released with sha256 {before.short}…, {file} has {digest.short}…",
                    hint="A released version never changes: raise the version.",
                )
            opened.publish(releases=[copy], now=now)
        _write_sums(file, digest)
    except OSError as error:
        raise InputError(f"{error.filename or file}: {error.strerror or error}") from error
    return digest


def _name(version: str, *, full: bool) -> str:
    normal = None
    with contextlib.suppress(InvalidVersion):
        normal = str(Version(version))
    if normal != version or "!" in version:
        raise UsageError(f"{version!r} is not a version in its normal form, such as 1.2.3")
    return f"tavo-full-{version}.pyz" if full else f"tavo-{version}.pyz"


def _write_sums(file: Path, digest: Digest) -> None:
    """Write the file's line; lines of other files stay while they are still true."""
    path = file.parent / SUMS
    sums = {file.name: digest.hex}
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        found = _LINE.fullmatch(line)
        other = file.parent / found[2] if found else file
        if found and other.name == found[2] != file.name and other.is_file():
            sums[other.name] = found[1] if hash_file(other)[0].hex == found[1] else ""
    lines = [f"{value}  {name}\n" for name, value in sorted(sums.items()) if value]
    write_atomically(path, "".join(lines).encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the build; print one sentence and return the exit code when something fails."""
    parser = argparse.ArgumentParser(prog="tavo.operator.publish_file")
    for name in ("keys", "repository", "file"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--full", action="store_true")
    given = parser.parse_args(arguments)
    umask = os.umask(0o022)
    try:
        digest = publish_file(now=build_time(), **vars(given))
        keyring = Keyring.load(given.keys)
    except (SigningError, TavoError) as error:
        sys.stderr.write(f"publish_file: {error}\n{error.hint}\n")
        return int(exit_code_of(error))
    finally:
        os.umask(umask)
    sys.stderr.write(
        f"publish_file: {_name(given.version, full=given.full)} is sha256 {digest.hex}"
        + (", signed with DEVELOPMENT keys\n" if keyring.development else "\n")
    )
    for key in keyring.of("releases"):
        sys.stderr.write(f"publish_file: for the release notes: release key {key.public.hex}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
