"""What the contract suite hands a static plugin: its own samples, hostile texts, damaged samples.

Everything comes as a scan would hand it over: decoded, with line feeds, or as bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from marketplace_db.manifest import Manifest
from tavo.host.workers import FileInput, StaticWorker
from tavo.plugins.testing import hostile_texts
from tavo.scan.files import Content, UnreadableError, decode

__all__ = ["SAMPLES", "damaged", "hostile", "sample_paths", "samples"]

SAMPLES = "tests/samples"
_SUFFIXES = {"python": ".py", "javascript": ".js", "typescript": ".ts", "json": ".json",
             "yaml": ".yaml", "markdown": ".md"}  # fmt: skip
_MOST_DAMAGED = 5
_LARGEST_REPEATED = 1 << 20
# a scan takes a file for a binary one if there is a NUL in its first 8 KB; behind them it is text
_BEYOND = b" " * 8191 + b"\n"


def samples(folder: Path, worker: StaticWorker, manifest: Manifest) -> Iterable[FileInput]:
    """Yield the author's samples that the plugin looks at, as a scan would hand them in."""
    language = manifest.languages[0] if manifest.languages else ""
    for relative in sample_paths(folder):
        kind = worker.wants(relative, language)
        data = (folder / SAMPLES / relative).read_bytes()
        if kind == "text":
            content = _as_scanned(data)
            if content is None or not content.is_text:
                continue
            data = content.data
        if kind is not None:
            yield FileInput(path=relative, data=data, kind=kind)


def sample_paths(folder: Path) -> list[PurePosixPath]:
    """Return where all samples lie, seen from their folder."""
    root = folder / SAMPLES
    found = sorted(root.rglob("*")) if root.is_dir() else ()
    return [PurePosixPath(path.relative_to(root).as_posix()) for path in found if path.is_file()]


def hostile(manifest: Manifest) -> Iterable[FileInput]:
    """Yield the texts that every plugin must stand, as texts and as files of bytes."""
    suffix = _SUFFIXES.get(manifest.languages[0] if manifest.languages else "", ".txt")
    pattern = manifest.file_patterns[0] if manifest.file_patterns else "*.bin"
    for name, text in hostile_texts().items():
        slug = name.replace(" ", "-")
        path = PurePosixPath("hostile") / f"{slug}{suffix}"
        yield FileInput(path=path, data=_as_text(text.encode()))
        binary = PurePosixPath("hostile-bytes") / pattern.replace("*", slug).replace("?", "x")
        yield FileInput(path=binary, data=text.encode("utf-16-le"), kind="binary")


def _as_scanned(data: bytes) -> Content | None:
    try:
        return decode(data)
    except UnreadableError:
        return None


def _as_text(data: bytes) -> bytes:
    """Return UTF-8 text as a scan hands it over: without its mark, with line feeds, or as it is."""
    content = _as_scanned(data)
    if content is not None and not content.is_text:
        content = _as_scanned(_BEYOND + data)
    return data if content is None else content.data


def damaged(items: Sequence[FileInput]) -> Iterable[FileInput]:
    """Yield the first samples cut, with NUL bytes, with lone carriage returns, and many times.

    What the plugin looks for is in them, so more of it runs than on any other hostile text.
    """
    for item in items[:_MOST_DAMAGED]:
        data = bytes(item.data)
        for what, changed in (
            ("cut", data[: len(data) // 2]),
            ("nul", data.replace(b"\n", b"\0\n")),
            ("cr", data.replace(b"\n", b"\r")),
            ("many", data * max(1, min(200, _LARGEST_REPEATED // max(len(data), 1)))),
        ):
            if item.kind == "text":
                changed = _as_text(changed.decode("utf-8", "ignore").encode())
            path = PurePosixPath("hostile") / what / item.path
            yield FileInput(path=path, data=changed, kind=item.kind)
