"""The plugin on small files made here; nothing is ever loaded."""

import bz2
import gzip
import io
import lzma
import pickle
import tempfile
import zipfile
import zlib
from pathlib import PurePosixPath

from main import ModelFiles


class Payload:
    def __reduce__(self):
        import os

        return os.system, ("echo harmless",)


HOSTILE = pickle.dumps(Payload())
HARMLESS = pickle.dumps({"weights": [1.0, 2.0]})
UNKNOWN = b"cmodel_zoo\nrestore\n."  # imports model_zoo.restore
MODEL_NAMES = ("a.pkl", "a.joblib", "a.pt", "a.bin", "a.npy", "a.npz")


def rules_of(name: str, data: bytes) -> list[str]:
    """What it says of a file; the scan lends a stream that cannot go before its beginning."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        found = list(ModelFiles().analyze_binary(PurePosixPath(name), file))
    return [finding.rule_id for finding in found]


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    return out.getvalue()


def numpy_file(descr: str, data: bytes) -> bytes:
    header = repr({"descr": descr, "fortran_order": False, "shape": (1,)}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def test_hostile_files_are_found() -> None:
    for name, data in (
        ("a.pkl", HOSTILE),
        ("a.joblib", zlib.compress(HOSTILE)),
        ("a.joblib", gzip.compress(HOSTILE)),
        ("a.joblib", bz2.compress(HOSTILE)),
        ("a.joblib", lzma.compress(HOSTILE)),
        ("a.pt", zipped(HOSTILE)),
        ("a.bin", HOSTILE),
        ("a.npy", numpy_file("|O", HOSTILE)),
        ("a.pkl", HARMLESS + HOSTILE),
    ):
        assert "model-file-runs-code" in rules_of(name, data), (name, data[:8])


def test_harmless_files_are_quiet() -> None:
    for name, data in (
        ("a.pkl", HARMLESS),
        ("a.pt", zipped(HARMLESS)),
        ("a.bin", b"\x00\x01 not a pickle at all"),
        ("a.npy", numpy_file("<f8", b"\0" * 8)),
    ):
        assert rules_of(name, data) == [], name


def test_an_import_that_is_on_no_list_is_named() -> None:
    assert rules_of("a.pkl", UNKNOWN) == ["model-file-unknown-import"]


def test_a_broken_pickle_is_named() -> None:
    assert rules_of("a.pkl", HARMLESS[:-2]) == ["model-file-unreadable"]


def test_empty_files_run_nothing() -> None:
    for name in MODEL_NAMES:
        assert rules_of(name, b"") == [], name
    assert rules_of("a.joblib", gzip.compress(b"")) == []
