"""Archives whose bytes depend on their contents only: the solid ones, and the file itself.

Rules this module keeps:
- sorted names, one time for all, fixed modes and owners: neither umask, folder, clock nor locale
  of the build can be seen in the outcome;
- what was compressed once is kept by content, because compressing takes minutes;
- what is kept between builds is written aside and renamed: two builds may share a folder;
- the outer file stores its members as they are, so each can be read at an offset.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import tarfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from signing.files import write_atomically

__all__ = ["OuterFile", "keep", "solid", "tar"]

_DICTIONARY = 1 << 26
_X86 = {"id": lzma.FILTER_X86}
_SHEBANG = b"#!/usr/bin/env -S python3 -I -S\n"


def tar(files: Mapping[str, bytes]) -> bytes:
    """Return an uncompressed tar; files lie in the order of the mapping."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644  # the time stays 0
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def solid(data: bytes, cache: Path, *, machine_code: str = "") -> bytes:
    """Compress as one block with xz; `machine_code` is the platform whose programs these are."""
    filters: list[dict[str, int]] = [
        {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": _DICTIONARY}
    ]
    if machine_code.endswith("x86_64"):
        filters.insert(0, _X86)
    key = hashlib.sha256(repr(filters).encode() + data).hexdigest()
    kept = cache / f"{key}.xz"
    if not kept.exists():
        write_atomically(kept, lzma.compress(data, format=lzma.FORMAT_XZ, filters=filters))
    return kept.read_bytes()


def keep(file: Path, data: bytes) -> Path:
    """Return the file, with these bytes; another build at the same time never sees less of it."""
    if not file.exists() or file.read_bytes() != data:
        write_atomically(file, data)
    return file


class OuterFile:
    """The single file while it is written: a zip behind a first line, its members as they are."""

    def __init__(self, stream: IO[bytes], when: int) -> None:
        stream.write(_SHEBANG)
        self._stream = stream
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED)
        self._date = time.gmtime(max(when, 315532800))[:6]  # a zip cannot tell earlier times
        self.members: dict[str, tuple[int, int]] = {}
        self.digests: dict[str, str] = {}

    def add(self, name: str, data: bytes) -> int:
        """Append a member; return where its bytes begin in the file."""
        self._zip.writestr(self._info(name), data)
        offset = self._stream.tell() - len(data)
        self.members[name] = (offset, len(data))
        self.digests[name] = hashlib.sha256(data).hexdigest()
        return offset

    def add_last(self, name: str, data: bytes) -> None:
        """Append a member that nothing finds by its place; it is compressed."""
        self._zip.writestr(self._info(name), data, zipfile.ZIP_DEFLATED, 9)

    def _info(self, name: str) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(name, self._date)
        info.create_system, info.external_attr = 3, 0o100644 << 16
        return info

    def close(self) -> None:
        """Write the table of contents."""
        self._zip.close()
