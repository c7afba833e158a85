"""Pickles in model files as Python again, by fickling (LGPL-3.0), with what it says of them.

Rules this module keeps:
- fickling is used as its wheel has it, and never loads anything;
- its grades are kept, except for two that ordinary models meet: that a module is not of the
  standard library, and that something is called; both are told only with `all: true`;
- each finding of the worst grade has the Python that loading would run.
"""

from __future__ import annotations

import ast
import bz2
import contextlib
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import IO, Any, BinaryIO

from fickling.analysis import Analyzer
from fickling.analysis import Severity as Grade
from fickling.fickle import Pickled, StackedPickle
from fickling.loader import RelaxedZipFile

from tavo.plugins import Confidence, Finding, Location, Rule, Severity, StaticAnalysisPlugin

_LARGEST = 256 << 20
_MOST_SHOWN = 1200
_MOST_FINDINGS = 50
_PICKLED = {".pkl", ".pickle", ".pk", ".pckl", ".dill", ".joblib", ".sav"}
_ORDINARY = {"NonStandardImports", "OvertlyBadEval", "UnusedVariables"}
_NUMPY = b"\x93NUMPY"
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def _rule(name: str, title: str, severity: Severity, confidence: Confidence, about: str) -> Rule:
    return Rule(
        id=f"fickling-{name}",
        title=title,
        severity=severity,
        confidence=confidence,
        description=about,
        help=(
            "Read the Python that the finding shows: it is what loading the file would run. Fetch"
            " the model as safetensors, or load it with `torch.load(..., weights_only=True)`."
        ),
        cwe=("CWE-502",),
        owasp=("LLM03:2025",),
        tags=("supply-chain", "deserialization"),
    )


_MALICIOUS = _rule(
    "malicious", "Model file is likely malicious", Severity.CRITICAL, Confidence.HIGH,
    "fickling calls what the pickle imports or calls likely or overtly malicious.",
)  # fmt: skip
_MALFORMED = _rule(
    "malformed", "Pickle is put together as no program does it", Severity.MEDIUM, Confidence.MEDIUM,
    "Opcodes are wrong, doubled or in a place where no pickler puts them, as in a tampered file.",
)  # fmt: skip
_UNSAFE = _rule(
    "unsafe", "Pickle imports or calls what could be unsafe", Severity.LOW, Confidence.LOW,
    "fickling knows no reason why this is harmless. Ordinary models do it, too.",
)  # fmt: skip


class ModelFilesDeep(StaticAnalysisPlugin):
    """Reports what fickling says of the pickles in a file."""

    rules = (_MALICIOUS, _MALFORMED, _UNSAFE)
    _all = False

    def start(self, context: Any) -> None:
        """Read the configuration."""
        self._all = bool(context.config.get("all", False))

    def analyze_binary(self, file_path: PurePosixPath, content: BinaryIO) -> Iterable[Finding]:
        """Yield what is said of each pickle in a file; the same is said once."""
        said: set[tuple[str, str]] = set()
        for where, data in _pickles(file_path.name, content):
            # It prints warnings about pickles, and a worker's output is for its protocol.
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                found = list(self._judged(data, PurePosixPath(where or file_path.name).suffix))
            for rule, told, evidence in found:
                message = _ADDRESS.sub("", told)
                if (rule.id, message) in said or len(said) == _MOST_FINDINGS:
                    continue
                said.add((rule.id, message))
                yield Finding(
                    rule_id=rule.id,
                    message=message,
                    location=Location(path=file_path),
                    severity=rule.severity,
                    confidence=rule.confidence,
                    evidence={**evidence, **({"inside": where} if where else {})},
                )

    def _judged(self, data: bytes, suffix: str) -> Iterator[tuple[Rule, str, dict[str, str]]]:
        try:
            pickles = StackedPickle.load(data, fail_on_decode_error=False)
        except NotImplementedError as error:
            yield _UNSAFE, f"fickling does not know an opcode of it: {error!s:.100}", {}
            return
        except Exception as error:  # whatever a hostile file makes it raise
            if suffix in _PICKLED and data:
                yield _MALFORMED, f"fickling cannot take it apart: {type(error).__name__}.", {}
            return
        for number, one in enumerate(pickles):
            # Behind the first pickle lie numbers as often as a second one.
            if number and one.has_invalid_opcode:
                return
            yield from self._of_pickle(one, is_joblib=suffix == ".joblib")

    def _of_pickle(
        self, pickled: Pickled, *, is_joblib: bool
    ) -> Iterator[tuple[Rule, str, dict[str, str]]]:
        try:
            results = Analyzer.default_instance.analyze(pickled).results
        except Exception as error:  # it knows not all opcodes
            text = f"fickling cannot follow it to its end: {type(error).__name__}: {error!s:.100}"
            yield _UNSAFE, text, {}
            return
        for one in results:
            if one.analysis_name is None and not self._all and is_joblib:
                continue  # joblib writes arrays between the opcodes
            name = one.analysis_name or "InvalidOpcode"
            evidence = {"analysis": name, "grade": one.severity.name.lower()}
            if one.severity >= Grade.LIKELY_OVERTLY_MALICIOUS:
                if "joblib.numpy_pickle import NumpyArrayWrapper`" in str(one) and is_joblib:
                    continue
                evidence["python"] = _python(pickled)
                yield _MALICIOUS, str(one), evidence
            elif name in _ORDINARY:
                if self._all:
                    yield _UNSAFE, str(one), evidence
            elif not is_joblib or self._all:
                yield _MALFORMED, str(one), evidence


