"""What is in the single file and in the folder it unpacked, compared with its own manifest.

Rules this module keeps:
- every member of the file, and every unpacked file, is hashed; what is missing and what is there
  besides are problems as well;
- a file cannot prove itself: who changed it could change the manifest too. That proof is the
  digest signed in the `releases` role.

Units: sizes in bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tavo.onefile.cache import home_name, is_ours, places
from tavo.onefile.checked import hash_of

if TYPE_CHECKING:
    from tavo.onefile.finder import Finder

__all__ = ["MANIFEST", "read_manifest", "unpacked_folder", "wrong_members", "wrong_unpacked"]

MANIFEST = "manifest.json"
_PIECE = 1 << 20


def read_manifest(archive: Path) -> dict[str, Any]:
    """Return the manifest inside the file. Raises OSError, ValueError, KeyError."""
    try:
        with zipfile.ZipFile(archive) as opened:
            manifest: dict[str, Any] = json.loads(opened.read(MANIFEST))
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from error
    return manifest


def wrong_members(archive: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each member that is not what the manifest says."""
    listed = dict(manifest["members"])
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            if info.filename == MANIFEST:
                continue
            expected = listed.pop(info.filename, None)
            if expected is None:
                yield f"{info.filename}: is in the file, but not in its manifest"
                continue
            try:
                with opened.open(info) as stream:
                    found = _hash(stream)
            except (zipfile.BadZipFile, OSError) as error:
                yield f"{info.filename}: cannot be read: {error}"
                continue
            if found != expected["sha256"]:
                yield f"{info.filename}: sha256 is {found}, the manifest says {expected['sha256']}"
    for name in listed:
        yield f"{name}: is in the manifest, but not in the file"
    with archive.open("rb") as stream:
        stream.seek(-22, os.SEEK_END)
        if stream.read(4) != b"PK\x05\x06":  # the end of a zip without a comment
            yield f"{archive.name}: something was appended to it"


def unpacked_folder(finder: Finder) -> Path | None:
    """Return where this build is unpacked already, without unpacking it."""
    for place in places(os.environ):
        home = os.path.join(place, home_name(finder))
        if is_ours(home) and is_ours(place):
            return Path(home)
    return None


def wrong_unpacked(finder: Finder, home: Path) -> Iterator[str]:
    """Yield a sentence for each file of the unpacked folder that is not what the file holds."""
    groups = (*finder.index["data"].values(), *finder.libraries.values(), finder.natives.values())
    expected = {file[0]: file for files in groups for file in files}
    for folder, folders, names in os.walk(home):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in (*names, *links):
            path = Path(folder) / name
            file = expected.pop(path.relative_to(home).as_posix(), None)
            if file is None:
                yield f"{path}: was not put there by this file"
            elif (found := hash_of(str(path), file[1])) != file[2]:
                yield f"{path}: was changed, its sha256 is {found}"
    for relative in expected:
        yield f"{home / relative}: is missing"


def _hash(stream: IO[bytes]) -> str:
    hasher = hashlib.sha256()
    while piece := stream.read(_PIECE):
        hasher.update(piece)
    return hasher.hexdigest()
