"""Model files that run code when they are loaded: pickle, PyTorch, NumPy, joblib.

The judgement about imports is picklescan's (MIT). This plugin adds what a scan needs around it:
compressed joblib files, NumPy headers without NumPy, and a claim for files that cannot be read.
"""

from __future__ import annotations

import ast
import bz2
import gzip
import io
import lzma
import pickletools
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import IO, BinaryIO

from picklescan import scanner

from tavo.plugins import Confidence, Finding, Location, Rule, Severity, StaticAnalysisPlugin

_LARGEST_UNPACKED = 512 << 20
_PYTORCH = frozenset({".pt", ".pth", ".ckpt", ".bin"})
_ALWAYS_PICKLE = frozenset({".pkl", ".pickle", ".dill", ".joblib"})
_NUMPY_MAGIC = b"\x93NUMPY"

_DANGEROUS = Rule(
    id="model-file-runs-code",
    title="Model file runs code when it is loaded",
    severity=Severity.CRITICAL,
    confidence=Confidence.HIGH,
    description="The pickle data in this file imports a function that runs commands, code or I/O.",
    help=(
        "Do not load this file. Delete it, find out where it came from, and fetch the model from"
        " its publisher as safetensors, or load it with `torch.load(..., weights_only=True)`,"
        " which refuses such imports."
    ),
    cwe=("CWE-502",),
    owasp=("LLM03:2025", "LLM04:2025"),
    tags=("supply-chain", "deserialization"),
)
_UNKNOWN = Rule(
    id="model-file-unknown-import",
    title="Model file imports a function that is not known to be harmless",
    severity=Severity.LOW,
    confidence=Confidence.LOW,
    description="Pickle data may call whatever it imports; this import is on no list.",
    help=(
        "Look up what the imported function does when it is called with data of a stranger's"
        " choice. Prefer safetensors, which cannot import anything."
    ),
    cwe=("CWE-502",),
    owasp=("LLM03:2025",),
    tags=("supply-chain", "deserialization"),
)
_UNREADABLE = Rule(
    id="model-file-unreadable",
    title="Model file cannot be read to its end",
    severity=Severity.MEDIUM,
    confidence=Confidence.MEDIUM,
    description="The file is named like a pickle, but its data cannot be followed to the end.",
    help=(
        "A loader runs pickle data as far as it gets, so a broken file can still run code. Fetch"
        " the file again, or delete it if nothing needs it."
    ),
    cwe=("CWE-502",),
    owasp=("LLM03:2025",),
    tags=("supply-chain", "deserialization"),
)


class ModelFiles(StaticAnalysisPlugin):
    """Reports what loading a model file would import."""

    rules = (_DANGEROUS, _UNKNOWN, _UNREADABLE)

    def analyze_binary(self, file_path: PurePosixPath, content: BinaryIO) -> Iterable[Finding]:
        """Yield one finding per import that loading the file would make."""
        suffix = file_path.suffix.lower()
        stream = _unpacked(content)
        if not stream.read(1):
            return  # nothing to run, and picklescan steps back from the end of it
        stream.seek(0)
        result = scanner.scan_bytes(stream, str(file_path), suffix)
        for found in sorted(result.globals, key=lambda g: (g.module, g.name)):
            if found.safety is scanner.SafetyLevel.Innocuous:
                continue
            name = f"{found.module}.{found.name}"
            dangerous = found.safety is scanner.SafetyLevel.Dangerous
            verdict = "can run code" if dangerous else "is not known to be harmless"
            yield _claim(
                _DANGEROUS if dangerous else _UNKNOWN,
                file_path,
                f"Loading this file imports {name}, which {verdict}.",
                {"import": name},
            )
        if result.scan_err or (suffix in _ALWAYS_PICKLE and not _is_readable(stream)):
            yield _claim(
                _UNREADABLE, file_path, "The pickle data cannot be followed to its end.", {}
            )


def _claim(rule: Rule, path: PurePosixPath, message: str, evidence: dict[str, str]) -> Finding:
    return Finding(
        rule_id=rule.id,
        message=message,
        location=Location(path=path),
        severity=rule.severity,
        confidence=rule.confidence,
        evidence=evidence,
    )


def _is_readable(stream: IO[bytes]) -> bool:
    """Tell whether the first pickle of a stream, or the archive that it is, can be read."""
    stream.seek(0)
    if stream.read(4) == b"PK\x03\x04":
        return True
    stream.seek(0)
    try:
        for _ in pickletools.genops(stream):
            pass
    except Exception:  # whatever a hostile file makes the disassembler raise
        return False
    return True


def _unpacked(content: BinaryIO) -> IO[bytes]:
    """Return the stream, unpacked when it is compressed as joblib does, with a bound on size."""
    start = content.read(6)
    content.seek(0)
    openers: tuple[tuple[bytes, Callable[[bytes], Iterator[bytes]]], ...] = (
        (b"\x1f\x8b", lambda data: _chunks(gzip.open(io.BytesIO(data)))),
        (b"BZh", lambda data: _chunks(bz2.open(io.BytesIO(data)))),
        (b"\xfd7zXZ", lambda data: _chunks(lzma.open(io.BytesIO(data)))),
        (b"\x5d\x00\x00", lambda data: _chunks(lzma.open(io.BytesIO(data)))),
        (b"x\x01", _inflate),
        (b"x\x5e", _inflate),
        (b"x\x9c", _inflate),
        (b"x\xda", _inflate),
    )
    for magic, unpack in openers:
        if start.startswith(magic):
            unpacked = io.BytesIO()
            for chunk in unpack(content.read()):
                unpacked.write(chunk)
                if unpacked.tell() > _LARGEST_UNPACKED:
                    raise ValueError(f"unpacks to more than {_LARGEST_UNPACKED >> 20} MB")
            unpacked.seek(0)
            return unpacked
    return content


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(1 << 20):
        yield chunk


def _inflate(data: bytes) -> Iterator[bytes]:
    inflater = zlib.decompressobj()
    while data and not inflater.eof:
        yield inflater.decompress(data, 1 << 20)
        data = inflater.unconsumed_tail


def _scan_numpy(data: IO[bytes], file_id: str, strict: bool = False) -> scanner.ScanResult:
    """Scan the pickle that a NumPy file holds when its items are Python objects.

    Replaces picklescan's own function, which needs NumPy only to read this header
    (format: numpy.lib.format, versions 1.0 to 3.0).
    """
    start = data.read(8)
    if not start.startswith(_NUMPY_MAGIC):
        data.seek(0)
        return scanner.scan_pickle_bytes(data, file_id, strict=strict)
    size = int.from_bytes(data.read(2 if start[6] == 1 else 4), "little")
    if size > 1 << 20:
        raise ValueError("the NumPy header is longer than 1 MB")
    header = ast.literal_eval(data.read(size).decode("utf-8" if start[6] >= 3 else "latin-1"))
    if "O" not in repr(header["descr"]):
        return scanner.ScanResult([], scanned_files=1)
    pickled = io.BytesIO(data.read(_LARGEST_UNPACKED))
    return scanner.scan_pickle_bytes(pickled, file_id, strict=strict)


scanner.scan_numpy = _scan_numpy