def _python(pickled: Pickled) -> str:
    """Return the end of what loading would run: what comes last uses what came before."""
    try:
        text = ast.unparse(pickled.ast)
    except Exception as error:
        return f"(cannot be shown: {type(error).__name__})"
    return text if len(text) <= _MOST_SHOWN else f"…{text[-_MOST_SHOWN:]}"


def _pickles(name: str, content: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield the pickles of a file, with their place in an archive; none is larger than 256 MB."""
    data = _read(content)
    for magic, unpack in _UNPACK.items():
        if data.startswith(magic):
            with contextlib.suppress(OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
                data = _read(unpack(data))
            break
    stream = io.BytesIO(data)
    if zipfile.is_zipfile(stream):
        with contextlib.suppress(zipfile.BadZipFile, OSError), RelaxedZipFile(stream) as archive:
            for member in archive.infolist():
                found = _member(archive, member)
                if found is not None:
                    yield member.filename, found
        if data.startswith(b"PK"):
            return
    if data.startswith(_NUMPY):
        found = _array(data)
        if found is not None:
            yield "", found
    elif PurePosixPath(name).suffix.lower() in _PICKLED or data[:1] in {b"\x80", b"c", b"("}:
        yield "", data


def _member(archive: RelaxedZipFile, member: zipfile.ZipInfo) -> bytes | None:
    member.flag_bits &= ~1  # loaders of models do not look at it
    try:
        with archive.open(member) as opened:
            data = _read(opened)
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, zlib.error):
        return None
    if data.startswith(_NUMPY):
        return _array(data)
    named = PurePosixPath(member.filename).suffix.lower() in _PICKLED
    return data if named or (data[:1] == b"\x80" and data[1:2] < b"\x06") else None


def _array(data: bytes) -> bytes | None:
    """Return the pickle in a NumPy file, where its items are objects."""
    width = 2 if data[6:7] == b"\1" else 4
    begin = 8 + width
    end = begin + int.from_bytes(data[8:begin], "little")
    try:
        header: Mapping[str, Any] = ast.literal_eval(data[begin:end].decode("latin-1").strip())
        return data[end:] if "O" in repr(header["descr"]) else None
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError):
        return None


def _read(stream: IO[bytes]) -> bytes:
    data = stream.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError(f"it is larger than {_LARGEST >> 20} MB, unpacked")
    return data


def _inflated(data: bytes) -> IO[bytes]:
    return io.BytesIO(zlib.decompressobj().decompress(data, _LARGEST + 1))


_UNPACK = {
    b"\x1f\x8b": lambda data: gzip.open(io.BytesIO(data)),
    b"BZh": lambda data: bz2.open(io.BytesIO(data)),
    b"\xfd7zXZ": lambda data: lzma.open(io.BytesIO(data)),
    b"\x5d\x00\x00": lambda data: lzma.open(io.BytesIO(data)),
    b"x\x01": _inflated,
    b"x\x5e": _inflated,
    b"x\x9c": _inflated,
    b"x\xda": _inflated,
}
