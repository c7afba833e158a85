"""The plugin on small files made here; nothing is ever loaded."""

import gzip
import io
import pickle
import zipfile
import zlib
from pathlib import PurePosixPath

import pytest
from main import ModelFiles


class Payload:
    def __reduce__(self):
        import os

        return os.system, ("echo harmless",)


HOSTILE = pickle.dumps(Payload())
HARMLESS = pickle.dumps({"weights": [1.0, 2.0]})


def rules_of(name: str, data: bytes) -> list[str]:
    found = ModelFiles().analyze_binary(PurePosixPath(name), io.BytesIO(data))
    return [finding.rule_id for finding in found]


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    return out.getvalue()


def numpy_file(descr: str, data: bytes) -> bytes:
    header = repr({"descr": descr, "fortran_order": False, "shape": (1,)}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.pkl", HOSTILE),
        ("a.joblib", zlib.compress(HOSTILE)),
        ("a.joblib", gzip.compress(HOSTILE)),
        ("a.pt", zipped(HOSTILE)),
        ("a.bin", HOSTILE),
        ("a.npy", numpy_file("|O", HOSTILE)),
        ("a.pkl", HARMLESS + HOSTILE),
    ],
)
def test_hostile_files_are_found(name: str, data: bytes) -> None:
    assert "model-file-runs-code" in rules_of(name, data)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.pkl", HARMLESS),
        ("a.pt", zipped(HARMLESS)),
        ("a.bin", b"\x00\x01 not a pickle at all"),
        ("a.npy", numpy_file("<f8", b"\0" * 8)),
    ],
)
def test_harmless_files_are_quiet(name: str, data: bytes) -> None:
    assert rules_of(name, data) == []


def test_a_broken_pickle_is_named() -> None:
    assert rules_of("a.pkl", HARMLESS[:-2]) == ["model-file-unreadable"]
